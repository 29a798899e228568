"""Calls that succeed or raise: pacing before each request, waits for rate limits, retries of what may pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception

from zendeskd.connectors.budgets import AccountBudgets, retry_after
from zendeskd.connectors.faults import (
    Answer,
    Limited,
    Slow,
    fault_of,
    is_slow,
    is_transient,
)
from zendeskd.connectors.transport import Request, Transport
from zendeskd.connectors.waits import Patience, Time
from zendeskd.errors import BadResponse, RunError, ServerError
from zendeskd.models import CallStats, State

TRIES: Final = 5
FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 8.0
LONGEST_UNAVAILABLE_S: Final = 120.0

T = TypeVar("T")


class Unavailable(ServerError):
    """503 that says when to come back."""

    after_s: float = 0.0


class _HeadersFailed(Exception):
    """The headers could not be had, which had tries of its own: not to be tried again."""

    def __init__(self, error: RunError) -> None:
        super().__init__(str(error))
        self.error = error


class Exchange:
    """The calls of one run to one account. One thread at a time calls; `stats` is read by any."""

    def __init__(
        self, transport: Transport, budgets: AccountBudgets, patience: Patience, stats: CallStats, time: Time
    ) -> None:
        self._transport = transport
        self._budgets = budgets
        self._patience = patience
        self._stats = stats
        self._time = time

    def ask(
        self,
        request: Callable[[], Request],
        kind: str,
        decode: Callable[[Answer], T],
        *,
        headers: Callable[[], Mapping[str, str]] = dict,
        shrink: Callable[[], bool] = lambda: False,
        most_tries: int = TRIES,
    ) -> T:
        """The decoded answer.

        `request` and `headers` are asked anew for every try. `shrink` is told of an answer that was too slow or too
        large, and returns whether it made the next request smaller; that try does not count. `decode` raises
        BadResponse. Raises RunError (Unauthorized for a 401) and Cancelled.
        """
        tries = _Tries(shrink, most_tries, self._time)
        retrying = Retrying(
            retry=retry_if_exception(is_transient),
            stop=tries.are_over,
            wait=tries.seconds,
            sleep=lambda seconds: self._before_retry(tries, seconds),
            reraise=True,
        )
        try:
            return retrying(lambda: decode(self._send(request, kind, headers)))
        except _HeadersFailed as failed:
            raise failed.error from failed.error.__cause__

    def _before_retry(self, tries: _Tries, seconds: float) -> None:
        self._stats.retries += 1
        self._patience.wait(seconds, State.RETRYING, tries.words, tries.error)

    def _send(self, request: Callable[[], Request], kind: str, headers: Callable[[], Mapping[str, str]]) -> Answer:
        """One answer of 2xx; waits for budgets and through 429s, which are no failures."""
        while True:
            fields = self._wait_for_room(kind, headers)
            answer = None
            try:
                self._stats.api_calls += 1
                answer = self._transport.send(request(), fields)
            except RunError:
                self._patience.check()
                raise
            finally:
                self._budgets.leave(kind, answer)
            self._stats.request_id = answer.request_id
            fault = fault_of(answer)
            if fault is None:
                return answer
            if isinstance(fault, Limited):
                continue
            raise self._with_patience_asked(fault, answer)

    def _wait_for_room(self, kind: str, headers: Callable[[], Mapping[str, str]]) -> Mapping[str, str]:
        """Take a place in the budgets. -> the headers, as they are after the wait."""
        while True:
            self._patience.check()
            try:
                fields = headers()  # not while holding a place: this may be a call of its own
            except RunError as error:
                raise _HeadersFailed(error) from error
            hold = self._budgets.enter(kind)
            if hold is None:
                return fields
            self._patience.wait(hold.seconds, State.LIMITED, hold.reason)

    def _with_patience_asked(self, fault: RunError, answer: Answer) -> RunError:
        after_s = retry_after(answer, self._time) if answer.status == 503 else None
        if after_s is None:
            return fault
        unavailable = Unavailable(
            f"{answer.host} is not available and asks to come back in {after_s:.0f} s (HTTP 503).",
            status=503,
            request_id=answer.request_id,
        )
        unavailable.after_s = after_s
        return unavailable


class _Tries:
    """Counts the tries of one call; those that led to a smaller request do not count."""

    def __init__(self, shrink: Callable[[], bool], most: int, time: Time) -> None:
        self._shrink = shrink
        self._most = most
        self._time = time
        self._failed = 0
        self.error: BaseException | None = None

    @property
    def words(self) -> str:
        """Short, for a status line."""
        return f"{_in_short(self.error)}, try {self._failed + 1} of {self._most}"

    def are_over(self, state: RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome is not None else None
        self.error = error
        if error is not None and is_slow(error) and self._shrink():
            return False
        self._failed += 1
        if isinstance(error, Unavailable) and error.after_s > LONGEST_UNAVAILABLE_S:
            return True
        return self._failed >= self._most

    def seconds(self, state: RetryCallState) -> float:
        """Tenacity asks for the wait first and for the end after it, so this one looks at the try before."""
        error = state.outcome.exception() if state.outcome is not None else None
        doubled = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0**self._failed) * (0.75 + 0.5 * self._time.random())
        return max(doubled, error.after_s) if isinstance(error, Unavailable) else doubled


def _in_short(error: BaseException | None) -> str:
    if isinstance(error, ServerError):
        return f"HTTP {error.status}"
    if isinstance(error, Slow):
        return "time-out"
    return "unreadable answer" if isinstance(error, BadResponse) else "not reachable"
