"""Keys that come faster than they are handled: over a slow line, or pasted, many of them are one read."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from textual import events
from textual.widgets import Input

from tests.fixtures.daemons import DaemonProcess
from tests.fixtures.pseudo_terminal import Terminal
from tests.fixtures.scripted import ScriptedDaemon
from tests.fixtures.terminal import Driven, driven, fleet_of
from zendeskd.simulator import Simulator
from zendeskd.tui.widgets.grid import Grid


@pytest.mark.e2e
def test_a_burst_means_what_the_same_keys_mean_one_by_one(
    daemon: DaemonProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    bursts = (  # each on a dashboard of its own: the keys, what is then to be seen
        [("/acme\rj", "filter acme")],
        [("l/stored\r1", "find stored")],
        [("rr/e*\rjjj", "search e*"), ("\r/theqq\r?", "Keys here"), ("\x1b", "find theqq")],
    )
    with Simulator(seed=5) as simulator:
        account = simulator.add_account("acme", tickets=50)
        daemon.add("acme", account.base_url, account.credential)
        daemon.first_run("acme")
        for each in bursts:
            terminal = Terminal(sys.executable, "-m", "zendeskd.tui.program", "--socket", str(daemon.socket))
            try:
                terminal.until("connected", "up to date", "50")
                for keys, *shown in each:
                    terminal.type(keys)
                    terminal.until(*shown)
                assert "asked:" not in terminal.text
                terminal.type("\x03")
                assert terminal.ended() == 0
            finally:
                terminal.close()


async def burst(one: Driven, text: str) -> None:
    """Without waiting for anything in between."""
    for char in text:
        one.app.post_message(events.Key({"/": "slash", "\r": "enter"}.get(char, char), char))


def test_the_field_has_every_letter_and_the_list_what_comes_behind(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted) as one:
            field = one.app.screen.query_one("#filter", Input)
            await burst(one, "/state:ok!xqtd\r")
            await one.until(lambda: field.value and not field.display, "the field to close")
            assert field.value == "state:ok!xqtd" and not one.asked("trigger") and one.app.is_running
            await one.press("escape")
            await burst(one, "/a\rjj")
            grid = one.app.screen.query_one(Grid)
            await one.until(lambda: grid.keys.index(grid.cursor_key) == 2, "two lines down")
            assert field.value == "a"

    asyncio.run(drive())


def test_text_that_is_pasted_behind_the_slash_is_in_the_field(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted) as one:
            await burst(one, "/")
            one.app.post_message(events.Paste("acme"))
            await burst(one, "-us")
            field = one.app.screen.query_one("#filter", Input)
            await one.until(lambda: field.value == "acme-us", "all of it")

    asyncio.run(drive())


def test_a_key_that_never_comes_back_holds_up_no_other(scripted: ScriptedDaemon) -> None:
    """One that ends with the screen that had it, and each before a screen is there."""

    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted) as one:
            for _ in range(20):
                for key in ("l", "escape", "d", "escape", "question_mark", "escape", "r", "escape", "enter", "escape"):
                    one.app.post_message(events.Key(key, key if len(key) == 1 else None))
            await burst(one, "/wayne")
            field = one.app.screen_stack[1].query_one("#filter", Input)
            await one.until(lambda: field.value == "wayne", "the last ones", timeout_s=30)
            assert len(one.app.screen_stack) == 2

    asyncio.run(drive())
