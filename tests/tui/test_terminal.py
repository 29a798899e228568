"""The real program in a real terminal, against a real daemon."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.daemons import DaemonProcess
from zendeskd.simulator import Simulator

pytestmark = pytest.mark.e2e


class Terminal:
    """A pseudo-terminal with a program in it. What it wrote is kept as text, escape sequences taken out."""

    def __init__(self, *command: str, columns: int = 100, lines: int = 30) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        environ = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": str(lines)}
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environ, start_new_session=True
        )
        os.close(slave)
        self._bytes = b""

    @property
    def text(self) -> str:
        return re.sub(
            r"\x1b(?:\[[0-9;?<>=]*[ -/]*[@-~]|[\]P_].*?(?:\x07|\x1b\\)|.)", "", self._bytes.decode(errors="replace")
        )

    def read(self) -> None:
        ready, _, _ = select.select([self.master], [], [], 0.05)
        if ready:
            try:
                self._bytes += os.read(self.master, 65536)
            except OSError:  # the program has gone
                return

    def until(self, *words: str, timeout_s: float = 30) -> None:
        deadline = time.monotonic() + timeout_s
        while not all(word in self.text for word in words):
            assert time.monotonic() < deadline, f"waited in vain for {words} in:\n{self.text[-4000:]}"
            self.read()

    def forget(self) -> None:
        self._bytes = b""

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def ended(self, timeout_s: float = 20) -> int:
        deadline = time.monotonic() + timeout_s
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.text[-2000:]
            self.read()
        self.read()
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)


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
        dashboard.until("asked: trigger acme", "zendeskctl trigger acme", "acme: run 2 ")
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
    assert done.returncode == 2 and "zendeskctl watch" in done.stderr
