"""The processes that benchmarks start, and what the kernel says of them."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import msgspec

from zendeskd import wire
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


class Account(NamedTuple):
    """One of the simulator's."""

    name: str
    base_url: str
    credential: dict[str, str]

    def change(self, tickets: int) -> None:
        place = self.base_url.partition("/accounts/")[0]
        httpx.post(f"{place}/_simulator/accounts/{self.name}/change", json={"which": tickets}).raise_for_status()

    def organization(self, interval: str, base_url: str | None = None) -> wire.OrganizationSpec:
        """One that copies all of it."""
        system = wire.IntegrationSpec(
            base_url=base_url or self.base_url,
            interval=interval,
            lookback="all",
            credentials=msgspec.Raw(msgspec.json.encode(self.credential)),
        )
        return wire.OrganizationSpec(id=self.name, integrations=[system])


@contextlib.contextmanager
def simulator(accounts: int, tickets: int, *, latency_ms: int = 0) -> Iterator[list[Account]]:
    """In a process of its own, without rate limits."""
    command = [sys.executable, "-m", "zendeskd", "simulator", f"--accounts={accounts}", f"--tickets={tickets}"]
    command += ["--export-per-minute=1000000", "--account-per-minute=1000000", "--kind=api_token"]
    process = subprocess.Popen([*command, f"--latency-ms={latency_ms}"], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())["accounts"]
        yield [Account(one["name"], one["baseUrl"], one["credential"]) for one in told]
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()


class Daemon:
    """The real one, in folders of its own below `folder`, which a daemon before may have left."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.database = folder / "state" / "zendeskd.db"
        self.socket = folder / "run" / "control.sock"
        self.logs = folder / "log"
        command = [sys.executable, "-m", "zendeskd", "run", f"--state-dir={folder / 'state'}"]
        command += [f"--runtime-dir={folder / 'run'}", f"--log-dir={self.logs}", *options]
        environ = {name: value for name, value in os.environ.items() if not name.startswith("ZENDESKD_")}
        folder.mkdir(parents=True, exist_ok=True)
        self.stderr = folder / "stderr"
        with self.stderr.open("ab") as stderr:
            self.process = subprocess.Popen(command, stderr=stderr, env=environ)
        self.client = Client(self.socket)
        deadline = time.monotonic() + 30
        while True:
            try:
                self.client.health()
                return
            except ZendeskdError:
                assert self.process.poll() is None, f"the daemon ended: {self.stderr.read_text()}"
                assert time.monotonic() < deadline, "the daemon did not come up"
                _pause.wait(0.02)

    def ended(self, run_id: int) -> wire.RunDocument:
        """That run, once it has ended well."""
        pause = 0.02
        while (run := self.client.run(run_id)).status in {"queued", "running"}:
            _pause.wait(pause)
            pause = min(0.5, pause * 1.5)  # to ask costs the daemon what is measured
        assert run.status == "success", run
        return run

    def stop(self) -> None:
        self.end(signal.SIGTERM)

    def end(self, number: signal.Signals) -> int:
        """By a signal. -> its exit code."""
        self.client.close()
        self.process.send_signal(number)
        return self.process.wait()
