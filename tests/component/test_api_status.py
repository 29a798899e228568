"""How the daemon and the integrations are, as callers see it; and what every answer has in common."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from tests.fakes import page
from tests.fixtures.control import TOKEN, Control
from tests.waiting import wait_for
from zendeskd import __version__, wire
from zendeskd.api.app import ENDPOINTS
from zendeskd.api.names import group_name, user_name
from zendeskd.client import ApiError, AsyncClient, Client
from zendeskd.errors import ConfigError, CredentialError, NetworkError, StorageError, ZendeskdError
from zendeskd.operations import OPERATIONS, Operation

# --- the table --------------------------------------------------------------------------------------------------------


def test_every_operation_has_its_route_and_every_route_its_operation() -> None:
    table = {(one.name, one.method, one.path, one.changes) for one in OPERATIONS if one.name != "events"}
    routes = {(name, one.method, one.path, one.changes) for one in ENDPOINTS for name in one.operations}
    assert routes == table


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_every_operation_is_answered_and_has_a_method_of_both_clients(standing: Control, operation: Operation) -> None:
    assert callable(getattr(Client, operation.name))
    assert callable(getattr(AsyncClient, operation.name))
    if operation.name == "events":
        return
    path = operation.path.format(system="zendesk", org="none", id="99", link_id="99")
    reply = standing.http(operation.method, path)
    assert reply.status_code in {200, 202, 404, 422}, reply.text
    if reply.status_code == 404:
        assert "there is no route" not in reply.text
        assert reply.json()["detail"].lower().startswith("there is no")


# --- health and status ------------------------------------------------------------------------------------------------


def test_health(standing: Control) -> None:
    reply = standing.http("GET", "/api/health")
    assert reply.status_code == 200
    health = msgspec.json.decode(reply.content, type=wire.Health)
    assert health.ok
    assert health.scheduler_moving
    assert {"scheduler", "worker-1", "worker-2"} <= set(health.threads)
    assert reply.headers["zendeskd-api"] == "1"
    assert reply.headers["zendeskd-version"] == __version__
    assert reply.headers["cache-control"] == "no-store"


def test_health_is_a_503_when_the_scheduler_stands_still(new_control: Control) -> None:
    new_control.start(stalled_s=(-1.0, 900.0))
    reply = new_control.http("GET", "/api/health")
    assert (reply.status_code, reply.json()["ok"], reply.json()["schedulerMoving"]) == (503, False, False)
    assert reply.json()["detail"] == "standing still: scheduler"
    health = new_control.client().health()
    assert not health.ok, "the client hands it out, it is not an error of the call"


def test_health_tells_of_trouble_with_the_database_and_stays_ok(control: Control) -> None:
    control.database.trouble = "disk full"
    reply = control.http("GET", "/api/health")
    assert (reply.status_code, reply.json()["detail"]) == (200, "scheduler and workers move; database: disk full")
    assert control.client().status().database.trouble == "disk full"


def test_health_tells_what_each_worker_does(control: Control) -> None:
    control.add()
    gate = control.hold()
    client = control.client()
    run = client.trigger("acme").run_id
    doing = wait_for(lambda: client.health().doing, "a worker to take it")
    assert list(doing.values()) == [f"run {run} of acme"]
    assert set(doing) <= {"worker-1", "worker-2"}
    gate.set()
    wait_for(lambda: client.health().doing == {}, "the worker to be free")


def test_status_tells_who_may_use_the_socket(new_control: Control) -> None:
    new_control.start()
    new_control.context.facts = replace(new_control.context.facts, operators="zendesk-ops", viewers="support")
    access = new_control.client().status().access
    own = (user_name(os.geteuid()), group_name(os.getegid()))
    assert access == wire.SocketAccess(
        mode="0660", owner=own[0], group=own[1], operators="zendesk-ops", viewers="support"
    )
    with new_control.client() as connected:
        connected.status()
        new_control.path.chmod(0o666)
        assert (seen := connected.status().access) is not None
        assert seen.mode == "0666", "as it is, not as it was made"
        new_control.path.unlink()
        assert connected.status().access == wire.SocketAccess(
            mode=None, owner=None, group=None, operators="zendesk-ops", viewers="support"
        )


def test_status(control: Control) -> None:
    control.add()
    control.add("globex", credentials=None)
    status = control.client().status()
    assert (status.version, status.api_version, status.boot_id, status.pid) == (__version__, 1, "boot-1", os.getpid())
    assert (status.organizations, status.integrations, status.health) == (2, 2, {"stopped": 2})
    assert (status.workers, status.workers_busy, status.queue_length) == (2, 0, 0)
    assert status.database.bytes > 0
    assert (status.role, status.socket) == ("operator", str(control.path))
    assert status.seq == control.broker.seq


# --- one and all ------------------------------------------------------------------------------------------------------


def test_the_status_of_all_is_worst_first_and_says_which_events_it_contains(control: Control) -> None:
    control.add("acme")
    control.script([CredentialError("Zendesk rejected the token (401).", hint="give another")])
    control.add("globex")
    client = control.client()
    control.ended(client.trigger("globex").run_id)
    client.start("globex")
    wait_for(lambda: client.sync_status_one("globex").state == "blocked")
    listed = client.sync_status()
    assert [item.organization_id for item in listed.items] == ["globex", "acme"]
    assert listed.seq == control.broker.seq
    worst = listed.items[0]
    assert (worst.health, worst.last_status, worst.consecutive_failures) == ("blocked", "failed", 2)
    assert worst.last_error is not None
    assert (worst.last_error.code, worst.credential.kind if worst.credential else "") == (
        "credential_error",
        "api_token",
    )
    assert worst.recent_runs[0].error_code == "credential_error"


def test_the_status_of_one_after_a_run(control: Control) -> None:
    control.add()
    client = control.client()
    run = control.ended(client.trigger("acme").run_id)
    one = wait_for(lambda: (item := client.sync_status_one("acme")).run is None and item)
    assert (one.schema, one.state, one.last_status, one.total_records) == (1, "stopped", "success", 3)
    assert (one.records_today, one.failures_today, one.last_error, one.run) == (3, 0, None, None)
    assert [each.id for each in one.recent_runs] == [run.id]
    assert one.watermark is not None
    assert one.seq > 0


def test_a_run_that_goes_on_is_seen(control: Control) -> None:
    gate = control.hold()
    control.add()
    client = control.client()
    queued = client.trigger("acme")
    live = wait_for(lambda: (run := client.sync_status_one("acme").run) and run.pages == 1 and run)
    assert (live.id, live.kind, live.trigger, live.records) == (queued.run_id, "sync", "manual", 1)
    assert live.requested_by == "root (cli)"
    document = client.run(queued.run_id)
    assert document.status == "running"
    assert document.live is not None
    assert document.live.records == 1
    gate.set()
    assert control.ended(queued.run_id).live is None


def test_configuration_of_one_and_of_all(control: Control) -> None:
    control.add(interval="*/30 * * * *", timezone="Europe/Berlin", lookback="all")
    one = control.client().sync_config_one("acme")
    assert (one.interval, one.timezone, one.lookback, one.is_active) == ("*/30 * * * *", "Europe/Berlin", "all", False)
    assert (one.base_url, one.strategy, one.state) == ("https://acme.zendesk.com", "export", "stopped")
    assert [item.organization_id for item in control.client().sync_config().items] == ["acme"]


# --- what is refused --------------------------------------------------------------------------------------------------


def test_an_unknown_organisation_lists_near_names(control: Control) -> None:
    control.add("acme-eu")
    for path in (
        "/api/zendesk/sync-status",
        "/api/zendesk/sync-config",
        "/api/zendesk",
        "/api/records",
        "/api/sync-logs",
    ):
        reply = control.http("GET", path, params={"organizationId": "acme-ue"})
        assert (reply.status_code, reply.json()["code"]) == (404, "not_found"), path
        assert "acme-eu" in reply.json()["hint"], path
        assert reply.headers["content-type"] == "application/problem+json"


def test_an_unknown_system_lists_those_that_are_known(standing: Control) -> None:
    reply = standing.http("GET", "/api/jiro/sync-status")
    assert (reply.status_code, reply.json()["hint"]) == (404, "it can be zendesk")
    assert standing.http("PUT", "/api/organizations/acme/credentials/slack", json={}).status_code == 404


def test_an_unknown_parameter_names_its_nearest_neighbour(standing: Control) -> None:
    reply = standing.http("GET", "/api/zendesk/sync-status", params={"organisationId": "acme"})
    assert (reply.status_code, reply.json()["field"]) == (422, "organisationId")
    assert reply.json()["hint"] == "did you mean 'organizationId'?"
    reply = standing.http("GET", "/api/status?x=1")
    assert (reply.status_code, reply.json()["hint"]) == (422, "this call takes no parameters")
    reply = standing.http("GET", "/api/zendesk/sync-status?organizationId=a&organizationId=b")
    assert (reply.status_code, reply.json()["detail"]) == (422, "parameter 'organizationId' is given twice")


@pytest.mark.parametrize("path", ["/", "/api", "/api/", "/api/organizations/acme/secrets", "/api/status/", "/metrics"])
def test_an_unknown_path_is_a_problem_too(standing: Control, path: str) -> None:
    reply = standing.http("GET", path)
    assert (reply.status_code, reply.json()["code"]) == (404, "not_found")
    assert reply.headers["content-type"] == "application/problem+json"


def test_a_mistyped_path_names_its_nearest_neighbour(standing: Control) -> None:
    assert standing.http("GET", "/api/helth").json()["hint"] == "did you mean /api/health?"
    assert standing.http("GET", "/api/zendesk/sync-stats").json()["hint"] == "did you mean '/api/zendesk/sync-status'?"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/api/status", "GET"),
        ("PUT", "/api/organizations/acme", "DELETE, GET, PATCH"),
        ("PATCH", "/api/records/1/links", "GET, POST"),
        ("POST", "/api/events", "GET"),
    ],
)
def test_a_method_that_is_not_there_is_a_405_that_says_which_are(
    standing: Control, method: str, path: str, allowed: str
) -> None:
    reply = standing.http(method, path)
    assert (reply.status_code, reply.json()["code"]) == (405, "method_not_allowed")
    assert sorted(one for one in reply.headers["allow"].split(", ") if one != "HEAD") == allowed.split(", ")


def test_head_is_get_without_its_body(standing: Control) -> None:
    assert (standing.http("HEAD", "/api/status").status_code, standing.http("HEAD", "/api/status").content) == (
        200,
        b"",
    )
    assert standing.http("HEAD", "/api/events").status_code == 200


def test_a_bug_is_a_500_that_tells_nothing_of_the_inside(control: Control, capsys: pytest.CaptureFixture[str]) -> None:
    def bug() -> wire.ReloadResult:
        raise RuntimeError(f"at /secret/path with {TOKEN}")

    control.context.reload = bug
    reply = control.http("POST", "/api/reload")
    assert (reply.status_code, reply.json()["code"]) == (500, "internal_error")
    assert "secret" not in reply.text
    assert TOKEN not in reply.text
    assert control.audit()[0] == ("reload", "settings", "", 500)
    assert "RuntimeError" in capsys.readouterr().out, "the log has the traceback"


def test_trouble_with_the_database_is_a_503_with_its_code(control: Control) -> None:
    def full() -> wire.ReloadResult:
        raise StorageError("The disk is full.", hint="Free some space.")

    control.context.reload = full
    reply = control.http("POST", "/api/reload")
    assert (reply.status_code, reply.json()["code"], reply.json()["hint"]) == (503, "storage_error", "Free some space.")
    assert reply.headers["retry-after"] == "10"


@pytest.mark.parametrize(
    ("error", "status"), [(NetworkError("No route.", hint="Look."), 502), (ZendeskdError("Odd.", hint="Look."), 500)]
)
def test_other_errors_keep_their_code(control: Control, error: ZendeskdError, status: int) -> None:
    control.reloads.append(error)  # type: ignore[arg-type]
    reply = control.http("POST", "/api/reload")
    assert (reply.status_code, reply.json()["code"], reply.json()["hint"]) == (status, error.code, "Look.")


def test_reload_takes_no_body(standing: Control) -> None:
    reply = standing.http("POST", "/api/reload", json={"workers": 4})
    assert (reply.status_code, reply.json()["code"]) == (422, "invalid_request")
    assert standing.http("POST", "/api/reload", json={}).status_code == 200


def test_a_caller_without_a_name_is_its_number() -> None:
    assert user_name(4_000_000_001) == "4000000001"
    assert user_name(0) == "root"
    assert (group_name(4_000_000_001), group_name(0)) == ("4000000001", "root")


# --- reload and reconcile ---------------------------------------------------------------------------------------------


def test_reload_tells_what_changed(control: Control) -> None:
    change = wire.ReloadChange(key="workers", old="8", new="4", applied=False)
    control.reloads.append(wire.ReloadResult(changes=[change]))
    assert control.client().reload().changes == [change]
    assert control.audit()[0] == ("reload", "settings", "workers", 200)


def test_a_reload_of_a_bad_file_lists_everything_that_is_wrong(control: Control) -> None:
    control.reloads.append(
        ConfigError("2 problems", hint="fix them", problems=("workers: too many", "colour: unknown"))
    )
    with pytest.raises(ApiError) as caught:
        control.client().reload()
    assert caught.value.status == 422
    assert caught.value.problem.code == "config_error"
    assert [item.detail for item in caught.value.problem.problems] == ["workers: too many", "colour: unknown"]


def test_a_backup_is_accepted_made_and_told(control: Control) -> None:
    control.fill()
    client, told = control.client(), []
    with contextlib.closing(control.client().events()) as events:
        assert next(events).event == "hello"
        accepted = client.backup()
        for event in events:
            told += [event.backup] if event.backup is not None else []
            if told and told[-1].finished_at is not None:
                break
    assert [(one.path, one.finished_at is None, one.requested_by) for one in told] == [
        (accepted.path, going_on, f"{user_name(os.getuid())} (cli)") for going_on in (True, False)
    ]
    assert control.audit()[0] == ("backup", "database", Path(accepted.path).name, 202)
    known = client.status().backup
    assert known is not None
    assert (known.schedule, known.keep, known.running) == ("0 3 * * *", 7, None)
    assert known.recent == [told[-1]]
    assert (told[-1].trouble, told[-1].bytes) == (None, Path(accepted.path).stat().st_size)
    with contextlib.closing(sqlite3.connect(accepted.path)) as copy:
        assert copy.execute("SELECT count(*) FROM flow_records").fetchone() == (5,)


def test_a_backup_that_fails_says_why_in_the_status(control: Control) -> None:
    (control.folder / "backups").write_text("in the way")
    accepted = control.client().backup()
    (one,) = wait_for(lambda: (known := control.client().status().backup) and known.recent, "its end")
    assert one.path == accepted.path
    assert "File exists" in (one.trouble or "")
    assert control.client().status().database.trouble is None


def test_a_backup_takes_no_body_and_is_not_for_viewers(control: Control) -> None:
    assert control.http("POST", "/api/backup", json={"path": "/etc"}).status_code == 422
    control.role = "viewer"
    assert control.http("POST", "/api/backup").status_code == 403
    assert control.client().status().backup is not None
    assert not (control.folder / "backups").exists()


def test_reconcile_one_and_all(control: Control) -> None:
    control.script([page(1, 2, end=True)])
    control.add()
    control.add("globex")
    client = control.client()
    with pytest.raises(ApiError) as caught:
        client.reconcile()
    assert (caught.value.status, caught.value.problem.code) == (409, "conflict")
    control.ended(client.trigger("acme").run_id)
    accepted = client.reconcile()
    assert [item.organization_id for item in accepted.items] == ["acme"], "globex has not been read yet"
    done = wait_for(lambda: [item for item in client.reconciliations().items if item.status != "running"])
    assert (done[0].id, done[0].status, done[0].missing) == (accepted.items[0].reconciliation_id, "verified", 0)
    assert control.audit()[0][:2] == ("reconcile", "fleet")


def test_reconcile_of_an_unknown_organisation_queues_nothing(control: Control) -> None:
    control.add()
    control.ended(control.client().trigger("acme").run_id)
    with pytest.raises(ApiError) as caught:
        control.client().reconcile(["acme", "acmee"])
    assert caught.value.status == 404
    assert "acme" in caught.value.hint
    assert control.client().reconciliations().items == []


# --- schedules --------------------------------------------------------------------------------------------------------


def test_preview_of_a_schedule(standing: Control) -> None:
    preview = standing.client().preview_schedule(
        "*/30 9-17 * * 1-5", timezone="America/New_York", after="2026-11-23T14:24:46Z"
    )
    assert preview.words == "Every 30th minute from 09:00 through 17:59 on Monday through Friday"
    assert [time.local for time in preview.times] == [
        "2026-11-23T09:30:00-05:00",
        "2026-11-23T10:00:00-05:00",
        "2026-11-23T10:30:00-05:00",
    ]
    assert preview.times[0].utc == "2026-11-23T14:30:00.000Z"
    assert standing.client().preview_schedule("@daily").timezone == "America/New_York"


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({"interval": "75 * * * *"}, "interval", "minute: 75 is not valid, 0-59"),
        ({"interval": "* * * *"}, "interval", "5 fields"),
        ({"interval": "* * * * *", "timezone": "Mars"}, "timezone", "not known"),
        ({"interval": "* * * * *", "count": 0}, "count", "count: 0"),
        ({"interval": "* * * * *", "count": 101}, "count", "count: 101"),
        ({"interval": "* * * * *", "after": "yesterday"}, "after", "not an instant"),
        ({"interval": "* * * * *", "after": "2026-11-23T14:24:46"}, "after", "not an instant"),
        ({"interval": "* * * * *", "zone": "UTC"}, "zone", "'zone' is not known here"),
        ({"interval": 5}, "interval", "Expected `str`, got `int`"),
        ({}, "interval", "'interval' is missing"),
        ([], "", "Expected `object`, got `array`"),
    ],
)
def test_a_preview_that_cannot_be_made(standing: Control, body: object, field: str, says: str) -> None:
    reply = standing.http("POST", "/api/schedules/preview", json=body)
    assert (reply.status_code, reply.json()["field"]) == (422, field)
    assert says in reply.json()["detail"]
    assert reply.json()["hint"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"interval": "* * * * *",}', "line 1, column 26"),
        (b'{\n  "interval": x}', "line 2, column 15"),
        (b'{"interval": "\xff"}', "UTF-8"),
        (b'{"interval"', "ends too early"),
    ],
)
def test_malformed_json_says_where(standing: Control, body: bytes, says: str) -> None:
    reply = standing.http("POST", "/api/schedules/preview", content=body)
    assert (reply.status_code, reply.json()["code"]) == (400, "malformed_json")
    assert says in reply.json()["detail"]
