"""`zendeskd simulator`: the simulator as a process of its own."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Sequence
from random import Random
from typing import Final

from zendeskd.errors import ConfigError
from zendeskd.simulator.control import described
from zendeskd.simulator.faults import KINDS
from zendeskd.simulator.server import Simulator

_EXAMPLES: Final = """examples:
  zendeskd simulator --accounts 3 --tickets 500 --live
  zendeskd simulator --port 8045 --export-per-minute 30 --fault rate_limited --fault truncated=5
  curl -s http://127.0.0.1:8045/_simulator/accounts
  curl -s -d '{"kind": "html", "times": 2}' http://127.0.0.1:8045/_simulator/accounts/account-1/faults"""


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; one line of JSON on stdout says what there is. Returns the exit code.

    Raises ConfigError for a port that is taken and for faults that are none.
    """
    options = _parser().parse_args(argv)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        simulator = Simulator(seed=options.seed, port=options.port)
    except OSError as error:
        raise ConfigError(
            f"The simulator cannot listen on port {options.port}: {error.strerror}.",
            hint="Give another --port, or none: then a free one is taken.",
        ) from error
    with simulator:
        _populate(simulator, options)
        said = {"url": simulator.url, "accounts": [described(one) for one in simulator.accounts.values()]}
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()
        if options.live:
            live(simulator, stop, every_s=options.every_s)
        stop.wait()
    return 0


def live(simulator: Simulator, stop: threading.Event, *, every_s: float = 3.0) -> None:
    """Until `stop` is set, let something happen in every account every few seconds: mostly changes, some new tickets,
    passes of the system, and now and then a deletion. What happens follows from the seed."""
    dice = Random(f"live/{simulator.seed}")  # noqa: S311 - nothing here is a secret
    while not stop.wait(every_s * (0.5 + dice.random())):
        for account in list(simulator.accounts.values()):
            happens = dice.choices(("change", "add", "touch", "delete", "nothing"), (50, 20, 10, 4, 16))[0]
            if happens != "nothing":
                many = dice.randint(1, 5) if happens != "delete" else 1
                getattr(account, happens)(many)


def _populate(simulator: Simulator, options: argparse.Namespace) -> None:
    """Raises ConfigError."""
    for number in range(1, options.accounts + 1):
        account = simulator.add_account(
            f"account-{number}",
            tickets=options.tickets,
            body_bytes=options.body_bytes,
            days=options.days,
            deleted=options.deleted,
            export_per_minute=options.export_per_minute,
            account_per_minute=options.account_per_minute,
            latency_s=options.latency_ms / 1000,
            kind=options.kind,
        )
        for text in options.fault:
            kind, _, times = text.partition("=")
            try:
                account.fault(kind, times=None if times == "always" else int(times or 1))
            except ValueError as error:
                raise ConfigError(
                    f"--fault {text} is not a fault: {error}.", hint="Write KIND, KIND=TIMES or KIND=always."
                ) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="zendeskd simulator",
        description="A Zendesk on loopback: accounts with made-up tickets, credentials that work, troubles on request.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--port", type=_count(0, 65535), default=0, help="on 127.0.0.1 (default: a free one)")
    add("--accounts", type=_count(0, 10_000), default=1, help="how many (default 1): account-1, account-2, …")
    add("--tickets", type=_count(0, 10_000_000), default=200, help="in each account (default 200)")
    add("--deleted", type=_count(0, 10_000_000), default=0, help="of them deleted from the start (default 0)")
    add("--days", type=_count(1, 3650), default=90, help="how far back they go (default 90)")
    add("--body-bytes", type=_count(100, 1_000_000), default=2600, help="of one ticket's JSON, about (default 2600)")
    add("--seed", type=int, default=1, help="the same seed makes the same tickets (default 1)")
    add("--latency-ms", type=_count(0, 600_000), default=0, help="before every answer (default 0)")
    add("--export-per-minute", type=_count(1, 10**9), default=10, help="the export's rate limit (default 10)")
    add("--account-per-minute", type=_count(1, 10**9), default=700, help="the account's rate limit (default 700)")
    add(
        "--kind",
        choices=("oauth_client_credentials", "oauth_refresh_token", "api_token", "bearer"),
        default="oauth_client_credentials",
        help="of the credentials that are printed first",
    )
    add("--live", action="store_true", help="keep changing, adding and deleting tickets")
    add("--every-s", type=float, default=3.0, help="about how often, with --live (default 3)")
    add(
        "--fault",
        action="append",
        default=[],
        metavar="KIND[=TIMES]",
        help=f"trouble for every account, TIMES times (default 1) or always; kinds: {', '.join(sorted(KINDS))}",
    )
    return parser


class _count:
    """A whole number within limits."""

    def __init__(self, least: int, most: int) -> None:
        self._least, self._most = least, most

    def __call__(self, text: str) -> int:
        number = int(text)
        if not self._least <= number <= self._most:
            raise argparse.ArgumentTypeError(f"{text} is not between {self._least} and {self._most}")
        return number
