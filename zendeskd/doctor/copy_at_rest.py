"""The database as `zendeskd doctor` sees it: read only, beside a running daemon or without one.

It reads the public tables with plain SQL and never opens the database the daemon's way, which would create and migrate.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

from zendeskd import left_log
from zendeskd.errors import StorageError
from zendeskd.migrations.runner import DIRECTORY
from zendeskd.models import Integration

SET_ASIDE: Final = ".before-restore-"
"""Between the name of the database and the time, in that of the one that was there before a restore."""

_STEPS: Final = 10_000  # of SQLite's virtual machine between two looks at the clock


@dataclass(frozen=True, slots=True)
class Sealed:
    """One integration and its sealed credential, "" if it has none."""

    integration: Integration
    ciphertext: str


@contextmanager
def opened(path: Path, *, in_use: bool) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write. Raises sqlite3.Error.

    `in_use`: a daemon runs. Without one and without a write-ahead log the file is read as immutable, which leaves no
    files behind that the daemon's user might not be able to open; so is one beside which another's log was left.
    """
    path = path.resolve()  # the log lies beside what a link points to
    immutable = "" if in_use or _has_log(path) else "&immutable=1"
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro{immutable}", uri=True, timeout=5)
    connection.row_factory = sqlite3.Row
    connection.text_factory = lambda text: text.decode("utf-8", "replace")  # damaged rows are to be told
    try:
        yield connection
    finally:
        connection.close()


def _has_log(path: Path) -> bool:
    try:
        return path.with_name(path.name + "-wal").exists() and left_log.belongs(path)
    except StorageError:
        return True  # SQLite says what is wrong with it


def quick_check(
    connection: sqlite3.Connection, within_s: float, monotonic: Callable[[], float] = time.monotonic
) -> str | None:
    """SQLite's own examination: "ok", or what is wrong; None if it found nothing wrong within the time."""
    ends = monotonic() + within_s
    connection.set_progress_handler(lambda: monotonic() > ends, _STEPS)
    try:
        rows = connection.execute("PRAGMA quick_check(5)").fetchall()
    except sqlite3.OperationalError as error:
        if "interrupted" in str(error):
            return None
        raise
    finally:
        connection.set_progress_handler(None, 0)
    return "; ".join(str(row[0]) for row in rows)


def versions(connection: sqlite3.Connection) -> tuple[list[str], list[str]]:
    """Migrations that the database has and this program does not know, and the other way round."""
    known = {path.stem for path in DIRECTORY.glob("[0-9]*.py")}
    applied = {row[0] for row in connection.execute("SELECT name FROM schema_migration")}
    return sorted(applied - known), sorted(known - applied)


def integrations(connection: sqlite3.Connection) -> list[Sealed]:
    """Every integration with its credential, by name."""
    rows = connection.execute(
        "SELECT i.*, o.name AS organization_name, c.kind AS credential_kind, c.expires_at AS credential_expires_at,"
        " CAST(c.ciphertext AS TEXT) AS ciphertext FROM integrations i JOIN organizations o ON o.id = i.organization_id"
        " LEFT JOIN credentials c ON c.integration_id = i.id AND c.is_active ORDER BY i.organization_id, i.system_type"
    ).fetchall()
    return [Sealed(msgspec.convert(dict(row), Integration, strict=False), row["ciphertext"] or "") for row in rows]


def ciphertexts(connection: sqlite3.Connection) -> list[str]:
    """Everything that is sealed with the master key."""
    return [row[0] for row in connection.execute("SELECT CAST(ciphertext AS TEXT) FROM credentials")]


def newest_instant(connection: sqlite3.Connection) -> str | None:
    """When the daemon last wrote down the end of a run."""
    row = connection.execute("SELECT max(synced_at) FROM sync_logs").fetchone()
    return None if row is None else row[0]
