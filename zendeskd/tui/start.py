"""From options and settings to a running dashboard."""

from __future__ import annotations

import argparse
import gc
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from textual.theme import BUILTIN_THEMES

from zendeskd import paths
from zendeskd.address import Address, address_of
from zendeskd.errors import ConfigError, ZendeskdError
from zendeskd.present import clean
from zendeskd.ssh import Tunnel, ending_in_order
from zendeskd.tui import bindings, choices, config, hanging_up
from zendeskd.tui.app import THEMES, Dashboard, Options
from zendeskd.tui.program import USAGE_ERROR
from zendeskd.verbs.exits import Exit, exit_of

_UNASKED: Final = "ssh asks nothing while the dashboard is on the screen: quit and start again, or use an ssh agent"


def start(options: argparse.Namespace, environ: Mapping[str, str], farewell: str) -> int:
    """Runs until the person quits, then says `farewell`. -> exit code."""
    try:
        address = address_of(options.ssh, options.socket, environ)
        chosen = choose(options, environ)
        refuse_what_is_no_socket(address)
    except ConfigError as error:
        for problem in error.problems:
            sys.stderr.write(f"zendeskd-tui: {clean(problem)}\n")
        return USAGE_ERROR
    if not address.host:
        return _run(Dashboard(address, chosen, choices_file=choices_file(environ)), options, farewell)
    with ending_in_order():
        try:
            tunnel = Tunnel.opened(address, unasked=_UNASKED, may_ask=True, relay=_relay)
        except ZendeskdError as error:
            sys.stderr.write(f"zendeskd-tui: {clean(error.detail)}\n  {clean(error.hint)}\n")
            return exit_of(error)
        except KeyboardInterrupt:
            return Exit.INTERRUPTED
        with tunnel:
            return _run(
                Dashboard(address, chosen, tunnel=tunnel, choices_file=choices_file(environ)), options, farewell
            )


def _relay(line: str) -> None:
    """What ssh says while it comes up."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _run(app: Dashboard, options: argparse.Namespace, farewell: str) -> int:
    app.when_up = look_for_rubbish
    with hanging_up.noticed():
        code = app.run(mouse=not options.no_mouse)
    if code == 0 and farewell:
        sys.stdout.write(f"{farewell}\n")
    return code if code is not None else app.return_code or 0


def look_for_rubbish() -> None:
    """Again, but not among what the start made: that stays to the end."""
    gc.freeze()
    gc.enable()


def refuse_what_is_no_socket(address: Address) -> None:
    """A path that names something else will not become a socket while one waits. Raises ConfigError."""
    if address.host:
        return  # it is for the host to say
    try:
        is_something_else = not stat.S_ISSOCK(address.socket.stat().st_mode)
    except (OSError, ValueError):
        return
    if is_something_else:
        raise ConfigError(f"{address.socket} is not a socket; name the daemon's: --socket PATH, or $ZENDESKD_SOCKET")


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
    is_ascii = options.ascii or environ.get("TERM") == "linux"  # the console's fonts have none of the glyphs
    return Options(read_only=options.read_only, ascii=is_ascii, **settings)


def config_file(environ: Mapping[str, str]) -> Path:
    """`tui.toml` beside the user's own zendeskd.toml."""
    return paths.config_files(environ)[-1].with_name(config.FILE_NAME)


def choices_file(environ: Mapping[str, str]) -> Path:
    return paths.own_state_dir(environ) / choices.FILE_NAME


def theme_names() -> list[str]:
    return [*THEMES, *sorted(name for name in BUILTIN_THEMES if name not in THEMES.values())]
