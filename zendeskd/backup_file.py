"""A backup as `zendeskd restore` looks at it before anything is done: is it sound, is it ours, does the key open it.

Changes nothing. The caller holds the daemon's lock.
"""

from __future__ import annotations

import errno
import os
import pwd
import shlex
import sqlite3
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from zendeskd import left_log, present
from zendeskd.config import Config
from zendeskd.doctor import copy_at_rest
from zendeskd.doctor.service import key_file, unit_that_loads_it, vault
from zendeskd.errors import BadRequest, ConfigError, CredentialError, StorageError

REFRESHED: Final = "oauth_refresh_token"
_COUNTS: Final = (
    "SELECT (SELECT count(*) FROM organizations), (SELECT coalesce(sum(total_records), 0) FROM integrations),"
    " (SELECT max(synced_at) FROM sync_logs)"
)
SEALED: Final = (
    "SELECT i.organization_id, i.system_type, c.kind, CAST(c.ciphertext AS TEXT) AS ciphertext, c.revision,"
    " c.expires_at, c.verified_at,"
    " c.updated_at, i.base_url FROM credentials c JOIN integrations i ON i.id = c.integration_id WHERE c.is_active"
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
    other_log: bool  # beside it lies the log of another database, which nothing may read into it
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
        if self.other_log:
            said.append(f"log      {target}-wal was left by another database; it is moved away, and not read")
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
        size = _size(file)
        if target.exists() and file.samefile(target):
            raise BadRequest(f"{file} is the database itself.", hint="Name a backup of it.")
    except OSError as error:
        hint = ""
        if isinstance(error, PermissionError):
            user = pwd.getpwuid(os.geteuid()).pw_name
            named = shlex.quote(str(file))
            hint = f"It is read as {user}: install -o {user} -m 600 {named} {shlex.quote(str(config.state_dir))}/"
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
            sealed = connection.execute(SEALED).fetchall()
    except sqlite3.Error as error:
        raise _not_sound(file, str(error)) from None
    unopened, untried = _try_key(config, sealed)
    return Plan(
        file=file,
        bytes=size,
        contents=contents,
        older=tuple(older),
        present=_contents_of(target),
        other_log=not left_log.belongs(target),
        unopened=unopened,
        untried=untried,
        refresh_tokens=sum(row["kind"] == REFRESHED for row in sealed),
    )


def _size(file: Path) -> int:
    """Raises OSError, also for what is no file: a pipe would wait for its writer."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, os.strerror(errno.EISDIR) if stat.S_ISDIR(status.st_mode) else "It is not a file")
    return status.st_size


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
