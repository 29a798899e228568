"""The log moves into the file while others write; it stays bounded, and nothing depends on the thread that moves it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import wait_for
from zendeskd import checkpoints
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


def count(db: Database) -> int:
    with db.reading() as connection:
        return int(connection.execute("SELECT count(*) FROM notes").fetchone()[0])


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


def test_a_commit_waits_for_the_move_before_it(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """So nobody writes faster than the disk takes it."""
    begun, may_end = threading.Event(), threading.Event()
    move = db._pool.move_log

    def slow() -> None:
        begun.set()
        assert may_end.wait(10)
        move()

    monkeypatch.setattr(db._pool, "move_log", slow)
    write(db, ROWS)
    assert begun.wait(5)
    writer = threading.Thread(target=write, args=(db, 1))
    writer.start()
    wait_for(lambda: db._turn.locked() and db._checkpoints._changed._waiters, "the writer to wait")  # type: ignore[attr-defined]
    assert count(db) == ROWS
    may_end.set()
    writer.join(10)
    assert count(db) == ROWS + 1


def test_the_log_stays_as_short_as_sqlite_keeps_it(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """However slowly the disk takes what is moved."""
    move = db._pool.move_log

    def slow() -> None:
        threading.Event().wait(0.01)
        move()

    monkeypatch.setattr(db._pool, "move_log", slow)
    for _ in range(60):
        write(db, ROWS)  # a megabyte
    assert moved(db) >= 30 * ROWS
    assert db.sizes()[1] < 1500 * 16_384


def test_without_a_thread_the_commits_move_it(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as no_threads:
        no_threads.setattr(threading.Thread, "start", no_more)
        write(db, 25 * ROWS)
        assert moved(db) == 25 * ROWS
        write(db, ROWS)
    write(db, ROWS)
    wait_for(movers, "a thread, as there is one to be had again")


def test_its_thread_ends_with_the_database_and_begins_again_with_it(db: Database) -> None:
    for _ in range(2):
        write(db, ROWS)
        wait_for(movers, "the thread")
        db.close()
        assert movers() == []
        db._checkpoints.wrote(ROWS)  # by somebody who had the turn all the time
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


def test_a_disk_that_does_not_take_it_is_told_until_it_does(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
        raise error

    with monkeypatch.context() as refusing:
        refusing.setattr(db._pool, "move_log", refused)
        write(db, ROWS)
        wait_for(lambda: db.trouble == "I/O error", "the trouble")
        write(db, 1)  # the log takes it
        assert db.trouble == "I/O error"
    write(db, ROWS)
    wait_for(lambda: moved(db) == 2 * ROWS + 1, "the file to have it")
    wait_for(lambda: not db._checkpoints.failed, "the end of the move")
    write(db, 1)
    assert db.trouble is None


def test_the_last_room_on_a_disk_is_left_to_the_log(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zendeskd.db._ROOM_FOR_A_PAGE", 2**62)
    write(db, ROWS)
    wait_for(lambda: db._checkpoints._rows == 0 and db._checkpoints.rest(1), "the turn of the thread")
    assert moved(db) == -1


def test_a_bug_in_a_move_ends_nothing(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug() -> None:
        raise MemoryError

    with monkeypatch.context() as broken:
        broken.setattr(db._pool, "move_log", bug)
        write(db, ROWS)
        wait_for(lambda: db._checkpoints.failed, "the bug")
    write(db, ROWS)
    wait_for(lambda: moved(db) == 2 * ROWS, "the file to have it")
