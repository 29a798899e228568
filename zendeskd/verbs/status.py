"""`status` and `explain`: is anything wrong, why, and what to do about it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from zendeskd import present, wire
from zendeskd.models import SYSTEMS
from zendeskd.present import Cell, Column
from zendeskd.verbs.base import Call, Verb, add_system
from zendeskd.verbs.documents import narrowed
from zendeskd.verbs.exits import Exit, UsageProblem

_TROUBLE: Final = frozenset({"blocked", "failing", "late", "failed"})
_EMPTY: Final = (
    "No organisations yet. Add the first:\n"
    "\n"
    "  {0} org add acme --subdomain acme\n"
    "  {0} credentials set acme\n"
    "  {0} trigger acme\n"
    "\n"
    "Many at once: {0} org import FILE       A try-out: zendeskd demo"
)


def fetch(call: Call, orgs: Sequence[str], system: str | None) -> wire.SyncStatusList:
    """The status of the named organisations, or of all. Raises ApiError (404) for one that is not there."""
    systems = SYSTEMS if system is None else (system,)
    if orgs:
        ones = [call.daemon.sync_status_one(org, each) for org in dict.fromkeys(orgs) for each in systems]
        return wire.SyncStatusList(
            seq=min(one.seq for one in ones), items=[narrowed(one, wire.SyncStatus) for one in ones]
        )
    lists = [call.daemon.sync_status(each) for each in systems]
    return wire.SyncStatusList(seq=min(one.seq for one in lists), items=[item for one in lists for item in one.items])


# --- status -----------------------------------------------------------------------------------------------------------


def _prepare_status(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("orgs", metavar="ORG", nargs="*", help="only these organisations")
    parser.add_argument("--failing", action="store_true", help="only those that are blocked, failing, failed or late")
    parser.add_argument("--wide", action="store_true", help="also schedules, runs and today's counts; nothing cut")
    add_system(parser, default=None)


def _status(call: Call) -> Exit:
    options, terminal = call.options, call.terminal
    if options.json and options.wide:
        raise UsageProblem("--json and --wide do not go together: JSON always has everything")
    if options.json and len(options.orgs) == 1 and not options.failing:
        terminal.document(call.daemon.sync_status_one(options.orgs[0], options.system or SYSTEMS[0]))
        return Exit.OK
    reply = fetch(call, options.orgs, options.system)
    if options.failing:
        reply.items = [item for item in reply.items if item.health in _TROUBLE]
    if terminal.json:
        terminal.document(reply)
        return Exit.OK
    if not reply.items:
        is_empty = not (options.failing or options.orgs)
        none = "None is blocked, failing, failed or late."
        terminal.say(_EMPTY.format(call.address.zendeskctl) if is_empty else none)
        return Exit.OK
    now = call.now()
    terminal.table(
        _columns(options.wide), [_row(call, item, now, options.wide) for item in reply.items], whole=options.wide
    )
    terminal.line(present.counts_line([item.health for item in reply.items]))
    return Exit.OK


def _columns(wide: bool) -> list[Column]:
    columns = [
        Column("ORG", 9),
        Column("NOW", 12),
        Column("LAST", 11),
        Column("AGE", 6, right=True, spare=2),
        Column("NEXT", 7, right=True, spare=3),
        Column("TICKETS", 7, right=True, spare=4),
    ]
    if wide:
        columns += [
            Column("TODAY", 5, right=True),
            Column("RUNS", 8),
            Column("SYSTEM"),
            Column("INTERVAL"),
            Column("ZONE"),
        ]
    return [*columns, Column("WHY")]


def _row(call: Call, item: wire.SyncStatus, now: datetime, wide: bool) -> list[Cell]:
    voice = call.terminal.voice
    cells = [
        Cell(present.clean(item.organization_id)),
        voice.now(item, now, idle="idle"),
        voice.last(item.last_status, present.last_error_code(item)),
        present.age_cell(item, now),
        present.next_cell(item, now),
        Cell(present.number(item.total_records)),
    ]
    if wide:
        cells += [
            Cell(f"+{present.number(item.records_today)}"),
            voice.history(item.recent_runs),
            Cell(present.clean(item.system_type)),
            Cell(present.clean(item.interval)),
            Cell(present.clean(item.timezone)),
        ]
    return [*cells, voice.why(item)]


# --- explain ----------------------------------------------------------------------------------------------------------


def _prepare_explain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("org", metavar="ORG")
    add_system(parser)


def _explain(call: Call) -> Exit:
    item = call.daemon.sync_status_one(call.options.org, call.options.system)
    if call.terminal.json:
        call.terminal.document(item)
    else:
        call.terminal.lines(explained(item, call.now()), indent=10)
    return Exit.OK


def explained(item: wire.SyncStatus, now: datetime) -> list[str]:
    """What happened, what the daemon does about it, what a person can do, and how good the data is."""
    clean, said = present.clean, item.explanation
    since = ""
    if item.health == "blocked" and item.last_error is not None:
        since = f" since {present.clock(item.last_error.at, now)}"
    lines = [
        f"{clean(item.organization_id)} is {clean(item.health)}{since}.",
        f"happened  {clean(said.happened)}{_cut_short(item)}",
        f"daemon    {clean(said.daemon)}",
        f"you       {clean(said.you) or 'nothing to do'}",
        f"data      {present.known_until(item, now)}.",
    ]
    if item.reconciled is not None and item.reconciled.finished_at is not None:
        lines.append(f"verified  {present.verified(item.reconciled, now)}")
    return lines


def _cut_short(item: wire.SyncStatus) -> str:
    """That the last run was ended before its end, which is no failure and so is not in the daemon's sentences."""
    last = item.recent_runs[0] if item.recent_runs else None
    if last is None or item.run is not None or last.status not in {"cancelled", "interrupted"}:
        return ""
    if f"was {last.status}" in item.explanation.happened:
        return ""
    return f" The last run was {last.status} (run {last.id})."


VERBS: Final = (
    Verb(
        name="status",
        summary="how every organisation is doing (the default verb)",
        usage="[ORG...] [--failing] [--wide] [--system SYSTEM] [COMMON]",
        examples=("zendeskctl status", "zendeskctl status --failing --json | jq -r .items[].organizationId"),
        prepare=_prepare_status,
        run=_status,
        operations=("sync_status",),
        documents=(wire.SyncStatusList, wire.SyncStatusOne),
    ),
    Verb(
        name="explain",
        summary="what happened, what the daemon does about it, what you can do",
        usage="ORG [--system SYSTEM] [COMMON]",
        examples=("zendeskctl explain acme", "zendeskctl explain acme --json | jq -r .explanation.you"),
        prepare=_prepare_explain,
        run=_explain,
        operations=("sync_status",),
        documents=(wire.SyncStatusOne,),
    ),
)
