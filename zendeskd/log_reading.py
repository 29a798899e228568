"""Reading back what the daemon logged: the log file and its rotated ones, newest line first, so much at a time.

Lines are without secrets already. A line that is cut off, garbled or no log line is left out. The files may be rotated,
moved or written to meanwhile. Any thread.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from zendeskd import log_pieces
from zendeskd.log_pieces import AT, end_before, files, pieces
from zendeskd.models import stamp

LEVELS: Final = ("debug", "info", "warning", "error", "critical")

MOST_BYTES: Final = 32 * 1024 * 1024
MOST_S: Final = 2.0
"""One call looks through so much of the files, for so long; then it says where to go on."""

MOST_FOUND_BYTES: Final = 2 * 1024 * 1024
_STAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_PLACE: Final = re.compile(r"([0-9a-f]{1,16})-([0-9a-f]{1,16})")
_ORG: Final = re.compile(rb'"org":\s*"([^"\\]+)"')
_RUN: Final = re.compile(rb'"run":\s*(\d{1,18})(?!\d)')
_DISORDER: Final = timedelta(seconds=2)
"""Threads write a line a moment after they took its time."""

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines. `level` and above; `orgs`: none means all; `since` is the first instant, `until` the first after."""

    orgs: frozenset[str] = frozenset()
    run: int | None = None
    level: str = "info"
    since: datetime | None = None
    until: datetime | None = None

    def takes(self, line: Line) -> bool:
        level, run = line.get("level"), line.get("run")
        if level in LEVELS and LEVELS.index(level) < LEVELS.index(self.level):
            return False
        org = line.get("org")
        if self.orgs and not (isinstance(org, str) and org in self.orgs):
            return False
        return self.run is None or (run == self.run and not isinstance(run, bool))

    def may_be_in(self, text: bytes) -> bool:
        """Cheaper than to read JSON. False only if no line of it is wanted, as the daemon writes them."""
        orgs, run = self.orgs, self.run
        if orgs and not any(found[1].decode(errors="replace") in orgs for found in _ORG.finditer(text)):
            return False
        if run is not None and not any(int(found[1]) == run for found in _RUN.finditer(text)):
            return False
        level = LEVELS.index(self.level)
        return level <= LEVELS.index("info") or any(each.encode() in text for each in LEVELS[level:])  # most are info


@dataclass(slots=True)
class Found:
    """Newest first. `next` is where to go on; None: there is nothing older. `complete` is false if it stopped for
    having looked through so much, and not because it had what was wanted."""

    lines: list[Line] = field(default_factory=list)
    next: str | None = None
    complete: bool = True


def is_place(text: str) -> bool:
    """Whether it can be the `next` of an earlier call."""
    return _PLACE.fullmatch(text) is not None


def read(
    path: Path,
    wanted: Wanted,
    *,
    limit: int,
    after: str | None = None,
    most_bytes: int = MOST_BYTES,
    most_s: float = MOST_S,
    monotonic: Callable[[], float] = time.monotonic,
) -> Found:
    """The newest `limit` lines that are wanted, before the place `after`. A place in a file that was removed since is
    the end. Raises FileNotFoundError if there is no file at all, and OSError if one cannot be read."""
    search = _Search(wanted, limit, most_bytes, monotonic() + most_s, monotonic)
    inode, end = _place(after)
    seen: set[int] = set()
    for file in files(path):
        with file:
            status = os.fstat(file.fileno())
            if status.st_ino in seen:  # it was rotated between the opening of one and the next
                continue
            seen.add(status.st_ino)
            if inode is not None:
                if status.st_ino != inode:
                    continue
                inode = None
            else:
                end = None
            if not search.look(file, status.st_ino, status.st_size if end is None else min(end, status.st_size)):
                break
    if not seen:
        raise FileNotFoundError(path)
    return search.found


class _Search:
    """One call of `read`, over its files."""

    def __init__(
        self, wanted: Wanted, limit: int, most_bytes: int, deadline: float, monotonic: Callable[[], float]
    ) -> None:
        self.found = Found()
        self._wanted, self._limit = wanted, limit
        self._stop_at = b"" if wanted.since is None else stamp(_moved(wanted.since, -_DISORDER)).encode()
        self._since = "" if wanted.since is None else stamp(wanted.since)
        self._until = "" if wanted.until is None else stamp(wanted.until)
        self._room, self._deadline, self._monotonic = most_bytes, deadline, monotonic
        self._found_bytes = 0

    def look(self, file: BinaryIO, inode: int, end: int) -> bool:
        """Through one file, from `end` backwards. -> whether to go on with the next older one."""
        if self._wanted.until is not None:
            end = min(end, end_before(file, end, stamp(_moved(self._wanted.until, _DISORDER)).encode()))
        for begin, body in pieces(file, end):
            self._room -= log_pieces.CHUNK
            if self._wanted.may_be_in(body) and not self._take(body, begin, inode):
                return False
            if self._is_older(body):
                return False
            if self._room <= 0 or self._monotonic() >= self._deadline:
                self.found.next, self.found.complete = _place_of(inode, begin), False
                return False
        return True

    def _take(self, body: bytes, begin: int, inode: int) -> bool:
        """The wanted lines of some of a file. -> whether there is room for more."""
        end = begin + len(body)
        for text in reversed(body.split(b"\n")):
            begin, end = end - len(text), end - len(text) - 1
            if not text or not self._wanted.may_be_in(text):
                continue
            if (line := _line(text)) is None or not self._takes(line):
                continue
            self.found.lines.append(line)
            self._found_bytes += len(text)
            if len(self.found.lines) >= self._limit or self._found_bytes >= MOST_FOUND_BYTES:
                self.found.next = _place_of(inode, begin)
                return False
        return True

    def _takes(self, line: Line) -> bool:
        at = line["at"]
        return at >= self._since and (not self._until or at < self._until) and self._wanted.takes(line)

    def _is_older(self, body: bytes) -> bool:
        """Whether all that comes before is older than what is wanted."""
        first = AT.search(body)
        return bool(self._stop_at) and first is not None and first[1] < self._stop_at


def _moved(when: datetime, by: timedelta) -> datetime:
    """At the ends of time it stays where it is."""
    try:
        return when + by
    except OverflowError:
        return when


def _line(text: bytes) -> Line | None:
    try:
        line = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        line = _mended(text)
    if not isinstance(line, dict) or not isinstance(at := line.get("at"), str) or not _STAMP.fullmatch(at):
        return None
    return line


def _mended(text: bytes) -> Any:
    """A line with half a surrogate pair, which is no text that could be sent on."""
    try:
        line = json.loads(text)
        return msgspec.json.decode(json.dumps(line, ensure_ascii=False).encode(errors="replace"))
    except (ValueError, RecursionError, msgspec.DecodeError):
        return None


def _place_of(inode: int, offset: int) -> str:
    return f"{inode:x}-{offset:x}"


def _place(text: str | None) -> tuple[int | None, int | None]:
    if text is None or (parts := _PLACE.fullmatch(text)) is None:
        return None, None
    return int(parts[1], 16), int(parts[2], 16)
