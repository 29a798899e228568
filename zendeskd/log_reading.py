"""Reading back what the daemon logged: the log file and its rotated ones, newest line first, so much at a time.

Lines are without secrets already. A line that is cut off, garbled or no log line is left out. The files may be rotated,
moved or written to meanwhile. Any thread.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from zendeskd.models import stamp

LEVELS: Final = ("debug", "info", "warning", "error", "critical")

MOST_BYTES: Final = 32 * 1024 * 1024
MOST_S: Final = 2.0
"""One call looks through so much of the files, for so long; then it says where to go on."""

MOST_FOUND_BYTES: Final = 2 * 1024 * 1024
CHUNK: Final = 512 * 1024
"""Read at once. A line of several times that is left out."""

_AT: Final = re.compile(rb'\{"at":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)"')
_STAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_ROTATED: Final = re.compile(r"[.-]\d[\d.-]*")
_PLACE: Final = re.compile(r"([0-9a-f]{1,16})-([0-9a-f]{1,16})")
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
        if self.orgs and line.get("org") not in self.orgs:
            return False
        return self.run is None or (run == self.run and not isinstance(run, bool))

    def needles(self) -> list[list[bytes]]:
        """Of each list at least one is in the bytes of every line that is wanted. Cheaper to look for than JSON."""
        groups = []
        if self.orgs:
            groups.append([org.encode(errors="replace") for org in self.orgs])
        if self.run is not None:
            groups.append([str(self.run).encode()])
        if LEVELS.index(self.level) > LEVELS.index("info"):  # most lines are of level info
            groups.append([level.encode() for level in LEVELS[LEVELS.index(self.level) :]])
        return groups


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
    for file in _files(path):
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
        self._wanted, self._limit, self._needles = wanted, limit, wanted.needles()
        self._stop_at = b"" if wanted.since is None else stamp(wanted.since - _DISORDER).encode()
        self._since = "" if wanted.since is None else stamp(wanted.since)
        self._until = "" if wanted.until is None else stamp(wanted.until)
        self._room, self._deadline, self._monotonic = most_bytes, deadline, monotonic
        self._found_bytes = 0

    def look(self, file: BinaryIO, inode: int, end: int) -> bool:
        """Through one file, from `end` backwards. -> whether to go on with the next older one."""
        if self._wanted.until is not None:
            end = min(end, _end_before(file, end, stamp(self._wanted.until + _DISORDER).encode()))
        for begin, body in _bodies(file, end):
            self._room -= CHUNK
            if self._may_have(body) and not self._take(body, begin, inode):
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
            if not text or not self._may_have(text):
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

    def _may_have(self, text: bytes) -> bool:
        return all(any(needle in text for needle in group) for group in self._needles)

    def _is_older(self, body: bytes) -> bool:
        """Whether all that comes before is older than what is wanted."""
        first = _AT.search(body)
        return bool(self._stop_at) and first is not None and first[1] < self._stop_at


def _files(path: Path) -> Iterator[BinaryIO]:
    """The log file, then its rotated ones, the newest first; each is opened when it is its turn."""
    rotated = []
    for one in path.parent.glob(f"{path.name}?*"):
        suffix = one.name.removeprefix(path.name)
        if _ROTATED.fullmatch(suffix) and one.is_file():
            number = suffix[1:]
            rotated.append((0, int(number), one) if len(number) < 8 and number.isdigit() else (1, -_mtime(one), one))
    for one in (path, *(one for _, _, one in sorted(rotated))):
        try:
            yield one.open("rb")
        except FileNotFoundError:  # rotated away meanwhile
            continue


def _mtime(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _bodies(file: BinaryIO, end: int) -> Iterator[tuple[int, bytes]]:
    """Pieces of whole lines from `end` backwards, each with its place."""
    rest = b""  # the end of a line that begins further up
    while end > 0:
        begin = max(0, end - CHUNK)
        file.seek(begin)
        piece = file.read(end - begin)
        cut = piece.find(b"\n") + 1
        if begin == 0:
            yield 0, piece + rest
        elif cut:
            yield begin + cut, piece[cut:] + rest
            rest = piece[:cut]
        else:
            rest = piece + rest if len(piece) + len(rest) <= CHUNK * 2 else b""
            yield begin, b""
        end = begin


def _end_before(file: BinaryIO, end: int, until: bytes) -> int:
    """A place after which every line is later than `until`: lines are in the order of their time, so it is halved."""
    low, high = 0, end
    while high - low > CHUNK:
        middle = (low + high) // 2
        file.seek(middle)
        at = _AT.search(file.read(CHUNK))
        if at is None or at[1] < until:
            low = middle
        else:
            high = middle + at.start()
    return high


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
