"""The dashboard as a child process on the demo's own terminal."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import termios
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Final, TextIO

from zendeskd.demo.stage import Stage
from zendeskd.tied import tied

_DASHBOARD: Final = "import sys; from zendeskd.tui.program import main; sys.exit(main(farewell=''))"
"""Its own last words are that syncing goes on, which is not so here."""

_LEAVES_WITHIN_S: Final = 5.0
# back from the other screen: cursor, mouse, focus, pasting and keys as a shell wants them
_PLAIN: Final = b"\x1b[?1049l\x1b[?25h\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1004l\x1b[?2004l\x1b[<u\x1b[0m"


def why_not(stdin: TextIO, stdout: TextIO) -> str:
    """Why the dashboard cannot be opened here; "" if it can."""
    if not (stdin.isatty() and stdout.isatty()) or os.environ.get("TERM", "dumb") == "dumb":
        return "this is no terminal that it can be drawn on"
    if find_spec("textual") is None:
        return "it needs Textual: pip install 'zendeskd[tui]'"
    return ""


def open_on(stage: Stage) -> int:
    """Until the person quits it or the demo is told to end. -> its exit code, 0 if it was ended from outside."""
    command = [sys.executable, "-c", _DASHBOARD, f"--socket={stage.socket}"]
    # a filter that is kept from a real fleet would hide the made-up one
    environ = {**os.environ, "XDG_STATE_HOME": str(stage.folder)}
    with _quiet(stage), _restored():
        process = subprocess.Popen(tied(command), env=environ)
        try:
            while process.poll() is None:
                if stage.ending.is_set():
                    return 0
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.2)
            return process.returncode
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Does nothing if it has ended."""
    process.terminate()
    try:
        process.wait(_LEAVES_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def _quiet(stage: Stage) -> Iterator[None]:
    """Nothing of this process shows up on the dashboard."""
    with (stage.folder / "demo.stderr").open("w") as file, contextlib.redirect_stderr(file):
        yield


@contextlib.contextmanager
def _restored() -> Iterator[None]:
    """The terminal is as it was before, even if the dashboard could not see to that."""
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    try:
        yield
    finally:
        with contextlib.suppress(OSError, termios.error):  # it hung up
            if termios.tcgetattr(terminal) != before:
                termios.tcsetattr(terminal, termios.TCSANOW, before)
                os.write(sys.stdout.fileno(), _PLAIN)
