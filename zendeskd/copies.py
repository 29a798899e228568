"""A whole copy of an SQLite database in a file: made in steps beside whoever writes, checked, complete or not there.

Plain sqlite3: it reads pages, not tables.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from zendeskd import left_log
from zendeskd.errors import Cancelled
from zendeskd.pace import Pace

_STEP_PAGES: Final = 64
_SYNC_EVERY: Final = 64
"""Steps between two writes to the disk itself: gigabytes that wait in memory would hold up the next checkpoint."""

_CHECK_STEPS: Final = 10_000  # of SQLite's virtual machine between two looks at `stop`
_YIELDED: Final = 3.0
"""Beside writers, so many times as long as it works it leaves processor and disk to them."""


def write_copy(
    source: sqlite3.Connection,
    path: Path,
    *,
    mode: int = 0o600,
    stop: threading.Event,
    beside_writers: Callable[[], None] | None = None,
    on_step: Callable[[], None] = lambda: None,
) -> int:
    """Copy what `source` sees at this moment into a new file, write it through to the disk, check it. -> its bytes.

    The source is kept in one read transaction while it is read, and not while the copy is checked: without it the copy
    begins anew at each commit of a writer, and beside a busy sync never ends. Writers are not held up; their log cannot
    shrink as long as that takes. With `beside_writers` it goes slowly for them (317 MB: 6 s instead of 2 s, and they
    lose a tenth of their pace instead of a quarter), and asks it now and then: what it raises ends the copy. `on_step`
    is told that it moves. The copy needs no log beside it.

    Any thread, in which it takes as long as the disk takes. Raises OSError and sqlite3.Error when the disk refuses,
    sqlite3.DatabaseError if the copy is not sound, Cancelled soon after `stop` was set. No file is left then.
    """
    pace = Pace(stop, 0.0 if beside_writers is None else _YIELDED, on_step)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        os.fchmod(descriptor, mode)  # whatever the umask
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as copy:
            copy.execute("PRAGMA journal_mode = off")  # nobody needs half of it
            copy.execute("PRAGMA synchronous = off")
            _fill(copy, source, descriptor, pace, beside_writers or (lambda: None))
            left_log.give_number(copy)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as copy:
            copy.execute("PRAGMA journal_mode = delete")  # so that it can be read where nothing can be written
            _check(copy, pace, stop)
        os.fsync(descriptor)
        return os.fstat(descriptor).st_size
    except BaseException:
        for leftover in (path, path.with_name(path.name + "-journal"), path.with_name(path.name + "-wal")):
            with contextlib.suppress(OSError):
                leftover.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def put_in_place(path: Path, target: Path) -> None:
    """Give a file that is on the disk its name, which is on the disk afterwards too. Raises OSError."""
    path.replace(target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def bytes_of(source: sqlite3.Connection) -> int:
    """How large a copy will be. Raises sqlite3.Error."""
    ((pages,),) = source.execute("PRAGMA page_count").fetchall()
    ((size,),) = source.execute("PRAGMA page_size").fetchall()
    return int(pages) * int(size)


def _fill(
    copy: sqlite3.Connection, source: sqlite3.Connection, descriptor: int, pace: Pace, ask: Callable[[], None]
) -> None:
    steps = 0

    def between(_status: int, _left: int, _all: int) -> None:
        nonlocal steps
        steps += 1
        if steps % _SYNC_EVERY == 0:
            os.fdatasync(descriptor)
            ask()
        if pace.rest():
            raise Cancelled

    own = not source.in_transaction
    if own:
        source.execute("BEGIN")
    try:
        source.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()  # the transaction begins with the first read
        source.backup(copy, pages=_STEP_PAGES, progress=between)
    finally:
        if own:
            source.execute("ROLLBACK")


def _check(copy: sqlite3.Connection, pace: Pace, stop: threading.Event) -> None:
    copy.set_progress_handler(pace.rest, _CHECK_STEPS)
    try:
        found = [str(row[0]) for row in copy.execute("PRAGMA quick_check(3)")]
    except sqlite3.OperationalError:
        if stop.is_set():
            raise Cancelled from None
        raise
    if found != ["ok"]:
        raise sqlite3.DatabaseError(f"the copy is not sound: {'; '.join(found)}")
