"""The list strategy over a real socket: a model of the ticket list and of the list of deleted tickets."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.fixtures.loopback import FastTime, Loopback, Opened, Reply, Seen
from zendeskd.connectors.zendesk_list import OVERLAP, instant_in, made_cursor
from zendeskd.errors import BadResponse, CursorInvalid, CursorStuck, PermissionDenied
from zendeskd.models import Page, Position
from zendeskd.sync import CursorGuard

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def cursor_of(seconds: int, number: int) -> str:
    inner = base64.b64encode(struct.pack("<cqcq", b"d", seconds, b"i", number)).decode()
    return base64.b64encode(json.dumps({"o": "updated_at,id", "v": inner}).encode()).decode()


def iso(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


class Lists:
    """Tickets by `updated_at`, and deleted ones; answers as Zendesk does."""

    def __init__(self) -> None:
        self.tickets: dict[int, datetime] = {}
        self.deleted: dict[int, datetime] = {}
        self.newest_first = True
        self.knows_made_cursors = True
        self.given: set[str] = set()

    def __call__(self, seen: Seen) -> Reply:
        size = int(seen.params["page[size]"])
        after = seen.params.get("page[after]")
        if after is not None and not self.knows_made_cursors and after not in self.given:
            return Reply({"error": "InvalidPaginationParameter", "description": "page[after] is not valid"}, 400)
        if seen.path == "/api/v2/deleted_tickets":
            rows = sorted(self.deleted.items(), key=lambda row: (row[1], row[0]), reverse=self.newest_first)
            start = int(after or 0)
            chosen, following = rows[start : start + size], str(start + size)
            listed = [{"id": n, "subject": "x", "deleted_at": iso(at)} for n, at in chosen]
            return self._reply("deleted_tickets", listed, following, start + size < len(rows))
        assert seen.params["sort"] == "updated_at"
        try:
            place = (0, 0) if after is None else self._place(after)
        except (ValueError, struct.error):
            return Reply({"error": "InvalidPaginationParameter", "description": "page[after] is not valid"}, 400)
        rows = sorted((int(at.timestamp()), n) for n, at in self.tickets.items())
        left = [row for row in rows if row > place]
        listed = [
            {"id": n, "updated_at": iso(datetime.fromtimestamp(at, UTC)), "requester_id": 1} for at, n in left[:size]
        ]
        following = cursor_of(*left[:size][-1]) if left else None
        return self._reply("tickets", listed, following, len(left) > size, users=[{"id": 1, "name": "Ana"}])

    def _place(self, after: str) -> tuple[int, int]:
        inner = json.loads(base64.b64decode(after, validate=True))
        d, seconds, i, number = struct.unpack("<cqcq", base64.b64decode(inner["v"]))
        assert (inner["o"], d, i) == ("updated_at,id", b"d", b"i")
        return seconds, number

    def _reply(self, key: str, rows: list[object], after: str | None, more: bool, **sides: object) -> Reply:
        meta = {"has_more": more, "after_cursor": after if rows else None, "before_cursor": None}
        if rows and after is not None:
            self.given.add(after)
        links = {"next": "https://x.zendesk.com/never-null", "prev": None}
        return Reply({key: rows, "meta": meta, "links": links, **sides})


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    with Loopback() as server:
        yield server


@pytest.fixture
def lists(loopback: Loopback) -> Lists:
    lists = Lists()
    loopback.answer = lists
    return lists


def walk(loopback: Loopback, position: Position, now: datetime = NOW) -> list[Page]:
    """One run, checked for what every run promises."""
    with Opened(loopback, FastTime(now), strategy="list") as opened:
        pages = list(opened.source.pages(position))
    guard = CursorGuard(position.cursor)
    for page in pages[:-1]:
        assert not page.end_of_stream
        guard.advance(page.cursor)
    assert pages[-1].end_of_stream
    assert all(page.strategy == "list" for page in pages)
    return pages


def ids(pages: list[Page]) -> list[int]:
    return [int(record.external_id) for page in pages for record in page.records]


def gone(pages: list[Page]) -> list[int]:
    return [int(deletion.external_id) for page in pages for deletion in page.deletions]


def again(pages: list[Page]) -> Position:
    return Position("list", cursor=pages[-1].cursor)


def test_every_ticket_comes_once_in_the_order_of_updates(loopback: Loopback, lists: Lists) -> None:
    lists.tickets = {n: NOW - timedelta(minutes=1000 - n) for n in range(1, 351)}
    pages = walk(loopback, Position("list"))
    assert ids(pages) == list(range(1, 351))
    assert [len(page.records) for page in pages] == [100, 100, 100, 50, 0]
    assert pages[0].records[0].requester == "Ana"
    assert pages[0].records[0].source_version == int(lists.tickets[1].timestamp())
    assert (pages[0].reached, pages[0].watermark) == (lists.tickets[100], None)
    assert pages[-1].watermark == NOW - OVERLAP
    first = loopback.seen[0].params
    assert first == {"sort": "updated_at", "page[size]": "100", "include": "users,groups,organizations"}


def test_a_run_begins_where_it_is_told_less_an_overlap(loopback: Loopback, lists: Lists) -> None:
    lists.tickets = {n: NOW - timedelta(minutes=60 - n) for n in range(1, 60)}
    pages = walk(loopback, Position("list", since=NOW - timedelta(minutes=20)))
    assert ids(pages) == list(range(35, 60))


def test_the_next_run_goes_on_with_what_changed(loopback: Loopback, lists: Lists) -> None:
    lists.tickets = {n: NOW - timedelta(hours=24) + timedelta(minutes=n) for n in range(1, 301)}
    first = walk(loopback, Position("list"))
    lists.tickets[7] = NOW + timedelta(minutes=1)
    lists.tickets[1000] = NOW + timedelta(minutes=2)
    second = walk(loopback, again(first), NOW + timedelta(minutes=15))
    assert ids(second)[-2:] == [7, 1000]
    assert len(ids(second)) <= 8  # an overlap of five minutes, and the two
    third = walk(loopback, again(second), NOW + timedelta(minutes=30))
    assert ids(third) == [7, 1000]


def test_a_run_with_nothing_new_keeps_its_place(loopback: Loopback, lists: Lists) -> None:
    place = walk(loopback, Position("list", since=NOW - timedelta(days=1)))
    for quarter in range(1, 50):
        place = walk(loopback, again(place), NOW + timedelta(minutes=15 * quarter))
    lists.tickets = {1: NOW - timedelta(hours=12), 2: NOW - timedelta(days=2)}
    assert ids(walk(loopback, again(place), NOW + timedelta(days=1))) == [1]


def test_an_overlap_that_ends_on_the_stored_place_is_no_standstill(loopback: Loopback, lists: Lists) -> None:
    lists.tickets = {n: NOW - timedelta(seconds=100 - n) for n in range(1, 101)}
    first = walk(loopback, Position("list"))
    lists.tickets |= {n: NOW + timedelta(seconds=n) for n in range(101, 111)}
    assert ids(walk(loopback, again(first), NOW + timedelta(minutes=15))) == list(range(1, 111))


def test_a_broken_off_run_is_gone_on_with_and_loses_no_deletion(loopback: Loopback, lists: Lists) -> None:
    lists.tickets = {n: NOW - timedelta(hours=10) + timedelta(minutes=n) for n in range(1, 301)}
    first = walk(loopback, Position("list"))
    lists.deleted = {5: NOW + timedelta(minutes=1)}
    lists.tickets |= {n: NOW + timedelta(minutes=n) for n in range(301, 501)}
    broken = walk(loopback, again(first), NOW + timedelta(hours=5))[:1]  # only its first page was stored
    rest = walk(loopback, again(broken), NOW + timedelta(hours=6))
    assert ids(rest)[-1] == 500
    assert gone(rest) == [5]


def test_deletions_come_after_the_tickets_and_only_recent_ones(loopback: Loopback, lists: Lists) -> None:
    lists.tickets = {1: NOW - timedelta(days=1)}
    lists.deleted = {n: NOW - timedelta(hours=n) for n in range(1, 400)}
    pages = walk(loopback, Position("list", since=NOW - timedelta(hours=150)))
    assert gone(pages) == list(range(1, 151))
    assert pages[1].deletions[0].deleted_at == "2026-11-23T11:00:00.000Z"
    assert sum(seen.path == "/api/v2/deleted_tickets" for seen in loopback.seen) == 2


def test_deletions_in_another_order_are_read_to_their_end(loopback: Loopback, lists: Lists) -> None:
    lists.newest_first = False
    lists.deleted = {n: NOW - timedelta(hours=n) for n in range(1, 400)}
    pages = walk(loopback, Position("list", since=NOW - timedelta(hours=10)))
    assert sorted(gone(pages)) == list(range(1, 11))


def test_a_list_of_deletions_that_cannot_be_sorted_is_read_as_it_is(loopback: Loopback, lists: Lists) -> None:
    lists.newest_first = False
    lists.deleted = {n: NOW - timedelta(hours=n) for n in range(1, 250)}
    refusal = Reply({"error": {"title": "Invalid attribute", "message": "sort"}}, 400)
    loopback.answer = lambda seen: refusal if "-deleted_at" in seen.params.values() else lists(seen)
    pages = walk(loopback, Position("list", since=NOW - timedelta(hours=10)))
    assert sorted(gone(pages)) == list(range(1, 11))
    loopback.answer = lambda seen: refusal if "deleted" in seen.path else lists(seen)
    with (
        Opened(loopback, strategy="list") as opened,
        pytest.raises(BadResponse, match=r"did not accept the request \(HTTP 400: sort\)"),
    ):
        list(opened.source.pages(Position("list")))


def test_a_deletion_is_not_missed_between_two_runs(loopback: Loopback, lists: Lists) -> None:
    place = walk(loopback, Position("list"))
    lists.deleted = {3: NOW - timedelta(minutes=2)}  # the list of deletions lagged
    place = walk(loopback, again(place), NOW + timedelta(minutes=15))
    assert gone(place) == [3]
    assert gone(walk(loopback, again(place), NOW + timedelta(minutes=30))) == []


def test_a_deletion_that_cannot_be_read_is_set_aside(loopback: Loopback, lists: Lists) -> None:
    def answer(seen: Seen) -> Reply:
        rows = [{"id": 1, "deleted_at": "soon"}, {"id": 2, "deleted_at": "2026-11-23T11:00:00"}]
        if seen.path == "/api/v2/deleted_tickets":
            return Reply({"deleted_tickets": rows, "meta": {"has_more": False}})
        return lists(seen)

    loopback.answer = answer
    pages = walk(loopback, Position("list"))
    assert gone(pages) == [2]
    assert "deleted ticket" in pages[-1].quarantined[0].reason


def test_half_a_surrogate_pair_in_a_subject_holds_up_no_deletion(loopback: Loopback, lists: Lists) -> None:
    def answer(seen: Seen) -> Reply:
        if seen.path == "/api/v2/deleted_tickets":
            row = rb'{"id":2,"subject":"\ud83d \u0000","deleted_at":"2026-11-23T11:00:00Z"}'
            return Reply(b'{"deleted_tickets":[%b],"meta":{"has_more":false}}' % row)
        return lists(seen)

    loopback.answer = answer
    pages = walk(loopback, Position("list"))
    assert gone(pages) == [2]
    assert pages[-1].quarantined == []


# --- cursors ----------------------------------------------------------------------------------------------------------


def test_where_made_cursors_are_not_taken_the_stored_one_is_used(loopback: Loopback, lists: Lists) -> None:
    lists.tickets = {n: NOW - timedelta(days=2) + timedelta(minutes=n) for n in range(1, 151)}
    first = walk(loopback, Position("list"))
    lists.knows_made_cursors = False
    lists.tickets[200] = NOW
    assert ids(walk(loopback, again(first), NOW + timedelta(minutes=15))) == [200]


def test_where_made_cursors_are_not_taken_a_first_run_reads_everything(loopback: Loopback, lists: Lists) -> None:
    lists.knows_made_cursors = False
    lists.tickets = {1: NOW - timedelta(days=90), 2: NOW}
    assert ids(walk(loopback, Position("list", since=NOW - timedelta(days=7)))) == [1, 2]


@pytest.mark.parametrize("stored", ["rubbish", '{"after":"eHl6","deleted_since":5}', '{"deleted_since":"x"}', "[]"])
def test_a_stored_cursor_that_is_none_is_invalid(stored: str, loopback: Loopback, lists: Lists) -> None:
    with Opened(loopback, strategy="list") as opened, pytest.raises(CursorInvalid):
        list(opened.source.pages(Position("list", cursor=stored)))


def test_other_refusals_are_not_the_cursors_fault(loopback: Loopback) -> None:
    loopback.script = [Reply({"error": {"title": "Forbidden"}}, 403)]
    with Opened(loopback, strategy="list") as opened, pytest.raises(PermissionDenied):
        list(opened.source.pages(Position("list", since=NOW)))
    loopback.script = [Reply({"error": "InvalidEndpoint"}, 404)]
    with Opened(loopback, strategy="list") as opened, pytest.raises(BadResponse):
        list(opened.source.pages(Position("list")))


@pytest.mark.parametrize("cursor", ["same", None, ""])
@pytest.mark.parametrize("path", ["/api/v2/tickets", "/api/v2/deleted_tickets"])
def test_a_list_that_does_not_move_on_ends_the_walk(
    path: str, cursor: str | None, loopback: Loopback, lists: Lists
) -> None:
    key = path.rpartition("/")[2]
    stuck = Reply({key: [], "meta": {"has_more": True, "after_cursor": cursor}})
    loopback.answer = lambda seen: stuck if seen.path == path else lists(seen)
    with Opened(loopback, strategy="list") as opened, pytest.raises(CursorStuck):
        list(opened.source.pages(Position("list")))


@pytest.mark.parametrize("body", [b"<html>", b'{"deleted_tickets":[]}', b"[]"])
def test_a_web_page_for_the_deletions_is_a_bad_response(body: bytes, loopback: Loopback, lists: Lists) -> None:
    loopback.answer = lambda seen: Reply(body) if seen.path == "/api/v2/deleted_tickets" else lists(seen)
    with Opened(loopback, strategy="list") as opened, pytest.raises(BadResponse, match="list of deleted tickets"):
        list(opened.source.pages(Position("list")))


def test_a_made_cursor_is_one_that_can_be_read_back() -> None:
    assert instant_in(made_cursor(NOW)) == NOW - OVERLAP
    assert made_cursor(None) is None
    assert instant_in(cursor_of(1790000000, 5)) == datetime.fromtimestamp(1790000000, UTC)


@pytest.mark.parametrize(
    "cursor", [None, "", "%%", "eHl6", base64.b64encode(b'{"o":"id","v":"eA=="}').decode(), cursor_of(2**60, 1)]
)
def test_a_cursor_of_another_make_stands_for_no_time(cursor: str | None) -> None:
    assert instant_in(cursor) is None


def test_a_census_walks_the_tickets_alone(loopback: Loopback, lists: Lists) -> None:
    lists.tickets = dict.fromkeys(range(1, 131), NOW)
    lists.deleted = {500: NOW}
    with Opened(loopback, strategy="list") as opened:
        pages = list(opened.source.census(Position("list")))
    assert ids(pages) == list(range(1, 131))
    assert pages[-1].end_of_stream
    assert gone(pages) == []
