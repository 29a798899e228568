"""Asking a run to end: one flag that waits can sleep on and blocked readers can be woken by."""

from __future__ import annotations

import threading
from collections.abc import Callable

from zendeskd.errors import Cancelled


class CancelToken:
    """Set once, from any thread; the first reason wins.

    Reasons: `cancelled` (a person cancelled the run), `stopped` (a person stopped the organisation),
    `shutdown` (the daemon ends), `deadline` (the run took too long).
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []
        self.reason: str | None = None

    def set(self, reason: str) -> None:
        with self._lock:
            if self._event.is_set():
                return
            self.reason = reason
            self._event.set()
            callbacks = list(self._callbacks)
        for callback in callbacks:
            callback()

    def is_set(self) -> bool:
        return self._event.is_set()

    def on_set(self, callback: Callable[[], None]) -> None:
        """Call `callback` when set, at once if it already is. It runs in the setter's thread and must not block."""
        with self._lock:
            if not self._event.is_set():
                self._callbacks.append(callback)
                return
        callback()

    def wait(self, seconds: float) -> None:
        """Sleep up to `seconds`. Raises Cancelled as soon as the token is set."""
        if self._event.wait(max(0.0, seconds)):
            raise Cancelled

    def check(self) -> None:
        """Raises Cancelled if the token is set."""
        if self._event.is_set():
            raise Cancelled
