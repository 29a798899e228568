"""The files of an open database are deleted, moved, replaced or damaged by somebody else."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.stores import add_organization, begin_run, is_consistent, record, table, write
from zendeskd.db import Database
from zendeskd.errors import Damaged, StorageError
from zendeskd.store import Store

PAGE = 16_384


def beside(path: Path, end: str) -> Path:
    return path.with_name(path.name + end)


class Watched:
    """A database with a table of numbers, and what it told of a loss."""

    def __init__(self, path: Path) -> None:
        self.path, self.told = path, []
        self.db = Database(f"sqlite:///{path}", on_lost=self.told.append)
        self.db.open()
        with self.db.writing() as connection:
            connection.execute("CREATE TABLE numbers (n INTEGER)")
        self.add(1)
        self.numbers()

    told: list[StorageError]

    def add(self, number: int) -> None:
        with self.db.writing() as connection:
            connection.execute("INSERT INTO numbers VALUES (?)", (number,))

    def numbers(self) -> list[int]:
        return [row[0] for row in table(self.db, "SELECT n FROM numbers ORDER BY n")]

    def in_file(self) -> list[int]:
        """What another program finds."""
        with contextlib.closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as other:
            return [row[0] for row in other.execute("SELECT n FROM numbers ORDER BY n")]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    one = Watched(tmp_path / "z.db")
    yield one
    one.db.close()


# --- the database itself ----------------------------------------------------------------------------------------------


def test_nothing_is_written_to_a_file_that_was_deleted(watched: Watched) -> None:
    watched.path.unlink()
    for _ in range(3):
        with pytest.raises(StorageError, match="was deleted or moved away") as refused:
            watched.add(2)
    assert "zendeskd restore" in refused.value.hint
    assert watched.db.trouble == "file is gone"
    assert len(watched.told) == 1  # not again and again
    assert watched.numbers() == [1]  # what is open can be read, and so be saved
    assert not watched.path.exists()


def test_reading_makes_no_file_in_the_place_of_a_deleted_one(watched: Watched) -> None:
    watched.path.unlink()
    errors: list[StorageError] = []

    def read() -> None:
        try:
            watched.numbers()
        except StorageError as error:
            errors.append(error)

    with watched.db.reading():  # the thread needs another connection
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
    assert "was deleted or moved away" in errors[0].detail
    assert not watched.path.exists()


def test_a_file_that_is_moved_back_goes_on(watched: Watched) -> None:
    elsewhere = watched.path.with_name("elsewhere.db")
    watched.path.rename(elsewhere)
    with pytest.raises(StorageError):
        watched.add(2)
    elsewhere.rename(watched.path)
    watched.db.look()
    assert watched.db.trouble is None
    watched.add(3)
    assert watched.numbers() == [1, 3]


def test_a_loss_is_noticed_though_nobody_writes(watched: Watched) -> None:
    watched.db.look()
    assert watched.told == []
    watched.path.unlink()
    watched.db.look()
    watched.db.look()
    assert [error.code for error in watched.told] == ["storage_error"]
    assert watched.db.trouble == "file is gone"


def test_another_file_in_its_place_is_not_touched(watched: Watched) -> None:
    other = watched.path.with_name("other.db")
    with contextlib.closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE theirs (n INTEGER)")
    before = other.read_bytes()
    other.replace(watched.path)
    with pytest.raises(StorageError, match="Another file took the place"):
        watched.add(2)
    assert watched.db.trouble == "file was replaced"
    assert watched.numbers() == [1]
    # the log holds nothing any more that could be taken for the new file's
    assert beside(watched.path, "-wal").stat().st_size == 0
    watched.db.close()
    assert watched.path.read_bytes() == before


def test_a_folder_that_is_gone(watched: Watched) -> None:
    shutil.rmtree(watched.path.parent)
    with pytest.raises(StorageError, match="was deleted or moved away"):
        watched.add(2)
    assert watched.numbers() == [1]
    assert not watched.path.parent.exists()


def test_a_link_to_the_database_may_be_moved_with_it(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "z.db").symlink_to(tmp_path / "disk" / "real.db")
    one = Watched(tmp_path / "z.db")
    one.add(2)
    assert beside(tmp_path / "disk" / "real.db", "-wal").exists()
    assert one.db.sizes()[1] > 0
    beside(tmp_path / "disk" / "real.db", "-wal").unlink()
    one.add(3)
    assert one.in_file() == [1, 2, 3]
    one.path.unlink()
    with pytest.raises(StorageError):
        one.add(4)
    one.db.close()


# --- its log ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", [("-wal",), ("-shm",), ("-wal", "-shm")], ids=" ".join)
def test_a_log_that_is_deleted_is_begun_anew_and_nothing_is_lost(watched: Watched, ends: tuple[str, ...]) -> None:
    for end in ends:
        beside(watched.path, end).unlink()
    watched.add(2)
    assert (watched.db.trouble, watched.told) == (None, [])
    assert watched.numbers() == [1, 2]
    assert watched.in_file() == [1, 2]
    watched.add(3)
    watched.db.close()
    assert watched.in_file() == [1, 2, 3]


def test_a_log_is_not_begun_anew_under_a_reader(watched: Watched) -> None:
    with watched.db.snapshot() as connection:
        assert connection.execute("SELECT n FROM numbers").fetchall() == [(1,)]
        beside(watched.path, "-wal").unlink()
        with pytest.raises(StorageError, match=r"log beside the database .* was deleted"):
            watched.add(2)
        assert watched.db.trouble == "log is gone"
        assert connection.execute("SELECT n FROM numbers").fetchall() == [(1,)]
    watched.db.look()
    assert watched.db.trouble is None
    watched.add(3)
    assert watched.in_file() == [1, 3]


def test_a_new_reader_opens_no_other_log_while_the_log_is_gone(watched: Watched) -> None:
    """What lies in the log that is open is not in the file yet; in a new, empty one it would be missing."""
    watched.db.close()
    watched.db.open()
    watched.add(2)
    with watched.db.reading():  # so that the next one needs a connection of its own
        beside(watched.path, "-wal").unlink()
        beside(watched.path, "-shm").unlink()
        refused: list[StorageError] = []

        def read() -> None:
            try:
                refused.append(StorageError(f"it read {watched.numbers()}"))
            except StorageError as error:
                refused.append(error)

        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
    assert "write-ahead log beside the database" in refused[0].detail
    assert not beside(watched.path, "-wal").exists()
    watched.db.look()
    assert watched.numbers() == watched.in_file() == [1, 2]


def test_a_log_that_is_deleted_again_and_again_beside_readers(watched: Watched) -> None:
    over = threading.Event()
    bugs: list[BaseException] = []

    def read() -> None:
        last: list[int] = []
        while not over.is_set():
            try:
                now = watched.numbers()
                assert now[: len(last)] == last
                last = now
            except StorageError:  # it needed a new connection while there was no log
                pass
            except BaseException as bug:
                bugs.append(bug)
                return

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    written = 1
    for number in range(2, 60):
        if number % 10 == 0:
            for end in ("-wal", "-shm"):
                beside(watched.path, end).unlink(missing_ok=True)
        with contextlib.suppress(StorageError):  # a reader was in the way
            watched.add(number)
            written += 1
    over.set()
    for thread in threads:
        thread.join()
    assert bugs == []
    watched.add(1000)
    assert len(watched.numbers()) == written + 1
    assert watched.numbers() == watched.in_file()


# --- damage -----------------------------------------------------------------------------------------------------------


def test_nothing_is_written_to_a_database_that_was_found_damaged(tmp_path: Path) -> None:
    path = tmp_path / "z.db"
    db = Database(f"sqlite:///{path}")
    db.open()
    store = Store(db)
    for org in ("acme", "globex"):
        write(begin_run(store, add_organization(store, org)), [record(n, body="text " * 500) for n in range(200)])
    db.close()
    data = bytearray(path.read_bytes())
    with contextlib.closing(sqlite3.connect(path)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'flow_records'").fetchone()
    data[(root - 1) * PAGE : root * PAGE] = os.urandom(PAGE)
    path.write_bytes(data)
    db.open()
    store = Store(db)
    globex = store.fleet.integration("globex", "zendesk")
    with pytest.raises(Damaged, match="is damaged"):
        table(db)
    assert db.trouble == "corrupt"
    with pytest.raises(Damaged, match="is damaged") as refused:
        store.fleet.change(globex.id, sync_interval="@hourly")
    assert "Nothing more is written" in refused.value.hint
    assert db.trouble == "corrupt"
    assert store.fleet.integration("globex", "zendesk") == globex  # what is sound can be read
    db.close()
    assert path.read_bytes() == data


class Damage:
    """Of one page, until it is mended: as a disk shows it that fails to read for a while."""

    def __init__(self, watched: Watched, page: int, size: int) -> None:
        self.watched, self.at, self.size = watched, (page - 1) * PAGE, size
        self.whole = b""

    def do(self) -> None:
        self._change()
        self.whole = self._put(b"\xff" * self.size)
        with pytest.raises(Damaged):
            self.watched.numbers()
        assert self.watched.db.trouble == "corrupt"

    def mend(self) -> None:
        self._put(self.whole)
        self._change()

    def _change(self) -> None:
        """Something else, so that nobody believes what he has read before."""
        with contextlib.closing(sqlite3.connect(self.watched.path)) as other, other:
            other.execute("INSERT INTO others VALUES (1)")

    def _put(self, data: bytes) -> bytes:
        with self.watched.path.open("r+b") as file:
            file.seek(self.at)
            before = file.read(self.size)
            file.seek(self.at)
            file.write(data)
        return before


def root_page(watched: Watched) -> int:
    """The database is at rest in its file then."""
    with watched.db.writing() as connection:
        connection.execute("CREATE TABLE others (n INTEGER)")
        (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'numbers'").fetchone()
    watched.db.close()
    watched.db.open()
    return int(page)


def test_each_false_alarm_of_damage_is_cleared(watched: Watched) -> None:
    damage = Damage(watched, root_page(watched), PAGE)
    for _ in range(3):
        damage.do()
        damage.mend()
        with pytest.raises(Damaged):
            watched.add(2)
        watched.db.look_through(threading.Event())
        assert (watched.db.trouble, watched.numbers()) == (None, [1])


def test_a_damaged_database_is_looked_through_once_also_where_that_fails(watched: Watched) -> None:
    root_page(watched)
    damage = Damage(watched, 1, 16)
    damage.do()
    watched.db.look_through(threading.Event())
    damage.mend()
    watched.db.look_through(threading.Event())  # which would find nothing wrong now
    assert watched.db.trouble == "corrupt"
    with pytest.raises(Damaged):
        watched.add(2)


def test_a_look_through_ends_with_the_daemon(watched: Watched) -> None:
    with watched.db.writing() as connection:
        connection.execute(
            "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 200000)"
            " INSERT INTO numbers SELECT i FROM n"
        )
    damage = Damage(watched, root_page(watched), PAGE)
    damage.do()
    damage.mend()
    ending = threading.Event()
    ending.set()
    watched.db.look_through(ending)
    assert watched.db.trouble == "corrupt"  # it was not read to its end


def test_a_search_index_that_is_not_true_stops_nobody(database: Database, store: Store) -> None:
    acme = add_organization(store, "acme")
    pages = begin_run(store, acme)
    write(pages, [record(n, body="words") for n in range(20)])
    with database.writing() as connection:
        connection.execute("UPDATE flow_records SET title = 'another' WHERE external_id = '3'")
    with pytest.raises(StorageError), database.writing() as connection:
        connection.execute("INSERT INTO flow_records_fts (flow_records_fts, rank) VALUES ('integrity-check', 1)")
    write(pages, [record(100)])
    assert database.trouble is None
    with database.writing() as connection:
        connection.execute("INSERT INTO flow_records_fts (flow_records_fts) VALUES ('rebuild')")
    assert is_consistent(database)
