"""The simulator's cursor export against what is known of Zendesk's."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import httpx
import pytest

from tests.fakes import START, FakeClock
from tests.fixtures.simulated import Asker
from zendeskd.simulator import Simulator

Ask = Callable[..., Asker]
PAYLOADS = Path(__file__).parent.parent / "data" / "zendesk-payloads" / "fixture"


def test_every_ticket_comes_once_in_order_with_the_bytes_of_the_truth(simulator: Simulator, ask: Ask) -> None:
    account = simulator.add_account("acme", tickets=250, deleted=10)
    tickets, _ = ask(account).export_all(per_page=100)
    places = [(ticket["generated_timestamp"], ticket["id"]) for ticket in tickets]
    assert places == sorted(places)
    assert [ticket["id"] for ticket in tickets] == account.ids()
    body = ask(account).export(start_time=0).content
    assert all(raw in body for raw in account.tickets().values())
    assert {json.loads(raw)["id"]: json.loads(raw) for raw in account.tickets().values()} == {
        ticket["id"]: ticket for ticket in tickets
    }


def test_the_cursor_is_the_place_of_the_last_ticket(simulator: Simulator, ask: Ask) -> None:
    account = simulator.add_account("acme", tickets=30)
    page = ask(account).export(start_time=0, per_page=10).json()
    last = page["tickets"][-1]
    assert base64.b64decode(page["after_cursor"]).decode() == f"{last['generated_timestamp']}.0||{last['id']}|"
    assert page["before_cursor"] is None
    assert page["before_url"] is None
    assert page["end_of_stream"] is False
    query = page["after_url"].partition("?")[2]
    assert query.startswith("per_page=10&cursor=")
    assert "=" not in query.partition("cursor=")[2]
    assert unquote(query.partition("cursor=")[2]) == page["after_cursor"]
    follow = ask(account).http.get(page["after_url"] + "&support_type_scope=all").json()
    assert [one["id"] for one in follow["tickets"]] == account.ids()[10:20]


def test_a_cursor_outlives_the_walk_and_brings_what_changed_since(simulator: Simulator, ask: Ask) -> None:
    account = simulator.add_account("acme", tickets=50)
    asker = ask(account)
    _, cursor = asker.export_all()
    assert asker.export(cursor=cursor).json()["tickets"] == []
    changed, touched, added = account.change(3), account.touch(2), account.add(2)
    tickets, _ = asker.export_all(cursor)
    assert {one["id"] for one in tickets} == {*changed, *touched, *added}


def test_a_touch_moves_generated_timestamp_alone(simulator: Simulator) -> None:
    account = simulator.add_account("acme", tickets=20)
    before = {number: json.loads(raw) for number, raw in account.tickets().items()}
    (number,) = account.touch(1)
    after = json.loads(account.ticket(number))
    assert after.pop("generated_timestamp") > before[number].pop("generated_timestamp")
    assert after == before[number]


def test_the_most_recent_minute_is_hidden(ask: Ask) -> None:
    with Simulator(clock=FakeClock().now) as simulator:
        account = simulator.add_account("acme", tickets=20)
        asker = ask(account)
        _, cursor = asker.export_all()
        changed = account.change(2, is_settled=False)
        assert asker.export(cursor=cursor).json()["tickets"] == []
        simulator.advance(59)
        assert asker.export(cursor=cursor).json()["end_of_stream"] is True
        simulator.advance(1)
        assert [one["id"] for one in asker.export(cursor=cursor).json()["tickets"]] == changed


@pytest.mark.parametrize(("age_s", "status"), [(0, 400), (59, 400), (60, 400), (61, 200), (300, 200)])
def test_a_start_within_the_last_minute_is_too_recent(ask: Ask, age_s: int, status: int) -> None:
    with Simulator(clock=FakeClock().now) as simulator:
        account = simulator.add_account("acme", tickets=5)
        answer = ask(account).export(start_time=int(START.timestamp()) - age_s)
        assert answer.status_code == status
        assert answer.headers["date"] == "Mon, 23 Nov 2026 14:00:30 GMT"
        if status == 400:
            assert answer.json()["error"] == "StartTimeTooRecent"


def test_an_empty_first_page_has_no_cursor(simulator: Simulator, ask: Ask) -> None:
    account = simulator.add_account("acme", tickets=0)
    page = ask(account).export(start_time=0).json()
    assert (page["tickets"], page["after_cursor"], page["after_url"], page["end_of_stream"]) == ([], None, None, True)


def test_an_empty_later_page_keeps_the_cursor_unless_told_otherwise(simulator: Simulator, ask: Ask) -> None:
    account = simulator.add_account("acme", tickets=5)
    asker = ask(account)
    _, cursor = asker.export_all()
    assert asker.export(cursor=cursor).json()["after_cursor"] == cursor
    account.has_null_cursor_at_end = True
    assert asker.export(cursor=cursor).json()["after_cursor"] is None


def test_the_same_page_asked_for_later_shows_what_was_held_back(simulator: Simulator, ask: Ask) -> None:
    account = simulator.add_account("acme", tickets=5)
    asker = ask(account)
    _, cursor = asker.export_all()
    added = []
    for _ in range(2):  # some seconds apart, so that one is shown before the other
        added += account.add(70, is_settled=False)
        simulator.advance(20)
    simulator.advance(30)
    assert [one["id"] for one in asker.export_all(cursor)[0]] == added[:70]
    simulator.advance(30)
    assert [one["id"] for one in asker.export_all(cursor)[0]] == added


@pytest.mark.parametrize("cursor", ["", "garbage", "bm90IGEgY3Vyc29y", "MTc5MDIwMTU1NS4wfHw0N3w"])
def test_a_cursor_that_is_none_is_refused(simulator: Simulator, ask: Ask, cursor: str) -> None:
    account = simulator.add_account("acme", tickets=5)
    assert ask(account).export(cursor=cursor).status_code == 400


@pytest.mark.parametrize("query", [{}, {"start_time": "x"}, {"start_time": 0, "per_page": "many"}, {"start_time": -1}])
def test_a_wrong_parameter_is_named(simulator: Simulator, ask: Ask, query: dict[str, object]) -> None:
    account = simulator.add_account("acme", tickets=5)
    answer = ask(account).export(**query)
    assert answer.status_code == 400
    assert answer.json()["error"]["title"] == "Invalid attribute"


def test_a_page_holds_at_most_a_thousand(simulator: Simulator, ask: Ask) -> None:
    account = simulator.add_account("acme", tickets=1200)
    assert len(ask(account).export(start_time=0, per_page=5000).json()["tickets"]) == 1000
    assert len(ask(account).export(start_time=0).json()["tickets"]) == 1000


def test_tickets_of_ai_agents_come_only_when_asked_for(simulator: Simulator, ask: Ask) -> None:
    account = simulator.add_account("acme", tickets=400, ai_share=0.2)
    asker = ask(account)
    everything = {one["id"] for one in asker.export_all()[0]}
    agents = {one["id"] for one in asker.export_all(support_type_scope="agent")[0]}
    unasked = {one["id"] for one in asker.get("/api/v2/incremental/tickets/cursor", start_time=0).json()["tickets"]}
    of_ai = asker.export_all(support_type_scope="ai_agent")[0]
    assert unasked == agents == set(account.ids(scope="agent"))
    assert everything - agents == {one["id"] for one in of_ai} != set()
    assert {one["support_type"] for one in of_ai} == {"ai_agent"}


def test_a_filtered_walk_ends_with_its_last_row(simulator: Simulator, ask: Ask) -> None:
    account = simulator.add_account("acme", tickets=60, deleted=30)
    tickets, _ = ask(account).export_all(per_page=7, exclude_deleted="true")
    assert len(tickets) == 30
    assert "deleted" not in {one["status"] for one in tickets}


def test_a_deleted_ticket_keeps_its_text_until_it_is_scrubbed_and_its_row_until_it_is_purged(
    simulator: Simulator, ask: Ask
) -> None:
    account = simulator.add_account("acme", tickets=20)
    asker = ask(account)
    before = json.loads(account.ticket(7))
    _, cursor = asker.export_all()
    account.delete([7])
    ((deleted,), cursor) = asker.export_all(cursor)
    assert (deleted["status"], deleted["subject"]) == ("deleted", before["subject"])
    account.scrub([7])
    ((scrubbed,), cursor) = asker.export_all(cursor)
    assert (scrubbed["subject"], scrubbed["raw_subject"], scrubbed["description"]) == ("SCRUBBED", "SCRUBBED", "X")
    assert scrubbed["updated_at"] == deleted["updated_at"]
    assert scrubbed["generated_timestamp"] > deleted["generated_timestamp"]
    account.purge([7])
    assert asker.export_all(cursor)[0] == []
    assert 7 not in {one["id"] for one in asker.export_all()[0]}


def test_a_restored_ticket_is_back(simulator: Simulator, ask: Ask) -> None:
    account = simulator.add_account("acme", tickets=20)
    account.delete([3, 4])
    assert account.restore([3, 9]) == [3]
    status = {one["id"]: one["status"] for one in ask(account).export_all()[0]}
    assert status[3] != "deleted"
    assert status[4] == "deleted"


def test_side_loads_hold_whom_the_page_names_and_nobody_else(simulator: Simulator, ask: Ask) -> None:
    account = simulator.add_account("acme", tickets=500)
    page = ask(account).export(start_time=0, per_page=20, include="users,groups,organizations,nonsense").json()
    named = {one[key] for one in page["tickets"] for key in ("requester_id", "submitter_id", "assignee_id")} - {None}
    assert {user["id"] for user in page["users"]} == named
    assert {one["group_id"] for one in page["tickets"]} - {None} == {one["id"] for one in page["groups"]}
    organizations = {one["organization_id"] for one in page["tickets"]} - {None}
    assert organizations == {one["id"] for one in page["organizations"]}
    assert all(len(str(user["id"])) in {13, 14} and user["name"] for user in page["users"])
    assert "users" not in ask(account).export(start_time=0).json()


def test_the_answer_is_gzip_only_where_that_is_accepted(simulator: Simulator, ask: Ask) -> None:
    account = simulator.add_account("acme", tickets=100)
    bodies = []
    for accepted in ("gzip, deflate", "identity", "gzip;q=0"):
        with ask(account, **{"Accept-Encoding": accepted}).http.stream(
            "GET", f"{account.base_url}/api/v2/incremental/tickets/cursor", params={"start_time": 0}
        ) as answer:
            raw = b"".join(answer.iter_raw())
            is_gzip = answer.headers.get("content-encoding") == "gzip"
            assert is_gzip == (accepted == "gzip, deflate")
            bodies.append(gzip.decompress(raw) if is_gzip else raw)
    assert bodies[0] == bodies[1] == bodies[2]


def test_the_same_seed_makes_the_same_tickets(simulator: Simulator) -> None:
    clock = FakeClock()
    one, two, other = (Simulator(seed=seed, clock=clock.now) for seed in (4, 4, 5))
    made = [each.add_account("acme", tickets=50).tickets() for each in (one, two, other)]
    for each in (one, two, other):
        each.stop()
    assert made[0] == made[1] != made[2]
    assert simulator.add_account("acme", tickets=50).ticket(1) != simulator.add_account("b", tickets=50).ticket(1)


def test_archived_tickets_stay_in_the_export(simulator: Simulator, ask: Ask) -> None:
    account = simulator.add_account("acme", tickets=20)
    account.archive([1, 2, 3])
    assert len(ask(account).export_all()[0]) == 20


def test_tickets_look_like_real_ones(simulator: Simulator) -> None:
    """Every key of a recorded ticket is there, with the type it was seen with somewhere."""
    tickets = [json.loads(raw) for raw in simulator.add_account("acme", tickets=600).tickets().values()]
    types: dict[str, set[type]] = {}
    for ticket in tickets:
        for key, value in ticket.items():
            types.setdefault(key, set()).add(type(value))
    for name in ("ticket.json", "ticket_custom_field.json"):
        for key, value in json.loads((PAYLOADS / "GET" / name).read_bytes())["ticket"].items():
            if key != "satisfaction_probability":  # gone from newer payloads
                assert type(value) in types[key], key
    assert sum(len(raw) for raw in map(json.dumps, tickets)) / len(tickets) > 2000
    ratings = {(one["satisfaction_rating"] or {}).get("score") for one in tickets}
    assert ratings == {None, "offered", "unoffered", "good", "bad"}
    assert {one["status"] for one in tickets} == {"new", "open", "pending", "hold", "solved", "closed"}
    assert {one["via"]["channel"] for one in tickets} >= {"email", "web", "voice", "api"}
    problems = {one["id"] for one in tickets if one["type"] == "problem"}
    assert {one["problem_id"] for one in tickets if one["problem_id"]} <= problems
    assert any(one["followup_ids"] for one in tickets)
    differ = sum(one["updated_at"] != _iso(one["generated_timestamp"]) for one in tickets)
    assert len(tickets) * 0.7 < differ < len(tickets)


def _iso(seconds: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_every_change_shows_and_is_behind_what_was_read(ask: Ask) -> None:
    """However often within one second, on a clock that stands still."""
    with Simulator(clock=FakeClock().now) as simulator:
        account = simulator.add_account("acme", tickets=10)
        asker = ask(account)
        _, cursor = asker.export_all()
        for _ in range(5):
            (number,) = account.change(1)
            (found, cursor) = asker.export_all(cursor)
            assert [one["id"] for one in found] == [number]


def test_a_million_byte_ticket_is_possible(simulator: Simulator, ask: Ask) -> None:
    account = simulator.add_account("acme", tickets=1, body_bytes=1_000_000)
    assert 800_000 < len(account.ticket(1)) < 1_200_000
    assert isinstance(ask(account).export(start_time=0), httpx.Response)
