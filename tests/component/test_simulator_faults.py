"""The simulator's troubles: each does what it says, as often as it says, and then is over."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest

from tests.fixtures.simulated import Asker
from tests.waiting import wait_for
from zendeskd.simulator import Account, Simulator
from zendeskd.simulator.faults import KINDS

Ask = Callable[..., Asker]


@pytest.fixture
def account(simulator: Simulator) -> Account:
    return simulator.add_account("acme", tickets=60)


@pytest.mark.parametrize("retry_after", [7, 2.5, "0", "soon", None])
def test_a_rate_limit_with_retry_after_in_every_form(account: Account, ask: Ask, retry_after: object) -> None:
    account.fault("rate_limited", retry_after=retry_after)
    answer = ask(account).export(start_time=0)
    assert answer.status_code == 429
    assert answer.headers.get("retry-after") == (None if retry_after is None else str(retry_after))
    assert answer.json()["error"] == "APIRateLimitExceeded"
    assert ask(account).export(start_time=0).status_code == 200


def test_a_rate_limit_with_a_date_and_in_plain_text(account: Account, ask: Ask) -> None:
    account.fault("rate_limited", retry_after_date_s=30, is_text=True, budget="account")
    answer = ask(account).export(start_time=0)
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text == "Number of allowed API requests per minute exceeded"
    until = parsedate_to_datetime(answer.headers["retry-after"]) - parsedate_to_datetime(answer.headers["date"])
    assert 29 <= until.total_seconds() <= 31


@pytest.mark.parametrize("status", [500, 502, 503])
def test_server_errors_as_often_as_told_and_after_as_many_calls(account: Account, ask: Ask, status: int) -> None:
    fault = account.fault("status", status=status, retry_after=1, times=2, after=1)
    statuses = [ask(account).export(start_time=0).status_code for _ in range(4)]
    assert statuses == [200, status, status, 200]
    assert fault.hits == 2
    assert [one.fault for one in account.requests] == [None, "status", "status", None]


def test_a_fault_strikes_the_endpoint_it_is_for(account: Account, ask: Ask) -> None:
    account.fault("status", on="token", status=503)
    account.fault("forbidden", on="list")
    asker = ask(account)
    assert asker.export(start_time=0).status_code == 200
    assert asker.get("/api/v2/tickets").status_code == 403
    assert asker.post("/oauth/tokens", {}).status_code == 503
    account.fault("unauthorized", on="any", times=None)
    assert [asker.get("/api/v2/users/me").status_code, asker.get("/api/v2/nonsense").status_code] == [401, 401]
    account.clear_faults()
    assert asker.get("/api/v2/users/me").status_code == 200


def test_big_pages_time_out_until_they_are_small_enough(account: Account, ask: Ask) -> None:
    account.fault("too_big", times=None, above=20)
    statuses = [ask(account).export(start_time=0, per_page=size).status_code for size in (1000, 40, 21, 20)]
    assert [*statuses, ask(account).export(start_time=0).status_code] == [504, 504, 504, 200, 504]


def test_html_redirect_half_json_and_other_json(account: Account, ask: Ask) -> None:
    account.fault("html")
    account.fault("redirect", to="https://elsewhere.example.com/x")
    account.fault("not_json")
    account.fault("wrong_shape")
    answers = [ask(account).export(start_time=0) for _ in range(4)]
    assert [one.status_code for one in answers] == [200, 302, 200, 200]
    assert answers[0].headers["content-type"].startswith("text/html")
    assert answers[1].headers["location"] == "https://elsewhere.example.com/x"
    with pytest.raises(json.JSONDecodeError):
        answers[2].json()
    assert "tickets" not in answers[3].json()


def test_an_expired_cursor_leaves_a_start_time_alone(account: Account, ask: Ask) -> None:
    account.fault("expired_cursor", status=404)
    first = ask(account).export(start_time=0, per_page=10)
    assert first.status_code == 200
    assert ask(account).export(cursor=first.json()["after_cursor"]).status_code == 404
    assert ask(account).export(cursor=first.json()["after_cursor"]).status_code == 200


def test_cursors_that_stand_still_repeat_or_are_missing(account: Account, ask: Ask) -> None:
    asker = ask(account)
    one = asker.export(start_time=0, per_page=10).json()["after_cursor"]
    two = asker.export(cursor=one, per_page=10).json()["after_cursor"]
    said = []
    for kind in ("stuck_cursor", "repeating_cursor", "null_cursor"):
        account.fault(kind)
        page = asker.export(cursor=two, per_page=10).json()
        assert page["end_of_stream"] is False
        said.append(page["after_cursor"])
    assert said == [two, one, None]


def test_duplicates_within_and_across_pages(account: Account, ask: Ask) -> None:
    asker, ids = ask(account), account.ids()
    first = asker.export(start_time=0, per_page=10).json()
    account.fault("duplicates_across", rows=3)
    page = asker.export(cursor=first["after_cursor"], per_page=10).json()
    assert [one["id"] for one in page["tickets"]] == ids[7:20]
    account.fault("duplicates", rows=2)
    page = asker.export(start_time=0, per_page=10).json()
    assert [one["id"] for one in page["tickets"]] == [*ids[:10], *ids[:2]]
    account.fault("duplicates", rows=2, is_stale=True)
    page = asker.export(start_time=0, per_page=10).json()
    assert [one["id"] for one in page["tickets"]] == [ids[1], *ids[:10], ids[0]]
    stale, fresh = page["tickets"][0], page["tickets"][2]
    assert stale["generated_timestamp"] < fresh["generated_timestamp"]
    assert stale["fields"] != fresh["fields"]


def test_a_short_page_says_that_there_is_more(account: Account, ask: Ask) -> None:
    account.fault("short_page", rows=2)
    tickets, _ = ask(account).export_all()
    assert [one["id"] for one in tickets] == account.ids()
    assert len(account.requests) == 2


@pytest.mark.parametrize("variant", ["no_id", "null_id", "text_id", "wrong_types", "not_an_object"])
def test_one_malformed_ticket_among_good_ones(account: Account, ask: Ask, variant: str) -> None:
    account.fault("malformed_ticket", variant=variant)
    bad, *good = ask(account).export(start_time=0).json()["tickets"]
    assert [one["id"] for one in good] == account.ids()[1:]
    truth = json.loads(account.ticket(account.ids()[0]))
    assert bad != truth
    if variant == "wrong_types":
        assert (bad["id"], type(bad["tags"]), type(bad["subject"])) == (truth["id"], dict, list)


def test_text_that_a_database_cannot_hold(account: Account, ask: Ask) -> None:
    account.fault("strange_text")
    for _ in range(2):  # it stays so
        first = ask(account).export(start_time=0).json()["tickets"][0]
        assert (first["subject"][0], first["subject"][-1]) == ("\0", "\ud800")
    (number,) = account.strange(1)
    assert b"\\u0000" in account.ticket(number)
    assert account.ticket(number) in ask(account).export(start_time=0).content


@pytest.mark.parametrize("at", ["before", "within"])
def test_a_reset(account: Account, ask: Ask, at: str) -> None:
    account.fault("reset", at=at)
    with pytest.raises(httpx.ReadError):
        ask(account).export(start_time=0)
    assert ask(account).export(start_time=0).status_code == 200


def test_a_truncated_body(account: Account, ask: Ask) -> None:
    account.fault("truncated", part=0.25)
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        ask(account).export(start_time=0)
    account.fault("truncated", part=0)
    with pytest.raises(httpx.RemoteProtocolError):
        ask(account).export(start_time=0)


def test_a_body_that_drips_arrives_whole(account: Account, ask: Ask) -> None:
    account.fault("slow", delay_s=0.01, chunk=2000, every_s=0.001)
    assert ask(account).export(start_time=0).content == ask(account).export(start_time=0).content


@pytest.mark.parametrize("at", ["before", "within"])
def test_a_call_hangs_until_it_is_released(account: Account, ask: Ask, at: str) -> None:
    fault = account.fault("hang", at=at)
    got: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: got.append(ask(account).export(start_time=0)))
    asking.start()
    wait_for(lambda: fault.hits, "the call to arrive")
    assert not got
    fault.release()
    asking.join(10)
    assert len(got[0].json()["tickets"]) == 60


def test_a_hang_ends_with_the_simulator(ask: Ask) -> None:
    with Simulator() as simulator:
        account = simulator.add_account("acme", tickets=5)
        fault = account.fault("hang", times=None)
        failed: list[Exception] = []

        def call() -> None:
            try:
                ask(account).export(start_time=0)
            except httpx.TransportError as error:
                failed.append(error)

        asking = threading.Thread(target=call)
        asking.start()
        wait_for(lambda: fault.hits, "the call to arrive")
        simulator.stop()
        asking.join(10)
    assert not asking.is_alive()


def test_a_huge_body_and_one_that_only_unpacks_to_be_huge(account: Account, ask: Ask) -> None:
    account.fault("huge_body", size=3_000_000)
    assert len(ask(account).export(start_time=0).content) > 3_000_000
    account.fault("huge_body", size=50_000_000, is_gzip=True)
    with ask(account).http.stream(
        "GET", f"{account.base_url}/api/v2/incremental/tickets/cursor?start_time=0"
    ) as answer:
        packed = b"".join(answer.iter_raw())
    assert len(packed) < 1_000_000
    assert len(gzip.decompress(packed)) > 50_000_000
    account.fault("bad_gzip")
    with pytest.raises(httpx.DecodingError):
        ask(account).export(start_time=0)


def test_faults_spoil_the_list_as_well(account: Account, ask: Ask) -> None:
    query = {"sort": "updated_at", "page[size]": 10}
    first = ask(account).get("/api/v2/tickets", **query).json()
    query["page[after]"] = first["meta"]["after_cursor"]
    account.fault("stuck_cursor")
    assert ask(account).get("/api/v2/tickets", **query).json()["meta"] == first["meta"] | {
        "before_cursor": ask(account).get("/api/v2/tickets", **query).json()["meta"]["before_cursor"]
    }
    account.fault("duplicates_across", rows=2)
    page = ask(account).get("/api/v2/tickets", **query).json()
    assert [one["id"] for one in page["tickets"]][:2] == [one["id"] for one in first["tickets"]][-2:]


def test_a_suspended_account_is_html_everywhere(account: Account, ask: Ask) -> None:
    account.is_suspended = True
    for path in ("/api/v2/users/me", "/api/v2/tickets"):
        assert ask(account).get(path).headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        ("nonsense", {}, "no kind of fault"),
        ("html", {"on": "moon"}, "no such endpoint"),
        ("html", {"size": 3}, "html has no option size"),
    ],
)
def test_a_fault_that_is_none_is_refused(account: Account, kind: str, options: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        account.fault(kind, **options)  # type: ignore[arg-type]


def test_latency(simulator: Simulator, ask: Ask) -> None:
    account = simulator.add_account("slow", tickets=5, latency_s=0.05)
    assert ask(account).export(start_time=0).elapsed.total_seconds() > 0.04


def test_every_kind_of_fault_can_be_asked_for(account: Account) -> None:
    assert all(account.fault(kind).kind == kind for kind in KINDS)


def test_every_kind_of_fault_and_its_options_are_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")
    for kind, options in KINDS.items():
        assert f"`{kind}`" in text, kind
        assert not [option for option in options if f"`{option}`" not in text], kind
