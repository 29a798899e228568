"""That the demo should end: by ctrl+c, SIGTERM, or because its terminal hung up."""

from __future__ import annotations

import signal
import threading
from types import TracebackType
from typing import Any, Final, Self

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ending(threading.Event):
    """Set by the signals while it is entered, which only the main thread may do. What is being cleaned up meanwhile is
    not cut short by a second one."""

    def __init__(self) -> None:
        super().__init__()
        self._before: dict[signal.Signals, Any] = {}

    def pause(self, seconds: float) -> None:
        """Wait. Raises KeyboardInterrupt as soon as it is set."""
        if self.wait(seconds):
            raise KeyboardInterrupt

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                self._before[number] = signal.signal(number, lambda *_: self.set())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
