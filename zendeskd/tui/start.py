"""From options and settings to a running dashboard."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from textual.theme import BUILTIN_THEMES

from zendeskd import paths
from zendeskd.errors import ConfigError
from zendeskd.tui import bindings, choices, config
from zendeskd.tui.app import THEMES, Dashboard, Options
from zendeskd.tui.program import USAGE_ERROR, socket_of


def start(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Runs until the person quits. -> exit code."""
    try:
        chosen = choose(options, environ)
    except ConfigError as error:
        for problem in error.problems:
            sys.stderr.write(f"zendeskd-tui: {problem}\n")
        return USAGE_ERROR
    app = Dashboard(socket_of(options, environ), chosen, choices_file=choices_file(environ))
    code = app.run(mouse=not options.no_mouse)
    if code == 0:
        sys.stdout.write("The dashboard is closed; syncing goes on.\n")
    return code if code is not None else app.return_code or 0


def choose(options: argparse.Namespace, environ: Mapping[str, str]) -> Options:
    """The command line over what was last chosen in the dashboard over the person's settings over the defaults.

    Raises ConfigError with all that is wrong."""
    themes = theme_names()
    if options.theme is not None and options.theme not in themes:
        raise ConfigError(f"there is no theme {options.theme!r}, there are {', '.join(themes)}")
    settings: dict[str, Any] = config.read(config_file(environ), themes=themes, keys=bindings.names())
    settings |= choices.read(choices_file(environ), themes=themes)
    if options.theme is not None:
        settings["theme"] = options.theme
    return Options(read_only=options.read_only, ascii=options.ascii, **settings)


def config_file(environ: Mapping[str, str]) -> Path:
    """`tui.toml` beside the user's own zendeskd.toml."""
    return paths.config_files(environ)[-1].with_name(config.FILE_NAME)


def choices_file(environ: Mapping[str, str]) -> Path:
    return paths.own_state_dir(environ) / choices.FILE_NAME


def theme_names() -> list[str]:
    return [*THEMES, *sorted(name for name in BUILTIN_THEMES if name not in THEMES.values())]
