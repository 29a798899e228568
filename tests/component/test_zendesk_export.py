"""The export strategy over a real socket: parameters, the end of the stream, starts that are too recent, page sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.fixtures.loopback import FastTime, Loopback, Opened, Reply, Seen, http_date
from zendeskd.connectors import zendesk_export
from zendeskd.connectors.account import FEW_TRIES
from zendeskd.connectors.zendesk import ZendeskConnector
from zendeskd.errors import CursorInvalid, CursorStuck, NetworkError, PermissionDenied, RunError, ServerError
from zendeskd.models import Page, Position

SINCE = datetime(2026, 11, 1, tzinfo=UTC)
TOO_RECENT = Reply({"error": "StartTimeTooRecent", "description": "wording unknown"}, 400)
TOO_RECENT_OF_OLD = Reply(
    {"error": "InvalidValue", "description": "Too recent start_time. Use a start_time older than 5 minutes"}, 422
)


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    with Loopback() as server:
        yield server


@pytest.fixture(autouse=True)
def _near(monkeypatch: pytest.MonkeyPatch) -> None:
    """One call after the other, however busy the machine: asking ahead has tests of its own, test_zendesk_ahead.py."""
    monkeypatch.setattr(zendesk_export, "_FAR_S", float("inf"))


def ticket(number: int, generated: int) -> dict[str, object]:
    return {"id": number, "generated_timestamp": generated, "updated_at": "2026-11-02T10:00:00Z", "status": "open"}


def export(*tickets: dict[str, object], cursor: str | None = "c", end: bool = True, **headers: str) -> Reply:
    return Reply({"tickets": list(tickets), "after_cursor": cursor, "end_of_stream": end}, headers=headers)


def pages(opened: Opened, position: Position | None = None) -> list[Page]:
    return list(opened.source.pages(position or Position("export", since=SINCE)))


@pytest.mark.parametrize("second", [Reply({}, 500), Reply(b"<html>"), Reply(raw=b"", close=True)])
def test_where_no_second_answer_is_to_be_had_the_first_is_kept(second: Reply, loopback: Loopback) -> None:
    """A page on which tickets cannot be read is asked for again, in case they can the next time."""
    unreadable = {**ticket(2, 1790000005), "updated_at": "yesterday"}
    first = export(ticket(1, 1790000000), unreadable, cursor="c1", end=False)
    last = export(ticket(3, 1790000009), unreadable, cursor="c2")
    loopback.script = [first, *[second] * FEW_TRIES, last]
    with Opened(loopback) as opened:
        found = pages(opened)
    assert [[record.external_id for record in page.records] for page in found] == [["1"], ["3"]]
    assert [len(page.quarantined) for page in found] == [1, 1]
    assert len(loopback.seen) == 1 + FEW_TRIES + 1, "it asked again, though that had not helped"


def test_where_the_second_look_itself_is_not_accepted_the_first_answer_is_kept(loopback: Loopback) -> None:
    unreadable = {**ticket(2, 1790000005), "updated_at": "yesterday"}
    loopback.script = [
        export(ticket(1, 1790000000), unreadable, cursor="c1", end=False),
        Reply({"error": "InvalidValue"}, 422),
        export(ticket(3, 1790000009), cursor="c2"),
    ]
    with Opened(loopback) as opened:
        found = pages(opened)
    assert [[record.external_id for record in page.records] for page in found] == [["1"], ["3"]]


def test_where_the_second_answer_is_a_refusal_the_run_ends_with_it(loopback: Loopback) -> None:
    loopback.script = [export({**ticket(1, 1790000000), "updated_at": "yesterday"}), Reply({}, 403)]
    with Opened(loopback) as opened, pytest.raises(PermissionDenied):
        pages(opened)


def test_a_walk_sends_every_parameter_with_every_cursor(loopback: Loopback) -> None:
    loopback.script = [
        export(ticket(1, 1790000000), ticket(2, 1790000005), cursor="c1", end=False),
        export(cursor="c2", end=False),  # an empty page is no end
        export(ticket(3, 1790000009), cursor="c3"),
    ]
    with Opened(loopback) as opened:
        found = pages(opened)
    assert [[record.external_id for record in page.records] for page in found] == [["1", "2"], [], ["3"]]
    assert [(page.cursor, page.end_of_stream, page.strategy) for page in found] == [
        ("c1", False, "export"),
        ("c2", False, "export"),
        ("c3", True, "export"),
    ]
    assert found[0].watermark == datetime.fromtimestamp(1790000005, UTC)
    assert found[1].watermark is None
    same = {"support_type_scope": "all", "include": "users,groups,organizations", "per_page": "1000"}
    assert [seen.params for seen in loopback.seen] == [
        {"start_time": str(int(SINCE.timestamp())), **same},
        {"cursor": "c1", **same},
        {"cursor": "c2", **same},
    ]


def test_a_cursor_goes_on_where_it_was(loopback: Loopback) -> None:
    loopback.script = [export(cursor="d")]
    with Opened(loopback) as opened:
        pages(opened, Position("export", cursor="MTc5MDIwMTU1NS4wfHw0N3w="))
    assert loopback.seen[0].params["cursor"] == "MTc5MDIwMTU1NS4wfHw0N3w="
    assert "start_time" not in loopback.seen[0].params


def test_from_the_very_beginning_is_start_time_0(loopback: Loopback) -> None:
    loopback.script = [export()]
    with Opened(loopback) as opened:
        pages(opened, Position("export"))
    assert loopback.seen[0].params["start_time"] == "0"


def test_an_empty_end_has_no_cursor_but_tells_how_far_was_read(loopback: Loopback) -> None:
    loopback.script = [export(cursor=None)]
    with Opened(loopback) as opened:
        (page,) = pages(opened)
        assert page.cursor is None
        assert page.watermark is not None
        behind = opened.time.now() - page.watermark
        assert timedelta(seconds=110) <= behind <= timedelta(seconds=130)


def test_a_server_whose_clock_runs_ahead_does_not_pull_the_watermark_into_the_future(loopback: Loopback) -> None:
    loopback.script = [export(cursor=None, Date=http_date(datetime(2099, 1, 1, tzinfo=UTC)))]
    with Opened(loopback) as opened:
        (page,) = pages(opened)
        assert page.watermark is not None
        assert page.watermark < opened.time.now()


# --- starts that are too recent ---------------------------------------------------------------------------------------


def test_a_start_in_the_last_two_minutes_is_moved_back(loopback: Loopback) -> None:
    loopback.script = [export()]
    with Opened(loopback) as opened:
        pages(opened, Position("export", since=opened.time.now() + timedelta(days=1)))
        assert int(loopback.seen[0].params["start_time"]) == int(
            (opened.time.now() - timedelta(seconds=120)).timestamp()
        )


@pytest.mark.parametrize("refusal", [TOO_RECENT, TOO_RECENT_OF_OLD])
def test_with_our_clock_ahead_the_servers_clock_decides(refusal: Reply, loopback: Loopback) -> None:
    theirs = datetime.now(UTC)
    refusal.headers = {"Date": http_date(theirs)}
    loopback.script = [refusal, export(cursor="c", Date=http_date(theirs))]
    with Opened(loopback, FastTime(theirs + timedelta(hours=2))) as opened:
        (page,) = pages(opened, Position("export", since=theirs + timedelta(hours=1)))
        assert page.cursor == "c"
        assert int(loopback.seen[1].params["start_time"]) == int(theirs.timestamp()) - 120
        assert page.watermark is not None
        assert page.watermark < theirs


def test_five_minutes_are_tried_where_two_are_too_recent(loopback: Loopback) -> None:
    loopback.script = [TOO_RECENT_OF_OLD, TOO_RECENT_OF_OLD, export()]
    with Opened(loopback) as opened:
        pages(opened, Position("export", since=opened.time.now()))
    starts = [int(seen.params["start_time"]) for seen in loopback.seen]
    assert starts == sorted(starts, reverse=True)
    assert starts[0] - starts[2] >= 200


def test_what_stays_too_recent_is_nothing_new(loopback: Loopback) -> None:
    loopback.script = [TOO_RECENT]
    with Opened(loopback) as opened:
        (page,) = pages(opened, Position("export", since=opened.time.now()))
    assert (page.records, page.end_of_stream, page.cursor, page.watermark) == ([], True, None, None)
    assert len(loopback.seen) == 3


def test_a_cursor_that_is_too_recent_is_nothing_new(loopback: Loopback) -> None:
    loopback.script = [TOO_RECENT]
    with Opened(loopback) as opened:
        (page,) = pages(opened, Position("export", cursor="c"))
    assert (page.end_of_stream, page.cursor) == (True, None)
    assert len(loopback.seen) == 1


# --- cursors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "refusal",
    [
        Reply({"error": "InvalidCursor"}, 400),
        Reply({"error": "RecordNotFound", "description": "Not found"}, 404),
        Reply({"error": "InvalidValue", "description": "cursor"}, 422),
        Reply(b"gone", 400),
    ],
)
def test_a_cursor_that_is_not_accepted_is_invalid(refusal: Reply, loopback: Loopback) -> None:
    loopback.script = [refusal]
    with Opened(loopback) as opened, pytest.raises(CursorInvalid):
        pages(opened, Position("export", cursor="old"))
    assert len(loopback.seen) == 1


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (Reply({"error": {"title": "No help desk at x"}}, 404), NetworkError),
        (Reply({"error": "InvalidEndpoint"}, 404), PermissionDenied),
        (Reply({"error": {"title": "Forbidden"}}, 403), PermissionDenied),
    ],
)
def test_other_refusals_are_not_the_cursors_fault(refusal: Reply, kind: type[RunError], loopback: Loopback) -> None:
    loopback.script = [refusal]
    with Opened(loopback) as opened, pytest.raises(kind):
        pages(opened, Position("export", cursor="old"))


@pytest.mark.parametrize("cursor", [None, "c0"])
def test_a_cursor_that_does_not_move_ends_the_walk(cursor: str | None, loopback: Loopback) -> None:
    loopback.script = [export(ticket(1, 1790000000), cursor=cursor, end=False)]
    with Opened(loopback) as opened:
        walk = opened.source.pages(Position("export", cursor="c0"))
        assert len(next(walk).records) == 1
        with pytest.raises(CursorStuck):
            next(walk)


# --- page sizes -------------------------------------------------------------------------------------------------------


def sized(limit: int, slow: Reply) -> Callable[[Seen], Reply]:
    """A server that can give `limit` tickets at once, and never ends."""
    count = iter(range(10_000))

    def answer(seen: Seen) -> Reply:
        if int(seen.params["per_page"]) > limit:
            return slow
        return export(cursor=f"c{next(count)}", end=False)

    return answer


def test_a_page_that_times_out_halves_until_it_works_and_does_not_use_up_the_tries(loopback: Loopback) -> None:
    loopback.answer = sized(10, Reply(b"<html>gateway", 504))
    with Opened(loopback) as opened:
        next(opened.source.pages(Position("export", since=SINCE)))
        sizes = [int(seen.params["per_page"]) for seen in loopback.seen]
        assert sizes == [1000, 500, 250, 125, 62, 31, 15, 7]
        assert opened.reasons[0] == "HTTP 504, try 1 of 5"
        assert sum(opened.time.waited) < 20


def test_a_page_of_one_that_still_times_out_ends_after_five_tries(loopback: Loopback) -> None:
    loopback.answer = sized(0, Reply(b"", 504))
    with Opened(loopback) as opened, pytest.raises(ServerError, match="504"):
        next(opened.source.pages(Position("export", since=SINCE)))
    assert [int(seen.params["per_page"]) for seen in loopback.seen][-6:] == [3, 1, 1, 1, 1, 1]


def test_a_smaller_page_is_kept_for_the_next_run_and_grows_back(loopback: Loopback) -> None:
    time = FastTime()
    connector = ZendeskConnector(time)
    loopback.answer = sized(300, Reply(b"", 504))
    with Opened(loopback, time, connector=connector) as first:
        next(first.source.pages(Position("export", since=SINCE)))
    loopback.seen.clear()
    loopback.answer = sized(1000, Reply(b"", 504))
    with Opened(loopback, time, connector=connector) as second:
        walk = second.source.pages(Position("export", since=SINCE))
        for _ in range(8):
            next(walk)
    sizes = [int(seen.params["per_page"]) for seen in loopback.seen]
    assert sizes == [250, 250, 500, 500, 500, 1000, 1000, 1000]


# --- deleted tickets and the comparison -------------------------------------------------------------------------------


def test_deleted_tickets_come_with_the_rest(loopback: Loopback) -> None:
    gone = {**ticket(1, 1790000000), "status": "deleted", "subject": "SCRUBBED", "description": "X"}
    loopback.script = [export(gone)]
    with Opened(loopback) as opened:
        (page,) = opened.source.census(Position("export", since=SINCE, cursor="not used"))
    assert page.records[0].deleted_at == "2026-11-02T10:00:00.000Z"
    assert "exclude_deleted" not in loopback.seen[0].params
    assert "cursor" not in loopback.seen[0].params


def test_tickets_are_confirmed_by_the_hundred(loopback: Loopback) -> None:
    def answer(seen: Seen) -> Reply:
        ids = [int(one) for one in seen.params["ids"].split(",")]
        there = [ticket(one, 1790000000) for one in ids if one % 2]
        return Reply({"tickets": there, "count": len(there), "next_page": None})

    loopback.answer = answer
    with Opened(loopback) as opened:
        found = opened.source.confirm([*(str(n) for n in range(1, 251)), "abc", "٣", ""])
        assert opened.source.confirm([]) == []
    assert [record.external_id for record in found] == [str(n) for n in range(1, 251, 2)]
    assert [len(seen.params["ids"].split(",")) for seen in loopback.seen] == [100, 100, 50]
    assert {seen.path for seen in loopback.seen} == {"/api/v2/tickets/show_many"}


def test_a_ticket_that_is_there_but_cannot_be_read_is_confirmed_without_replacing_anything(loopback: Loopback) -> None:
    loopback.script = [Reply({"tickets": [{"id": 7, "tags": 3}, {"tags": 3}]})]
    with Opened(loopback) as opened:
        (record,) = opened.source.confirm(["7", "8"])
    assert (record.external_id, record.source_version) == ("7", 0)
