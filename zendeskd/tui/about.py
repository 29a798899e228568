"""What is said about the daemon itself. Pure; text, no Textual."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from zendeskd import present, wire
from zendeskd.present import clean, number
from zendeskd.tui import cards
from zendeskd.tui.rows import name_of
from zendeskd.tui.state import Key, key_of
from zendeskd.tui.times import TimeStyle

LABEL_CELLS = 11
_DUTIES: Mapping[str, str] = {"scheduler": "says which runs are due", "worker": "waits for work"}


def facts(daemon: wire.DaemonStatus, busy: int, compared: str, now: datetime, times: TimeStyle) -> list[str]:
    """One line each, begun by its label. `busy`: workers with a run in hand; `compared`: see `last_comparison`."""
    database, backup = daemon.database, daemon.backup
    lines = {
        "version": f"{clean(daemon.version)}, API {daemon.api_version}",
        "process": f"pid {daemon.pid}, boot {clean(daemon.boot_id)}",
        "started": f"{times.clock(daemon.started_at, now)}, up {present.since(daemon.started_at, now)}",
        "config": f"{clean(daemon.config_file) or 'no file, the defaults'}, "
        f"loaded {times.clock(daemon.config_loaded_at, now)}",
        "socket": f"{clean(daemon.socket)}; you are {clean(daemon.role)}",
        "access": present.access(daemon.access),
        "log": clean(daemon.log_file),
        "database": f"{clean(database.path)}, {present.size(database.bytes)}, "
        f"WAL {present.size(database.wal_bytes)}, {number(database.records)} records",
        "trouble": clean(database.trouble) or "none",
        "workers": f"{min(busy, daemon.workers)} of {daemon.workers} busy, {number(daemon.queue_length)} queued",
        "compared": compared,
        "backup": "not known" if backup is None else present.backups(backup, now),
    }
    return [f" {label:<{LABEL_CELLS - 1}}{text}" for label, text in lines.items()]


def threads(health: wire.Health, asked_ago_s: float) -> list[str]:
    """How long ago each thread moved, counted on since it was asked, and what it does."""
    word = "ok" if health.ok else "NOT WELL"
    lines = [f" Threads: {word}, {clean(health.detail)}"]
    for name, age_s in health.threads.items():
        does = health.doing.get(name) or _DUTIES.get(name.split("-")[0], "")
        lines.append(f"   {clean(name):<16} moved {present.span(age_s + asked_ago_s):>4} ago   {clean(does)}".rstrip())
    return lines


def budgets(items: Iterable[wire.SyncStatus], hosts: Mapping[Key, str]) -> list[str]:
    """What may still be asked of each account, where a run asks just now. `hosts`: the account of each integration."""
    told: dict[str, str] = {}
    for item in items:
        found = item.budgets or ([] if item.run is None else item.run.budgets)
        if found:
            told[clean(hosts.get(key_of(item))) or name_of(item)] = cards.budgets(found)
    if not told:
        return [" Rate limits: none is known, no run is asking"]
    return [
        " Rate limits, of the accounts that runs ask just now",
        *(f"   {host}  {text}" for host, text in told.items()),
    ]


def last_comparison(items: Iterable[wire.SyncStatus], now: datetime) -> str:
    """The newest one of all organisations."""
    ended = [(one.finished_at, name_of(item), one) for item in items if (one := item.reconciled) and one.finished_at]
    if not ended:
        return "none yet"
    _, name, newest = max(ended, key=lambda each: each[:2])
    return f"{name} {present.verified(newest, now)}"
