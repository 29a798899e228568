"""One sync with every write to the disk failing in turn, and with the process killed at every one of them."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def walk(disk: Path, folder: Path, error: int, lasting: int) -> dict[str, int]:
    """-> how often the sync came to which end."""
    command = [sys.executable, "-m", "tests.reliability.disk_walk", str(folder), str(error), str(lasting)]
    environ = {**os.environ, "LD_PRELOAD": str(disk)}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, int] = json.loads(done.stdout)
    assert found.pop("undisturbed") == 1
    return found


@pytest.mark.parametrize(
    ("error", "lasting"),
    [(errno.ENOSPC, 0), (errno.ENOSPC, 100_000), (errno.EIO, 0)],
    ids=["full-once", "full-for-long", "broken-once"],
)
def test_every_write_fails(error: int, lasting: int, disk: Path, tmp_path: Path) -> None:
    found = walk(disk, tmp_path / "walk", error, lasting)
    # it could not begin, or it failed, or only moving the log into the file at the end failed, which costs nothing
    assert found.keys() <= {"storage_error", "failed", "partial"}
    assert found["storage_error"] > 30


def test_a_kill_at_every_write(disk: Path, tmp_path: Path) -> None:
    found = walk(disk, tmp_path / "walk", 0, 0)
    assert found.keys() == {"killed"}
    assert found["killed"] > 100
