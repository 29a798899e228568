"""`zendeskd restore`: put a backup in the place of the database, while no daemon runs.

`examine` looks at everything first and changes nothing; `put_back` then does it. What was there is kept aside. The
caller holds the daemon's lock.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import sqlite3
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from zendeskd import copies, present
from zendeskd.config import Config
from zendeskd.doctor import copy_at_rest
from zendeskd.doctor.service import key_file, unit_that_loads_it, vault
from zendeskd.errors import BadRequest, ConfigError, CredentialError, StorageError

_REFRESHED: Final = "oauth_refresh_token"
_READABLE_BY_GROUP: Final = 0o640  # as the daemon makes its database
_COUNTS: Final = (
    "SELECT (SELECT count(*) FROM organizations), (SELECT coalesce(sum(total_records), 0) FROM integrations),"
    " (SELECT max(synced_at) FROM sync_logs)"
)
_SEALED: Final = (
    "SELECT i.organization_id, i.system_type, c.kind, c.ciphertext, c.revision, c.expires_at, c.verified_at,"
    " c.updated_at, i.base_url FROM credentials c JOIN integrations i ON i.id = c.integration_id WHERE c.is_active"
)
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
class Contents:
    """What a database holds, in numbers."""

    organizations: int
    records: int
    last_run_at: str | None

    def __str__(self) -> str:
        until = f", last run {self.last_run_at}" if self.last_run_at else ", never synced"
        return f"{present.plural(self.organizations, 'organisation')}, {present.plural(self.records, 'record')}{until}"


@dataclass(frozen=True, slots=True)
class Plan:
    """A backup that was looked at. `unopened` says why the present key does not open its credentials."""

    file: Path
    bytes: int
    contents: Contents
    older: tuple[str, ...]  # migrations that it lacks
    present: Contents | None  # None: there is no database, or it cannot be read
    unopened: CredentialError | ConfigError | None
    untried: str  # why the key could not be tried
    refresh_tokens: int

    def lines(self, target: Path) -> list[str]:
        """For a person, before anything is done."""
        said = [
            f"backup   {self.file}, {present.size(self.bytes)}, is sound",
            f"holds    {self.contents}",
            f"instead  {self.present}" if self.present else f"instead  nothing that can be read in {target}",
        ]
        if self.older:
            said.append(f"schema   older; {', '.join(self.older)} is applied when the daemon starts")
        if self.unopened is not None:
            said.append(f"key      {self.unopened.detail}")
        elif self.untried:
            said.append(f"key      not tried: {self.untried}")
        return said


def examine(config: Config, file: Path) -> Plan:
    """Look at the file, the key and what is there now. Takes as long as reading the file.

    Raises BadRequest or ConfigError for a file that cannot be put back (also one of a newer program), StorageError for
    one that cannot be read.
    """
    target = config.database_path
    try:
        with file.open("rb"):
            size = file.stat().st_size
        if target.exists() and file.samefile(target):
            raise BadRequest(f"{file} is the database itself.", hint="Name a backup of it.")
    except OSError as error:
        hint = ""
        if isinstance(error, PermissionError):
            user = pwd.getpwuid(os.geteuid()).pw_name
            hint = f"It is read as {user}: install -o {user} -m 600 {file} {config.state_dir}/"
        raise StorageError(f"{file} cannot be read: {error.strerror}.", hint=hint) from None
    try:
        with copy_at_rest.opened(file, in_use=False) as connection:
            newer, older = _versions(connection, file)
            if newer:
                raise ConfigError(
                    f"{file} was written by a newer zendeskd (it has {', '.join(newer)}, which this version does not "
                    "know).",
                    hint="Install that version again.",
                )
            verdict = copy_at_rest.quick_check(connection, float("inf"))
            if verdict != "ok":
                raise _not_sound(file, str(verdict))
            contents = _contents(connection)
            sealed = connection.execute(_SEALED).fetchall()
    except sqlite3.Error as error:
        raise _not_sound(file, str(error)) from None
    unopened, untried = _try_key(config, sealed)
    return Plan(
        file=file,
        bytes=size,
        contents=contents,
        older=tuple(older),
        present=_contents_of(target),
        unopened=unopened,
        untried=untried,
        refresh_tokens=sum(row["kind"] == _REFRESHED for row in sealed),
    )


@dataclass(frozen=True, slots=True)
class Done:
    aside: Path | None  # where the database before is
    known_tokens: int  # refresh tokens of the backup's accounts that it knew: the newer ones are taken from it


def put_back(config: Config, plan: Plan, now: datetime) -> Done:
    """Copy the file beside the database, then let it take its place in one step. Raises StorageError; the database is
    as it was then."""
    target = config.database_path
    partial = target.with_name(f".{target.name}.restoring")
    aside = _free_name(target.with_name(f"{target.name}.before-restore-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"))
    try:
        partial.unlink(missing_ok=True)  # of one that was killed
        free = shutil.disk_usage(target.parent).free
        if free < plan.bytes:
            raise StorageError(
                f"{target.parent} has {present.size(free)} free, and the backup needs {present.size(plan.bytes)}.",
                hint="Make room; the database that is there now is kept too.",
            )
        with copy_at_rest.opened(plan.file, in_use=False) as source:
            copies.write_copy(source, partial, mode=_READABLE_BY_GROUP, stop=threading.Event())
        known = _take_renewed(partial, target) if plan.refresh_tokens and target.exists() else 0
        is_there = _set_aside(target, aside, is_sound=plan.present is not None)
        copies.put_in_place(partial, target)
    except (OSError, sqlite3.Error) as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise StorageError(f"{plan.file} could not be put in the place of {target}: {reason}.") from error
    return Done(aside if is_there else None, known)


# --- looking ----------------------------------------------------------------------------------------------------------


def _versions(connection: sqlite3.Connection, file: Path) -> tuple[list[str], list[str]]:
    try:
        return copy_at_rest.versions(connection)
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        raise BadRequest(f"{file} is not a database of zendeskd.", hint="zendeskctl backup makes one.") from None


def _not_sound(file: Path, why: str) -> BadRequest:
    return BadRequest(f"{file} is damaged, or no database: {why}.", hint="Take an older one; nothing was changed.")


def _contents(connection: sqlite3.Connection) -> Contents:
    return Contents(*connection.execute(_COUNTS).fetchone())


def _contents_of(target: Path) -> Contents | None:
    if not target.exists():
        return None
    try:
        with copy_at_rest.opened(target, in_use=False) as connection:
            return _contents(connection)
    except sqlite3.Error:
        return None  # it is why a backup is put back


def _try_key(config: Config, sealed: list[sqlite3.Row]) -> tuple[CredentialError | ConfigError | None, str]:
    """Why the present key does not open what is sealed (None: it does), and why it could not be tried ("": it was)."""
    if not sealed:
        return None, ""
    if key_file(config) is None and (unit := unit_that_loads_it(config)):
        return None, f"systemd hands it over when the unit starts ({unit})"
    opened = vault(config)
    if opened is None:
        return ConfigError(
            f"There is no master key that can be used in {config.state_dir}, and the backup's credentials are sealed.",
            hint="Put master.key back first: it is in no backup.",
        ), ""
    for row in sealed:
        try:
            opened.unseal(row["organization_id"], row["system_type"], row["ciphertext"])
        except CredentialError as error:
            return error, ""
    return None, ""


# --- doing ------------------------------------------------------------------------------------------------------------


def _take_renewed(partial: Path, target: Path) -> int:
    """A refresh token is spent by its first use, so the backup's are: take those that the database has now, for the
    same accounts. -> how many it knows. What cannot be read is left; those organisations may need new credentials."""
    try:
        with copy_at_rest.opened(target, in_use=False) as connection:
            rows = connection.execute(f"{_SEALED} AND c.kind = ?", (_REFRESHED,)).fetchall()
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


def _set_aside(target: Path, aside: Path, *, is_sound: bool) -> bool:
    """Give the present database a second name. It keeps its first until the backup takes it, so that at no moment there
    is none: a daemon that starts would make an empty one. -> whether there was one."""
    log, memory = (target.with_name(target.name + end) for end in ("-wal", "-shm"))
    if not target.exists():
        for leftover in (log, memory):  # SQLite would take them for the backup's
            leftover.unlink(missing_ok=True)
        return False
    if is_sound:  # else nothing may touch it: SQLite removes a log that does not fit, and somebody may want to mend it
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(target)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # closing it removes the log then
    os.link(target, aside)
    if log.exists():
        log.replace(aside.with_name(aside.name + "-wal"))
    memory.unlink(missing_ok=True)
    return True
