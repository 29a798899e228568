"""What attacks on the control socket cost everybody else: how soon health answers, and what the daemon holds.

    ./run bench attack [--seconds 10] [--attackers 4] [KIND...]

The attackers are those of the tests (`tests/reliability/attackers.py`), each a process of its own and all of the same
user; the daemon syncs from a simulator meanwhile. Health is asked by a process that does nothing else, fifty times a
second, each time over a new connection. Health at rest is the first row: on two cores that attackers, simulator and
daemon share, it is the ratio that tells.
"""

from __future__ import annotations

import argparse
import json
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import quantiles

import msgspec
from processes import Daemon, machine

from zendeskd import wire
from zendeskd.simulator import Simulator

PROGRAM = Path(__file__).resolve().parents[1] / "tests" / "reliability" / "attackers.py"
GET_HEALTH = b"GET /api/health HTTP/1.1\r\nhost: zendeskd\r\nconnection: close\r\n\r\n"
WITHIN_S = 30
KINDS = (
    "garbage", "huge", "slow_heads", "slow_bodies", "endless_chunks", "crowd", "deaf", "triggers", "halves",
)  # fmt: skip

_pause = threading.Event()


def health_s(path: Path) -> float | None:
    """None for anything but a 200. `connect` waits its turn as the kernel has it, as without a time-out."""
    began = time.monotonic()
    answer = b""
    with socket.socket(socket.AF_UNIX) as caller:
        for limit in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
            caller.setsockopt(socket.SOL_SOCKET, limit, struct.pack("ll", WITHIN_S, 0))
        try:
            caller.connect(str(path))
            caller.sendall(GET_HEALTH)
            while more := caller.recv(65536):
                answer += more
        except OSError:
            return None
    return time.monotonic() - began if answer.startswith(b"HTTP/1.1 200") else None


def observe(path: Path, seconds: float) -> None:
    """The process that asks: prints the answers' times as JSON."""
    ends_at = time.monotonic() + seconds
    took = []
    while time.monotonic() < ends_at:
        took.append(health_s(path))
        _pause.wait(0.02)
    print(json.dumps(took))


def status_of(pid: int, key: str) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().partition(f"{key}:")[2].split()[0])


def measure(daemon: Daemon, kind: str | None, count: int, seconds: float) -> None:
    pid = daemon.process.pid
    before_mb = status_of(pid, "VmRSS") / 1024
    command = [sys.executable, str(PROGRAM), str(kind), str(daemon.socket), str(seconds + 1)]
    attackers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count if kind else 0)]
    for one in attackers:
        assert one.stdout is not None
        one.stdout.readline()
    watching = [sys.executable, __file__, "--observe", str(daemon.socket), "--seconds", str(seconds)]
    observer = subprocess.Popen(watching, stdout=subprocess.PIPE, text=True)
    most_mb, files = before_mb, 0
    while observer.poll() is None:
        most_mb = max(most_mb, status_of(pid, "VmRSS") / 1024)
        files = max(files, len(list(Path(f"/proc/{pid}/fd").iterdir())))
        _pause.wait(0.1)
    told = [one.communicate()[0] for one in attackers]
    made = sum(sum(json.loads(line.splitlines()[-1]).values()) for line in told)
    took = json.loads(observer.communicate()[0])
    good = sorted(each for each in took if each is not None)
    cuts = quantiles(good, n=100) if len(good) > 1 else [float("nan")] * 99
    print(
        f"{kind or 'at rest':15} {made:>9,} {len(good):>6} {len(took) - len(good):>7} {cuts[49] * 1000:>8.1f} "
        f"{cuts[98] * 1000:>8.1f} {good[-1] * 1000 if good else float('nan'):>8.1f} {before_mb:>7.0f} {most_mb:>7.0f} "
        f"{files:>5} {status_of(pid, 'Threads'):>7}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND", choices=[[], *KINDS], help=", ".join(KINDS))
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--attackers", type=int, default=4)
    parser.add_argument("--observe", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.observe is not None:
        observe(options.observe, options.seconds)
        return
    print(f"{machine()}; {options.attackers} attackers, {options.seconds:g} s each")
    print("attack           done by it health refused   p50 ms   p99 ms   max ms  MB was MB most files threads")
    with tempfile.TemporaryDirectory(prefix="zd-", dir="/tmp") as folder, Simulator(seed=1) as simulator:
        account = simulator.add_account("acme", tickets=100_000)
        account.latency_s = 0.5
        daemon = Daemon(Path(folder))
        try:
            credentials = msgspec.Raw(msgspec.json.encode(account.credential))
            part = wire.IntegrationSpec(base_url=account.base_url, credentials=credentials, lookback="all")
            daemon.client.add_organization(wire.OrganizationSpec(id="acme", integrations=[part]))
            for kind in (None, *(options.kinds or KINDS)):
                measure(daemon, kind, options.attackers, options.seconds)
                _pause.wait(6)  # whoever made too many requests waits for 5 s
            runs = daemon.client.runs(org="acme", limit=1000).items
            read = sum(run.records_processed for run in runs)
            print(f"runs meanwhile: {', '.join(sorted({run.status for run in runs}))}; {read:,} tickets read")
        finally:
            daemon.stop()


if __name__ == "__main__":
    main()
