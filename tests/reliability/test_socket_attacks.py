"""The control socket of a real daemon under attack while it syncs: the sync is complete, health is told, nothing stays.

Each kind of attack is made by several processes at once, for ZENDESKD_ATTACK_S seconds. `benchmarks/attack.py` measures
the same; here the bounds are such as a busy machine keeps.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.daemons import DaemonProcess
from tests.reliability.attackers import KINDS
from tests.waiting import wait_for
from zendeskd.client import ApiError
from zendeskd.simulator import Account, Simulator

pytestmark = pytest.mark.e2e

SECONDS = float(os.environ.get("ZENDESKD_ATTACK_S", "2"))
ATTACKERS = 3
TICKETS = 2000
GROWTH_MB = 160
"""Four imports of 16 MiB, 64 bodies of 1 MiB: what may be in memory at a time."""
HEALTH_WITHIN_S = 10.0
AUDIT_ROWS = 250
DESCRIPTORS = 1024
"""What systemd gives a service that asks for nothing else."""
GET_HEALTH = b"GET /api/health HTTP/1.1\r\nhost: zendeskd\r\nconnection: close\r\n\r\n"


class Besieged:
    """A daemon that syncs a simulated account, and what the kernel says of it."""

    def __init__(self, folder: Path, simulator: Simulator) -> None:
        self.daemon = DaemonProcess(folder)
        self.account: Account = simulator.add_account("acme", tickets=TICKETS)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, DESCRIPTORS), hard))
        try:
            self.daemon.start()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        self.daemon.add("acme", self.account.base_url, self.account.credential)
        assert self.daemon.first_run("acme").status == "success"

    @property
    def pid(self) -> int:
        assert self.daemon.process is not None
        return self.daemon.process.pid

    def rests(self) -> bool:
        """Nothing is left of the attack before."""
        try:
            return self.daemon.client.status().workers_busy == 0
        except ApiError:
            return False

    def files(self) -> int:
        """Open ones but those of the database, of which each thread of the API opens its own once."""
        found = 0
        for descriptor in Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found += "zendeskd.db" not in str(descriptor.readlink())
        return found

    def threads(self) -> list[str]:
        tasks = list(Path(f"/proc/{self.pid}/task").iterdir())
        return sorted((task / "comm").read_text().strip() for task in tasks)

    def memory_mb(self) -> float:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def audit_rows(self) -> int:
        return int(self.daemon.query("SELECT COUNT(*) FROM audit_log")[0][0])

    def sync(self) -> int:
        """Have it read a third of the tickets again, slowly. -> the run."""
        self.account.change(TICKETS // 3)
        self.account.add(50)
        self.account.latency_s = 0.3
        return self.daemon.client.trigger("acme").run_id

    def look_back(self) -> None:
        """In the end it is well, whole, and took nothing for a bug of its own."""
        assert self.daemon.client.health().ok
        assert [line for line in self.daemon.log.read_text().splitlines() if '"exception"' in line] == []
        assert self.daemon.query("PRAGMA integrity_check") == [("ok",)]

    def health_s(self) -> float:
        """Asked by a caller of its own, over a connection of its own, as monitoring does."""
        began = time.monotonic()
        answer = b""
        with socket.socket(socket.AF_UNIX) as caller:
            for limit in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):  # of the kernel: `connect` then waits its turn
                caller.setsockopt(socket.SOL_SOCKET, limit, struct.pack("ll", int(HEALTH_WITHIN_S), 0))
            caller.connect(str(self.daemon.socket))
            caller.sendall(GET_HEALTH)
            while more := caller.recv(65536):
                answer += more
        assert answer.startswith(b"HTTP/1.1 200"), answer[:500]
        return time.monotonic() - began


@pytest.fixture(scope="module")
def besieged() -> Iterator[Besieged]:
    with tempfile.TemporaryDirectory(prefix="zd-", dir="/tmp") as folder, Simulator(seed=1) as simulator:
        one = Besieged(Path(folder), simulator)
        try:
            yield one
            one.look_back()
        finally:
            one.daemon.close()


def attackers(kind: str, socket: Path) -> list[subprocess.Popen[str]]:
    program = Path(__file__).with_name("attackers.py")
    command = [sys.executable, str(program), kind, str(socket), str(SECONDS)]
    return [
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) for _ in range(ATTACKERS)
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_an_attack_costs_others_nothing_and_leaves_nothing(besieged: Besieged, kind: str) -> None:
    wait_for(besieged.rests, "the daemon to rest", 45)
    besieged.health_s()
    threads, files, memory_mb, rows = (
        besieged.threads(), besieged.files(), besieged.memory_mb(), besieged.audit_rows()
    )  # fmt: skip
    run_id = besieged.sync()
    took: list[float] = []
    pause = threading.Event()
    made = attackers(kind, besieged.daemon.socket)
    try:
        for one in made:
            assert one.stdout is not None
            assert one.stdout.readline() == "begun\n"
        while any(one.poll() is None for one in made):
            took.append(besieged.health_s())
            pause.wait(0.02)
        told = [json.loads(one.stdout.read()) for one in made if one.stdout is not None]
    finally:
        for one in made:
            one.kill()
            one.wait(10)
            if one.stdout is not None:
                one.stdout.close()
    assert all(told), "each attacker did something"
    assert took
    assert sorted(took)[len(took) // 2] < HEALTH_WITHIN_S / 4

    wait_for(lambda: besieged.files() <= files + 1, "the connections to be closed", 45)
    wait_for(besieged.rests, "the daemon to rest", 45)
    run = besieged.daemon.ended(run_id)
    assert run.status == "success", run
    besieged.account.latency_s = 0.0
    after = besieged.daemon.ended(besieged.daemon.client.trigger("acme").run_id)
    assert after.status == "success"
    assert besieged.daemon.stored("acme") == besieged.account.tickets()
    wait_for(lambda: besieged.threads() == threads, "the threads to be those from before", 20)
    assert besieged.memory_mb() < memory_mb + GROWTH_MB, told
    assert besieged.audit_rows() <= rows + AUDIT_ROWS, told
    assert besieged.health_s() < HEALTH_WITHIN_S
