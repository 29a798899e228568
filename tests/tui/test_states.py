"""What the screen does in each state of the fleet and its daemon; those of the connection are in test_link."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.fixtures import mockup
from tests.fixtures.scripted import ScriptedDaemon
from tests.fixtures.terminal import Driven, driven, fleet_of
from zendeskd import wire
from zendeskd.models import stamp
from zendeskd.tui.widgets.grid import Grid


def cell(one: Driven, org: str, column: str) -> Any:
    """The text and the tone of one cell of the list."""
    grid = one.app.screen.query_one(Grid)
    place = [each.key for each in grid._columns].index(column)
    return grid._make((org, "zendesk")).cells[place]


def test_starting_says_where_it_connects_to(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        async with driven(scripted, (100, 30), is_connected=False) as one:
            one.app.fleet.connection.phase = "connecting"
            await one.pass_time(0)
            text = await one.shows("zendeskd · connecting to", "╭─ Organisations ─", "? Help")
            assert "Organisations 0" not in text, "how many there are is not known yet"
            assert "No organisations yet" not in one.text(), "that is not known yet"
            assert "onnection" not in one.text(), "nothing is wrong yet"

    asyncio.run(drive())


def test_all_well_is_quiet(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted, [mockup.status(name) for name in ("acme", "globex")])
        async with driven(scripted, (80, 24)) as one:
            lines = one.text().splitlines()
            assert lines[1] == "✓2 ok"
            assert lines[4].strip("│ ") == "acme                     ✓ ok             2m    12:14"
            assert one.app.screen.query_one("#sentences").region.y > 0
            assert not one.toasts

    asyncio.run(drive())


@pytest.mark.parametrize(
    ("changes", "now", "tone"),
    [
        ({"state": "running", "run": mockup.live()}, "» 62% 0:48", "busy"),
        ({"state": "running", "run": mockup.live(eta_s=None)}, "» 62%", "busy"),
        ({"state": "running", "run": mockup.live(progress=None, eta_s=None)}, "» 3,100", "busy"),
        ({"state": "running", "run": mockup.live(), "slow_s": 60}, "! 62% 0:48", "bad"),
        ({"state": "stopping", "run": mockup.live()}, "= stopping", "dim"),
        ({"state": "queued"}, "∙ queued", "dim"),
        ({"state": "blocked"}, "! blocked", "bad"),
        ({"state": "stopped"}, "= stopped", "dim"),
        ({"state": "limited", "run": mockup.live(waiting_until=mockup.ahead(seconds=38))}, "~ limit 0:38", "warn"),
        ({"state": "retrying", "next_run_at": mockup.ahead(seconds=112)}, "~ retry 1:52", "warn"),
        ({"state": "a word of a newer daemon"}, "a word of a newer daemon", "plain"),
    ],
)
def test_what_it_does_now(scripted: ScriptedDaemon, changes: dict[str, Any], now: str, tone: str) -> None:
    async def drive() -> None:
        fleet_of(scripted, [mockup.status("acme", **changes)])
        async with driven(scripted) as one:
            assert cell(one, "acme", "now") == (now, tone)

    asyncio.run(drive())


def test_a_first_import_has_a_count_and_no_bar(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        live = mockup.live(records=8400, progress=None, eta_s=None)
        item = mockup.status("acme", state="running", run=live, last_status=None, last_success_at=None, recent_runs=[])
        fleet_of(scripted, [item])
        async with driven(scripted, (80, 24)) as one:
            line = one.line(" acme")
            assert line.split() == ["│", "acme", "»", "8,400", "◌", "never", "-", "-", "│"]
            assert "%" not in line

    asyncio.run(drive())


def test_late_and_slow_are_marked_and_named(scripted: ScriptedDaemon) -> None:
    async def drive(size: tuple[int, int]) -> None:
        at = mockup.ago(minutes=37)
        late = mockup.status("acme", health="late", late_s=300, why="late by 5m", last_success_at=at)
        slow = mockup.status("globex", state="running", health="running", slow_s=60, why="slow, 2/s", run=mockup.live())
        fleet_of(scripted, [late, slow])
        async with driven(scripted, size) as one:
            assert "!37m" in one.line(" acme")
            assert cell(one, "acme", "age") == ("!37m", "bad")
            assert "! 62%" in one.line(" globex")
            if size[0] >= 80:
                assert "late by 5m" in one.line(" acme") and "slow, 2/s" in one.line(" globex")
            await one.press("T")
            assert cell(one, "acme", "age").tone == "bad", "it stays marked as an hour of the day"

    for size in ((100, 30), (80, 24), (60, 20), (40, 10)):
        asyncio.run(drive(size))


def test_a_failed_one_that_runs_again_shows_both(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        failed = {"last_status": "failed", "recent_runs": mockup.failures("acme", "network_error", 3)}
        fleet_of(scripted, [mockup.status("acme", health="failing", state="retrying", **failed)])
        async with driven(scripted) as one:
            one.update(mockup.status("acme", health="failing", state="running", run=mockup.live(), **failed))
            await one.until(lambda: "» 62%" in one.line(" acme"), "the run")
            assert "✗ network" in one.line(" acme")
            one.update(mockup.status("acme"))
            await one.until(lambda: "✓ ok" in one.line(" acme"), "its end")
            assert "»" not in one.line(" acme")

    asyncio.run(drive())


def test_a_block_ends_by_itself_on_the_screen(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted) as one:
            text = await one.shows("! blocked", "Fix: zendeskctl credentials set globex")
            assert "! 1 blocked" in text.splitlines()[1]
            one.clock.go(10)
            one.update(mockup.status("globex"))
            await one.shows_no("blocked")

    asyncio.run(drive())


def test_stopped_says_who_and_why_and_has_no_next_run(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted, (80, 24)) as one:
            line = one.line("umbrella")
            assert "= stopped" in line and "ana: change freeze" in line
            assert cell(one, "umbrella", "next") == ("stopped", "dim")

    asyncio.run(drive())


@pytest.mark.parametrize("trouble", ["disk full", "locked", "read-only"])
@pytest.mark.parametrize("size", [(100, 30), (80, 24), (46, 12)])
def test_trouble_of_the_store_is_said_in_words_and_goes_by_itself(
    scripted: ScriptedDaemon, trouble: str, size: tuple[int, int]
) -> None:
    async def drive() -> None:
        database = wire.DatabaseStatus(path="/x", bytes=1, wal_bytes=0, records=0, trouble=trouble)
        fleet_of(scripted, database=database)
        async with driven(scripted, size) as one:
            assert f"! database: {trouble}" in one.text().splitlines()[0]
            scripted.answer("status", mockup.daemon())
            one.app.link._status_is_old = True  # five seconds have passed since it was read
            one.app.link._status_at = float("-inf")
            one.log("page stored", "acme-eu")
            await one.shows_no("database:")

    asyncio.run(drive())


def test_a_run_that_a_restart_cut_off_is_interrupted(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted, [mockup.status("acme", state="running", health="running", run=mockup.live())])
        async with driven(scripted) as one:
            assert "» 62%" in one.line(" acme")
            scripted.stop()
            await one.until(lambda: not one.app.fleet.is_live, "the loss")
            assert "» 62%" in one.line(" acme"), "what was last known stays"
            fleet_of(scripted, [mockup.status("acme", last_status="interrupted", health="ok")], pid=4242)
            scripted.answer(
                "events", wire.Event(seq=0, event="hello", at=stamp(mockup.NOW), boot_id="boot-2", version="1.0.0")
            )
            scripted.start()
            await one.press("R")
            await one.until(lambda: "interrupted" in one.line(" acme"), "the end of the run")
            assert "»" not in one.line(" acme")

    asyncio.run(drive())


def test_a_viewer_is_named_and_has_no_changing_key_at_any_width(scripted: ScriptedDaemon) -> None:
    async def drive(size: tuple[int, int]) -> None:
        fleet_of(scripted, role="viewer")
        async with driven(scripted, size) as one:
            lines = one.text().splitlines()
            assert "viewer" in lines[0]
            assert not any(word in lines[-1] for word in ("Trigger", "Start", "Stop", "Interval", "Cancel"))

    for size in ((120, 40), (100, 30), (80, 24), (60, 20), (40, 10)):
        asyncio.run(drive(size))
