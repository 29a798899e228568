"""What the dashboard does not do: import what a start does not need, draw what did not change."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from textual._compositor import ChopsUpdate

from tests.fixtures import mockup
from tests.fixtures.scripted import Asked, ScriptedDaemon
from tests.fixtures.terminal import Clock, Driven, driven, fleet_of
from zendeskd import wire
from zendeskd.tui.app import Dashboard
from zendeskd.tui.widgets.grid import GAP, Grid

NOT_FOR_A_START = {
    "asyncssh", "click", "cryptography", "httpx._main", "markdown_it", "peewee", "pygments", "rich.progress",
    "starlette", "structlog", "textual.widgets._data_table", "textual.widgets._markdown", "textual.widgets._text_area",
    "zendeskd.ctl", "zendeskd.demo",
}  # fmt: skip


def test_a_start_imports_only_what_it_needs() -> None:
    """The command line of httpx alone was 40 ms of 400."""
    script = "import sys, zendeskd.tui.start; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60)
    assert not NOT_FOR_A_START & set(done.stdout.split())


def test_rubbish_is_looked_for_again_once_there_are_rows(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        called: list[int] = []
        app = Dashboard(scripted.path, delays_s=(600.0,))
        app.when_up = lambda: called.append(len(app.fleet.items))
        async with app.run_test() as pilot:
            one = Driven(app, pilot, scripted, Clock())
            await one.until(lambda: called, "the rows")
            app.phase_changed()
        assert called == [len(mockup.fleet())]

    asyncio.run(drive())


def test_nor_is_it_forgotten_where_there_is_no_daemon(short_dir: Path) -> None:
    async def drive() -> None:
        up = asyncio.Event()
        app = Dashboard(short_dir / "none.sock", delays_s=(600.0,))
        app.when_up = up.set
        async with app.run_test():
            await asyncio.wait_for(up.wait(), 10)

    asyncio.run(drive())


def test_the_snapshot_is_asked_for_at_once(scripted: ScriptedDaemon) -> None:
    """Neither is answered before both were asked."""

    async def drive() -> None:
        fleet_of(scripted)
        both = threading.Barrier(2, timeout=5)

        def together(reply: msgspec.Struct) -> Callable[[Asked], msgspec.Struct]:
            def answer(_: Asked) -> msgspec.Struct:
                both.wait()
                return reply

            return answer

        scripted.answer("sync_status", together(mockup.listing()), mockup.listing())
        scripted.answer("status", together(mockup.daemon()), mockup.daemon())
        async with driven(scripted) as one:
            await one.shows("globex", "connected")
        assert not both.broken, "one was asked only when the other had been answered"

    asyncio.run(drive())


# --- drawing ----------------------------------------------------------------------------------------------------------


class Drawn:
    """The pieces of lines that the application writes: line -> the cells that were written, from and to."""

    def __init__(self, one: Driven) -> None:
        self.pieces: dict[int, tuple[int, int]] = {}
        self.frames = self.whole = 0
        display = one.app._display

        def watched(screen: Any, update: Any) -> None:
            self.frames += 1
            if isinstance(update, ChopsUpdate):
                for line, begin, end in update.spans:
                    was_begin, was_end = self.pieces.get(line, (begin, end))
                    self.pieces[line] = (min(begin, was_begin), max(end, was_end))
            elif update is not None:
                self.whole += 1
            display(screen, update)

        one.app._display = watched  # type: ignore[method-assign]

    def forget(self) -> None:
        self.pieces.clear()
        self.frames = self.whole = 0


def at_rest(*, count: int) -> list[wire.SyncStatus]:
    """So many organisations without a countdown, their last run long ago."""
    return [
        mockup.status(
            f"org-{number:03}", next_run_at=mockup.ahead(hours=7, seconds=30), last_success_at=mockup.ago(hours=5)
        )
        for number in range(count)
    ]


async def settled(one: Driven) -> Drawn:
    """Once what the start had to draw has been drawn, up to the clock of the next second."""
    drawn = Drawn(one)
    await one.shows("connected", "org-000")
    for _ in range(2):
        drawn.forget()
        await one.pass_time(1)
        await one.until(lambda: 0 in drawn.pieces, "the clock")
    drawn.forget()
    return drawn


def test_a_second_at_rest_draws_the_clock_alone(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted, at_rest(count=500))
        async with driven(scripted) as one:
            drawn = await settled(one)
            for _ in range(3):
                await one.pass_time(0)  # a tick without a change: nothing
            await one.pass_time(1)
            await one.until(lambda: 0 in drawn.pieces, "the clock")
            assert set(drawn.pieces) == {0} and drawn.frames == 1 and not drawn.whole

    asyncio.run(drive())


def test_a_countdown_draws_its_line_and_no_further_than_itself(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        items = at_rest(count=500)
        items[2] = msgspec.structs.replace(items[2], next_run_at=mockup.ahead(minutes=12))
        items[400] = msgspec.structs.replace(items[400], next_run_at=mockup.ahead(minutes=12))
        fleet_of(scripted, items)
        async with driven(scripted) as one:
            drawn = await settled(one)
            end = one.line("org-002").index("11:58") + len("11:58")
            await one.pass_time(1)
            await one.shows("11:57")
            line = next(y for y, text in enumerate(one.text().splitlines()) if "org-002" in text)
            await one.until(lambda: line in drawn.pieces, "the line of the countdown")
            assert set(drawn.pieces) == {0, line}, "not that of org-400, which cannot be seen"
            assert drawn.pieces[line][1] <= end + len(GAP) and not drawn.whole

    asyncio.run(drive())


def test_what_happens_out_of_sight_draws_nothing_of_the_list(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        items = at_rest(count=500)
        fleet_of(scripted, items)
        async with driven(scripted) as one:
            drawn = await settled(one)
            region = one.app.screen.query_one(Grid).region
            for number in range(200):
                one.update(msgspec.structs.replace(items[400], total_records=number))
            key = ("org-400", "zendesk")
            await one.until(lambda: one.app.fleet.items[key].total_records == 199, "the last of them")
            await one.pass_time(1)
            await one.until(lambda: 0 in drawn.pieces, "the clock")
            assert not set(drawn.pieces) & set(range(region.y, region.bottom)) and not drawn.whole

    asyncio.run(drive())
