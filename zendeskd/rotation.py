"""`zendeskd rotate-key`: a new master key, and every stored credential sealed with it, while no daemon runs.

The old key stays beside the new one, and all credentials are sealed in one transaction: killed at any moment, whatever
could be opened before can be opened. The caller holds the daemon's lock.
"""

from __future__ import annotations

import contextlib
import shlex
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from zendeskd import left_log, master_key
from zendeskd.config import Config
from zendeskd.doctor.service import credentials_dir, unit_that_loads_it
from zendeskd.errors import ConfigError, Conflict, CredentialError, StorageError
from zendeskd.master_key import KEY_NAME
from zendeskd.secrets import Vault, key_id_of, open_vault

_STORED: Final = (
    "SELECT c.rowid AS number, i.organization_id, i.system_type, CAST(c.ciphertext AS TEXT) AS ciphertext"
    " FROM credentials c JOIN integrations i ON i.id = c.integration_id ORDER BY i.organization_id, i.system_type"
)


@dataclass(frozen=True, slots=True)
class Given:
    """Keys that a person keeps where the daemon's user cannot write."""

    old_file: Path
    new_file: Path
    old: bytes
    new: bytes


@dataclass(frozen=True, slots=True)
class Done:
    key_id: str
    sealed: int
    left: tuple[str, ...]  # why some could not be opened, in a sentence each: they stay as they are
    kept: Path | None  # where the old key is; None: no new one was needed


def given_keys(old_file: Path, new_file: Path) -> Given:
    """Read both, as the user who called; a new key that is not there yet is made. Raises ConfigError."""
    old = master_key.read(old_file, private=True)
    if not master_key.is_there(new_file):
        master_key.make(new_file)
    new = master_key.read(new_file, private=True)
    if old == new:
        raise ConfigError(f"{old_file} and {new_file} hold the same key.", hint="Name a new file: the key is made.")
    return Given(old_file, new_file, old, new)


def rotate(config: Config, given: Given | None) -> Done:
    """Raises ConfigError where there is no key to work with, Conflict if it opens nothing, StorageError."""
    if given is None:
        return _in_the_state_folder(config)
    if given.old_file.parent.resolve() == config.state_dir.resolve():
        raise ConfigError(
            f"{given.old_file} is the daemon's own: it keeps it itself.", hint="Without options: zendeskd rotate-key"
        )
    older = [master_key.read(path, private=True) for path in master_key.older(config.state_dir)]
    sealed, left = _seal_again(config, Vault(given.new, older=[*older, given.old]))
    return Done(master_key.key_id(given.new), sealed, left, given.old_file)


def _in_the_state_folder(config: Config) -> Done:
    path = config.state_dir / KEY_NAME
    folder = credentials_dir(config)
    where = unit_that_loads_it(config) or (folder if folder is not None and (folder / KEY_NAME).exists() else None)
    if where is not None:
        raise ConfigError(
            f"systemd hands the master key over ({where}); this program cannot write where it comes from.",
            hint="As root, with the files that LoadCredential= names: zendeskd rotate-key --old-key "
            "/etc/zendeskd/master.key --new-key /etc/zendeskd/master.key.new",
        )
    with _database(config) as connection:
        stored = [] if connection is None else [row["ciphertext"] for row in connection.execute(_STORED)]
    if not stored and not master_key.is_there(path):
        raise ConfigError(f"There is no master key {path} yet.", hint="The daemon makes it when it starts.")
    vault = open_vault(config.state_dir, None, create=False)
    problem = vault.problem_with(stored)
    if problem is not None and all(vault.problem_with([one]) for one in stored):
        raise Conflict(f"Nothing was changed: {problem.detail}", hint=problem.hint)
    # one that sealed nothing yet is as good as a new one: the last change was cut off, or a backup was put back
    is_new = bool(stored) and vault.key_id not in map(key_id_of, stored) and bool(master_key.older(config.state_dir))
    kept = None
    if not is_new:
        kept = master_key.replace(path)
        vault = open_vault(config.state_dir, None)
    sealed, left = _seal_again(config, vault)
    return Done(vault.key_id, sealed, left, kept)


def _seal_again(config: Config, vault: Vault) -> tuple[int, tuple[str, ...]]:
    """All of it or nothing. -> how many are sealed with the present key now, and what could not be opened."""
    sealed, left = 0, []
    with _database(config) as connection:
        if connection is None:
            return 0, ()
        connection.execute("PRAGMA secure_delete = on")  # what the old key sealed is to be nowhere in the file
        connection.execute("BEGIN IMMEDIATE")
        for row in connection.execute(_STORED).fetchall():
            try:
                text = vault.reseal(row["organization_id"], row["system_type"], row["ciphertext"])
            except CredentialError as error:
                left.append(f"{row['organization_id']} {row['system_type']}: {error.detail}")
                continue
            connection.execute("UPDATE credentials SET ciphertext = ? WHERE rowid = ?", (text, row["number"]))
            sealed += 1
        if left and not sealed:
            connection.execute("ROLLBACK")
            raise Conflict(f"Nothing was changed: {left[0]}", hint="Is it the right key?")
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return sealed, tuple(left)


@contextlib.contextmanager
def _database(config: Config) -> Iterator[sqlite3.Connection | None]:
    """None: there is no database yet. Raises ConfigError for one with a log of another beside it, StorageError."""
    path = config.database_path
    if not path.exists():
        yield None
        return
    left_log.refuse_another(path)
    try:
        with contextlib.closing(
            sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, isolation_level=None, timeout=2)
        ) as connection:
            connection.row_factory = sqlite3.Row
            connection.text_factory = lambda text: text.decode("utf-8", "replace")  # of a damaged row
            yield connection
    except sqlite3.Error as error:
        raise StorageError(
            f"The credentials in {path} could not be sealed again: {error}.",
            hint=f"They open as before. Make room, end what uses it (fuser {shlex.quote(str(path))}), run it again.",
        ) from error
