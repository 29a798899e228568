"""The log file: rotated by size, patient with logrotate, and never the reason why the daemon ends."""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import os
import sys
from pathlib import Path
from typing import Any


class LogFile(logging.handlers.RotatingFileHandler):
    """JSON lines, rotated by size here, or by logrotate: a file that was moved away is opened anew."""

    def __init__(self, path: Path, *, max_bytes: int, keep: int) -> None:
        self.path = path
        self.trouble: str | None = None  # why it cannot be written at the moment, in words
        self._lost = 0
        super().__init__(
            path, maxBytes=max_bytes, backupCount=keep, encoding="utf-8", errors="backslashreplace", delay=True
        )

    def emit(self, record: logging.LogRecord) -> None:
        lost = self._lost
        self._forget_moved_file()
        super().emit(record)
        if lost and lost == self._lost:
            self._lost, self.trouble = 0, None
            logging.getLogger(__name__).warning("the log file is written again, %d lines are missing in it", lost)

    def shouldRollover(self, record: logging.LogRecord) -> bool:
        """Before the line that follows: without formatting each line twice."""
        if self.stream is None:
            self.stream = self._open()
        return self.stream.tell() >= self.maxBytes

    def doRollover(self) -> None:
        try:
            super().doRollover()
        except OSError as error:  # the folder may not be written: one long file is better than no log
            self.trouble = f"cannot be rotated: {error.strerror}"
            if self.stream is None:
                self.stream = self._open()

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        self._drop()
        self._lost += 1
        if self._lost == 1:
            self.trouble = getattr(error, "strerror", None) or str(error)
            _tell_stderr(f"<4>zendeskd: {self.path} cannot be written: {self.trouble}; going on without it\n")

    def close(self) -> None:
        self._drop()
        super().close()

    def _open(self) -> Any:
        """Readable by the daemon's group, begun on a line of its own even after one that was cut off."""
        stream = super()._open()
        with contextlib.suppress(OSError):  # somebody else's file: it stays as it is
            os.fchmod(stream.fileno(), 0o640)
            if stream.tell() and not _ends_a_line(self.path):
                stream.write("\n")
        return stream

    def _forget_moved_file(self) -> None:
        if self.stream is None:
            return
        try:
            there, ours = self.path.stat(), os.fstat(self.stream.fileno())
            moved = (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino)
        except OSError:
            moved = True
        if moved:
            self._drop()

    def _drop(self) -> None:
        stream, self.stream = self.stream, None
        if stream is not None:
            with contextlib.suppress(OSError):  # what it still held could not be written either
                stream.close()


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _tell_stderr(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # closed: there is nobody left to tell
        sys.stderr.write(text)
        sys.stderr.flush()
