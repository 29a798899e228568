"""The log file and its rotated ones, opened the newest first, each read backwards in pieces of whole lines.

The files may be rotated, moved or written to meanwhile. Any thread.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

CHUNK: Final = 512 * 1024
"""Read at once. A line of several times that is left out."""

AT: Final = re.compile(rb'\{"at":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)"')
_ROTATED: Final = re.compile(r"[.-]\d[\d.-]*")


def files(path: Path) -> Iterator[BinaryIO]:
    """The log file, then its rotated ones, the newest first; each is opened when it is its turn."""
    rotated = []
    for one in path.parent.glob(f"{path.name}?*"):
        suffix = one.name.removeprefix(path.name)
        if _ROTATED.fullmatch(suffix) and one.is_file():
            number = suffix[1:]
            rotated.append((0, int(number), one) if len(number) < 8 and number.isdigit() else (1, -_mtime(one), one))
    for one in (path, *(one for _, _, one in sorted(rotated))):
        try:
            yield _opened(one)
        except FileNotFoundError:  # rotated away meanwhile
            continue


def _opened(path: Path) -> BinaryIO:
    """Raises OSError, also for what is there in the place of a log: opening a pipe would wait for its writer."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a file")
    return os.fdopen(descriptor, "rb")


def _mtime(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def pieces(file: BinaryIO, end: int) -> Iterator[tuple[int, bytes]]:
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


def end_before(file: BinaryIO, end: int, until: bytes) -> int:
    """A place after which every line is later than `until`: lines are in the order of their time, so it is halved."""
    low, high = 0, end
    while high - low > CHUNK:
        middle = (low + high) // 2
        file.seek(middle)
        at = AT.search(file.read(CHUNK))
        if at is None or at[1] < until:
            low = middle
        else:
            high = middle + at.start()
    return high
