"""Rate budgets: read from every spelling of the headers, obeyed before they are hit and after."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures.loopback import FastTime
from zendeskd.connectors.budgets import (
    ACCOUNT,
    EXPORT,
    AccountBudgets,
    Accounts,
    account_budget,
    endpoint_budget,
    retry_after,
)
from zendeskd.connectors.faults import Answer
from zendeskd.models import BudgetView


def answer(status: int = 200, body: bytes = b"", **headers: str) -> Answer:
    return Answer(
        status=status,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        body=body,
        host="acme.zendesk.com",
    )


def account(remaining: int, total: int = 700, **more: str) -> Answer:
    return answer(x_rate_limit=str(total), x_rate_limit_remaining=str(remaining), **more)


def export(remaining: int, resets: int, total: int = 10, status: int = 200) -> Answer:
    said = f"total={total}; remaining={remaining}; resets={resets}"
    return answer(status, zendesk_ratelimit_incremental_exports=said)


@pytest.fixture
def fast_time() -> FastTime:
    return FastTime()


@pytest.fixture
def budgets(fast_time: FastTime) -> AccountBudgets:
    return AccountBudgets(fast_time)


def through(budgets: AccountBudgets, kind: str, reply: Answer | None) -> None:
    assert budgets.enter(kind) is None
    budgets.leave(kind, reply)


# --- headers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"x-rate-limit": "700", "x-rate-limit-remaining": "650"},
        {"ratelimit-limit": "700", "ratelimit-remaining": "650", "ratelimit-reset": "30"},
        {"rate-limit": "700", "rate-limit-remaining": "650", "rate-limit-reset": "30"},
        {"x-rate-limit": " 700 ", "ratelimit-remaining": "650"},
    ],
)
def test_the_accounts_budget_is_read_in_every_spelling(headers: dict[str, str]) -> None:
    said = account_budget(headers)
    assert said is not None
    assert (said.total, said.remaining) == (700, 650)
    assert said.reset_s == (30 if len(headers) == 3 else None)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-rate-limit": "700"},
        {"x-rate-limit": "many", "x-rate-limit-remaining": "few"},
        {"x-rate-limit": "0", "x-rate-limit-remaining": "0"},
        {"x-rate-limit": "٧", "x-rate-limit-remaining": "1"},
        {"x-rate-limit": "9" * 40, "x-rate-limit-remaining": "1"},
    ],
)
def test_an_unusable_account_header_says_nothing(headers: dict[str, str]) -> None:
    assert account_budget(headers) is None


@pytest.mark.parametrize("name", ["zendesk-ratelimit-incremental-exports", "zendesk-rate-limit-incremental-exports"])
def test_an_endpoints_budget_is_read_in_both_spellings(name: str) -> None:
    said = endpoint_budget({name: "total=10; remaining=9; resets=2", "other": "total=1"})
    assert said is not None
    assert (said.total, said.remaining, said.reset_s) == (10, 9, 2)
    assert endpoint_budget({name: "Total=10;Remaining=9"}) is not None
    assert endpoint_budget({name: "nonsense"}) is None


def test_the_tightest_of_several_endpoint_budgets_counts() -> None:
    said = endpoint_budget(
        {
            "zendesk-ratelimit-a": "total=10; remaining=9; resets=2",
            "zendesk-ratelimit-b": "total=100; remaining=3; resets=2",
        }
    )
    assert said is not None
    assert said.total == 100


@given(st.dictionaries(st.sampled_from(["x-rate-limit", "x-rate-limit-remaining", "zendesk-ratelimit-x"]), st.text()))
def test_no_header_is_too_strange_to_be_read(headers: dict[str, str]) -> None:
    account_budget(headers)
    endpoint_budget(headers)
    retry_after(Answer(429, {"retry-after": headers.get("x-rate-limit", "")}, b"", "h"), FastTime())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("2.5", 2.5),
        ("-3", 0.0),
        ("Mon, 23 Nov 2026 14:05:30 GMT", 30.0),
        ("Mon, 23 Nov 2026 14:00:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
    ],
)
def test_retry_after_is_read_in_every_form_on_the_servers_clock(
    text: str, seconds: float | None, fast_time: FastTime
) -> None:
    reply = answer(429, retry_after=text, date="Mon, 23 Nov 2026 14:05:00 GMT")
    assert retry_after(reply, fast_time) == seconds


# --- before they are hit ----------------------------------------------------------------------------------------------


def test_nothing_known_means_nothing_held(budgets: AccountBudgets) -> None:
    for _ in range(50):
        assert budgets.enter(EXPORT) is None
    assert budgets.views() == ()


def test_a_used_up_export_budget_is_waited_out(budgets: AccountBudgets, fast_time: FastTime) -> None:
    through(budgets, EXPORT, export(remaining=0, resets=20))
    hold = budgets.enter(EXPORT)
    assert hold is not None
    assert hold.reason == "export budget used up"
    assert 20 <= hold.seconds <= 21
    assert budgets.enter(ACCOUNT) is None  # the account itself is free
    fast_time.ticks += hold.seconds
    assert budgets.enter(EXPORT) is None


def test_a_quarter_of_the_accounts_budget_is_left_to_people(budgets: AccountBudgets, fast_time: FastTime) -> None:
    through(budgets, "list", account(remaining=176))
    assert budgets.enter("list") is None
    budgets.leave("list", account(remaining=175))
    for kind in ("list", EXPORT, ACCOUNT):
        hold = budgets.enter(kind)
        assert hold is not None
        assert hold.reason == "account budget at a quarter"
        assert 0 < hold.seconds <= 60
    fast_time.ticks += hold.seconds
    assert budgets.enter("list") is None


def test_the_announced_reset_of_the_account_is_used(budgets: AccountBudgets) -> None:
    through(budgets, ACCOUNT, account(remaining=5, ratelimit_reset="12"))
    hold = budgets.enter(ACCOUNT)
    assert hold is not None
    assert 12 <= hold.seconds <= 13


def test_requests_in_flight_count_before_their_answers_come(budgets: AccountBudgets) -> None:
    through(budgets, EXPORT, export(remaining=3, resets=30))
    assert [budgets.enter(EXPORT) is None for _ in range(5)] == [True, True, True, False, False]


def test_answers_that_overtake_each_other_do_not_raise_the_budget(budgets: AccountBudgets) -> None:
    for _ in range(3):
        assert budgets.enter(EXPORT) is None
    budgets.leave(EXPORT, export(remaining=1, resets=30))
    budgets.leave(EXPORT, export(remaining=2, resets=30))
    budgets.leave(EXPORT, None)  # no answer: it may have counted
    assert budgets.views() == (BudgetView("export", 0, 10),)


def test_a_new_window_is_believed(budgets: AccountBudgets, fast_time: FastTime) -> None:
    through(budgets, EXPORT, export(remaining=1, resets=3))
    fast_time.ticks += 4
    through(budgets, EXPORT, export(remaining=9, resets=60))
    assert budgets.views() == (BudgetView("export", 9, 10),)


def test_many_runs_on_one_account_never_overshoot(budgets: AccountBudgets, fast_time: FastTime) -> None:
    """A model of the server: ten a minute. Requests overlap; the answers come late and in any order."""
    window_ends, left, refused, done = fast_time.ticks + 60, 10, 0, 0
    in_flight: list[Answer] = []
    while done < 100:
        hold = budgets.enter(EXPORT)
        if hold is None:
            if fast_time.ticks >= window_ends:
                window_ends, left = fast_time.ticks + 60, 10
            refused += left <= 0
            left -= 1
            done += 1
            in_flight.append(export(remaining=max(0, left), resets=int(window_ends - fast_time.ticks) + 1))
            if done > 1 and len(in_flight) < 4:
                continue
        if in_flight:
            fast_time.ticks += 0.7
            budgets.leave(EXPORT, in_flight.pop(len(in_flight) // 2))
        else:
            assert hold is not None
            fast_time.ticks += hold.seconds
    assert refused == 0
    assert fast_time.ticks - 5000.0 < 100 / 10 * 60 + 120  # and the budget is used


# --- after they are hit -----------------------------------------------------------------------------------------------


def refused(seconds: str | None = None, body: bytes = b"", **headers: str) -> Answer:
    more = {} if seconds is None else {"retry_after": seconds}
    return answer(429, body, **more, **headers)


EXPORT_WORDS = b'{"error":"APIRateLimitExceeded","description":"Number of allowed incremental export API requests"}'


@pytest.mark.parametrize(("asked", "least"), [("7", 7), ("0", 1), ("0.2", 1), (None, 1), ("rubbish", 1)])
def test_a_429_holds_everyone_back_for_a_second_at_least(
    budgets: AccountBudgets, asked: str | None, least: float
) -> None:
    through(budgets, EXPORT, refused(asked))
    for kind in (EXPORT, ACCOUNT, "list"):
        hold = budgets.enter(kind)
        assert hold is not None
        assert least < hold.seconds <= least * 1.1 + 1
        assert hold.reason == "429, account budget"


def test_a_429_of_the_export_leaves_the_rest_of_the_account_free(budgets: AccountBudgets) -> None:
    through(budgets, EXPORT, refused("30", EXPORT_WORDS))
    hold = budgets.enter(EXPORT)
    assert hold is not None
    assert hold.reason == "429, export budget"
    assert budgets.enter(ACCOUNT) is None


def test_whose_429_it_is_can_be_told_by_the_header(budgets: AccountBudgets) -> None:
    through(budgets, "list", answer(429, retry_after="5", zendesk_ratelimit_tickets_index="total=9; remaining=0"))
    assert budgets.enter(ACCOUNT) is None
    hold = budgets.enter("list")
    assert hold is not None
    assert hold.reason == "429, list budget"


def test_repeated_429s_wait_longer_and_a_success_forgets_them(budgets: AccountBudgets, fast_time: FastTime) -> None:
    waits = []
    for _ in range(9):
        through(budgets, ACCOUNT, refused())
        hold = budgets.enter(ACCOUNT)
        assert hold is not None
        waits.append(hold.seconds)
        fast_time.ticks += hold.seconds
    assert waits == sorted(waits)
    assert waits[0] < 3
    assert 60 <= waits[-1] <= 66
    through(budgets, ACCOUNT, answer())
    through(budgets, ACCOUNT, refused())
    hold = budgets.enter(ACCOUNT)
    assert hold is not None
    assert hold.seconds < 3


def test_without_retry_after_the_known_reset_is_waited_for(budgets: AccountBudgets) -> None:
    through(budgets, EXPORT, export(remaining=5, resets=40))
    through(budgets, EXPORT, refused(None, EXPORT_WORDS))
    hold = budgets.enter(EXPORT)
    assert hold is not None
    assert hold.seconds >= 40


def test_after_a_429_one_request_goes_ahead_of_the_others(budgets: AccountBudgets, fast_time: FastTime) -> None:
    through(budgets, ACCOUNT, refused("2"))
    fast_time.ticks += 5
    assert budgets.enter(ACCOUNT) is None
    second = budgets.enter(ACCOUNT)
    assert second is not None
    assert second.seconds == 1
    budgets.leave(ACCOUNT, answer())
    assert budgets.enter(ACCOUNT) is None


def test_an_absurd_retry_after_is_not_believed_for_ever(budgets: AccountBudgets) -> None:
    through(budgets, ACCOUNT, refused("99999999"))
    hold = budgets.enter(ACCOUNT)
    assert hold is not None
    assert hold.seconds <= 3700


def test_accounts_are_kept_apart_and_one_account_is_shared(fast_time: FastTime) -> None:
    accounts = Accounts(fast_time)
    acme = accounts.of("https://acme.zendesk.com")
    assert accounts.of("https://ACME.zendesk.com/") is acme
    assert accounts.of("https://globex.zendesk.com") is not acme
