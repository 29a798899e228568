"""What the sources of an account are asked, on the account's own record: never too much, never too soon."""

from __future__ import annotations

import heapq
import itertools
import os
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures.copied import Copied
from tests.fixtures.daemons import DaemonProcess
from tests.fixtures.loopback import FastTime, Loopback, Reply
from tests.fixtures.simulated import SimulatedTime
from tests.waiting import wait_for
from zendeskd.connectors.budgets import ACCOUNT, EXPORT, LONGEST_S, AccountBudgets
from zendeskd.connectors.faults import Answer, http_date
from zendeskd.connectors.zendesk import ZendeskConnector
from zendeskd.models import RunStatus, parse_stamp, utcnow
from zendeskd.simulator import Simulator

ROUNDS = int(os.environ.get("ZENDESKD_TEST_ROUNDS", "1"))
MINUTE = 60.0
RUNS = 4
"""At the same time on the account: of several organisations, or a run beside a comparison."""


@dataclass
class Asked:
    at: float
    kind: str


@dataclass
class Source:
    """A Zendesk that counts by minutes which begin when it likes, and is at times not to be had."""

    total: dict[str, int]
    begins: float  # its minutes, so long after the first request
    people: int  # so many requests a minute are not ours
    chance: random.Random
    trouble: float  # how often it answers with a 429 or 503 of its own
    asked: list[Asked] = field(default_factory=list)
    used: dict[tuple[str, int], int] = field(default_factory=dict)

    def answer(self, at: float, kind: str, now: datetime) -> Answer:
        self.asked.append(Asked(at, kind))
        minute = int((at + self.begins) // MINUTE)
        resets = int(MINUTE - (at + self.begins) % MINUTE) + 1
        if self.chance.random() < self.trouble:
            return self._trouble(now)
        headers: dict[str, str] = {}
        for name in {kind, ACCOUNT}:
            used = self.used[name, minute] = self.used.get((name, minute), 0) + 1
            others = int(self.people * ((at + self.begins) % MINUTE) / MINUTE) if name == ACCOUNT else 0
            left = max(0, self.total[name] - used - others)
            if name == ACCOUNT:
                headers |= {"x-rate-limit": str(self.total[name]), "x-rate-limit-remaining": str(left)}
                headers["ratelimit-reset"] = str(resets)
            else:
                headers["zendesk-ratelimit-x"] = f"total={self.total[name]}; remaining={left}; resets={resets}"
        return Answer(200, headers, b"", "acme")

    def _trouble(self, now: datetime) -> Answer:
        seconds = self.chance.choice([0, 1, 7, 61, 600])
        text = str(seconds)
        if self.chance.random() < 0.4:
            text = format_datetime(now + timedelta(seconds=seconds), usegmt=True)
        words = b"Number of allowed incremental export API requests" if self.chance.random() < 0.5 else b""
        body = b'{"error":"APIRateLimitExceeded","description":"%s"}' % words
        headers = {"retry-after": text, "date": format_datetime(now, usegmt=True)}
        return Answer(self.chance.choice([429, 503]), headers, body, "acme")


def play(source: Source, minutes: float, slow: float) -> Iterator[tuple[float, float, str, Answer]]:
    """`RUNS` runs call as fast as they may. -> for each answer: when it was asked for, when it came, what it was."""
    time = FastTime(datetime(2026, 11, 23, 14, tzinfo=UTC))
    budgets, order = AccountBudgets(time), itertools.count()
    events: list[tuple[float, int, str, str, float, Answer | None]] = []
    begin = time.ticks

    def plan(at: float, what: str, kind: str, began: float = 0.0, answer: Answer | None = None) -> None:
        heapq.heappush(events, (at, next(order), what, kind, began, answer))

    for _ in range(RUNS):
        plan(begin + source.chance.random(), "ask", source.chance.choice([EXPORT, EXPORT, ACCOUNT]))
    while events[0][0] < begin + minutes * MINUTE:
        at, _, what, kind, began, answer = heapq.heappop(events)
        time.ticks = at
        if what == "ask":
            hold = budgets.enter(kind)
            if hold is not None:
                plan(at + hold.seconds, "ask", kind)
            else:
                plan(at + source.chance.random() * slow, "arrive", kind, at)
        elif what == "arrive":
            plan(at + source.chance.random() * slow, "come", kind, began, source.answer(at, kind, time.now()))
        else:
            assert answer is not None
            budgets.leave(kind, answer)
            yield began, at, kind, answer
            plan(at + source.chance.random() * 0.2, "ask", kind)


def most_within_a_minute(times: list[float]) -> int:
    times = sorted(times)
    first = most = 0
    for last, at in enumerate(times):
        while at - times[first] >= MINUTE:
            first += 1
        most = max(most, last - first + 1)
    return most


@settings(max_examples=200 * ROUNDS)
@given(
    export=st.integers(RUNS, 30),
    account=st.integers(20, 120),
    begins=st.floats(0, MINUTE),
    people=st.integers(0, 40),
    slow=st.sampled_from([0.1, 2.0, 25.0]),
    trouble=st.sampled_from([0.0, 0.0, 0.03]),
    seed=st.integers(0, 2**16),
)
def test_in_no_minute_whatever_more_than_was_announced_and_a_quarter_less_of_the_account(
    export: int, account: int, begins: float, people: int, slow: float, trouble: float, seed: int
) -> None:
    source = Source({EXPORT: export, ACCOUNT: account}, begins, people, random.Random(seed), trouble)
    answers = list(play(source, 8, slow))
    assert answers
    assert most_within_a_minute([one.at for one in source.asked if one.kind == EXPORT]) <= export
    assert most_within_a_minute([one.at for one in source.asked]) <= account - account // 4
    if not trouble and not people and slow < 1:  # and what there is gets used
        least = min(export, account - account // 4)
        assert len(source.asked) >= least * 6


@settings(max_examples=200 * ROUNDS)
@given(slow=st.sampled_from([0.1, 5.0]), seed=st.integers(0, 2**16))
def test_never_a_request_before_it_is_time_again(slow: float, seed: int) -> None:
    source = Source({EXPORT: 60, ACCOUNT: 700}, 0.0, 0, random.Random(seed), 0.2)
    closed: list[tuple[float, float, str]] = []
    for began, came, kind, answer in play(source, 60, slow):
        for said, until, whose in closed:
            assert not (said <= began < until and whose in {kind, ACCOUNT}), (began, said, until)
        text = answer.headers.get("retry-after")
        if text is not None:
            asked_s = float(text) if text.isdigit() else seconds_until(text, answer)
            whose = EXPORT if answer.status == 429 and b"incremental" in answer.body and kind == EXPORT else ACCOUNT
            closed.append((came, came + min(LONGEST_S, asked_s), whose))
    assert closed


def seconds_until(text: str, answer: Answer) -> float:
    until, now = http_date(text), answer.date
    assert until is not None
    assert now is not None
    return (until - now).total_seconds()


def test_organisations_of_one_account_share_its_budgets(simulator: Simulator, tmp_path: Path) -> None:
    """On the account's own record: three organisations that read everything, one after the other."""
    time = SimulatedTime(simulator)
    account = simulator.add_account(
        "acme", tickets=60, body_bytes=30, account_per_minute=24, export_per_minute=9, old_headers=True
    )
    account.fault("short_page", times=None, rows=5)
    connector = ZendeskConnector(time)
    for number in range(3):
        with closing(Copied(tmp_path / str(number), account, time)) as copy:
            copy.connector = connector
            assert copy.run().status is RunStatus.SUCCESS
            copy.assert_sound()
    seen = [(one.at.timestamp(), one.kind, one.status) for one in account.requests]
    assert {status for _, _, status in seen} <= {200, 201}
    assert len([kind for _, kind, _ in seen if kind == "export"]) >= 36
    assert most_within_a_minute([at for at, kind, _ in seen if kind == "export"]) <= 9
    assert most_within_a_minute([at for at, _, _ in seen]) <= 18


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_daemon_that_starts_again_asks_nobody_before_it_is_time(
    end: str, daemons: Callable[[], DaemonProcess], simulator: Simulator
) -> None:
    """Two organisations of one account, which says 429 and ten minutes, and one of another account."""
    daemon = daemons().start()
    good = simulator.add_account("good", tickets=3)
    with Loopback() as server:
        server.script = [Reply({}, 429, {"Retry-After": "600"})]
        for org in ("one", "two"):
            daemon.add(org, server.url, {"kind": "bearer", "token": "t"})
        wait_for(lambda: {daemon.status(org).state for org in ("one", "two")} == {"limited"}, "both to wait")
        asked = len(server.seen)
        assert asked <= 2  # the second may have been on its way
        daemon.kill() if end == "kill" else daemon.stop()
        daemon.start()
        daemon.add("good", good.base_url, good.credential)
        assert daemon.first_run("good").status == "success"
        for org in ("one", "two"):
            wait_for(lambda org=org: daemon.status(org).state == "limited", "it to wait again")  # type: ignore[misc]
            run = daemon.status(org).run
            assert run is not None
            assert run.waiting_until is not None
            left = parse_stamp(run.waiting_until)
            assert left is not None
            assert 500 < (left - utcnow()).total_seconds() < 680
        assert len(server.seen) == asked
        daemon.kill()
