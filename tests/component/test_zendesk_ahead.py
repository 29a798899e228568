"""The export over a real socket: where answers take their time, the next page is asked for before this one is read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from tests.component.test_zendesk_export import SINCE, export, ticket
from tests.fixtures.loopback import FastTime, Loopback, Opened, Reply, Seen
from tests.waiting import wait_for
from zendeskd.connectors import zendesk_export
from zendeskd.connectors.faults import Answer
from zendeskd.connectors.transport import Transport
from zendeskd.connectors.zendesk_tickets import TicketMapper, Tickets
from zendeskd.errors import CredentialError, CursorInvalid, CursorStuck, NetworkError, PermissionDenied
from zendeskd.models import Page, Position
from zendeskd.runs.ahead import FetchAhead

UNREADABLE = {**ticket(2, 1790000005), "updated_at": "yesterday"}


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    with Loopback() as server:
        yield server


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every answer counts as one that took its time."""
    monkeypatch.setattr(zendesk_export, "_FAR_S", 0.0)


@pytest.fixture
def near(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zendesk_export, "_FAR_S", float("inf"))


def garbled_once(*between: Reply) -> list[Reply]:
    """A page with a ticket that can be read the second time; what is answered between the two; the page after it."""
    whole = export(ticket(1, 1790000000), ticket(2, 1790000005), cursor="c1", end=False)
    garbled = export(ticket(1, 1790000000), UNREADABLE, cursor="c1", end=False)
    return [garbled, *between, whole, export(ticket(9, 1790000019))]


def walk(opened: Opened) -> Iterator[Page]:
    return opened.source.pages(Position("export", since=SINCE))


def ids(page: Page) -> list[str]:
    return [record.external_id for record in page.records]


def cursors(loopback: Loopback) -> list[str | None]:
    return [seen.params.get("cursor") for seen in loopback.seen]


def asking() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.endswith("-ask")]


def test_an_answer_that_took_its_time_is_handed_over_while_the_next_is_on_its_way(loopback: Loopback) -> None:
    slowly, never = threading.Event(), threading.Event()
    loopback.script = [
        Reply({"tickets": [ticket(1, 1790000000)], "after_cursor": "c1", "end_of_stream": False}, hold=slowly),
        Reply({"tickets": [ticket(2, 1790000001)], "after_cursor": "c2", "end_of_stream": True}, hold=never),
    ]
    timer = threading.Timer(10 * zendesk_export._FAR_S, slowly.set)
    timer.start()
    with Opened(loopback) as opened:
        pages = walk(opened)
        assert ids(next(pages)) == ["1"]
        wait_for(lambda: cursors(loopback) == [None, "c1"], "the call for the next page")
        never.set()
        assert ids(next(pages)) == ["2"]
        assert next(pages, None) is None
    timer.join()
    assert len(loopback.seen) == 2


@pytest.mark.usefixtures("near")
def test_where_answers_come_at_once_a_page_is_asked_for_when_it_is_wanted(loopback: Loopback) -> None:
    loopback.script = [export(ticket(1, 1790000000), cursor="c1", end=False), export(ticket(2, 1790000001))]
    with Opened(loopback) as opened:
        pages = walk(opened)
        next(pages)
        assert (cursors(loopback), asking()) == ([None], [])
        next(pages)
    assert cursors(loopback) == [None, "c1"]


@pytest.mark.usefixtures("far")
def test_every_page_comes_once_and_in_order(loopback: Loopback) -> None:
    def answer(seen: Seen) -> Reply:
        number = int(seen.params.get("cursor", "0"))
        return export(ticket(number, 1790000000 + number), cursor=str(number + 1), end=number == 30)

    loopback.answer = answer
    with Opened(loopback) as opened:
        found = [ids(page) for page in walk(opened)]
    assert found == [[str(number)] for number in range(31)]
    assert cursors(loopback) == [None, *(str(number) for number in range(1, 31))]


@pytest.mark.usefixtures("far")
def test_a_page_is_handed_over_though_the_next_has_to_wait_for_a_rate_limit(loopback: Loopback) -> None:
    class Patient(FastTime):
        over = threading.Event()

        def wait(self, event: threading.Event, seconds: float) -> bool:
            self.over.wait(30)
            return super().wait(event, seconds)

    loopback.script = [
        export(ticket(1, 1790000000), cursor="c1", end=False),
        Reply({}, 429, {"Retry-After": "60"}),
        export(ticket(2, 1790000001)),
    ]
    time = Patient()
    with Opened(loopback, time) as opened:
        pages = walk(opened)
        assert ids(next(pages)) == ["1"]
        wait_for(lambda: opened.reasons, "the wait")
        time.over.set()
        assert ids(next(pages)) == ["2"]
    assert opened.source.calls.rate_limit_wait_ms > 0


@pytest.mark.usefixtures("far")
def test_the_tickets_of_a_page_are_read_while_the_next_is_on_its_way(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading: Callable[..., Tickets] = TicketMapper.map

    def read(*args: object) -> Tickets:
        wait_for(lambda: len(loopback.seen) == 2, "the call for the next page")
        return reading(*args)

    monkeypatch.setattr(TicketMapper, "map", read)
    loopback.script = [export(ticket(1, 1790000000), cursor="c1", end=False), export(ticket(2, 1790000001))]
    with Opened(loopback) as opened:
        assert [ids(page) for page in walk(opened)] == [["1"], ["2"]]


@pytest.mark.usefixtures("far")
def test_a_cursor_that_stands_still_is_not_asked_for(loopback: Loopback) -> None:
    loopback.script = [export(ticket(1, 1790000000), cursor="c1", end=False)]
    with Opened(loopback) as opened, pytest.raises(CursorStuck):
        list(opened.source.pages(Position("export", cursor="c1")))
    assert len(loopback.seen) == 1


@pytest.mark.usefixtures("far")
def test_a_watermark_without_the_servers_clock_is_of_the_answer_and_not_of_its_reading(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[zendesk_export.PageSize] = []

    def went_well(size: zendesk_export.PageSize) -> None:
        answers.append(size)

    monkeypatch.setattr(zendesk_export.PageSize, "went_well", went_well)
    loopback.script = [export(ticket(1, 1790000000), cursor="c1", end=False), export(cursor="c2", Date="")]
    with Opened(loopback) as opened:
        pages = walk(opened)
        next(pages)
        wait_for(lambda: len(answers) == 2, "the answer")
        answered_at = opened.time.now()
        opened.time.ticks += 3600
        watermark = next(pages).watermark
    assert watermark is not None
    assert watermark <= answered_at


@pytest.mark.usefixtures("far")
def test_a_page_on_which_tickets_cannot_be_read_is_asked_for_again_after_the_one_under_way(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering, is_read, calling = threading.Event(), threading.Event(), threading.Lock()
    reading: Callable[..., Tickets] = TicketMapper.map
    sending: Callable[..., Answer] = Transport.send

    def read(*args: object) -> Tickets:
        try:
            return reading(*args)
        finally:
            is_read.set()

    def send(*args: object) -> Answer:
        assert calling.acquire(blocking=False), "two calls at a time"
        try:
            return sending(*args)
        finally:
            calling.release()

    monkeypatch.setattr(TicketMapper, "map", read)
    monkeypatch.setattr(Transport, "send", send)
    loopback.script = garbled_once(
        Reply({"tickets": [ticket(3, 1790000009)], "after_cursor": "c2", "end_of_stream": False}, hold=answering)
    )
    found: list[list[str]] = []
    with Opened(loopback) as opened:
        reader = threading.Thread(target=lambda: found.extend(ids(page) for page in walk(opened)))
        reader.start()
        wait_for(lambda: len(loopback.seen) == 2 and is_read.is_set(), "the reading of the page")
        answering.set()
        reader.join(15)
    assert found == [["1", "2"], ["3"], ["9"]]
    assert cursors(loopback) == [None, "c1", None, "c2"]
    assert loopback.seen[2].params == loopback.seen[0].params


@pytest.mark.usefixtures("far")
def test_the_second_look_is_at_the_same_page_though_the_next_made_pages_smaller(loopback: Loopback) -> None:
    loopback.script = garbled_once(Reply({}, 504), Reply({}, 504), export(cursor="c2", end=False))
    with Opened(loopback) as opened:
        found = [ids(page) for page in walk(opened)]
    assert found == [["1", "2"], [], ["9"]]
    assert [seen.params["per_page"] for seen in loopback.seen] == ["1000", "1000", "500", "250", "1000", "250"]


@pytest.mark.usefixtures("far")
def test_a_page_is_not_held_up_by_a_call_that_fails(loopback: Loopback) -> None:
    loopback.script = [export(ticket(1, 1790000000), UNREADABLE, cursor="c1", end=False), Reply({}, 401)]
    with Opened(loopback) as opened:
        pages = walk(opened)
        assert ids(next(pages)) == ["1"]
        with pytest.raises(CredentialError):
            next(pages)
    assert cursors(loopback) == [None, "c1", "c1"], "refused credentials are not sent for a second look"


@pytest.mark.usefixtures("far")
def test_a_page_is_not_held_up_by_a_call_that_lasts(loopback: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zendesk_export, "_LOOK_WITHIN_S", 0.05)
    answering = threading.Event()
    loopback.script = [
        export(ticket(1, 1790000000), UNREADABLE, cursor="c1", end=False),
        Reply({"tickets": [ticket(3, 1790000009)], "after_cursor": "c2", "end_of_stream": True}, hold=answering),
    ]
    with Opened(loopback) as opened:
        pages = walk(opened)
        first = next(pages)
        assert (ids(first), len(first.quarantined)) == (["1"], 1)
        answering.set()
        assert ids(next(pages)) == ["3"]


@pytest.mark.usefixtures("far")
def test_what_was_asked_for_by_a_cursor_that_the_second_answer_does_not_name_is_dropped(loopback: Loopback) -> None:
    loopback.script = [
        export(ticket(1, 1790000000), UNREADABLE, cursor="c1", end=False),
        export(ticket(3, 1790000009), cursor="c2", end=False),
        export(ticket(1, 1790000000), cursor="b", end=False),
        export(ticket(2, 1790000005), ticket(3, 1790000009), cursor="c2"),
    ]
    with Opened(loopback) as opened:
        found = [ids(page) for page in walk(opened)]
    assert found == [["1"], ["2", "3"]]
    assert cursors(loopback) == [None, "c1", None, "b"]


@pytest.mark.usefixtures("far")
@pytest.mark.parametrize(
    ("refusal", "kind"),
    [(Reply({}, 403), PermissionDenied), (Reply({"error": "InvalidValue"}, 422), CursorInvalid)],
)
def test_a_refusal_of_the_next_page_comes_after_this_one(
    refusal: Reply, kind: type[Exception], loopback: Loopback
) -> None:
    loopback.script = [export(ticket(1, 1790000000), cursor="c1", end=False), refusal]
    with Opened(loopback) as opened:
        pages = walk(opened)
        assert ids(next(pages)) == ["1"]
        with pytest.raises(kind):
            next(pages)


@pytest.mark.usefixtures("far")
def test_a_host_that_gives_no_more_threads_has_the_next_page_asked_for_in_its_turn(loopback: Loopback) -> None:
    replies = [export(ticket(1, 1790000000), cursor="c1", end=False), export(ticket(2, 1790000001))]
    usual = threading.stack_size()

    def answer(_: Seen) -> Reply:
        if len(replies) == 2:
            threading.stack_size(1 << 60)  # more than the address space: the kernel has no room for another thread
        return replies.pop(0)

    loopback.answer = answer
    try:
        with Opened(loopback) as opened:
            found = [ids(page) for page in walk(opened)]
    finally:
        threading.stack_size(usual)
    assert found == [["1"], ["2"]]


@pytest.mark.usefixtures("far")
def test_whoever_ends_the_walk_waits_for_the_call_under_way(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung_up, over = threading.Event(), threading.Event()
    sending: Callable[..., Answer] = Transport.send

    def send(*args: object) -> Answer:
        try:
            return sending(*args)
        except NetworkError:
            hung_up.set()
            over.wait(15)
            raise

    monkeypatch.setattr(Transport, "send", send)
    loopback.script = [
        export(ticket(1, 1790000000), cursor="c1", end=False),
        Reply({}, hold=threading.Event()),
    ]
    with Opened(loopback) as opened:
        pages = (page for page in walk(opened))
        fetcher = FetchAhead(pages, opened.cancel, is_waiting=lambda: False, alive=lambda: None)
        wait_for(lambda: len(loopback.seen) == 2, "the call for the next page, while nobody takes the first")
    assert hung_up.wait(15)
    fetcher.close()
    threading.Timer(0.3, over.set).start()
    fetcher.join(10)
    assert over.is_set()
    assert not asking()
