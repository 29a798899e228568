"""What the C library keeps of freed memory. In processes of their own: a heap is the process's."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

KEPT = """
import sys
from pathlib import Path
from zendeskd import heap

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

heap.tune()
records = [bytes(3000) for _ in range(20_000)]
last = bytes(3000)  # the end of the heap stays in use
del records
before = resident_mb()
heap.give_back()
print(before - resident_mb())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="calls of glibc")
def test_what_was_freed_goes_back_to_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", KEPT], capture_output=True, text=True, timeout=60, check=True)
    assert float(done.stdout) > 40, "of 57 MB"


def test_another_c_library_is_left_as_it_is() -> None:
    script = (
        "import ctypes\n"
        "class Bare:\n    def __init__(self, name): pass\n"
        "ctypes.CDLL = Bare\n"
        "from zendeskd import heap\nheap.tune()\nheap.give_back()\nprint('went on')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("went on\n", "")
