"""What systemd is told, and how often it wants to hear from us."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from zendeskd.notify import notify, reloading, watchdog_interval


@pytest.fixture
def supervisor(short_dir: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(short_dir / "notify"))
        sock.settimeout(5)
        yield sock


def test_one_message_holds_all_lines(supervisor: socket.socket) -> None:
    assert notify("READY=1", "STATUS=8 running", environ={"NOTIFY_SOCKET": supervisor.getsockname()})
    assert supervisor.recv(1000) == b"READY=1\nSTATUS=8 running"


def test_an_abstract_socket() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0zendeskd-test-{os.getpid()}")
        sock.settimeout(5)
        assert notify("READY=1", environ={"NOTIFY_SOCKET": f"@zendeskd-test-{os.getpid()}"})
        assert sock.recv(1000) == b"READY=1"


def test_a_reload_says_when_it_began(supervisor: socket.socket) -> None:
    assert reloading(environ={"NOTIFY_SOCKET": supervisor.getsockname()})
    assert re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=\d+", supervisor.recv(1000))


@pytest.mark.parametrize("address", ["", "relative", "/no/such/socket"])
def test_nobody_to_tell_is_no_error(address: str) -> None:
    assert not notify("READY=1", environ={"NOTIFY_SOCKET": address})


def test_a_supervisor_that_does_not_read_holds_nothing_up(short_dir: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(short_dir / "notify"))
        environ = {"NOTIFY_SOCKET": str(short_dir / "notify")}
        sent = 0
        while sent < 10_000 and notify("WATCHDOG=1", environ=environ, within_s=0.05):
            sent += 1
        assert sent < 10_000


def test_half_of_what_the_watchdog_allows() -> None:
    assert watchdog_interval({"WATCHDOG_USEC": "60000000"}) == 30.0
    assert watchdog_interval({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}) == 30.0


@pytest.mark.parametrize(
    "environ",
    [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}],
)
def test_no_watchdog(environ: dict[str, str]) -> None:
    assert watchdog_interval(environ) is None
