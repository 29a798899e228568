"""Why the daemon cannot be reached, in words, and what to do about it."""

from __future__ import annotations

import errno
import grp
import os
import socket
import stat
import struct
from pathlib import Path
from typing import Final, Literal, Protocol

from zendeskd.address import Address
from zendeskd.bare_httpx import httpx

Reason = Literal["missing", "refused", "permission", "timeout", "lost"]
Failure = httpx.HTTPError | OSError

SOCKET_PATH_MAX: Final = 107
"""Bytes of a Unix socket's path: unix(7), `sun_path` less its end mark."""


class Explain(Protocol):
    """-> reason, what happened, what to do. `changes`: the call would have changed something."""

    def __call__(self, path: Path, error: Failure, /, *, changes: bool) -> tuple[Reason, str, str]: ...


def explain_unreachable(path: Path, error: Failure, *, changes: bool) -> tuple[Reason, str, str]:
    """-> reason, what happened, what to do. `changes`: the call would have changed something."""
    if len(os.fsencode(path)) > SOCKET_PATH_MAX:
        return "missing", f"the socket path is longer than {SOCKET_PATH_MAX} bytes: {path}", "give a shorter --socket"
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        pid = _listener(path)
        who = "the daemon" if pid is None else f"the daemon (pid {pid})"
        return "timeout", f"{who} is there but does not answer on {path}", "journalctl -u zendeskd -n 50"
    number = _errno(error)
    if number in {errno.ENOENT, errno.ENOTDIR}:
        return (
            "missing",
            f"there is no socket {path}: the daemon is stopped, or listens elsewhere",
            "systemctl status zendeskd, or name the socket: --socket PATH",
        )
    if number in {errno.EACCES, errno.EPERM}:
        return "permission", f"you may not talk to {path}", _permission_hint(path)
    if number in {errno.ECONNREFUSED, errno.ENOTSOCK}:
        if not _is_socket(path):
            return "refused", f"{path} is not a socket", "name the daemon's socket: --socket PATH, or $ZENDESKD_SOCKET"
        return "refused", f"nothing listens on {path}: the daemon died and left it", "systemctl restart zendeskd"
    if number in {errno.EAGAIN, errno.ETIMEDOUT}:
        return "timeout", f"the daemon has too many callers waiting on {path}", "journalctl -u zendeskd -n 50"
    detail = f"the daemon went away while it was asked ({path})"
    return "lost", _perhaps_done(detail, changes), "systemctl status zendeskd, then journalctl -u zendeskd -n 50"


def explain_remote(address: Address, error: Failure, *, changes: bool) -> tuple[Reason, str, str]:
    """The same for a daemon that is reached over ssh, as far as this end can tell: not whether ssh, the way or the
    daemon is the cause. Begins with what the error on the local socket says."""
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        detail = f"no answer from {address}: the daemon there hangs, or the way to it stalls"
        return "timeout", _perhaps_done(detail, changes), address.command("journalctl -u zendeskd -n 50")
    if _errno(error) in {errno.ENOENT, errno.ECONNREFUSED}:
        return "lost", f"the ssh connection to {address.host} is down", address.command("systemctl status zendeskd")
    detail = f"the daemon went away while it was asked ({address})"
    return "lost", _perhaps_done(detail, changes), address.command("systemctl status zendeskd")


def _perhaps_done(detail: str, changes: bool) -> str:
    return f"{detail}; whether it did what was asked is not known" if changes else detail


def _errno(error: BaseException) -> int | None:
    """The number of the system error at the bottom of a chain of exceptions."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno is not None:
            return seen.errno
        seen = seen.__cause__ or seen.__context__
    return None


def _is_socket(path: Path) -> bool:
    """Also if that cannot be told."""
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return True


def _permission_hint(path: Path) -> str:
    for place in (path, path.parent):
        try:
            gid = place.stat().st_gid
        except OSError:
            continue
        try:
            group = grp.getgrgid(gid).gr_name
        except KeyError:
            group = str(gid)
        return f"join the group {group}, which owns it, and log in again"
    return "join the group that owns it, and log in again"


def _listener(path: Path) -> int | None:
    """The pid of whoever listens on the socket, as the kernel tells it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.2)
        try:
            probe.connect(str(path))
            pid: int = struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        except OSError:
            return None
        return pid or None
