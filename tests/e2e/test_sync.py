"""Tickets arrive complete, whatever happens: real daemon, real HTTP, real SQLite."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures.daemons import NEVER, DaemonProcess
from tests.waiting import wait_for
from zendeskd.simulator import Account, Simulator

pytestmark = pytest.mark.e2e


def triggered(daemon: DaemonProcess, org: str = "acme") -> object:
    return daemon.ended(daemon.client.trigger(org).run_id)


@pytest.fixture
def account(simulator: Simulator, daemon: DaemonProcess) -> Account:
    """An account of 2,500 tickets that the daemon has read once."""
    one = simulator.add_account("acme", tickets=2500)
    daemon.add("acme", one.base_url, one.credential)
    run = daemon.first_run("acme")
    assert (run.status, run.records_created, run.trigger) == ("success", 2500, "start")
    assert daemon.stored("acme") == one.tickets()
    return one


def test_a_second_run_asks_once_and_writes_nothing(daemon: DaemonProcess, account: Account) -> None:
    before = daemon.query("SELECT * FROM flow_records ORDER BY id")
    run = daemon.ended(daemon.client.trigger("acme").run_id)
    assert (run.status, run.records_processed, run.api_calls) == ("success", 0, 1)
    assert daemon.query("SELECT * FROM flow_records ORDER BY id") == before


def test_a_change_that_moves_only_the_generated_timestamp_arrives(daemon: DaemonProcess, account: Account) -> None:
    account.touch(7)
    run = daemon.ended(daemon.client.trigger("acme").run_id)
    assert (run.status, run.records_processed, run.records_unchanged) == ("success", 7, 7)
    assert daemon.stored("acme") == account.tickets()


def test_changes_additions_and_deletions_arrive(daemon: DaemonProcess, account: Account) -> None:
    account.change(40)
    account.add(25)
    gone = sorted(account.tickets())[:5]
    account.delete(gone)
    run = daemon.ended(daemon.client.trigger("acme").run_id)
    assert run.status == "success"
    assert (run.records_created, run.records_deleted) == (25, 5)
    assert daemon.stored("acme") == account.tickets()
    marked = daemon.query("SELECT external_id FROM flow_records WHERE deleted_at IS NOT NULL AND status = 'deleted'")
    assert {int(key) for (key,) in marked} >= set(gone)
    assert daemon.status("acme").total_records == 2500 + 25 - len(marked)


def test_the_three_queries(daemon: DaemonProcess, account: Account) -> None:
    assert len(daemon.query("SELECT * FROM sync_logs ORDER BY synced_at DESC LIMIT 10")) == 1
    assert daemon.query("SELECT source_system, COUNT(*) FROM flow_records GROUP BY source_system") == [
        ("zendesk", 2500)
    ]
    assert len(daemon.query("SELECT * FROM integrations WHERE system_type = 'zendesk'")) == 1


def test_reconcile_finds_what_was_purged_and_what_was_lost(daemon: DaemonProcess, account: Account) -> None:
    live = sorted(key for key, raw in account.tickets().items() if b'"status":"deleted"' not in raw)
    account.purge(live[:3])
    compared = daemon.client.reconcile(["acme"]).items[0]
    assert not compared.joined

    def done() -> bool:
        found = daemon.status("acme").reconciled
        return found is not None and found.status != "running"

    wait_for(done, "the comparison", 60)
    result = daemon.status("acme").reconciled
    assert result is not None
    assert (result.status, result.vanished, result.missing, result.repaired) == ("verified", 3, 0, 3)
    gone = daemon.query("SELECT external_id FROM flow_records WHERE deleted_at IS NOT NULL")
    assert {int(key) for (key,) in gone} >= set(live[:3])


@pytest.mark.parametrize("kind", ["oauth_client_credentials", "oauth_refresh_token", "api_token", "bearer"])
def test_every_kind_of_credentials(daemon: DaemonProcess, simulator: Simulator, kind: str) -> None:
    account = simulator.add_account("acme", tickets=120)
    daemon.add("acme", account.base_url, account.credential_of(kind))
    assert daemon.first_run("acme").status == "success"
    assert daemon.stored("acme") == account.tickets()


def test_the_list_strategy(daemon: DaemonProcess, simulator: Simulator) -> None:
    account = simulator.add_account("acme", tickets=350)
    daemon.add("acme", account.base_url, account.credential, strategy="list")
    assert daemon.first_run("acme").status == "success"
    account.change(10)
    account.add(5)
    assert daemon.ended(daemon.client.trigger("acme").run_id).status == "success"
    live = {key for key, raw in account.tickets().items() if b'"status":"deleted"' not in raw}
    assert live <= set(daemon.stored("acme")) | {-1}


def test_wrong_credentials_block_and_new_ones_heal_without_a_restart(
    daemon: DaemonProcess, simulator: Simulator
) -> None:
    import msgspec

    account = simulator.add_account("acme", tickets=60)
    wrong = {**account.credential_of("api_token"), "token": "wrong"}
    daemon.add("acme", account.base_url, wrong)
    run = daemon.first_run("acme")
    assert (run.status, run.error_code) == ("failed", "credential_error")
    status = wait_for(lambda: (s := daemon.status("acme")).state == "blocked" and s, "the block")
    assert "credentials set acme" in status.explanation.you
    daemon.client.set_credentials("acme", msgspec.json.encode(account.credential_of("api_token")))
    wait_for(lambda: daemon.status("acme").health == "ok", "health", 30)
    assert daemon.stored("acme") == account.tickets()


def test_kill_9_at_any_moment_loses_and_doubles_nothing(
    daemons: Callable[[], DaemonProcess], simulator: Simulator
) -> None:
    """Several kills in one backfill; after each at most one page is read again."""
    chance = random.Random(20261123)
    account = simulator.add_account("acme", tickets=12_000, latency_s=0.2)
    daemon = daemons().start()
    daemon.add("acme", account.base_url, account.credential)
    for kill in range(1, 7):
        goal = kill * 1500 + chance.randrange(900)
        wait_for(lambda goal=goal: daemon.query("SELECT COUNT(*) FROM flow_records")[0][0] >= goal, "progress", 60)  # type: ignore[misc]
        daemon.kill()
        ((stored,),) = daemon.query("SELECT COUNT(*) FROM flow_records")
        ((total,),) = daemon.query("SELECT total_records FROM integrations")
        ((deleted,),) = daemon.query("SELECT COUNT(*) FROM flow_records WHERE deleted_at IS NOT NULL")
        assert total == stored - deleted
        daemon.start()
    wait_for(lambda: daemon.status("acme").last_success_at, "the end of the backfill", 90)
    assert daemon.stored("acme") == account.tickets()
    statuses = [status for (status,) in daemon.query("SELECT status FROM sync_logs ORDER BY id")]
    assert statuses.count("interrupted") == 6
    assert statuses[-1] == "success"
    ((created, unchanged),) = daemon.query("SELECT SUM(records_created), SUM(records_unchanged) FROM sync_logs")
    assert created + daemon.query("SELECT SUM(records_deleted) FROM sync_logs")[0][0] == 12_000
    assert unchanged == 0  # a page is stored whole with its cursor, or not at all
    assert daemon.query("PRAGMA integrity_check") == [("ok",)]


def test_many_organisations_at_once(daemon: DaemonProcess, simulator: Simulator) -> None:
    accounts = {f"org-{n:02}": simulator.add_account(f"org-{n:02}", tickets=30 + n) for n in range(30)}
    for org, account in accounts.items():
        daemon.add(org, account.base_url, account.credential, interval=NEVER)
    for org, account in accounts.items():
        assert daemon.first_run(org).status == "success"
        assert daemon.stored(org) == account.tickets()


def test_ctl_and_curl_say_the_same(daemon: DaemonProcess, account: Account) -> None:
    """The seven calls, once by each."""

    def ctl(*words: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "zendeskd.ctl", "--socket", str(daemon.socket), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr

    def curl(body: str) -> tuple[int, str]:
        url = "http://zendeskd/api/zendesk/sync-config?organizationId=acme"
        command = ["curl", "-s", "-w", "\n%{http_code}", "--unix-socket", str(daemon.socket), "-d", body, url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        text, _, status = done.stdout.rpartition("\n")
        return int(status), text

    assert curl('{"action":"trigger"}')[0] == 202
    assert ctl("trigger", "acme", "--wait")[0] == 0
    assert curl('{"action":"update-interval","interval":"*/30 * * * *"}')[0] == 200
    assert ctl("interval", "acme", "*/20 * * * *")[0] == 0
    assert curl('{"action":"update-interval","interval":"75 * * * *"}')[0] == 422
    assert ctl("interval", "acme", "75 * * * *")[0] == 2
    assert daemon.status("acme").interval == "*/20 * * * *"
    assert curl('{"action":"stop","reason":"freeze"}')[0] == 200
    assert daemon.status("acme").state == "stopped"
    assert ctl("start", "acme", "--interval", "*/10 * * * *")[0] == 0
    wait_for(lambda: daemon.status("acme").state == "idle", "the run")
    assert ctl("stop", "acme", "--yes")[0] == 0
    assert curl('{"action":"start"}')[0] == 200
    wait_for(lambda: daemon.status("acme").state == "idle", "the run")
    assert curl('{"action":"cancel"}')[0] == 409
    assert ctl("cancel", "acme", "--yes")[0] == 6
    assert curl('{"action":"resync","since":"30d"}')[0] == 202
    wait_for(lambda: daemon.status("acme").state == "idle", "the resync")
    assert ctl("resync", "acme", "--full", "--yes")[0] == 0
    wait_for(lambda: daemon.status("acme").state == "idle", "the resync")
    assert ctl("trigger", "acmee")[0] == 5
    code, text = ctl("status")
    assert code == 0
    assert "acme" in text
    assert daemon.stored("acme") == account.tickets()


def test_explain_says_why_and_what_comes_next(daemon: DaemonProcess, account: Account) -> None:
    command = [sys.executable, "-m", "zendeskd.ctl", "--socket", str(daemon.socket), "explain", "acme"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "brought the copy up to date" in said
    assert "Next run" in said
    assert Path(daemon.database).exists()
