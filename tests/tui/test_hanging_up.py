"""A terminal that goes away without a signal."""

from __future__ import annotations

import os
import pty
import signal
import sys
import threading
from pathlib import Path

import pytest

from tests.fixtures.pseudo_terminal import Terminal
from tests.fixtures.scripted import ScriptedDaemon
from tests.fixtures.terminal import fleet_of
from tests.waiting import wait_for
from zendeskd.tui import hanging_up


@pytest.mark.e2e
def test_the_dashboard_ends(scripted: ScriptedDaemon, short_dir: Path) -> None:
    fleet_of(scripted)
    program = (sys.executable, "-m", "zendeskd.tui.program", "--socket", str(scripted.path))
    terminal = Terminal(*program, owned=False, XDG_STATE_HOME=str(short_dir))
    try:
        terminal.until("globex")
        terminal.hang_up()
        wait_for(lambda: terminal.process.poll() is not None, "the end of the dashboard")
        assert terminal.process.returncode == 128 + signal.SIGHUP
    finally:
        terminal.close()


def test_who_does_not_listen_is_ended_nevertheless() -> None:
    """As when all wait for a thread that writes no more."""
    script = (
        "import signal, threading; from zendeskd.tui import hanging_up; hanging_up.ENDS_WITHIN_S = 0.1\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "with hanging_up.noticed(): print('watching', flush=True); threading.Event().wait()\n"
    )
    terminal = Terminal(sys.executable, "-c", script, owned=False)
    try:
        terminal.until("watching")
        terminal.hang_up()
        wait_for(lambda: terminal.process.poll() is not None, "the end of the program")
        assert terminal.process.returncode == 128 + signal.SIGHUP
    finally:
        terminal.close()


def test_nothing_stays_of_it() -> None:
    master, slave = pty.openpty()
    before, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
    try:
        with hanging_up.noticed(slave):
            assert threading.active_count() == before + 1
        assert threading.active_count() == before
        assert len(os.listdir("/proc/self/fd")) == files
    finally:
        os.close(master)
        os.close(slave)
