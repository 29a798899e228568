"""What the demo says to a person."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from zendeskd.demo.stage import Stage


def where_to_look(stage: Stage, why_no_dashboard: str) -> list[str]:
    """While it goes on."""
    programs = Path(sys.executable).parent
    return [
        "",
        f"The daemon runs. The dashboard is not open here: {why_no_dashboard}." if why_no_dashboard else "",
        "In another terminal:",
        f"  export ZENDESKD_SOCKET={stage.socket}",
        f"  {programs}/zendeskd-tui                   the dashboard",
        f"  {programs}/zendeskctl                     all organisations",
        f"  {programs}/zendeskctl explain globex      why, and what to do",
        f"  {programs}/zendeskctl watch               one line a change",
        f"  {programs}/zendeskctl credentials set globex --file {stage.folder / 'globex.json'}",
        "                                            mends it",
        f"  sqlite3 {stage.database}",
        "ctrl+c here ends it and removes everything.",
    ]


def gone(folder: Path) -> list[str]:
    """After its end."""
    return [
        "That was the real daemon and a made-up fleet: imports, limits, retries, a refused token, a stop.",
        f"Nothing of it runs any more, and {folder} is removed.",
        "",
        "  demo --no-dashboard   keeps it running for zendeskctl, sqlite3 and curl",
        "  demo --once           syncs another fleet once and compares every ticket, byte for byte",
        "  simulator --help      a made-up Zendesk for your own try-outs",
    ]


def tail(path: Path, lines: int = 10) -> list[str]:
    """The last lines of a file; none if it cannot be read."""
    try:
        return path.read_text(errors="replace").splitlines()[-lines:]
    except OSError:
        return []


def show(*texts: str) -> None:
    """On stdout: the result."""
    sys.stdout.write("".join(f"{text}\n" for text in texts))
    sys.stdout.flush()


def say(*texts: str) -> None:
    """On stderr: talk."""
    with contextlib.suppress(OSError):  # the terminal hung up; what is left to do matters more
        sys.stderr.write("".join(f"{text}\n" for text in texts))
        sys.stderr.flush()
