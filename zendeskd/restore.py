"""`zendeskd restore`: put a backup that `backup_file` looked at in the place of the database, while no daemon runs.

What was there is kept aside. The caller holds the daemon's lock.
"""

from __future__ import annotations

import contextlib
import glob
import os
import shlex
import shutil
import sqlite3
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from zendeskd import copies, left_log, present
from zendeskd.backup_file import REFRESHED, SEALED, Plan
from zendeskd.config import Config
from zendeskd.doctor import copy_at_rest
from zendeskd.errors import StorageError

_PASSING: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL)
_READABLE_BY_GROUP: Final = 0o640  # as the daemon makes its database
_OF_ACCOUNT: Final = (
    "SELECT c.rowid, c.updated_at FROM credentials c JOIN integrations i ON i.id = c.integration_id WHERE c.is_active"
    " AND c.kind = :kind AND i.organization_id = :organization_id AND i.system_type = :system_type"
    " AND i.base_url = :base_url"
)
_RENEW: Final = (
    "UPDATE credentials SET ciphertext = :ciphertext, revision = :revision, expires_at = :expires_at,"
    " verified_at = :verified_at, updated_at = :updated_at WHERE rowid = :rowid"
)


@dataclass(frozen=True, slots=True)
class Done:
    aside: Path | None  # where the database before is
    known_tokens: int  # refresh tokens of the backup's accounts that it knew: the newer ones are taken from it


def put_back(config: Config, plan: Plan, now: datetime) -> Done:
    """Copy the file beside the database, then let it take its place in one step. Raises StorageError; the database is
    as it was then. Killed at any moment it leaves the one or the other."""
    target = config.database_path.resolve()  # a link to another disk stays one
    partial = target.with_name(f".{target.name}.restoring")
    aside = _free_name(target.with_name(f"{target.name}{copy_at_rest.SET_ASIDE}{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"))
    try:
        _remove_leftovers(target, partial)
        free = shutil.disk_usage(target.parent).free
        if free < plan.bytes:
            raise StorageError(
                f"{target.parent} has {present.size(free)} free, and the backup needs {present.size(plan.bytes)}.",
                hint="Make room; the database that is there now is kept too.",
            )
        with copy_at_rest.opened(plan.file, in_use=False) as source:
            copies.write_copy(source, partial, mode=_READABLE_BY_GROUP, stop=threading.Event())
        is_whole = target.exists() and left_log.belongs(target)  # one that was killed may have had its log aside
        known = _take_renewed(partial, target) if plan.refresh_tokens and is_whole else 0
        if plan.present is not None and is_whole:
            _empty_log(target)
        is_there = _set_aside(target, aside)
        copies.put_in_place(partial, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            _take_back(target, aside)
            _remove_leftovers(target, partial)
        if not isinstance(error, OSError | sqlite3.Error):
            raise
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise StorageError(f"{plan.file} could not be put in the place of {target}: {reason}.") from error
    return Done(aside if is_there else None, known)


def _take_renewed(partial: Path, target: Path) -> int:
    """A refresh token is spent by its first use, so the backup's are: take those that the database has now, for the
    same accounts. -> how many it knows. What cannot be read is left; those organisations may need new credentials."""
    try:
        with copy_at_rest.opened(target, in_use=False) as connection:
            rows = connection.execute(f"{SEALED} AND c.kind = ?", (REFRESHED,)).fetchall()
    except sqlite3.Error:
        return 0
    known = 0
    with contextlib.closing(sqlite3.connect(partial, isolation_level=None)) as copy:
        copy.execute("BEGIN IMMEDIATE")
        for row in map(dict, rows):
            for rowid, updated_at in copy.execute(_OF_ACCOUNT, row).fetchall():
                known += 1
                if updated_at < row["updated_at"]:
                    copy.execute(_RENEW, {**row, "rowid": rowid})
        copy.execute("COMMIT")
    return known


def _free_name(path: Path) -> Path:
    names = (path, *(path.with_name(f"{path.name}-{number}") for number in range(2, 100)))
    return next((name for name in names if not name.exists()), path)


def _remove_leftovers(target: Path, partial: Path) -> None:
    """Of one that was killed: its copy, and what it set aside."""
    for leftover in (partial, _beside(partial, "-journal")):
        leftover.unlink(missing_ok=True)
    for name in target.parent.glob(f"{glob.escape(target.name)}{copy_at_rest.SET_ASIDE}*"):
        _take_back(target, name)


def _empty_log(target: Path) -> None:
    """Move the log of a database that can be read into it, so that its file alone is all of it. Raises StorageError if
    that cannot be done now. What else is wrong with it is why a backup is put back."""
    try:
        with contextlib.closing(sqlite3.connect(target)) as connection:  # closing it removes the log
            _, in_log, moved = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in _PASSING:
            return
        why = str(error)
    except sqlite3.DatabaseError:
        return
    else:
        if in_log == moved:
            return
        why = "another program reads it"
    raise StorageError(
        f"The log of {target} cannot be moved into it: {why}; nothing was changed.",
        hint=f"End what has it open: fuser {shlex.quote(str(target))} names it. Is there room on the disk?",
    )


def _set_aside(target: Path, aside: Path) -> bool:
    """Give the present database a second name. It keeps its first until the backup takes it, so that at no moment there
    is none: a daemon that starts would make an empty one. Its log is moved, which is empty or of a damaged one: SQLite
    would take it for the backup's. -> whether there was one."""
    log, memory = _beside(target, "-wal"), _beside(target, "-shm")
    if not target.exists():
        for leftover in (log, memory):
            leftover.unlink(missing_ok=True)
        return False
    os.link(target, aside)
    if log.exists():
        log.replace(_beside(aside, "-wal"))
    memory.unlink(missing_ok=True)
    return True


def _take_back(target: Path, aside: Path) -> None:
    """What `_set_aside` did, if the database still has both names: opened under two it would be damaged. Raises
    OSError."""
    if aside.exists() and target.exists() and aside.samefile(target):
        log = _beside(aside, "-wal")
        if log.exists() and not _beside(target, "-wal").exists():
            log.replace(_beside(target, "-wal"))
        aside.unlink()


def _beside(path: Path, end: str) -> Path:
    return path.with_name(path.name + end)
