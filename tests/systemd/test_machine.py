"""The machine itself: whoever made it may die."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.systemd.image import ROOT, Missing
from tests.systemd.machine import Machine
from tests.waiting import wait_for

pytestmark = pytest.mark.e2e

MAKE = """
import signal, sys
from pathlib import Path
from tests.systemd.machine import Machine
print(Machine(Path(sys.argv[1])).name, flush=True)
signal.pause()
"""


@pytest.mark.timeout(900)  # the root file system may have to be fetched first
def test_it_ends_with_who_made_it(tmp_path: Path) -> None:
    try:
        Machine(tmp_path).close()
    except Missing as reason:
        pytest.skip(f"no machine with a systemd of its own: {reason}")
    with subprocess.Popen(
        [sys.executable, "-c", MAKE, tmp_path], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as maker:
        assert maker.stdout is not None
        name = maker.stdout.readline().strip()
        assert processes_of(name)
        maker.kill()
    wait_for(lambda: not processes_of(name), "the end of every process of the machine", 60)
    wait_for(lambda: not groups_called(name), "the end of its control group", 60)


def processes_of(name: str) -> list[str]:
    found = []
    for group in Path("/proc").glob("[0-9]*/cgroup"):
        try:
            found += [str(group)] if f"/{name}" in group.read_text() else []
        except OSError:
            continue
    return found


def groups_called(name: str) -> list[Path]:
    mounts = [line.split(" - ") for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [
        group
        for about, kind in mounts
        if kind.startswith("cgroup2 ")
        for group in Path(about.split()[4]).rglob(f"{name}*")
    ]
