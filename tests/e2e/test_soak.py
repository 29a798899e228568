"""The soak itself works: a few seconds of it, with an end of the daemon or two, and everything holds afterwards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

SOAK = Path(__file__).parents[2] / "benchmarks" / "soak.py"


def test_a_few_seconds_of_soak() -> None:
    options = ["--minutes", "0.08", "--organizations", "6", "--tickets", "40", "--every", "0.5"]
    done = subprocess.run(
        [sys.executable, str(SOAK), *options], capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = " ".join(done.stdout.split())
    assert "What does not hold: nothing" in said
    for figure in ("resident memory, MB", "open descriptors", "threads", "runs: success", "ends by SIG"):
        assert figure in said
