"""A few threads for what blocks, so that the event loop never does."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_Work = Callable[[], None]


class Threads:
    """A fixed number of daemon threads: the process may end while one of them still waits for the network.

    `run` from the event loop, `close` from any thread. Started by the first `run`.
    """

    def __init__(self, name: str, count: int) -> None:
        self._work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._loop, name=f"{name}-{number}", daemon=True) for number in range(1, count + 1)
        ]

    async def run(self, work: Callable[[], T]) -> T:
        """Do `work` in one of the threads. If the caller is cancelled the work goes on and its result is dropped."""
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()

        def settle(value: T | None, error: BaseException | None) -> None:
            if result.cancelled():
                return
            if error is not None:
                result.set_exception(error)
            else:
                result.set_result(value)  # type: ignore[arg-type]

        def perform() -> None:
            value, error = None, None
            try:
                value = work()
            except BaseException as raised:  # noqa: BLE001 - it is raised again, in whoever waits
                error = raised
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(settle, value, error)

        if self._threads[0].ident is None:
            for thread in self._threads:
                thread.start()
        self._work.put(perform)
        return await result

    def close(self, timeout_s: float) -> None:
        """End the threads after what they are doing, and wait that long for them."""
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(timeout_s)

    def _loop(self) -> None:
        while (work := self._work.get()) is not None:
            work()
