"""What is asked of organisations: the request that arrives, the line that is printed, and how waiting goes."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.fixtures import mockup
from tests.fixtures.commandline import Outcome, Zendeskctl
from tests.fixtures.scripted import Asked, ScriptedDaemon
from tests.waiting import wait_for
from zendeskd import wire

ACCEPTED = wire.Accepted(run_id=8815, state="queued", joined=False)


def bodies(scripted: ScriptedDaemon) -> list[tuple[str | None, dict[str, object]]]:
    return [(one.org, one.body) for one in scripted.asked if one.method == "POST"]


# --- one call each ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "body", "said"),
    [
        (["trigger", "acme"], {"action": "trigger"}, "acme: run 8815 queued\n"),
        (["start", "acme"], {"action": "start"}, "acme: started, */15 * * * *, next run 14:37:00 UTC (in 12:14)\n"),
        (
            ["start", "acme", "--interval", "@hourly"],
            {"action": "start", "interval": "@hourly"},
            "acme: started, */15 * * * *, next run 14:37:00 UTC (in 12:14)\n",
        ),
        (["stop", "acme"], {"action": "stop"}, "acme: stopped\n"),
        (
            ["stop", "acme", "--reason", "change freeze", "--for", "1h30m"],
            {"action": "stop", "reason": "change freeze", "until": "2026-11-23T15:54:46.000Z"},
            "acme: stopped until 15:54:46 UTC\n",
        ),
        (
            ["interval", "acme", "*/15 * * * *"],
            {"action": "update-interval", "interval": "*/15 * * * *"},
            "acme: now */15 * * * *, next run 14:37:00 UTC (in 12:14)\n",
        ),
        (
            ["cancel", "acme", "--yes"],
            {"action": "cancel"},
            "acme: run 8815 was asked to end; it does so at its next page\n",
        ),
        (
            ["resync", "acme", "--since", "30d", "--yes"],
            {"action": "resync", "since": "30d"},
            "acme: run 8815 queued\n",
        ),
        (["resync", "acme", "--full", "--yes"], {"action": "resync", "since": "all"}, "acme: run 8815 queued\n"),
    ],
)
def test_a_command_is_one_call(
    scripted: ScriptedDaemon, zendeskctl: Zendeskctl, words: list[str], body: dict[str, object], said: str
) -> None:
    for operation in ("trigger", "resync"):
        scripted.answer(operation, ACCEPTED)
    for operation in ("start", "stop", "interval", "cancel"):
        scripted.answer(operation, mockup.changed(run_id=8815, next_run_at="2026-11-23T14:37:00.000Z"))
    done = zendeskctl(*words)
    assert (done.code, done.err) == (0, "")
    assert done.out == said
    assert bodies(scripted) == [("acme", body)]
    assert scripted.asked[0].path == "/api/zendesk/sync-config"
    assert scripted.asked[0].headers["user-agent"].startswith("zendeskctl/")


def test_what_was_so_already_is_said(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("stop", mockup.changed(changed=False))
    scripted.answer("start", mockup.changed(changed=False, next_run_at=None))
    scripted.answer("trigger", wire.Accepted(run_id=8815, state="running", joined=True))
    assert zendeskctl("stop", "acme").out == "acme: was stopped already\n"
    assert zendeskctl("stop", "acme", "--reason", "audit", "--for", "1h").out == (
        "acme: was stopped already, now until 15:24:46 UTC, reason: audit\n"
    )
    assert zendeskctl("stop", "acme", "--for", "1h").out == (
        "acme: was stopped already, now until 15:24:46 UTC, without a reason\n"
    )
    assert zendeskctl("stop", "acme", "--reason", "audit").out == (
        "acme: was stopped already, now until it is started, reason: audit\n"
    )
    assert zendeskctl("start", "acme").out == "acme: was started already, */15 * * * *, next run not planned\n"
    assert zendeskctl("trigger", "acme").out == "acme: run 8815 running, joined\n"


# --- several ----------------------------------------------------------------------------------------------------------


def test_all_is_every_organisation(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("sync_status", mockup.listing([mockup.status("a"), mockup.status("b")]))
    scripted.answer("trigger", ACCEPTED)
    assert zendeskctl("trigger", "--all").code == 0
    assert [org for org, _ in bodies(scripted)] == ["a", "b"]


def test_failed_leaves_out_what_only_a_person_can_mend(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("sync_status", mockup.listing())
    scripted.answer("trigger", ACCEPTED)
    done = zendeskctl("trigger", "--failed")
    assert [org for org, _ in bodies(scripted)] == ["initech"]
    assert "Left out, as they are blocked: globex" in done.err


def test_none_to_trigger_is_no_failure(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("sync_status", mockup.listing([]))
    done = zendeskctl("trigger", "--failed")
    assert (done.code, done.out) == (0, "")
    assert done.err == "No organisation to ask.\n"


def test_what_one_refuses_does_not_keep_the_others_from_it(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    refusals = {
        "b": wire.Problem(title="", status=404, code="not_found", detail="no organisation b", hint="did you mean bb?"),
        "d": wire.Problem(title="", status=409, code="conflict", detail="d is blocked"),
    }
    scripted.answer("trigger", lambda asked: refusals.get(asked.org or "", ACCEPTED))
    done = zendeskctl("trigger", "a", "b", "c")
    assert done.code == 5
    assert done.out == "a: run 8815 queued\nc: run 8815 queued\n"
    assert done.err == "b: no organisation b\n  did you mean bb?\n"
    assert zendeskctl("trigger", "b", "d").code == 1


def test_a_daemon_that_goes_away_is_not_asked_again(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    def go_away(asked: Asked) -> wire.Accepted:
        if asked.org == "b":
            raise ConnectionAbortedError
        return ACCEPTED

    scripted.answer("trigger", go_away)
    done = zendeskctl("trigger", "a", "b", "c", "--json")
    assert done.code == 3
    errors = [item["error"] for item in done.document()["items"]]
    assert errors[0] is None
    assert [error["reason"] for error in errors[1:]] == ["lost", "lost"]
    assert [one.org for one in scripted.asked_for("trigger")] == ["a", "b"]


# --- waiting ----------------------------------------------------------------------------------------------------------


def test_wait_follows_the_events(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    running, done = mockup.run(status="running"), mockup.run()
    now: list[wire.RunSummary] = [running]
    scripted.answer("trigger", ACCEPTED)
    scripted.answer("events", mockup.hello())
    scripted.answer("run", lambda asked: mockup.document(now[0]))
    result: list[Outcome] = []
    waiting = threading.Thread(target=lambda: result.append(zendeskctl("trigger", "acme", "--wait")))
    waiting.start()
    wait_for(lambda: scripted.asked_for("run"), "the first look")
    looks = len(scripted.asked_for("run"))
    now[0] = done
    scripted.publish(wire.Event(seq=8, event="run", at=mockup.ago(), run=mockup.run(9999)))
    scripted.publish(wire.Event(seq=9, event="run", at=mockup.ago(), run=done))
    waiting.join(20)
    assert len(scripted.asked_for("run")) == looks + 1
    assert result[0].code == 0
    assert result[0].out == "acme: run 8815 ok, 48 read, 4 new, 44 updated, 5s\n"
    assert result[0].err == "acme: run 8815 queued\n"


def test_wait_sees_an_end_whose_event_was_lost(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    now: list[wire.RunSummary] = [mockup.run(status="running")]
    scripted.answer("trigger", ACCEPTED)
    scripted.answer("events", mockup.hello())
    scripted.answer("run", lambda asked: mockup.document(now[0]))
    result: list[Outcome] = []
    waiting = threading.Thread(target=lambda: result.append(zendeskctl("trigger", "acme", "--wait", "--json")))
    waiting.start()
    wait_for(lambda: scripted.asked_for("run"), "the first look")
    now[0] = mockup.run()
    scripted.publish(wire.Event(seq=12, event="daemon", at=mockup.ago(), message="after a gap"))
    waiting.join(20)
    assert result[0].document()["status"] == "success"


def test_wait_goes_on_when_the_daemon_comes_back(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("trigger", ACCEPTED)
    scripted.answer("events", mockup.hello())
    running, cut = mockup.run(status="running"), mockup.run(status="interrupted")
    scripted.answer("run", mockup.document(running), mockup.document(cut))
    result: list[Outcome] = []
    waiting = threading.Thread(target=lambda: result.append(zendeskctl("trigger", "acme", "--wait")))
    waiting.start()
    wait_for(lambda: scripted.streams, "the stream")
    scripted.hang_up()
    waiting.join(20)
    assert result[0].code == 1
    assert "run 8815 interrupted" in result[0].out


def test_a_restart_is_told_while_waiting(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("trigger", ACCEPTED)

    def restart(asked: Asked) -> wire.Event:
        if len(scripted.asked_for("events")) < 4:
            raise ConnectionAbortedError
        return mockup.hello()

    scripted.answer("events", restart)
    scripted.answer("run", mockup.document(mockup.run()))
    done = zendeskctl("trigger", "acme", "--wait")
    assert done.code == 0
    assert done.err.splitlines()[1:] == [
        f"the daemon went away while it was asked ({scripted.path}); trying again",
        "The daemon is back.",
    ]


def test_wait_gives_up_on_a_daemon_that_stays_away(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("trigger", ACCEPTED)
    scripted.answer("run", mockup.document(mockup.run(status="running")))

    def gone(asked: Asked) -> wire.Event:
        raise ConnectionAbortedError

    scripted.answer("events", gone)
    done = zendeskctl("trigger", "acme", "--wait", minutes_pass=True)
    assert done.code == 3
    assert "trying again" in done.err


def test_wait_for_several_tells_of_each(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    ids = {"a": 1, "b": 2}
    scripted.answer("trigger", lambda one: wire.Accepted(run_id=ids[one.org or ""], state="queued", joined=False))
    ends = {"1": mockup.run(1, "a"), "2": mockup.run(2, "b", status="running")}
    scripted.answer("run", lambda one: mockup.document(ends[one.path.rsplit("/", 1)[1]]))
    scripted.refuse("events", 503, "busy", "too many streams")
    done = zendeskctl("trigger", "a", "b", "--wait", "--timeout", "0.4", "-q")
    assert done.code == 8
    assert done.out == "a: run 1 ok, 48 read, 4 new, 44 updated, 5s\n"
    assert done.err.startswith("b: not done after")


# --- questions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("typed", "code"), [(b"y\n", 0), (b"n\n", 1), (b"\n", 1), (b"", 1)])
def test_cancel_asks_and_no_is_the_default(
    scripted: ScriptedDaemon, zendeskctl: Zendeskctl, typed: bytes, code: int
) -> None:
    scripted.answer("cancel", mockup.changed(run_id=8815))
    done = zendeskctl("cancel", "acme", typed=typed, terminal=True)
    assert done.code == code
    assert "Cancel the run of acme?" in done.err
    assert len(scripted.asked_for("cancel")) == (1 if code == 0 else 0)
    assert code == 0 or "nothing was changed" in done.err


@pytest.mark.parametrize(("typed", "code"), [(b"acme\n", 0), (b"y\n", 1)])
def test_resync_shows_the_cost_and_wants_the_name(
    scripted: ScriptedDaemon, zendeskctl: Zendeskctl, typed: bytes, code: int
) -> None:
    plan = wire.ResyncPlan(
        organization_id="acme",
        system_type="zendesk",
        since="2026-11-01T00:00:00.000Z",
        records_stored=12003,
        api_calls_expected=13,
    )
    scripted.answer("resync", lambda asked: plan if asked.body.get("dryRun") else ACCEPTED)
    done = zendeskctl("resync", "acme", "--since", "2026-11-01", typed=typed, terminal=True)
    assert done.code == code
    assert "since Sun 1 Nov 00:00 UTC: 12,003 records stored, about 13 API calls." in done.err
    assert [one.body.get("dryRun", False) for one in scripted.asked] == [True, False][: 2 - code]


def test_a_dry_run_changes_nothing(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    plan = wire.ResyncPlan(
        organization_id="acme", system_type="zendesk", since=None, records_stored=1, api_calls_expected=1
    )
    scripted.answer("resync", plan)
    done = zendeskctl("resync", "acme", "--full", "--dry-run")
    assert done.out == "acme: reads again from the very beginning: 1 record stored, about 1 API call.\n"
    assert [one.body["dryRun"] for one in scripted.asked] == [True]


def test_stop_all_asks_before_it_looks(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    assert zendeskctl("stop", "--all", terminal=True, typed=b"n\n").code == 1
    assert scripted.asked == []


# --- reconcile --------------------------------------------------------------------------------------------------------


def test_reconcile_waits_and_reports(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    item = wire.ReconcileItem(organization_id="wayne", system_type="zendesk", reconciliation_id=31, joined=False)
    scripted.answer("reconcile", wire.ReconcileAccepted(items=[item]))
    running = mockup.reconciled(status="running", finished_at=None)
    ended = mockup.reconciled(missing=2, repaired=2, local_count=12001)
    scripted.answer("reconciliations", wire.ReconcileList(items=[running]), wire.ReconcileList(items=[ended]))
    scripted.refuse("events", 503, "busy", "too many streams")
    done = zendeskctl("reconcile", "wayne", "--wait")
    assert done.code == 0
    assert done.err == "wayne: comparison 31 asked\n"
    assert done.out == (
        "ORG        STATUS        THERE     HERE  MISSING  STALE  VANISHED  REPAIRED  ENDED UTC  WHY\n"
        "wayne      ✓ verified   12,003   12,001        2      0         0         2  14:20:46\n"
    )


def test_a_comparison_that_failed_is_a_failure(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    bad = mockup.reconciled(status="failed", error_message="HTTP 500")
    scripted.answer("reconciliations", wire.ReconcileList(items=[bad, mockup.reconciled("other")]))
    done = zendeskctl("reconcile", "wayne", "--last")
    assert done.code == 1
    assert "✗ failed" in done.out
    assert "other" not in done.out


# --- a real terminal --------------------------------------------------------------------------------------------------


def test_a_secret_is_not_shown_while_it_is_typed(scripted: ScriptedDaemon, tmp_path: Path) -> None:
    stored = wire.CredentialsSet(
        organization_id="acme", system_type="zendesk", kind="api_token", expires_at=None, state="idle"
    )
    scripted.answer("set_credentials", stored)
    scripted.answer("sync_status", mockup.one(mockup.status("acme")))
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "zendeskd.ctl", "--socket", str(scripted.path), "credentials", "set", "acme"]
    try:
        with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as asking:
            seen = ""
            for question, answer in (("Kind: ", "api_token"), ("e-mail", "ana@example.com"), ("not shown", "s3cret")):
                seen += _read_until(ours, question)
                os.write(ours, answer.encode() + b"\n")
            seen += _read_until(ours, "now idle")
            assert asking.wait(20) == 0
    finally:
        os.close(ours)
        os.close(theirs)
    assert "ana@example.com" in seen
    assert "s3cret" not in seen
    assert scripted.asked[-1].body == {"kind": "api_token", "email": "ana@example.com", "token": "s3cret"}


def _read_until(terminal: int, text: str) -> str:
    seen = b""
    while text.encode() not in seen:
        assert select.select([terminal], [], [], 20)[0], seen
        seen += os.read(terminal, 4096)
    return seen.decode()
