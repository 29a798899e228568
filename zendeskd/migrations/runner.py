"""Bringing a database's schema up to date: what is refused, what is copied first, what is applied."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from pathlib import Path
from typing import Any, Final

import peewee
from playhouse.migrations import Runner

from zendeskd import copies
from zendeskd.errors import ConfigError, StorageError

DIRECTORY: Final = Path(__file__).parent
_HISTORY: Final = "schema_migration"
_MAGIC: Final = b"SQLite format 3\0"


def refuse_other_files(path: Path) -> None:
    """Look at the file without opening it as a database; make an empty one, for owner and group, if there is none.

    Raises ConfigError for what is not an SQLite database, StorageError for what cannot be looked at.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            head = os.read(descriptor, len(_MAGIC))
            if not head:
                os.fchmod(descriptor, 0o640)  # whatever the umask: who is in the group may read; SQLite's logs follow
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise ConfigError(
            f"The folder {path.parent} of the database is not there.",
            hint=f"Make it, owned by the daemon's user: install -d -m 750 {path.parent}",
        ) from None
    except IsADirectoryError:
        raise ConfigError(f"{path} is a folder, not a database.", hint="Name a file in it.") from None
    except OSError as error:
        raise StorageError(
            f"The database {path} cannot be opened: {error.strerror}.",
            hint="It and its folder must belong to the daemon's user, on a file system that is mounted writable.",
        ) from None
    if head and head != _MAGIC:
        raise ConfigError(
            f"{path} is not an SQLite database; it was left as it is.",
            hint="Check `database` in the configuration. If it was one and is damaged, put a backup in its place: "
            "zendeskd restore FILE.",
        )


def pending(database: peewee.SqliteDatabase, path: Path, directory: Path) -> list[str]:
    """The names of the migrations still to apply, in order. Writes nothing.

    Raises ConfigError for a database of another program or of a newer version of this one.
    """
    rows = _runner(database, directory).status()
    newer = [row.name for row in rows if row.path is None]
    if newer:
        raise ConfigError(
            f"The database {path} was written by a newer zendeskd (it has {', '.join(newer)}, which this version does "
            "not know); it was left as it is.",
            hint="Install that version again, or start on the backup made before the upgrade.",
        )
    tables = database.get_tables()
    if tables and _HISTORY not in tables:
        raise ConfigError(
            f"The database {path} belongs to another program (it has a table {tables[0]!r}); it was left as it is.",
            hint="Give zendeskd a file of its own.",
        )
    return [row.name for row in rows if not row.applied]


def upgrade(database: peewee.SqliteDatabase, names: list[str], path: Path, backup_dir: Path, directory: Path) -> None:
    """Apply what is pending, each migration in one transaction, after a copy of a database that holds anything."""
    if not names:
        return
    runner = _runner(database, directory)
    if runner.applied():
        connection: sqlite3.Connection = database.connection()  # type: ignore[no-untyped-call]
        _back_up(connection, path, backup_dir / f"{path.stem}-before-{names[0]}.db")
    runner.up()


def _runner(database: peewee.SqliteDatabase, directory: Path) -> Any:
    return Runner(database, str(directory), _HISTORY)  # type: ignore[no-untyped-call]


def _back_up(connection: sqlite3.Connection, path: Path, target: Path) -> None:
    """A second try of the same upgrade replaces the copy of the first: the database has not changed in between."""
    partial = target.with_suffix(".partial")
    try:
        target.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        copies.write_copy(connection, partial, stop=threading.Event())
        copies.put_in_place(partial, target)
    except (OSError, sqlite3.Error) as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise StorageError(
            f"{path} must be upgraded, and the copy that is made first could not be written to {target}: {error}. "
            "The database was left as it is.",
            hint="Make room for a second copy of the database there.",
        ) from error
