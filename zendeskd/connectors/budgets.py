"""Rate budgets: obeyed before they are hit, and after. One set per account, shared by every run on it.

Sources of the rules: Zendesk's rate-limit page and recorded headers. The account's budget is per minute and shared
with its people, so a quarter is left to them; some endpoints (the incremental export: 10 a minute) have one of their
own. Header names differ by year: `rate-limit-*` in 2023, `ratelimit-*` since.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from zendeskd.connectors.faults import Answer, error_words, http_date
from zendeskd.connectors.holds import LEAST_S, Holds
from zendeskd.connectors.waits import Time
from zendeskd.models import BudgetView

ACCOUNT: Final = "account"
EXPORT: Final = "export"

RESERVE: Final = 0.25
WINDOW_S: Final = 60.0
LONGEST_S: Final = 3600.0
_GRACE_S: Final = 0.25  # after a window's announced end: both clocks count whole seconds
_TURN_S: Final = 1.0


class Hold(NamedTuple):
    """Not now: how long to wait before asking again, and why."""

    seconds: float
    reason: str


@dataclass(slots=True)
class _Budget:
    name: str
    reserve: float = 0.0  # the part of the total that is left to others
    total: int | None = None
    remaining: int = 0
    reset_at: float = 0.0
    not_before: float = 0.0
    refused_by: str = ""
    refusals: int = 0  # 429s in a row
    in_flight: int = 0
    answered: deque[float] = field(default_factory=deque)  # when, within the last window

    def hold(self, now: float) -> Hold | None:
        if now < self.not_before:
            return Hold(self.not_before - now, self.refused_by)
        if self.refusals and self.in_flight:
            return Hold(_TURN_S, f"429, {self.name} budget")  # one goes ahead and sees whether it is over
        if self.total is None:
            return None
        if now >= self.reset_at:
            self.remaining, self.reset_at = self.total, now + WINDOW_S
        reason = f"{self.name} budget {'at a quarter' if self.reserve else 'used up'}"
        if self.remaining - self.in_flight <= self.total * self.reserve and self.total > 0:
            return Hold(self.reset_at - now, reason)
        # whenever the source's windows begin: in none of this length does it see more than the total
        self._forget(now)
        if len(self.answered) + self.in_flight >= self.total - int(self.total * self.reserve):
            after_s = self.answered[0] + WINDOW_S + _GRACE_S - now if self.answered else _TURN_S
            return Hold(after_s, reason)
        return None

    def came_back(self, now: float) -> None:
        """A request was answered, or never will be: so long ago, at the latest, the source counted it."""
        self.in_flight -= 1
        self.answered.append(now)
        self._forget(now)

    def _forget(self, now: float) -> None:
        while self.answered and self.answered[0] + WINDOW_S + _GRACE_S <= now:
            self.answered.popleft()

    def announce(self, total: int, remaining: int, reset_s: float | None, now: float) -> None:
        """What a header said. Within one window the lowest number counts: answers overtake each other, and a slow one
        seems to tell of a later reset."""
        reset_at = self.reset_at if reset_s is None else now + reset_s + _GRACE_S
        if self.total is None or now >= self.reset_at or reset_at > self.reset_at + WINDOW_S / 2:
            self.remaining = remaining
            self.reset_at = reset_at if reset_s is not None else now + WINDOW_S
        else:
            self.remaining = min(self.remaining, remaining)
            self.reset_at = min(self.reset_at, reset_at)
        self.total = total

    def refuse(self, asked_s: float | None, now: float, jitter: float) -> None:
        """A 429. `asked_s` is what Retry-After said, if it said anything usable."""
        self.refusals += 1
        grown = min(60.0, 2.0 ** (self.refusals - 1))
        known = self.reset_at - now if self.total is not None and asked_s is None else 0.0
        seconds = min(LONGEST_S, max(1.0, asked_s or 0.0, grown, known))
        self.put_off(now + seconds + jitter * min(5.0, 1.0 + seconds / 10), f"429, {self.name} budget")

    def put_off(self, until: float, why: str) -> None:
        if until > self.not_before:
            self.not_before, self.refused_by = until, why


@dataclass(slots=True)
class _Announced:
    total: int
    remaining: int
    reset_s: float | None


class AccountBudgets:
    """The budgets of one account. Any thread."""

    def __init__(
        self,
        time: Time,
        *,
        held: Mapping[str, float] | None = None,
        keep: Callable[[str, datetime], None] = lambda _budget, _until: None,
    ) -> None:
        """`held`: seconds that its budgets are still to be left alone; `keep` is told of each such wish that is not
        over in a moment."""
        self._time, self._keep = time, keep
        self._lock = threading.Lock()
        self._account = _Budget(ACCOUNT, reserve=RESERVE)
        self._endpoints: dict[str, _Budget] = {}
        for name, seconds in (held or {}).items():
            budget = self._account if name == ACCOUNT else self._endpoints.setdefault(name, _Budget(name))
            budget.put_off(time.monotonic() + min(LONGEST_S, seconds), "asked to wait")

    def enter(self, kind: str) -> Hold | None:
        """Take a place for one request of this kind of endpoint, or learn how long to wait before trying again."""
        with self._lock:
            now = self._time.monotonic()
            budgets = self._of(kind)
            holds = [hold for hold in (budget.hold(now) for budget in budgets) if hold is not None]
            if holds:
                return max(holds)
            for budget in budgets:
                budget.in_flight += 1
            return None

    def leave(self, kind: str, answer: Answer | None) -> None:
        """Give the place back, and learn from the answer (None: there was none)."""
        with self._lock:
            now = self._time.monotonic()
            before = {id(budget): budget.not_before for budget in self._all()}
            self._learn(kind, answer, now)
            asked = {one.name: one.not_before - now for one in self._all() if one.not_before > before.get(id(one), 0.0)}
        for name, seconds in asked.items():
            if seconds > LEAST_S:
                self._keep(name, self._time.now() + timedelta(seconds=seconds))

    def _learn(self, kind: str, answer: Answer | None, now: float) -> None:
        budgets = self._of(kind)
        for budget in budgets:
            budget.came_back(now)
        if answer is None:
            for budget in budgets:
                budget.remaining -= 1  # it may have counted
            return
        for budget in budgets:
            said = (account_budget if budget is self._account else endpoint_budget)(answer.headers)
            if said is not None:
                budget.announce(said.total, said.remaining, said.reset_s, now)
            else:
                budget.remaining -= 1
        if answer.status == 429:
            refused = self._refused(kind, answer)
            refused.refuse(retry_after(answer, self._time), now, self._time.random())
            for budget in budgets:
                if budget is not refused:
                    budget.refusals = 0
            return
        if answer.status == 503 and (asked_s := retry_after(answer, self._time)) is not None:
            self._account.put_off(now + min(LONGEST_S, asked_s), "503, asked to wait")
        for budget in budgets:
            budget.refusals = 0

    def views(self) -> tuple[BudgetView, ...]:
        """What was last announced, the endpoint's own budgets first."""
        with self._lock:
            return tuple(
                BudgetView(name=budget.name, remaining=max(0, budget.remaining), total=budget.total)
                for budget in self._all()
                if budget.total is not None
            )

    def _all(self) -> list[_Budget]:
        return [*self._endpoints.values(), self._account]

    def _of(self, kind: str) -> list[_Budget]:
        if kind == ACCOUNT:
            return [self._account]
        return [self._endpoints.setdefault(kind, _Budget(kind)), self._account]

    def _refused(self, kind: str, answer: Answer) -> _Budget:
        """Whose 429 it is. Where nothing tells, the account's: then nobody calls it."""
        if kind == ACCOUNT:
            return self._account
        endpoint = endpoint_budget(answer.headers)
        _, message = error_words(answer.body)
        if (endpoint is not None and endpoint.remaining <= 0) or "incremental export" in message:
            return self._endpoints[kind]
        return self._account


class Accounts:
    """The budgets of every account this process talks to, by base URL. Any thread."""

    def __init__(self, time: Time, kept_in: Path | None = None) -> None:
        """`kept_in`: the file that outlives the process."""
        self._time, self._holds = time, Holds(kept_in, time.now)
        self._lock = threading.Lock()
        self._by_url: dict[str, AccountBudgets] = {}

    def of(self, base_url: str) -> AccountBudgets:
        url = base_url.rstrip("/").lower()
        with self._lock:
            if url not in self._by_url:
                keep = partial(self._holds.keep, url)
                self._by_url[url] = AccountBudgets(self._time, held=self._holds.of(url), keep=keep)
            return self._by_url[url]


def account_budget(headers: Mapping[str, str]) -> _Announced | None:
    """The account's budget as its headers tell it, in any of their spellings."""
    total = _first_int(headers, "x-rate-limit", "ratelimit-limit", "rate-limit", "x-ratelimit-limit")
    remaining = _first_int(
        headers, "x-rate-limit-remaining", "ratelimit-remaining", "rate-limit-remaining", "x-ratelimit-remaining"
    )
    reset = _first_int(headers, "ratelimit-reset", "rate-limit-reset", "x-rate-limit-reset")
    if total is None or remaining is None or total <= 0:
        return None
    return _Announced(total, max(0, remaining), None if reset is None else min(float(reset), LONGEST_S))


def endpoint_budget(headers: Mapping[str, str]) -> _Announced | None:
    """The endpoint's own budget: `zendesk-ratelimit-NAME: total=10; remaining=9; resets=2`, the tightest if several."""
    found: list[_Announced] = []
    for name, value in headers.items():
        if not name.startswith(("zendesk-ratelimit-", "zendesk-rate-limit-")):
            continue
        parts = dict(part.strip().partition("=")[::2] for part in value.lower().split(";"))
        total, remaining, resets = (_int(parts.get(key, "")) for key in ("total", "remaining", "resets"))
        if total is not None and remaining is not None and total > 0:
            seconds = None if resets is None else min(float(resets), LONGEST_S)
            found.append(_Announced(total, max(0, remaining), seconds))
    return min(found, key=lambda one: one.remaining, default=None)


def retry_after(answer: Answer, time: Time) -> float | None:
    """Seconds that Retry-After asks for: a number, or an HTTP date on the server's clock. None: nothing usable."""
    text = answer.headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        when = http_date(text)
        if when is None:
            return None
        seconds = (when - (answer.date or time.now())).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _first_int(headers: Mapping[str, str], *names: str) -> int | None:
    for name in names:
        value = _int(headers.get(name, ""))
        if value is not None:
            return value
    return None


def _int(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else None
