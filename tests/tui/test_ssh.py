"""The dashboard of a daemon on another host: the first line, lost and back by itself, and what it does not repeat."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.fixtures import mockup
from tests.fixtures.pseudo_terminal import Terminal
from tests.fixtures.scripted import ScriptedDaemon
from tests.fixtures.sshd import HOST, Sshd, needs_ssh
from tests.fixtures.terminal import Clock, Driven, fleet_of
from tests.waiting import wait_for
from zendeskd.address import Address
from zendeskd.ssh import Tunnel
from zendeskd.tui.app import Dashboard
from zendeskd.tui.palette import Palette
from zendeskd.tui.screens.copying import Copying

pytestmark = needs_ssh


@asynccontextmanager
async def driven(
    scripted: ScriptedDaemon, size: tuple[int, int] = (100, 30), *, delays_s: tuple[float, ...] = (0.05,)
) -> AsyncIterator[Driven]:
    clock = Clock()
    with Tunnel(Address(scripted.path, HOST), unasked="start it again") as tunnel:
        tunnel.open()
        app = Dashboard(
            scripted.path, tunnel=tunnel, clock=clock, monotonic=clock.monotonic, delays_s=delays_s, frozen_s=60
        )
        async with app.run_test(size=size, notifications=True) as pilot:
            yield Driven(app, pilot, scripted, clock)


@pytest.mark.parametrize("size", [(80, 24), (100, 30)])
def test_the_first_line_names_the_host(sshd: Sshd, scripted: ScriptedDaemon, size: tuple[int, int]) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted, size) as one:
            await one.shows("zendeskd 1.0.0 @db1 · connected · up", "globex")

    asyncio.run(drive())


async def all_lines(one: Driven) -> list[str]:
    """Every command line of zendeskctl that the dashboard shows for this daemon, as it is to be typed."""
    entries = [entry.help for entry in Palette(one.app.screen).entries() if "shows the command" in entry.help]
    await one.press("t", "y")
    await one.until(lambda: isinstance(one.app.screen, Copying), "the dialog")
    copies = [text for _, text in one.app.screen._choices if "zendeskctl" in text]  # type: ignore[attr-defined]
    await one.press("escape")
    toasts = [text for text in one.toasts if "zendeskctl" in text]
    assert entries and copies and toasts
    return [*entries, *copies, *toasts]


def test_command_lines_reach_the_same_daemon_when_they_are_typed_here(sshd: Sshd, scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted) as one:
            await one.shows("globex")
            while one.cursor != "globex":
                await one.press("down")
            for line in await all_lines(one):
                assert "zendeskctl --ssh db1 " in line or "ssh db1 systemctl restart zendeskd" in line, line

    asyncio.run(drive())


def test_the_first_steps_name_the_daemon_too(sshd: Sshd, scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted, [])
        async with driven(scripted) as one:
            text = await one.shows("No organisations yet", "zendeskctl --ssh db1 trigger acme")
            assert text.count("zendeskctl") == text.count("zendeskctl --ssh db1")

    asyncio.run(drive())


def test_lost_and_back_by_itself(sshd: Sshd, scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted) as one:
            await one.shows("globex")
            sshd.stop()  # the network is gone, and stays away
            await one.until(lambda: one.app.fleet.connection.attempt > 2, "some tries")
            await one.pass_time(5)
            text = await one.shows(
                "zendeskd @db1 · NOT CONNECTED", "The host db1 refuses ssh", "Connection refused", "globex"
            )
            assert "If it stays down:  does sshd run there, on that port? try: ssh db1" in text
            sshd.start()
            await one.shows("zendeskd 1.0.0 @db1 · connected")
            await one.shows_no("Connection lost")
            assert sshd.logins == 2

    asyncio.run(drive())


def test_ssh_is_killed(sshd: Sshd, scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted, delays_s=(600.0,)) as one:
            await one.shows("globex")
            (pid,) = sshd.clients()
            os.kill(pid, signal.SIGKILL)
            await one.until(lambda: not one.app.fleet.is_live, "the loss")
            await one.pass_time(5)
            await one.shows("The ssh connection to db1 ended (signal 9)", "If it stays down:  try: ssh db1")
            await one.press("R")
            await one.shows("@db1 · connected")

    asyncio.run(drive())


def test_the_daemon_there_stops(sshd: Sshd, scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted) as one:
            await one.shows("globex")
            scripted.stop()
            await one.until(lambda: one.app.fleet.connection.reason == "missing", "the reason")
            await one.pass_time(5)
            await one.shows("There is no socket", "on db1: the daemon is stopped", "ssh db1 systemctl status zendeskd")
            scripted.start()
            await one.shows("@db1 · connected")
            assert sshd.logins == 1, "ssh was fine all the time"

    asyncio.run(drive())


def test_what_ssh_would_have_to_ask_is_not_tried_again(sshd: Sshd, scripted: ScriptedDaemon) -> None:
    """A new try every ten seconds would get the address banned."""

    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted) as one:
            await one.shows("globex")
            sshd.configure(key="other")
            sshd.hang_up()
            await one.until(lambda: one.app.fleet.connection.phase == "given up", "the end of the tries")
            text = await one.shows("The host db1 does not let you in", "Start it again", "R try again   q quit")
            assert "next try" not in text
            sshd.configure()
            await one.press("R")
            await one.shows("@db1 · connected")

    asyncio.run(drive())


def test_a_daemon_there_that_hangs(sshd: Sshd, scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted, delays_s=(600.0,)) as one:
            await one.shows("globex")
            one.app.link._frozen_s = 0.3
            one.log("one more")  # from now on it counts
            await one.until(lambda: one.app.fleet.connection.reason == "timeout", "the notice")
            await one.pass_time(5)
            await one.shows("Nothing comes from db1:", "the daemon (pid 812) hangs", "ssh db1 journalctl -u zendeskd")

    asyncio.run(drive())


def test_a_clock_that_is_another(sshd: Sshd, scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted, now=mockup.ahead(hours=1))
        async with driven(scripted) as one:
            await one.shows("15:24:46 UTC", "@db1")

    asyncio.run(drive())


# --- the program on a terminal ----------------------------------------------------------------------------------------


TAKE_THE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.executable, sys.argv[1:])"
)
"""So that it is the one of the session, on which ssh asks."""


def dashboard(scripted: ScriptedDaemon) -> Terminal:
    program = (sys.executable, "-m", "zendeskd.tui.program", "--ssh", HOST, "--socket", str(scripted.path))
    return Terminal(sys.executable, "-c", TAKE_THE_TERMINAL, *program)


@pytest.mark.e2e
def test_ssh_asks_before_the_dashboard_is_drawn(sshd: Sshd, scripted: ScriptedDaemon, short_dir: Path) -> None:
    sshd.password = "secret"
    fleet_of(scripted)
    terminal = dashboard(scripted)
    try:
        terminal.until("ana@127.0.0.1's password:")
        assert "zendeskd 1.0.0" not in terminal.text
        terminal.type("wrong\n")
        terminal.until("Permission denied, please try again.")
        terminal.until("password:", times=2)
        terminal.type("secret\n")
        terminal.until("@db1", "globex")
        terminal.type("q")
        assert terminal.ended() == 0
        assert "syncing goes on" in terminal.text
    finally:
        terminal.close()
    assert not sshd.clients() and not list(short_dir.glob("zendeskd-*"))


@pytest.mark.e2e
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_ssh_is_left_behind_by_what_ends_it(
    sshd: Sshd, scripted: ScriptedDaemon, short_dir: Path, number: signal.Signals
) -> None:
    fleet_of(scripted)
    terminal = dashboard(scripted)
    try:
        terminal.until("@db1", "globex")
        terminal.process.send_signal(number)
        assert terminal.ended() == (128 + number if number == signal.SIGTERM else -number)
        wait_for(lambda: not sshd.clients(), "the end of ssh", 5)
        if number == signal.SIGTERM:
            assert not list(short_dir.glob("zendeskd-*"))
            assert b"\x1b[?1049l" in terminal._bytes, "the terminal is as it was"
    finally:
        terminal.close()


@pytest.mark.e2e
def test_a_host_that_is_not_there_is_told_without_a_dashboard(sshd: Sshd, scripted: ScriptedDaemon) -> None:
    sshd.stop()
    terminal = dashboard(scripted)
    try:
        assert terminal.ended() == 3
        assert "zendeskd-tui: the host db1 refuses ssh (ssh: connect to host" in terminal.text
        assert "\x1b[?1049h" not in terminal._bytes.decode()
    finally:
        terminal.close()
