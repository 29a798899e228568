"""kill -9 of a real daemon: after every page of a sync, and in a storm at random moments.

`python -m tests.reliability.kill_storm` is the long storm: 200 kills of a backfill of 50,000 tickets.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.fixtures.copied import WRONG_SUMS
from tests.fixtures.daemons import DaemonProcess
from tests.reliability.kill_storm import PAGES, Storm
from tests.waiting import wait_for
from zendeskd.simulator import Account, Simulator

KILLS = int(os.environ.get("KILL_STORM_KILLS", "16"))
TICKETS_A_KILL = 200


@pytest.mark.timeout(120 + 10 * KILLS)
def test_a_storm_of_kills_loses_and_doubles_nothing(short_dir: Path, simulator: Simulator) -> None:
    seed = int.from_bytes(os.urandom(4))
    storm = Storm(short_dir, simulator, tickets=KILLS * TICKETS_A_KILL, organizations=4, seed=seed)
    try:
        told = storm.run(KILLS)
    finally:
        storm.daemon.close()
    assert (told.kills, told.lost, told.doubled) == (KILLS, 0, 0)
    assert told.runs_cut >= KILLS  # of several organisations at once
    assert told.most_work_to_start_s < 5  # of a processor, for others may use it too


ROWS = 10


class Hanging:
    """The account refuses the token, which has to be renewed, answers one more page, and hangs with the next."""

    def __init__(self, account: Account) -> None:
        account.clear_faults()
        self.fault = account.fault("hang", on="export", after=2)
        account.fault("short_page", times=None, rows=ROWS)
        account.expire_tokens()


def killed_after_every_page(daemon: DaemonProcess, account: Account) -> int:
    """Kill it each time another page is stored, until a run comes to its end. -> the number of kills."""
    kills = 0
    stored = daemon.query(PAGES)[0][1]
    while True:
        hanging = Hanging(account)
        daemon.start() if kills else daemon.client.trigger("acme")
        wait_for(lambda hanging=hanging: hanging.fault.hits or _is_over(daemon), "a page", 30)  # type: ignore[misc]
        if not hanging.fault.hits:
            return kills
        wait_for(lambda stored=stored: daemon.query(PAGES)[0][1] > stored, "the page to be stored", 30)  # type: ignore[misc]
        daemon.kill()
        kills += 1
        assert daemon.query(PAGES)[0][1] == stored + 1
        stored += 1
        assert daemon.query(WRONG_SUMS) == []
        assert daemon.query("SELECT count(*) FROM sync_logs WHERE status = 'success'") == [(1,)]


def _is_over(daemon: DaemonProcess) -> bool:
    status = daemon.status("acme")
    return status.run is None and status.queued_run_id is None and status.last_status == "success"


@pytest.mark.timeout(180)
def test_a_kill_after_every_page(daemon: DaemonProcess, simulator: Simulator) -> None:
    account = simulator.add_account("acme", tickets=30, body_bytes=300)
    daemon.add("acme", account.base_url, account.credential)
    assert daemon.first_run("acme").status == "success"
    account.add(70)
    account.change(15)
    account.delete(6)
    kills = killed_after_every_page(daemon, account)
    assert kills >= 6
    wait_for(lambda: _is_over(daemon), "the end", 30)
    assert daemon.stored("acme") == account.tickets()
    assert daemon.query("SELECT sum(records_unchanged) FROM sync_logs") == [(0,)]
    statuses = [status for (status,) in daemon.query("SELECT status FROM sync_logs ORDER BY id")]
    assert statuses == ["success", *["interrupted"] * kills, "success"]
    assert daemon.query("PRAGMA integrity_check") == [("ok",)]
