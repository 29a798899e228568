"""The fleet over the socket: all or nothing, scheduled at once, no secret in any answer or log."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import msgspec
import pytest

from tests.fakes import page
from tests.fixtures.control import CREDENTIALS, TOKEN, YEARLY, Control
from tests.waiting import wait_for
from zendeskd import fleet, wire
from zendeskd import jobs as jobs_module
from zendeskd.client import ApiError
from zendeskd.errors import CredentialError, NetworkError, StorageError
from zendeskd.models import ApiToken, Secret


def spec(org: str, **integration: object) -> dict[str, object]:
    return {"id": org, "integrations": [{"subdomain": org, "isActive": False, **integration}]}


def file_of(*organizations: object, **more: object) -> bytes:
    return json.dumps({"organizations": organizations, **more}).encode()


# --- add --------------------------------------------------------------------------------------------------------------


def test_an_organisation_with_credentials_is_due_at_once(control: Control) -> None:
    document = {"id": "acme", "name": "Acme Ltd", "timezone": "Europe/Berlin", "tags": ["eu", "eu"]}
    integration = {"subdomain": "acme", "interval": "0 6 * * *", "credentials": CREDENTIALS}
    reply = control.http("POST", "/api/organizations", json={**document, "integrations": [integration]})
    assert reply.status_code == 201
    added = msgspec.json.decode(reply.content, type=wire.OrganizationDocument)
    assert (added.name, added.timezone, added.tags) == ("Acme Ltd", "Europe/Berlin", ["eu"])
    (part,) = added.integrations
    assert (part.base_url, part.interval, part.timezone) == ("https://acme.zendesk.com", "0 6 * * *", "Europe/Berlin")
    assert part.credential == wire.CredentialStatus(kind="api_token", expires_at=None)
    wait_for(lambda: control.client().sync_status_one("acme").last_status == "success")
    assert control.audit()[0] == ("add_organization", "acme", "", 201)


def test_one_without_credentials_waits_for_them(control: Control) -> None:
    control.add("acme", credentials=None, isActive=True)
    assert control.client().sync_status_one("acme").credential is None
    with pytest.raises(ApiError) as caught:
        control.client().trigger("acme")
    assert (caught.value.status, "credentials set acme" in caught.value.hint) == (409, True)


def test_one_that_is_there_is_a_conflict(control: Control) -> None:
    control.add()
    reply = control.http("POST", "/api/organizations", json=spec("acme"))
    assert (reply.status_code, reply.json()["code"]) == (409, "conflict")


def test_everything_that_is_wrong_is_listed_and_nothing_is_added(control: Control) -> None:
    bad = {"id": "Acme", "timezone": "Mars", "integrations": [{"subdomain": "acme", "interval": "x", "colour": 1}, {}]}
    reply = control.http("POST", "/api/organizations", json=bad)
    assert reply.status_code == 422
    assert [item["path"] for item in reply.json()["problems"]] == ["timezone", "id", "integrations[0]"]
    assert all(item["hint"] for item in reply.json()["problems"])
    assert control.client().organizations().items == []


# --- import and export ------------------------------------------------------------------------------------------------


def test_an_import_is_all_or_nothing(control: Control) -> None:
    control.add("acme")
    reply = control.http(
        "POST", "/api/organizations/import", content=file_of(spec("globex"), spec("initech", interval="x"))
    )
    assert reply.status_code == 422
    assert reply.json()["problems"][0]["path"] == "organizations[1].integrations[0].interval"
    assert [org.id for org in control.client().organizations().items] == ["acme"]


def test_a_dry_run_of_an_import_says_what_it_would_do_and_does_nothing(control: Control) -> None:
    control.add("acme")
    result = control.client().import_organizations(
        file_of(spec("acme", interval="@daily"), spec("globex")), update=True, dry_run=True
    )
    assert (result.dry_run, result.added, result.updated, result.unchanged) == (True, ["globex"], ["acme"], [])
    assert [org.id for org in control.client().organizations().items] == ["acme"]
    assert control.client().sync_config_one("acme").interval == YEARLY
    assert control.audit()[0] == ("import_organizations", "fleet", "1 added, 1 updated (dry run)", 200)


def test_an_import_adds_and_leaves_alone_and_with_update_changes(control: Control) -> None:
    control.add("acme")
    client = control.client()
    document = file_of(spec("acme", interval="@daily"), spec("globex", credentials=CREDENTIALS, isActive=True))
    result = client.import_organizations(document)
    assert (result.added, result.updated, result.unchanged) == (["globex"], [], ["acme"])
    wait_for(lambda: client.sync_status_one("globex").last_status == "success")
    assert client.sync_config_one("acme").interval == YEARLY
    result = client.import_organizations(file_of(spec("acme", interval="@daily")), update=True)
    assert result.updated == ["acme"]
    assert client.sync_config_one("acme").interval == "@daily", "the schedule follows without a restart"
    assert client.import_organizations(file_of(spec("acme", interval="@daily")), update=True).unchanged == ["acme"]


def test_what_is_exported_can_be_imported_elsewhere_and_holds_no_secret(control: Control) -> None:
    control.add("acme", timezone="UTC", interval="@daily")
    control.add("globex")
    client = control.client()
    exported = control.http("GET", "/api/organizations/export").content
    assert TOKEN.encode() not in exported
    assert b"credential" not in exported
    assert client.import_organizations(exported, update=True).unchanged == ["acme", "globex"]
    before = client.organizations().items
    client.remove_organization("acme")
    client.remove_organization("globex")
    assert client.import_organizations(exported).added == ["acme", "globex"]
    after = client.organizations().items
    assert [(org.id, org.integrations[0].interval, org.integrations[0].timezone) for org in after] == [
        (org.id, org.integrations[0].interval, org.integrations[0].timezone) for org in before
    ]


def test_a_bare_list_of_organisations_is_a_file_too(control: Control) -> None:
    assert control.client().import_organizations(json.dumps([spec("acme")]).encode()).added == ["acme"]


def test_a_file_that_is_not_json_is_refused_with_the_place(control: Control) -> None:
    with pytest.raises(ApiError) as caught:
        control.client().import_organizations(b'{"organizations": [\n  {"id": "acme"},\n  oops]}')
    assert (caught.value.status, caught.value.problem.code) == (400, "malformed_json")
    assert "line 3, column 3" in caught.value.detail


def test_five_hundred_organisations_come_in_one_file(control: Control) -> None:
    result = control.client().import_organizations(file_of(*(spec(f"org-{number}") for number in range(500))))
    assert len(result.added) == 500
    assert control.client().status().integrations == 500
    assert len(control.client().sync_status().items) == 500


def test_what_is_stored_but_not_scheduled_is_told_after_all_were_tried(
    control: Control, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    adopt, tried = control.jobs.adopt, []

    def locked_once(number: int, *, at_once: bool = True) -> None:
        tried.append(number)
        if len(tried) == 1:
            raise StorageError("Another program keeps the database locked.", hint="End it.")
        adopt(number, at_once=at_once)

    monkeypatch.setattr(control.jobs, "adopt", locked_once)
    with pytest.raises(ApiError) as caught:
        control.client().import_organizations(file_of(spec("acme"), spec("globex")))
    assert (caught.value.status, caught.value.problem.code) == (503, "storage_error")
    assert control.client().sync_status_one("globex").state == "stopped"
    assert "stored but not scheduled" in capsys.readouterr().out


# --- change and remove ------------------------------------------------------------------------------------------------


def test_a_change_is_seen_at_once(control: Control) -> None:
    control.add(credentials=None, isActive=True)
    changed = control.client().set_organization(
        "acme",
        name="Acme AG",
        timezone="Europe/Berlin",
        tags=["ch"],
        integrations={"zendesk": wire.IntegrationPatch(base_url="https://help.acme.example", lookback="all")},
    )
    assert (changed.name, changed.timezone, changed.tags) == ("Acme AG", "Europe/Berlin", ["ch"])
    (part,) = changed.integrations
    assert (part.base_url, part.timezone, part.lookback) == ("https://help.acme.example", "Europe/Berlin", "all")
    assert control.client().sync_status_one("acme").organization_name == "Acme AG"


@pytest.mark.parametrize("by_import", [False, True])
def test_a_change_does_not_undo_what_was_asked_meanwhile(
    control: Control, monkeypatch: pytest.MonkeyPatch, by_import: bool
) -> None:
    control.add(credentials=None, isActive=True)
    merge, others = fleet.merge, []

    def slowly(*given: object) -> object:
        def stop_and_reschedule() -> None:
            control.jobs.set_interval("acme", "zendesk", "ana", "@daily")
            control.jobs.stop("acme", "zendesk", "ana")

        others.append(threading.Thread(target=stop_and_reschedule))
        others[0].start()
        others[0].join(0.3)  # over, where it need not wait for its turn
        return merge(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(fleet, "merge", slowly)
    if by_import:
        document = {"id": "acme", "integrations": [{"lookback": "30d"}]}
        assert control.client().import_organizations(file_of(document), update=True).updated == ["acme"]
    else:
        control.client().set_organization("acme", integrations={"zendesk": wire.IntegrationPatch(lookback="30d")})
    others[0].join(10)
    (part,) = control.client().organization("acme").integrations
    assert (part.is_active, part.interval, part.lookback) == (False, "@daily", "30d")


def test_another_account_is_refused_once_something_was_read(control: Control) -> None:
    control.fill()
    patch = {"integrations": {"zendesk": {"baseUrl": "https://globex.zendesk.com"}}}
    reply = control.http("PATCH", "/api/organizations/acme", json=patch)
    assert (reply.status_code, reply.json()["field"]) == (422, "integrations.zendesk.baseUrl")
    assert "acme holds what was read from https://acme.zendesk.com" in reply.json()["detail"]
    for dry_run in (True, False):
        document = file_of(spec("globex"), spec("acme", subdomain="globex"))
        with pytest.raises(ApiError, match="records of another account"):
            control.client().import_organizations(document, update=True, dry_run=dry_run)
    assert control.client().organization("acme").integrations[0].base_url == "https://acme.zendesk.com"


def test_a_new_name_alone_is_seen_in_the_status_too(control: Control) -> None:
    control.add()
    control.client().set_organization("acme", name="Acme AG")
    assert control.client().sync_status_one("acme").organization_name == "Acme AG"


def test_a_new_name_does_not_unblock(control: Control) -> None:
    control.script([CredentialError("Zendesk rejected the token.")])
    control.add(isActive=True)
    wait_for(lambda: control.client().sync_status_one("acme").state == "blocked")
    control.client().set_organization("acme", name="Acme AG")
    assert control.client().sync_status_one("acme").state == "blocked"
    assert len(control.connector.opened) == 1


def test_a_change_that_is_wrong_changes_nothing(control: Control) -> None:
    control.add()
    with pytest.raises(ApiError) as caught:
        control.client().set_organization("acme", name="Other", timezone="Mars")
    assert (caught.value.status, caught.value.problem.field) == (422, "timezone")
    assert control.client().organization("acme").name == "acme"
    reply = control.http("PATCH", "/api/organizations/acme", json={"interval": "@daily"})
    assert (reply.status_code, reply.json()["field"]) == (422, "interval")


def test_a_removed_one_is_gone_with_everything(control: Control) -> None:
    gate = control.hold()
    control.add()
    control.add("globex", credentials=None)
    client = control.client()
    client.trigger("acme")
    wait_for(lambda: (run := client.sync_status_one("acme").run) and run.pages == 1)
    threading.Timer(0.2, gate.set).start()  # the run is in the middle of a page when it is asked to end
    removed = client.remove_organization("acme")
    assert (removed.id, len(removed.integrations)) == ("acme", 1)
    for call in (client.organization, client.sync_status_one, client.runs, client.tickets, client.remove_organization):
        with pytest.raises(ApiError) as caught:
            call("acme")
        assert caught.value.status == 404
    assert client.records().items == []
    assert [org.id for org in client.organizations().items] == ["globex"]
    assert control.audit()[1][:2] == ("remove_organization", "acme")


def test_one_whose_run_does_not_end_is_not_removed(control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_module, "FORGET_WITHIN_S", 0.2)
    gate = control.hold()
    control.add()
    control.client().trigger("acme")
    wait_for(lambda: control.connector.opened)
    wait_for(lambda: (run := control.client().sync_status_one("acme").run) and run.pages == 1)
    with pytest.raises(ApiError) as caught:
        control.client().remove_organization("acme")
    assert caught.value.status == 409
    gate.set()
    wait_for(lambda: control.client().sync_status_one("acme").run is None)
    assert control.client().trigger("acme").run_id > 1, "it is still in the fleet"


def test_one_that_the_disk_does_not_let_go_is_still_in_the_fleet(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    control.add()

    def full(_: str) -> None:
        raise StorageError("The disk is full.")

    monkeypatch.setattr(control.store.fleet, "remove_organization", full)
    with pytest.raises(ApiError) as caught:
        control.client().remove_organization("acme")
    assert (caught.value.status, caught.value.problem.code) == (503, "storage_error")
    assert control.client().sync_status_one("acme").state == "stopped"


# --- credentials ------------------------------------------------------------------------------------------------------


def test_new_credentials_unblock_and_are_due_at_once(control: Control) -> None:
    control.script([CredentialError("Zendesk rejected the token.")], [page(1, end=True)])
    control.add(isActive=True)
    client = control.client()
    wait_for(lambda: client.sync_status_one("acme").state == "blocked")
    result = client.set_credentials("acme", json.dumps(CREDENTIALS).encode())
    assert (result.kind, result.expires_at, result.organization_id) == ("api_token", None, "acme")
    assert result.state in {"queued", "running", "idle"}
    wait_for(lambda: client.sync_status_one("acme").last_status == "success")
    assert control.audit()[0] == ("set_credentials", "acme/zendesk", "api_token", 200)


def test_credentials_are_sealed_in_the_database(control: Control) -> None:
    control.add(credentials=None)
    control.client().set_credentials("acme", json.dumps(CREDENTIALS).encode())
    one = control.store.fleet.integration("acme", "zendesk")
    sealed = control.store.fleet.credential(one.id)
    assert sealed is not None
    stored = control.vault.unseal("acme", "zendesk", sealed.ciphertext)
    assert stored.credential == ApiToken(email="ana@example.com", token=Secret(TOKEN))


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"kind": "password", "password": "hunter22"}', b'"hunter22"'])
def test_bad_credentials_are_refused_without_showing_them(control: Control, body: bytes) -> None:
    control.add()
    reply = control.http("PUT", "/api/organizations/acme/credentials/zendesk", content=body)
    assert reply.status_code == 422
    assert reply.json()["field"].startswith("credentials")
    assert "hunter22" not in reply.text


def test_credentials_of_what_is_not_there(control: Control) -> None:
    control.add()
    body = json.dumps(CREDENTIALS).encode()
    for path in ("acmee/credentials/zendesk", "acme/credentials/jira"):
        assert control.http("PUT", f"/api/organizations/{path}", content=body).status_code == 404


def test_a_check_says_who_the_credentials_are(control: Control) -> None:
    control.add()
    result = control.client().check_credentials("acme")
    assert result.ok
    (item,) = result.items
    assert (item.system_type, item.user, item.role, item.detail) == ("zendesk", "Ana", "admin", "Ana (admin) on acme")
    assert control.audit()[0] == ("check_credentials", "acme", "zendesk: ok", 200)
    assert control.client().runs("acme").items == []


def test_a_check_that_fails_is_an_answer_with_the_reason(control: Control) -> None:
    control.script([NetworkError("acme.zendesk.com has no address.", hint="Check the subdomain.")])
    control.add()
    result = control.client().check_credentials("acme", "zendesk")
    assert not result.ok
    assert (result.items[0].code, result.items[0].hint) == ("network_error", "Check the subdomain.")
    assert control.audit()[0][2] == "zendesk: network_error"


def test_there_is_nothing_to_check_without_a_system(control: Control) -> None:
    control.http("POST", "/api/organizations", json={"id": "bare"})
    with pytest.raises(ApiError) as caught:
        control.client().check_credentials("bare")
    assert caught.value.status == 404


def test_no_secret_is_in_any_answer_event_log_or_audit_line(
    control: Control, capsys: pytest.CaptureFixture[str], short_dir: Path
) -> None:
    events = control.client().events()
    next(events)
    control.add(isActive=True)
    client = control.client()
    wait_for(lambda: client.sync_status_one("acme").last_status == "success")
    client.set_credentials("acme", json.dumps(CREDENTIALS).encode())
    broken = json.dumps(spec("globex", credentials={**CREDENTIALS, "kind": "apitoken"})).encode()
    answers = [control.http("POST", "/api/organizations", content=broken).text]
    answers += [control.http("POST", "/api/organizations", content=broken[:-1] + b",").text]
    answers += [
        control.http("GET", path).text
        for path in ("/api/zendesk/sync-status", "/api/organizations", "/api/organizations/export", "/api/sync-logs")
    ]
    control.broker.publish("daemon", message="the last one")
    seen = []
    for event in events:
        seen.append(msgspec.json.encode(event).decode())
        if event.message == "the last one":
            break
    events.close()
    control.database.close()
    stored = (short_dir / "zendeskd.db").read_bytes()
    captured = capsys.readouterr()
    for where in (*answers, *seen, captured.out, captured.err, str(control.audit) + stored.decode("latin-1")):
        assert TOKEN not in where
