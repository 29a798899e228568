"""One daemon per state folder: a flock on a file that also tells who holds it.

flock and not a pid file's mere presence: the kernel lets go of it however the process ends, so a kill -9 leaves
nothing to clean up. The file is never unlinked, because unlinking a lock file races with whoever is opening it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
from pathlib import Path
from types import TracebackType

from zendeskd.errors import Conflict


class InstanceLock:
    """Taken when made. Survives fork: the lock belongs to the open file. Raises Conflict naming the holder's pid."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = _pid_in(self._fd)
            os.close(self._fd)
            raise Conflict(
                f"another zendeskd (pid {pid or '?'}) works in {path.parent}",
                hint="zendeskd stop ends it; another --state-dir makes a second one",
            ) from None

    def fileno(self) -> int:
        return self._fd

    def __enter__(self) -> InstanceLock:
        """Write the pid of the process that will hold it: call after the last fork."""
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, 0)
            os.close(self._fd)


def holder(path: Path) -> int | None:
    """The pid that holds the lock now; None if nobody does. Raises PermissionError."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _pid_in(fd)
    else:
        return None
    finally:
        os.close(fd)


def wait_for_exit(pid: int, timeout_s: float) -> bool:
    """Wait until the process has ended, without polling. -> whether it has."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], timeout_s)[0])
    finally:
        os.close(fd)


def _pid_in(fd: int) -> int | None:
    text = os.pread(fd, 20, 0).strip()
    return int(text) if text.isdigit() else None
