"""The log and the run that were before the dashboard was opened."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import timedelta
from typing import Any

from tests.fixtures import mockup
from tests.fixtures.mockup import NOW
from tests.fixtures.scripted import Asked, ScriptedDaemon
from tests.fixtures.terminal import Driven, driven, fleet_of
from zendeskd import wire
from zendeskd.models import stamp
from zendeskd.tui.widgets.grid import Grid
from zendeskd.tui.widgets.log import LogView


def line(event: str, ago_s: float = 0, org: str | None = "hooli", level: str = "info", **more: Any) -> dict[str, Any]:
    return {"at": stamp(NOW - timedelta(seconds=ago_s)), "level": level, "event": event, "org": org, **more}


class File:
    """A log file as the daemon would serve it: `lines`, the oldest first."""

    def __init__(self, scripted: ScriptedDaemon, lines: list[dict[str, Any]]) -> None:
        self.lines, self.scripted = lines, scripted
        scripted.answer("logs", self.answer)

    def answer(self, asked: Asked) -> wire.LogList:
        query = asked.query
        loud = {"info": 1, "warning": 2, "error": 3}
        least = {"debug": 0, "info": 1, "warn": 2, "error": 3}[query.get("level", "info")]
        found = [
            each
            for each in self.lines
            if ("organizationId" not in query or each["org"] == query["organizationId"])
            and ("run" not in query or str(each.get("run")) == query["run"])
            and ("until" not in query or each["at"] < query["until"])
            and loud.get(each["level"], 0) >= least
        ][::-1]
        begin, limit = int(query.get("after", 0)), int(query["limit"])
        more = str(begin + limit) if len(found) > begin + limit else None
        return wire.LogList(items=found[begin : begin + limit], next=more, complete=True, file="/var/log/x.log")

    @property
    def asked(self) -> list[dict[str, str]]:
        return [one.query for one in self.scripted.asked_for("logs")]


def events(one: Driven) -> list[str]:
    return [each.event for each in one.app.screen.query_one(LogView).lines]


def publish(one: Driven, *lines: dict[str, Any]) -> None:
    for each in lines:
        one.publish("log", log=each)


def test_the_log_of_the_list_is_filled_at_once(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        file = File(scripted, [line("yesterday", 90000), line("page stored", 600, page=3), line("[b]no[/b] markup", 5)])
        async with driven(scripted) as one:
            text = await one.shows("page=3", "[b]no[/b] markup", "Sun 22 Nov 13:24", "yesterday")
            assert text.index("yesterday") < text.index("page=3") < text.index("[b]no[/b]")
            assert file.asked == [{"level": "info", "limit": "300"}]

    asyncio.run(drive())


def test_nothing_is_asked_where_the_list_shows_no_log(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        file = File(scripted, [line("before", 60)])
        async with driven(scripted, (80, 24)) as one:
            await one.shows("globex")
            assert file.asked == []
            await one.press("l")
            await one.shows("before")

    asyncio.run(drive())


def test_rows_do_not_wait_for_the_log(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        gate = threading.Event()

        def slow(_: Asked) -> wire.LogList:
            assert gate.wait(20)
            return wire.LogList(items=[line("before", 60)], next=None, complete=True, file="/x.log")

        scripted.answer("logs", slow)
        try:
            async with driven(scripted) as one:
                await one.until(lambda: scripted.asked_for("logs"), "the question")
                await one.shows("globex", "token rejected")
                one.log("of the stream", "hooli")
                await one.shows("of the stream")
                gate.set()
                text = await one.shows("before")
                assert text.index("before") < text.index("of the stream")
        finally:
            gate.set()

    asyncio.run(drive())


def test_lines_of_stream_and_file_are_never_doubled(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        both = [line("a", 9), line("b", 8), line("b", 8), line("c", 7)]
        file = File(scripted, both)
        async with driven(scripted) as one:
            await one.until(lambda: events(one) == ["a", "b", "b", "c"], "the file")
            publish(one, both[2], both[3], line("d", 1))
            await one.until(lambda: events(one)[-1:] == ["d"], "the stream")
            assert events(one) == ["a", "b", "b", "c", "d"]
            file.lines.append(line("d", 1))
            await one.press("l")
            await one.until(lambda: len(file.asked) == 2 and events(one) == ["a", "b", "b", "c", "d"], "the same")

    asyncio.run(drive())


def test_an_organisation_asks_for_its_own_lines(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        scripted.answer("runs", wire.RunList(items=[], next=None))
        lines = [line("hours ago", 7200, "globex"), *(line(f"loud {n}", 600 - n, "hooli") for n in range(500))]
        file = File(scripted, lines)
        async with driven(scripted) as one:
            await one.until(lambda: events(one)[-1:] == ["loud 499"], "the last lines")
            assert "hours ago" not in events(one)
            await one.press("enter")
            await one.shows("Log · globex", "hours ago")
            assert file.asked[-1]["organizationId"] == "globex"

    asyncio.run(drive())


def test_scrolling_to_the_top_reads_older_lines_and_keeps_the_place(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        file = File(scripted, [line(f"line {n:04d}", 4000 - n) for n in range(700)])
        async with driven(scripted, (80, 24)) as one:
            await one.press("l")
            await one.shows("line 0699", "following")
            assert len(events(one)) == 300
            await one.press("home")
            await one.until(lambda: len(events(one)) == 599, "older lines, from the first on that is known")
            text = await one.shows("line 0400", "holding still")
            assert text.index("line 0400") < text.index("line 0401"), "the line that was on top is there still"
            assert "line 0399" not in text
            assert "until" in file.asked[-1]
            await one.press("up")
            await one.shows("line 0399")
            await one.press("home", "home")
            await one.until(lambda: len(events(one)) == 700, "the rest")
            await one.press("home")
            await one.shows("line 0000", "from the beginning")
            asked = len(file.asked)
            await one.press("home", "up", "pageup")
            assert len(file.asked) == asked, "there is nothing older to ask for"
            assert events(one) == [f"line {n:04d}" for n in range(700)]
            await one.press("f")
            await one.shows("line 0699", "following")

    asyncio.run(drive())


def test_older_lines_are_looked_for_where_the_daemon_had_to_stop(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)

        def stops(asked: Asked) -> wire.LogList:
            after = asked.query.get("after")
            items = [line("found at last", 9000)] if after == "2" else []
            going_on = None if after == "2" else str(int(after or 0) + 1)
            return wire.LogList(items=items, next=going_on, complete=going_on is None, file="/x.log")

        scripted.answer("logs", stops)
        async with driven(scripted, (80, 24)) as one:
            await one.press("l")
            await one.shows("found at last")

    asyncio.run(drive())


def test_a_level_is_asked_for(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        lines = [line("old trouble", 9000, level="error"), *(line(f"fine {n}", 600 - n) for n in range(400))]
        file = File(scripted, [line("chatter", 10000, level="debug"), *lines])
        async with driven(scripted, (80, 24)) as one:
            await one.press("l")
            await one.shows("fine 399")
            await one.press("4")
            await one.shows("error and above", "old trouble")
            assert file.asked[-1]["level"] == "error"
            await one.press("1")
            await one.until(lambda: file.asked[-1]["level"] == "debug", "the question")
            await one.shows("fine 399")

    asyncio.run(drive())


def test_what_was_logged_while_the_connection_was_gone_is_filled_in(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        file = File(scripted, [line("before", 60)])
        async with driven(scripted) as one:
            await one.shows("before")
            publish(one, line("told", 50))
            await one.shows("told")
            scripted.stop()
            await one.until(lambda: not one.app.fleet.is_live, "the loss")
            file.lines += [line("told", 50), line("stopping", 40, None), line("ready", 30, None)]
            scripted.start()
            await one.press("R")
            await one.shows("ready")
            assert events(one) == ["before", "told", "stopping", "ready"]

    asyncio.run(drive())


def test_a_gap_in_the_stream_is_filled_in(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        file = File(scripted, [])
        async with driven(scripted) as one:
            publish(one, line("one", 50))
            await one.shows("one")
            file.lines += [line("one", 50), line("two", 40), line("three", 30)]
            one.seq += 5
            publish(one, line("three", 30))
            wanted = ["one", "two", "three", "feed skipped, reloaded"]
            await one.until(lambda: events(one) == wanted, "what was missed")

    asyncio.run(drive())


def test_a_daemon_that_cannot_tell_is_no_trouble(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        scripted.refuse("logs", 404, "not_found", "there is no system 'logs'")
        async with driven(scripted, (80, 24)) as one:
            one.log("of the stream", "hooli")
            await one.press("l")
            await one.shows("of the stream", "following · nothing older can be read")
            File(scripted, [line("before", 60)])
            await one.press("2")
            text = await one.shows("before", "of the stream")
            assert "nothing older can be read" not in text

    asyncio.run(drive())


# --- a run ------------------------------------------------------------------------------------------------------------

RUN = mockup.run(
    8755, status="failed", error_code="server_error", end_reason="error", error_message="acme-eu answers 502 [bold].",
    duration_ms=108000, pages=3, records_processed=203, records_created=5, records_updated=190, records_unchanged=6,
    records_failed=2, retries=4, api_calls=7, rate_limit_wait_ms=31000, queued_at=mockup.ago(minutes=61),
    started_at=mockup.ago(minutes=60), synced_at=mockup.ago(seconds=3492),
)  # fmt: skip
SKIPPED = [
    wire.SkippedRecord(external_id="41877", reason="created_at: no date", seen_at=mockup.ago(seconds=3540)),
    wire.SkippedRecord(external_id=None, reason="id is missing", seen_at=mockup.ago(seconds=3539)),
]
LINES = [
    line("run began", 3600, "acme-eu", run=8755, trigger="schedule"),
    line("page stored", 3598, "acme-eu", run=8755, page=1, read=100, new=3, updated=95, unchanged=2, took_ms=1400),
    line("rate limited", 3590, "acme-eu", run=8755, reason="429, export budget", wait_s=31.0),
    line("page stored", 3550, "acme-eu", run=8755, page=2, read=100, new=2, updated=94, unchanged=4, took_ms=47000,
         waited_ms=31000),
    line("record set aside", 3540, "acme-eu", "warning", run=8755, record="41877", reason="created_at: no date"),
    line("page stored", 3540, "acme-eu", run=8755, page=3, read=3, new=0, updated=1, unchanged=0, took_ms=10000),
    line("request failed", 3530, "acme-eu", "warning", run=8755, reason="time-out, try 2 of 5", wait_s=0.6),
    line("request failed", 3500, "acme-eu", "warning", run=8755, reason="HTTP 502, try 3 of 5", wait_s=1.2,
         error="acme-eu answered 502.", request_id="zd-41f0"),
    line("run ended", 3492, "acme-eu", "error", run=8755, status="failed", error="acme-eu answers 502 [bold].",
         request_id="zd-41f9"),
    line("of another", 3490, "hooli", run=8756),
]  # fmt: skip


def history(scripted: ScriptedDaemon) -> File:
    fleet_of(scripted)
    scripted.answer("runs", wire.RunList(items=[RUN], next=None))
    scripted.answer("run", mockup.document(RUN, skipped=SKIPPED, request_id="zd-41f9"))
    return File(scripted, list(LINES))


async def opened(one: Driven) -> None:
    one.app.open(("acme-eu", "zendesk"))
    await one.shows("Organisations › acme-eu", "✗ server")  # in the list of runs: its log names the run too
    await one.press("enter")
    await one.shows("run 8755", "run ended")


def test_a_run_of_an_hour_ago_with_its_pages_errors_and_log(scripted: ScriptedDaemon) -> None:
    async def drive(name: str, size: tuple[int, int]) -> None:
        file = history(scripted)
        async with driven(scripted, size) as one:
            await opened(one)
            text = await one.shows("server_error: acme-eu answers 502 [bold]", "zd-41f9", "run ended")
            assert "of another" not in text
            assert file.asked[-1] == {"run": "8755", "level": "info", "limit": "1000"}
            await one.is_drawn(name)

    asyncio.run(drive("run-past-100x30", (100, 30)))
    asyncio.run(drive("run-past-80x24", (80, 24)))
    asyncio.run(drive("run-past-60x12", (60, 12)))


def test_the_table_and_the_log_take_turns(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        history(scripted)
        async with driven(scripted, (80, 24)) as one:
            await opened(one)
            await one.press("tab", "end")
            await one.shows("page 1", "limit")
            assert one.app.screen.query_one(Grid).has_focus
            await one.press("tab", "home")
            await one.shows("run began")
            assert one.app.screen.query_one(LogView).has_focus

    asyncio.run(drive())


def test_what_is_copied_for_somebody_who_helps(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        history(scripted)
        async with driven(scripted) as one:
            await opened(one)
            await one.press("y")
            await one.told("run 8755 and 9 log lines")
            bundle = json.loads(one.app.clipboard)
            assert (bundle["zendeskd"], bundle["run"]["errorCode"]) == ("1.0.0", "server_error")
            assert [each["externalId"] for each in bundle["run"]["skipped"]] == ["41877", None]
            assert [each["page"] for each in bundle["course"] if each["what"] == "page"] == [3, 2, 1]
            assert "zd-41f0" in [each.get("requestId") for each in bundle["course"]]
            assert bundle["log"][0].endswith("info run began run=8755 trigger=schedule")

    asyncio.run(drive())


def test_a_long_log_is_copied_as_far_as_a_terminal_takes_it(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        file = history(scripted)
        file.lines[1:1] = [line("chatter", 3599, "acme-eu", run=8755, text="x" * 500, n=n) for n in range(300)]
        async with driven(scripted) as one:
            await opened(one)
            await one.press("y")
            bundle = json.loads(one.app.clipboard)
            assert len(one.app.clipboard) <= 60_100
            assert bundle["log"][-1].split(" ", 1)[1].startswith("error run ended")
            assert bundle["logLeftOut"] == 309 - len(bundle["log"]) > 0
            await one.told("older ones left out")

    asyncio.run(drive())


def test_the_course_of_a_run_going_on_grows_with_the_events(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        running = mockup.run(8815, status="running", duration_ms=None, end_reason=None, pages=0, records_failed=0)
        item = mockup.status("acme-eu", state="running", health="running", run=mockup.live(pages=30, failed=0))
        fleet_of(scripted, [item])
        scripted.answer("runs", wire.RunList(items=[running], next=None))
        scripted.answer("run", mockup.document(running))
        first = line("page stored", 8, "acme-eu", run=8815, page=30, read=100, new=7, updated=93)
        File(scripted, [first])
        async with driven(scripted) as one:
            one.app.open(("acme-eu", "zendesk"))
            await one.shows("8815")
            await one.press("enter")
            await one.shows("page 30", "Pages 30 to 30 of 30", "window 62%", "so far")
            publish(one, first, line("page stored", 1, "acme-eu", run=8815, page=31, read=100, new=1, updated=99))
            publish(one, line("request failed", 0, "acme-eu", "warning", run=8815, reason="HTTP 502", wait_s=2.0))
            text = await one.shows("page 31", "1 retry, 2s", "trouble   14:24:46 HTTP 502")
            table = text[text.index("WHAT") :]
            assert table.index("retry") < table.index("page 31") < table.index("page 30"), "the newest on top"
            assert table.count("page 30") == 1

    asyncio.run(drive())


def test_a_run_without_any_lines(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        history(scripted)
        scripted.answer("run", mockup.document(mockup.run(8755, pages=4)))
        File(scripted, [])
        async with driven(scripted, (80, 24)) as one:
            one.app.open(("acme-eu", "zendesk"))
            await one.shows("8755")
            await one.press("enter")
            text = await one.shows("run 8755", "requests  2 in 4 pages", "Log · run 8755")
            assert "WHAT" not in text, "an empty table takes no room"
            await one.press("tab")
            assert one.app.screen.query_one(LogView).has_focus

    asyncio.run(drive())
