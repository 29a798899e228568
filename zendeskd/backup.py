"""Backups of the database while it is in use: one at a time, on a thread of its own, the newest few are kept.

What is in them is sealed as in the database. The master key is not in them.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import shutil
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from zendeskd import copies
from zendeskd.cron import CronExpression
from zendeskd.db import Database
from zendeskd.errors import Cancelled, Conflict, StorageError
from zendeskd.models import utcnow

log = structlog.get_logger("zendeskd.backup")

ROOM_LEFT: Final = 200 * 2**20
"""Bytes that a backup leaves free: the sync has to store pages on the same disk."""

RESCUE_STANDS_S: Final = 60.0
"""The end of the daemon waits for the copy of a database that ends with it as long as that moves; a step takes
milliseconds, this is a disk that hangs."""

_LOOK_S: Final = 5.0

_NAME: Final = re.compile(r"zendeskd-(\d{8}T\d{6}Z)\.db")
_STAMP: Final = "%Y%m%dT%H%M%SZ"
_REMEMBERED: Final = 8


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup, going on (`finished_at` None) or ended. `trouble` says why there is no file."""

    path: Path
    requested_by: str | None  # None: it was there when the daemon started
    started_at: datetime
    finished_at: datetime | None = None
    bytes: int = 0
    duration_ms: int | None = None
    trouble: str | None = None
    hint: str = ""


class Backups:
    """Any thread may call any method. `on_change` gets each backup as it begins and ends, from a thread of ours or the
    caller's; `keep` is asked after each."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        *,
        keep: Callable[[], int],
        on_change: Callable[[Backup], None] = lambda _: None,
        now: Callable[[], datetime] = utcnow,
        monotonic: Callable[[], float] = time.monotonic,
        room_left: int = ROOM_LEFT,
    ) -> None:
        self.folder: Final = folder
        self._database, self._keep, self._on_change = database, keep, on_change
        self._now, self._monotonic, self._room_left = now, monotonic, room_left
        self._lock = threading.Lock()  # guards the next three
        self._running: Backup | None = None
        self._thread: threading.Thread | None = None
        self._recent = deque(found(folder)[:_REMEMBERED], maxlen=_REMEMBERED)
        self._stop = threading.Event()
        self._unsaved_by: str | None = None  # who wants what ends with the process to be saved
        self._moved_at = 0.0

    def rescue(self, by: str) -> None:
        """The database ends with the process: have a copy made at once, as fast as it goes and to the last byte of the
        disk. If that does not succeed `stop` tries once more."""
        self._unsaved_by = by
        self.begin_or_tell(by)

    def begin_or_tell(self, by: str) -> None:
        """As `begin`, where nobody waits for an answer."""
        try:
            self.begin(by)
        except Conflict:  # the daemon is stopping
            pass
        except StorageError as error:
            log.error("backup not begun", error=error.detail, hint=error.hint, by=by)

    def begin(self, by: str) -> tuple[Backup, bool]:
        """Have one made, or join the one that is being made. -> it, and whether it was joined.

        Raises Conflict when the daemon stops, StorageError if it cannot be begun.
        """
        with self._lock:
            if self._running is not None:
                return self._running, True
            if self._stop.is_set():
                raise Conflict("the daemon is stopping", hint="ask again when it is back")
            started_at = self._now()
            one = Backup(self.folder / f"zendeskd-{started_at.astimezone(UTC):{_STAMP}}.db", by, started_at)
            thread = threading.Thread(target=self._make, args=(one,), name="backup", daemon=True)
            before = self._thread
            self._running, self._thread = one, thread
            try:
                thread.start()
            except RuntimeError as error:
                self._running, self._thread = None, before
                raise StorageError(
                    f"The backup was not begun: the system gives the daemon no more threads ({error}).",
                    hint="Ask again in a while; TasksMax= of its unit, or ulimit -u, says how many it may have.",
                ) from error
        return one, False

    @property
    def running(self) -> Backup | None:
        return self._running

    def recent(self) -> list[Backup]:
        """The last ones that ended, the newest first. Of those before the daemon's start only the good ones."""
        with self._lock:
            return list(self._recent)

    def newest_at(self) -> datetime | None:
        """When the newest good one was begun."""
        return next((one.started_at for one in self.recent() if one.trouble is None), None)

    def stop(self, timeout_s: float, be_patient: Callable[[float], None] = lambda _: None) -> bool:
        """End what is going on, which leaves no file; but a rescue is waited for as long as it moves. Meanwhile
        `be_patient` is told every few seconds how many it takes until it is told again. -> whether all ended in
        time. May be called twice."""
        for _ in range(2):  # what is going on may have begun before, and not be the rescue
            if self._unsaved_by is not None and not self._stop.is_set():
                self._moved_at = self._monotonic()
                self.begin_or_tell(self._unsaved_by)
                while self._monotonic() - self._moved_at < RESCUE_STANDS_S:
                    be_patient(RESCUE_STANDS_S)
                    if self._join(_LOOK_S):
                        break
        self._stop.set()
        return self._join(timeout_s)

    def _moved(self) -> None:
        self._moved_at = self._monotonic()

    def _join(self, timeout_s: float) -> bool:
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(timeout_s)
        return thread is None or not thread.is_alive()

    # --- the thread -----------------------------------------------------------------------------------------------

    def _make(self, one: Backup) -> None:
        began, is_rescue = self._monotonic(), self._unsaved_by is not None
        self._on_change(one)
        try:
            one = replace(one, bytes=self._write(one.path, is_rescue=is_rescue))
            if is_rescue:
                self._unsaved_by = None
        except Cancelled:
            one = replace(one, trouble="the daemon was stopped", hint="ask again when it is back")
        except StorageError as error:
            one = replace(one, trouble=error.detail, hint=error.hint)
        except Exception as error:  # the thread's frame of last resort: the next one is tried all the same
            log.exception("backup failed by a bug")
            one = replace(one, trouble=f"a bug: {type(error).__name__}", hint="report it with the traceback in the log")
        took_ms = round((self._monotonic() - began) * 1000)
        one = replace(one, finished_at=self._now(), duration_ms=took_ms)
        if one.trouble is None:
            log.info("backup made", path=str(one.path), bytes=one.bytes, duration_ms=took_ms, by=one.requested_by)
            self._remove_old(one.path)
        else:
            log.error("backup failed", path=str(one.path), error=one.trouble, hint=one.hint, by=one.requested_by)
        with self._lock:
            self._recent.appendleft(one)
            self._running = None
        self._on_change(one)

    def _write(self, path: Path, *, is_rescue: bool) -> int:
        """Raises StorageError that says why, and Cancelled."""
        partial = path.with_name(f".{path.name}.partial")
        try:
            self.folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            for leftover in self.folder.glob(".zendeskd-*.db.partial*"):  # of a daemon that was killed
                leftover.unlink(missing_ok=True)
            with self._database.reading() as source:
                # what the other disk refuses must not pass for trouble of the database
                try:
                    if not is_rescue:
                        self._refuse_without_room(copies.bytes_of(source))
                    beside = None if is_rescue else self._end_without_room
                    size = copies.write_copy(
                        source, partial, stop=self._stop, beside_writers=beside, on_step=self._moved
                    )
                except (sqlite3.Error, OSError) as error:
                    raise _refused(path, error) from error
            copies.put_in_place(partial, path)
        except OSError as error:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            raise _refused(path, error) from error
        return size

    def _refuse_without_room(self, size: int) -> None:
        free = shutil.disk_usage(self.folder).free
        if free - size < self._room_left:
            raise StorageError(
                f"A backup of {_mb(size)} MB does not fit into {self.folder}: {_mb(free)} MB are free, and "
                f"{_mb(self._room_left)} MB are left for the sync.",
                hint="Make room there, or keep fewer backups: [backup] keep.",
            )

    def _end_without_room(self) -> None:
        """The database's log grows meanwhile, often on the same disk."""
        free = shutil.disk_usage(self.folder).free
        if free < self._room_left // 2:
            raise StorageError(
                f"The backup was ended for the sync to go on: {_mb(free)} MB were free in {self.folder}.",
                hint="Make room there, or keep fewer backups: [backup] keep.",
            )

    def _remove_old(self, made: Path) -> None:
        """Beyond the newest `keep`, and never the one just made: a clock that was wrong must not cost it."""
        older = [one.path for one in found(self.folder) if one.path != made]
        for path in older[max(0, self._keep() - 1) :]:
            try:
                path.unlink(missing_ok=True)
                log.info("old backup removed", path=str(path))
            except OSError as error:
                log.warning("old backup not removed", path=str(path), error=error.strerror)


def is_overdue(cron: CronExpression, since: datetime | None, now: datetime) -> bool:
    """Whether two in a row were missed since then: the newest backup, or the first organisation if there is none."""
    second = None if since is None else next(itertools.islice(cron.upcoming(since), 1, None), None)
    return second is not None and second <= now


def found(folder: Path) -> list[Backup]:
    """The backups that lie in a folder, the newest first. Only files that have the name of one."""
    backups = []
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            match = _NAME.fullmatch(path.name)
            if match is None or not path.is_file() or path.is_symlink():
                continue
            with contextlib.suppress(ValueError, OSError):
                at = datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC)
                backups.append(Backup(path, None, at, finished_at=at, bytes=path.stat().st_size))
    return sorted(backups, key=lambda one: one.started_at, reverse=True)


def _refused(path: Path, error: Exception) -> StorageError:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return StorageError(
        f"The backup {path} could not be written: {reason}.",
        hint="Its folder must belong to the daemon's user and have room for a second copy of the database.",
    )


def _mb(count: int) -> int:
    return -(-count // 2**20)
