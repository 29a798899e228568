"""One daemon per state folder: a flock on a file that also tells who holds it.

flock and not a pid file's mere presence: the kernel lets go of it however the process ends, so a kill -9 leaves
nothing to clean up. The file is never unlinked, because unlinking a lock file races with whoever is opening it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import stat
from pathlib import Path
from types import TracebackType
from typing import Final

from zendeskd.errors import Conflict

_LONGEST: Final = 20  # bytes of a pid and its end of line
_ELSE: Final = frozenset({errno.ELOOP, errno.EISDIR, errno.ENXIO})  # a link, a folder, a socket


class Held(Exception):
    """Another process has the lock. `pid` None: it has yet to write its own."""

    def __init__(self, pid: int | None) -> None:
        super().__init__(pid)
        self.pid = pid


def take(path: Path) -> int:
    """A descriptor that holds the lock, with our pid in it. Raises Held, and OSError, also for what is no lock file."""
    fd = _open(path, os.O_CREAT)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = _pid_in(fd)
        os.close(fd)
        raise Held(pid) from None
    sign(fd)
    return fd


def sign(fd: int) -> None:
    """Write our pid into it. The holder does, again after each fork."""
    os.ftruncate(fd, 0)
    os.pwrite(fd, b"%d\n" % os.getpid(), 0)


def _open(path: Path, flags: int = 0) -> int:
    """Raises OSError, also where anything else was put: it is not followed, and what it holds is not overwritten."""
    no_lock = OSError(errno.EEXIST, f"{path.name} is there and is no lock file: move it away")
    try:
        fd = os.open(path, flags | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        if error.errno in _ELSE:
            raise no_lock from None
        raise
    found = os.fstat(fd)
    # a hard link is somebody else's file; a power cut may leave zeros
    if stat.S_ISREG(found.st_mode) and found.st_nlink <= 1 and found.st_size <= _LONGEST:
        text = os.pread(fd, _LONGEST, 0).strip(b"\0 \n")
        if not text or text.isdigit():
            return fd
    os.close(fd)
    raise no_lock


class InstanceLock:
    """Taken when made. Survives fork: the lock belongs to the open file. Raises Conflict naming the holder's pid."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._fd = take(path)
        except Held as held:
            raise Conflict(
                f"another zendeskd (pid {held.pid or '?'}) works in {path.parent}",
                hint="zendeskd stop ends it; another --state-dir makes a second one",
            ) from None

    def fileno(self) -> int:
        return self._fd

    def __enter__(self) -> InstanceLock:
        """Call after the last fork."""
        sign(self._fd)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, 0)
            os.close(self._fd)


def holder(path: Path) -> int | None:
    """The pid that holds the lock now; None if nobody does. Raises OSError."""
    try:
        fd = _open(path)
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
    """Of a process that lives; None for the moment in which the holder has yet to write its own."""
    text = os.pread(fd, _LONGEST, 0).strip()
    return int(text) if text.isdigit() and Path("/proc", text.decode()).exists() else None
