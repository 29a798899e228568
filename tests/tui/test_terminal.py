"""The real program in a real terminal, against a real daemon."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.daemons import DaemonProcess
from tests.fixtures.pseudo_terminal import Terminal
from zendeskd.simulator import Simulator

pytestmark = pytest.mark.e2e


@pytest.fixture
def dashboard(daemon: DaemonProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):  # what is chosen in it is for no person
        monkeypatch.setenv(name, str(tmp_path))
    terminal = Terminal(sys.executable, "-m", "zendeskd.tui.program", "--socket", str(daemon.socket))
    yield terminal
    terminal.close()


def test_a_day_in_one_minute(daemon: DaemonProcess, dashboard: Terminal) -> None:
    """Empty, a first organisation, a run by key, the daemon killed and back, and out."""
    with Simulator(seed=5) as simulator:
        dashboard.until("connected", "No organisations yet")
        account = simulator.add_account("acme", tickets=50)
        daemon.add("acme", account.base_url, account.credential)
        daemon.first_run("acme")
        dashboard.forget()
        dashboard.until("up to date", "50")
        dashboard.type("t")
        dashboard.until("asked: trigger acme", "(zendeskctl --socket", "acme: run 2 ")
        dashboard.type("l")
        dashboard.until("all orgs")
        dashboard.type("\x1b")
        dashboard.forget()
        daemon.kill()
        dashboard.until("reconnecting", timeout_s=5)
        dashboard.until("Connection lost", "NOT CONNECTED", timeout_s=10)
        dashboard.forget()
        daemon.start()
        dashboard.type("R")
        dashboard.until("connected", "daemon restarted")
        dashboard.type("q")
        assert dashboard.ended() == 0
        assert "syncing goes on" in dashboard.text
        assert daemon.client.health().ok


def test_a_dumb_terminal_is_told_what_works_there(short_dir: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "zendeskd.tui.program", "--socket", str(short_dir / "none")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "TERM": "dumb"},
    )
    assert done.returncode == 2 and f"zendeskctl --socket {short_dir}/none watch" in done.stderr
