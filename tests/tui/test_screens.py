"""The screens behind the list: organisation, run, log, daemon."""

from __future__ import annotations

import asyncio

import pytest

from tests.fixtures import mockup
from tests.fixtures.scripted import ScriptedDaemon
from tests.fixtures.terminal import Driven, driven, fleet_of
from zendeskd import wire


def history(scripted: ScriptedDaemon) -> None:
    fleet_of(
        scripted,
        [
            mockup.status(
                "acme-eu", state="running", health="running", interval="8,23,38,53 * * * *", why="page 31, 40 rec/s",
                watermark=mockup.ago(minutes=6, seconds=22), last_success_at=mockup.ago(minutes=16),
                total_records=84120, run=mockup.live(budgets=[
                    wire.Budget(name="export", remaining=6, total=30),
                    wire.Budget(name="account", remaining=2461, total=2500),
                ]),
                reconciled=mockup.reconciled("acme-eu"),
            ),
            *mockup.fleet()[:3],
        ],
    )  # fmt: skip
    runs = [
        mockup.run(8815, status="running", started_at=mockup.ago(seconds=106), duration_ms=None, end_reason=None),
        mockup.run(8803, started_at=mockup.ago(minutes=16)),
        mockup.run(8779, requested_by="ana (cli)", trigger="manual", records_processed=117, duration_ms=9000),
        mockup.run(8767, status="partial", records_failed=2, records_processed=39, duration_ms=4000),
        mockup.run(8755, status="failed", error_code="network_error", error_message="timeout x5", duration_ms=30000),
    ]
    scripted.answer("runs", wire.RunList(items=runs, next=None))
    scripted.answer("run", mockup.document(runs[-1]))


async def opened(one: Driven, org: str = "acme-eu") -> None:
    one.app.open((org, "zendesk"))
    await one.shows(f"Organisations › {org}")


def test_the_organisation(scripted: ScriptedDaemon) -> None:
    async def drive(name: str, size: tuple[int, int]) -> None:
        history(scripted)
        async with driven(scripted, size) as one:
            await opened(one)
            await one.shows("8755")
            one.log("page stored", "acme-eu", page=31, new=2)
            one.log("of another", "hooli")
            if size[1] >= 28:
                text = await one.shows("page=31")
                assert "of another" not in text
            await one.is_drawn(name)

    asyncio.run(drive("organisation-100x30", (100, 30)))
    asyncio.run(drive("organisation-80x24", (80, 24)))


def test_progress_moves_with_the_events(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        history(scripted)
        async with driven(scripted) as one:
            await opened(one)
            live = mockup.live(progress=0.8, pages=40, records=4000)
            one.update(mockup.status("acme-eu", state="running", health="running", run=live))
            await one.shows("window 80%", "page 40", "4,000 read")
            assert "4,000" in one.line("   8815"), "the list has the numbers of the events too"

    asyncio.run(drive())


def test_no_bar_without_a_known_fraction(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        history(scripted)
        async with driven(scripted) as one:
            await opened(one)
            live = mockup.live(progress=None, eta_s=None, pages=84, records=8400)
            one.update(mockup.status("acme-eu", state="running", health="running", run=live))
            text = await one.shows("page 84")
            assert "█" not in text and "window" not in text

    asyncio.run(drive())


def test_a_run_that_ends_is_in_the_list_at_once(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        history(scripted)
        async with driven(scripted) as one:
            await opened(one)
            await one.until(lambda: "running" in one.line("   8815"), "the list")
            one.publish("run", run=mockup.run(8815, status="success", records_processed=3333))
            one.publish("run", run=mockup.run(8830, status="queued", started_at=None, duration_ms=None))
            await one.until(lambda: "✓ ok" in one.line("   8815"), "its end")
            assert "queued" in one.line("   8830")

    asyncio.run(drive())


def test_an_idle_and_a_blocked_organisation_say_what_is_next(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        history(scripted)
        async with driven(scripted) as one:
            one.update(mockup.status("acme-eu"))
            await one.until(lambda: "running" not in one.line("acme-eu"), "the end of the run")
            await opened(one)
            await one.shows("Last run 8700", "next in 12:14")
            await one.press("escape")
            await opened(one, "globex")
            await one.shows("Blocked", "Fix: zendeskctl credentials set globex")

    asyncio.run(drive())


def test_keys_there_act_on_that_organisation(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        history(scripted)
        scripted.answer("trigger", wire.Accepted(run_id=8815, state="running", joined=True))
        async with driven(scripted) as one:
            await one.press("end", "enter")
            await one.shows("Organisations › acme-eu")
            await one.press("t")
            await one.until(lambda: one.asked("trigger") == [("trigger", "acme-eu")], "the request")
            await one.press("escape")
            assert one.cursor == "acme-eu"

    asyncio.run(drive())


def test_an_organisation_that_is_removed_closes_its_screen(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        history(scripted)
        async with driven(scripted) as one:
            await opened(one)
            one.publish("removed", organization_id="acme-eu", system_type="zendesk")
            await one.shows("Organisations 3 ·")
            await one.told("acme-eu is not there any more")

    asyncio.run(drive())


def test_history_that_cannot_be_read_says_so(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        history(scripted)
        scripted.refuse("runs", 503, "storage_error", "the disk is full")
        async with driven(scripted) as one:
            await opened(one)
            await one.shows("cannot be read: the disk is full")

    asyncio.run(drive())


def test_older_runs_are_read_when_one_scrolls_to_them(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        history(scripted)
        newer = wire.RunList(items=[mockup.run(900 - each) for each in range(100)], next="801")
        older = wire.RunList(items=[mockup.run(800 - each) for each in range(20)], next=None)
        scripted.answer("runs", lambda asked: older if asked.query.get("after") else newer)
        async with driven(scripted) as one:
            await opened(one)
            await one.shows("900")
            await one.press("end")
            await one.until(lambda: len(scripted.asked_for("runs")) == 2, "the next page")
            await one.pilot.pause()
            await one.press("end")
            await one.shows("   781")

    asyncio.run(drive())


def test_a_run_with_its_error_and_its_log(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        history(scripted)
        async with driven(scripted) as one:
            await opened(one)
            await one.until(lambda: "8755" in one.text(), "the runs")
            one.log("request failed", "acme-eu", "warning", run=8755, attempt=3)
            one.log("page stored", "acme-eu", run=8803)
            await one.shows("page stored")
            await one.press("end", "enter")
            await one.shows("run 8755", "network_error: timeout x5", "attempt=3")
            await one.is_drawn("run-100x30")
            assert "page stored" not in one.text()
            await one.press("y")
            await one.told("run 8755 and 1 log lines")
            assert '"timeout x5"' in one.app.clipboard
            await one.press("escape", "escape")
            await one.shows("order health")

    asyncio.run(drive())


async def fill(one: Driven, count: int = 100) -> None:
    for each in range(count):
        level = "error" if each % 10 == 0 else "info"
        one.log(f"line {each:03d}", "globex" if each % 2 else "hooli", level)
    await one.until(lambda: one.app.fleet.logged == count, "the log")


def test_the_log_follows_holds_still_and_follows_again(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted, (80, 24)) as one:
            await fill(one)
            await one.press("l")
            await one.shows("line 099", "following")
            await one.press("pageup")
            text = await one.shows("holding still")
            assert "line 099" not in text
            one.log("a new one", "hooli")
            await one.until(lambda: one.app.fleet.logged == 101, "the line")
            await one.pilot.pause(0.3)
            assert "a new one" not in one.text(), "a log that is read holds still"
            await one.press("f")
            await one.shows("following", "a new one")
            await one.press("home")
            await one.shows("line 000", "holding still")
            await one.press("end")
            await one.shows("following", "a new one")

    asyncio.run(drive())


def test_the_log_by_level_and_words(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted, (80, 24)) as one:
            await fill(one)
            await one.press("l", "4")
            text = await one.shows("error and above", "line 090", "line 000")
            assert "line 091" not in text
            await one.press("2", "/", *"line 05", "enter")
            await one.shows("find line 05", "line 059")
            await one.press("w", "T")
            await one.shows("find line 05")
            await one.press("n")
            await one.shows("line 050")
            await one.press("/", *"zzz", "enter")
            await one.told("not found")
            await one.press("escape", "escape")
            await one.shows("order health")

    asyncio.run(drive())


def test_the_log_of_the_marked(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted, (80, 24)) as one:
            await fill(one, 20)
            await one.press("space", "l")
            text = await one.shows("Log · globex", "line 019")
            assert "line 018" not in text

    asyncio.run(drive())


def daemon_of(scripted: ScriptedDaemon) -> None:
    history(scripted)
    scripted.answer(
        "health",
        mockup.vital(
            threads={"scheduler": 0.2, "worker-1": 4.0, "worker-2": 9.6}, doing={"worker-1": "run 8815 of acme-eu"}
        ),
    )
    configs = [wire.SyncConfig(**mockup.config(item.organization_id)) for item in mockup.fleet()]
    scripted.answer("sync_config", wire.SyncConfigList(items=configs))


def test_the_daemon(scripted: ScriptedDaemon) -> None:
    async def drive(name: str, size: tuple[int, int]) -> None:
        daemon_of(scripted)
        async with driven(scripted, size) as one:
            one.publish("daemon", message="settings read again")
            await one.press("d")
            await one.shows("zendeskd:zendesk-ops; operators: whoever can open it")
            if size[1] >= 40:
                await one.shows("settings read again", "acme-eu.zendesk.com  API left: export 6 of 30", "0 differences")
            await one.is_drawn(name)

    asyncio.run(drive("daemon-100x40", (100, 40)))
    asyncio.run(drive("daemon-80x24", (80, 24)))


def test_the_daemon_is_read_to_the_end_by_keys(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        daemon_of(scripted)
        async with driven(scripted, (80, 24)) as one:
            await one.press("d")
            await one.shows("worker-1")
            assert "What the daemon said" not in one.text()
            await one.press("G")
            await one.shows("What the daemon said")
            await one.press("k", "k", "g")
            await one.shows("version ")
            await one.press("j")
            await one.shows_no("version ")

    asyncio.run(drive())


def test_what_threads_do_and_how_long_ago_they_moved(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        daemon_of(scripted)
        async with driven(scripted, (100, 40)) as one:
            await one.press("d")
            await one.shows("scheduler        moved   0s ago   says which runs are due")
            await one.shows("worker-1         moved   4s ago   run 8815 of acme-eu")
            await one.shows("worker-2         moved   9s ago   waits for work")
            await one.pass_time(3)
            await one.shows("worker-1         moved   7s ago"), "it counts on"
            scripted.answer("health", mockup.vital(threads={"scheduler": 0.1, "worker-1": 1.0}))
            await one.pass_time(3)
            await one.shows("worker-1         moved   1s ago   waits for work")
            scripted.stop()
            await one.until(lambda: not one.app.fleet.is_live, "the loss")
            await one.pass_time(60)
            await one.shows("worker-1         moved   1s ago"), "what is not known does not go on"

    asyncio.run(drive())


def test_a_backup_is_told_as_it_goes(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        daemon_of(scripted)
        async with driven(scripted, (100, 40)) as one:
            await one.press("d")
            await one.shows("worker-1")
            one.publish("daemon", message="backup begun", backup=mockup.backup("/b/2.db", finished_at=None))
            await one.shows("backup    going on since 08:24:46")
            failed = mockup.backup("/b/2.db", finished_at=mockup.ago(), trouble="[b]No room.")
            one.publish("daemon", message="backup failed", backup=failed)
            await one.shows("backup    FAILED 14:24:46 UTC: [b]No room. last good 08:24:46 UTC; next")

    asyncio.run(drive())


def test_a_daemon_that_is_not_well_or_hostile(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        daemon_of(scripted)
        scripted.answer("health", mockup.vital(ok=False, detail="standing still: scheduler"))
        async with driven(scripted, (100, 40)) as one:
            one.publish("daemon", message="[bold]stopping[/bold]")
            await one.press("d")
            await one.shows("NOT WELL, standing still: scheduler", "[bold]stopping[/bold]")
            scripted.refuse("health", 500, "internal_error", "a bug")
            one.publish("daemon", message="again")
            await one.shows("cannot be asked: a bug", "NOT WELL"), "what was last known stays"
            await one.press("escape")
            await one.shows("order health")

    asyncio.run(drive())


@pytest.mark.parametrize(
    ("access", "said"),
    [
        (None, "not known"),
        (wire.SocketAccess(mode=None, owner=None, group=None), "its file is gone, nobody else can connect"),
        (
            wire.SocketAccess(mode="0666", owner="zendeskd", group="ops", operators="ops", viewers="support"),
            "operators: root, zendeskd and the group ops; viewers: the group support",
        ),
    ],
)
def test_who_may_use_the_socket(scripted: ScriptedDaemon, access: wire.SocketAccess | None, said: str) -> None:
    async def drive() -> None:
        daemon_of(scripted)
        scripted.answer("status", mockup.daemon(access=access))
        async with driven(scripted, (120, 40)) as one:
            await one.press("d")
            await one.shows(said)

    asyncio.run(drive())


@pytest.mark.parametrize("size", [(100, 30), (80, 24), (60, 12), (50, 12), (40, 10)])
def test_first_line_and_keys_stay_where_they_are_at_every_size(scripted: ScriptedDaemon, size: tuple[int, int]) -> None:
    async def drive() -> None:
        history(scripted)
        async with driven(scripted, size) as one:
            await opened(one)
            await one.until(lambda: "running" in one.line("  8815"), "a run in the list")
            for _ in range(5):
                await one.press("end", "home")
            lines = one.text().splitlines()
            assert lines[0].startswith("Organisations › acme-eu") and "esc Back" in lines[-1]
            scripted.stop()
            await one.until(lambda: not one.app.fleet.is_live, "the loss")
            await one.pass_time(40)
            assert one.text().splitlines()[0].startswith("zendeskd · NOT CONN")

    asyncio.run(drive())


def test_every_screen_survives_a_lost_connection_and_small_terminals(scripted: ScriptedDaemon) -> None:
    async def drive(keys: list[str], words: str) -> None:
        history(scripted)
        scripted.answer("health", mockup.vital())
        async with driven(scripted, (46, 10)) as one:
            await one.press(*keys)
            await one.until(lambda: len(one.app.screen_stack) == 3, words)
            await one.pilot.resize_terminal(100, 30)
            await one.shows(words)
            scripted.stop()
            await one.until(lambda: not one.app.fleet.is_live, "the loss")
            await one.pass_time(5)
            await one.shows("Connection lost")
            scripted.start()
            await one.press("R")
            await one.until(lambda: one.app.fleet.is_live, "the connection")
            await one.shows_no("Connection lost")

    for keys, words in [(["enter"], "Organisations ›"), (["l"], "Log · all orgs"), (["d"], "Daemon")]:
        asyncio.run(drive(keys, words))
