"""Waiting, the clocks and chance: what a connector takes from the world besides the network."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from zendeskd.cancel import CancelToken
from zendeskd.errors import NetworkError, RunError
from zendeskd.models import CallStats, State, Waiting, utcnow


class Time:
    """The clocks and chance. Tests replace the whole of it; any thread may call it."""

    def now(self) -> datetime:
        return utcnow()

    def monotonic(self) -> float:
        return time.monotonic()

    def random(self) -> float:
        """Between 0 and 1, for jitter."""
        return random.random()  # noqa: S311 - spreads retries, guards nothing

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait for the event, `seconds` at most. True if it is set."""
        return event.wait(seconds)


class Patience:
    """The waits of one run: each is reported, and ends at once when the run is cancelled or its source closed."""

    def __init__(
        self, cancel: CancelToken, on_wait: Callable[[Waiting | None], None], stats: CallStats, time: Time
    ) -> None:
        self._cancel = cancel
        self._on_wait = on_wait
        self._stats = stats
        self._time = time
        self._over = threading.Event()
        cancel.on_set(self._over.set)

    def check(self) -> None:
        """Raises Cancelled if the run is over, NetworkError if only its source was closed."""
        if self._over.is_set():
            self._cancel.check()
            raise NetworkError("The connection was closed while a call was under way.")

    def wait(self, seconds: float, state: State, reason: str, error: BaseException | None = None) -> None:
        """Wait, telling why. `state` LIMITED counts as waiting for a rate limit, RETRYING (after `error`) does not."""
        self.check()
        started = self._time.monotonic()
        until = self._time.now() + timedelta(seconds=seconds)
        said, request_id = (error.detail, error.request_id) if isinstance(error, RunError) else (None, None)
        self._on_wait(Waiting(state=state, until=until, reason=reason, error=said, request_id=request_id))
        try:
            self._time.wait(self._over, seconds)
        finally:
            if state is State.LIMITED:
                self._stats.rate_limit_wait_ms += round((self._time.monotonic() - started) * 1000)
            self._on_wait(None)
        self.check()

    def end(self) -> None:
        """End every wait, now and later. Any thread."""
        self._over.set()
