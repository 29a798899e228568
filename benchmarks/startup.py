"""How long one waits: for zendeskctl, and for the daemon of a large fleet. The dashboard's start is in `dashboard`.

./run bench startup [--organisations 500] [--times 9]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from processes import Daemon, machine

from zendeskd import wire


def took(*command: str) -> float:
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--organisations", type=int, default=500)
    parser.add_argument("--times", type=int, default=9)
    options = parser.parse_args()
    ctl = str(Path(sys.executable).with_name("zendeskctl"))
    fleet = [
        wire.OrganizationSpec(id=f"org-{number:04}", integrations=[wire.IntegrationSpec(subdomain=f"o{number}")])
        for number in range(options.organisations)
    ]
    print(f"{machine()}; load before: {os.getloadavg()[0]:.1f}; median and best of {options.times}")
    with tempfile.TemporaryDirectory(prefix="zd-bench-") as name:
        daemon = Daemon(Path(name))
        daemon.client.import_organizations(wire.ImportRequest(organizations=fleet))
        socket = str(daemon.socket)
        rows = {
            "python -c pass": ((sys.executable, "-c", "pass"), ""),
            "zendeskctl version": ((ctl, "version", "--socket", socket), "target < 0.15 s"),
            f"zendeskctl status, {options.organisations}": ((ctl, "status", "--socket", socket), "target < 0.3 s"),
        }
        times: dict[str, list[float]] = {row: [] for row in rows}
        for _ in range(options.times):
            for row, (command, _target) in rows.items():
                times[row].append(took(*command))
        daemon.stop()
        ready = []
        for _ in range(options.times):
            began = time.monotonic()
            again = Daemon(Path(name))
            ready.append(time.monotonic() - began)
            again.stop()
    bare = statistics.median(times["python -c pass"])
    for row, (_command, target) in rows.items():
        middle = statistics.median(times[row])
        times_bare = f"{middle / bare:>6.1f} of a bare start"
        print(f"{row:28}{middle:>8.3f} s{min(times[row]):>8.3f} s{times_bare}   {target}".rstrip())
    middle = statistics.median(ready)
    print(f"{f'daemon ready, {options.organisations}':28}{middle:>8.3f} s{min(ready):>8.3f} s{'':22}target < 1.5 s")


if __name__ == "__main__":
    main()
