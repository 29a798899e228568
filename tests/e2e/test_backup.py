"""Back to an older backup and on from there, with real daemons: nothing is lost and nothing comes twice."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.daemons import DaemonProcess
from tests.waiting import wait_for
from zendeskd import wire
from zendeskd.simulator import Simulator

pytestmark = pytest.mark.e2e


def backed_up(daemon: DaemonProcess) -> Path:
    path = daemon.client.backup().path

    def made() -> list[wire.Backup]:
        known = daemon.client.status().backup
        return [one for one in known.recent if one.path == path] if known is not None else []

    (one,) = wait_for(made, "the backup")
    assert one.trouble is None
    return Path(path)


def restore(daemon: DaemonProcess, file: Path) -> subprocess.CompletedProcess[str]:
    command = daemon.command("restore", str(file), "--yes")
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)


def records(daemon: DaemonProcess) -> list[tuple[Any, ...]]:
    """What the copy says of each ticket, without when it was written here."""
    return daemon.query(
        "SELECT external_id, raw, status, source_version, deleted_at IS NULL FROM flow_records"
        " WHERE organization_id = 'acme' ORDER BY external_id"
    )


def test_an_older_backup_catches_up_with_the_source(daemon: DaemonProcess, simulator: Simulator) -> None:
    account = simulator.add_account("acme", tickets=1500)
    daemon.add("acme", account.base_url, account.credential)
    daemon.first_run("acme")
    first = account.listed()
    file = backed_up(daemon)
    account.change(40)
    account.add(25)
    gone = sorted(account.tickets())[:5]
    account.delete(gone)
    assert daemon.ended(daemon.client.trigger("acme").run_id).status == "success"
    before = records(daemon)
    assert len(before) == 1525

    refused = restore(daemon, file)
    assert refused.returncode == 1
    assert "systemctl stop zendeskd" in refused.stderr
    assert records(daemon) == before

    assert daemon.stop() == 0
    purged = sorted(account.listed())[:3]
    account.purge(purged)
    done = restore(daemon, file)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"holds    1 organisation, {len(first):,} records" in done.stdout
    assert len(records(daemon)) == 1500

    daemon.start()
    run = daemon.ended(daemon.client.trigger("acme").run_id)
    assert (run.status, run.records_created, run.records_deleted) == ("success", 25, 5)
    # what the source has purged it no longer tells of; the comparison finds it
    assert [row for row in records(daemon) if int(row[0]) not in purged] == [
        row for row in before if int(row[0]) not in purged
    ]
    compared = daemon.client.reconcile(["acme"]).items[0]

    def verified() -> bool:
        found = daemon.status("acme").reconciled
        return found is not None and found.id == compared.reconciliation_id and found.status == "verified"

    wait_for(verified, "the comparison", 60)
    missing = daemon.query("SELECT external_id FROM flow_records WHERE deleted_at IS NOT NULL")
    assert {int(key) for (key,) in missing} >= {*gone, *purged}
    live = {int(key) for (key,) in daemon.query("SELECT external_id FROM flow_records WHERE deleted_at IS NULL")}
    assert live == set(account.listed())


def test_a_backup_made_during_the_first_read_goes_on_from_there(
    daemons: Callable[[], DaemonProcess], simulator: Simulator
) -> None:
    """Put back after the daemon was killed: the run in it is `interrupted`, and its successor reads the rest."""
    account = simulator.add_account("acme", tickets=8_000, latency_s=0.1)
    daemon = daemons().start()
    daemon.add("acme", account.base_url, account.credential)
    wait_for(lambda: daemon.query("SELECT count(*) FROM flow_records")[0][0] >= 2_000, "progress", 60)
    file = backed_up(daemon)
    with contextlib.closing(sqlite3.connect(file)) as copy:
        ((there, total),) = copy.execute(
            "SELECT count(*), sum(deleted_at IS NULL) = (SELECT sum(total_records) FROM integrations) FROM flow_records"
        )
        assert copy.execute("SELECT status FROM sync_logs").fetchall() == [("running",)]
    assert total
    assert 2_000 <= there < 8_000
    daemon.kill()
    assert restore(daemon, file).returncode == 0
    assert len(daemon.stored("acme")) == there
    daemon.start()
    wait_for(lambda: daemon.status("acme").last_success_at, "the end of the read", 90)
    assert daemon.stored("acme") == account.tickets()
    statuses = [status for (status,) in daemon.query("SELECT status FROM sync_logs ORDER BY id")]
    assert (statuses[0], statuses[-1]) == ("interrupted", "success")
    ((unchanged,),) = daemon.query("SELECT SUM(records_unchanged) FROM sync_logs")
    assert unchanged == 0
