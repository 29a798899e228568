"""Fetching ahead: the next page is on its way while this one is written.

A run's worker thread consumes; a thread of its own fetches, at most one page ahead, so that memory holds two pages
whatever the account, and an answer or two where the source itself asks ahead or again. The consumer never blocks on the
network: a cancelled run leaves at once, and a source that sends nothing is noticed here even if its connection never
times out.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from typing import Final, Generic, TypeVar

from zendeskd.cancel import CancelToken
from zendeskd.errors import Cancelled, NetworkError
from zendeskd.threads import begin

SLICE_S: Final = 5.0
QUIET_S: Final = 10.0
"""A page that takes longer is waited for without a worker: whoever comes next need not wait for it too."""
STALL_S: Final = 300.0

P = TypeVar("P")


class FetchAhead(Generic[P]):
    """Pages of one run, one ahead; None is none. Made and consumed by the worker's thread.

    `is_waiting` tells whether the source waits and has said until when, which does not count towards a stall; `alive`
    is called at least every few seconds while the consumer waits; `quiet` is told when nothing came for QUIET_S, and
    when that is over. Raises Cancelled, NetworkError (stalled, or no thread to be had), and whatever the source raised.
    """

    def __init__(
        self,
        pages: Iterator[P],
        cancel: CancelToken,
        *,
        is_waiting: Callable[[], bool],
        alive: Callable[[], None],
        quiet: Callable[[bool], None] = lambda _: None,
        stall_s: float = STALL_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pages = pages
        self._cancel = cancel
        self._is_waiting = is_waiting
        self._alive = alive
        self._quiet = quiet
        self._stall_s = stall_s
        self._monotonic = monotonic
        self._turn = threading.Condition()
        self._wanted = 1  # pages the fetcher may still fetch
        self._page: P | None = None
        self._error: BaseException | None = None
        self._ended = False
        self._abandoned = False
        self._thread = threading.Thread(
            target=self._fetch, name=f"{threading.current_thread().name}-fetch", daemon=True
        )
        cancel.on_set(self._wake)
        begin(self._thread)

    def __iter__(self) -> Iterator[P]:
        return self

    def __next__(self) -> P:
        waited_s, is_quiet, at = 0.0, False, self._monotonic()
        try:
            while True:
                with self._turn:
                    self._cancel.check()
                    if self._page is not None:
                        page, self._page = self._page, None
                        self._wanted = 1
                        self._turn.notify_all()
                        return page
                    if self._error is not None:
                        raise self._error
                    if self._ended:
                        raise StopIteration
                    if not self._thread.is_alive():
                        raise RuntimeError("the thread that fetches pages ended without a word")
                    self._turn.wait(min(SLICE_S, self._stall_s))
                self._alive()
                before, at = at, self._monotonic()
                if self._is_waiting():
                    continue
                waited_s += at - before
                if waited_s >= self._stall_s:
                    raise NetworkError(
                        f"No page arrived for {self._stall_s / 60:.0f} minutes; the run was ended as stalled.",
                        hint="The next run goes on from the last stored page.",
                    )
                if waited_s >= QUIET_S and not is_quiet:
                    is_quiet = True
                    self._quiet(True)
        finally:
            if is_quiet:
                self._quiet(False)

    def close(self) -> None:
        """Stop fetching. The fetcher ends after the call it is in, which closing the source cuts short."""
        with self._turn:
            self._abandoned = True
            self._turn.notify_all()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    def _wake(self) -> None:
        with self._turn:
            self._turn.notify_all()

    def _fetch(self) -> None:
        try:
            while True:
                with self._turn:
                    while not self._wanted and not self._abandoned:
                        self._turn.wait()
                    if self._abandoned:
                        return
                    self._wanted = 0
                page = next(self._pages, None)
                with self._turn:
                    if page is None:
                        self._ended = True
                    self._page = page
                    self._turn.notify_all()
                    if page is None:
                        return
        except Cancelled:
            pass  # the consumer sees the token itself
        except BaseException as error:  # noqa: BLE001 - handed to the consumer, which raises it
            with self._turn:
                self._error = error
                self._turn.notify_all()
        finally:
            if isinstance(self._pages, Generator):
                self._pages.close()
