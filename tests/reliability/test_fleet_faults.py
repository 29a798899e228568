"""Every write, lock and read of a run, a comparison, and of taking over fails once; then the copy becomes whole.

Through the jobs, their worker, a real connector and credentials whose refresh token is spent by each use: it is never
lost and never used twice.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.reliability.test_storage_faults import ROOT

EVERY = int(os.environ.get("FAULT_WALK_EVERY", "12"))
"""1 for every single call, which takes four minutes."""

CHANGES, LOCKS, READS = range(3)
WALKS = {
    "full-once": (CHANGES, errno.ENOSPC, 0),
    "full-for-long": (CHANGES, errno.ENOSPC, 1_000_000),
    "broken-once": (CHANGES, errno.EIO, 0),
    "locked-for-long": (LOCKS, errno.EAGAIN, 1_000_000),
    "unreadable-once": (READS, errno.EIO, 0),
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", WALKS)
def test_every_call_of_the_disk_fails_under_a_whole_fleet(name: str, disk: Path, tmp_path: Path) -> None:
    first = list(WALKS).index(name) % EVERY
    words = [str(word) for word in (tmp_path / "walk", *WALKS[name], EVERY, first)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.reliability.fleet_walk", *words],
        cwd=ROOT, env={**os.environ, "LD_PRELOAD": str(disk)}, capture_output=True, text=True, timeout=580, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, int] = json.loads(done.stdout)
    assert found.pop("undisturbed") == 1
    assert sum(found.values()) * EVERY > 60
    assert not any("success" in words or "blocked" in words for words in found), found
