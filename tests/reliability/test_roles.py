"""Who may what, decided by the kernel's word on real callers: processes of other users and groups, on a real daemon.

The whole table of operations is walked, so that none can be forgotten.
"""

from __future__ import annotations

import grp
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.fixtures.daemons import DaemonProcess
from tests.waiting import wait_for
from zendeskd.operations import OPERATIONS
from zendeskd.simulator import Simulator

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else"),
]

NOBODY = 65534
ANA, BEN, EVE = 61_001, 61_002, 61_003
CHANGES = [one for one in OPERATIONS if one.changes]
READS = [one for one in OPERATIONS if not one.changes]
ACTIONS = {"interval": "update-interval"}

CALLER = """
import json, os, socket, sys
path, uid, groups, asked = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3]), json.load(sys.stdin)
os.setgroups(groups)
os.setgid(65534)
os.setuid(uid)
told = []
for method, target, body in asked:
    try:
        with socket.socket(socket.AF_UNIX) as caller:
            caller.settimeout(30)
            caller.connect(path)
            head = f"{method} {target} HTTP/1.1\\nhost: x\\nconnection: close\\ncontent-length: {len(body)}\\n\\n"
            caller.sendall((head.replace("\\n", "\\r\\n") + body).encode())
            answer = b""
            while more := caller.recv(65536):
                answer += more
                if b"x-ndjson" in answer:
                    break
            told.append([int(answer.split()[1]), answer.partition(b"\\r\\n\\r\\n")[2].decode()])
    except OSError as error:
        told.append([0, type(error).__name__])
json.dump(told, sys.stdout)
"""


def two_groups() -> tuple[grp.struct_group, grp.struct_group]:
    """Any two that this host has."""
    found = [one for one in grp.getgrall() if one.gr_gid not in {0, os.getgid(), NOBODY} and one.gr_name]
    if len({one.gr_gid for one in found}) < 2:
        pytest.skip("this host has fewer than two groups")
    first = found[0]
    return first, next(one for one in found if one.gr_gid != first.gr_gid)


class House:
    """A daemon with an organisation that has been read, and callers who are somebody else."""

    def __init__(self, daemon: DaemonProcess, simulator: Simulator, *, with_viewers: bool) -> None:
        self.daemon = daemon
        self.operators, self.viewers = two_groups()
        config = daemon.folder / "zendeskd.toml"
        viewers = f'viewers = "{self.viewers.gr_name}"\n' if with_viewers else ""
        config.write_text(f'[control]\noperators = "{self.operators.gr_name}"\n{viewers}')
        daemon.folder.chmod(0o711)
        daemon.folder.parent.chmod(0o711)
        daemon.start(f"--config={config}")
        self.account = simulator.add_account("acme", tickets=20)
        daemon.add("acme", self.account.base_url, self.account.credential)
        assert daemon.first_run("acme").status == "success"

    def ask(self, uid: int, groups: list[int], operations: list[Any]) -> dict[str, tuple[int, str]]:
        """What comes of each operation: status and body; 0 and the error's name where it could not connect."""
        asked = [(one.method, self._target(one), self._body(one)) for one in operations]
        done = subprocess.run(
            [sys.executable, "-c", CALLER, self.daemon.socket, str(uid), json.dumps(groups)],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            timeout=100,
            check=True,
        )
        return {one.name: tuple(each) for one, each in zip(operations, json.loads(done.stdout), strict=True)}  # type: ignore[misc]

    def _target(self, one: Any) -> str:
        target = one.path.format(system="zendesk", org="acme", id="1", link_id="1")
        return target + ("?organizationId=acme" if target.endswith("/sync-config") else "")

    def _body(self, one: Any) -> str:
        if one.path.endswith("sync-config") and one.method == "POST":
            return json.dumps({"action": ACTIONS.get(one.name, one.name)})
        return json.dumps({"interval": "@daily"}) if one.name == "preview_schedule" else ""

    def audit(self, uid: int) -> list[tuple[str, int]]:
        """Oldest first."""
        return self.daemon.query("SELECT operation, outcome FROM audit_log WHERE uid = ? ORDER BY id", uid)  # type: ignore[return-value]

    def state(self) -> list[tuple[Any, ...]]:
        """All that a call may have changed."""
        return [
            *self.daemon.query("SELECT id, is_active, sync_interval, state FROM integrations"),
            *self.daemon.query("SELECT id, name FROM organizations"),
            *self.daemon.query("SELECT id, status FROM sync_logs ORDER BY id"),
            *self.daemon.query("SELECT COUNT(*) FROM record_links UNION ALL SELECT COUNT(*) FROM reconciliations"),
            *self.daemon.query("SELECT integration_id, kind, ciphertext FROM credentials"),
        ]


@pytest.fixture
def house(daemons: Callable[[], DaemonProcess], simulator: Simulator) -> House:
    return House(daemons(), simulator, with_viewers=True)


def test_a_viewer_reads_everything_and_each_change_is_refused_and_written_down(house: House) -> None:
    groups, before = [house.viewers.gr_gid], house.state()
    for name, (status, body) in house.ask(BEN, groups, READS).items():
        assert status in {200, 404}, (name, body)
    assert house.audit(BEN) == []
    for name, (status, body) in house.ask(BEN, groups, CHANGES).items():
        problem = json.loads(body)
        assert (status, problem["code"]) == (403, "forbidden"), name
        assert "may look but not change" in problem["detail"], name
        assert "control.operators" in problem["hint"], name
    expected = ["command" if one.path.endswith("sync-config") else one.name for one in CHANGES]
    assert house.audit(BEN) == [(name, 403) for name in expected]
    assert house.state() == before


def test_an_operator_may_do_everything_and_it_is_written_down(house: House) -> None:
    told = house.ask(ANA, [house.operators.gr_gid], [*READS, *CHANGES])
    assert told.keys() == {one.name for one in OPERATIONS}
    for name, (status, body) in told.items():
        assert status in {200, 201, 202, 404, 409, 422}, (name, body)
    assert {told[name][0] for name in ("trigger", "stop", "start", "backup", "remove_organization")} <= {200, 202}
    written = wait_for(lambda: house.audit(ANA), "the audit log")
    assert {name for name, _ in written} == {one.name for one in CHANGES}
    assert all(outcome == told[name][0] for name, outcome in written)


def test_a_stranger_is_refused_everything_and_learns_nothing(house: House) -> None:
    before = house.state()
    for name, (status, body) in house.ask(EVE, [], list(OPERATIONS)).items():
        problem = json.loads(body)
        assert (status, problem["code"]) == (403, "forbidden"), name
        assert problem["hint"], name
        assert "acme" not in body, name
    assert [outcome for _, outcome in house.audit(EVE)] == [403] * len(CHANGES)
    assert house.state() == before


def test_the_primary_group_counts_as_well_and_root_needs_none(house: House) -> None:
    script = CALLER.replace("os.setgid(65534)", f"os.setgid({house.operators.gr_gid})")
    asked = json.dumps([["POST", "/api/reload", ""]])
    for source, uid in ((script, str(ANA)), (CALLER.replace("os.setgid(65534)\n", ""), "0")):
        done = subprocess.run(
            [sys.executable, "-c", source, house.daemon.socket, uid, "[]"],
            input=asked, capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        assert json.loads(done.stdout)[0][0] == 200


def test_without_a_group_of_viewers_the_socket_is_closed_to_all_but_operators(
    daemons: Callable[[], DaemonProcess], simulator: Simulator
) -> None:
    house = House(daemons(), simulator, with_viewers=False)
    found = house.daemon.socket.stat()
    assert (found.st_mode & 0o777, found.st_gid) == (0o660, house.operators.gr_gid)
    for uid, groups in ((EVE, []), (BEN, [house.viewers.gr_gid])):
        assert house.ask(uid, groups, READS[:1]) == {"health": (0, "PermissionError")}
    assert house.ask(ANA, [house.operators.gr_gid], READS[:1])["health"][0] == 200
