"""`--json` of every verb, in every state, against the schema that ships with the package."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

import zendeskd
from tests.fixtures import mockup
from tests.fixtures.commandline import Zendeskctl, carry_out, place
from tests.fixtures.scripted import ScriptedDaemon
from tests.fixtures.shapes import problems
from zendeskd import verbs, wire

SCHEMA = json.loads((Path(zendeskd.__file__).parent / "schema.json").read_text())


def check(document: Any, *shapes: str) -> None:
    """`document` is one of these shapes, and nothing else."""
    tries = [problems(document, {"$ref": f"#/$defs/{shape}"}, SCHEMA["$defs"]) for shape in shapes]
    assert [] in tries, min(tries, key=len)


def shapes_of(verb: str) -> list[str]:
    return [one["$ref"].removeprefix("#/$defs/") for one in SCHEMA["verbs"][verb]]


def script(daemon: ScriptedDaemon) -> None:
    """An answer for every operation."""
    item = mockup.status()
    accepted = wire.Accepted(run_id=8815, state="queued", joined=False)
    plan = wire.ResyncPlan(
        organization_id="acme",
        system_type="zendesk",
        since=None,
        records_stored=12003,
        api_calls_expected=13,
    )
    answers: dict[str, Any] = {
        "health": mockup.vital(),
        "status": mockup.daemon(),
        "sync_status": lambda asked: mockup.one(item) if asked.org else mockup.listing(),
        "trigger": accepted,
        "start": mockup.changed(action="start"),
        "stop": mockup.changed(action="stop"),
        "interval": mockup.changed(action="update-interval"),
        "cancel": mockup.changed(action="cancel", run_id=8815),
        "resync": lambda asked: plan if asked.body.get("dryRun") else accepted,
        "records": wire.RecordList(items=[mockup.record()], next="abc"),
        "record": mockup.record_document(),
        "links": wire.LinkList(items=[mockup.link()]),
        "link": wire.LinkList(items=[mockup.link()]),
        "unlink": wire.LinkList(items=[]),
        "runs": wire.RunList(items=[mockup.run()], next=None),
        "run": mockup.document(mockup.run(8815)),
        "logs": wire.LogList(items=[{"at": mockup.ago(), "event": "ready"}], next=None, complete=True, file="/x.log"),
        "events": mockup.hello(),
        "organizations": wire.OrganizationList(items=[plain_organization()]),
        "organization": mockup.organization(),
        "add_organization": mockup.organization(),
        "import_organizations": wire.ImportResult(dry_run=False, added=["a"], updated=[], unchanged=["b"]),
        "export_organizations": wire.FleetExport(organizations=[{"id": "acme", "integrations": []}]),
        "set_organization": mockup.organization(),
        "remove_organization": mockup.organization(),
        "set_credentials": wire.CredentialsSet(
            organization_id="acme", system_type="zendesk", kind="bearer", expires_at=None, state="idle"
        ),
        "check_credentials": wire.CheckResult(ok=True, items=[check_item()]),
        "preview_schedule": wire.Preview(interval="@daily", timezone="UTC", words="At 00:00", times=[]),
        "reconcile": wire.ReconcileAccepted(
            items=[
                wire.ReconcileItem(organization_id="wayne", system_type="zendesk", reconciliation_id=31, joined=False)
            ]
        ),
        "reconciliations": wire.ReconcileList(items=[mockup.reconciled()]),
        "backup": wire.BackupAccepted(path=mockup.BACKUP, started_at=mockup.backup().started_at, joined=False),
        "reload": wire.ReloadResult(changes=[wire.ReloadChange(key="workers", old="8", new="4", applied=False)]),
    }
    for name, answer in answers.items():
        daemon.answer(name, answer)


def plain_organization() -> wire.OrganizationItem:
    document = mockup.organization()
    return wire.OrganizationItem(**{name: getattr(document, name) for name in wire.OrganizationItem.__struct_fields__})


def check_item() -> wire.CheckItem:
    return wire.CheckItem(
        organization_id="acme",
        system_type="zendesk",
        ok=True,
        user="Ana",
        role="admin",
        code=None,
        detail="works",
        hint="",
    )


LINES: dict[str, list[list[str]]] = {
    "status": [["status"], ["status", "wayne"], ["status", "wayne", "globex"], ["status", "--failing"]],
    "explain": [["explain", "wayne"]],
    "trigger": [["trigger", "a"], ["trigger", "a", "b"], ["trigger", "--all"], ["trigger", "a", "--wait"]],
    "start": [["start", "a"], ["start", "--all"]],
    "stop": [["stop", "a"], ["stop", "a", "b", "--yes"]],
    "interval": [["interval", "a", "@hourly"], ["interval", "a", "b", "@hourly"]],
    "cancel": [["cancel", "a", "--yes"]],
    "resync": [["resync", "a", "--full", "--dry-run"], ["resync", "a", "--since", "7d", "--yes"]],
    "reconcile": [["reconcile"], ["reconcile", "wayne", "--wait"], ["reconcile", "--last"]],
    "runs": [["runs"]],
    "run": [["run", "8815"], ["run", "8815", "--log"]],
    "log": [["log"], ["log", "wayne", "--since", "1h"]],
    "records": [["records", "-q", "payment"]],
    "record": [["record", "8123"]],
    "link": [["link", "1"], ["link", "1", "jira/PAY-2231"], ["link", "1", "jira/PAY-2231", "--remove"]],
    "org add": [["org", "add", "a", "--subdomain", "a"]],
    "org show": [["org", "show", "a"]],
    "org set": [["org", "set", "a", "--name", "A"]],
    "org remove": [["org", "remove", "a", "--yes"]],
    "org list": [["org", "list"]],
    "org import": [["org", "import", "-"]],
    "org export": [["org", "export"]],
    "credentials set": [["credentials", "set", "a"]],
    "credentials check": [["credentials", "check", "a"]],
    "schedule": [["schedule", "@daily"]],
    "wait": [["wait", "wayne"]],
    "health": [["health"]],
    "backup": [["backup"]],
    "reload": [["reload"]],
    "version": [["version"]],
}
TYPED = {"org import": b'{"organizations":[]}', "credentials set": b'{"kind":"bearer","token":"x"}'}
FINE = {"health": 2}  # the fleet has a blocked organisation


@pytest.mark.parametrize(("verb", "words"), [(verb, words) for verb, lines in LINES.items() for words in lines])
def test_output_is_what_the_schema_says(
    scripted: ScriptedDaemon, zendeskctl: Zendeskctl, verb: str, words: list[str]
) -> None:
    script(scripted)
    done = zendeskctl(*words, "--json", typed=TYPED.get(verb, b""))
    assert done.code == FINE.get(verb, 0), done.err
    document = msgspec.json.decode(msgspec.json.encode(json.loads(done.out)))
    assert document["schema"] == 1
    check(document, *shapes_of(verb))


def test_every_verb_is_looked_at() -> None:
    assert set(LINES) == set(verbs.MODULES) - {"watch", "completion"}
    assert set(SCHEMA["verbs"]) == set(verbs.MODULES) - {"completion"}


@pytest.mark.parametrize("item", mockup.fleet(), ids=lambda item: item.health + "-" + item.organization_id)
def test_status_fits_in_every_state(scripted: ScriptedDaemon, zendeskctl: Zendeskctl, item: wire.SyncStatus) -> None:
    scripted.answer("sync_status", mockup.listing([item]))
    check(zendeskctl("status", "--json").document(), "SyncStatusList")


Refuse = Callable[[ScriptedDaemon], None]


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422, 500, 503])
def test_errors_fit(scripted: ScriptedDaemon, zendeskctl: Zendeskctl, status: int) -> None:
    scripted.refuse("trigger", status, "some_code", "No.", hint="Yes.", field="organizationId")
    check(zendeskctl("trigger", "acme", "--json").document(), "ErrorDocument")


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # httpcore leaves it when it cannot connect
@pytest.mark.parametrize("words", [["status"], ["health"], ["version"], ["nonsense"], ["start"]])
def test_without_a_daemon_the_output_fits_too(tmp_path: Path, words: list[str]) -> None:
    done = carry_out(*words, "--json", "--socket", str(tmp_path / "none"))
    check(done.document(), "ErrorDocument", "VersionDocument")
    assert done.code == {"status": 3, "health": 3, "version": 0}.get(words[0], 2)


def test_refusals_of_some_are_in_the_list(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    script(scripted)
    problem = wire.Problem(title="Conflict", status=409, code="conflict", detail="b is blocked")
    scripted.answer("trigger", wire.Accepted(run_id=1, state="queued", joined=False), problem)
    done = zendeskctl("trigger", "a", "b", "--json")
    assert done.code == 6
    check(done.document(), "CommandList")
    assert [item["error"] and item["error"]["code"] for item in done.document()["items"]] == [None, "conflict"]


def test_strings_that_a_terminal_acts_on_are_escaped(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("record", mockup.record_document(mockup.record(title=mockup.HOSTILE)))
    done = zendeskctl("record", "8123", "--json")
    assert done.document()["title"] == mockup.HOSTILE
    assert "\\u009b" in done.out
    assert not set(done.out) & set("\x1b\x07\x9b\u202e\x7f\x00")


def test_an_import_that_is_wrong_names_every_place(
    scripted: ScriptedDaemon, zendeskctl: Zendeskctl, tmp_path: Path
) -> None:
    items = [wire.ProblemItem(path="organizations[3].id", detail="bad"), wire.ProblemItem(path="x", detail="worse")]
    scripted.refuse("import_organizations", 422, "invalid_request", "2 things are wrong", problems=items)
    file = place(tmp_path, "fleet.json", b'{"organizations":[]}')
    done = zendeskctl("org", "import", file, "--json")
    assert done.code == 2
    check(done.document(), "ErrorDocument")
    assert [item["path"] for item in done.document()["error"]["problems"]] == ["organizations[3].id", "x"]


def test_the_validator_finds_what_is_wrong() -> None:
    shape = {"$ref": "#/$defs/Preview"}
    good = {"schema": 1, "interval": "", "timezone": "", "words": "", "times": []}
    assert problems(good, shape, SCHEMA["$defs"]) == []
    assert problems({**good, "words": 1}, shape, SCHEMA["$defs"]) == ["$.words: 1 is no string"]
    assert problems({**good, "times": [{}]}, shape, SCHEMA["$defs"])
    assert problems({"schema": 1}, shape, SCHEMA["$defs"])
