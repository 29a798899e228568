"""Whether the files of an open database still lie where they were opened.

SQLite works on open files: of one whose name is gone it reads and writes on without a word, and with its last
connection everything is lost. So whoever writes looks first.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Literal

Loss = Literal["gone", "replaced", "log gone"]

_Identity = tuple[int, int]
_BESIDE: Final = ("-wal", "-shm")


class OpenFiles:
    """The database, its log and the log's memory, by inode. `loss`: any thread; the rest: who has the turn to write."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._real = self._path  # the log lies beside what a link points to
        self._database: _Identity | None = None
        self._beside: list[_Identity | None] | None = None

    def opened(self) -> None:
        """The connection that writes has begun a transaction: the files that lie here are its own."""
        if self._database is None:
            self._real = os.path.realpath(self._path)
            self._database = _identity(self._path)
        if self._beside is None:
            self._beside = self._now_beside()

    def log_closed(self) -> None:
        self._beside = None

    def all_closed(self) -> None:
        self._database = self._beside = None

    def loss(self) -> Loss | None:
        """What became of them: a few looks at the folder, which take microseconds."""
        if self._database is None:
            return None
        found = _identity(self._path)
        if found != self._database:
            return "gone" if found is None else "replaced"
        beside = self._beside
        if beside is not None and (None in beside or beside != self._now_beside()):
            return "log gone"
        return None

    def _now_beside(self) -> list[_Identity | None]:
        return [_identity(self._real + end) for end in _BESIDE]


def _identity(path: str) -> _Identity | None:
    """None also for what cannot be looked at: in a folder that is closed to us nothing can be opened again."""
    try:
        found = os.stat(path)  # noqa: PTH116 - before every write, of text that is there already
    except OSError:
        return None
    return found.st_dev, found.st_ino
