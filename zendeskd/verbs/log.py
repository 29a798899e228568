"""`log`: what the daemon logged, from its file; and log lines as text, for the verbs that show them."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from zendeskd import present, wire
from zendeskd.models import stamp
from zendeskd.present import Tone
from zendeskd.verbs.base import Call, Verb, duration, positive
from zendeskd.verbs.exits import Exit

LEVELS: Final = ("debug", "info", "warning", "error", "critical")
ALIASES: Final = {"warn": "warning", "err": "error"}
MOST: Final = 20_000
"""Lines that are read at once at most."""

_BEFORE_ALL: Final = "1970-01-01T00:00:00.000Z"
_FEW: Final = 50
_PAGE: Final = 1000
_TONES: Final[Mapping[str, Tone]] = {"debug": "dim", "warning": "warn", "error": "bad", "critical": "bad"}
_SAID_BEFORE: Final = frozenset({"at", "level", "event", "org", "logger", "exception"})
_USUAL: Final = ("system", "zendesk")
"""What nearly every line says, and takes the room of what it is about."""

Line = dict[str, Any]


def add_level(parser: argparse.ArgumentParser, said: str) -> None:
    parser.add_argument("--level", metavar="LEVEL", choices=(*LEVELS, *ALIASES), help=said)


def read(
    call: Call,
    orgs: Collection[str] = (),
    *,
    run: int | None = None,
    level: str | None = None,
    since: datetime | None = None,
    most: int = MOST,
) -> wire.LogList:
    """The newest `most` lines, newest first, page after page. `next` if there are older ones. Raises ApiError for an
    unknown organisation, and what the client raises."""
    wanted_since, after = None if since is None else stamp(since), None
    lines: list[Line] = []
    while True:
        limit = min(_PAGE, most - len(lines))
        page = call.daemon.logs(orgs, run=run, level=level, since=wanted_since, limit=limit, after=after)
        lines += page.items
        if page.next is None or len(lines) >= most or page.next == after:
            if orgs and not lines and after is not None:  # only what is looked through in one go names an unknown one
                call.daemon.logs(orgs, until=_BEFORE_ALL, limit=1)
            return msgspec.structs.replace(page, items=lines)
        after = page.next


def tell(call: Call, lines: Sequence[Line], *, with_org: bool = True) -> None:
    """The lines, the oldest first."""
    now = call.now()
    for line in lines:
        when = present.clock(str(line.get("at")), now, zone=False)
        org = f"{present.clean(str(line.get('org') or '')) or '-':<9}  " if with_org else ""
        call.terminal.line(f"{when}  {org}{words(line)}", _TONES.get(str(line.get("level")), "plain"))


def words(line: Mapping[str, Any]) -> str:
    """`warning request failed  reason=time-out wait_s=1.5`: clean, on one line, of a traceback its end alone."""
    pairs = [
        f"{key}={value}"
        for key, value in line.items()
        if key not in _SAID_BEFORE and value is not None and (key, value) != _USUAL
    ]
    trace = str(line.get("exception") or "").strip().splitlines()
    pairs += [f"exception={trace[-1]}"] if trace else []
    text = f"{line.get('level') or 'info'!s:<7} {line.get('event', '')}  {' '.join(pairs)}"
    return present.clean(text.rstrip())


def _prepare_log(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("orgs", metavar="ORG", nargs="*", help="only these organisations")
    parser.add_argument(
        "-n", metavar="N", dest="count", type=positive,
        help=f"the last N lines (default {_FEW}; with --since or --run all of them)",
    )  # fmt: skip
    add_level(parser, "from this level up: debug, info (default), warn, error")
    parser.add_argument("--since", metavar="TIME", type=duration, help="only the last 30m, 2h, 7d")
    parser.add_argument("--run", metavar="ID", type=positive, help="only this run's lines")


def _log(call: Call) -> Exit:
    options = call.options
    since = None if options.since is None else call.now() - timedelta(seconds=options.since)
    most = options.count or (MOST if since or options.run else _FEW)
    found = read(call, options.orgs, run=options.run, level=options.level, since=since, most=most)
    if call.terminal.json:
        call.terminal.document(found)
        return Exit.OK
    tell(call, found.items[::-1], with_org=len(options.orgs) != 1)
    if not found.items:
        call.terminal.say(f"No log lines{f': {present.clean(found.hint)}' if found.hint else ''}.")
    elif found.next is not None and (since or options.run):
        call.terminal.say(f"Older lines are left out: -n {len(found.items) * 2} shows more.")
    return Exit.OK


VERBS: Final = (
    Verb(
        name="log",
        summary="what the daemon logged",
        usage="[ORG...] [-n N] [--level LEVEL] [--since TIME] [--run ID] [COMMON]",
        examples=("zendeskctl log acme --since 1h", "zendeskctl log --level warn -n 200"),
        prepare=_prepare_log,
        run=_log,
        operations=("logs",),
        documents=(wire.LogList,),
        description="The last lines of the daemon's log, from its file and the rotated ones, the newest at the bottom; "
        "with --json the newest first. To follow it: zendeskctl watch --log --since 1h.",
    ),
)
