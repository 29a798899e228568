"""`log`, `run --log` and the past of `watch --log`: what the daemon logged before anybody looked."""

from __future__ import annotations

import json
from typing import Any

from tests.component.test_ctl_watch import event, watching
from tests.fixtures import mockup
from tests.fixtures.commandline import Zendeskctl
from tests.fixtures.scripted import Asked, ScriptedDaemon
from tests.waiting import wait_for
from zendeskd import wire


def line(at: str, said: str, org: str | None = "acme", level: str = "info", **more: Any) -> dict[str, Any]:
    day = "2026-11-23"
    return {
        "at": f"{day}T{at}.000Z",
        "level": level,
        "event": said,
        "org": org,
        "system": "zendesk",
        **more,
        "logger": "zendeskd.runs",
    }


LINES = [
    line("14:24:02", "request failed", level="warning", run=8815, reason="HTTP 502, try 2 of 5", wait_s=1.5),
    line("14:23:10", "page stored", run=8815, page=1, new=4),
    line("14:23:00", "run began", run=8815, by=None),
    line("13:00:00", "crashed", None, "critical", exception="Traceback\n  File x\nValueError: \x1b[31mno"),
]


def reply(*lines: dict[str, Any], next: str | None = None, complete: bool = True, hint: str = "") -> wire.LogList:
    return wire.LogList(items=list(lines), next=next, complete=complete, file="/var/log/x.log", hint=hint)


def test_the_last_lines_the_newest_at_the_bottom(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("logs", reply(*LINES))
    done = zendeskctl("log")
    assert done.code == 0
    assert done.out.splitlines() == [
        "13:00:00  -          critical crashed  exception=ValueError: �[31mno",
        "14:23:00  acme       info    run began  run=8815",
        "14:23:10  acme       info    page stored  run=8815 page=1 new=4",
        "14:24:02  acme       warning request failed  run=8815 reason=HTTP 502, try 2 of 5 wait_s=1.5",
    ]
    assert scripted.asked_for("logs")[0].query == {"limit": "50"}


def test_what_is_asked_for_reaches_the_daemon(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("logs", reply(*LINES[:1]))
    done = zendeskctl("log", "acme", "--since", "1h", "--level", "warn", "--run", "8815", "-n", "7")
    assert done.out == "14:24:02  warning request failed  run=8815 reason=HTTP 502, try 2 of 5 wait_s=1.5\n"
    assert scripted.asked_for("logs")[0].query == {
        "organizationId": "acme",
        "run": "8815",
        "level": "warn",
        "since": "2026-11-23T13:24:46.000Z",
        "limit": "7",
    }


def test_page_after_page_until_there_are_enough(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    pages = {
        None: reply(LINES[0], next="a-2", complete=False),
        "a-2": reply(next="a-1", complete=False),  # looked through a lot and found nothing
        "a-1": reply(LINES[1], LINES[2], next="a-0"),
    }
    scripted.answer("logs", lambda asked: pages[asked.query.get("after")])
    assert len(zendeskctl("log", "-n", "3").out.splitlines()) == 3
    assert [one.query["limit"] for one in scripted.asked_for("logs")] == ["3", "2", "2"]


def test_json_is_one_document_the_newest_first(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("logs", reply(*LINES, next="5-5"))
    document = zendeskctl("log", "--json", "-n", "4").document()
    assert [one["event"] for one in document["items"]] == ["request failed", "page stored", "run began", "crashed"]
    assert document["next"] == "5-5"


def test_nothing_there_and_why(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("logs", reply(hint="there is no log file at /x"))
    done = zendeskctl("log")
    assert (done.code, done.out, done.err) == (0, "", "No log lines: there is no log file at /x.\n")
    scripted.refuse("logs", 404, "not_found", "there is no organisation 'acmee'", hint="did you mean acme?")
    assert zendeskctl("log", "acmee").code == 5
    scripted.refuse("logs", 503, "log_unreadable", "the log file cannot be read: Permission denied")
    assert zendeskctl("log").code == 1


def test_an_unknown_organisation_is_told_however_long_the_log_is(
    scripted: ScriptedDaemon, zendeskctl: Zendeskctl
) -> None:
    """A daemon that has to look through a long log in several goes does not say at the first that it knows no such."""
    refused = wire.Problem(title="", status=404, code="not_found", detail="There is no organisation acmee.")
    scripted.answer("logs", reply(next="7-ff", complete=False), reply(), refused)
    done = zendeskctl("log", "acmee")
    assert (done.code, done.out) == (5, "")
    assert "There is no organisation acmee." in done.err
    last = scripted.asked_for("logs")[-1].query
    assert last == {"organizationId": "acmee", "until": "1970-01-01T00:00:00.000Z", "limit": "1"}


def test_a_cut_is_told(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("logs", reply(*LINES, next="5-5"))
    assert zendeskctl("log", "--since", "1h", "-n", "4").err == "Older lines are left out: -n 8 shows more.\n"


# --- run --log --------------------------------------------------------------------------------------------------------


def test_a_run_with_its_own_lines(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    run = mockup.document(mockup.run(8815, status="partial", records_failed=3))
    run.skipped = [
        wire.SkippedRecord(external_id="17", reason="created_at: no date \x1b[31m", seen_at="2026-11-23T14:24:00.000Z"),
        wire.SkippedRecord(external_id=None, reason="id is missing", seen_at="2026-11-23T14:24:00.000Z"),
    ]
    run.request_id = "zd-77"
    scripted.answer("run", run)
    scripted.answer("logs", reply(*LINES[:3]))
    done = zendeskctl("run", "8815", "--log")
    shown = done.out.splitlines()
    assert "request   zd-77 (Zendesk's own number of its last call)" in shown
    place = shown.index("skipped   17: created_at: no date �[31m")
    assert shown[place + 1 : place + 4] == ["          no id: id is missing", "          1 more, or read since", ""]
    assert shown[place + 4 :] == [
        "14:23:00  info    run began  run=8815",
        "14:23:10  info    page stored  run=8815 page=1 new=4",
        "14:24:02  warning request failed  run=8815 reason=HTTP 502, try 2 of 5 wait_s=1.5",
    ]
    assert scripted.asked_for("logs")[0].query["run"] == "8815"
    document = zendeskctl("run", "8815", "--log", "--json").document()
    assert [one["event"] for one in document["log"]] == ["run began", "page stored", "request failed"]
    assert (document["id"], document["skipped"][0]["externalId"]) == (8815, "17")


def test_without_log_nothing_of_the_log_is_asked(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("run", mockup.document(mockup.run(8815)))
    assert "log" not in zendeskctl("run", "8815", "--json").document()
    assert not scripted.asked_for("logs")


# --- watch --log ------------------------------------------------------------------------------------------------------


def test_watch_begins_with_the_lines_and_runs_of_that_time(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("sync_status", lambda asked: mockup.one(mockup.status(asked.org or "")))
    scripted.answer("events", mockup.hello(7))
    ended = mockup.run(1, "acme", synced_at="2026-11-23T14:23:30.000Z")
    scripted.answer("runs", wire.RunList(items=[ended], next=None))
    scripted.answer("logs", reply(*LINES[:3]))
    with watching(scripted, zendeskctl, "acme", "--log", "--level", "warn", "--since", "1h") as watched:
        watched.await_lines(4)
        scripted.publish(
            event(8, "log", log=LINES[0]),  # told already
            event(9, "run", run=ended),  # this too
            event(10, "log", log=line("14:24:44", "down", level="error")),
        )
        lines = watched.await_lines(5)
    assert [" ".join(one.split()[:5]) for one in lines] == [
        "14:23:00 acme info run began",
        "14:23:10 acme info page stored",
        "14:23:30 acme run 1 ok,",
        "14:24:02 acme warning request failed",
        "14:24:44 acme error down",
    ]
    asked = scripted.asked_for("logs")[0].query
    assert (asked["organizationId"], asked["level"], asked["since"]) == ("acme", "warn", "2026-11-23T13:24:46.000Z")


def test_watch_tells_what_was_logged_while_there_was_no_stream(
    scripted: ScriptedDaemon, zendeskctl: Zendeskctl
) -> None:
    scripted.answer("sync_status", mockup.listing([]))
    scripted.answer("events", mockup.hello(7))
    scripted.answer("logs", reply())
    missed = line("14:24:50", "stopping", None)
    told = line("14:24:44", "page stored")
    with watching(scripted, zendeskctl, "--log", "--json") as watched:
        wait_for(lambda: scripted.asked_for("logs"), "the first look")
        scripted.publish(event(8, "log", log=told))
        watched.await_lines(2)
        scripted.answer("logs", reply(missed, told))
        scripted.hang_up()
        events = [json.loads(one) for one in watched.await_lines(4)]
    assert [(one["event"], (one["log"] or {}).get("event")) for one in events] == [
        ("hello", None), ("log", "page stored"), ("log", "stopping"), ("hello", None),
    ]  # fmt: skip


def test_watch_one_run_with_its_log_to_the_end(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("run", mockup.document(mockup.run(8815)))
    scripted.answer("logs", reply(*LINES[:3]))
    done = zendeskctl("watch", "--log", "--run", "8815", "--since", "1h")
    assert (done.code, len(done.out.splitlines())) == (0, 4)
    assert "run 8815 ok" in done.out.splitlines()[-1]
    assert scripted.asked_for("logs")[0].query["run"] == "8815"
    assert zendeskctl("watch", "--run", "8815", "--since", "1h").code == 2


def test_an_older_daemon_has_no_such_call_and_watching_goes_on(
    scripted: ScriptedDaemon, zendeskctl: Zendeskctl
) -> None:
    scripted.answer("sync_status", mockup.listing([]))
    scripted.answer("events", mockup.hello(7))
    scripted.answer("runs", wire.RunList(items=[], next=None))

    def none(_: Asked) -> wire.Problem:
        return wire.Problem(title="", status=404, code="not_found", detail="there is no system 'logs'")

    scripted.answer("logs", none)
    with watching(scripted, zendeskctl, "--log", "--since", "1h") as watched:
        wait_for(lambda: scripted.asked_for("logs"), "the look")
        scripted.publish(event(8, "log", log=LINES[0]))
        watched.await_lines(1)
    assert watched.outcome is not None
    assert "no earlier log lines: there is no system 'logs'" in watched.outcome.err
