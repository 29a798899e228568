"""The log moves into the file while others write; it stays bounded, and nothing depends on the thread that moves it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import wait_for
from zendeskd import checkpoints
from zendeskd import db as db_module
from zendeskd.db import Database

ROWS = 50
TEXT = "x" * 20_000  # more than a page of the database


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "ROWS", ROWS)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    db = Database(f"sqlite:///{tmp_path}/z.db")
    db.open()
    with db.writing() as connection:
        connection.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text)")
    yield db
    db.close()


def write(db: Database, rows: int) -> None:
    with db.writing() as connection:
        connection.executemany("INSERT INTO notes (text) VALUES (?)", [(TEXT,)] * rows)


def moved(db: Database) -> int:
    """How many rows somebody finds who sees the file alone."""
    uri = f"file:{db.path}?mode=ro&immutable=1"
    connection = sqlite3.connect(uri, uri=True)
    try:
        return int(connection.execute("SELECT count(*) FROM notes").fetchone()[0])
    except sqlite3.DatabaseError:  # it is being written at this moment
        return -1
    finally:
        connection.close()


def movers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "checkpoints"]


def test_what_was_written_moves_without_another_commit(db: Database) -> None:
    write(db, ROWS - 1)
    assert movers() == []
    write(db, 1)
    wait_for(lambda: moved(db) == ROWS, "the file to have it")
    write(db, 2 * ROWS)
    wait_for(lambda: moved(db) == 3 * ROWS, "the file to have it")
    assert len(movers()) == 1


def test_the_log_stays_bounded_while_somebody_writes_on_and_on(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    db.close()
    monkeypatch.setattr(db_module, "_LOG_PAGES", 100)
    db.open()
    for _ in range(60):
        write(db, ROWS)  # at least 100 pages
    assert db.sizes()[1] < 1000 * 16_384


def test_without_a_thread_the_commits_move_it(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    db.close()
    monkeypatch.setattr(db_module, "_LOG_PAGES", 100)
    db.open()
    with monkeypatch.context() as no_threads:
        no_threads.setattr(threading.Thread, "start", no_more)
        write(db, 3 * ROWS)
        assert moved(db) == 3 * ROWS
        write(db, ROWS)
    write(db, ROWS)
    wait_for(movers, "a thread, as there is one to be had again")


def test_its_thread_ends_with_the_database_and_begins_again_with_it(db: Database) -> None:
    for _ in range(2):
        write(db, ROWS)
        wait_for(movers, "the thread")
        db.close()
        assert movers() == []
        db.open()


def test_a_reader_that_holds_an_old_moment_delays_nobody(db: Database) -> None:
    other = sqlite3.connect(db.path, isolation_level=None)
    other.execute("BEGIN")
    assert other.execute("SELECT count(*) FROM notes").fetchone() == (0,)
    write(db, 2 * ROWS)
    write(db, 2 * ROWS)
    assert other.execute("SELECT count(*) FROM notes").fetchone() == (0,)
    other.close()
    write(db, ROWS)
    wait_for(lambda: moved(db) == 5 * ROWS, "the file to have it")


def test_nothing_is_moved_into_a_file_that_is_damaged(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db, "_is_damaged", True)
    db._checkpoints.wrote(ROWS)
    wait_for(movers, "the thread")
    db._checkpoints.stop(5)
    assert moved(db) == -1  # not even the table is there


def test_a_disk_that_refuses_leaves_it_in_the_log(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = threading.Event()

    def refused() -> int:
        tried.set()
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as refusing:
        refusing.setattr(db._pool, "move_log", refused)
        write(db, ROWS)
        assert tried.wait(5)
    write(db, ROWS)
    wait_for(lambda: moved(db) == 2 * ROWS, "the file to have it")
