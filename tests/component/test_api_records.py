"""Records, their links, and history over the socket."""

from __future__ import annotations

import contextlib

import pytest

from tests.fakes import page
from tests.fixtures.control import Control
from zendeskd.client import ApiError


def test_tickets_newest_change_first(standing: Control) -> None:
    reply = standing.http("GET", "/api/zendesk?organizationId=acme")
    assert reply.status_code == 200
    assert [item["externalId"] for item in reply.json()["items"]] == ["5", "4", "3", "2", "1"]
    first = reply.json()["items"][-1]
    assert {key: first[key] for key in ("title", "status", "tags", "recordType", "sourceSystem")} == {
        "title": "Printer on fire",
        "status": "open",
        "tags": ["vip", "eu"],
        "recordType": "ticket",
        "sourceSystem": "zendesk",
    }
    assert "raw" not in first


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"status": "open"}, ["5", "3", "1"]),
        ({"q": "printer"}, ["2", "1"]),
        ({"q": "printer smoke"}, ["1"]),
        ({"q": 'smoke" OR NEAR('}, []),
        ({"tag": "vip"}, ["1"]),
        ({"deleted": "true"}, ["4"]),
        ({"deleted": "false", "status": "open", "q": "tea"}, ["5"]),
        ({"status": "closed"}, []),
    ],
)
def test_tickets_are_filtered(standing: Control, params: dict[str, str], found: list[str]) -> None:
    for path in ("/api/zendesk", "/api/records"):
        reply = standing.http("GET", path, params={"organizationId": "acme", **params})
        assert [item["externalId"] for item in reply.json()["items"]] == found


def test_pages_follow_each_other(standing: Control) -> None:
    client = standing.client()
    first = client.records("acme", system="zendesk", record_type="ticket", limit=2)
    second = client.records("acme", limit=2, after=first.next)
    third = client.records("acme", limit=2, after=second.next)
    assert [item.external_id for each in (first, second, third) for item in each.items] == ["5", "4", "3", "2", "1"]
    assert third.next is None


def test_several_organisations_are_one_list(control: Control) -> None:
    control.fill()
    control.add("globex")
    control.add("hooli")
    for org in ("globex", "hooli"):
        control.script([page(1, 2, end=True)])
        control.ended(control.client().trigger(org).run_id)
    client = control.client()
    first = client.records(["acme", "globex"], limit=4)
    second = client.records(["acme", "globex"], limit=4, after=first.next)
    items = [*first.items, *second.items]
    assert second.next is None
    assert {item.organization_id for item in items} == {"acme", "globex"}
    alone = [item for item in client.records().items if item.organization_id != "hooli"]
    assert [item.id for item in items] == [item.id for item in alone]
    assert len(client.tickets(["globex", "hooli"]).items) == 4
    assert len(client.records([]).items) == 9
    reply = control.http("GET", "/api/records?organizationId=acme&organizationId=globx")
    assert (reply.status_code, reply.json()["code"]) == (404, "not_found")
    reply = control.http("GET", "/api/records", params={"organizationId": [f"o{n}" for n in range(501)]})
    assert (reply.status_code, reply.json()["field"]) == (422, "organizationId")
    reply = control.http("GET", "/api/records?limit=1&limit=2")
    assert (reply.status_code, reply.json()["field"]) == (422, "limit")


def test_records_tell_how_many_links_they_have(standing: Control) -> None:
    reply = standing.http("GET", "/api/zendesk?organizationId=acme")
    counts = {item["externalId"]: item["linkCount"] for item in reply.json()["items"]}
    assert counts == {"1": 1, "2": 0, "3": 1, "4": 0, "5": 1}
    assert standing.client().record("acme/zendesk/3").link_count == 1


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "501"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"after": "made up"}, "after"),
        ({"deleted": "perhaps"}, "deleted"),
    ],
)
def test_bad_parameters_are_named(standing: Control, params: dict[str, str], field: str) -> None:
    reply = standing.http("GET", "/api/records", params=params)
    assert (reply.status_code, reply.json()["field"]) == (422, field)


def test_a_record_by_its_id_and_by_its_name(standing: Control) -> None:
    client = standing.client()
    by_name = client.record("acme/zendesk/2")
    assert (by_name.title, by_name.raw, by_name.source_version) == ("Printer jammed", '{"id":2,"ünï":"\\u0000"}', 2)
    assert client.record(by_name.id) == by_name


@pytest.mark.parametrize("name", ["999", "0", "9" * 30, "-1", "x", "acme/zendesk/999", "acme/jira/1", "none/zendesk/1"])
def test_a_record_that_is_not_there(standing: Control, name: str) -> None:
    for path in (f"/api/records/{name}", f"/api/records/{name}/links"):
        reply = standing.http("GET", path)
        assert (reply.status_code, reply.json()["code"]) == (404, "not_found")
        assert reply.json()["hint"]


def test_links_are_seen_from_both_ends_and_made_by_hand(control: Control) -> None:
    control.fill()
    client = control.client()
    three, one = client.record("acme/zendesk/3"), client.record("acme/zendesk/1")
    (out,), (into,) = client.links(three.id).items, client.links(one.id).items
    assert (out.direction, out.relation, out.external_id, out.record_id, out.title) == (
        "out",
        "incident_of",
        "1",
        one.id,
        "Printer on fire",
    )
    assert (into.direction, into.record_id, into.origin) == ("in", three.id, "source")
    linked = client.link(one.id, "jira/OPS-9", "caused_by")
    made = next(link for link in linked.items if link.origin == "manual")
    assert (made.system, made.external_id, made.record_id, made.created_by) == ("jira", "OPS-9", None, "root (cli)")
    assert control.audit()[0] == ("link", str(one.id), "caused_by jira/OPS-9", 201)
    assert client.link("acme/zendesk/1", str(three.id)).items[-1].relation == "related_to"
    left = client.unlink(one.id, made.id)
    assert made.id not in [link.id for link in left.items]
    assert control.audit()[0][:2] == ("unlink", f"{one.id}/{made.id}")


def test_a_link_made_by_hand_is_told_to_whoever_looks_at_its_ends(control: Control) -> None:
    control.fill()
    client, told = control.client(), []
    three, one = client.record("acme/zendesk/3"), client.record("acme/zendesk/1")
    with contextlib.closing(control.client().events()) as events:
        assert next(events).event == "hello"
        made = client.link(one.id, str(three.id)).items[-1]
        client.unlink(three.id, made.id)
        client.link(one.id, "jira/OPS-9")
        for event in events:
            told += [(event.organization_id, event.record_ids)] if event.event == "links" else []
            if len(told) == 3:
                break
    assert told == [("acme", [one.id, three.id]), ("acme", [three.id, one.id]), ("acme", [one.id])]


def test_a_link_of_the_source_is_not_removed(control: Control) -> None:
    control.fill()
    client = control.client()
    three = client.record("acme/zendesk/3")
    with pytest.raises(ApiError) as caught:
        client.unlink(three.id, three.links[0].id)
    assert caught.value.status == 409
    for link_id in ("999", "x"):
        assert control.http("DELETE", f"/api/records/{three.id}/links/{link_id}").status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"other": "nonsense"}, "other"),
        ({"other": "slick/1"}, "other"),
        ({"other": "zendesk/1"}, "other"),  # itself
        ({"other": "jira/"}, "other"),
        ({"other": "jira/X-1", "relation": "Related To"}, "relation"),
        ({}, "other"),
        ({"other": 5}, "other"),
    ],
)
def test_a_link_that_cannot_be(standing: Control, body: dict[str, object], field: str) -> None:
    reply = standing.http("POST", "/api/records/acme/zendesk/1/links", json=body)
    assert (reply.status_code, reply.json()["field"]) == (422, field)
    assert len(standing.client().links("acme/zendesk/1").items) == 1


# --- history ----------------------------------------------------------------------------------------------------------


def test_history_newest_first_page_by_page(control: Control) -> None:
    control.fill()
    client = control.client()
    for _ in range(4):
        control.ended(client.trigger("acme").run_id)
    first = client.runs("acme", limit=3)
    second = client.runs("acme", limit=3, after=first.next)
    assert [run.id for run in (*first.items, *second.items)] == [5, 4, 3, 2, 1]
    assert second.next is None
    assert second.items[-1].records_created == 5 - 1, "a deleted one is none that was created"


def test_failed_runs_alone(control: Control) -> None:
    from zendeskd.errors import ServerError

    control.fill()
    control.script([ServerError("Zendesk answered 500.")])
    control.ended(control.client().trigger("acme").run_id)
    failed = control.client().runs("acme", system="zendesk", failed=True).items
    assert [(run.status, run.error_code, run.error_message) for run in failed] == [
        ("failed", "server_error", "Zendesk answered 500.")
    ]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/sync-logs/999", 404),
        ("/api/sync-logs/x", 404),
        ("/api/sync-logs/" + "9" * 40, 404),
        ("/api/sync-logs?after=x", 422),
        ("/api/sync-logs?limit=1001", 422),
        ("/api/sync-logs?system=jiro", 404),
        ("/api/sync-logs?organizationId=none", 404),
        ("/api/sync-logs?failed=maybe", 422),
    ],
)
def test_history_that_is_not_there(standing: Control, path: str, status: int) -> None:
    reply = standing.http("GET", path)
    assert reply.status_code == status
    assert reply.json()["detail"]
