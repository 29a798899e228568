# ruff: noqa: F811 - a fixture is asked for by its own name
"""How the daemon and the integrations are, as callers see it."""

from __future__ import annotations

import os

from tests.fixtures.control import Control, control  # noqa: F401
from tests.waiting import wait_for


def test_health_and_status(control: Control) -> None:
    client = control.client()
    assert client.health().ok
    status = client.status()
    assert (status.boot_id, status.pid, status.role) == ("boot-1", os.getpid(), "operator")
    assert status.organizations == 0


def test_trigger(control: Control) -> None:
    control.add()
    client = control.client()
    queued = client.trigger("acme")
    run = control.ended(queued.run_id)
    assert (run.status, run.records_created, run.requested_by) == ("success", 3, "root (cli)")
    wait_for(lambda: client.sync_status_one("acme").total_records == 3)
