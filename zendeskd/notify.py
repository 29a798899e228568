"""Telling systemd how we are: sd_notify(3) and the watchdog, in the standard library."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

_SEND_WITHIN_S = 2.0


def notify(*lines: str, environ: Mapping[str, str] = os.environ, within_s: float = _SEND_WITHIN_S) -> bool:
    """Send state lines ("READY=1", "STATUS=8 running") in one message. -> whether somebody was there to be told.

    Never raises: a supervisor that cannot be told is no reason to end. Any thread.
    """
    address = environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in {"/", "@"}:
        return False
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.settimeout(within_s)
            sock.connect("\0" + address[1:] if address[0] == "@" else address)
            sock.sendall("\n".join(lines).encode())
    except OSError:
        return False
    return True


def reloading(environ: Mapping[str, str] = os.environ) -> bool:
    """A reload begins; `notify("READY=1")` ends it. The time stamp tells systemd which reload this is."""
    return notify(
        "RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}", environ=environ
    )


def watchdog_interval(environ: Mapping[str, str] = os.environ) -> float | None:
    """Seconds between two "WATCHDOG=1": half of what systemd allows; None when it does not watch this process."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    limit = environ.get("WATCHDOG_USEC", "")
    return int(limit) / 2e6 if limit.isascii() and limit.isdigit() and int(limit) > 0 else None
