"""`schedule`: what a cron expression means, in words and instants."""

from __future__ import annotations

import argparse
from typing import Final

from zendeskd import present, wire
from zendeskd.verbs.base import Call, Verb, positive
from zendeskd.verbs.exits import Exit, UsageProblem


def _prepare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cron", metavar="CRON", nargs="+", help="five fields or an alias such as @hourly, quoted")
    parser.add_argument("--timezone", metavar="ZONE", help="default: the daemon's timezone")
    parser.add_argument("-n", metavar="N", dest="count", type=positive, default=3, help="how many (default 3)")


def _schedule(call: Call) -> Exit:
    options = call.options
    if len(options.cron) != 1:
        raise UsageProblem("a schedule is one argument", hint="quote it: zendeskctl schedule '*/30 9-17 * * 1-5'")
    reply = call.daemon.preview_schedule(options.cron[0], timezone=options.timezone, count=options.count)
    if call.terminal.json:
        call.terminal.document(reply)
        return Exit.OK
    now = call.now()
    call.terminal.line(f"{present.clean(reply.words)} ({present.clean(reply.timezone)})")
    call.terminal.lines([present.preview_line(time, now) for time in reply.times])
    return Exit.OK


VERBS: Final = (
    Verb(
        name="schedule",
        summary="a cron expression in words, and when it comes next",
        usage="CRON [--timezone ZONE] [-n N] [COMMON]",
        examples=(
            "zendeskctl schedule '*/30 9-17 * * 1-5'",
            "zendeskctl schedule @daily --timezone Europe/Berlin -n 5 --json",
        ),
        prepare=_prepare,
        run=_schedule,
        operations=("preview_schedule",),
        documents=(wire.Preview,),
    ),
)
