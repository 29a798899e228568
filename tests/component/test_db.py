"""The database file: what opening it does and refuses, one writer at a time, and what is said when the disk says no."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.stores import table
from zendeskd import db as db_module
from zendeskd.db import Database
from zendeskd.errors import ConfigError, StorageError
from zendeskd.store.tables import TABLES
from zendeskd.troubles import trouble_of


@contextlib.contextmanager
def opened(path: Path, **options: Path) -> Iterator[Database]:
    db = Database(f"sqlite:///{path}", **options)
    db.open()
    try:
        yield db
    finally:
        db.close()


def open_files(path: Path) -> int:
    """Descriptors of this process on the database itself."""
    links = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            links.append(os.readlink(f"/proc/self/fd/{name}"))
    return links.count(str(path))


# --- the URL ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///relative.db",
        "sqlite://host/x.db",
        "sqlite:////",
        "sqlite:////x.db?mode=ro",
        "sqlite:////x.db#y",
        "sqlite://",
        "/var/lib/x.db",
        "postgresql://host/db",
        "",
    ],
)
def test_a_url_that_names_no_file_is_refused_with_the_right_form(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Database(url)
    assert "sqlite:////var/lib" in refused.value.hint


def test_a_path_may_hold_escaped_characters() -> None:
    assert Database("sqlite:////tmp/with%20space.db").path == Path("/tmp/with space.db")


# --- opening ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def closed_umask() -> Iterator[None]:
    """As the systemd unit sets it."""
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.usefixtures("closed_umask")
def test_a_new_database_has_its_pragmas_and_may_be_read_by_its_group(tmp_path: Path) -> None:
    with opened(tmp_path / "new.db") as db:
        with db.writing() as connection:
            pragmas = {
                name: connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_size", "journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            }
        assert pragmas == {
            "page_size": 16384,
            "journal_mode": "wal",
            "synchronous": 1,
            "foreign_keys": 1,
            "busy_timeout": 10000,
        }
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
        assert modes == {"new.db": 0o640, "new.db-wal": 0o640, "new.db-shm": 0o640}
        assert db.sizes()[0] > 0
    assert Database(f"sqlite:///{tmp_path}/absent.db").sizes() == (0, 0)


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "z.db"
    with opened(path):
        pass
    before = path.read_bytes()
    with opened(path) as db:
        assert table(db, "SELECT count(*) FROM schema_migration") == [(len(list(db._migrations.glob("0*.py"))),)]
    assert path.read_bytes() == before
    assert [child.name for child in tmp_path.iterdir()] == ["z.db"]


def test_the_tables_are_what_queries_name(database: Database) -> None:
    """A column that a migration adds must be in the models too, and the other way round."""
    for model in TABLES:
        columns = {
            (name, bool(not_null))
            for _, name, _, not_null, *_ in table(database, f"PRAGMA table_info({model._meta.table_name})")
        }
        assert columns == {(field.column_name, not field.null) for field in model._meta.sorted_fields}, model


def test_an_open_database_is_not_opened_twice(database: Database) -> None:
    with pytest.raises(RuntimeError):
        database.open()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"folder .*/absent of the database is not there"):
        Database(f"sqlite:///{tmp_path}/absent/z.db").open()


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder"):
        Database(f"sqlite:///{tmp_path}").open()


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(StorageError, match="cannot be opened"):
        Database(f"sqlite:///{tmp_path}/loop").open()


def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my notes, not a database\n")
    with pytest.raises(ConfigError, match="is not an SQLite database"):
        Database(f"sqlite:///{path}").open()
    assert path.read_text() == "my notes, not a database\n"
    assert list(tmp_path.iterdir()) == [path]


def test_the_database_of_another_program_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "firefox.db"
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE bookmarks (url TEXT)")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"belongs to another program .*'bookmarks'"):
        Database(f"sqlite:///{path}").open()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_newer_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "z.db"
    with opened(path) as db, db.writing() as connection:
        connection.execute("INSERT INTO schema_migration (name, applied) VALUES ('0999_fence', '2030-01-01')")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"newer zendeskd .*0999_fence") as refused:
        Database(f"sqlite:///{path}").open()
    assert "backup" in refused.value.hint
    assert path.read_bytes() == before
    assert open_files(path) == 0


def test_a_damaged_database_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "z.db"
    with opened(path):
        pass
    data = bytearray(path.read_bytes())
    data[100:16000] = b"\xff" * 15900  # the schema's own page
    path.write_bytes(data)
    db = Database(f"sqlite:///{path}")
    with pytest.raises(StorageError, match="is damaged") as failed:
        db.open()
    assert db.trouble == "corrupt"
    assert "backup" in failed.value.hint
    assert path.read_bytes() == data


def test_a_file_system_without_a_log_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_shared_memory(self: db_module._Pool, cache_kib: int) -> sqlite3.Connection:
        uri = f"{self.database}&vfs=unix-dotfile"
        return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)

    monkeypatch.setattr(db_module._Pool, "_new", without_shared_memory)
    with pytest.raises(StorageError, match="does not let SQLite keep a write-ahead log") as failed:
        Database(f"sqlite:///{tmp_path}/z.db").open()
    assert "local disk" in failed.value.hint


# --- migrations -------------------------------------------------------------------------------------------------------

ONE = "def up(migrator, db):\n    db.execute_sql('CREATE TABLE one (id INTEGER)')\n"
TWO = "def up(migrator, db):\n    db.execute_sql('CREATE TABLE two (id INTEGER)')\n"
BAD = TWO.replace("two", "three") + "    db.execute_sql('CREATE nonsense')\n"


@pytest.fixture
def steps(tmp_path: Path) -> Path:
    folder = tmp_path / "steps"
    folder.mkdir()
    (folder / "0001_one.py").write_text(ONE)
    return folder


def test_an_upgrade_is_preceded_by_a_copy(tmp_path: Path, steps: Path) -> None:
    path, backups = tmp_path / "z.db", tmp_path / "backups"
    with opened(path, migrations=steps, backup_dir=backups) as db, db.writing() as connection:
        connection.execute("INSERT INTO one VALUES (42)")
    assert not backups.exists()
    (steps / "0002_two.py").write_text(TWO)
    with opened(path, migrations=steps, backup_dir=backups) as db:
        assert table(db, "SELECT * FROM two") == []
    (copy,) = backups.iterdir()
    assert copy.name == "z-before-0002_two.db"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with contextlib.closing(sqlite3.connect(copy)) as old:
        assert old.execute("SELECT * FROM one").fetchall() == [(42,)]
        assert old.execute("SELECT name FROM sqlite_master WHERE name = 'two'").fetchall() == []


def test_a_migration_that_fails_leaves_the_database_as_it_was(tmp_path: Path, steps: Path) -> None:
    path = tmp_path / "z.db"
    with opened(path, migrations=steps):
        pass
    (steps / "0002_bad.py").write_text(BAD)
    for _ in range(2):  # a service that is restarted again and again does not fill the disk with copies
        with pytest.raises(Exception, match="nonsense"):
            Database(f"sqlite:///{path}", migrations=steps).open()
    assert sorted(child.name for child in tmp_path.iterdir()) == ["steps", "z-before-0002_bad.db", "z.db"]
    (steps / "0002_bad.py").unlink()
    with opened(path, migrations=steps) as db:
        assert table(db, "SELECT name FROM sqlite_master WHERE name = 'three'") == []
        assert table(db, "SELECT name FROM schema_migration") == [("0001_one",)]


def test_no_copy_no_upgrade(tmp_path: Path, steps: Path) -> None:
    path = tmp_path / "z.db"
    with opened(path, migrations=steps):
        pass
    (steps / "0002_two.py").write_text(TWO)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="the copy that is made first could not be written"):
        Database(f"sqlite:///{path}", migrations=steps, backup_dir=tmp_path / "file").open()
    (steps / "0002_two.py").unlink()
    with opened(path, migrations=steps) as db:
        assert table(db, "SELECT name FROM schema_migration") == [("0001_one",)]


# --- writing ----------------------------------------------------------------------------------------------------------


def numbers(db: Database) -> list[int]:
    return [row[0] for row in table(db, "SELECT n FROM numbers ORDER BY n")]


@pytest.fixture
def counted(database: Database) -> Database:
    with database.writing() as connection:
        connection.execute("CREATE TABLE numbers (n INTEGER, pad BLOB)")
    return database


def add(db: Database, number: int, size: int = 0) -> None:
    with db.writing() as connection:
        connection.execute("INSERT INTO numbers VALUES (?, zeroblob(?))", (number, size))


def test_a_block_that_raises_is_rolled_back(counted: Database) -> None:
    with pytest.raises(ValueError, match="a bug"), counted.writing() as connection:
        connection.execute("INSERT INTO numbers (n) VALUES (1)")
        raise ValueError("a bug")
    add(counted, 2)
    assert numbers(counted) == [2]
    assert counted.trouble is None


def test_inside_writing_one_reads_what_was_written(counted: Database) -> None:
    with counted.writing() as connection:
        connection.execute("INSERT INTO numbers (n) VALUES (1)")
        assert numbers(counted) == [1]


def test_threads_write_one_after_the_other(counted: Database) -> None:
    def work() -> None:
        for _ in range(25):
            with counted.writing() as connection:
                (most,) = connection.execute("SELECT coalesce(max(n), 0) FROM numbers").fetchone()
                connection.execute("INSERT INTO numbers (n) VALUES (?)", (most + 1,))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numbers(counted) == list(range(1, 101))


def test_writing_inside_writing_is_a_bug_not_a_hang(counted: Database) -> None:
    with counted.writing():
        with pytest.raises(RuntimeError):
            add(counted, 1)
    add(counted, 2)
    assert numbers(counted) == [2]


def test_a_write_outside_a_transaction_is_a_bug(counted: Database) -> None:
    with pytest.raises(RuntimeError, match="outside writing"):
        counted.execute(None)


def test_a_bug_in_a_statement_is_not_the_disks(counted: Database) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"), counted.writing() as connection:
        connection.execute("SELECT * FROM no_such_table")
    assert counted.trouble is None


def test_a_snapshot_sees_one_moment(counted: Database) -> None:
    with counted.snapshot() as connection:
        assert connection.execute("SELECT count(*) FROM numbers").fetchone() == (0,)
        thread = threading.Thread(target=add, args=(counted, 1))
        thread.start()
        thread.join()
        assert connection.execute("SELECT count(*) FROM numbers").fetchone() == (0,)
    assert numbers(counted) == [1]


# --- trouble ----------------------------------------------------------------------------------------------------------


def test_a_full_disk_stores_nothing_says_so_and_clears_by_itself(counted: Database) -> None:
    with counted.writing() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StorageError, match=r"disk that holds .*zendeskd.db is full") as failed:
        add(counted, 1, size=1_000_000)
    assert counted.trouble == "disk full"
    assert "goes on by itself" in failed.value.hint
    assert numbers(counted) == []
    assert counted.trouble == "disk full"  # reading succeeds, writing has not yet
    with counted.writing() as connection:
        connection.execute("PRAGMA max_page_count = 1000000")
    add(counted, 2, size=1_000_000)
    assert counted.trouble is None
    assert numbers(counted) == [2]


def test_a_lock_of_another_program_is_named(counted: Database) -> None:
    with counted.writing() as connection:
        connection.execute("PRAGMA busy_timeout = 10")
    with contextlib.closing(sqlite3.connect(counted.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match=r"Another program keeps .* locked"):
            add(counted, 1)
        assert counted.trouble == "locked"
        assert numbers(counted) == []  # reading needs no lock
    add(counted, 2)
    assert counted.trouble is None


def test_a_database_that_may_not_be_written(counted: Database) -> None:
    with counted.writing() as connection:
        connection.execute("PRAGMA query_only = 1")
    with pytest.raises(StorageError, match="cannot be written"):
        add(counted, 1)
    assert counted.trouble == "read-only"


def test_a_writer_that_hangs_is_not_waited_for_without_end(counted: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db_module, "_TURN_S", 0.01)
    errors: list[StorageError] = []

    def write() -> None:
        try:
            add(counted, 1)
        except StorageError as error:
            errors.append(error)

    with counted.writing():
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
    assert "has not moved" in errors[0].detail
    assert numbers(counted) == []


def test_a_rollback_that_fails_does_not_hide_why(counted: Database) -> None:
    with pytest.raises(ValueError, match="the first error"), counted.writing() as connection:
        connection.close()
        raise ValueError("the first error")
    add(counted, 1)  # through another connection
    assert numbers(counted) == [1]


def test_a_reader_that_leaves_a_transaction_open_is_not_used_again(counted: Database) -> None:
    with counted.reading() as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT * FROM numbers").fetchall()
    add(counted, 1)
    assert numbers(counted) == [1]


@pytest.mark.parametrize(
    ("code", "word"),
    [
        (sqlite3.SQLITE_FULL, "disk full"),
        (sqlite3.SQLITE_BUSY, "locked"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "locked"),
        (sqlite3.SQLITE_LOCKED, "locked"),
        (sqlite3.SQLITE_PROTOCOL, "locked"),
        (sqlite3.SQLITE_READONLY, "read-only"),
        (sqlite3.SQLITE_READONLY_DBMOVED, "read-only"),
        (sqlite3.SQLITE_PERM, "read-only"),
        (sqlite3.SQLITE_CORRUPT, "corrupt"),
        (sqlite3.SQLITE_NOTADB, "corrupt"),
        (sqlite3.SQLITE_CANTOPEN, "cannot be opened"),
        (sqlite3.SQLITE_IOERR_FSYNC, "I/O error"),
        (sqlite3.SQLITE_NOMEM, "out of memory"),
        (sqlite3.SQLITE_ERROR, None),
        (sqlite3.SQLITE_CONSTRAINT, None),
    ],
)
def test_what_sqlites_codes_mean(code: int, word: str | None) -> None:
    error = sqlite3.OperationalError("as SQLite says it")
    error.sqlite_errorcode = code
    known = trouble_of(error)
    assert (known and known[0]) == word


# --- connections ------------------------------------------------------------------------------------------------------


def test_threads_that_come_and_go_leave_no_connection(counted: Database) -> None:
    for _ in range(20):
        thread = threading.Thread(target=numbers, args=(counted,))
        thread.start()
        thread.join()
    assert open_files(counted.path) <= 3  # the writer's, a reader's


def test_after_close_nothing_is_open_and_asking_says_so(counted: Database) -> None:
    add(counted, 1)
    with counted.reading():
        counted.close()
        assert open_files(counted.path) > 0  # this one is lent out
    assert open_files(counted.path) == 0
    counted.close()
    for ask in (numbers, lambda db: add(db, 2)):
        with pytest.raises(StorageError, match="closed"):
            ask(counted)
    assert not counted.path.with_name("zendeskd.db-wal").exists()


def test_closing_does_not_wait_for_a_writer_that_hangs(counted: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db_module, "_BUSY_S", 0.01)
    with counted.writing() as connection:
        connection.execute("INSERT INTO numbers (n) VALUES (1)")
        counted.close()
    counted._pool.is_open = True
    assert numbers(counted) == [1]
    counted.close()
