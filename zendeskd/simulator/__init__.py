"""A faithful Zendesk on loopback: for the demo, for tests, and for a try-out before an upgrade.

with Simulator(seed=1) as simulator:
    account = simulator.add_account("acme", tickets=1000)
    ... account.base_url, account.credential, account.tickets(), account.change(5), account.fault("html") ...
"""

from __future__ import annotations

from collections.abc import Sequence

from zendeskd.simulator.account import Account
from zendeskd.simulator.clock import Clock
from zendeskd.simulator.faults import Fault
from zendeskd.simulator.server import Simulator


def main(argv: Sequence[str] | None = None) -> int:
    """`zendeskd simulator`: serve until SIGINT or SIGTERM. Returns the exit code."""
    from zendeskd.simulator.program import main as run  # noqa: PLC0415 - argparse and signals are for the program only

    return run(argv)


__all__ = ["Account", "Clock", "Fault", "Simulator", "main"]
