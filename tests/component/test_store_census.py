"""A comparison's writing side: what is missing or stale is stored, what the source no longer shows is found."""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import timedelta

import pytest

from tests.fixtures.stores import NOW, add_organization, begin_run, counts, is_consistent, record, table, write
from zendeskd.db import Database
from zendeskd.errors import StorageError
from zendeskd.models import Integration, Page, Quarantined, Record, stamp
from zendeskd.store import Store, census
from zendeskd.store.pages import RunPages


def page(*records: Record, **more: object) -> Page:
    return Page(list(records), False, **more)


def live(db: Database) -> list[str]:
    return [row[0] for row in table(db, "SELECT external_id FROM flow_records WHERE deleted_at IS NULL ORDER BY 1")]


def test_missing_and_stale_are_stored_and_the_run_is_left_alone(
    database: Database, store: Store, acme: Integration, pages: RunPages
) -> None:
    write(pages, [record(1), record(2)], cursor="c1")
    run = store.runs.list()
    with store.pages.census(acme, 1) as asked:
        written = asked.write_page(page(record(1), record(2, 2, title="stale here"), record(3)), NOW)
        assert written == counts(unchanged=1, updated=1, created=1)
        assert asked.unseen(10) == []
    assert store.runs.list() == run
    assert store.fleet.integration("acme", "zendesk").cursor == "c1"
    assert table(database, "SELECT created, updated FROM daily_counts") == [(3, 1)]
    assert is_consistent(database)


def test_what_was_not_seen_is_found_in_order_once_and_marked(
    database: Database, store: Store, acme: Integration, pages: RunPages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(census, "_STEP", 3)
    write(pages, [record(n) for n in range(20)])
    write(pages, [record(4, 2, deleted_at=stamp(NOW))])
    other = begin_run(store, add_organization(store, "globex"))
    write(other, [record(99)])
    later = NOW + timedelta(hours=1)
    with store.pages.census(acme, 1) as asked:
        asked.write_page(page(*(record(n) for n in range(0, 20, 3))), NOW)
        asked.write_page(page(quarantined=[Quarantined(raw="{", reason="garbled", external_id="1")]), NOW)
        expected = sorted(str(n) for n in range(20) if n % 3 and n not in (1, 4))
        unseen = []
        while some := asked.unseen(2):
            assert len(some) <= 2
            unseen += some
        assert unseen == expected
        assert asked.unseen(2) == []
        assert asked.mark_gone(unseen, later) == len(expected)
        assert asked.mark_gone([*unseen, "no such"], later) == 0
    assert live(database) == sorted([str(n) for n in range(0, 20, 3)] + ["1", "99"])
    assert table(database, "SELECT DISTINCT deleted_at FROM flow_records WHERE synced_at = ?", stamp(later)) == [
        (stamp(later),)
    ]
    assert is_consistent(database)


def test_what_the_source_shows_is_live_again_though_nothing_else_changed(
    database: Database, store: Store, acme: Integration, pages: RunPages
) -> None:
    write(pages, [record(1), record(2)])
    with store.pages.census(acme, 1) as asked:
        asked.write_page(page(record(2)), NOW)
        assert asked.mark_gone(asked.unseen(10), NOW) == 1
        assert live(database) == ["2"]
        assert asked.write_page(page(record(1), record(2)), NOW) == counts(updated=1, unchanged=1)
    assert live(database) == ["1", "2"]
    assert is_consistent(database)


def test_one_that_a_run_wrote_since_it_was_asked_about_is_not_marked(
    database: Database, store: Store, acme: Integration, pages: RunPages
) -> None:
    write(pages, [record(n) for n in range(4)])
    with store.pages.census(acme, 1) as asked:
        assert asked.unseen(10) == ["0", "1", "2", "3"]
        write(pages, [record(1, 2), record(2, 1)])
        assert asked.mark_gone(["0", "1", "2"], NOW) == 2
        assert asked.mark_gone(["1"], NOW) == 0
    assert live(database) == ["1", "3"]
    assert is_consistent(database)


def test_an_older_tombstone_changes_nothing(
    database: Database, store: Store, acme: Integration, pages: RunPages
) -> None:
    write(pages, [record(1, 5)])
    with store.pages.census(acme, 1) as asked:
        assert asked.write_page(page(record(1, 4, deleted_at=stamp(NOW))), NOW) == counts(unchanged=1)
    assert live(database) == ["1"]


def test_a_comparison_of_a_removed_organisation_ends(store: Store, acme: Integration, pages: RunPages) -> None:
    with store.pages.census(acme, 1) as asked:
        store.fleet.remove_organization("acme")
        with pytest.raises(StorageError, match="removed while"):
            asked.write_page(page(record(1)), NOW)
        assert asked.unseen(10) == []
        assert asked.mark_gone(["1"], NOW) == 0


def test_no_room_for_what_was_seen(store: Store, acme: Integration) -> None:
    with store.pages.census(acme, 1) as asked:
        asked._seen.execute("PRAGMA max_page_count = 3")
        with pytest.raises(StorageError, match="cannot note what it saw") as failed:
            asked.write_page(page(*(record("9" * 50 + str(n)) for n in range(1000))), NOW)
    assert "temporary" in failed.value.hint
    asked.close()


def test_notes_that_cannot_be_read_are_told(store: Store, acme: Integration, pages: RunPages) -> None:
    write(pages, [record(1)])

    class Broken:
        def execute(self, *_: object) -> None:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
            raise error

        def close(self) -> None: ...

    with store.pages.census(acme, 1) as asked, contextlib.closing(asked._seen):
        asked._seen = Broken()  # type: ignore[assignment]
        for ask in (lambda: asked.unseen(10), lambda: asked.mark_gone(["1"], NOW)):
            with pytest.raises(StorageError, match="cannot note what it saw: disk I/O error"):
                ask()
