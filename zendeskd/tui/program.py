"""`zendeskd-tui`: the command line of the dashboard. Says kindly what is missing before it loads Textual."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final, TextIO

from zendeskd import __version__
from zendeskd.address import address_of, host_argument, socket_argument
from zendeskd.errors import ConfigError
from zendeskd.streams import open_missing_streams

USAGE_ERROR: Final = 2
FAREWELL: Final = "The dashboard is closed; syncing goes on."
_MISSING: Final = """zendeskd-tui: the dashboard needs Textual, which is not installed here.
  pip install 'zendeskd[tui]'
  Without it: zendeskctl watch
"""
_NO_TERMINAL: Final = """zendeskd-tui: this is no terminal that a dashboard can be drawn on ({why}).
  use {zendeskctl} watch
"""


def main(argv: Sequence[str] | None = None, *, farewell: str = FAREWELL) -> int:
    """The entry point; `farewell` is said after `q`. -> exit code: 0; 2 for usage, no terminal, no Textual; 3 or 4
    where ssh does not get through."""
    open_missing_streams()
    options = _parser().parse_args(argv)
    if why := why_not(sys.stdin, sys.stdout, sys.stderr, os.environ):
        sys.stderr.write(_NO_TERMINAL.format(why=why, zendeskctl=_zendeskctl(options)))
        return USAGE_ERROR
    gc.disable()  # what a start makes stays: to look for rubbish in it would be a tenth of the start
    try:
        return _started(options, farewell)
    finally:
        gc.enable()


def _started(options: argparse.Namespace, farewell: str) -> int:
    try:
        from zendeskd.tui.start import start  # noqa: PLC0415 - so that a missing Textual can be explained
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in {"textual", "rich"}:
            raise
        sys.stderr.write(_MISSING)
        return USAGE_ERROR
    return start(options, os.environ, farewell)


def _zendeskctl(options: argparse.Namespace) -> str:
    try:
        return address_of(options.ssh, options.socket, os.environ).zendeskctl
    except ConfigError:  # which it would tell then
        return "zendeskctl"


def why_not(stdin: TextIO, stdout: TextIO, stderr: TextIO, environ: Mapping[str, str]) -> str:
    """Why there can be no dashboard here; "" if there can."""
    if environ.get("TERM", "") == "dumb":
        return "TERM=dumb"
    if not stdout.isatty():
        return "its output is not a terminal"
    if not stderr.isatty():
        return "its errors do not go to a terminal, and Textual draws there"
    return "" if stdin.isatty() else "its input is not a terminal"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="zendeskd-tui",
        description="The dashboard: every organisation, live. ? in it shows the keys.",
        epilog="For scripts, screen readers and plain terminals: zendeskctl does all of it too.",
        allow_abbrev=False,
    )
    parser.add_argument("--socket", metavar="PATH", type=socket_argument, help="control socket (also $ZENDESKD_SOCKET)")
    parser.add_argument("--ssh", metavar="HOST", type=host_argument, help="the daemon of that host; PATH is there")
    parser.add_argument("--read-only", action="store_true", help="without the keys that change something")
    parser.add_argument("--ascii", action="store_true", help="no glyphs and lines beyond ASCII")
    parser.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal, for selecting")
    parser.add_argument("--theme", metavar="NAME", help="dark, light, ansi-dark, ansi-light, or another of Textual's")
    parser.add_argument("--version", action="version", version=f"zendeskd-tui {__version__}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
