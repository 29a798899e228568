"""kill -9 of a real daemon at random moments of a backfill of several organisations, again and again.

    python -m tests.reliability.kill_storm [--kills 200] [--tickets 50000] [--organizations 5] [--seed 1]

After each kill the copy is what its cursors and counters say; at the end every ticket is there once. Prints what was
counted; ends with 1 if something was lost or doubled.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.fixtures.copied import WRONG_SUMS
from tests.fixtures.daemons import DaemonProcess
from tests.waiting import wait_for
from zendeskd.simulator import Account, Simulator

ROWS = 20
LATENCY_S = 0.15
STARTS_S, LIVES_S = 0.5, 1.2
"""A quarter of the kills strike a daemon that is starting, the others one that has been up for up to so long."""

MOST_READ_AGAIN = 2
"""Of each organisation that was being read: the page that was being written, and the one that was on its way."""

WRONG_TOTALS = (
    "SELECT i.organization_id, i.total_records, count(r.id) FROM integrations i LEFT JOIN flow_records r"
    " ON r.organization_id = i.organization_id AND r.deleted_at IS NULL"
    " GROUP BY 1 HAVING i.total_records != count(r.id)"
)
WRONG_DAYS = (
    "SELECT * FROM (SELECT integration_id, sum(created) AS made, sum(deleted) AS gone FROM daily_counts GROUP BY 1)"
    " JOIN (SELECT integration_id AS id, sum(records_created) AS logged, sum(records_deleted) AS logged_gone"
    " FROM sync_logs GROUP BY 1) ON id = integration_id WHERE made != logged OR gone != logged_gone"
)
UNTRUE = "SELECT id FROM sync_logs WHERE (status = 'success') != coalesce(end_reason = 'end_of_stream', 0)"
PAGES = "SELECT organization_id, sum(pages), sum(records_created + records_deleted) FROM sync_logs GROUP BY 1"


@dataclass
class Told:
    seed: int
    kills: int = 0
    while_starting: int = 0
    runs_cut: int = 0
    pages: int = 0
    pages_asked_for: int = 0
    most_read_again: int = 0
    lost: int = 0
    doubled: int = 0
    slowest_start_s: float = 0.0
    most_work_to_start_s: float = 0.0  # of a processor: what the start takes on a machine that has nothing else to do
    statuses: dict[str, int] = field(default_factory=dict)
    took_s: float = 0.0


class Storm:
    def __init__(self, folder: Path, simulator: Simulator, *, tickets: int, organizations: int, seed: int) -> None:
        self.daemon, self.chance, self.told = DaemonProcess(folder), random.Random(seed), Told(seed)
        each = tickets // organizations
        self.accounts: dict[str, Account] = {
            f"org-{n}": simulator.add_account(f"org-{n}", tickets=each, latency_s=LATENCY_S, body_bytes=800)
            for n in range(organizations)
        }
        for account in self.accounts.values():
            account.fault("short_page", times=None, rows=ROWS)
        self._asked = dict.fromkeys(self.accounts, 0)
        self._stored = dict.fromkeys(self.accounts, 0)

    def run(self, kills: int) -> Told:
        began = time.monotonic()
        self.daemon.start()
        for org, account in self.accounts.items():
            self.daemon.add(org, account.base_url, account.credential)
        for _ in range(kills):
            self._kill()
            self._look()
            self._live()
        self._ready()
        for account in self.accounts.values():
            account.latency_s = 0
            account.clear_faults()
        for org in self.accounts:
            wait_for(lambda org=org: self.daemon.status(org).last_success_at, f"the end of {org}", 120)  # type: ignore[misc]
        self._count()
        self.told.took_s = round(time.monotonic() - began, 1)
        return self.told

    def _kill(self) -> None:
        self.daemon.kill()
        self.told.kills += 1

    def _live(self) -> None:
        """Start it again, and let it come to some moment."""
        self._launched = time.monotonic()
        self.daemon.launch()
        if self.chance.random() < 0.25:
            self.told.while_starting += 1
            _pass(self.chance.uniform(0, STARTS_S))
        else:
            self._ready()
            _pass(self.chance.uniform(0, LIVES_S))

    def _ready(self) -> None:
        self.daemon.await_ready()
        told = self.told
        told.slowest_start_s = max(told.slowest_start_s, round(time.monotonic() - self._launched, 2))
        told.most_work_to_start_s = max(told.most_work_to_start_s, self._worked_s())

    def _worked_s(self) -> float:
        assert self.daemon.process is not None
        fields = Path(f"/proc/{self.daemon.process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")

    def _look(self) -> None:
        """As it was left: whole pages, and no more of them asked for again than a kill may cost."""
        for wrong in (WRONG_SUMS, WRONG_TOTALS, WRONG_DAYS, UNTRUE):
            assert self.daemon.query(wrong) == [], wrong
        for org, pages, records in self.daemon.query(PAGES):
            assert self.daemon.query("SELECT count(*) FROM flow_records WHERE organization_id = ?", org) == [(records,)]
            asked = self._pages_asked_for(org)
            again = (asked - self._asked[org]) - (pages - self._stored[org])
            self.told.most_read_again = max(self.told.most_read_again, again)
            # in all, because a call that was sent before a kill may be seen after it
            assert 0 <= asked - pages <= MOST_READ_AGAIN * self.told.kills, (org, again, self.told)
            self._asked[org], self._stored[org] = asked, pages

    def _pages_asked_for(self, org: str) -> int:
        return sum(one.kind == "export" and one.status == 200 for one in self.accounts[org].requests)

    def _count(self) -> None:
        self._look()
        told = self.told
        for org, account in self.accounts.items():
            here, there = self.daemon.stored(org), account.tickets()
            told.lost += sum(here.get(key) != raw for key, raw in there.items())
            told.doubled += len(here.keys() - there.keys())
        ((unchanged, updated),) = self.daemon.query(
            "SELECT sum(records_unchanged), sum(records_updated) FROM sync_logs"
        )
        told.doubled += unchanged + updated
        told.statuses = dict(Counter(status for (status,) in self.daemon.query("SELECT status FROM sync_logs")))
        told.runs_cut = told.statuses.get("interrupted", 0)
        told.pages = sum(self._stored.values())
        told.pages_asked_for = sum(self._asked.values())
        assert self.daemon.query("PRAGMA integrity_check") == [("ok",)]


def _pass(seconds: float) -> None:
    """Let so much time pass: a kill at random strikes at no event."""
    until = time.monotonic() + seconds
    wait_for(lambda: time.monotonic() >= until, "time to pass", seconds + 30)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("kills", 200), ("tickets", 50_000), ("organizations", 5), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="zd-") as folder, Simulator(seed=asked.seed) as simulator:
        storm = Storm(
            Path(folder), simulator, tickets=asked.tickets, organizations=asked.organizations, seed=asked.seed
        )
        try:
            told = storm.run(asked.kills)
        finally:
            storm.daemon.close()
    print(json.dumps(asdict(told), indent=2))
    return 1 if told.lost or told.doubled else 0


if __name__ == "__main__":
    sys.exit(main())
