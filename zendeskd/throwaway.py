"""Folders that are gone with the program that made them; those of one that was killed, with the next. Standard library
only."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Final

HELD: Final = ".held"
"""Locked as long as the program lives. A pid would be another one's in another container with the same /tmp."""


class Throwaway:
    """A new folder in `parent`, the caller's alone. Raises OSError.

    First those of the same prefix are removed whose programs are gone."""

    def __init__(self, prefix: str, parent: str | None = None) -> None:
        sweep(prefix, parent or tempfile.gettempdir())
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
            try:
                self._lock = os.open(self.path / HELD, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileNotFoundError:  # swept
                continue
            except OSError:
                shutil.rmtree(self.path, ignore_errors=True)
                raise
            with contextlib.suppress(OSError):  # a file system without locks: nobody else can take it for unlocked
                fcntl.flock(self._lock, fcntl.LOCK_EX)
            if os.fstat(self._lock).st_nlink:
                return
            os.close(self._lock)  # swept before it was locked

    def remove(self) -> None:
        """May be called twice."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def sweep(prefix: str, parent: str) -> None:
    """Remove what killed programs of this user left in this folder. What cannot be removed stays."""
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if entry.name.startswith(prefix):
                with contextlib.suppress(OSError):
                    _sweep_one(Path(entry.path))


def _sweep_one(folder: Path) -> None:
    about = folder.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid():
        return
    lock = os.open(folder / HELD, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
    finally:
        os.close(lock)
