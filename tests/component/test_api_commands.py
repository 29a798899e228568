"""What people tell an integration to do, who may, and the line that is kept of it."""

from __future__ import annotations

import json
from datetime import timedelta

import httpx
import pytest

from tests.fakes import page
from tests.fixtures.control import YEARLY, Control
from tests.waiting import wait_for
from zendeskd.api.context import roles_by_group
from zendeskd.client import ApiError
from zendeskd.connection import Peer
from zendeskd.errors import CredentialError
from zendeskd.models import stamp, utcnow
from zendeskd.operations import OPERATIONS


def command(control: Control, body: object, org: str = "acme", **options: object) -> httpx.Response:
    return control.http("POST", f"/api/zendesk/sync-config?organizationId={org}", json=body, **options)


# --- trigger and cancel -----------------------------------------------------------------------------------------------


def test_a_trigger_queues_a_run_and_a_second_one_joins_it(control: Control) -> None:
    gate = control.hold()
    control.add()
    first = command(control, {"action": "trigger"})
    assert first.status_code == 202
    assert first.json() == {"schema": 1, "runId": first.json()["runId"], "state": "queued", "joined": False}
    wait_for(lambda: control.client().sync_status_one("acme").run)
    second = command(control, {"action": "trigger"})
    assert second.status_code == 202
    assert second.json() == {"schema": 1, "runId": first.json()["runId"], "state": "running", "joined": True}
    gate.set()
    assert control.ended(first.json()["runId"]).status == "success"
    assert [row[2] for row in control.audit()[:2]] == ["run 1, joined", "run 1"]


@pytest.mark.parametrize(
    ("agent", "by"),
    [
        ("zendeskctl/1.0.0", "root (cli)"),
        ("zendeskd-tui/1.0.0", "root (dashboard)"),
        ("curl/7.88.1", "root (socket)"),
        ("", "root (socket)"),
    ],
)
def test_a_run_tells_who_asked_for_it(control: Control, agent: str, by: str) -> None:
    control.add()
    queued = command(control, {"action": "trigger"}, headers={"user-agent": agent}).json()
    assert control.ended(queued["runId"]).requested_by == by


def test_cancel_ends_the_run_at_its_next_page(control: Control) -> None:
    gate = control.hold()
    control.add()
    client = control.client()
    queued = client.trigger("acme")
    wait_for(lambda: (run := client.sync_status_one("acme").run) and run.pages == 1)
    cancelled = client.cancel("acme")
    assert (cancelled.action, cancelled.changed, cancelled.run_id) == ("cancel", True, queued.run_id)
    assert cancelled.state in {"stopping", "stopped"}
    gate.set()
    run = control.ended(queued.run_id)
    assert (run.status, run.records_created) == ("cancelled", 1)
    assert control.audit()[0][:3] == ("cancel", "acme/zendesk", f"run {queued.run_id}")


def test_cancel_without_a_run_is_a_conflict(control: Control) -> None:
    control.add()
    reply = command(control, {"action": "cancel"})
    assert (reply.status_code, reply.json()["code"]) == (409, "conflict")
    assert control.audit()[0] == ("cancel", "acme/zendesk", "", 409)


# --- start and stop ---------------------------------------------------------------------------------------------------


def test_start_makes_it_active_and_due_and_a_second_start_changes_nothing(control: Control) -> None:
    control.add()
    first = command(control, {"action": "start"})
    assert first.status_code == 200
    assert {key: first.json()[key] for key in ("action", "changed", "isActive", "interval", "organizationId")} == {
        "action": "start",
        "changed": True,
        "isActive": True,
        "interval": YEARLY,
        "organizationId": "acme",
    }
    wait_for(lambda: control.client().sync_status_one("acme").last_status == "success")
    assert command(control, {"action": "start"}).json()["changed"] is False


def test_start_may_bring_an_interval(control: Control) -> None:
    control.add()
    started = control.client().start("acme", interval="0  6 * * 1-5")
    assert (started.interval, started.is_active, started.changed) == ("0 6 * * 1-5", True, True)


def test_start_with_a_bad_interval_changes_nothing(control: Control) -> None:
    control.add()
    reply = command(control, {"action": "start", "interval": "75 * * * *"})
    assert (reply.status_code, reply.json()["field"]) == (422, "interval")
    assert reply.json()["detail"] == "minute: 75 is not valid, 0-59"
    config = control.client().sync_config_one("acme")
    assert (config.is_active, config.interval) == (False, YEARLY)
    assert control.audit()[0] == ("start", "acme/zendesk", "75 * * * *", 422)


def test_stop_with_reason_and_end(control: Control) -> None:
    control.add(isActive=True)
    client = control.client()
    wait_for(lambda: client.sync_status_one("acme").last_status, "its first run to end")
    until = stamp(utcnow() + timedelta(hours=2))
    reply = command(control, {"action": "stop", "reason": "migration", "until": until})
    assert (reply.status_code, reply.json()["state"], reply.json()["changed"]) == (200, "stopped", True)
    status = wait_for(lambda: (one := control.client().sync_status_one("acme")).run is None and one)
    assert (status.stopped_by, status.stop_reason, status.stopped_until) == ("root (socket)", "migration", until)
    assert status.next_run_at == until
    assert command(control, {"action": "stop"}).json()["changed"] is False
    assert control.audit()[1][2] == f"migration until {until}"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"until": "tomorrow"}, "until"),
        ({"until": "2020-01-01T00:00:00Z"}, "until"),
        ({"until": "2099-01-01T00:00:00"}, "until"),
        ({"reason": "x" * 501}, "reason"),
        ({"reason": "\x1b[31mred"}, "reason"),
    ],
)
def test_a_stop_that_cannot_be_understood_changes_nothing(control: Control, body: dict[str, str], field: str) -> None:
    control.add(isActive=True)
    reply = command(control, {"action": "stop", **body})
    assert (reply.status_code, reply.json()["field"]) == (422, field)
    assert control.client().sync_config_one("acme").is_active


# --- interval ---------------------------------------------------------------------------------------------------------


def test_update_interval(control: Control) -> None:
    control.add(isActive=True)
    reply = command(control, {"action": "update-interval", "interval": "*/30 * * * *"})
    assert (reply.status_code, reply.json()["interval"], reply.json()["changed"]) == (200, "*/30 * * * *", True)
    assert reply.json()["nextRunAt"] is not None
    assert control.client().interval("acme", "*/30 * * * *").changed is False
    assert [row[:3] for row in control.audit()[:2]] == [("interval", "acme/zendesk", "*/30 * * * *")] * 2


@pytest.mark.parametrize(("body", "says"), [({}, "'interval' is missing"), ({"interval": "x"}, "5 fields")])
def test_a_bad_interval_leaves_the_old_one(control: Control, body: dict[str, str], says: str) -> None:
    control.add()
    reply = command(control, {"action": "update-interval", **body})
    assert (reply.status_code, reply.json()["field"]) == (422, "interval")
    assert says in reply.json()["detail"]
    assert reply.json()["hint"].startswith("for example")
    assert control.client().sync_config_one("acme").interval == YEARLY


# --- resync -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "since", ["30d", "12h", "2w", "all", "2026-01-01", "2026-01-01T08:00:00Z", "2026-01-01T08:00+01:00"]
)
def test_resync_from_a_span_a_date_or_an_instant(control: Control, since: str) -> None:
    control.add()
    reply = command(control, {"action": "resync", "since": since})
    assert reply.status_code == 202
    assert control.ended(reply.json()["runId"]).status == "success"
    assert control.connector.opened[-1].positions[0].cursor is None


def test_a_resync_date_begins_at_midnight_where_the_integration_is(control: Control) -> None:
    control.add(timezone="America/New_York")
    plan = control.client().plan_resync("acme", "2026-01-15")
    assert plan.since == "2026-01-15T05:00:00.000Z"


def test_a_dry_run_of_a_resync_only_says_what_it_would_do(control: Control) -> None:
    control.script([page(*range(1, 8), end=True)])
    control.add()
    control.ended(control.client().trigger("acme").run_id)
    plan = control.client().plan_resync("acme", "all")
    assert (plan.since, plan.records_stored, plan.api_calls_expected) == (None, 7, 1)
    plan = control.client().plan_resync("acme", "2026-11-23T10:00:02Z")
    assert plan.records_stored == 0
    assert len(control.client().runs("acme").items) == 1
    assert control.audit()[0][2] == "since 2026-11-23T10:00:02.000Z (dry run)"


@pytest.mark.parametrize(
    "since", [None, "", "soon", "30 days", "2999-01-01", "2026-13-01", "2026-01-01T08:00:00", "0001-01-01T00:00+14:00"]
)
def test_a_resync_from_nowhere(standing: Control, since: str | None) -> None:
    reply = command(standing, {"action": "resync", "since": since})
    assert (reply.status_code, reply.json()["field"]) == (422, "since")
    assert len(standing.client().runs("acme").items) == 1


def test_a_resync_during_a_run_is_a_conflict(control: Control) -> None:
    control.hold()
    control.add()
    control.client().trigger("acme")
    wait_for(lambda: control.client().sync_status_one("acme").run)
    with pytest.raises(ApiError) as caught:
        control.client().resync("acme", "all")
    assert caught.value.status == 409
    assert "cancel" in caught.value.hint


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_a_blocked_one_is_not_triggered_but_started(control: Control) -> None:
    control.script([CredentialError("Zendesk rejected the token.", hint="")], [page(1, end=True)])
    control.add(isActive=True)
    wait_for(lambda: control.client().sync_status_one("acme").state == "blocked")
    refused = command(control, {"action": "trigger"})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert "start acme" in refused.json()["hint"]
    assert command(control, {"action": "start"}).status_code == 200
    wait_for(lambda: control.client().sync_status_one("acme").last_status == "success")


@pytest.mark.parametrize(
    ("body", "field", "says", "hint"),
    [
        ({}, "action", "'action' is missing", "it can be trigger, start, stop, update-interval, cancel, resync"),
        ({"action": "tigger"}, "action", "'tigger' is not known", "did you mean 'trigger'?"),
        ({"action": None}, "action", "'action' is missing", "it can be trigger"),
        ({"action": 5}, "action", "'5' is not known", "it can be trigger"),
        ({"action": "trigger", "interval": "* * * * *"}, "interval", "does not go with trigger", "takes nothing else"),
        ({"action": "stop", "since": "1d"}, "since", "does not go with stop", "stop takes reason, until"),
        ({"action": "trigger", "dryRun": True}, "dryRun", "does not go with trigger", "takes nothing else"),
        ({"action": "start", "intervall": "x"}, "intervall", "not known here", "did you mean 'interval'?"),
        ({"action": "start", "interval": 5}, "interval", "Expected `str | null`", "docs/api.md"),
        ([], "", "Expected `object`", "docs/api.md"),
    ],
)
def test_a_command_that_cannot_be_understood(standing: Control, body: object, field: str, says: str, hint: str) -> None:
    reply = command(standing, body)
    problem = reply.json()
    assert (reply.status_code, problem["code"], problem["field"]) == (422, "invalid_request", field)
    assert says in problem["detail"]
    assert hint in problem["hint"]


def test_a_command_needs_an_organisation_that_is_there(control: Control) -> None:
    control.add()
    reply = control.http("POST", "/api/zendesk/sync-config", json={"action": "trigger"})
    assert (reply.status_code, reply.json()["field"]) == (422, "organizationId")
    reply = command(control, {"action": "trigger"}, org="acmee")
    assert (reply.status_code, "acme" in reply.json()["hint"]) == (404, True)
    assert control.audit()[0] == ("trigger", "acmee/zendesk", "", 404)


def test_a_command_without_a_body(standing: Control) -> None:
    reply = standing.http("POST", "/api/zendesk/sync-config?organizationId=acme")
    assert (reply.status_code, reply.json()["detail"]) == (422, "the request has no body")


def test_a_body_is_json_whatever_its_type_says(control: Control) -> None:
    control.add()
    body = json.dumps({"action": "trigger"})
    reply = command(control, None, content=body, headers={"content-type": "application/x-www-form-urlencoded"})
    assert reply.status_code == 202, "curl -d says that it is a form"


# --- who may ----------------------------------------------------------------------------------------------------------


def test_a_viewer_sees_everything_and_changes_nothing(control: Control) -> None:
    control.add()
    control.role = "viewer"
    assert control.client().status().role == "viewer"
    assert control.client().sync_status_one("acme").state == "stopped"
    for operation in OPERATIONS:
        if not operation.changes:
            continue
        path = operation.path.format(system="zendesk", org="acme", id="1", link_id="1")
        body = json.dumps({"action": operation.name})
        reply = control.http(operation.method, path, content=body if operation.method != "DELETE" else None)
        assert (reply.status_code, reply.json()["code"]) == (403, "forbidden"), operation.name
        assert "operator" in reply.json()["hint"]
        assert control.audit()[0][3] == 403
    assert control.client().organization("acme").id == "acme"


def test_somebody_who_is_neither_sees_nothing(control: Control) -> None:
    control.role = None
    assert control.http("GET", "/api/status").status_code == 403
    assert control.http("GET", "/api/events").status_code == 403
    assert control.http("GET", "/api/health").status_code == 403


def test_roles_by_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 500)
    ana, ben = Peer(1, 1001, 1001, frozenset({1001, 10})), Peer(1, 1002, 1002, frozenset({1002, 20}))
    eve, root, own = Peer(1, 1003, 1003, frozenset({1003})), Peer(1, 0, 0), Peer(1, 500, 500)
    rule = roles_by_group(10, 20)
    assert [rule(peer) for peer in (ana, ben, eve, root, own)] == ["operator", "viewer", None, "operator", "operator"]
    open_to_all = roles_by_group(10, None)
    assert [open_to_all(peer) for peer in (ana, ben, eve)] == ["operator"] * 3


def test_what_cannot_be_written_down_is_still_done_and_logged(
    control: Control, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from zendeskd.errors import StorageError

    control.add()

    def full(**_: object) -> None:
        raise StorageError("The disk is full.")

    monkeypatch.setattr(control.store.audit, "write", full)
    assert command(control, {"action": "start"}).status_code == 200
    logged = capsys.readouterr().out
    assert "audit log not written" in logged
    assert "operation=start" in logged
