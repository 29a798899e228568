"""Many organisations due in the same minute, and many that are due much later.

    ./run bench fleet [--organisations 500] [--workers 16] [--latency-ms 300] [--idle 5000]

All organisations are read once when they are added, and once more together when the minute turns. The floor is what
the answers alone take: calls x latency / workers. Meanwhile the control socket is asked for its health and for the
status of all. At rest the CPU is that of a daemon whose organisations are all active and due next year.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from dashboard import key_times, quantiles
from processes import Account, Daemon, cpu_s, machine, peak_mb, simulator
from terminal import terminal

from zendeskd import wire
from zendeskd.client import Client

EACH_MINUTE, SELDOM = "* * * * *", "0 0 1 1 *"
_pause = threading.Event()


class Calls(threading.Thread):
    """Asks again and again, as monitoring and dashboards do, until `stop`."""

    def __init__(self, socket: Path) -> None:
        super().__init__()
        self._client, self._over = Client(socket), threading.Event()
        self.took: dict[str, list[float]] = {"health": [], "status of all": []}

    def run(self) -> None:
        calls: dict[str, Callable[[], object]] = {
            "health": self._client.health,
            "status of all": self._client.sync_status,
        }
        while not self._over.wait(0.02):
            for name, call in calls.items():
                began = time.monotonic()
                call()
                self.took[name].append((time.monotonic() - began) * 1000)

    def stop(self) -> None:
        self._over.set()
        self.join()
        self._client.close()


class Looking(threading.Thread):
    """Somebody at the dashboard who goes down and up the list, until `stop`."""

    def __init__(self, socket: Path) -> None:
        super().__init__(daemon=True)
        self._socket, self._over = socket, threading.Event()
        self.is_there = threading.Event()
        self.ended_well = False
        self.took: list[float] = []

    def run(self) -> None:
        with terminal(sys.executable, "-m", "zendeskd.tui.program", "--socket", str(self._socket)) as shown:
            shown.found(rb"account-1")
            self.is_there.set()
            while not self._over.is_set():
                self.took += key_times(shown, [b"j"] * 10 + [b"k"] * 10, rb"(account-\d+): ")
        self.ended_well = True

    def stop(self) -> None:
        self._over.set()
        self.join()
        assert self.ended_well, "the dashboard did not answer a key"


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it takes too long"
        _pause.wait(0.2)


def add(daemon: Daemon, accounts: Sequence[Account], interval: str) -> None:
    for start in range(0, len(accounts), 500):
        some = [one.organization(interval) for one in accounts[start : start + 500]]
        daemon.client.import_organizations(wire.ImportRequest(organizations=some))


def all_read(daemon: Daemon) -> bool:
    return all(one.last_success_at is not None and one.run is None for one in daemon.client.sync_status().items)


def all_due_ran(daemon: Daemon, minute: float) -> bool:
    """Every organisation has ended a run that began after that minute."""
    last = [one.last_sync_at for one in daemon.client.sync_status().items]
    return all(at is not None and instant(at) >= minute for at in last)


def runs_of(daemon: Daemon, trigger: str, many: int) -> list[wire.RunSummary]:
    """The last so many, all ended."""
    found: list[wire.RunSummary] = []
    after = None
    while len(found) < many:
        page = daemon.client.runs(limit=500, after=after)
        found += [run for run in page.items if run.trigger == trigger]
        after = page.next
        if after is None:
            break
    return found[:many]


def together(folder: Path, options: argparse.Namespace) -> None:
    many = options.organisations
    with simulator(many, 20, latency_ms=options.latency_ms) as accounts:
        daemon = Daemon(folder, f"--workers={options.workers}")
        try:
            add(daemon, accounts, EACH_MINUTE)
            wait_until(lambda: all_read(daemon), 120)
            calls = Calls(daemon.socket)
            minute = (int(time.time()) // 60 + 1) * 60
            _pause.wait(minute - time.time() - 1)
            before = cpu_s(daemon.process.pid)
            calls.start()
            wait_until(lambda: all_due_ran(daemon, minute), 55)
            calls.stop()
            used = cpu_s(daemon.process.pid) - before
            runs = [run for run in runs_of(daemon, "schedule", many) if instant(run.started_at) >= minute]
            peak = peak_mb(daemon.process.pid)
            looking = Looking(daemon.socket)
            looking.start()
            assert looking.is_there.wait(30), "the dashboard does not come up"
            next_minute = (int(time.time()) // 60 + 1) * 60
            _pause.wait(next_minute - time.time())
            looking.took.clear()
            try:
                wait_until(lambda: all_due_ran(daemon, next_minute), 55)
            finally:
                looking.stop()
            seen = max(instant(run.synced_at) for run in runs_of(daemon, "schedule", many)) - next_minute
        finally:
            daemon.stop()
    wall = max(instant(run.synced_at) for run in runs) - minute
    asked = sum(run.api_calls for run in runs)
    floor = asked * options.latency_ms / 1000 / options.workers
    good = sum(run.status == "success" for run in runs)
    print(f"{many} organisations due at once, {options.workers} workers, answers after {options.latency_ms} ms:")
    print(
        f"  {good} good runs of {len(runs)}, {asked} calls; {wall:.1f} s, floor {floor:.1f} s, ratio {wall / floor:.2f}"
    )
    print(f"  CPU {used / len(runs) * 1000:.1f} ms a run, calls on the socket among it; peak memory {peak:.0f} MB")
    for name, took in calls.took.items():
        ordered = sorted(took)
        p50, p99 = (ordered[int(len(ordered) * part)] for part in (0.5, 0.99))
        print(f"  {name} over the socket meanwhile: p50 {p50:.1f} ms, p99 {p99:.1f} ms, {len(took)} calls")
    print(
        f"  with the dashboard open: {seen:.1f} s; a key p50 / p95 / worst {quantiles(looking.took)} ms, "
        f"{len(looking.took)} keys"
    )


def idle(folder: Path, many: int, seconds: float) -> None:
    with simulator(many, 0) as accounts:
        daemon = Daemon(folder)
        try:
            add(daemon, accounts, SELDOM)
            wait_until(lambda: all_read(daemon), 280)
            _pause.wait(3)
            before = cpu_s(daemon.process.pid)
            _pause.wait(seconds)
            used = (cpu_s(daemon.process.pid) - before) / seconds * 100
            peak = peak_mb(daemon.process.pid)
            print(f"{many} organisations at rest: {used:.2f} % of a core, peak memory {peak:.0f} MB")
        finally:
            daemon.stop()


def instant(text: str | None) -> float:
    assert text is not None
    return datetime.fromisoformat(text).timestamp()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--organisations", type=int, default=500)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--latency-ms", type=int, default=300)
    parser.add_argument("--idle", type=int, default=5000, help="organisations at rest; 0: leave that out")
    parser.add_argument("--seconds", type=float, default=20, help="of rest")
    options = parser.parse_args()
    print(f"{machine()}; load before: {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="zd-bench-") as name:
        together(Path(name) / "together", options)
        if options.idle:
            idle(Path(name) / "idle", options.idle, options.seconds)


if __name__ == "__main__":
    main()
