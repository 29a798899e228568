"""A program in a real pseudo-terminal: what it writes, when it writes it, and what it costs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Sequence

COLUMNS, LINES = 100, 30

_NOT_HANDED_ON = ("ZENDESKD_", "TEXTUAL", "PYTHONDONTWRITEBYTECODE")  # an installed program has its bytecode


class Terminal:
    """`began_at`: when the program was started. Whoever waits reads; so nothing is ever left unread for long."""

    def __init__(self, command: Sequence[str]) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        environ = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_HANDED_ON)}
        environ |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self.began_at = time.monotonic()
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environ, start_new_session=True
        )
        os.close(slave)
        self._unseen = b""

    def read_for(self, seconds: float) -> bytes:
        """All that it writes in that time."""
        end, before = time.monotonic() + seconds, self._unseen
        self._unseen = b""
        while (left := end - time.monotonic()) > 0:
            self._read(left)
        said, self._unseen = self._unseen, b""
        return before + said

    def found(self, pattern: bytes, timeout_s: float = 20) -> re.Match[bytes]:
        """Read until this is written; what is written after it is for the next to ask. Raises TimeoutError."""
        called_at = time.monotonic()
        while not (match := re.search(pattern, self._unseen)):
            left = called_at + timeout_s - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"waited in vain for {pattern!r} in {self._unseen[-2000:]!r}")
            self._read(left)
        self._unseen = self._unseen[match.end() :]
        return match

    def forget(self) -> None:
        while self._read(0):
            pass
        self._unseen = b""

    def type(self, keys: bytes) -> None:
        """What was written before does not count any more."""
        self.forget()
        os.write(self._master, keys)

    def _read(self, timeout_s: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], timeout_s)
        if ready:
            self._unseen += os.read(self._master, 1 << 16)
        return bool(ready)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)


@contextlib.contextmanager
def terminal(*command: str) -> Iterator[Terminal]:
    one = Terminal(command)
    try:
        yield one
    finally:
        one.close()
