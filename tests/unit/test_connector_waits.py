"""The clocks and chance as they are outside tests."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

from zendeskd.connectors import build
from zendeskd.connectors.waits import Time


def test_time_is_the_hosts() -> None:
    time = Time()
    before = datetime.now(UTC)
    assert before <= time.now() <= datetime.now(UTC)
    assert time.monotonic() <= time.monotonic()
    assert all(0 <= time.random() < 1 for _ in range(100))


def test_a_wait_ends_with_its_event() -> None:
    time, event = Time(), threading.Event()
    assert not time.wait(event, 0.001)
    event.set()
    assert time.wait(event, 60)


def test_there_is_a_connector_for_each_system_that_can_be_configured() -> None:
    from zendeskd.models import SYSTEMS

    assert set(build()) == set(SYSTEMS)
