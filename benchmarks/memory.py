"""Peak memory of the daemon for small, middling and large accounts: pages stream, so it should not grow.

./run bench memory [--tickets 10000 100000 1000000]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from processes import Daemon, machine, peak_mb, simulator

SELDOM = "0 0 1 1 *"


def peak(folder: Path, tickets: int) -> tuple[float, float, int]:
    """-> MB at most, seconds, and records."""
    with simulator(1, tickets) as (account,):
        daemon = Daemon(folder)
        try:
            daemon.client.add_organization(account.organization(SELDOM))
            run = daemon.ended(daemon.client.runs(limit=1).items[0].id)
            return peak_mb(daemon.process.pid), (run.duration_ms or 0) / 1000, run.records_processed
        finally:
            daemon.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tickets", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    options = parser.parse_args()
    print(machine())
    print(f"{'tickets':>12}{'peak MB':>10}{'of the first':>14}{'seconds':>10}")
    first = None
    for tickets in options.tickets:
        with tempfile.TemporaryDirectory(prefix="zd-bench-") as name:
            most, seconds, records = peak(Path(name), tickets)
        first = first or most
        print(f"{records:>12,}{most:>10.0f}{most / first:>14.2f}{seconds:>10.0f}", flush=True)


if __name__ == "__main__":
    main()
