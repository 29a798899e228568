"""Keys that change something: on whom they act, what they ask, what is said, and when it counts as done."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import msgspec
import pytest

from tests.fixtures import mockup
from tests.fixtures.scripted import Asked, ScriptedDaemon
from tests.fixtures.terminal import Driven, driven, fleet_of
from zendeskd import present, wire
from zendeskd.models import stamp
from zendeskd.tui.screens.confirm import CancelRun
from zendeskd.tui.screens.dialog import Dialog


def answers(scripted: ScriptedDaemon) -> None:
    """A daemon that does what it is asked."""
    fleet_of(scripted)
    scripted.answer("trigger", wire.Accepted(run_id=8819, state="queued", joined=False))
    for action in ("start", "stop", "interval", "cancel"):
        scripted.answer(action, lambda asked: mockup.changed(asked.org or "?", action=asked.body["action"]))


def preview(asked: Asked) -> Any:
    interval = asked.body["interval"]
    if interval == "*/30 9-17 * * 1-5":
        local = [("2026-11-23T09:30:00-05:00", 314), ("2026-11-23T10:00:00-05:00", 2114)]
        times = [wire.PreviewTime(local=at, utc=stamp(mockup.NOW), in_s=in_s) for at, in_s in local]
        times.append(wire.PreviewTime(local="2026-11-24T10:30:00-05:00", utc=stamp(mockup.NOW), in_s=90000))
        return wire.Preview(
            interval=interval, timezone=asked.body["timezone"], words="Every 30th minute on weekdays", times=times
        )
    return wire.Problem(
        title="Unprocessable", status=422, code="bad_request", detail="minute: 75 is not valid, 0-59", field="interval"
    )


async def toast(one: Driven, word: str) -> str:
    found: str = await one.until(lambda: next((each for each in one.toasts if word in each), ""), f"a toast: {word}")
    return found


@pytest.mark.parametrize(("key", "verb"), [("t", "trigger"), ("s", "start"), ("x", "stop")])
def test_harmless_keys_act_at_once_on_the_organisation_under_the_cursor(
    scripted: ScriptedDaemon, key: str, verb: str
) -> None:
    async def drive() -> None:
        answers(scripted)
        async with driven(scripted) as one:
            await one.press("end", "up")
            await one.press(key)
            said = await toast(one, f"asked: {verb} wayne")
            assert f"(zendeskctl {verb} wayne)" in said
            await one.until(lambda: one.asked(verb) == [(verb, "wayne")], "the request")
            await one.until(lambda: f"asked: {verb}" in one.line(" wayne"), "the mark")
            one.update(mockup.status("wayne", why="told by the daemon"))
            await one.until(lambda: "told by the daemon" in one.line(" wayne"), "the daemon's word")

    asyncio.run(drive())


def test_a_run_counts_as_started_when_the_daemon_says_so(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        answers(scripted)
        async with driven(scripted) as one:
            await one.press("end", "up", "t")
            await one.until(lambda: one.asked("trigger"), "the request")
            assert not any("started" in each for each in one.toasts)
            await one.until(lambda: 8819 in one.app.actions._runs, "the answer")
            one.publish("run", run=mockup.run(8819, "wayne", status="running", synced_at=None))
            assert await toast(one, "started") == "wayne: run 8819 started"

    asyncio.run(drive())


def test_a_trigger_that_joins_says_so(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        answers(scripted)
        scripted.answer("trigger", wire.Accepted(run_id=8815, state="running", joined=True))
        async with driven(scripted) as one:
            await one.press("t")
            assert await toast(one, "joined") == "globex: joined run 8815, running"
            await one.shows_no("asked: trigger")

    asyncio.run(drive())


def test_marked_organisations_are_all_acted_on(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        answers(scripted)
        async with driven(scripted) as one:
            await one.press("!", "a", "t")
            said = await toast(one, "asked")
            assert said == "asked: trigger 2 organisations   (zendeskctl trigger globex initech)"
            await one.until(lambda: len(one.asked("trigger")) == 2, "both")
            assert {org for _, org in one.asked("trigger")} == {"globex", "initech"}
            assert "2 marked" in one.text()
            await one.press("escape", "escape")
            assert "marked" not in one.text()

    asyncio.run(drive())


def test_answers_for_many_are_summed_up(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        answers(scripted)
        fleet_of(scripted, [mockup.status(f"org-{each:03d}") for each in range(300)])
        blocked = wire.Problem(title="Conflict", status=409, code="conflict", detail="it is blocked", hint="new ones")

        def reply(asked: Asked) -> Any:
            number = int((asked.org or "")[4:])
            return blocked if number < 100 else wire.Accepted(run_id=number, state="queued", joined=number < 150)

        scripted.answer("trigger", reply)
        async with driven(scripted) as one:
            await one.press("a", "t")
            said = await toast(one, "refused")
            assert said == (
                "trigger: 150 accepted, 100 refused, 50 joined; the first: trigger org-000: it is blocked.  new ones"
            )
            for number in range(150, 160):
                one.publish("run", run=mockup.run(number, f"org-{number}", status="running", synced_at=None))
            one.log("the last of these")
            await one.shows("the last of these")
            assert not [each for each in one.toasts if "started" in each or each.startswith("org-")]
            await one.press("x")
            text = await one.shows("Stop · 300 organisations")
            assert "A run going on" not in text

    asyncio.run(drive())


def test_marks_that_a_filter_hides_are_told(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        answers(scripted)
        async with driven(scripted) as one:
            await one.press("space", "space", "/", *"acme", "enter", "space")
            await one.shows("Organisations 2 of 9 · 3 marked, 2 not shown")

    asyncio.run(drive())


def test_a_reason_full_of_tricks_is_text(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        answers(scripted)
        reason = f'it\'s "off" {mockup.HOSTILE}'
        async with driven(scripted) as one:
            one.app.run_worker(one.app.actions.stop([("globex", "zendesk")], reason))
            said = await toast(one, "asked: stop globex")
            assert present.clean(said) == said and "[bold]x[/bold]" in said
            await one.until(lambda: one.asked("stop"), "the request")
            assert scripted.asked_for("stop")[0].body["reason"] == reason, "what was said is what was meant"
            assert "\x1b" not in one.text()

    asyncio.run(drive())


def test_space_marks_and_goes_on(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        answers(scripted)
        async with driven(scripted) as one:
            await one.press("space", "space")
            assert one.cursor == "hooli"
            assert "│*globex" in one.text() and "│*initech" in one.text()
            await one.press("s")
            await one.until(lambda: len(one.asked("start")) == 2, "both")

    asyncio.run(drive())


def test_a_resort_between_never_changes_who_is_acted_on(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        answers(scripted)
        async with driven(scripted) as one:
            await one.press("end", "up")
            one.clock.go(10)
            for org in ("tyrell", "stark", "umbrella"):
                one.update(mockup.status(org, state="blocked", health="blocked"))
            await one.until(lambda: one.text().index("umbrella") < one.text().index("wayne"), "the new order")
            await one.press("x")
            await one.until(lambda: one.asked("stop"), "the request")
            assert one.asked("stop") == [("stop", "wayne")]

    asyncio.run(drive())


def test_a_refusal_is_told_with_its_hint(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        answers(scripted)
        scripted.refuse("trigger", 409, "conflict", "globex is blocked", hint="zendeskctl credentials set globex")
        async with driven(scripted) as one:
            await one.press("t")
            said = await toast(one, "blocked")
            assert said == "trigger globex: globex is blocked.  zendeskctl credentials set globex"
            await one.shows_no("asked: trigger globex │")
            assert one.app.actions.asked == {}

    asyncio.run(drive())


def test_what_was_so_already_is_told(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        answers(scripted)
        scripted.answer("start", mockup.changed("globex", changed=False))
        async with driven(scripted) as one:
            await one.press("s")
            await toast(one, "globex: was started already")

    asyncio.run(drive())


def test_cancel_asks_starts_on_keep_and_names_the_run(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        answers(scripted)
        items = [mockup.status("acme-eu", state="running", health="running", run=mockup.live())]
        scripted.answer("sync_status", mockup.listing(items))
        async with driven(scripted, (80, 24)) as one:
            await one.press("c")
            await one.shows("Cancel run")
            await one.is_drawn("cancel-80x24")
            await one.press("enter")
            assert "Keep running" not in one.text(), "enter is the harmless one"
            assert one.asked("cancel") == []
            await one.press("c", "escape")
            assert one.asked("cancel") == []
            await one.press("c", "y")
            await one.until(lambda: one.asked("cancel") == [("cancel", "acme-eu")], "the request")

    asyncio.run(drive())


def test_a_run_that_ends_meanwhile_closes_the_question(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        answers(scripted)
        items = [mockup.status("acme-eu", state="running", health="running", run=mockup.live())]
        scripted.answer("sync_status", mockup.listing(items))
        async with driven(scripted) as one:
            await one.press("c")
            one.update(mockup.status("acme-eu"))
            await toast(one, "the run ended meanwhile")
            await one.shows_no("Keep running")

    asyncio.run(drive())


@pytest.mark.parametrize("opens", ["x", "i", "c", "resync"])
@pytest.mark.parametrize("on_its_screen", [False, True])
def test_an_organisation_that_is_removed_closes_its_questions(
    scripted: ScriptedDaemon, opens: str, on_its_screen: bool
) -> None:
    async def drive() -> None:
        answers(scripted)
        items = [mockup.status("acme-eu", state="running", run=mockup.live()), mockup.status("wayne")]
        scripted.answer("sync_status", mockup.listing(items))
        scripted.answer("preview_schedule", preview)
        scripted.answer("runs", wire.RunList(items=[], next=None))
        async with driven(scripted) as one:
            if on_its_screen:
                await one.press("enter")
            if opens == "resync":
                one.app.screen.action_resync()  # type: ignore[attr-defined]
            else:
                await one.press(opens)
            await one.until(lambda: isinstance(one.app.screen, Dialog), "the dialog")
            one.publish("removed", organization_id="acme-eu", system_type="zendesk")
            await one.shows("Organisations 1 · order health")
            assert len(one.app.screen_stack) == 2, "neither the dialog nor the organisation's screen"
            await one.press("y", "enter")
            assert one.asked("stop", "interval", "cancel", "resync") == []

    asyncio.run(drive())


def test_cancel_without_a_run_says_so(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        answers(scripted)
        async with driven(scripted) as one:
            await one.press("c")
            await toast(one, "globex: no run is going on")

    asyncio.run(drive())


def test_a_frame_is_drawn_while_a_question_opens(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted) as one:
            running = [key for key, item in one.app.fleet.items.items() if item.run is not None]
            one.app.push_screen(CancelRun(one.app.fleet, running[:1]))
            one.app.draw()
            await one.shows("Cancel run")

    asyncio.run(drive())


def test_stop_asks_where_it_ends_a_run_and_takes_a_reason(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        answers(scripted)
        items = [mockup.status("acme-eu", state="running", health="running", run=mockup.live())]
        scripted.answer("sync_status", mockup.listing(items))
        async with driven(scripted, (80, 24)) as one:
            await one.press("x")
            await one.shows("Stop · acme-eu")
            await one.is_drawn("stop-80x24")
            await one.press("enter")
            assert one.asked("stop") == []
            await one.press("x", "up", *"why not", "enter", "enter")
            await one.until(lambda: one.asked("stop"), "the request")
            assert scripted.asked_for("stop")[0].body["reason"] == "why not"
            assert "zendeskctl stop acme-eu --reason 'why not'" in await toast(one, "asked")

    asyncio.run(drive())


def test_the_interval_is_explained_while_it_is_typed(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        answers(scripted)
        scripted.answer("preview_schedule", preview)
        async with driven(scripted, (80, 24)) as one:
            await one.press("end", "up", "i", "ctrl+u", *"75 * * * *")
            await one.shows("Interval · wayne · America/New_York", "minute: 75 is not valid, 0-59")
            assert "Change" not in one.text(), "a bad one cannot be taken"
            await one.press("enter")
            assert one.asked("interval") == []
            await one.press("ctrl+u", *"*/30 9-17 * * 1-5")
            await one.shows("Every 30th minute on weekdays", "Change (enter)")
            await one.is_drawn("interval-80x24")
            await one.press("enter")
            await one.until(lambda: one.asked("interval") == [("interval", "wayne")], "the request")
            assert scripted.asked_for("interval")[0].body["interval"] == "*/30 9-17 * * 1-5"

    asyncio.run(drive())


@pytest.mark.parametrize("operation", ["preview_schedule", "resync"])
def test_an_answer_for_a_dialog_that_is_closed_meanwhile(scripted: ScriptedDaemon, operation: str) -> None:
    """Its widgets go one by one: an answer must not look for one that is gone."""

    async def drive() -> None:
        answers(scripted)
        hold = threading.Event()

        def late(asked: Asked) -> Any:
            assert hold.wait(10)
            return wire.Problem(title="Unprocessable", status=422, code="invalid_request", detail="no such day")

        scripted.answer(operation, late)
        async with driven(scripted) as one:
            if operation == "resync":
                one.app.screen.action_resync()  # type: ignore[attr-defined]
            else:
                await one.press("i")
            await one.until(lambda: isinstance(one.app.screen, Dialog), "the dialog")
            dialog = one.app.screen
            await one.press("3", "0")
            await one.until(lambda: scripted.asked_for(operation), "the question")
            dialog.dismiss(None)
            await dialog.query("#dialog *").remove()
            hold.set()
            await one.until(
                lambda: all(worker.is_finished for worker in one.app.workers if worker.node is dialog), "it"
            )
            await one.shows("order health")
            assert one.app.is_running

    asyncio.run(drive())


def test_escape_keeps_the_interval(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        answers(scripted)
        scripted.answer("preview_schedule", preview)
        async with driven(scripted) as one:
            await one.press("i", "ctrl+u", *"*/30 9-17 * * 1-5", "escape")
            assert "Interval ·" not in one.text()
            assert one.asked("interval") == []

    asyncio.run(drive())


@pytest.mark.parametrize("role", ["viewer", "--read-only"])
def test_a_viewer_has_no_keys_that_change_anything(scripted: ScriptedDaemon, role: str) -> None:
    async def drive() -> None:
        answers(scripted)
        scripted.answer("status", mockup.daemon(role="viewer" if role == "viewer" else "operator"))
        async with driven(scripted, read_only=role == "--read-only") as one:
            text = await one.shows("viewer")
            assert "Trigger" not in text and "Stop" not in text
            await one.press("t", "s", "x", "i", "c")
            assert one.asked("trigger", "start", "stop", "interval", "cancel") == []
            assert one.toasts == []
            await one.press("ctrl+p", *"trigger")
            await one.pilot.pause(0.2)
            assert "run a sync now" not in one.text()

    asyncio.run(drive())


def test_no_key_changes_anything_while_the_connection_is_gone(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        answers(scripted)
        async with driven(scripted) as one:
            scripted.stop()
            await one.until(lambda: not one.app.fleet.is_live, "the loss")
            await one.press("t", "s", "x", "i", "c")
            assert one.toasts == []

    asyncio.run(drive())


def test_resync_says_what_it_costs_and_wants_the_name(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        answers(scripted)
        plan = wire.ResyncPlan(
            organization_id="globex", system_type="zendesk", since=mockup.ago(days=30), records_stored=1204,
            api_calls_expected=13,
        )  # fmt: skip
        accepted = wire.Accepted(run_id=9000, state="queued", joined=False)
        scripted.answer("resync", lambda asked: plan if asked.body.get("dryRun") else accepted)
        async with driven(scripted) as one:
            await one.press("ctrl+p", *"resync")
            await one.shows("read again from a date")
            await one.press("enter")
            await one.shows("Resync · globex")
            await one.press(*"30d")
            await one.shows("1,204 records stored, about 13 API calls")
            assert "Read again " not in one.text()
            await one.press("enter", *"globex")
            await one.shows("Read again ")
            await one.press("tab", "tab", "enter")
            real = await one.until(
                lambda: [each for each in scripted.asked_for("resync") if not each.body.get("dryRun")], "the request"
            )
            assert real[0].body["since"] == "30d"
            assert "zendeskctl resync globex --since 30d" in await toast(one, "asked")

    asyncio.run(drive())


def test_reconcile_and_reload_by_the_palette(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        answers(scripted)
        scripted.answer("reconcile", lambda asked: wire.ReconcileAccepted(items=[
            wire.ReconcileItem(organization_id=org, system_type="zendesk", reconciliation_id=3, joined=False)
            for org in asked.body["organizationIds"]
        ]))  # fmt: skip
        change = wire.ReloadChange(key="workers", old="3", new="4", applied=False)
        scripted.answer("reload", wire.ReloadResult(changes=[change]))
        async with driven(scripted) as one:
            await one.press("colon", *"reconcile")
            await one.shows("compare with the source")
            await one.press("enter")
            await toast(one, "reconcile: 1 comparison accepted")
            assert scripted.asked_for("reconcile")[0].body["organizationIds"] == ["globex"]
            await one.press("ctrl+p")
            await one.shows("Search for commands")
            await one.press(*"reload")
            await one.shows("read the daemon's settings again")
            await one.press("enter")
            assert await toast(one, "reloaded") == "reloaded: workers: 3 -> 4 (at the next start)"

    asyncio.run(drive())


def test_a_backup_by_the_palette_is_done_when_the_daemon_says_so(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        answers(scripted)
        accepted = wire.BackupAccepted(path=mockup.BACKUP, started_at=mockup.ago(), joined=False)
        scripted.answer("backup", accepted)
        async with driven(scripted) as one:

            async def ask() -> None:
                before = len(scripted.asked_for("backup"))
                await one.press("colon", *"backup")
                await one.shows("copy the daemon's database")
                await one.press("enter")
                await one.until(lambda: len(scripted.asked_for("backup")) > before, "the request")

            await ask()
            assert "zendeskctl backup" in await toast(one, "asked: backup")
            one.publish("daemon", message="begun", backup=mockup.backup(finished_at=None))
            one.publish("daemon", message="another", backup=mockup.backup("/other.db"))
            one.publish("daemon", message="made", backup=mockup.backup())
            assert await toast(one, "backup made") == f"backup made: {mockup.BACKUP}, 412 MB in 3s"
            assert not any("/other.db" in text for text in one.toasts)
            scripted.answer("backup", msgspec.structs.replace(accepted, path="/b/2.db", joined=True))
            await ask()
            await toast(one, "backup: joined")
            failed = mockup.backup("/b/2.db", trouble="[b]It does not fit.", hint="Make room.")
            one.publish("daemon", message="failed", backup=failed)
            assert await toast(one, "backup failed") == "backup failed: [b]It does not fit.  Make room."
            one.publish("daemon", message="made", backup=mockup.backup("/b/3.db"))
            await one.until(lambda: one.app.actions._backup and one.app.actions._backup.path == "/b/3.db", "the event")
            scripted.answer("backup", msgspec.structs.replace(accepted, path="/b/3.db"))
            await ask()
            await toast(one, "backup made: /b/3.db")
            scripted.refuse("backup", 409, "conflict", "the daemon is stopping", hint="ask again")
            await ask()
            await toast(one, "backup: the daemon is stopping.  ask again")

    asyncio.run(drive())


def test_help_has_every_key_that_works_here(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        answers(scripted)
        async with driven(scripted, (100, 70)) as one:
            await one.press("question_mark")
            text = await one.shows("Keys here", "Keys everywhere", "needs a person", "sync-service.log")
            for key in ("⏎", "t", "s", "x", "i", "c", "/", "!", "o", "O", "space", "a", "y", "?", "T", "q", "1-9"):
                assert any(line.strip("│ ").startswith(f"{key} ") for line in text.splitlines()), key
            await one.press("escape")
            assert "Keys here" not in one.text()

    asyncio.run(drive())


def test_keys_can_be_put_elsewhere(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        answers(scripted)
        async with driven(scripted, keymap={"trigger": "f5"}) as one:
            await one.press("t")
            assert one.asked("trigger") == []
            await one.press("f5")
            await one.until(lambda: one.asked("trigger"), "the request")

    asyncio.run(drive())


def test_quit_by_both_keys(scripted: ScriptedDaemon) -> None:
    async def drive(key: str) -> None:
        answers(scripted)
        async with driven(scripted) as one:
            await one.press("slash", key) if key == "ctrl+c" else await one.press(key)
            assert one.app.return_code == 0

    for key in ("q", "ctrl+c"):
        asyncio.run(drive(key))
