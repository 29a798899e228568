"""`completion`: scripts for shells."""

from __future__ import annotations

import argparse
from typing import Final

from zendeskd.verbs.base import Call, Verb
from zendeskd.verbs.exits import Exit, UsageProblem

SHELLS: Final = ("bash", "zsh", "fish")


def _prepare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help="bash, zsh or fish")


def _completion(call: Call) -> Exit:
    from zendeskd import completion

    if call.terminal.json:
        raise UsageProblem("completion prints a script, not JSON")
    call.terminal.lines(completion.script(call.options.shell).splitlines())
    return Exit.OK


VERBS: Final = (
    Verb(
        name="completion",
        summary="a completion script for bash, zsh or fish",
        usage="bash|zsh|fish [COMMON]",
        examples=(
            "zendeskctl completion bash > /etc/bash_completion.d/zendeskctl",
            "zendeskctl completion fish > ~/.config/fish/completions/zendeskctl.fish",
        ),
        prepare=_prepare,
        run=_completion,
    ),
)
