"""Processes that end with this one, however it ends. Standard library only."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final

_BECOME: Final = """import os, sys
try:
    import ctypes
    ctypes.CDLL(None).prctl(1, 15)
except (ImportError, OSError, AttributeError):
    pass
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


def tied(command: Sequence[str]) -> list[str]:
    """The command, for a process of ours that gets SIGTERM when this one ends, also by `kill -9`. It begins with the
    path of a program.

    A Python asks the kernel for it (prctl(2), PR_SET_PDEATHSIG) and becomes the program: a child of ours could not ask
    for itself between fork and exec, for there are threads. The kernel goes by the thread that starts the process,
    which has to live as long as it."""
    return [sys.executable, "-I", "-S", "-c", _BECOME, str(os.getpid()), *command]
