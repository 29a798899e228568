"""`watch` and `wait` against a stream of events that breaks, gaps and comes back."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.fixtures import mockup
from tests.fixtures.commandline import Outcome, Stream, Zendeskctl
from tests.fixtures.scripted import ScriptedDaemon
from tests.waiting import wait_for
from zendeskd import wire

AT = "2026-11-23T14:24:41.000Z"


class Watched:
    """A `watch` in a thread: what it has printed so far, and its outcome in the end."""

    def __init__(self) -> None:
        self.stdout = Stream()
        self.outcome: Outcome | None = None

    def lines(self) -> list[str]:
        return self.stdout.text().splitlines()

    def await_lines(self, count: int) -> list[str]:
        return wait_for(lambda: self.lines() if len(self.lines()) >= count else None, f"{count} lines")


@contextmanager
def watching(scripted: ScriptedDaemon, zendeskctl: Zendeskctl, *words: str) -> Iterator[Watched]:
    """While it watches. It ends when the daemon goes away for good, or at its own end."""
    watched = Watched()

    def watch() -> None:
        watched.outcome = zendeskctl("watch", *words, stdout=watched.stdout)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        wait_for(lambda: scripted.streams or watched.outcome, "the stream")
        yield watched
    finally:
        scripted.answer("sync_status", wire.Problem(title="", status=500, code="over", detail="the test is over"))
        scripted.answer("run", wire.Problem(title="", status=500, code="over", detail="the test is over"))
        scripted.hang_up()
        thread.join(20)
        assert not thread.is_alive()


def event(seq: int, kind: str, **fields: object) -> wire.Event:
    return wire.Event(seq=seq, event=kind, at=AT, **fields)  # type: ignore[arg-type]


def test_one_line_a_change(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("sync_status", mockup.listing([mockup.status("acme")]))
    scripted.answer("events", mockup.hello(7))
    running = mockup.status("acme", state="running", health="running", why="page 31", run=mockup.live())
    further = mockup.status("acme", state="running", health="running", why="page 32", run=mockup.live(progress=0.7))
    failing = mockup.status("acme", state="retrying", health="failing", why="3x connect timeout")
    with watching(scripted, zendeskctl) as watched:
        scripted.publish(
            event(8, "integration", item=mockup.status("acme")),  # nothing new
            event(9, "integration", item=running),
            event(10, "integration", item=further),  # progress is no change
            event(11, "run", run=mockup.run(org="acme", status="running")),
            event(12, "run", run=mockup.run(org="acme")),
            event(13, "integration", item=failing),
            event(14, "log", log={"event": "page stored", "level": "info", "org": "acme"}),
            event(15, "removed", organization_id="globex", system_type="zendesk"),
            event(16, "daemon", message="settings reloaded"),
        )
        watched.await_lines(6)
    assert watched.lines() == [
        "14:24:41  acme       » 62% 0:48  page 31",
        "14:24:41  acme       run 8815 running (schedule)",
        "14:24:41  acme       run 8815 ok, 48 read, 4 new, 44 updated, 5s",
        "14:24:41  acme       ~ retry 12:14, failing  3x connect timeout",
        "14:24:41  globex     removed",
        "14:24:41  -          settings reloaded",
    ]


def test_log_lines_from_a_level_up_of_named_organisations(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("sync_status", lambda asked: mockup.one(mockup.status(asked.org or "")))
    scripted.answer("events", mockup.hello(7))
    log = {
        "event": "request failed",
        "level": "warning",
        "org": "acme",
        "attempt": 3,
        "at": AT,
        "by": None,
        "error": "\x1b[31mtimeout",
    }
    with watching(scripted, zendeskctl, "acme", "--log", "--level", "warn") as watched:
        scripted.publish(
            event(8, "log", log={**log, "level": "info"}),
            event(9, "log", log={**log, "org": "globex"}),
            event(10, "log", log=log),
            event(11, "run", run=mockup.run(org="globex")),
            event(12, "run", run=mockup.run(org="acme", status="running")),
        )
        watched.await_lines(2)
    assert watched.lines()[0] == ("14:24:41  acme       warning request failed  attempt=3 error=\ufffd[31mtimeout")
    assert "run 8815" in watched.lines()[1]


def test_json_is_one_event_a_line(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("sync_status", mockup.listing([]))
    scripted.answer("events", mockup.hello(7))
    with watching(scripted, zendeskctl, "--json") as watched:
        scripted.publish(event(8, "run", run=mockup.run()), event(9, "integration", item=mockup.status("a")))
        events = [json.loads(line) for line in watched.await_lines(3)]
    assert [one["event"] for one in events] == ["hello", "run", "integration"]
    assert events[1]["run"]["organizationId"] == "acme-eu"


def test_what_changed_while_the_daemon_was_away_is_told(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("sync_status", mockup.listing([mockup.status("acme")]))
    scripted.answer("events", mockup.hello(7))
    with watching(scripted, zendeskctl) as watched:
        wait_for(lambda: len(scripted.asked_for("sync_status")) >= 2, "the second look")
        blocked = mockup.status("acme", state="blocked", health="blocked", why="token rejected, 401")
        scripted.answer("sync_status", mockup.listing([blocked]))
        scripted.hang_up()
        assert watched.await_lines(1) == ["14:24:46  acme       ! blocked  token rejected, 401"]
        wait_for(lambda: scripted.streams, "the new stream")


def test_a_gap_in_the_events_makes_it_look(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("sync_status", mockup.listing([mockup.status("acme")]))
    scripted.answer("events", mockup.hello(7))
    with watching(scripted, zendeskctl) as watched:
        wait_for(lambda: len(scripted.asked_for("sync_status")) >= 2, "the second look")
        stopped = mockup.status("acme", state="stopped", health="stopped", is_active=False)
        scripted.answer("sync_status", mockup.listing([stopped]))
        scripted.publish(event(20, "daemon", message="you missed some"))
        assert watched.await_lines(2) == [
            "14:24:46  acme       = stopped",
            "14:24:41  -          you missed some",
        ]


def test_history_comes_first_oldest_first(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("sync_status", lambda asked: mockup.one(mockup.status(asked.org or "")))
    scripted.answer("events", mockup.hello(7))
    scripted.answer(
        "runs",
        wire.RunList(items=[mockup.run(3, "acme", status="running"), mockup.run(2, "acme")], next="2"),
        wire.RunList(items=[mockup.run(1, "acme"), mockup.run(0, "acme", synced_at=mockup.ago(hours=2))], next="0"),
    )
    with watching(scripted, zendeskctl, "acme", "--since", "1h") as watched:
        lines = watched.await_lines(2)
    assert [line.split()[3] for line in lines] == ["1", "2"]
    assert [asked.query.get("after") for asked in scripted.asked_for("runs")] == [None, "2"]


def test_one_run_until_it_has_ended(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("run", mockup.document(mockup.run(status="running")))
    scripted.answer("events", mockup.hello(7))
    with watching(scripted, zendeskctl, "--run", "8815") as watched:
        scripted.publish(event(8, "run", run=mockup.run(1)), event(9, "run", run=mockup.run(8815)))
        wait_for(lambda: watched.outcome, "its own end")
    assert watched.outcome is not None
    assert watched.outcome.code == 0
    assert watched.lines() == ["14:24:41  acme-eu    run 8815 ok, 48 read, 4 new, 44 updated, 5s"]


def test_a_run_that_had_ended_already(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("run", mockup.document(mockup.run(8815)))
    done = zendeskctl("watch", "--run", "8815")
    assert (done.code, done.out.count("\n")) == (0, 1)
    assert not scripted.asked_for("events")


def test_an_unknown_organisation_is_told_at_once(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.refuse("sync_status", 404, "not_found", "no organisation 'acmee'", hint="did you mean acme?")
    assert zendeskctl("watch", "acmee").code == 5
    assert zendeskctl("wait", "acmee").code == 5


def test_watching_may_have_an_end(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("sync_status", mockup.listing([]))
    scripted.answer("events", mockup.hello(7))
    done = zendeskctl("watch", "--timeout", "0.2")
    assert (done.code, done.err.splitlines()[0]) == (8, "zendeskctl: watched for 0.2s")


# --- wait -------------------------------------------------------------------------------------------------------------


def test_wait_until_idle(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    running = mockup.status(state="running", health="running", run=mockup.live())
    queued = mockup.status(state="queued", health="queued", queued_run_id=8816)
    scripted.answer("sync_status", *(mockup.one(item) for item in (running, queued, mockup.status())))
    scripted.refuse("events", 503, "busy", "too many streams")
    done = zendeskctl("wait", "wayne")
    assert (done.code, done.out) == (0, "wayne: idle, ok, 12,003 tickets, up to date 2m ago\n")
    assert len(scripted.asked_for("sync_status")) == 3


def test_wait_until_ok_is_more_than_idle(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    never = mockup.status(last_success_at=None)
    failed = mockup.status(health="failed", last_status="failed")
    scripted.answer("sync_status", *(mockup.one(item) for item in (never, failed, mockup.status())))
    scripted.refuse("events", 503, "busy", "too many streams")
    assert zendeskctl("wait", "wayne", "--for", "ok", "--json").document()["health"] == "ok"
    assert len(scripted.asked_for("sync_status")) == 3


def test_wait_has_a_deadline(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("sync_status", mockup.one(mockup.fleet()[1]))
    scripted.answer("events", mockup.hello())
    done = zendeskctl("wait", "initech", "--for", "ok", "--timeout", "0.3")
    assert done.code == 8
    assert "not done after" in done.err


@pytest.mark.parametrize(
    ("item", "state"),
    [
        (mockup.status("globex", state="blocked", health="blocked"), "blocked"),
        (mockup.status("globex", state="stopped", health="stopped", is_active=False), "stopped"),
        (mockup.status("globex", credential=None, last_success_at=None), "without credentials"),
    ],
)
def test_6_what_will_not_be_ok_by_itself_is_not_waited_for(
    scripted: ScriptedDaemon, zendeskctl: Zendeskctl, item: wire.SyncStatus, state: str
) -> None:
    item.explanation = wire.Explanation(happened="Somebody did it.", daemon="Nothing.", you="zendeskctl start globex")
    scripted.answer("sync_status", mockup.one(item))
    scripted.answer("events", mockup.hello())
    done = zendeskctl("wait", "globex", "--for", "ok", "--timeout", "10s")
    assert (done.code, done.out) == (6, "")
    assert done.err == (
        f"zendeskctl: globex is {state} and will not be ok by itself: Somebody did it.\n  zendeskctl start globex\n"
    )
    assert zendeskctl("wait", "globex").code == 0


def test_the_end_of_a_wait_claims_no_work_that_does_not_go_on(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    running = mockup.status(state="running", health="running", run=mockup.live())
    failed = mockup.status(health="failed", last_status="failed")
    scripted.answer("sync_status", *(mockup.one(item) for item in (running, failed)))
    scripted.refuse("events", 503, "busy", "too many streams")
    done = zendeskctl("wait", "wayne", "--for", "ok", "--timeout", "2m", minutes_pass=True)
    assert done.code == 8
    assert done.err.startswith("zendeskctl: not done after 2m 00s; no run is going on, the next one is in 12:14\n")
    scripted.answer("sync_status", mockup.one(running))
    done = zendeskctl("wait", "wayne", "--timeout", "2m", minutes_pass=True)
    assert done.err.startswith("zendeskctl: not done after 2m 00s; the work goes on\n")


def test_the_end_of_a_wait_for_a_daemon_that_is_away_says_so(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.stop()
    done = zendeskctl("wait", "wayne", "--timeout", "0.1")
    assert done.code == 8
    assert "not done after 0.1s; the daemon is away\n" in done.err
