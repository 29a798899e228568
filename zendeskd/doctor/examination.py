"""`zendeskd doctor`: looks at everything the daemon depends on, beside a running daemon or without one.

It changes nothing: no key is made, no folder, no database, and no token is renewed that only the daemon may renew.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from zendeskd import left_log, master_key, paths
from zendeskd.backup import found, is_overdue
from zendeskd.client import ApiError, Client, DaemonUnreachable, IncompatibleApi
from zendeskd.config import Config, load
from zendeskd.cron import CronExpression
from zendeskd.doctor import copy_at_rest
from zendeskd.doctor.accounts import examine_accounts
from zendeskd.doctor.findings import Finding, failed, ok, warning
from zendeskd.doctor.service import (
    become_owner,
    credentials_dir,
    key_file,
    unit_that_loads_it,
    unreadable,
    vault,
)
from zendeskd.errors import ConfigError, ZendeskdError
from zendeskd.lock import holder
from zendeskd.master_key import KEY_NAME
from zendeskd.models import parse_stamp, utcnow
from zendeskd.secrets import key_id_of, open_vault

LOCK_NAME: Final = "zendeskd.lock"
QUICK_CHECK_S: Final = 20.0
DISK_LEAST: Final = 200 * 2**20
DISK_COMFORT: Final = 2 * 2**30
_SANE_YEARS: Final = range(2026, 2100)


def examine(
    overrides: Mapping[str, object], environ: Mapping[str, str], now: Callable[[], datetime] = utcnow
) -> list[Finding]:
    """Everything, in the order in which one thing needs the other. Raises nothing expected."""
    try:
        config = load(overrides, environ)
    except ConfigError as error:
        return [failed("configuration", problem, error.hint) for problem in error.problems]
    become_owner(config.state_dir)
    pid = _daemon_pid(config)
    findings = [
        _configuration(config),
        _clock(config, now(), pid),
        *_folders(config),
        *_database(config, pid),
        _backups(config, pid, now()),
        *_key(config, pid),
        _disk(config),
        _socket(config, pid),
        _unit(environ),
    ]
    return findings + accounts(config, now)


def accounts(config: Config, now: Callable[[], datetime] = utcnow) -> list[Finding]:
    """Every account: can it be reached, do its credentials work, how much may be asked. Takes a minute at most."""
    pid = _daemon_pid(config)
    path = config.database_path
    if not path.exists():
        return []
    try:
        with copy_at_rest.opened(path, in_use=pid is not None) as connection:
            fleet = copy_at_rest.integrations(connection)
    except sqlite3.Error as error:
        return [failed("accounts", f"cannot be read from {path}: {error}")]
    return examine_accounts(fleet, vault(config), config.control_socket if pid else None, now)


# --- one thing each ---------------------------------------------------------------------------------------------------


def _configuration(config: Config) -> Finding:
    if why := unreadable(config):
        return failed("configuration", why, f"chmod 644 {config.file}")
    detail = f"{config.file or 'no file'}; zendeskd check --show tells every value"
    if config.state_dir != paths.SYSTEM_STATE and paths.SYSTEM_STATE.exists() and not paths.is_system_wide():
        return warning("configuration", detail, f"for the daemon of {paths.SYSTEM_STATE} run this as root")
    return ok("configuration", detail)


def _clock(config: Config, now: datetime, pid: int | None) -> Finding:
    if now.year not in _SANE_YEARS:
        return failed("clock", f"says {now:%Y-%m-%d %H:%M} UTC", "set it, and let a time service keep it: timedatectl")
    last = _last_written(config, pid)
    if last is not None and last - now > timedelta(minutes=5):
        return warning(
            "clock",
            f"says {now:%Y-%m-%d %H:%M} UTC, but a run ended at {last:%Y-%m-%d %H:%M} UTC",
            "it was set back, or was wrong then: timedatectl",
        )
    return ok("clock", f"{now.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC")


def _last_written(config: Config, pid: int | None) -> datetime | None:
    try:
        with copy_at_rest.opened(config.database_path, in_use=pid is not None) as connection:
            return parse_stamp(copy_at_rest.newest_instant(connection))
    except (sqlite3.Error, ValueError):
        return None  # said where the database is examined


def _ciphertexts(path: Path, *, in_use: bool) -> list[str]:
    try:
        with copy_at_rest.opened(path, in_use=in_use) as connection:
            return copy_at_rest.ciphertexts(connection)
    except sqlite3.Error:
        return []  # said where the file is examined


def _folders(config: Config) -> list[Finding]:
    findings = []
    for key, folder in (
        ("state_dir", config.state_dir),
        ("runtime_dir", config.runtime_dir),
        ("log_dir", config.log_dir),
    ):
        if not folder.exists():
            findings.append(warning(key, f"{folder} is not there yet", "the daemon makes it when it starts"))
        elif not os.access(folder, os.W_OK | os.X_OK):
            who = pwd.getpwuid(os.geteuid()).pw_name
            findings.append(failed(key, f"{folder} cannot be written by {who}", f"chown -R {who}: {folder}"))
        elif key == "state_dir" and folder.stat().st_mode & 0o007:
            findings.append(
                warning(key, f"{folder} can be read by everybody, and it holds tickets", f"chmod o= {folder}")
            )
        else:
            findings.append(ok(key, str(folder)))
    log = config.log_file
    if log.exists() and not os.access(log, os.W_OK):
        findings.append(warning("log", f"{log} cannot be written: the daemon works on without it", f"chown it: {log}"))
    return findings


def _database(config: Config, pid: int | None) -> list[Finding]:
    path = config.database_path
    if not path.exists():
        return [warning("database", f"{path} is not there yet", "the daemon makes it when it starts")]
    restore = f"stop the daemon; zendeskd restore FILE puts a backup in its place ({config.backup_dir})"
    try:
        if pid is None:
            left_log.refuse_another(path)
        with copy_at_rest.opened(path, in_use=pid is not None) as connection:
            newer, missing = copy_at_rest.versions(connection)
            verdict = copy_at_rest.quick_check(connection, QUICK_CHECK_S)
    except ZendeskdError as error:
        return [failed("database", error.detail, error.hint)]
    except sqlite3.Error as error:
        return [failed("database", f"{path} cannot be read: {error}", restore)]
    if newer:
        return [failed("database", f"{path} was written by a newer zendeskd ({newer[-1]})", "install that version")]
    if verdict not in {None, "ok"}:
        return [failed("database", f"{path} is damaged: {verdict}", restore)]
    checked = "quick_check ok" if verdict else f"quick_check found nothing wrong in {QUICK_CHECK_S:.0f} s"
    findings = [ok("database", f"{path}, {_size(_bytes(path))}, {checked}")]
    if missing:
        findings.append(warning("database", f"is of an older version; {missing[-1]} is applied at the next start"))
    log = _bytes(path.with_name(path.name + "-wal"))
    if log > max(2**30, _bytes(path) // 2):
        findings.append(
            warning("database", f"its write-ahead log has {_size(log)}", "end whatever keeps a read open on it")
        )
    return findings


def _backups(config: Config, pid: int | None, now: datetime) -> Finding:
    folder, backups = config.backup_dir, found(config.backup_dir)
    newest = backups[0] if backups else None
    if newest is not None:
        try:
            with copy_at_rest.opened(newest.path, in_use=False) as connection:
                verdict = copy_at_rest.quick_check(connection, QUICK_CHECK_S)
        except sqlite3.Error as error:
            verdict = str(error)
        if verdict not in {None, "ok"}:
            return failed("backups", f"{newest.path} is damaged: {verdict}", "make another: zendeskctl backup")
    said = "none yet" if newest is None else f"newest {newest.path}, {_size(newest.bytes)}"
    if config.backup_schedule is None:
        return ok("backups", f"{said}; no schedule")
    cron = CronExpression(config.backup_schedule, config.timezone)
    since = newest.started_at if newest is not None else _first_organization(config, pid)
    if is_overdue(cron, since, now):
        return warning(
            "backups",
            f"{said}; two or more of the schedule ({cron.text}) were missed in {folder}",
            "zendeskctl backup makes one now, or says why it cannot",
        )
    return ok("backups", said)


def _first_organization(config: Config, pid: int | None) -> datetime | None:
    try:
        with copy_at_rest.opened(config.database_path, in_use=pid is not None) as connection:
            return parse_stamp(connection.execute("SELECT min(created_at) FROM organizations").fetchone()[0])
    except (sqlite3.Error, ValueError):
        return None


def _key(config: Config, pid: int | None) -> list[Finding]:
    place = key_file(config)
    if place is None and pid is None and (unit := unit_that_loads_it(config)):
        return [ok("key", f"handed over by systemd when the unit starts ({unit})")]
    sealed = _ciphertexts(config.database_path, in_use=pid is not None)
    if place is None and sealed:
        return [
            failed(
                "key",
                f"{config.state_dir / KEY_NAME} is missing, and stored credentials are sealed with it",
                "put it back from your backup, or enter all credentials again",
            )
        ]
    if place is None:
        return [warning("key", "there is none yet", "the daemon makes one when it starts")]
    try:
        vault = open_vault(config.state_dir, credentials_dir(config))
    except ZendeskdError as error:
        return [failed("key", error.detail, error.hint)]
    if (problem := vault.problem_with(sealed)) is not None:
        return [failed("key", f"{place}: {problem.detail}", problem.hint)]
    if older := sum(key_id_of(text) not in {"", vault.key_id} for text in sealed):
        detail = f"{place}; {older} of {len(sealed)} stored credentials are still sealed with an older one beside it"
        return [warning("key", detail, "stop the daemon; zendeskd rotate-key seals them with this one")]
    return [ok("key", str(place)), *_older_keys(config, sealed)]


def _older_keys(config: Config, sealed: list[str]) -> list[Finding]:
    """Those that a rotation kept and that nothing here needs any more. None while anything that may need one cannot be
    read."""
    keys = master_key.older(config.state_dir)
    if not keys:
        return []
    needed = {key_id_of(text) for text in sealed}
    try:
        for path in _copies(config):
            with copy_at_rest.opened(path, in_use=False) as connection:
                needed |= {key_id_of(text) for text in copy_at_rest.ciphertexts(connection)}
    except (OSError, sqlite3.Error):
        return []
    return [
        warning("key", f"{path} is needed by nothing here any more", "remove it, unless backups elsewhere need it")
        for path in keys
        if path.suffix[1:] not in needed
    ]


def _copies(config: Config) -> list[Path]:
    """Backups, copies from before an upgrade, databases that a restore set aside. Raises OSError."""
    path = config.database_path.resolve()
    copies: list[Path] = []
    with contextlib.suppress(FileNotFoundError):  # none was made yet
        copies += [one for one in config.backup_dir.iterdir() if one.suffix == ".db"]
    beside = (one for one in path.parent.iterdir() if one.name.startswith(f"{path.name}{copy_at_rest.SET_ASIDE}"))
    return copies + [one for one in beside if not one.name.endswith(("-wal", "-shm"))]


def _disk(config: Config) -> Finding:
    folder = next((f for f in (config.database_path.parent, *config.database_path.parents) if f.exists()), Path("/"))
    usage = shutil.disk_usage(folder)
    detail = f"{_size(usage.free)} free of {_size(usage.total)} under {folder}"
    if usage.free < DISK_LEAST:
        return failed("disk", detail, "make room: without it no run can store anything")
    if usage.free < max(DISK_COMFORT, _bytes(config.database_path) // 4):
        return warning("disk", detail, "make room before the copy grows into what is left")
    return ok("disk", detail)


def _socket(config: Config, pid: int | None) -> Finding:
    if pid is None:
        start = "systemctl start zendeskd; if it fails: journalctl -u zendeskd -n 20"
        return warning("daemon", f"does not run in {config.state_dir}", start)
    try:
        with Client(config.control_socket, timeout_s=10) as client:
            health = client.health()
    except (DaemonUnreachable, ApiError, IncompatibleApi) as error:
        return failed("daemon", f"pid {pid}: {error.detail}", error.hint)
    if not health.ok:
        return failed("daemon", f"pid {pid}: {health.detail}", "journalctl -u zendeskd -n 50")
    return ok("daemon", f"pid {pid} answers on {config.control_socket}")


def _unit(environ: Mapping[str, str]) -> Finding:
    there = next((path for path in paths.UNIT_FILES if path.exists()), None)
    if there is not None:
        return ok("unit file", str(there))
    if not Path("/run/systemd/system").exists():
        return ok("unit file", "none, and this host runs no systemd: zendeskd start detaches by itself")
    return warning("unit file", "none: nobody starts the daemon after a reboot", "docs/operate.md has the commands")


# --- where things are -------------------------------------------------------------------------------------------------


def _daemon_pid(config: Config) -> int | None:
    try:
        return holder(config.state_dir / LOCK_NAME)
    except OSError:
        return None


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _size(count: int) -> str:
    amount = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 10 else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TB"
