"""What threads have in common: they may not be to be had, one makes calls for another, and one ends what takes too
long."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Final, TypeVar

import structlog

from zendeskd.errors import NetworkError

log = structlog.get_logger("zendeskd.threads")

_NEVER: Final = float("inf")

T = TypeVar("T")


def begin(thread: threading.Thread) -> None:
    """Start it. Raises NetworkError where the host gives no more threads: work that could not begin, and no bug."""
    try:
        thread.start()
    except RuntimeError as error:
        raise NetworkError(
            f"The account was not called: this host gives the daemon no more threads ({error}).",
            hint="TasksMax of the unit and the limits of the daemon's user say how many it may have.",
        ) from error


class Companion:
    """A thread that makes calls for another one, one after the other; it begins with the first. One thread at a time.

    One for all of them: a thread for each would take another of the C library's heaps each time, and fill them all.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def call(self, what: Callable[[], T]) -> Future[T]:
        """What it returns or raises is the future's. Raises NetworkError as `begin` does."""
        future: Future[T] = Future()

        def call() -> None:
            try:
                future.set_result(what())
            except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
                future.set_exception(error)

        if self._thread is None:
            thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            begin(thread)
            self._thread = thread
        self._calls.put(call)
        return future

    def close(self, within_s: float) -> None:
        """Let it end after the call it is in, and wait for that, but not for longer."""
        if self._thread is not None:
            self._calls.put(None)
            self._thread.join(within_s)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            del call  # and with it what came of it


class Alarms:
    """Any number of time limits for one thread, which the first one starts: a thread for each call would cost more
    than many a call. Any thread; a leaf that calls nothing while its lock is held."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._set: dict[object, tuple[float, Callable[[], None]]] = {}
        self._wakes_at = _NEVER
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def after(self, seconds: float, call: Callable[[], None]) -> Iterator[None]:
        """`call`, from the thread, when the block has lasted for so long. It must not block. Raises NetworkError."""
        alarm, at = object(), time.monotonic() + seconds
        with self._changed:
            if self._thread is None or not self._thread.is_alive():
                thread = threading.Thread(target=self._watch, name="time-limits", daemon=True)
                begin(thread)
                self._thread = thread
            self._set[alarm] = at, call
            if at < self._wakes_at:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._set.pop(alarm, None)

    def _watch(self) -> None:
        while True:
            with self._changed:
                now = time.monotonic()
                due = [alarm for alarm, (at, _) in self._set.items() if at <= now]
                calls = [self._set.pop(alarm)[1] for alarm in due]
                if not calls:
                    self._wakes_at = min((at for at, _ in self._set.values()), default=_NEVER)
                    self._changed.wait(None if self._wakes_at == _NEVER else self._wakes_at - now)
            for call in calls:
                try:
                    call()
                except Exception:  # a bug in one must not keep the others from ending
                    log.exception("time limit not kept")


alarms: Final = Alarms()
"""The process's one."""
