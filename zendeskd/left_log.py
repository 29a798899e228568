"""Whether a log that was left beside a database is that database's.

SQLite takes any log of this name for its own and moves its pages into the file. After a crash one is left; whoever then
copies another database, or a backup, to this name by hand would have it destroyed. So each database has a number of its
own in its header (`PRAGMA application_id`; a copy gets another), and the first page is in the log as soon as anything
was added. Format: sqlite.org/fileformat2.html, sections 1.3 and 4.
"""

from __future__ import annotations

import secrets
import sqlite3
import struct
from pathlib import Path
from typing import BinaryIO, Final

from zendeskd.errors import ConfigError, StorageError

_LOG_HEAD: Final = struct.Struct(">8I")
_FRAME_HEAD: Final = struct.Struct(">6I")
_LITTLE, _BIG = 0x377F0682, 0x377F0683  # how the words of its checksums are read
_ID: Final = slice(68, 72)
_MOST_FRAMES: Final = 256
"""Each takes a millisecond to check. What lies behind is believed."""

_Sums = tuple[int, int]


def give_number(connection: sqlite3.Connection) -> None:
    """Let the database have a number that no other has. Raises sqlite3.Error."""
    connection.execute(f"PRAGMA application_id = {secrets.randbelow(2**31 - 1) + 1}")


def has_number(connection: sqlite3.Connection) -> bool:
    (number,) = connection.execute("PRAGMA application_id").fetchone()
    return bool(number)


def refuse_another(path: Path) -> None:
    """Before anything opens the database to write. Raises ConfigError, StorageError."""
    path = path.resolve()
    if not belongs(path):
        raise ConfigError(
            f"The log {path}-wal was left by another database than {path}; both were left as they are.",
            hint=f"If {path} is the one that you want, move the log away: mv {path}-wal {path}-wal.other. To put a "
            "backup in its place use zendeskd restore, which takes care of that.",
        )


def belongs(path: Path) -> bool:
    """Whether the log beside the database is its own, as far as can be told. Nobody has it open.

    Raises StorageError.
    """
    path = path.resolve()  # the log lies beside what a link points to
    try:
        with path.open("rb") as database, path.with_name(path.name + "-wal").open("rb") as log:
            number, logged = database.read(100)[_ID], _number_in(log)
    except FileNotFoundError:
        return True
    except OSError as error:
        raise StorageError(f"The log of {path} cannot be looked at: {error.strerror}.") from None
    return logged is None or number == logged or not any(number)


def _number_in(log: BinaryIO) -> bytes | None:
    """The number in the first page that the log holds; None if it holds none, or nothing that SQLite would take."""
    head = log.read(_LOG_HEAD.size)
    if len(head) < _LOG_HEAD.size:
        return None
    magic, _, size, _, *salts, sum1, sum2 = _LOG_HEAD.unpack(head)
    if magic not in {_LITTLE, _BIG}:
        return None
    order = ">" if magic == _BIG else "<"
    sums = _summed((0, 0), head[:24], order)
    if sums != (sum1, sum2):
        return None
    for _ in range(_MOST_FRAMES):
        frame, page = log.read(_FRAME_HEAD.size), log.read(size)
        if len(page) < size:
            return None
        number, _, *frame_salts, sum1, sum2 = _FRAME_HEAD.unpack(frame)
        sums = _summed(_summed(sums, frame[:8], order), page, order)
        if frame_salts != salts or sums != (sum1, sum2):
            return None  # what follows was not written to the end, or is from before
        if number == 1 and any(page[_ID]):
            return page[_ID]
    return None


def _summed(sums: _Sums, data: bytes, order: str) -> _Sums:
    one, two = sums
    for first, second in struct.iter_unpack(f"{order}2I", data):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two
