"""Merging the pieces of the search index: fewer of them, the same hits, and nobody waits for it."""

from __future__ import annotations

import threading

import pytest

from tests.fixtures.stores import PIECES, is_consistent, record, table, write
from zendeskd.db import Database
from zendeskd.errors import Damaged, StorageError
from zendeskd.store import Store, merging, search
from zendeskd.store.pages import RunPages

WORDS = " ".join(f"word{n}" for n in range(300))


def pieces(db: Database) -> int:
    return int(table(db, PIECES)[0][0])


def hits(db: Database, typed: str) -> list[int]:
    words = search.expression(typed)
    assert words is not None
    with db.reading() as connection:
        return search.hits(connection, words, 1000)


@pytest.fixture
def many(pages: RunPages) -> RunPages:
    """20 pages, each a piece or more; some of their records were changed in a later one."""
    for number in range(20):
        changed = [record(n, version=number + 1, body=f"again{number} {WORDS}") for n in range(max(0, number - 2))]
        write(pages, [*changed, record(100 + number, body=f"new{number} {WORDS}")])
    return pages


@pytest.fixture
def ending() -> threading.Event:
    return threading.Event()


@pytest.mark.usefixtures("many")
def test_pieces_become_few_and_a_search_finds_the_same(
    database: Database, store: Store, ending: threading.Event
) -> None:
    asked = ["word7", "again19", "again3", "new5", "wor*", "xyzzyplugh"]
    before = [hits(database, typed) for typed in asked]
    assert [len(found) for found in before] == [37, 17, 0, 1, 37, 0]
    assert pieces(database) >= 20, "a commit merges nothing"
    store.merging.go_on(ending)
    assert pieces(database) < 4
    assert [hits(database, typed) for typed in asked] == before
    assert is_consistent(database)


def test_what_a_changed_record_keeps_is_one_change_in_one_piece(database: Database, pages: RunPages) -> None:
    """Its removal and its return in two would be parted by a merge that stops between them."""
    write(pages, [record(n, body=f"old{n} {WORDS}") for n in range(20)])
    assert pieces(database) == 1
    write(pages, [record(n, version=2, body=f"new{n} {WORDS}") for n in reversed(range(20))])
    assert pieces(database) == 2
    assert [len(hits(database, typed)) for typed in ("old7", "new7", "word7")] == [0, 1, 20]
    assert is_consistent(database)


def test_a_commit_merges_where_nothing_else_did(database: Database, pages: RunPages) -> None:
    for number in range(130):
        write(pages, [record(number)])
    assert pieces(database) < 10
    assert is_consistent(database)


def test_nothing_is_written_where_nothing_was(
    database: Database, store: Store, many: RunPages, ending: threading.Event
) -> None:
    store.merging.go_on(ending)
    merged = database.changes
    store.merging.go_on(ending)
    assert database.changes == merged
    write(many, [record(1000)])
    store.merging.go_on(ending)
    assert database.changes > merged + 1


@pytest.mark.usefixtures("many")
def test_it_ends_after_a_step_and_goes_on_in_the_next_call(
    database: Database, store: Store, ending: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "_STEP_PAGES", 1)
    ending.set()
    store.merging.go_on(ending)
    assert pieces(database) > 4
    ending.clear()
    monkeypatch.setattr(merging, "_AT_MOST_S", 0.0)
    store.merging.go_on(ending)
    assert pieces(database) > 4
    monkeypatch.setattr(merging, "_AT_MOST_S", 60.0)
    store.merging.go_on(ending)
    assert pieces(database) < 4
    assert is_consistent(database)


@pytest.mark.usefixtures("many")
def test_it_waits_while_somebody_reads_for_long(
    database: Database, store: Store, ending: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "_LONGEST_LOG", database.sizes()[1] - 1)
    store.merging.go_on(ending)
    assert pieces(database) >= 20
    monkeypatch.undo()
    store.merging.go_on(ending)
    assert pieces(database) < 4


def test_a_page_that_is_written_between_two_steps(
    database: Database, store: Store, many: RunPages, ending: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    merge, number = search.merge, iter(range(1000, 1020))

    def step(*given: object) -> bool:
        was_more = merge(*given)  # type: ignore[arg-type]
        between.append(threading.Thread(target=lambda: write(many, [record(next(number), body=WORDS)])))
        between[-1].start()
        return was_more

    between: list[threading.Thread] = []
    monkeypatch.setattr(merging, "_STEP_PAGES", 1)
    monkeypatch.setattr(search, "merge", step)
    store.merging.go_on(ending)
    for thread in between:
        thread.join()
    assert len(between) > 2
    assert len(hits(database, "word1")) == 37 + len(between)
    assert is_consistent(database)


@pytest.mark.usefixtures("many")
def test_a_disk_without_room_costs_a_step(database: Database, store: Store, ending: threading.Event) -> None:
    before = hits(database, "word7")
    with database.writing() as connection:
        (count,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {count}")
    with pytest.raises(StorageError, match="is full"):
        store.merging.go_on(ending)
    assert hits(database, "word7") == before
    assert is_consistent(database)
    with database.writing() as connection:
        connection.execute("PRAGMA max_page_count = 1000000")
    store.merging.go_on(ending)
    assert pieces(database) < 4
    assert hits(database, "word7") == before
    assert is_consistent(database)


@pytest.mark.usefixtures("many")
def test_a_disk_in_trouble_is_left_alone(
    database: Database, store: Store, ending: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that has nothing to do writes nothing, and would clear what health says."""
    database.trouble = "I/O error"
    store.merging.go_on(ending)
    assert (database.trouble, pieces(database) >= 20) == ("I/O error", True)
    database.trouble = None
    monkeypatch.setattr(database, "has_room", lambda: False)
    store.merging.go_on(ending)
    assert pieces(database) >= 20
    monkeypatch.undo()
    store.merging.go_on(ending)
    assert pieces(database) < 4


@pytest.mark.usefixtures("many")
def test_a_damaged_index_is_told_once(database: Database, store: Store, ending: threading.Event) -> None:
    with database.writing() as connection:
        connection.execute("DELETE FROM flow_records_fts_data WHERE id > 1000 AND id % 3 = 0")
        connection.execute("UPDATE flow_records_fts_data SET block = x'00' WHERE id > 1000")
    with pytest.raises(Damaged):
        store.merging.go_on(ending)
    database.trouble = None
    store.merging.go_on(ending)
    assert database.trouble is None
