"""Sealed credentials that somebody moved, changed or cut: each costs its own integration, which says what to do."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys

import pytest

from tests.fixtures.daemons import DaemonProcess
from tests.waiting import wait_for
from zendeskd.models import Bearer, Secret, StoredCredential
from zendeskd.secrets import Vault
from zendeskd.simulator import Simulator

SEALS = 20_000
CHANGES = {
    "moved-1": "(SELECT ciphertext FROM c WHERE org = 'moved-2')",
    "moved-2": "(SELECT ciphertext FROM c WHERE org = 'moved-1')",
    "older": "(SELECT ciphertext FROM c WHERE org = 'good')",
    "bit": "substr(ciphertext, 1, 60) || CASE substr(ciphertext, 61, 1) WHEN 'A' THEN 'B' ELSE 'A' END"
    " || substr(ciphertext, 62)",
    "nonce": "substr(ciphertext, 1, 12) || CASE substr(ciphertext, 13, 1) WHEN 'A' THEN 'B' ELSE 'A' END"
    " || substr(ciphertext, 14)",
    "cut": "substr(ciphertext, 1, 50)",
    "longer": "ciphertext || 'AAAA'",
    "empty": "''",
    "blob": "x'00ff00ff'",
    "text": "CAST(x'ff00ff' AS TEXT)",
    "future": "replace(ciphertext, 'v1:', 'v2:')",
    "key": "'v1:00000000' || substr(ciphertext, 12)",
}


def test_a_nonce_comes_once() -> None:
    vault, stored = Vault(bytes(32)), StoredCredential(Bearer(Secret("token")))
    seen = set()
    for _ in range(SEALS):
        first = vault.seal("acme", "zendesk", stored).ciphertext
        again = vault.reseal("acme", "zendesk", first)
        seen |= {first.split(":")[2], again.split(":")[2]}
    assert len(seen) == 2 * SEALS
    assert {len(nonce) for nonce in seen} == {16}, "96 bits"


@pytest.mark.e2e
def test_each_row_that_does_not_open_blocks_its_own_integration(daemon: DaemonProcess, simulator: Simulator) -> None:
    account = simulator.add_account("acme", tickets=3, kind="bearer")
    orgs = ["good", *CHANGES]
    for org in orgs:
        daemon.add(org, account.base_url, account.credential)
    for org in orgs:
        assert daemon.first_run(org).status == "success"
    daemon.stop()
    connection = sqlite3.connect(daemon.database)
    connection.execute(
        "CREATE TEMP TABLE c AS SELECT i.organization_id AS org, c.ciphertext, c.integration_id FROM credentials c"
        " JOIN integrations i ON i.id = c.integration_id"
    )
    for org, made in CHANGES.items():
        connection.execute(
            f"UPDATE credentials SET ciphertext = {made} WHERE integration_id IN"
            " (SELECT integration_id FROM c WHERE org = ?)",
            [org],
        )
    connection.commit()
    connection.close()
    daemon.start()
    runs = {org: daemon.client.trigger(org).run_id for org in orgs}
    ended = {org: daemon.ended(run) for org, run in runs.items()}
    assert ended.pop("good").status == "success"
    for org, run in ended.items():
        assert (run.status, run.error_code) == ("failed", "credential_error"), org
        wait_for(lambda org=org: daemon.status(org).state == "blocked", f"{org} to be blocked")  # type: ignore[misc]
        status = daemon.status(org)
        assert status.last_error is not None
        said = status.last_error.message
        assert re.search(f"credentials of {org} (are damaged|were sealed with another)|by a newer", said), said
    done = subprocess.run(
        [sys.executable, "-m", "zendeskd.ctl", "explain", "cut", f"--socket={daemon.socket}"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "zendeskctl credentials set cut" in done.stdout
    done = subprocess.run(daemon.command("doctor"), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    lines = [line for line in done.stdout.splitlines() if line.startswith("failed")]
    assert len(lines) == len(CHANGES), done.stdout  # the empty one has none, and there is the key that is not here
    hints = [f"zendeskctl credentials set {org} --system zendesk" for org in CHANGES if org != "empty"]
    assert [hint for hint in hints if hint not in done.stdout] == []
    # new ones, and it goes on
    daemon.client.set_credentials("bit", b'{"kind":"bearer","token":"%s"}' % account.credential["token"].encode())
    assert daemon.ended(daemon.client.trigger("bit").run_id).status == "success"
