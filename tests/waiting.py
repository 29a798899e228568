"""Waiting for a condition with a deadline: what tests do where others sleep."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_never = threading.Event()


def wait_for(condition: Callable[[], T], what: str = "the condition", timeout_s: float = 15.0) -> T:
    """The first true value of `condition`. Fails the test, saying `what` was waited for, after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s in vain for {what}"
        _never.wait(0.01)
    return value
