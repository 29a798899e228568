"""The simulator's keyset list, deleted tickets, show_many and count against what is known of Zendesk's."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable
from typing import Any

import pytest

from tests.fixtures.simulated import Asker
from zendeskd.simulator import Account, Simulator

Ask = Callable[..., Asker]


def walk(asker: Asker, path: str, key: str, **query: object) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    while True:
        page = asker.get(path, **query).raise_for_status().json()
        rows += page[key]
        if not page["meta"]["has_more"]:
            assert page["links"]["next"] is not None or not page[key]
            return rows
        query["page[after]"] = page["meta"]["after_cursor"]


def read_cursor(text: str) -> tuple[str, int, int]:
    outer = json.loads(base64.b64decode(text))
    d, when, i, number = struct.unpack("<cqcq", base64.b64decode(outer["v"]))
    assert (d, i) == (b"d", b"i")
    return outer["o"], when, number


def write_cursor(when: int, number: int) -> str:
    inner = base64.b64encode(struct.pack("<cqcq", b"d", when, b"i", number)).decode()
    return base64.b64encode(json.dumps({"o": "updated_at,id", "v": inner}).encode()).decode()


@pytest.fixture
def account(simulator: Simulator) -> Account:
    return simulator.add_account("acme", tickets=250)


@pytest.mark.parametrize(("sort", "key"), [("updated_at", "updated_at"), ("id", "id")])
@pytest.mark.parametrize("sign", ["", "-"])
def test_the_list_is_whole_and_in_order(account: Account, ask: Ask, sort: str, key: str, sign: str) -> None:
    rows = walk(ask(account), "/api/v2/tickets.json", "tickets", **{"sort": sign + sort, "page[size]": 100})
    values = [row[key] for row in rows]
    assert values == sorted(values, reverse=bool(sign))
    assert {row["id"]: row for row in rows} == {n: json.loads(raw) for n, raw in account.listed().items()}
    assert len(rows) == 250


def test_neither_deleted_nor_archived_nor_purged_tickets_are_listed(account: Account, ask: Ask) -> None:
    account.delete([1])
    account.archive([2])
    account.purge([3])
    rows = walk(ask(account), "/api/v2/tickets", "tickets", sort="updated_at")
    assert {row["id"] for row in rows} == set(range(4, 251)) == set(account.listed())


def test_a_cursor_made_by_hand_resumes_within_a_second(account: Account, ask: Ask) -> None:
    account.change(40)  # all of them in one second
    everything = [row["id"] for row in walk(ask(account), "/api/v2/tickets", "tickets", sort="updated_at")]
    page = ask(account).get("/api/v2/tickets", sort="updated_at", **{"page[size]": 100}).json()
    order, when, number = read_cursor(page["meta"]["after_cursor"])
    assert order == "updated_at,id"
    assert number != page["tickets"][-1]["id"]  # the id in it is internal
    made = write_cursor(when, number)
    rest = walk(ask(account), "/api/v2/tickets", "tickets", sort="updated_at", **{"page[after]": made})
    assert [row["id"] for row in rest] == everything[100:]
    end = ask(account).get("/api/v2/tickets", sort="updated_at", **{"page[size]": 30, "page[after]": made}).json()
    while end["meta"]["has_more"]:
        made = end["meta"]["after_cursor"]
        end = ask(account).get("/api/v2/tickets", sort="updated_at", **{"page[size]": 30, "page[after]": made}).json()
    _, second, internal = read_cursor(end["meta"]["after_cursor"])
    again = walk(
        ask(account), "/api/v2/tickets", "tickets", sort="updated_at", **{"page[after]": write_cursor(second, 0)}
    )
    assert len(again) == 40
    after = write_cursor(second, internal)
    assert walk(ask(account), "/api/v2/tickets", "tickets", sort="updated_at", **{"page[after]": after}) == []


def test_an_empty_page_has_no_cursor(simulator: Simulator, ask: Ask) -> None:
    page = ask(simulator.add_account("empty", tickets=0)).get("/api/v2/tickets", sort="updated_at").json()
    assert page["tickets"] == []
    assert page["meta"] == {"has_more": False, "after_cursor": None, "before_cursor": None}
    assert page["links"] == {"prev": None, "next": None}


@pytest.mark.parametrize("size", [101, 0, "x"])
def test_a_page_size_over_100_is_refused(account: Account, ask: Ask, size: object) -> None:
    assert ask(account).get("/api/v2/tickets", **{"page[size]": size}).status_code == 400


@pytest.mark.parametrize("cursor", ["garbage", "e30=", base64.b64encode(b'{"o":"updated_at,id","v":"AAAA"}').decode()])
def test_a_garbage_cursor_is_refused_with_the_known_body(account: Account, ask: Ask, cursor: str) -> None:
    answer = ask(account).get("/api/v2/tickets", sort="updated_at", **{"page[after]": cursor})
    assert answer.status_code == 400
    assert answer.json() == {"error": "InvalidPaginationParameter", "description": "page[after] is not valid"}


def test_sort_by_silently_drops_the_sort_and_start_time_is_ignored(account: Account, ask: Ask) -> None:
    rows = ask(account).get("/api/v2/tickets", sort="-id", sort_by="updated_at", start_time=2_000_000_000).json()
    assert [row["id"] for row in rows["tickets"]] == list(range(1, 101))


def test_the_list_side_loads(account: Account, ask: Ask) -> None:
    page = ask(account).get("/api/v2/tickets", include="users,groups", **{"page[size]": 5}).json()
    assert {row["requester_id"] for row in page["tickets"]} <= {user["id"] for user in page["users"]}
    assert page["groups"]
    assert "organizations" not in page


def test_deleted_tickets_are_those_of_30_days_that_are_neither_purged_nor_archived(
    simulator: Simulator, account: Account, ask: Ask
) -> None:
    account.delete([5])
    simulator.advance(20 * 86_400)
    account.archive([8])
    account.delete([6, 7, 8, 9])
    account.scrub([9])
    asker = ask(account)
    rows = walk(asker, "/api/v2/deleted_tickets.json", "deleted_tickets", sort="-deleted_at", **{"page[size]": 2})
    assert [row["id"] for row in rows] == [7, 6, 5]
    assert all(row["deleted_at"].endswith("Z") and row["subject"] and row["previous_state"] for row in rows)
    simulator.advance(11 * 86_400)
    rows = walk(asker, "/api/v2/deleted_tickets", "deleted_tickets", sort="deleted_at")
    assert [row["id"] for row in rows] == [6, 7]
    assert asker.get("/api/v2/deleted_tickets", **{"page[size]": 101}).status_code == 400


def test_show_many_leaves_out_what_is_deleted_and_takes_a_hundred(account: Account, ask: Ask) -> None:
    account.delete([2])
    account.archive([3])
    asker = ask(account)
    page = asker.get("/api/v2/tickets/show_many.json", ids="1,2,3,999", include="users").json()
    assert [row["id"] for row in page["tickets"]] == [1, 3]
    assert page["count"] == 2
    assert page["users"]
    many = ",".join(map(str, range(1, 102)))
    refused = asker.get("/api/v2/tickets/show_many", ids=many)
    assert (refused.status_code, refused.json()["error"]) == (400, "TooManyValues")
    assert asker.get("/api/v2/tickets/show_many", ids="a").status_code == 400


def test_count(account: Account, ask: Ask) -> None:
    account.delete(4)
    assert ask(account).get("/api/v2/tickets/count.json").json()["count"]["value"] == 246
