"""Storing pages: what is new, newer, older, the same or gone, and that everything of a page is stored or nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fixtures.stores import NOW, add_organization, begin_run, counts, is_consistent, record, table, write
from zendeskd.db import Database
from zendeskd.errors import StorageError
from zendeskd.models import CallStats, Deletion, Integration, Link, Page, Quarantined, Record, stamp
from zendeskd.store import Store
from zendeskd.store.pages import RunPages

LATER = NOW + timedelta(hours=1)
GONE = "2026-11-23T13:00:00.000Z"


def tickets(db: Database, columns: str = "external_id, source_version, deleted_at, title") -> list[tuple[object, ...]]:
    return table(db, f"SELECT {columns} FROM flow_records ORDER BY external_id")


def found(db: Database, words: str) -> list[str]:
    rows = table(
        db,
        "SELECT r.external_id FROM flow_records_fts f JOIN flow_records r ON r.id = f.rowid"
        " WHERE flow_records_fts MATCH ? ORDER BY 1",
        words,
    )
    return [row[0] for row in rows]


# --- classification ---------------------------------------------------------------------------------------------------


def test_every_column_is_stored(database: Database, pages: RunPages) -> None:
    full = Record(
        external_id="7",
        record_type="ticket",
        source_version=1_700_000_000,
        content_hash=b"\x00\xff",
        raw='{"id": 7, "subject": "\\u0000 Zürich 🙂"}'.encode(),
        url="https://acme.zendesk.com/agent/tickets/7",
        title="Zürich",
        body="two\nlines",
        status="open",
        priority="high",
        requester="Jane Doe",
        assignee="Ann",
        group_name="Support",
        customer="Initech",
        tags=("vip", "größe"),
        created_at="2026-11-01T00:00:00.000Z",
        updated_at="2026-11-02T00:00:00.000Z",
    )
    assert write(pages, [full]) == counts(created=1)
    (row,) = table(database, "SELECT * FROM flow_records")
    assert row == (
        *(1, "acme", "zendesk", "ticket", "7", full.url, "Zürich", "two\nlines", "open", "high", "Jane Doe", "Ann"),
        *("Support", "Initech", '["vip","größe"]', full.created_at, full.updated_at, 1_700_000_000, None, b"\x00\xff"),
        *(stamp(NOW), stamp(NOW), full.raw.decode()),
    )


def test_a_page_that_comes_again_writes_no_row(database: Database, pages: RunPages) -> None:
    page = [record(n, tags=("a",)) for n in range(20)]
    assert write(pages, page) == counts(created=20)
    with database.writing() as connection:
        connection.execute("CREATE TEMP TABLE touched (id)")
        for event in ("INSERT", "UPDATE", "DELETE"):
            connection.execute(
                f"CREATE TEMP TRIGGER t{event} AFTER {event} ON main.flow_records"
                " BEGIN INSERT INTO touched VALUES (1); END"
            )
    assert write(pages, page, LATER) == counts(unchanged=20)
    with database.writing() as connection:
        assert connection.execute("SELECT * FROM touched").fetchall() == []
    assert {row[0] for row in tickets(database, "synced_at")} == {stamp(NOW)}


def test_newer_replaces_and_older_does_not(database: Database, pages: RunPages) -> None:
    write(pages, [record(1, 5, title="five")])
    assert write(pages, [record(1, 4, title="four")]) == counts(unchanged=1)
    assert tickets(database)[0][3] == "five"
    assert write(pages, [record(1, 6, title="six")], LATER) == counts(updated=1)
    assert tickets(database) == [("1", 6, None, "six")]
    assert tickets(database, "first_synced_at, synced_at") == [(stamp(NOW), stamp(LATER))]
    assert found(database, "five OR four") == []
    assert found(database, "six") == ["1"]


def test_the_same_version_with_other_content_replaces(database: Database, pages: RunPages) -> None:
    """A name that is loaded beside the ticket changes without the ticket's version."""
    write(pages, [record(1, 5, requester="Jane Doe")])
    assert write(pages, [record(1, 5, requester="Jane Roe")]) == counts(updated=1)
    assert found(database, "roe") == ["1"]
    assert found(database, "doe") == []


def test_a_version_that_moves_alone_is_stored_and_counts_as_unchanged(database: Database, pages: RunPages) -> None:
    write(pages, [record(1, 5, content_hash=b"h", raw="{5}")])
    assert write(pages, [record(1, 6, content_hash=b"h", raw="{6}")], LATER) == counts(unchanged=1)
    assert tickets(database, "source_version, raw, synced_at") == [(6, "{6}", stamp(LATER))]
    assert write(pages, [record(1, 5, content_hash=b"h", raw="{5}")]) == counts(unchanged=1)
    assert tickets(database, "source_version, raw") == [(6, "{6}")]


def test_a_hash_that_misses_a_change_does_not_harm_the_index(database: Database, pages: RunPages) -> None:
    write(pages, [record(1, 5, content_hash=b"h", title="before")])
    write(pages, [record(1, 6, content_hash=b"h", title="after")])
    assert found(database, "after") == ["1"]
    assert found(database, "before") == []
    assert is_consistent(database)


def test_one_key_twice_on_a_page_counts_once_and_the_newest_wins(database: Database, pages: RunPages) -> None:
    page = [record(1, 6, title="six"), record(2), record(1, 5, title="five"), record(1, 6, title="six again")]
    assert write(pages, page) == counts(created=2)
    assert tickets(database, "external_id, title") == [("1", "six again"), ("2", "Ticket 2")]
    assert is_consistent(database)


def test_records_of_several_types_on_a_page(database: Database, pages: RunPages) -> None:
    other = record(1, title="not the ticket")
    other.record_type = "comment"
    assert write(pages, [record(1), other]) == counts(created=2)
    assert tickets(database, "record_type, title") == [("ticket", "Ticket 1"), ("comment", "not the ticket")]


def test_the_same_id_in_two_organisations_is_two_records(database: Database, store: Store, pages: RunPages) -> None:
    other = begin_run(store, add_organization(store, "globex"))
    write(pages, [record(1, title="ours")])
    assert write(other, [record(1, title="theirs")]) == counts(created=1)
    assert sorted(tickets(database, "organization_id, title")) == [("acme", "ours"), ("globex", "theirs")]
    assert is_consistent(database)


def test_a_record_without_instants_sorts_last(database: Database, pages: RunPages) -> None:
    write(pages, [record(1, updated_at=None, created_at=GONE), record(2, updated_at=None)])
    assert tickets(database, "updated_at") == [(GONE,), ("1970-01-01T00:00:00.000Z",)]


# --- deletions --------------------------------------------------------------------------------------------------------


def test_a_tombstone_deletes_what_was_here(database: Database, store: Store, pages: RunPages) -> None:
    write(pages, [record(1), record(2)])
    assert write(pages, [record(1, 2, deleted_at=GONE, status="deleted")]) == counts(deleted=1)
    assert [row[2] for row in tickets(database)] == [GONE, None]
    assert store.records.total() == 1
    assert found(database, "ticket") == ["1", "2"]  # a deleted record is still found
    assert write(pages, [record(1, 2, deleted_at=GONE, status="deleted")]) == counts(unchanged=1)
    assert is_consistent(database)


def test_a_tombstone_of_what_never_was_here(database: Database, store: Store, pages: RunPages) -> None:
    assert write(pages, [record(1, deleted_at=GONE)]) == counts(deleted=1)
    assert store.records.total() == 0
    assert is_consistent(database)


def test_a_purged_record_follows_the_rule(database: Database, pages: RunPages) -> None:
    write(pages, [record(1, 5, title="secret", deleted_at=GONE)])
    assert write(pages, [record(1, 6, title="SCRUBBED", deleted_at=GONE)]) == counts(updated=1)
    assert tickets(database) == [("1", 6, GONE, "SCRUBBED")]
    assert found(database, "secret") == []
    assert is_consistent(database)


def test_a_restored_record_is_live_again(database: Database, store: Store, pages: RunPages) -> None:
    write(pages, [record(1, 5, deleted_at=GONE)])
    assert write(pages, [record(1, 6)]) == counts(updated=1)
    assert tickets(database) == [("1", 6, None, "Ticket 1")]
    assert store.records.total() == 1
    assert is_consistent(database)


def deletion(external_id: int) -> Deletion:
    return Deletion(external_id=str(external_id), record_type="ticket", deleted_at=GONE)


def test_a_deletion_known_by_id_alone(database: Database, store: Store, pages: RunPages) -> None:
    write(pages, [record(1, content_hash=b"h"), record(2)])
    assert write(pages, deletions=[deletion(1), deletion(1), deletion(3)]) == counts(deleted=1, unchanged=1)
    assert [row[2] for row in tickets(database)] == [GONE, None]
    assert write(pages, deletions=[deletion(1)]) == counts(unchanged=1)
    assert write(pages, [record(1, content_hash=b"h")]) == counts(unchanged=1)  # old news
    assert [row[2] for row in tickets(database)] == [GONE, None]
    assert write(pages, [record(1, 2, content_hash=b"h")]) == counts(updated=1)  # it is back
    assert [row[2] for row in tickets(database)] == [None, None]
    assert is_consistent(database)


def test_a_record_and_its_deletion_on_one_page(database: Database, store: Store, pages: RunPages) -> None:
    write(pages, [record(2)])
    assert write(pages, [record(1), record(2)], deletions=[deletion(1)]) == counts(deleted=1, unchanged=1)
    assert store.records.total() == 1
    assert is_consistent(database)


# --- what goes with the records ---------------------------------------------------------------------------------------


def link(target: str, relation: str = "incident_of") -> Link:
    return Link(relation=relation, target_system="zendesk", target_type="ticket", target_external_id=target)


def links(db: Database) -> list[tuple[object, ...]]:
    return table(db, "SELECT external_id, relation, target_external_id, origin FROM record_links ORDER BY 1, 2, 3")


def test_links_are_those_of_the_newest_version(database: Database, store: Store, pages: RunPages) -> None:
    write(pages, [record(1, 5, links=(link("7"), link("8"))), record(2)])
    one = store.records.find("acme", "zendesk", "1")
    store.records.add_link(one.id, ("jira", "OPS-1"), "escalated_to", "jane", NOW)
    source = [("1", "incident_of", "7", "source"), ("1", "incident_of", "8", "source")]
    manual = ("1", "escalated_to", "OPS-1", "manual")
    assert links(database) == [manual, *source]
    write(pages, [record(1, 4), record(2)])  # older, and the same again
    assert links(database) == [manual, *source]
    write(pages, [record(1, 6, links=(link("8"), link("9"), link("9")))])
    assert links(database) == [manual, ("1", "incident_of", "8", "source"), ("1", "incident_of", "9", "source")]
    write(pages, [record(1, 7)])
    assert links(database) == [manual]


def test_what_could_not_be_mapped_is_set_aside_once(database: Database, pages: RunPages) -> None:
    bad = Quarantined(raw='{"id": 9}', reason="no status", external_id="9")
    nameless = Quarantined(raw="[]", reason="not an object")
    for when in (NOW, LATER):
        assert write(pages, [record(1)], when, quarantined=[bad, nameless]).failed == 2
    rows = table(database, "SELECT external_id, reason, raw, first_seen_at, last_seen_at FROM quarantined_records")
    assert sorted(rows, key=str) == [
        ("9", "no status", '{"id": 9}', stamp(NOW), stamp(LATER)),
        (None, "not an object", "[]", stamp(NOW), stamp(LATER)),
    ]
    write(pages, [record(9)])  # now it can be mapped
    assert table(database, "SELECT external_id FROM quarantined_records") == [(None,)]


def test_counters_of_run_and_day(database: Database, store: Store, pages: RunPages) -> None:
    late = datetime(2026, 11, 24, 4, 59, tzinfo=UTC)  # still the 23rd in New York
    calls = CallStats(api_calls=3, retries=1, rate_limit_wait_ms=250)
    pages.write_page(pages.prepare(Page([record(1), record(2)], False)), calls, late)
    bad = [Quarantined(raw="x", reason="y")]
    page = Page([record(1, 2, title="new"), record(2), record(3, deleted_at=GONE)], True, quarantined=bad)
    pages.write_page(pages.prepare(page), CallStats(api_calls=4), late + timedelta(minutes=2))
    run = store.runs.list()[0]
    assert (run.records_processed, run.pages, run.api_calls, run.synced_at) == (6, 2, 4, late + timedelta(minutes=2))
    assert (run.records_created, run.records_updated, run.records_unchanged) == (2, 1, 1)
    assert (run.records_deleted, run.records_failed) == (1, 1)
    days = table(database, "SELECT day, created, updated, deleted FROM daily_counts ORDER BY day")
    assert days == [("2026-11-23", 2, 0, 0), ("2026-11-24", 0, 1, 1)]


def position(store: Store) -> tuple[object, ...]:
    one = store.fleet.integration("acme", "zendesk")
    return one.cursor, one.cursor_strategy, one.watermark, one.copy_from


def test_cursor_and_watermark_move_with_the_page(store: Store, acme: Integration) -> None:
    begin = NOW - timedelta(days=7)
    pages = begin_run(store, acme, copy_from=begin)
    assert position(store) == (None, None, None, None)
    write(pages, cursor="c1", watermark=NOW)
    assert position(store) == ("c1", "export", NOW, begin)
    write(pages, cursor=None, strategy="list", watermark=None)
    assert position(store) == ("c1", "export", NOW, begin)
    write(pages, cursor="c2", strategy="list", watermark=NOW - timedelta(days=1))
    assert position(store) == ("c2", "list", NOW, begin)


def test_only_a_resync_moves_the_watermark_back(store: Store, acme: Integration) -> None:
    write(begin_run(store, acme), cursor="c1", watermark=LATER)
    pages = begin_run(store, acme, reset=True)
    write(pages, watermark=NOW)
    assert position(store)[2] == NOW
    write(pages, watermark=NOW - timedelta(days=1))
    assert position(store)[2] == NOW


# --- all or nothing ---------------------------------------------------------------------------------------------------


def test_a_page_that_cannot_be_stored_leaves_nothing(database: Database, store: Store, acme: Integration) -> None:
    pages = begin_run(store, acme, copy_from=NOW)
    write(pages, [record(1, links=(link("2"),))], cursor="c1")
    before = table(database, "SELECT * FROM flow_records"), links(database), position(store), store.runs.list()
    with database.writing() as connection:
        (used,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {used}")
    big = Page([record(n, body="x " * 5000) for n in range(200)], False, "c2", watermark=NOW)
    with pytest.raises(StorageError, match="full"):
        pages.write_page(pages.prepare(big), CallStats(), NOW)
    after = table(database, "SELECT * FROM flow_records"), links(database), position(store), store.runs.list()
    assert after == before
    with database.writing() as connection:
        connection.execute("PRAGMA max_page_count = 1000000")
    assert pages.write_page(pages.prepare(big), CallStats(), NOW).created == 199
    assert position(store)[0] == "c2"
    assert is_consistent(database)


def test_no_record_of_a_removed_organisation_comes_back(database: Database, store: Store, pages: RunPages) -> None:
    write(pages, [record(1)])
    store.fleet.remove_organization("acme")
    for records in ([record(2)], []):
        with pytest.raises(StorageError, match="removed while"):
            write(pages, records, cursor="c2")
    assert tickets(database) == []


@pytest.mark.parametrize("bad", ["a\0b", "a\ud800b", "\udfff", "🙂\0"])
def test_what_no_database_holds_does_not_cost_the_page(database: Database, pages: RunPages, bad: str) -> None:
    fields = ("url", "title", "body", "status", "priority", "requester", "assignee", "group_name", "customer")
    raw = f'"{bad}"'.encode(errors="backslashreplace").decode()
    poor = record(1, **dict.fromkeys(fields, bad), tags=(bad,), raw=raw, links=(link(bad, bad),))
    quarantined = [Quarantined(raw=bad, reason=bad, external_id=bad)]
    gone = Deletion(external_id=bad, record_type=bad, deleted_at=bad)
    write(pages, [poor, record(2)], cursor=bad, quarantined=quarantined, deletions=[gone])
    (row,) = table(database, f"SELECT {', '.join(fields)}, tags, raw FROM flow_records WHERE external_id = '1'")
    assert "\ufffd" in row[0]
    assert len(set(row[:-2])) == 1
    assert json.loads(row[-1]) == bad  # the source's text, escaped
    assert "\ufffd" in table(database, "SELECT reason FROM quarantined_records")[0][0]
    assert len(tickets(database)) == 2
    assert is_consistent(database)


def test_a_version_beyond_64_bits_does_not_cost_the_page(database: Database, pages: RunPages) -> None:
    write(pages, [record(1, 2**70, updated_at=GONE), record(2, -(2**70), updated_at=GONE), record(3)])
    assert tickets(database, "source_version") == [(2**63 - 1,), (-(2**63) + 1,), (1,)]


# --- any order gives the same table -----------------------------------------------------------------------------------

VERSIONS = st.tuples(st.integers(1, 5), st.integers(1, 4))


def version(key: int, number: int) -> Record:
    """What record `key` is in its version `number`: a function of both, as at the source."""
    deleted = GONE if (key + number) % 3 == 0 else None
    moved_alone = number == 3
    content = number - moved_alone
    return record(
        key,
        number,
        content_hash=b"%d %d" % (content, (key + content) % 3) if deleted is None else b"gone %d" % number,
        title=f"word{content}",
        body=None if content == 1 else f"body{key} {content}",
        tags=tuple(f"t{n}" for n in range(content)),
        updated_at=stamp(NOW + timedelta(minutes=content)),
        deleted_at=deleted,
        links=tuple(link(str(n)) for n in range(content % 3)),
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(VERSIONS, min_size=1, max_size=8), min_size=1, max_size=8), st.randoms())
def test_any_order_repetition_and_overlap_gives_the_same_table(
    database: Database, store: Store, deliveries: list[list[tuple[int, int]]], random: object
) -> None:
    """Pages in the order of the source, and the same deliveries shuffled into other pages with repetitions."""
    names = [f"org{number}" for number in (len(store.fleet.organizations()), len(store.fleet.organizations()) + 1)]
    one, other = (begin_run(store, add_organization(store, name)) for name in names)
    flat = [which for page in deliveries for which in page]
    for key, number in sorted(flat, key=lambda which: which[1]):
        write(one, [version(key, number)])
    total = 0
    for page in deliveries:
        written = write(other, [version(*which) for which in page])
        assert written.read == len({key for key, _ in page})
        total += written.created
    random.shuffle(flat)  # type: ignore[attr-defined]
    write(other, [version(*which) for which in flat])
    same = []
    for name in names:
        columns = "external_id, title, body, tags, updated_at, source_version, deleted_at, content_hash, raw"
        rows = table(database, f"SELECT {columns} FROM flow_records WHERE organization_id = ? ORDER BY 1", name)
        ties = table(
            database,
            "SELECT external_id, target_external_id FROM record_links WHERE organization_id = ? ORDER BY 1, 2",
            name,
        )
        hits = table(
            database,
            "SELECT r.external_id FROM flow_records_fts f JOIN flow_records r ON r.id = f.rowid"
            " WHERE f.title MATCH 'word2 OR word4' AND r.organization_id = ? ORDER BY 1",
            name,
        )
        same.append((rows, ties, hits))
    assert same[0] == same[1]
    newest = {key: max(number for other_key, number in flat if other_key == key) for key, _ in flat}
    assert [(row[0], row[5]) for row in same[0][0]] == [(str(key), newest[key]) for key in sorted(newest)]
    assert is_consistent(database)
