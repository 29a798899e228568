"""The database: one file, its connections, the one writer at a time, its migrations, and what its errors mean.

What is asked of it stands in `zendeskd.store`. Statements are written with peewee where that is not the hot path.
Only this package, `zendeskd.store` and the migrations import peewee.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import peewee

from zendeskd.errors import ConfigError, StorageError
from zendeskd.migrations import runner as migrate

_BUSY_S: Final = 10
"""How long SQLite waits for a lock that another program holds."""

_TURN_S: Final = 120
"""How long a thread waits for its turn to write. One turn takes milliseconds; this is a disk that hangs."""

_IDLE_MOST: Final = 16
_PAGE_SIZE: Final = 16_384
"""With records of 2.6 KB half as many rows again a second as with SQLite's own 4096."""

_READER_CACHE: Final = 256
_WRITER_CACHE: Final = 2048
"""In pages, not KiB: SQLite turns KiB into pages before it knows the page size, and would keep four times as much."""

_SCHEME_HINT: Final = 'Write database = "sqlite:////var/lib/zendeskd/zendeskd.db": four slashes, an absolute path.'


def database_path(url: str) -> Path:
    """The file of a `sqlite:////absolute/path` URL. Raises ConfigError for anything else."""
    scheme, _, rest = url.partition("://")
    if scheme != "sqlite":
        raise ConfigError(f"The database {scheme or url!r} is not one this version can use.", hint=_SCHEME_HINT)
    parts = urlsplit(f"sqlite://{rest}")
    path = Path(unquote(parts.path[1:]))
    if parts.netloc or parts.query or parts.fragment or not path.is_absolute() or path == Path("/"):
        raise ConfigError(f"The database URL {url!r} does not name a file by its absolute path.", hint=_SCHEME_HINT)
    return path


class Database:
    """One SQLite file. After `open`, any thread may call any method.

    Connections belong to no thread: each is lent for one `with` and kept for the next one, so threads may come and
    go. Writing always uses the same connection, whose page cache therefore stays warm.
    """

    def __init__(self, url: str, *, backup_dir: Path | None = None, migrations: Path = migrate.DIRECTORY) -> None:
        """`backup_dir` is where the copy before a migration goes; without it beside the database."""
        self.path: Final = database_path(url)
        self.trouble: str | None = None
        self._backup_dir = backup_dir or self.path.parent
        self._migrations = migrations
        self._turn = threading.Lock()
        self._pool = _Pool(self.path)

    # --- life -----------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Create the file or check it, bring its schema up to date, be ready.

        Main thread, once. Raises ConfigError for a file that is not ours or is newer than this program (nothing in it
        is touched), StorageError when the disk says no.
        """
        if self._pool.is_open:
            raise RuntimeError("the database is open")
        migrate.refuse_other_files(self.path)
        self._pool.is_open = True
        try:
            with self._mapped(), self._turn, self._pool.writer():
                pending = migrate.pending(self._pool, self.path, self._migrations)
                self._pool.become_wal(self.path)
                migrate.upgrade(self._pool, pending, self.path, self._backup_dir, self._migrations)
        except BaseException:
            self._pool.shut(writer_too=True, checkpoint=False)
            raise
        self.trouble = None

    def close(self) -> None:
        """Move the log into the file and end every idle connection; one that is lent out ends when it comes back.

        May be called twice. Whoever asks afterwards gets StorageError.
        """
        if not self._pool.is_open:
            return
        got_turn = self._turn.acquire(timeout=_BUSY_S)
        try:
            self._pool.shut(writer_too=got_turn, checkpoint=got_turn)
        finally:
            if got_turn:
                self._turn.release()

    # --- use ------------------------------------------------------------------------------------------------------

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: committed if the block ends, rolled back if it raises. One thread at a time.

        Raises StorageError for what the disk refuses; `trouble` then says so in a word or two until a write succeeds.
        Errors that are bugs (a constraint, a misspelt statement) come through as they are.
        """
        if self._pool.writing_thread == threading.get_ident():
            raise RuntimeError("this thread is writing already")
        if not self._turn.acquire(timeout=_TURN_S):
            raise self._failed(*_NO_TURN)
        try:
            with self._mapped(), self._pool.writer() as connection:
                connection.execute("BEGIN IMMEDIATE")  # a transaction that turns to writing later can fail at once
                try:
                    yield connection
                    connection.execute("COMMIT")
                except BaseException:
                    self._pool.undo(connection)
                    raise
            self.trouble = None
        finally:
            self._turn.release()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection to read with; inside `writing` the same one. Each statement sees one moment of the database."""
        with self._mapped(), self._pool.lent() as connection:
            yield connection

    def snapshot(self) -> AbstractContextManager[sqlite3.Connection]:
        """As `reading`, but all statements of the block see the same moment. Not inside `writing`; keep it short."""
        return self._snapshot()

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        with self.reading() as connection:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                self._pool.undo(connection)

    def rows(self, query: Any) -> list[dict[str, Any]]:
        """Run a peewee query and return its rows by column name."""
        with self.reading():
            return list(query.dicts().execute(self._pool))

    def execute(self, query: Any) -> int:
        """Run a peewee insert (-> the new id), update or delete (-> rows), inside `writing`."""
        if self._pool.writing_thread != threading.get_ident():
            raise RuntimeError("outside writing()")
        return int(query.execute(self._pool) or 0)

    def optimize(self) -> None:
        """Let SQLite look again at how its tables have grown, which takes milliseconds. Once a day is enough."""
        with self.writing() as connection:
            connection.execute("PRAGMA optimize")

    def sizes(self) -> tuple[int, int]:
        """Bytes of the database and of its write-ahead log; 0 for what is not there."""
        return _size(self.path), _size(self.path.with_name(self.path.name + "-wal"))

    # --- errors ---------------------------------------------------------------------------------------------------

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, peewee.PeeweeException) as error:
            known = trouble_of(error)
            if known is None:
                raise
            raise self._failed(*known) from error

    def _failed(self, word: str, sentence: str, hint: str) -> StorageError:
        self.trouble = word
        return StorageError(sentence.format(path=self.path), hint=hint.format(path=self.path))


class _Pool(peewee.SqliteDatabase):
    """peewee's database with the connections of `Database`."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), timeout=_BUSY_S, autoconnect=False, check_same_thread=False)
        self.is_open = False
        self.writing_thread: int | None = None
        self._idle: deque[sqlite3.Connection] = deque()
        self._writer: sqlite3.Connection | None = None

    def lent(self) -> AbstractContextManager[sqlite3.Connection]:
        return self._lent()

    @contextmanager
    def _lent(self) -> Iterator[sqlite3.Connection]:
        if not self.is_open:
            raise StorageError("The database is closed.", hint="The daemon is ending; ask again when it is back.")
        with self.connection_context():
            yield self.connection()  # type: ignore[no-untyped-call]

    @contextmanager
    def writer(self) -> Iterator[sqlite3.Connection]:
        """The writer's connection. Only for who has the turn."""
        self.writing_thread = threading.get_ident()
        try:
            with self._lent() as connection:
                yield connection
        finally:
            self.writing_thread = None

    def undo(self, connection: sqlite3.Connection) -> None:
        """Roll back what is open. A connection that cannot is dropped; the first error stays the one that is told."""
        try:
            if connection.in_transaction:  # a full disk has rolled back by itself
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            if connection is self._writer:
                self._writer = None  # the next one opens another; `_close` ends this one

    def become_wal(self, path: Path) -> None:
        """Set what belongs to the file. The page size only takes before the first table."""
        connection: sqlite3.Connection = self.connection()  # type: ignore[no-untyped-call]
        connection.execute(f"PRAGMA page_size = {_PAGE_SIZE}")
        (mode,) = connection.execute("PRAGMA journal_mode = wal").fetchone()
        if mode != "wal":
            raise StorageError(
                f"The file system of {path} does not let SQLite keep a write-ahead log.",
                hint="Put the database on a local disk: network file systems cannot share memory.",
            )

    def shut(self, *, writer_too: bool, checkpoint: bool) -> None:
        """End what is idle. `writer_too`: this thread has the turn; `checkpoint`: move the log into the file first."""
        if checkpoint and self._writer is not None:
            with contextlib.suppress(sqlite3.Error):  # the log is as good a place as the file; the next start reads it
                self._writer.execute("PRAGMA optimize")
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.is_open = False
        if writer_too and self._writer is not None:
            _end(self._writer)
            self._writer = None
        while self._idle:
            with contextlib.suppress(IndexError):  # a reader may take the last one at this moment
                _end(self._idle.pop())

    # what peewee calls when a block begins and ends

    def _connect(self) -> sqlite3.Connection:
        if self.writing_thread == threading.get_ident():
            if self._writer is None:
                self._writer = self._new(_WRITER_CACHE)
            return self._writer
        with contextlib.suppress(IndexError):
            return self._idle.pop()
        return self._new(_READER_CACHE)

    def _close(self, conn: sqlite3.Connection) -> None:
        if conn is self._writer:
            return
        if self.is_open and len(self._idle) < _IDLE_MOST and _is_sound(conn):
            self._idle.append(conn)
        else:
            _end(conn)

    def _new(self, cache_pages: int) -> sqlite3.Connection:
        connection: sqlite3.Connection = super()._connect()  # type: ignore[misc]
        try:
            connection.execute("PRAGMA foreign_keys = 1")
            connection.execute("PRAGMA synchronous = normal")  # a power cut costs at most pages that are read again
            connection.execute(f"PRAGMA cache_size = {cache_pages}")
            connection.execute("PRAGMA journal_size_limit = 67108864")
            connection.execute("PRAGMA analysis_limit = 400")
        except BaseException:
            connection.close()
            raise
        return connection


def _is_sound(connection: sqlite3.Connection) -> bool:
    try:
        return not connection.in_transaction
    except sqlite3.ProgrammingError:  # closed by who had it
        return False


def _end(connection: sqlite3.Connection) -> None:
    with contextlib.suppress(sqlite3.Error):  # its locks go with the process at the latest
        connection.close()


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - one call
    except OSError:
        return 0


# --- what SQLite's errors mean ----------------------------------------------------------------------------------------

_Trouble = tuple[str, str, str]

_LOCKED: Final = (
    "locked",
    "Another program keeps the database {path} locked.",
    "End it, or its open transaction (`fuser {path}` names it); reading beside the daemon needs no lock.",
)
_NO_TURN: Final = (
    "locked",
    f"Writing to {{path}} has not moved for {_TURN_S} s.",
    "The disk may hang: look at the kernel's log (`dmesg`).",
)
_READ_ONLY: Final = (
    "read-only",
    "The database {path} cannot be written.",
    "Check the owner and mode of the file and its folder, and that the file system is not mounted read-only.",
)
_CORRUPT: Final = (
    "corrupt",
    "The database {path} is damaged.",
    "Stop the daemon and put a backup in its place: zendeskd restore FILE.",
)
_TROUBLES: Final[dict[int, _Trouble]] = {
    sqlite3.SQLITE_FULL: (
        "disk full",
        "The disk that holds {path} is full.",
        "Free some space there (`df -h`); the daemon goes on by itself.",
    ),
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_PROTOCOL: _LOCKED,  # gave up on the locks of the write-ahead log
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_CORRUPT: _CORRUPT,
    sqlite3.SQLITE_NOTADB: _CORRUPT,
    sqlite3.SQLITE_CANTOPEN: (
        "cannot be opened",
        "The database {path} cannot be opened.",
        "Check that its folder is there and belongs to the daemon's user.",
    ),
    sqlite3.SQLITE_IOERR: (
        "I/O error",
        "The disk that holds {path} fails to read or write.",
        "Look at the kernel's log (`dmesg`) and the disk's health.",
    ),
    sqlite3.SQLITE_NOMEM: (
        "out of memory",
        "There was not enough memory to work on {path}.",
        "Give the daemon more memory (MemoryMax= in its unit), or stop what else uses it.",
    ),
}


def trouble_of(error: BaseException) -> _Trouble | None:
    """(word, sentence, hint) of an error of the disk; None for one that is a bug of ours."""
    drivers = getattr(error, "orig", error)  # what peewee wraps
    code = getattr(drivers, "sqlite_errorcode", None)
    return None if code is None else _TROUBLES.get(code & 0xFF)
