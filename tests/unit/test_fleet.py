"""What people write about organisations: everything wrong is found, with its path; nothing of it is guessed."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import hypothesis
import msgspec
import pytest
from hypothesis import strategies as st

from zendeskd import drafts, fleet, wire
from zendeskd.decoding import Malformed
from zendeskd.errors import BadRequest
from zendeskd.models import AnyCredential, ApiToken, Secret
from zendeskd.store.fleet import NewIntegration, NewOrganization, SealedCredential

DEFAULTS = fleet.Defaults("America/New_York", "*/15 * * * *", "7d")


def parse(raw: bytes) -> AnyCredential:
    given = msgspec.json.decode(raw)
    if not isinstance(given, dict) or given.get("kind") != "api_token":
        raise BadRequest("kind is not known", hint="api_token", field="credentials.kind")
    return ApiToken(email="a@b", token=Secret("x"))


def seal(org: str, system: str, credential: AnyCredential) -> SealedCredential:
    return SealedCredential(kind="api_token", ciphertext=f"{org}/{system}")


def organization(**document: object) -> drafts.OrganizationDraft:
    return drafts.read_organization(json.dumps(document).encode(), parse)


def problems(**document: object) -> dict[str, str]:
    with pytest.raises(drafts.Invalid) as caught:
        fleet.complete(organization(**document), DEFAULTS, seal)
    return {item.path: item.detail for item in caught.value.problems}


def imported(*organizations: object, **more: object) -> drafts.ImportDraft:
    return drafts.read_import(json.dumps({"organizations": organizations, **more}).encode(), parse)


def here(**integration: object) -> NewOrganization:
    known = {
        "system_type": "zendesk",
        "base_url": "https://acme.zendesk.com",
        "strategy": "export",
        "is_active": True,
        "sync_interval": "*/15 * * * *",
        "timezone": "America/New_York",
        "lookback": "7d",
    }
    part = NewIntegration(**{**known, **integration})  # type: ignore[arg-type]
    return NewOrganization(id="acme", name="Acme", timezone="America/New_York", tags=("eu",), integrations=(part,))


# --- a new organisation -----------------------------------------------------------------------------------------------


def test_the_defaults_fill_what_is_left_out() -> None:
    new = fleet.complete(organization(id="acme", integrations=[{"subdomain": "acme"}]), DEFAULTS, seal)
    (part,) = new.integrations
    assert (new.name, new.timezone, new.tags) == ("acme", "America/New_York", ())
    assert part.base_url == "https://acme.zendesk.com"
    assert (part.sync_interval, part.timezone, part.lookback) == ("*/15 * * * *", "America/New_York", "7d")
    assert (part.strategy, part.is_active, part.credential) == ("export", True, None)


def test_an_integration_takes_the_zone_of_its_organisation() -> None:
    draft = organization(id="acme", timezone="Europe/Berlin", integrations=[{"subdomain": "acme"}])
    assert fleet.complete(draft, DEFAULTS, seal).integrations[0].timezone == "Europe/Berlin"


def test_credentials_are_sealed_for_their_organisation_and_system() -> None:
    spec = {"subdomain": "acme", "credentials": {"kind": "api_token"}}
    new = fleet.complete(organization(id="acme", integrations=[spec]), DEFAULTS, seal)
    assert new.integrations[0].credential == SealedCredential(kind="api_token", ciphertext="acme/zendesk")


def test_everything_that_is_wrong_is_listed_with_its_path() -> None:
    found = problems(
        id="Acme Ltd",
        timezone="Mars/Olympus",
        tags=["ok", "with\nnewline"],
        integrations=[
            {
                "systemType": "zendesc",
                "subdomain": "acme",
                "interval": "75 * * * *",
                "lookback": "7 days",
                "credentials": {"kind": "password"},
            },
            {"subdomain": "acme", "baseUrl": "https://acme.zendesk.com", "timezone": "nowhere", "strategy": "all"},
        ],
    )
    assert set(found) == {
        "id",
        "timezone",
        "tags[1]",
        "integrations[0].systemType",
        "integrations[0].interval",
        "integrations[0].lookback",
        "integrations[0].credentials.kind",
        "integrations[1].baseUrl",
        "integrations[1].timezone",
        "integrations[1].strategy",
    }
    assert found["integrations[0].interval"].startswith("minute: 75 is not valid")


def test_several_problems_say_how_many_and_show_the_first() -> None:
    with pytest.raises(drafts.Invalid) as caught:
        organization(id="A", timezone="Mars")
    assert caught.value.detail.startswith("2 things are wrong. The first, at timezone")
    assert caught.value.field == "timezone"


def test_an_unknown_key_names_its_nearest_neighbour_and_the_others_are_checked_too() -> None:
    with pytest.raises(drafts.Invalid) as caught:
        organization(id="acme", integrations=[{"subDomain": "acme"}, {"subdomain": "acme", "lookback": "x"}])
    first, second = caught.value.problems
    assert (first.path, first.hint) == ("integrations[0]", "did you mean 'subdomain'?")
    assert second.path == "integrations[1].lookback"


@pytest.mark.parametrize("name", ["", "Acme", "-acme", "a" * 64, "ac_me", "import", "export", "ac/me", "acmé", "a\n"])
def test_an_id_is_a_slug(name: str) -> None:
    assert "id" in problems(id=name)


def test_a_name_is_turned_into_an_id_for_the_hint() -> None:
    with pytest.raises(drafts.Invalid) as caught:
        organization(id="Acme Ltd.")
    assert "for example acme-ltd" in caught.value.hint


def test_a_system_is_given_once() -> None:
    found = problems(id="acme", integrations=[{"subdomain": "a"}, {"subdomain": "b"}])
    assert found == {"integrations[1].systemType": "zendesk is given twice"}


def test_an_integration_says_where_its_account_is() -> None:
    assert "subdomain or baseUrl is missing" in problems(id="acme", integrations=[{}])["integrations[0].subdomain"]


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b'{"id": "acme",', "line 1"),
        (b'{"id":\n "acme",\n oops}', "line 3, column 2"),
        (b"\xff", ""),
        (b"[" * 9999, ""),
    ],
)
def test_what_is_not_json_is_told_with_its_place(body: bytes, place: str) -> None:
    with pytest.raises(Malformed) as caught:
        drafts.read_organization(body, parse)
    assert place in caught.value.detail


@pytest.mark.parametrize("body", [b"", b"  ", b"null", b"[]", b'"acme"', b"5", b'{"id": 5}', b'{"name": "x"}'])
def test_other_json_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        drafts.read_organization(body, parse)


# --- addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("https://acme.zendesk.com", "https://acme.zendesk.com"),
        ("https://ACME.zendesk.com/", "https://acme.zendesk.com"),
        ("https://support.example.com:8443/base/", "https://support.example.com:8443/base"),
        ("http://127.0.0.1:8080/accounts/acme", "http://127.0.0.1:8080/accounts/acme"),
        ("http://localhost:80", "http://localhost:80"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("https://acme.zendesk.com:", "https://acme.zendesk.com"),
        ("https://proxy.example.com/a.b/c_d~e-1/", "https://proxy.example.com/a.b/c_d~e-1"),
        ("https://xn--acm-fla.example.com", "https://xn--acm-fla.example.com"),
    ],
)
def test_base_urls(given: str, url: str) -> None:
    assert drafts.parse_base_url(given) == url


@pytest.mark.parametrize(
    "given",
    [
        "",
        "acme.zendesk.com",
        "ftp://acme.zendesk.com",
        "http://acme.zendesk.com",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://2130706433",
        "https://",
        "https:///path",
        "https://user@acme.zendesk.com",
        "https://user:secret@acme.zendesk.com",
        "https://acme.zendesk.com?x=1",
        "https://acme.zendesk.com?",
        "https://acme.zendesk.com#top",
        "https://acme.zendesk.com:99999",
        "https://acme.zendesk.com:port",
        "https://ac me.zendesk.com",
        "https://acme\n.zendesk.com",
        "https://acme\\@evil.example.com",
        "https://acmé.zendesk.com",
        "https://-acme.zendesk.com",
        "https://[::1",
        "https://" + "a" * 600,
        "https://acme..zendesk.com",
        "https://acme.zendesk.com.",
        "https://acme.zendesk.com/../x",
        "https://acme.zendesk.com/a/%2e%2E/x",
        "https://acme.zendesk.com/%0d%0aX",
        "https://acme.zendesk.com//x",
        "https://acme.zendesk.com/x;y",
        "https://acme.zendesk.com:0",
        "https://" + "a" * 64 + ".zendesk.com",
        "https://acme.zendesk.com%2f@evil.test",
        "https:acme.zendesk.com",
        "https:/acme.zendesk.com",
        "https:///acme.zendesk.com",
        "//acme.zendesk.com",
        "http://0.0.0.0",
        "http://127.1",
        "http://0x7f000001",
        "http://localhost.",
        "http://localhost@evil.test",
        "http://[::ffff:10.0.0.1]",
        "http://10.0.0.1",
    ],
)
def test_what_credentials_must_not_be_sent_to(given: str) -> None:
    with pytest.raises(BadRequest) as caught:
        drafts.parse_base_url(given)
    assert caught.value.field == "baseUrl"
    assert "secret" not in caught.value.detail


@pytest.mark.parametrize(("given", "hint"), [("acme.zendesk.com", "acme"), ("https://acme.zendesk.com/agent", "acme")])
def test_a_subdomain_is_its_first_part_alone(given: str, hint: str) -> None:
    with pytest.raises(BadRequest) as caught:
        drafts.subdomain_url(given)
    assert caught.value.hint.endswith(f": {hint}")


ODD = ["acme:8443", "acme@evil", "@", "acme#", "acme?", "acme\\", "acme%2eevil", "acme\x00", "acme\nx", "[::1]", "."]
FOREIGN = [
    "acm\u00e9",
    "\u0430cme",
    "acme\u3002evil",
    "acme\uff0eevil",
    "\u2488",
    "acme\u2044",
    "acme\u200b",
    "\u212a1",
]
PATHS = ["acme/../x", "../acme", "acme.evil", "acme.zendesk.com.evil.test"]


@pytest.mark.parametrize("given", ["", "-acme", "acme-", "ac me", "ac_me", "a" * 64, *ODD, *FOREIGN, *PATHS])
def test_bad_subdomains(given: str) -> None:
    with pytest.raises(BadRequest):
        drafts.subdomain_url(given)


@hypothesis.given(st.text(max_size=70) | st.text("aA1-._/@:\u212a", max_size=70))
def test_a_subdomain_is_refused_or_one_label_of_zendesk(given: str) -> None:
    try:
        url = drafts.subdomain_url(given)
    except BadRequest:
        return
    host = urlsplit(url).hostname or ""
    assert url == f"https://{host}"
    assert host.isascii()
    assert host.split(".")[1:] == ["zendesk", "com"]
    assert len(host.split(".")[0]) <= 63


@pytest.mark.parametrize("given", ["ana:hunter22@acme", "https://ana:hunter22@acme.zendesk.com/agent", "hunter22@"])
def test_a_password_in_a_subdomain_is_not_repeated(given: str) -> None:
    with pytest.raises(BadRequest) as caught:
        drafts.subdomain_url(given)
    assert "hunter22" not in caught.value.detail + caught.value.hint


# --- imports ----------------------------------------------------------------------------------------------------------


def test_an_import_adds_what_is_new_and_leaves_alone_what_is_there() -> None:
    draft = imported({"id": "acme", "name": "Other"}, {"id": "globex", "integrations": [{"subdomain": "globex"}]})
    plan = fleet.plan(draft, [here()], DEFAULTS, seal)
    assert ([one.id for one in plan.add], plan.update, plan.unchanged) == (["globex"], (), ("acme",))


def test_an_import_with_update_changes_what_differs() -> None:
    draft = imported({"id": "acme", "integrations": [{"interval": "@hourly"}]}, update=True)
    plan = fleet.plan(draft, [here(is_active=False)], DEFAULTS, seal)
    (updated,) = plan.update
    assert (updated.name, updated.tags) == ("Acme", ("eu",))
    assert updated.integrations[0].sync_interval == "@hourly"
    assert updated.integrations[0].is_active is False, "what the file does not say stays"


def test_an_import_of_the_export_changes_nothing() -> None:
    fleet_here = [
        here(timezone="Europe/Berlin", lookback="all"),
        NewOrganization(id="bare", name="Bare", timezone="UTC"),
    ]
    document = msgspec.json.encode(wire.FleetExport(organizations=fleet.export(fleet_here)))
    draft = drafts.read_import(document, parse)
    plan = fleet.plan(drafts.ImportDraft(draft.organizations, True, False), fleet_here, DEFAULTS, seal)
    assert plan == fleet.Plan((), (), ("acme", "bare"))


def test_an_export_into_an_empty_fleet_gives_the_same_fleet() -> None:
    fleet_here = [here(timezone="Europe/Berlin", is_active=False, strategy="list")]
    document = msgspec.json.encode(wire.FleetExport(organizations=fleet.export(fleet_here)))
    plan = fleet.plan(drafts.read_import(document, parse), [], fleet.Defaults("UTC", "@daily", "all"), seal)
    assert list(plan.add) == fleet_here


def test_new_credentials_are_always_a_change() -> None:
    draft = imported({"id": "acme", "integrations": [{"credentials": {"kind": "api_token"}}]}, update=True)
    (updated,) = fleet.plan(draft, [here()], DEFAULTS, seal).update
    assert updated.integrations[0].credential is not None


def test_all_organisations_of_a_file_are_checked() -> None:
    with pytest.raises(drafts.Invalid) as caught:
        imported({"id": "a", "oops": 1}, {"id": "b"}, {"id": "b"}, {"id": "c", "timezone": "x"}, 7)
    assert [item.path for item in caught.value.problems] == [
        "organizations[0]",
        "organizations[2].id",
        "organizations[3].timezone",
        "organizations[4]",
    ]


def test_what_only_shows_against_the_fleet_is_listed_too() -> None:
    draft = imported({"id": "a", "integrations": [{}]}, {"id": "b", "integrations": [{}]})
    with pytest.raises(drafts.Invalid) as caught:
        fleet.plan(draft, [], DEFAULTS, seal)
    assert [item.path for item in caught.value.problems] == [
        "organizations[0].integrations[0].subdomain",
        "organizations[1].integrations[0].subdomain",
    ]


def test_a_file_of_a_later_schema_is_refused() -> None:
    with pytest.raises(BadRequest, match="schema 1"):
        imported(schema=2)


# --- changes ----------------------------------------------------------------------------------------------------------


def patched(before: NewOrganization, **document: object) -> NewOrganization | None:
    return fleet.merge(drafts.read_patch("acme", json.dumps(document).encode()), before, DEFAULTS, seal)


def test_an_empty_change_changes_nothing() -> None:
    assert patched(here()) is None
    assert patched(here(), name="Acme", tags=["eu"], integrations={"zendesk": {"lookback": "7D"}}) is None


def test_a_new_zone_takes_those_integrations_along_that_had_the_old_one() -> None:
    after = patched(here(), timezone="Europe/Berlin")
    assert after is not None
    assert after.integrations[0].timezone == "Europe/Berlin"
    after = patched(here(timezone="UTC"), timezone="Europe/Berlin")
    assert after is not None
    assert after.integrations == (), "it had a zone of its own"


def moved(base_url: str, **integration: object) -> NewOrganization | None:
    patch = drafts.read_patch("acme", json.dumps({"integrations": {"zendesk": {"baseUrl": base_url}}}).encode())
    return fleet.merge(patch, here(**integration), DEFAULTS, seal)


@pytest.mark.parametrize("base_url", ["https://globex.zendesk.com", "https://acme.zendesk.com/accounts/other"])
def test_what_was_read_from_one_account_is_not_mixed_with_another(base_url: str) -> None:
    with pytest.raises(drafts.Invalid, match="records of another account would mix") as caught:
        moved(base_url, has_read=True)
    assert caught.value.field == "integrations.zendesk.baseUrl"
    assert "remove acme and add it again" in caught.value.hint
    merged = moved(base_url)
    assert merged is not None
    assert merged.integrations[0].base_url == base_url, "nothing was read yet"


@pytest.mark.parametrize("base_url", ["https://ACME.zendesk.com/", "https://acme.zendesk.com:443"])
def test_the_same_account_may_be_written_otherwise(base_url: str) -> None:
    merged = moved(base_url, has_read=True)
    assert merged is None or merged.integrations[0].base_url == drafts.parse_base_url(base_url)


def test_a_change_may_add_a_system_that_is_not_there() -> None:
    bare = NewOrganization(id="acme", name="Acme", timezone="UTC")
    after = patched(bare, integrations={"zendesk": {"subdomain": "acme"}})
    assert after is not None
    assert after.integrations[0].base_url == "https://acme.zendesk.com"
    with pytest.raises(drafts.Invalid) as caught:
        patched(bare, integrations={"zendesk": {"lookback": "1d"}})
    assert caught.value.field == "integrations.zendesk.subdomain"


def test_a_change_is_checked_like_a_new_organisation() -> None:
    with pytest.raises(drafts.Invalid) as caught:
        patched(here(), timezone="x", integrations={"jiro": {"strategy": "y"}, "zendesk": {"baseUrl": "http://a.b"}})
    assert [item.path for item in caught.value.problems] == [
        "timezone",
        "integrations.jiro.systemType",
        "integrations.zendesk.baseUrl",
    ]


# --- the shapes agree -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (drafts._Integration, wire.IntegrationSpec),
        (drafts._Organization, wire.OrganizationSpec),
        (drafts._Import, wire.ImportRequest),
    ],
)
def test_what_is_read_has_the_keys_that_the_wire_promises(
    ours: type[msgspec.Struct], theirs: type[msgspec.Struct]
) -> None:
    def keys(kind: type[msgspec.Struct]) -> set[str]:
        return {field.encode_name for field in msgspec.structs.fields(kind)}

    assert keys(ours) - {"schema"} == keys(theirs)
