"""The database: one file, its connections, the one writer at a time, its migrations, and how it is.

What is asked of it stands in `zendeskd.store`. Statements are written with peewee where that is not the hot path.
Only this package, `zendeskd.store` and the migrations import peewee.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

import peewee

from zendeskd import left_log
from zendeskd.checkpoints import Checkpoints
from zendeskd.errors import ConfigError, Damaged, StorageError
from zendeskd.migrations import runner as migrate
from zendeskd.open_files import OpenFiles
from zendeskd.troubles import CORRUPT, FULL, LOSSES, Trouble, hung, is_damage, trouble_of

_BUSY_S: Final = 10
"""How long SQLite waits for a lock that another program holds."""

_TURN_S: Final = 120
"""How long a thread waits for its turn to write. One turn takes milliseconds; this is a disk that hangs."""

_ROOM_FOR_A_PAGE: Final = 16 * 2**20
"""As large as the log becomes before it is moved into the file."""

_LOOKS_S: Final = 60.0
_LOOKS_REST: Final = 60.0  # times as long as one took that the disk ended
_LOOK_STEPS: Final = 100_000  # of SQLite's virtual machine between two looks at the clock

_IDLE_MOST: Final = 16
_COUNTED: Final = 2**32 - 1
"""SQLite's count of changes begins anew behind it."""

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

    def __init__(
        self,
        url: str,
        *,
        backup_dir: Path | None = None,
        migrations: Path = migrate.DIRECTORY,
        on_lost: Callable[[StorageError], None] = lambda _: None,
    ) -> None:
        """`backup_dir` is where the copy before a migration goes; without it beside the database. `changes` counts the
        rows that were committed, those of the search index's own tables among them. `on_lost` is told once, in the
        thread that notices, that the open file is no longer where it was; it must not use the database."""
        self.path: Final = database_path(url)
        self.trouble: str | None = None
        self.changes = 0
        self._backup_dir = backup_dir or self.path.parent
        self._migrations = migrations
        self._on_lost = on_lost
        self._is_lost = self._is_damaged = False
        self._look_at = 0.0  # on the clock that nobody sets: not to be looked through before
        self._turn = threading.Lock()
        self._files = OpenFiles(self.path)
        self._pool = _Pool(self.path, self._files)
        self._checkpoints = Checkpoints(self._move_log)

    # --- life -----------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Create the file or check it, bring its schema up to date, be ready.

        Main thread, once. Raises ConfigError for a file that is not ours or is newer than this program (nothing in it
        is touched), StorageError when the disk says no.
        """
        if self._pool.is_open:
            raise RuntimeError("the database is open")
        migrate.refuse_other_files(self.path)
        left_log.refuse_another(self.path)
        self._pool.is_open = True
        try:
            with self._mapped(), self._turn, self._pool.writer():
                pending = migrate.pending(self._pool, self.path, self._migrations)
                self._pool.become_wal(self.path)
                migrate.upgrade(self._pool, pending, self.path, self._backup_dir, self._migrations)
        except BaseException:
            self._pool.shut(writer_too=True, checkpoint=False)
            raise
        self.trouble, self._is_damaged, self._look_at = None, False, 0.0
        self._checkpoints.start()

    def close(self) -> None:
        """Move the log into the file and end every idle connection; one that is lent out ends when it comes back.

        May be called twice. Whoever asks afterwards gets StorageError.
        """
        if not self._pool.is_open:
            return
        got_turn = self._turn.acquire(timeout=_BUSY_S)
        try:
            alone = self._checkpoints.stop(_BUSY_S) and got_turn
            self._pool.shut(writer_too=alone, checkpoint=alone)
        finally:
            if got_turn:
                self._turn.release()

    # --- use ------------------------------------------------------------------------------------------------------

    @contextmanager
    def writing(self, *, weight: int = 1) -> Iterator[sqlite3.Connection]:
        """One transaction: committed if the block ends, rolled back if it raises. One thread at a time. `weight`: as
        large as so many records is a row of it, which tells when the log should be moved.

        Raises StorageError for what the disk refuses; `trouble` then says so in a word or two until a write succeeds.
        Nothing is written to a database that was found damaged, nor to a file that is no longer where it was opened.
        Errors that are bugs (a constraint, a misspelt statement) come through as they are.
        """
        if self._pool.writing_thread == threading.get_ident():
            raise RuntimeError("this thread is writing already")
        if not self._turn.acquire(timeout=_TURN_S):
            raise self._failed(hung(_TURN_S))
        try:
            with self._mapped(), self._whole(), self._pool.writer() as connection:
                connection.execute("BEGIN IMMEDIATE")  # a transaction that turns to writing later can fail at once
                self._files.opened()
                before = connection.total_changes
                try:
                    yield connection
                    if not self._checkpoints.rest(_TURN_S):
                        raise self._failed(hung(_TURN_S))
                    connection.execute("COMMIT")
                except BaseException:
                    self._pool.undo(connection)
                    raise
                rows = (connection.total_changes - before) & _COUNTED
                self.changes += rows
                self._checkpoints.wrote(rows * weight)
            if self.trouble is not None and not self._checkpoints.failed and not self._is_still_full():
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

    def look(self) -> None:
        """Notice what became of the files though nobody writes, and that it is over. Now and then."""
        with contextlib.suppress(StorageError):
            if self._is_lost or self._files.loss() is not None:
                with self.writing():
                    pass

    def look_through(self, ending: threading.Event) -> None:
        """Read all of a database that seems damaged, once each time that it does. Now and then, from a thread that may
        read for a minute; soon after `ending` was set it ends."""
        with contextlib.suppress(StorageError):
            if self._is_damaged and time.monotonic() >= self._look_at and self._reads_sound(ending):
                self._is_damaged, self._look_at = False, 0.0
                with self.writing():
                    pass

    def sizes(self) -> tuple[int, int]:
        """Bytes of the database and of its write-ahead log; 0 for what is not there."""
        path = self.path.resolve()
        return _size(path), _size(path.with_name(path.name + "-wal"))

    # --- errors ---------------------------------------------------------------------------------------------------

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Raises StorageError unless the database is sound as far as is known, and where it was. Holds the turn."""
        if self._is_damaged:
            raise self._failed(CORRUPT)
        loss = self._files.loss()
        if loss is not None:
            self._checkpoints.rest(_BUSY_S)
        if loss == "log gone" and self._pool.begin_anew():
            loss = None
        if loss is None:
            self._is_lost = False
        else:
            error = self._failed(LOSSES[loss])
            if not self._is_lost and loss != "log gone":
                self._is_lost = True
                self._pool.empty_log()  # what lies at the path next must not be taken for the database of that log
                self._on_lost(error)
            raise error
        yield

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, peewee.PeeweeException) as error:
            known = trouble_of(error)
            if known is None:
                raise
            self._is_damaged |= is_damage(error)
            raise self._failed(known) from error

    def _move_log(self) -> bool:
        """-> whether the disk took it. If not it stays in the log, and `trouble` says why until it does. The last room
        on a disk is left to the log, where small writes still fit when the file cannot grow any more."""
        try:
            with self._mapped():
                if not self._is_damaged and self.has_room():
                    self._pool.move_log()
        except StorageError:
            return False
        return True

    def _reads_sound(self, ending: threading.Event) -> bool:
        """A disk that fails to read once looks to SQLite as if the file was damaged (SQLITE_IOERR_CORRUPTFS)."""
        began = time.monotonic()
        self._look_at = math.inf  # what is wrong stays wrong
        try:
            with self.reading() as connection:
                connection.set_progress_handler(
                    lambda: ending.is_set() or time.monotonic() > began + _LOOKS_S, _LOOK_STEPS
                )
                try:
                    return bool(connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
                except sqlite3.OperationalError as error:
                    if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                        raise
                    return False  # it is too large for that
                finally:
                    connection.set_progress_handler(None, 0)
        except StorageError as error:
            if not isinstance(error, Damaged):  # the disk still fails, and may come back: not to be read all the time
                self._look_at = time.monotonic() + _LOOKS_REST * (time.monotonic() - began)
            raise

    def _is_still_full(self) -> bool:
        """The few bytes of a run's end fit where a page did not."""
        return self.trouble == FULL.word and not self.has_room()

    def has_room(self) -> bool:
        """Whether more is left on the disk than the last room, which is for small writes to the log."""
        try:
            return shutil.disk_usage(self.path.parent).free >= _ROOM_FOR_A_PAGE
        except OSError:
            return True

    def _failed(self, trouble: Trouble) -> StorageError:
        self.trouble = trouble.word
        return trouble.of(self.path)


class _Pool(peewee.SqliteDatabase):
    """peewee's database with the connections of `Database`."""

    def __init__(self, path: Path, files: OpenFiles) -> None:
        # opening must not make a file: an empty one in the place of one that was deleted would pass for the database
        uri = f"file:{quote(str(path))}?mode=rw"
        super().__init__(uri, uri=True, timeout=_BUSY_S, autoconnect=False, check_same_thread=False)
        self.is_open = False
        self.writing_thread: int | None = None
        self._path, self._files = path, files
        self._idle: deque[sqlite3.Connection] = deque()
        self._writer: sqlite3.Connection | None = None
        self._mover: sqlite3.Connection | None = None
        self._lending = threading.Lock()  # guards the next one
        self._lent_out = 0

    def lent(self) -> AbstractContextManager[sqlite3.Connection]:
        return self._lent()

    @contextmanager
    def _lent(self) -> Iterator[sqlite3.Connection]:
        if not self.is_open:
            raise StorageError("The database is closed.", hint="The daemon is ending; ask again when it is back.")
        with self._lending:
            self._lent_out += 1
        try:
            with self.connection_context():
                yield self.connection()  # type: ignore[no-untyped-call]
        finally:
            with self._lending:
                self._lent_out -= 1

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
                self._files.log_closed()

    def become_wal(self, path: Path) -> None:
        """Set what belongs to the file. The page size only takes before the first table."""
        connection: sqlite3.Connection = self.connection()  # type: ignore[no-untyped-call]
        connection.execute(f"PRAGMA page_size = {_PAGE_SIZE}")
        if not left_log.has_number(connection):
            left_log.give_number(connection)  # before there is a log, which shall have no first page without it
        (mode,) = connection.execute("PRAGMA journal_mode = wal").fetchone()
        if mode != "wal":
            raise StorageError(
                f"The file system of {path} does not let SQLite keep a write-ahead log.",
                hint="Put the database on a local disk: network file systems cannot share memory.",
            )

    def begin_anew(self) -> bool:
        """The log that is open has lost its name: move what it holds into the file, and let the next connection open
        another. -> whether that could be done, which it cannot while somebody reads. Only for who has the turn."""
        with self._lending:
            if self._lent_out or not self.empty_log():
                return False
            self._end_all(writer_too=True)
        return True

    def move_log(self) -> None:
        """Move what no reader needs in the log into the file while others read and write. One thread, by a connection
        of its own: after a loss no reader's can be opened anew. Raises sqlite3.Error, StorageError."""
        if self._mover is None:
            self._mover = self._new_in_place(_READER_CACHE)
        self._mover.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def empty_log(self) -> bool:
        """Move what is in the log into the file. -> whether all of it was. Only for who has the turn."""
        if self._writer is None:
            return False
        try:
            busy, _, _ = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error:
            return False
        return not busy

    def shut(self, *, writer_too: bool, checkpoint: bool) -> None:
        """End what is idle. `writer_too`: this thread has the turn and nothing is being moved; `checkpoint`: move the
        log into the file first."""
        if checkpoint and self._writer is not None:
            with contextlib.suppress(sqlite3.Error):
                self._writer.execute("PRAGMA optimize")
            self.empty_log()  # or not: it is as good a place as the file; the next start reads it
        self.is_open = False
        self._end_all(writer_too=writer_too)
        if writer_too:
            self._files.all_closed()

    def _end_all(self, *, writer_too: bool) -> None:
        if writer_too and self._writer is not None:
            _end(self._writer)
            self._writer = None
            self._files.log_closed()
        if writer_too and self._mover is not None:
            _end(self._mover)
            self._mover = None
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
        return self._new_in_place(_READER_CACHE)

    def _close(self, conn: sqlite3.Connection) -> None:
        if conn is self._writer:
            return
        if self.is_open and len(self._idle) < _IDLE_MOST and _is_sound(conn):
            self._idle.append(conn)
        else:
            _end(conn)

    def _new_in_place(self, cache_pages: int) -> sqlite3.Connection:
        loss = self._files.loss()
        if loss is not None:  # those that are open still read what was there; a new one would open another log
            raise LOSSES[loss].of(self._path)
        return self._new(cache_pages)

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
