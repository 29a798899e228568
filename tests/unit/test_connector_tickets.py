"""Tickets -> records: what becomes a column, what is set aside, what counts as a change."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zendeskd.connectors.faults import Answer
from zendeskd.connectors.zendesk_tickets import Envelope, TicketMapper, Tickets, decode_envelope, instant_of
from zendeskd.errors import BadResponse
from zendeskd.models import Link, Record

PAYLOADS = Path(__file__).parent.parent / "data" / "zendesk-payloads" / "fixture"
BASE = {
    "id": 7,
    "generated_timestamp": 1790000000,
    "created_at": "2026-09-20T08:00:00Z",
    "updated_at": "2026-09-21T10:00:00Z",
    "subject": "Printer on fire",
    "description": "It burns.",
    "status": "open",
    "priority": "high",
    "tags": ["vip", "fire"],
}

_decoder = msgspec.json.Decoder(Envelope)


def body_of(*tickets: object, **sides: object) -> bytes:
    return json.dumps({"tickets": tickets, **sides}, separators=(",", ":")).encode()


def mapped(body: bytes, base_url: str = "https://acme.zendesk.com") -> Tickets:
    answer = Answer(status=200, headers={"content-type": "application/json"}, body=body, host="acme.zendesk.com")
    envelope, raws = decode_envelope(answer, _decoder)
    return TicketMapper(base_url).map(envelope, raws)


def one(ticket: dict[str, object], **sides: object) -> Record:
    tickets = mapped(body_of(ticket, **sides))
    assert tickets.quarantined == []
    return tickets.records[0]


def test_a_ticket_becomes_a_record_with_names_from_beside_it() -> None:
    ticket = {**BASE, "requester_id": 1, "assignee_id": 2, "group_id": 3, "organization_id": 4}
    record = one(
        ticket,
        users=[{"id": 1, "name": "Ana"}, {"id": 2, "name": "Bo"}],
        groups=[{"id": 3, "name": "Support"}],
        organizations=[{"id": 4, "name": "Globex"}],
    )
    assert record.external_id == "7"
    assert record.record_type == "ticket"
    assert record.url == "https://acme.zendesk.com/agent/tickets/7"
    assert (record.title, record.body) == ("Printer on fire", "It burns.")
    assert (record.status, record.priority, record.tags) == ("open", "high", ("vip", "fire"))
    assert (record.requester, record.assignee, record.group_name, record.customer) == ("Ana", "Bo", "Support", "Globex")
    assert (record.created_at, record.updated_at) == ("2026-09-20T08:00:00.000Z", "2026-09-21T10:00:00.000Z")
    assert record.deleted_at is None
    assert record.source_version == 1790000000
    assert instant_of(record.source_version) == datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)


def test_raw_is_the_very_bytes_that_came() -> None:
    odd = '{ "id":7 ,"updated_at" : "2026-09-21T10:00:00Z",\n "x":1.50, "subject":"caf\\u00e9 ☕ \\ud83d\\ude00" }'
    record = mapped(b'{"tickets":[' + odd.encode() + b"]}").records[0]
    assert record.raw.decode() == odd
    assert record.title == "café ☕ 😀"


@pytest.mark.parametrize(
    ("subject", "description", "title"),
    [
        (None, "First  line\nand more", "First line and more"),
        ("", "Body", "Body"),
        (None, None, None),
        (None, " \n ", None),
        (None, "word " * 40, ("word " * 16).strip()[:79] + "…"),
        (None, "x" * 200, "x" * 80 + "…"),
    ],
)
def test_a_ticket_without_a_subject_is_titled_by_its_first_words(
    subject: str | None, description: str | None, title: str | None
) -> None:
    record = one({**BASE, "subject": subject, "description": description})
    assert record.title == title
    assert record.title is None or len(record.title) <= 81


def test_a_deleted_ticket_was_deleted_when_it_was_last_updated() -> None:
    assert one({**BASE, "status": "deleted"}).deleted_at == "2026-09-21T10:00:00.000Z"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2026-09-21T10:00:00Z", "2026-09-21T10:00:00.000Z"),
        ("2026-09-21T10:00:00.5Z", "2026-09-21T10:00:00.500Z"),
        ("2026-09-21T12:00:00+02:00", "2026-09-21T10:00:00.000Z"),
        (None, None),
    ],
)
def test_instants_are_kept_in_one_width(given: str | None, kept: str | None) -> None:
    assert one({**BASE, "created_at": given}).created_at == kept


@pytest.mark.parametrize("generated", [0, None, 0.0])
def test_without_a_generated_timestamp_the_update_decides_which_is_newer(generated: object) -> None:
    record = one({**BASE, "generated_timestamp": generated})
    assert record.source_version == int(datetime(2026, 9, 21, 10, tzinfo=UTC).timestamp())


def test_links_come_from_problem_follow_up_and_source() -> None:
    record = one(
        {
            **BASE,
            "problem_id": 40,
            "followup_ids": [50, 51],
            "via": {"channel": "web", "source": {"from": {"ticket_id": 30, "subject": "x"}, "rel": "follow_up"}},
        }
    )
    assert record.links == (
        Link("incident_of", "zendesk", "ticket", "40"),
        Link("followup_of", "zendesk", "ticket", "30"),
        Link("followed_up_by", "zendesk", "ticket", "50"),
        Link("followed_up_by", "zendesk", "ticket", "51"),
    )


@pytest.mark.parametrize("via", [None, [], {"source": 3, "rel": "follow_up"}, {"source": {"rel": "follow_up"}}, "mail"])
def test_a_strange_via_costs_the_link_and_not_the_ticket(via: object) -> None:
    assert one({**BASE, "via": via}).links == ()


# --- what counts as a change ----------------------------------------------------------------------------------------


def test_a_generated_timestamp_that_moves_alone_is_no_change() -> None:
    before, after = one(BASE), one({**BASE, "generated_timestamp": 1790009999})
    assert before.source_version < after.source_version
    assert before.content_hash == after.content_hash


@pytest.mark.parametrize("field", ["status", "subject", "priority", "updated_at", "satisfaction_probability"])
def test_any_other_field_that_moves_is_a_change(field: str) -> None:
    assert one(BASE).content_hash != one({**BASE, field: "2026-09-21T10:00:01Z"}).content_hash


def test_a_renamed_requester_is_a_change() -> None:
    ticket = {**BASE, "requester_id": 1}
    hashes = {one(ticket, users=[{"id": 1, "name": name}]).content_hash for name in ("Ana", "Ana Maria")}
    assert len(hashes) == 2


def test_a_text_about_generated_timestamps_does_not_hide_a_change() -> None:
    first = {**BASE, "description": 'see "generated_timestamp":1790000000 5'}
    second = {**BASE, "description": 'see "generated_timestamp":1790000000 6'}
    assert one(first).content_hash != one(second).content_hash


MOVED = (  # what was sent before and after; whether the timestamp alone is another
    ('"generated_timestamp":1700000000,"x":1', '"generated_timestamp":1700000001,"x":1', True),
    ('"x":1,"generated_timestamp":1700000000', '"x":1,"generated_timestamp":1700000001', True),
    ('"generated_timestamp" :\n 1700000000 ,"x":1', '"generated_timestamp" :\n 1700000001 ,"x":1', True),
    ('"generated_timestamp":1700000000,"x":1', '"generated_timestamp":1700000000,"x":2', False),
    ('"generated_timestamp":1.7e9,"x":1,"y":1700000000', '"generated_timestamp":1.7e9,"x":2,"y":1700000000', False),
    (
        '"data":{"generated_timestamp":5},"x":1,"generated_timestamp":1700000000',
        '"data":{"generated_timestamp":5},"x":2,"generated_timestamp":1700000000',
        False,
    ),
    (
        '"data":{"generated_timestamp":17000000001},"x":1,"generated_timestamp":1700000000',
        '"data":{"generated_timestamp":17000000001},"x":2,"generated_timestamp":1700000000',
        False,
    ),
    ('"subject":"generated_timestamp","x":1', '"subject":"generated_timestamp","x":2', False),
)


@pytest.mark.parametrize(("before", "after", "is_same"), MOVED)
def test_nothing_but_the_timestamp_may_move_unnoticed(before: str, after: str, is_same: bool) -> None:
    first, second = (
        mapped(f'{{"tickets":[{{"id":7,"updated_at":"2026-09-21T10:00:00Z",{fields}}}]}}'.encode()).records[0]
        for fields in (before, after)
    )
    assert (first.content_hash == second.content_hash) == is_same


def test_names_do_not_run_together() -> None:
    ticket = {**BASE, "requester_id": 1, "assignee_id": 2}
    pairs = (("A\0B", "C"), ("A", "B\0C"), ("A", ""), ("", "A"))
    hashes = {
        one(ticket, users=[{"id": 1, "name": first}, {"id": 2, "name": second}]).content_hash for first, second in pairs
    }
    assert len(hashes) == len(pairs)


# --- what cannot be mapped --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "external_id", "why"),
    [
        ({**BASE, "id": "seven"}, None, "Expected `int`"),
        ({**BASE, "tags": "vip"}, "7", "$.tags"),
        ({**BASE, "updated_at": "yesterday"}, "7", "isoformat"),
        ({**BASE, "updated_at": "2026-09-21T10:00:00"}, "7", "without a zone"),
        ({**BASE, "created_at": "2026-13-41T10:00:00Z"}, "7", "month"),
        ({**BASE, "created_at": "0001-01-01T00:00:00+10:00"}, "7", "out of range"),
        ({"id": 7}, "7", "neither generated_timestamp nor updated_at"),
        ({**BASE, "generated_timestamp": 10**30}, "7", "out of range"),
        ({**BASE, "subject": {"a": 1}}, "7", "$.subject"),
        ([], None, "Expected `object`"),
        (None, None, "Expected `object`"),
    ],
)
def test_a_ticket_that_cannot_be_read_is_set_aside_and_the_others_are_not(
    bad: object, external_id: str | None, why: str
) -> None:
    tickets = mapped(body_of({**BASE, "id": 1}, bad, {**BASE, "id": 2}))
    assert [record.external_id for record in tickets.records] == ["1", "2"]
    (aside,) = tickets.quarantined
    assert aside.external_id == external_id
    assert why in aside.reason
    assert json.loads(aside.raw) == bad


def test_what_a_database_cannot_hold_becomes_a_replacement_in_columns_and_stays_escaped_in_raw() -> None:
    raw = (
        '{"id":7,"updated_at":"2026-09-21T10:00:00Z","subject":"a\\u0000b","description":"half \\ud800 pair \\\\u0000",'
        '"tags":["t\\u0000"],"x":"\\udc00"}'
    )
    record = mapped(b'{"tickets":[' + raw.encode() + b"]}").records[0]
    assert record.raw.decode() == raw
    assert record.title == "a\ufffdb"
    assert record.body == "half \ufffd pair \\u0000"
    assert record.tags == ("t\ufffd",)


def test_half_a_surrogate_pair_in_one_ticket_leaves_the_others_their_bytes() -> None:
    other = '{"id":8,"updated_at":"2026-09-21T10:00:00Z","subject":"whole \\ud83d\\ude00"}'
    broken = '{"id":7,"updated_at":"2026-09-21T10:00:00Z","subject":"half \\ud83d"}'
    tickets = mapped(f'{{"tickets":[{broken},{other},{broken}]}}'.encode())
    assert [record.raw.decode() for record in tickets.records] == [broken, other, broken]
    assert [record.title for record in tickets.records] == ["half \ufffd", "whole 😀", "half \ufffd"]


def test_a_surrogate_sent_as_bytes_is_escaped_and_other_damage_is_set_aside() -> None:
    start = b'{"id":7,"updated_at":"2026-09-21T10:00:00Z","subject":"'
    tickets = mapped(b'{"tickets":[' + start + b'\xed\xa0\x80"},' + start + b'\xff\xfe"}]}')
    assert tickets.records[0].raw == start + b'\\ud800"}'
    assert tickets.records[0].title == "\ufffd"
    assert tickets.quarantined[0].external_id == "7"
    assert "\ufffd" in tickets.quarantined[0].raw


def test_a_ticket_nested_too_deeply_does_not_end_the_program() -> None:
    # shallow enough for the page, too deep for a parser that looks inside
    with pytest.raises(BadResponse, match="something else than tickets"):
        mapped(b'{"tickets":[' + b"[" * 100_000 + b"]" * 100_000 + b"]}")


@pytest.mark.parametrize(
    "users",
    [
        None,
        {"id": 1, "name": "Ana"},
        [{"id": None, "name": "x"}, {"id": 1, "name": "Ana"}, {"name": "no id"}, 3, {"id": 2, "name": None}],
    ],
)
def test_a_broken_side_load_costs_names_only(users: object) -> None:
    record = one({**BASE, "requester_id": 1, "assignee_id": 2}, users=users)
    assert record.requester in {"Ana", None}
    assert (record.requester == "Ana") == isinstance(users, list)
    assert record.assignee is None


def test_a_page_of_more_tickets_than_were_ever_asked_for_is_no_page() -> None:
    with pytest.raises(BadResponse, match="10001 tickets in one page"):
        mapped(body_of(*[{}] * 10_001))


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'{"tickets":[{"id":1', b'{"tickets":null}', b"[]", b'{"errors":[]}', b"\xff\xfe"]
)
def test_a_body_that_is_no_page_of_tickets_is_a_bad_response(body: bytes) -> None:
    with pytest.raises(BadResponse, match="application/json") as caught:
        mapped(body)
    assert "suspended" in caught.value.hint


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_ticket = st.dictionaries(st.sampled_from([*BASE, "via", "problem_id", "followup_ids", "requester_id"]), _json)


@given(st.lists(_ticket, max_size=4))
def test_any_ticket_is_either_mapped_or_set_aside(tickets: list[dict[str, object]]) -> None:
    result = mapped(body_of(*tickets))
    assert len(result.records) + len(result.quarantined) == len(tickets)
    for record in result.records:
        for text in (record.title, record.body, record.status, record.priority, *record.tags, record.raw.decode()):
            assert text is None or text.encode() is not None
        assert 0 <= record.source_version < 2**63


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_text_survives_into_title_and_raw(subject: str, description: str) -> None:
    record = one({**BASE, "subject": subject, "description": description})
    assert json.loads(record.raw)["subject"] == subject
    assert record.body == description


# --- recorded payloads ------------------------------------------------------------------------------------------------


def _recorded() -> list[dict[str, object]]:
    tickets: list[dict[str, object]] = []
    for name in ("GET/ticket", "GET/ticket_custom_field", "PUT/ticket", "POST/ticket"):
        tickets.append(json.loads((PAYLOADS / f"{name}.json").read_bytes())["ticket"])
    tickets.extend(json.loads((PAYLOADS / "GET/tickets.json").read_bytes())["tickets"])
    tickets.extend(json.loads((PAYLOADS / "GET/search_ticket.json").read_bytes())["results"])
    tickets.extend(json.loads((PAYLOADS / "ticket_result.json").read_bytes()))
    return tickets


def test_recorded_tickets_map_with_recorded_names() -> None:
    tickets = _recorded()
    sides = {
        name: json.loads((PAYLOADS / f"GET/{name}.json").read_bytes())[name]
        for name in ("users", "groups", "organizations")
    }
    result = mapped(body_of(*tickets, **sides))
    assert result.quarantined == []
    assert [record.external_id for record in result.records] == [str(ticket["id"]) for ticket in tickets]
    for record, ticket in zip(result.records, tickets, strict=True):
        assert json.loads(record.raw) == ticket
        assert record.title == (ticket["subject"] or ticket["description"])
        assert record.status == ticket["status"]
        assert record.updated_at == str(ticket["updated_at"])[:19] + ".000Z"


def test_a_recorded_answer_is_mapped_as_it_came() -> None:
    body = (PAYLOADS / "GET/ticket_show_many.json").read_bytes()
    result = mapped(body)
    assert result.quarantined == []
    assert len(result.records) == len(json.loads(body)["tickets"])
    assert all(record.raw in body for record in result.records)
