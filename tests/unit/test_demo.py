"""The parts of the demo that need no process."""

from __future__ import annotations

import io
import os
import pty
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from zendeskd.cron import CronExpression
from zendeskd.demo.cast import CHECKED, FLEET, Cast
from zendeskd.demo.dashboard import why_not
from zendeskd.demo.ending import Ending
from zendeskd.simulator import Fault


@contextmanager
def terminal() -> Iterator[io.TextIOWrapper]:
    master, slave = pty.openpty()
    with os.fdopen(slave, "r+b", buffering=0) as file, io.TextIOWrapper(file) as text:
        yield text
    os.close(master)


def test_the_dashboard_opens_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    with terminal() as there:
        assert why_not(there, there) == ""
        assert "no terminal" in why_not(there, io.StringIO())
        assert "no terminal" in why_not(io.StringIO(), there)
        for term in ("dumb", None):
            monkeypatch.setenv("TERM", term) if term else monkeypatch.delenv("TERM")
            assert "no terminal" in why_not(there, there)


def test_without_textual_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setitem(sys.modules, "textual", None)
    with terminal() as there:
        assert "pip install 'zendeskd[tui]'" in why_not(there, there)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_demo_and_its_pauses(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Ending() as ending:
        ending.pause(0)
        os.kill(os.getpid(), number)
        assert ending.wait(5)
        with pytest.raises(KeyboardInterrupt):
            ending.pause(60)
    assert signal.getsignal(number) is before


def test_who_started_it_with_nohup_wants_it_to_live_on() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Ending() as ending:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not ending.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("casts", [CHECKED, FLEET], ids=["checked", "fleet"])
def test_the_casts_can_be_played(casts: tuple[Cast, ...]) -> None:
    assert len({cast.org for cast in casts}) == len(casts)
    for cast in casts:
        CronExpression(cast.interval, "UTC")
        for kind, options in cast.faults:
            known = {"times": None, "on": "tickets", "after": 0}
            called = {**known, **{key: value for key, value in options.items() if key in known}}
            Fault(kind, options={key: value for key, value in options.items() if key not in known}, **called)
        assert bool(cast.faults) <= bool(cast.trouble)


def test_the_fleet_has_one_of_everything() -> None:
    assert any(not player.has_past for player in FLEET)
    assert any(player.is_revoked for player in FLEET)
    assert any(player.stop_reason for player in FLEET)
    assert {kind for player in FLEET for kind, _ in player.faults} >= {
        "rate_limited",
        "reset",
        "malformed_ticket",
        "too_big",
    }
    assert all(player.changes for player in FLEET)
