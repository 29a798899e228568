"""Organisations and their credentials on the command line. Secrets come by file or standard input, and never show."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures import mockup
from tests.fixtures.commandline import Zendeskctl, place
from tests.fixtures.scripted import ScriptedDaemon
from zendeskd import wire

SECRET = "sup3r-secret-token"
OBJECT = b'{"kind":"api_token","email":"ana@example.com","token":"sup3r-secret-token"}\n'

BOM = b"\xef\xbb\xbf"

SHOWN = """\
org         wayne, Wayne
time zone   America/New_York
tags        vip
added       Sat 24 Oct 14:24 UTC
zendesk     https://wayne.zendesk.com
  schedule  */15 * * * * (America/New_York), active
  next run  14:37:00 UTC
  reads     export, from 7d back at first
  login     api_token
"""


# --- organisations ----------------------------------------------------------------------------------------------------


def test_add_sends_what_was_given_and_no_more(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("add_organization", mockup.organization())
    done = zendeskctl("org", "add", "wayne", "--subdomain", "wayne", typed=b"not read")
    assert done.code == 0
    assert done.out == "wayne: added\n" + SHOWN
    assert f"zendeskctl --socket {scripted.path} credentials set wayne" in done.err
    assert scripted.asked[0].body == {
        "id": "wayne",
        "tags": [],
        "integrations": [{"systemType": "zendesk", "subdomain": "wayne", "isActive": True}],
    }


def test_add_takes_everything_at_once(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    scripted.answer("add_organization", mockup.organization())
    words = (
        "--base-url http://127.0.0.1:1/x --interval @hourly --timezone UTC --lookback all --strategy list --inactive"
    )
    tags = ["--tag", "vip", "--tag", "emea", "--name", "Wayne Ltd", "--credentials", "-"]
    done = zendeskctl("org", "add", "wayne", *words.split(), *tags, typed=OBJECT)
    assert done.code == 0
    assert scripted.asked[0].body == {
        "id": "wayne",
        "name": "Wayne Ltd",
        "timezone": "UTC",
        "tags": ["vip", "emea"],
        "integrations": [
            {
                "systemType": "zendesk",
                "baseUrl": "http://127.0.0.1:1/x",
                "interval": "@hourly",
                "lookback": "all",
                "strategy": "list",
                "isActive": False,
                "credentials": {"kind": "api_token", "email": "ana@example.com", "token": SECRET},
            }
        ],
    }
    assert SECRET not in done.out + done.err


def test_show_set_remove_list(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    document = mockup.organization(integrations=[wire.SyncConfig(**mockup.config(is_active=False, credential=None))])
    scripted.answer("organization", document)
    scripted.answer("set_organization", mockup.organization())
    scripted.answer("remove_organization", mockup.organization())
    items = [wire.OrganizationItem(**{k: getattr(document, k) for k in wire.OrganizationItem.__struct_fields__})]
    scripted.answer("organizations", wire.OrganizationList(items=items))
    out = zendeskctl("org", "show", "wayne").out
    assert "America/New_York), stopped\n" in out
    assert "login     no credentials yet\n" in out
    zendeskctl("org", "set", "wayne", "--no-tags", "--lookback", "30d", "--subdomain", "wayne2")
    assert scripted.asked[-1].body == {
        "tags": [],
        "integrations": {"zendesk": {"subdomain": "wayne2", "lookback": "30d"}},
    }
    assert "removed, with everything" in zendeskctl("org", "remove", "wayne", "--yes").out
    assert zendeskctl("org", "list", "--ids").out == "wayne\n"
    assert zendeskctl("org", "list").out.splitlines()[1].split() == [
        *("wayne", "zendesk", "*/15", "*", "*", "*", "*", "(stopped)", "America/New_York", "-", "vip", "Wayne"),
    ]


@pytest.mark.parametrize(("typed", "code"), [(b"wayne\n", 0), (b"y\n", 1), (b"\n", 1)])
def test_remove_wants_the_name_typed(scripted: ScriptedDaemon, zendeskctl: Zendeskctl, typed: bytes, code: int) -> None:
    scripted.answer("remove_organization", mockup.organization())
    assert zendeskctl("org", "remove", "wayne", terminal=True, typed=typed).code == code
    assert len(scripted.asked) == 1 - code


# --- import and export ------------------------------------------------------------------------------------------------


def test_import_says_what_it_did_or_would_do(scripted: ScriptedDaemon, zendeskctl: Zendeskctl, tmp_path: Path) -> None:
    file = place(tmp_path, "fleet.json", b'{"organizations":[{"id":"a"}]}')
    scripted.answer(
        "import_organizations",
        lambda asked: wire.ImportResult(dry_run=asked.body["dryRun"], added=["a", "b"], updated=["c"], unchanged=["d"]),
    )
    done = zendeskctl("org", "import", file, "--dry-run", "--update")
    assert done.out == "2 would be added: a, b\n1 would be updated: c\n1 unchanged: d\n"
    assert scripted.asked[-1].body == {"organizations": [{"id": "a"}], "update": True, "dryRun": True}
    done = zendeskctl("org", "import", file)
    assert done.out == "2 added: a, b\n1 updated: c\n1 unchanged: d\n"
    assert "--update changes them" in done.err


def test_import_takes_a_file_that_begins_with_a_byte_order_mark(
    scripted: ScriptedDaemon, zendeskctl: Zendeskctl, tmp_path: Path
) -> None:
    scripted.answer("import_organizations", wire.ImportResult(dry_run=False, added=["acme"], updated=[], unchanged=[]))
    file = place(tmp_path, "fleet.json", BOM + b'{"organizations": [{"id": "acme"}]}')
    assert zendeskctl("org", "import", file).code == 0
    assert scripted.asked[0].body["organizations"] == [{"id": "acme"}]


def test_import_names_file_and_place(scripted: ScriptedDaemon, zendeskctl: Zendeskctl, tmp_path: Path) -> None:
    items = [
        wire.ProblemItem(path="organizations[3].integrations[0].interval", detail="minute: 75 is not valid, 0-59"),
        wire.ProblemItem(path="organizations[4].id", detail="'X Y' cannot be an id", hint="small letters"),
    ]
    scripted.refuse("import_organizations", 422, "invalid_request", "2 things are wrong", problems=items)
    file = place(tmp_path, "fleet.json", b'{"organizations":[]}')
    done = zendeskctl("org", "import", file)
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        f"zendeskctl: {file}: organizations[3].integrations[0].interval: minute: 75 is not valid, 0-59\n"
        f"zendeskctl: {file}: organizations[4].id: 'X Y' cannot be an id\n"
        "  small letters\n"
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"organizations": [\n  {"id": "a",}\n]}', "fleet.json, line 2, column 14: no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"", "line 1, column 1: no JSON"),
    ],
)
def test_import_of_no_json_names_line_and_column(
    scripted: ScriptedDaemon, zendeskctl: Zendeskctl, tmp_path: Path, content: bytes, said: str
) -> None:
    done = zendeskctl("org", "import", place(tmp_path, "fleet.json", content))
    assert done.code == 2
    assert said in done.err
    assert scripted.asked == []


def test_import_of_a_file_that_is_not_there(zendeskctl: Zendeskctl, tmp_path: Path) -> None:
    done = zendeskctl("org", "import", str(tmp_path / "none.json"))
    assert done.code == 2
    assert "none.json: No such file or directory" in done.err


def test_export_is_a_file_that_import_takes(scripted: ScriptedDaemon, zendeskctl: Zendeskctl, tmp_path: Path) -> None:
    scripted.answer("export_organizations", wire.FleetExport(organizations=[{"id": "acme", "integrations": []}]))
    scripted.answer("import_organizations", wire.ImportResult(dry_run=False, added=[], updated=[], unchanged=["acme"]))
    file = tmp_path / "fleet.json"
    done = zendeskctl("org", "export", str(file))
    assert (done.code, done.out) == (0, "")
    assert "1 organisation written" in done.err
    assert file.read_text() == zendeskctl("org", "export").out
    assert zendeskctl("org", "import", str(file)).code == 0
    assert scripted.asked[-1].body["organizations"] == [{"id": "acme", "integrations": []}]
    assert zendeskctl("org", "export", str(tmp_path)).code == 2


# --- credentials ------------------------------------------------------------------------------------------------------


@pytest.fixture
def stored(scripted: ScriptedDaemon) -> ScriptedDaemon:
    scripted.answer(
        "set_credentials",
        wire.CredentialsSet(
            organization_id="acme",
            system_type="zendesk",
            kind="api_token",
            expires_at="2027-04-30T00:00:00.000Z",
            state="queued",
        ),
    )
    scripted.answer("sync_status", mockup.one(mockup.status("acme")))
    return scripted


@pytest.mark.parametrize(
    ("words", "typed", "body"),
    [
        ([], OBJECT, {"kind": "api_token", "email": "ana@example.com", "token": SECRET}),
        (["--file", "-"], OBJECT, {"kind": "api_token", "email": "ana@example.com", "token": SECRET}),
        ([], BOM + OBJECT, {"kind": "api_token", "email": "ana@example.com", "token": SECRET}),
        (["--kind", "bearer"], SECRET.encode() + b"\n", {"kind": "bearer", "token": SECRET}),
        (["--kind", "bearer"], BOM + SECRET.encode(), {"kind": "bearer", "token": SECRET}),
        (
            ["--kind", "api_token", "--email", "ana@example.com"],
            SECRET.encode() + b"\r\n",
            {"kind": "api_token", "email": "ana@example.com", "token": SECRET},
        ),
        (
            ["--kind", "oauth_client_credentials", "--client-id", "zd"],
            SECRET.encode(),
            {"kind": "oauth_client_credentials", "clientId": "zd", "clientSecret": SECRET},
        ),
    ],
)
def test_credentials_come_from_standard_input(
    stored: ScriptedDaemon, zendeskctl: Zendeskctl, words: list[str], typed: bytes, body: dict[str, str]
) -> None:
    done = zendeskctl("credentials", "set", "acme", *words, typed=typed)
    assert done.code == 0
    assert done.out == "acme: api_token stored, until Fri 30 Apr 2027 00:00 UTC, now queued\n"
    assert stored.asked[0].body == body
    assert stored.asked[0].path == "/api/organizations/acme/credentials/zendesk"
    assert SECRET not in done.out + done.err


def test_credentials_come_from_a_file(stored: ScriptedDaemon, zendeskctl: Zendeskctl, tmp_path: Path) -> None:
    file = place(tmp_path, "acme.json", OBJECT)
    assert zendeskctl("credentials", "set", "acme", "--file", file, terminal=True).code == 0
    assert stored.asked[0].body["token"] == SECRET


@pytest.mark.parametrize(
    ("words", "typed", "said"),
    [
        ([], b"", "standard input is empty"),
        ([], BOM, "standard input is empty"),
        ([], SECRET.encode(), "give --kind and its public parts"),
        (["--kind", "bearer"], OBJECT, "which says its kind itself"),
        (["--email", "a@b"], OBJECT, "which says its kind itself"),
        (["--kind", "api_token"], SECRET.encode(), "api_token wants --email"),
        (["--kind", "bearer", "--email", "a@b"], SECRET.encode(), "--email does not go with bearer"),
        (["--kind", "oauth_refresh_token", "--client-id", "x"], SECRET.encode(), "two secrets"),
        (["--kind", "bearer"], f"{SECRET} {SECRET}".encode(), "blanks or line breaks"),
        (["--kind", "bearer"], f"{SECRET}\n{SECRET}".encode(), "blanks or line breaks"),
        (["--kind", "bearer"], f"{SECRET}\xff".encode("latin-1"), "not text"),
        ([], b'{"kind":"bearer","token":"sup3r-secret-token"', "begins with { but cannot be read"),
        ([], SECRET.encode() * 5000, "larger than 64 KiB"),
        (["--file", "/nowhere/x"], b"", "cannot read /nowhere/x"),
        (["--file", "a\0b"], b"", "cannot read a"),
        (["--file", OBJECT.decode()], b"", "the credentials themselves were given where a file belongs"),
    ],
)
def test_unusable_credentials_are_not_sent_and_not_shown(
    stored: ScriptedDaemon, zendeskctl: Zendeskctl, words: list[str], typed: bytes, said: str
) -> None:
    for more in ([], ["--json"]):
        done = zendeskctl("credentials", "set", "acme", *words, *more, typed=typed)
        assert done.code == 2
        assert said in done.err + done.out
        assert SECRET not in done.out + done.err
    assert stored.asked == []


def test_a_person_is_asked_for_the_public_parts(stored: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    done = zendeskctl("credentials", "set", "acme", terminal=True, typed=b"tokens\n")
    assert done.code == 2
    assert "Kinds of credentials: oauth_client_credentials" in done.err
    assert "that is no kind" in done.err


def test_5_nobody_types_secrets_for_an_organisation_that_is_not_there(
    scripted: ScriptedDaemon, zendeskctl: Zendeskctl
) -> None:
    scripted.refuse("sync_status", 404, "not_found", "no organisation 'acmee'", hint="did you mean acme?")
    done = zendeskctl("credentials", "set", "acmee", terminal=True, typed=b"bearer\n")
    assert done.code == 5
    assert done.err == "zendeskctl: no organisation 'acmee'\n  did you mean acme?\n"


def test_add_on_a_terminal_can_leave_the_credentials_for_later(
    scripted: ScriptedDaemon, zendeskctl: Zendeskctl
) -> None:
    scripted.answer("add_organization", mockup.organization())
    done = zendeskctl("org", "add", "wayne", "--subdomain", "wayne", terminal=True, typed=b"\n")
    assert done.code == 0
    assert "Kind (enter: later): " in done.err
    assert "credentials" not in scripted.asked[0].body["integrations"][0]


def test_check_tells_who_it_is_or_what_is_wrong(scripted: ScriptedDaemon, zendeskctl: Zendeskctl) -> None:
    fine = wire.CheckItem(
        organization_id="acme",
        system_type="zendesk",
        ok=True,
        user="Ana",
        role="admin",
        code=None,
        detail="may read tickets",
        hint="",
    )
    scripted.answer("check_credentials", wire.CheckResult(ok=True, items=[fine]))
    done = zendeskctl("credentials", "check", "acme")
    assert done.code == 0
    assert done.out.splitlines()[1].endswith("  may read tickets")
    assert "✓ ok" in done.out
    assert "Ana (admin)" in done.out
    bad = wire.CheckItem(
        organization_id="acme",
        system_type="zendesk",
        ok=False,
        user=None,
        role=None,
        code="credential_error",
        detail="HTTP 401",
        hint="make a new token",
    )
    scripted.answer("check_credentials", wire.CheckResult(ok=False, items=[bad]))
    done = zendeskctl("credentials", "check", "acme", "--system", "zendesk")
    assert (done.code, done.err) == (1, "make a new token\n")
    assert "✗ auth" in done.out
    assert scripted.asked[-1].query == {"system": "zendesk"}
