"""A full sync, one of 1 % changed and one with nothing new, beside the fastest loop one could write and a plain script.

    ./run bench sync [--tickets 100000] [--latency-ms 20]

All read the same bytes from a server that remembers them (`replay.py`), taking turns, so the ratios hold on a noisy
machine where the figures do not. `readers.py` says what the others are. CPU is that of the reading process alone.
"""

from __future__ import annotations

import argparse
import contextlib
import sqlite3
import statistics
import tempfile
from pathlib import Path
from typing import NamedTuple

import httpx
from processes import Account, Daemon, cpu_s, machine, peak_mb, simulator
from readers import Reader, bare, pipelined, read, script
from replay import FORGET, replay

SELDOM = "0 0 1 1 *"


class Run(NamedTuple):
    wall_s: float
    cpu_s: float
    requests: int
    records: int


def measured(daemon: Daemon, run_id: int, cpu_before: float) -> Run:
    run = daemon.ended(run_id)
    used = cpu_s(daemon.process.pid) - cpu_before
    return Run((run.duration_ms or 0) / 1000, used, run.api_calls, run.records_processed)


def full_sync(folder: Path, account: Account, base_url: str) -> tuple[Run, Daemon]:
    daemon = Daemon(folder)
    before = cpu_s(daemon.process.pid)
    daemon.client.add_organization(account.organization(SELDOM, base_url))
    return measured(daemon, daemon.client.runs(limit=1).items[0].id, before), daemon


def again(daemon: Daemon, account: Account) -> Run:
    before = cpu_s(daemon.process.pid)
    return measured(daemon, daemon.client.trigger(account.name).run_id, before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tickets", type=int, default=100_000)
    parser.add_argument("--latency-ms", type=float, default=0, help="before every answer (default 0)")
    parser.add_argument("--rounds", type=int, default=3, help="of everything that reads all (default 3)")
    parser.add_argument("--quiet-runs", type=int, default=20, help="with nothing new (default 20)")
    options = parser.parse_args()
    readers: tuple[Reader, ...] = (bare, pipelined, script)
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in ("zendeskd", *(one.__name__ for one in readers))}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zd-bench-")))
        (account,) = stack.enter_context(simulator(1, options.tickets))
        base_url = stack.enter_context(replay(account.base_url, options.latency_ms / 1000))
        full, daemon = full_sync(folder / "first", account, base_url)  # asks for every page once
        stack.callback(daemon.stop)
        for number in range(options.rounds):
            place = folder / f"round-{number}"
            place.mkdir()
            run, other = full_sync(place, account, base_url)
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
        quiet = [again(daemon, account) for _ in range(options.quiet_runs)]
        account.change(options.tickets // 100)
        httpx.post(base_url + FORGET).raise_for_status()
        changed = again(daemon, account)
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
