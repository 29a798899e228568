"""The table of settings: key, default, what is right, and whether a reload applies it. No file, no environment here."""

from __future__ import annotations

import grp
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from zendeskd.cron import CronExpression, parse_zone
from zendeskd.errors import BadRequest
from zendeskd.paths import SOCKET_PATH_LIMIT

_SPAN: Final = re.compile(r"(\d{1,6})([mhdw])")
_SPAN_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SIZE: Final = re.compile(r"(\d{1,9})\s*([kmg])i?b", re.IGNORECASE)
_SIZE_UNITS: Final = {"k": 2**10, "m": 2**20, "g": 2**30}
LEVELS: Final = ("debug", "info", "warning", "error")
SQLITE: Final = "sqlite:///"


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of the file ("retention.sync_logs"). `parse` raises ValueError that says what would be right.

    `default` is in the file's own form; None stands for a default that depends on where the program runs.
    """

    key: str
    parse: Callable[[object], object]
    default: object = None
    live: bool = False  # a reload applies it; the others take effect at the next start


def _text(value: object, example: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be text, for example {example}")
    return value.strip()


def folder(value: object) -> Path:
    path = Path(_text(value, '"/var/lib/zendeskd"'))
    if not path.is_absolute():
        raise ValueError('must be an absolute path, for example "/var/lib/zendeskd"')
    if "\0" in str(path):
        raise ValueError("must not contain a NUL character")
    return path


def socket_path(value: object) -> Path:
    path = folder(value)
    if len(str(path).encode()) > SOCKET_PATH_LIMIT:
        raise ValueError(f"must be at most {SOCKET_PATH_LIMIT} bytes long, the system's limit for a socket")
    return path


def database(value: object) -> str:
    url = _text(value, '"sqlite:////var/lib/zendeskd/zendeskd.db"')
    if not url.startswith(SQLITE):
        scheme = url.split(":", 1)[0] if ":" in url else "no scheme"
        raise ValueError(f'must be SQLite, for example "sqlite:////var/lib/zendeskd/zendeskd.db", not {scheme}')
    if not database_path(url).is_absolute() or database_path(url).name == "":
        raise ValueError('must name an absolute path after sqlite:///, so four slashes: "sqlite:////var/lib/..."')
    return url


def database_path(url: str) -> Path:
    """The file of a `sqlite:///` URL."""
    return Path(unquote(url.removeprefix(SQLITE)))


def between(low: int, high: int) -> Callable[[object], int]:
    def parse(value: object) -> int:
        if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
            raise ValueError(f"must be a whole number from {low} to {high}, without quotation marks")
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return value

    return parse


def zone(value: object) -> str:
    name = _text(value, '"America/New_York"')
    try:
        parse_zone(name)
    except BadRequest as error:
        raise ValueError(f"{error.detail}; it must be {error.hint}") from None
    return name


def interval(value: object) -> str:
    text = _text(value, '"*/15 * * * *"')
    try:
        return CronExpression(text, "UTC").text
    except BadRequest as error:
        raise ValueError(f"{error.detail}; {error.hint}") from None


def interval_or_off(value: object) -> str | None:
    return None if value in {"off", ""} else interval(value)


def span(value: object) -> timedelta:
    match = _SPAN.fullmatch(_text(value, '"90d"'))
    if match is None or int(match[1]) == 0:
        raise ValueError('must be a span: a number and m, h, d or w, for example "90d" or "12h"')
    return timedelta(**{_SPAN_UNITS[match[2]]: int(match[1])})


def lookback(value: object) -> str:
    text = _text(value, '"7d" or "all"').lower()
    if text != "all" and (not text.endswith(("h", "d", "w")) or not _SPAN.fullmatch(text) or int(text[:-1]) == 0):
        raise ValueError('must be a span of hours, days or weeks, or "all": for example "7d"')
    return text


def size(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        amount = value
    else:
        match = _SIZE.fullmatch(_text(value, '"20 MB"'))
        if match is None:
            raise ValueError('must be a number of bytes, or text like "20 MB"')
        amount = int(match[1]) * _SIZE_UNITS[match[2].lower()]
    if not 2**16 <= amount <= 2**34:
        raise ValueError('must be from "64 KB" to "16 GB"')
    return amount


def group(value: object) -> str | None:
    name = _text(value, '"zendeskd"')
    if not name:
        return None
    try:
        grp.getgrnam(name)
    except KeyError:
        raise ValueError(f"names a group that this host does not have: groupadd --system {name}") from None
    return name


def level(value: object) -> str:
    name = _text(value, '"info"').lower()
    if name not in LEVELS:
        raise ValueError(f"must be one of {', '.join(LEVELS)}")
    return name


SETTINGS: Final = {
    s.key: s
    for s in (
        Setting("state_dir", folder),
        Setting("runtime_dir", folder),
        Setting("log_dir", folder),
        Setting("database", database),
        Setting("workers", between(1, 64), 8),
        Setting("timezone", zone, "America/New_York", live=True),
        Setting("default_interval", interval, "*/15 * * * *", live=True),
        Setting("lookback", lookback, "7d", live=True),
        Setting("retention.sync_logs", span, "90d", live=True),
        Setting("retention.audit_log", span, "365d", live=True),
        Setting("reconcile.schedule", interval_or_off, "10 3 * * *", live=True),
        Setting("backup.schedule", interval_or_off, "0 3 * * *", live=True),
        Setting("backup.keep", between(1, 1000), 7, live=True),
        Setting("control.socket", socket_path),
        Setting("control.operators", group, ""),
        Setting("control.viewers", group, ""),
        Setting("logging.level", level, "info", live=True),
        Setting("logging.max_bytes", size, "20 MB"),
        Setting("logging.keep", between(1, 100), 10),
    )
}
"""Every setting there is, in the order in which people read them."""
