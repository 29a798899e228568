"""The live connection: lost, back, frozen, refused, with gaps; and the sentence for each."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from tests.fixtures import mockup
from tests.fixtures.scripted import ScriptedDaemon
from tests.fixtures.terminal import Driven, driven, fleet_of
from zendeskd import wire
from zendeskd.address import Address
from zendeskd.models import stamp


async def lose(one: Driven) -> None:
    """The daemon goes away, and three seconds pass."""
    one.scripted.stop()
    await one.until(lambda: not one.app.fleet.is_live, "the loss")


async def reconnect(one: Driven) -> None:
    one.scripted.start()
    await one.press("R")
    await one.until(lambda: one.app.fleet.is_live, "the connection")


def test_lost_and_back(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted) as one:
            await lose(one)
            await one.shows("zendeskd · reconnecting · showing data from 14:24:46")
            assert "Connection lost" not in one.text(), "for a moment only the first line says so"
            assert "t Trigger" not in one.text()
            await one.press("R")
            await one.until(lambda: one.app.fleet.connection.reason == "missing", "the reason")
            one.app.fleet.connection.next_try_at = one.app.fleet.connection.lost_at
            one.app.address = Address(Path("/run/zendeskd/control.sock"))  # the real one's length would show too
            await one.pass_time(19)
            await one.shows("Connection lost", "NOT CONNECTED", "(19s ago)", "globex", "token rejected")
            await one.is_drawn("lost-100x30")
            await one.pass_time(20)
            lines = one.text().splitlines()
            assert "systemctl status zendeskd" in lines[2], "after half a minute what to do comes first"
            await reconnect(one)
            await one.shows("connected · up")
            assert "Connection lost" not in one.text()

    asyncio.run(drive())


def test_the_countdown_to_the_next_try(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted) as one:
            await lose(one)
            await one.pass_time(4)
            await one.shows("attempt 1, next try in 596 s", "R reconnect now")

    asyncio.run(drive())


def test_it_comes_back_by_itself(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted, delays_s=(0.01,)) as one:
            await lose(one)
            await one.until(lambda: one.app.fleet.connection.attempt > 3, "some tries")
            scripted.answer("sync_status", mockup.listing([mockup.status("later")]))
            scripted.start()
            await one.shows("connected · up", "later")
            assert "globex" not in one.text()

    asyncio.run(drive())


def test_no_daemon_at_the_start(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        scripted.stop()
        async with driven(scripted, is_connected=False) as one:
            await one.shows("NOT CONNECTED · no data yet", "There is no socket", "--socket PATH", "R reconnect now")
            assert "No organisations yet" not in one.text()
            assert "─ Organisations ─" in one.text(), "how many there are is not known"
            assert "━ No connection ━" in one.text(), "nothing was lost"
            fleet_of(scripted)
            await reconnect(one)
            await one.shows("globex")

    asyncio.run(drive())


def test_a_socket_that_nobody_listens_on(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        scripted.stop()
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(scripted.path))
        async with driven(scripted, is_connected=False) as one:
            await one.shows("Nothing listens on", "the daemon died and left it", "systemctl restart zendeskd")
        scripted.path.unlink()

    asyncio.run(drive())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may talk to every socket")
def test_a_socket_one_may_not_use(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        scripted.path.chmod(0)
        async with driven(scripted, is_connected=False) as one:
            await one.shows("You may not talk to", "log in again")

    asyncio.run(drive())


def test_refused_for_lack_of_a_role(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        scripted.refuse("events", 403, "forbidden", "you are neither an operator nor a viewer", hint="ask for a group")
        async with driven(scripted, is_connected=False) as one:
            await one.shows("You are neither an operator nor a viewer.", "ask for a group")

    asyncio.run(drive())


def test_a_daemon_that_hangs(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted, frozen_s=0.3) as one:
            await one.until(lambda: one.app.fleet.connection.reason == "timeout", "the notice")
            await one.pass_time(5)
            await one.shows("The daemon (pid 812) is there but does not answer", "journalctl -u zendeskd -n 50")

    asyncio.run(drive())


def test_versions_too_far_apart_stop_it(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        scripted.api_version = "99"
        async with driven(scripted, is_connected=False, delays_s=(0.01,)) as one:
            await one.shows("do not understand each other", "the daemon speaks API 99", "R try again")
            asked = len(scripted.asked)
            await one.pilot.pause(0.1)
            assert len(scripted.asked) == asked, "it does not go on knocking"
            scripted.api_version = "1"
            await one.press("R")
            await one.shows("connected · up")

    asyncio.run(drive())


def test_a_gap_reloads_everything_and_says_so(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted) as one:
            scripted.answer(
                "sync_status", wire.SyncStatusList(seq=40, items=[mockup.status("wayne", why="after the gap")])
            )
            one.seq = 40
            one.log("the first after the gap")
            await one.shows("feed skipped, reloaded", "after the gap", "Organisations 1")

    asyncio.run(drive())


def test_what_the_snapshot_has_already_is_not_applied_again(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        scripted.answer("sync_status", wire.SyncStatusList(seq=9, items=[mockup.status("wayne", why="newest")]))
        async with driven(scripted) as one:
            one.update(mockup.status("wayne", why="oldest"))  # 8
            one.update(mockup.status("wayne", why="older"))  # 9
            one.log("after both")
            await one.shows("after both")
            assert "newest" in one.line(" wayne")

    asyncio.run(drive())


def test_a_restarted_daemon_is_told(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted) as one:
            await lose(one)
            fleet_of(scripted, started_at=stamp(mockup.NOW), pid=4242, boot_id="boot-2")
            scripted.answer(
                "events", wire.Event(seq=0, event="hello", at=stamp(mockup.NOW), boot_id="boot-2", version="1.0.0")
            )
            await reconnect(one)
            await one.told("daemon restarted 14:24:46 (pid 4242)")

    asyncio.run(drive())


def test_another_version_is_told_once(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted, version="0.9.0")
        async with driven(scripted) as one:
            assert len([toast for toast in one.toasts if toast.startswith("daemon 0.9.0, viewer ")]) == 1
            await lose(one)
            await reconnect(one)
            assert len([toast for toast in one.toasts if toast.startswith("daemon 0.9.0, viewer ")]) == 1

    asyncio.run(drive())


def test_trouble_of_the_database_is_in_the_first_line(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        database = wire.DatabaseStatus(path="/x", bytes=1, wal_bytes=0, records=0, trouble="disk full")
        fleet_of(scripted, database=database)
        async with driven(scripted, (80, 24)) as one:
            assert "! database: disk full" in one.text().splitlines()[0]

    asyncio.run(drive())


def test_a_daemon_with_another_clock(scripted: ScriptedDaemon) -> None:
    """Over ssh the daemon's clock is another machine's: ages and countdowns go by that one."""

    async def drive() -> None:
        fleet_of(scripted, now=mockup.ahead(hours=1))
        async with driven(scripted) as one:
            await one.shows("15:24:46 UTC")
            assert "1h 02m" in one.line(" wayne")

    asyncio.run(drive())


def test_a_path_full_of_tricks_is_shown_as_text(short_dir: Path) -> None:
    async def drive() -> None:
        daemon = ScriptedDaemon(short_dir / "\x1b[31m[red]x")
        async with driven(daemon, is_connected=False) as one:
            text = await one.shows("[red]x", "There is no socket")
            assert "\x1b" not in text

    asyncio.run(drive())
