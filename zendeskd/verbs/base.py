"""What a verb is, how its command line is read, and what it is given to work with."""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

import msgspec

from zendeskd import __version__
from zendeskd.address import Address, host_argument, socket_argument
from zendeskd.models import SYSTEMS
from zendeskd.verbs.exits import Exit, UsageProblem
from zendeskd.verbs.terminal import Terminal

if TYPE_CHECKING:
    from types import ModuleType

    from zendeskd.client import Client
    from zendeskd.ssh import Tunnel

HELP_WIDTH: Final = 100


class Parser(argparse.ArgumentParser):
    """Help begins with the examples; errors are raised, not printed."""

    def __init__(self, *, prog: str, usage: str, examples: Sequence[str], description: str) -> None:
        super().__init__(
            prog=prog,
            usage=textwrap.fill(
                f"{prog} {usage}", HELP_WIDTH - 7, subsequent_indent=" " * 9, break_on_hyphens=False
            ).rstrip(),
            description=description,
            allow_abbrev=False,
            formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=26, width=HELP_WIDTH),
        )
        self.examples = tuple(examples)
        self.color = False  # Python 3.14 colours help by itself; ours is the same everywhere

    def format_help(self) -> str:
        return "examples:\n" + "".join(f"  {line}\n" for line in self.examples) + "\n" + super().format_help()

    def error(self, message: str) -> NoReturn:
        raise UsageProblem(message, hint=f"{self.prog} --help", usage=self.format_usage().strip())


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb of `zendeskctl`. `operations`: what it calls of `OPERATIONS`; `documents`: what --json prints."""

    name: str  # "status", "org add"
    summary: str
    usage: str
    examples: tuple[str, str]
    prepare: Callable[[argparse.ArgumentParser], None]
    run: Callable[[Call], Exit | int]
    operations: tuple[str, ...] = ()
    documents: tuple[type[msgspec.Struct], ...] = ()
    description: str = ""

    def parser(self) -> Parser:
        """The verb's own parser, with the options that every verb has."""
        parser = Parser(
            prog=f"zendeskctl {self.name}",
            usage=self.usage,
            examples=self.examples,
            description=self.description or f"{self.summary[0].upper()}{self.summary[1:]}.",
        )
        self.prepare(parser)
        common = parser.add_argument_group("common options")
        common.add_argument(
            "--socket", metavar="PATH", type=socket_argument, help="control socket (also $ZENDESKD_SOCKET)"
        )
        common.add_argument("--ssh", metavar="HOST", type=host_argument, help="the daemon of that host; PATH is there")
        common.add_argument("--json", action="store_true", help="one JSON document on stdout, errors too")
        common.add_argument("--no-color", action="store_true", help="no colours (also $NO_COLOR)")
        common.add_argument("--ascii", action="store_true", help="no glyphs beyond ASCII")
        taken = {flag for action in parser._actions for flag in action.option_strings}
        quiet = ("--quiet",) if "-q" in taken else ("-q", "--quiet")
        common.add_argument(*quiet, action="store_true", help="no talk on stderr, errors aside")
        if "--timeout" not in taken:
            common.add_argument("--timeout", metavar="TIME", type=duration, help="for an answer, as 30s or 2m")
        return parser


class Call:
    """One command being carried out: its options, its terminal, its connection. Belongs to one thread."""

    def __init__(
        self,
        options: argparse.Namespace,
        terminal: Terminal,
        address: Address,
        *,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        pause: Callable[[float], object],
    ) -> None:
        self.options: Any = options
        self.terminal = terminal
        self.address = address
        self.now = now
        self.monotonic = monotonic
        self.pause = pause
        self._client: Client | None = None
        self._tunnel: Tunnel | None = None

    @property
    def daemon(self) -> Client:
        """The client, made when it is first needed: the import is most of what a command costs. With --ssh also the way
        to the host, each time it is not there. Raises DaemonUnreachable if there is none.

        `httpx` brings a command line of its own if it finds click and rich, which takes as long as all the rest
        (0.07 s); told that it is not there, it goes without."""
        if self._client is None:
            sys.modules.setdefault("httpx._main", cast("ModuleType", None))
            from zendeskd.client import Client

            agent, timeout_s = f"zendeskctl/{__version__}", self.options.timeout
            if self.address.host:
                self._tunnel = self._way_there()
                socket, explain = self._tunnel.socket, self._tunnel.explain
                self._client = Client(socket, user_agent=agent, timeout_s=timeout_s, explain=explain)
            else:
                self._client = Client(self.address.socket, user_agent=agent, timeout_s=timeout_s)
        elif self._tunnel is not None:
            self._tunnel.open(timeout_s=self.options.timeout)
        return self._client

    def _way_there(self) -> Tunnel:
        from zendeskd.ssh import Tunnel

        return Tunnel.opened(
            self.address,
            unasked="without a terminal ssh asks nothing, so that a key needs an ssh agent",
            may_ask=self.terminal.interactive,
            timeout_s=self.options.timeout,
            relay=self.terminal.complain,
        )

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        if self._tunnel is not None:
            self._tunnel.close()


# --- arguments that several verbs take --------------------------------------------------------------------------------

_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def duration(text: str) -> float:
    """Seconds of `90`, `30s`, `10m`, `2h`, `7d` or `1w`, and of sums of them (`1h30m`)."""
    whole = re.fullmatch(r"(?:\d+(?:\.\d+)?[smhdw])+|\d+(?:\.\d+)?", text.strip().lower())
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhdw]?)", whole.group()) if whole else []
    total = sum(float(count) * _UNITS[unit] for count, unit in parts)
    if not 0 < total <= 366 * 86400 * 10:
        raise argparse.ArgumentTypeError(f"{text!r} is no span of time, it can be 30s, 10m, 2h or 7d")
    return total


def positive(text: str) -> int:
    """A whole number from 1."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1")
    return int(text)


def add_system(parser: argparse.ArgumentParser, default: str | None = "zendesk") -> None:
    said = "every system" if default is None else default
    parser.add_argument(
        "--system", metavar="SYSTEM", choices=SYSTEMS, default=default, help=f"{', '.join(SYSTEMS)} (default: {said})"
    )


def add_yes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="do not ask")


def nothing(parser: argparse.ArgumentParser) -> None:
    """The arguments of a verb that takes none."""
