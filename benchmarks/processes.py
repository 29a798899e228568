"""The processes that benchmarks start, and what the kernel says of them."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from zendeskd.client import Client
from zendeskd.errors import ZendeskdError

_pause = threading.Event()


def cpu_s(pid: int) -> float:
    """User and system seconds so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mb(pid: int) -> float:
    """The most memory it ever held."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def machine() -> str:
    """What the figures were measured on."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = models[0].partition(":")[2].strip() if models else platform.machine()
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}"


class Daemon:
    """The real one, in folders of its own below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.database = folder / "state" / "zendeskd.db"
        self.socket = folder / "run" / "control.sock"
        command = [sys.executable, "-m", "zendeskd", "run", f"--state-dir={folder / 'state'}"]
        command += [f"--runtime-dir={folder / 'run'}", f"--log-dir={folder / 'log'}"]
        environ = {name: value for name, value in os.environ.items() if not name.startswith("ZENDESKD_")}
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environ)
        self.client = Client(self.socket)
        deadline = time.monotonic() + 30
        while True:
            try:
                self.client.health()
                return
            except ZendeskdError:
                assert time.monotonic() < deadline, "the daemon did not come up"
                _pause.wait(0.05)

    def stop(self) -> None:
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
