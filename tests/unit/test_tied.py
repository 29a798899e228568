"""Processes that end with the one that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from tests.fixtures.sshd import running
from tests.waiting import wait_for

STARTER = (
    "import subprocess, sys, threading; from zendeskd.tied import tied\n"
    "subprocess.Popen(tied([sys.executable, '-c', 'import threading; threading.Event().wait()', sys.argv[1]]))\n"
    "threading.Event().wait()\n"
)


def test_it_ends_with_its_starter_however_that_ends() -> None:
    mark = f"tied-to-{os.getpid()}"
    with subprocess.Popen([sys.executable, "-c", STARTER, mark]) as starter:
        try:
            wait_for(lambda: len(set(running(mark)) - {starter.pid}) == 1, "the process")
            starter.send_signal(signal.SIGKILL)
            starter.wait()
            wait_for(lambda: not running(mark), "its end")
        finally:
            starter.kill()
