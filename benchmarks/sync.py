"""A full sync, one of 1 % changed and one with nothing new, beside the fastest loop one could write and a plain script.

    ./run bench sync [--tickets 100000] [--latency-ms 20]

All read the same bytes from a server that remembers them (`replay.py`), taking turns, so the ratios hold on a noisy
machine where the figures do not. `readers.py` says what the others are. CPU is that of the reading process alone.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import msgspec
from processes import Daemon, cpu_s, machine, peak_mb
from readers import Reader, bare, pipelined, read, script
from replay import FORGET, replay

from zendeskd import wire

ORG = "bench"
_pause = threading.Event()


class Account(NamedTuple):
    base_url: str
    credential: dict[str, str]

    def change(self, tickets: int) -> None:
        place, _, name = self.base_url.partition("/accounts/")
        httpx.post(f"{place}/_simulator/accounts/{name}/change", json={"which": tickets}).raise_for_status()


class Run(NamedTuple):
    wall_s: float
    cpu_s: float
    requests: int
    records: int


@contextlib.contextmanager
def simulator(tickets: int) -> Iterator[Account]:
    command = [sys.executable, "-m", "zendeskd", "simulator", "--accounts", "1", "--tickets", str(tickets)]
    command += ["--export-per-minute", "1000000", "--account-per-minute", "1000000", "--kind", "api_token"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        account = json.loads(process.stdout.readline())["accounts"][0]
        yield Account(account["baseUrl"], account["credential"])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        process.stdout.close()


def add(daemon: Daemon, base_url: str, credential: dict[str, str]) -> None:
    secret = msgspec.Raw(msgspec.json.encode(credential))
    system = wire.IntegrationSpec(base_url=base_url, interval="0 0 1 1 *", lookback="all", credentials=secret)
    daemon.client.add_organization(wire.OrganizationSpec(id=ORG, integrations=[system]))


def ended(daemon: Daemon, run_id: int, cpu_before: float) -> Run:
    """That run, once it has ended well."""
    while (run := daemon.client.run(run_id)).status in {"queued", "running"}:
        _pause.wait(0.02)
    assert run.status == "success", run
    used = cpu_s(daemon.process.pid) - cpu_before
    return Run((run.duration_ms or 0) / 1000, used, run.api_calls, run.records_processed)


def full_sync(folder: Path, base_url: str, credential: dict[str, str]) -> tuple[Run, Daemon]:
    daemon = Daemon(folder)
    before = cpu_s(daemon.process.pid)
    add(daemon, base_url, credential)
    return ended(daemon, daemon.client.runs(limit=1).items[0].id, before), daemon


def again(daemon: Daemon) -> Run:
    before = cpu_s(daemon.process.pid)
    return ended(daemon, daemon.client.trigger(ORG).run_id, before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tickets", type=int, default=100_000)
    parser.add_argument("--latency-ms", type=float, default=0, help="before every answer (default 0)")
    parser.add_argument("--rounds", type=int, default=3, help="of everything that reads all (default 3)")
    parser.add_argument("--quiet-runs", type=int, default=20, help="with nothing new (default 20)")
    options = parser.parse_args()
    readers: tuple[Reader, ...] = (bare, pipelined, script)
    took: dict[str, list[tuple[float, float]]] = {"zendeskd": []} | {one.__name__: [] for one in readers}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zd-bench-")))
        account = stack.enter_context(simulator(options.tickets))
        base_url = stack.enter_context(replay(account.base_url, options.latency_ms / 1000))
        full, daemon = full_sync(folder / "first", base_url, account.credential)  # asks for every page once
        stack.callback(daemon.stop)
        for number in range(options.rounds):
            place = folder / f"round-{number}"
            place.mkdir()
            run, other = full_sync(place, base_url, account.credential)
            size, peak = other.database.stat().st_size, peak_mb(other.process.pid)
            other.stop()
            took["zendeskd"].append((run.wall_s, run.cpu_s))
            for reader in readers:
                took[reader.__name__].append(
                    read(reader, base_url, account.credential, other.database, place / f"{reader.__name__}.db")
                )
            if number < options.rounds - 1:
                for file in place.rglob("*.db"):
                    file.unlink()
        quiet = [again(daemon) for _ in range(options.quiet_runs)]
        account.change(options.tickets // 100)
        httpx.post(base_url + FORGET).raise_for_status()
        changed = again(daemon)
    print(f"{machine()}, SQLite {sqlite3.sqlite_version}; {full.records:,} tickets, {options.latency_ms:.0f} ms away")
    print(f"{'':22}{'tickets/s':>11}{'CPU µs/ticket':>15}{'of the ceiling':>16}{'of the script':>15}")
    best = {name: min(one) for name, one in took.items()}
    for name, (wall, cpu) in best.items():
        ceiling, plain = best["pipelined"][0] / wall, best["script"][0] / wall
        print(f"{name:22}{full.records / wall:>11,.0f}{cpu / full.records * 1e6:>15.1f}{ceiling:>16.2f}{plain:>15.2f}")
    print(f"1 % changed: {changed.records:,} records, {changed.requests} requests, {changed.cpu_s * 1000:.0f} ms CPU")
    cpu_ms = statistics.mean(one.cpu_s for one in quiet) * 1000
    wall_ms = statistics.median(one.wall_s for one in quiet) * 1000
    print(f"nothing new: {quiet[0].requests} request, {wall_ms:.0f} ms, {cpu_ms:.1f} ms CPU a run")
    print(f"peak memory of the daemon: {peak:.0f} MB; database: {size / full.records:,.0f} bytes a ticket")


if __name__ == "__main__":
    main()
