"""From options to a running dashboard."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping

from textual.theme import BUILTIN_THEMES

from zendeskd.tui.app import THEMES, Dashboard, Options
from zendeskd.tui.program import USAGE_ERROR, socket_of


def start(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Runs until the person quits. -> exit code."""
    theme = options.theme or "dark"
    if theme not in THEMES and theme not in BUILTIN_THEMES:
        names = ", ".join(sorted([*THEMES, *(name for name in BUILTIN_THEMES if not name.startswith("textual-"))]))
        sys.stderr.write(f"zendeskd-tui: there is no theme {theme!r}. There are: {names}\n")
        return USAGE_ERROR
    app = Dashboard(socket_of(options, environ), Options(read_only=options.read_only, ascii=options.ascii, theme=theme))
    code = app.run(mouse=not options.no_mouse)
    if code == 0:
        sys.stdout.write("The dashboard is closed; syncing goes on.\n")
    return code if code is not None else app.return_code or 0
