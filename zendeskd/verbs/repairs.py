"""`resync` and `reconcile`: read again, or compare with the source and mend."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from zendeskd import present, wire
from zendeskd.present import Cell, Column
from zendeskd.verbs.base import Call, Verb, add_system, add_yes, duration
from zendeskd.verbs.exits import Exit, UsageProblem
from zendeskd.verbs.follow import WAIT_S, Deadline, looks

# --- resync -----------------------------------------------------------------------------------------------------------


def _prepare_resync(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("org", metavar="ORG")
    parser.add_argument("--since", metavar="WHEN", help="a span (30d), a date (2026-11-01) or an instant with its zone")
    parser.add_argument("--full", action="store_true", help="everything, from the very beginning")
    parser.add_argument("--dry-run", action="store_true", help="only say what it would read")
    add_system(parser)
    add_yes(parser)


def _resync(call: Call) -> Exit:
    options, terminal = call.options, call.terminal
    if bool(options.since) == options.full:
        raise UsageProblem("say from when: --since 30d, --since 2026-11-01 or --full, one of them")
    if options.dry_run and options.yes:
        raise UsageProblem("--dry-run and --yes do not go together: a dry run changes nothing")
    since = "all" if options.full else options.since
    if options.dry_run:
        plan = call.daemon.plan_resync(options.org, since, options.system)
        if terminal.json:
            terminal.document(plan)
        else:
            terminal.line(_planned(plan, call.now()))
        return Exit.OK
    if not options.yes:
        question = "A resync reads again what is there already."
        if terminal.interactive:
            question = _planned(call.daemon.plan_resync(options.org, since, options.system), call.now())
        terminal.confirm(question, typed=present.clean(options.org))
    reply = call.daemon.resync(options.org, since, options.system)
    if terminal.json:
        terminal.document(reply)
    else:
        joined = ", joined" if reply.joined else ""
        terminal.line(f"{present.clean(options.org)}: run {reply.run_id} {reply.state}{joined}")
    return Exit.OK


def _planned(plan: wire.ResyncPlan, now: datetime) -> str:
    since = "from the very beginning" if plan.since is None else f"since {present.clock(plan.since, now)}"
    return (
        f"{present.clean(plan.organization_id)}: reads again {since}: "
        f"{present.plural(plan.records_stored, 'record')} stored, "
        f"about {present.plural(plan.api_calls_expected, 'API call')}."
    )


# --- reconcile --------------------------------------------------------------------------------------------------------


def _prepare_reconcile(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("orgs", metavar="ORG", nargs="*", help="only these; default: every organisation")
    parser.add_argument("--wait", action="store_true", help="until they have ended, then report; 1 if one failed")
    parser.add_argument("--last", action="store_true", help="start nothing, report the newest of each")
    parser.add_argument("--timeout", metavar="TIME", type=duration, help="with --wait: how long (default 10m)")


def _reconcile(call: Call) -> Exit:
    options, terminal = call.options, call.terminal
    if options.wait and options.last:
        raise UsageProblem("--wait and --last do not go together")
    if options.last:
        return _report(call, [one for one in call.daemon.reconciliations().items if _named(one, options.orgs)])
    deadline = Deadline(call, options.timeout or WAIT_S)
    accepted = call.daemon.reconcile(list(dict.fromkeys(options.orgs)))
    if not options.wait and terminal.json:
        terminal.document(accepted)
        return Exit.OK
    for item in accepted.items:
        joined = ", joined" if item.joined else ""
        text = f"{present.clean(item.organization_id)}: comparison {item.reconciliation_id} asked{joined}"
        if options.wait:
            terminal.say(text)
        else:
            terminal.line(text)
    if not options.wait:
        return Exit.OK
    return _report(call, _ended(call, [item.reconciliation_id for item in accepted.items], deadline))


def _named(one: wire.Reconciled, orgs: Sequence[str]) -> bool:
    return not orgs or one.organization_id in orgs


def _ended(call: Call, ids: Sequence[int], deadline: Deadline) -> list[wire.Reconciled]:
    """The comparisons once all have ended. Raises TimedOut and DaemonUnreachable."""
    found: dict[int, wire.Reconciled] = {}
    for event in looks(call, deadline):
        if event is not None and event.event != "integration":
            continue
        seen = call.daemon.reconciliations().items if event is None else [event.item.reconciled] if event.item else []
        for one in seen:
            if one is not None and one.id in ids and one.finished_at is not None:
                found[one.id] = one
        if len(found) == len(set(ids)):
            break
    return [found[each] for each in ids]


def _report(call: Call, items: list[wire.Reconciled]) -> Exit:
    if call.terminal.json:
        call.terminal.document(wire.ReconcileList(items=items))
    else:
        now = call.now()
        call.terminal.table(
            [
                Column("ORG", 9),
                Column("STATUS", 8),
                Column("THERE", 7, right=True, spare=5),
                Column("HERE", 7, right=True, spare=6),
                Column("MISSING", right=True),
                Column("STALE", right=True),
                Column("VANISHED", right=True),
                Column("REPAIRED", right=True, spare=3),
                Column("ENDED UTC", 9, spare=4),
                Column("WHY"),
            ],
            [_report_row(call, one, now) for one in items],
        )
    return Exit.FAILED if any(one.status not in {"verified", "running"} for one in items) else Exit.OK


def _report_row(call: Call, one: wire.Reconciled, now: datetime) -> list[Cell]:
    word = {"verified": "ok"}.get(one.status, one.status)
    numbers = (one.source_count, one.local_count, one.missing, one.stale, one.vanished, one.repaired)
    return [
        Cell(present.clean(one.organization_id)),
        call.terminal.voice.signed(word, one.status),
        *(Cell(present.number(value)) for value in numbers),
        Cell(present.clock(one.finished_at, now, zone=False)),
        Cell(present.clean(one.error_message)),
    ]


VERBS: Final = (
    Verb(
        name="resync",
        summary="read again from a date; heavy and rare",
        usage="ORG --since WHEN|--full [--dry-run] [--yes] [--system SYSTEM] [COMMON]",
        examples=("zendeskctl resync acme --since 30d --dry-run", "zendeskctl resync acme --full --yes"),
        prepare=_prepare_resync,
        run=_resync,
        operations=("resync",),
        documents=(wire.Accepted, wire.ResyncPlan),
    ),
    Verb(
        name="reconcile",
        summary="compare with the source, mend, report",
        usage="[ORG...] [--wait|--last] [--timeout TIME] [COMMON]",
        examples=("zendeskctl reconcile acme --wait", "zendeskctl reconcile --last"),
        prepare=_prepare_reconcile,
        run=_reconcile,
        operations=("reconcile", "reconciliations"),
        documents=(wire.ReconcileAccepted, wire.ReconcileList),
    ),
)
