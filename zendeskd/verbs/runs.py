"""`runs` and `run`: history."""

from __future__ import annotations

import argparse
from datetime import datetime
from typing import Final

from zendeskd import present, wire
from zendeskd.models import RunStatus
from zendeskd.present import Cell, Column
from zendeskd.verbs import log
from zendeskd.verbs.base import Call, Verb, add_system, positive
from zendeskd.verbs.documents import RunWithLog
from zendeskd.verbs.exits import Exit


def _prepare_runs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("org", metavar="ORG", nargs="?", help="only this organisation")
    parser.add_argument("-n", metavar="N", dest="count", type=positive, default=20, help="how many (default 20)")
    parser.add_argument("--failed", action="store_true", help="only runs that failed")
    parser.add_argument("--after", metavar="CURSOR", help="go on where the page before ended")
    add_system(parser, default=None)


def _runs(call: Call) -> Exit:
    options, terminal = call.options, call.terminal
    reply = call.daemon.runs(
        options.org,
        system=options.system,
        failed=True if options.failed else None,
        limit=options.count,
        after=options.after,
    )
    if terminal.json:
        terminal.document(reply)
        return Exit.OK
    if not reply.items:
        terminal.say("No runs.")
        return Exit.OK
    now = call.now()
    columns = [
        Column("RUN", 6, right=True),
        Column("ORG", 9),
        Column("STARTED UTC", 11),
        Column("TOOK", 6, right=True, spare=1),
        Column("RESULT", 11),
        Column("READ", 7, right=True, spare=2),
        Column("NEW", 6, right=True, spare=3),
        Column("UPD", 6, right=True, spare=4),
        Column("SKIP", right=True, spare=5),
        Column("BY", 8, spare=6),
        Column("WHY"),
    ]
    terminal.table(columns, [_run_row(call, run, now) for run in reply.items])
    if reply.next is not None:
        terminal.say(f"More: --after {present.clean(reply.next)}")
    return Exit.OK


def _run_row(call: Call, run: wire.RunSummary, now: datetime) -> list[Cell]:
    numbers = (run.records_processed, run.records_created, run.records_updated, run.records_failed)
    return [
        Cell(str(run.id)),
        Cell(present.clean(run.organization_id)),
        Cell(present.clock(run.started_at or run.queued_at, now, zone=False)),
        Cell(_took(run, now)),
        call.terminal.voice.last(run.status, run.error_code),
        *(Cell(present.number(value)) for value in numbers),
        Cell(present.clean(run.requested_by or run.trigger)),
        Cell(present.clean(run.error_message)),
    ]


def _took(run: wire.RunSummary, now: datetime) -> str:
    started = present.moment(run.started_at)
    if run.duration_ms is None and run.status == "running" and started is not None:
        return present.took(max(0, int((now - started).total_seconds() * 1000)))
    return present.took(run.duration_ms)


def _prepare_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", type=positive)
    parser.add_argument("--log", action="store_true", help="its log lines too")


def _run(call: Call) -> Exit:
    run = call.daemon.run(call.options.id)
    found = log.read(call, run=run.id) if call.options.log else None
    if call.terminal.json:
        fields = {name: getattr(run, name) for name in run.__struct_fields__}
        call.terminal.document(run if found is None else RunWithLog(**fields, log=found.items[::-1]))
        return Exit.OK
    call.terminal.lines(described(call, run, call.now()), indent=10)
    if found is not None:
        call.terminal.line()
        log.tell(call, found.items[::-1], with_org=False)
        if not found.items:
            call.terminal.say(f"No log lines of this run{f': {present.clean(found.hint)}' if found.hint else ''}.")
    return Exit.OK


def described(call: Call, run: wire.RunDocument, now: datetime) -> list[str]:
    """A run in a dozen lines."""
    number, clean = present.number, present.clean
    result = call.terminal.voice.last(run.status, run.error_code).text
    by = f" by {clean(run.requested_by)}" if run.requested_by else ""
    lines = [
        f"run       {run.id} of {clean(run.organization_id)}, {clean(run.system_type)}",
        f"result    {result}" + (f" ({clean(run.end_reason)})" if run.end_reason else ""),
        f"trigger   {clean(run.trigger)}{by}",
        f"queued    {present.clock(run.queued_at, now)}",
        f"started   {present.clock(run.started_at, now)}, took {_took(run, now)}",
        f"records   {number(run.records_processed)} read, {number(run.records_created)} new, "
        f"{number(run.records_updated)} updated, {number(run.records_unchanged)} unchanged, "
        f"{number(run.records_deleted)} deleted, {number(run.records_failed)} skipped",
        f"requests  {number(run.pages)} pages, {number(run.api_calls)} API calls, {number(run.retries)} retries, "
        f"{present.took(run.rate_limit_wait_ms)} waiting for rate limits",
    ]
    if run.live is not None:
        lines.append(f"now       {_live(run.live, now)}")
    if run.error_code:
        lines.append(f"error     {clean(run.error_code)}: {clean(run.error_message)}")
    if run.request_id and run.status != RunStatus.SUCCESS:
        lines.append(f"request   {clean(run.request_id)} (Zendesk's own number of its last call)")
    for index, one in enumerate(run.skipped):
        lines.append(f"{'' if index else 'skipped':<10}{clean(one.external_id) or 'no id'}: {clean(one.reason)}")
    if run.skipped and run.records_failed > len(run.skipped):
        lines.append(f"{'':<10}{number(run.records_failed - len(run.skipped))} more, or read since")
    return lines


def _live(live: wire.LiveRun, now: datetime) -> str:
    parts = [f"page {live.pages}", f"{present.number(live.records)} read"]
    if live.progress is not None:
        parts.append(f"window {live.progress:.0%}")
    if live.rate is not None:
        parts.append(f"{live.rate:.0f}/s")
    if live.eta_s is not None:
        parts.append(f"about {present.countdown(live.eta_s)} left")
    if live.waiting_for:
        parts.append(f"waits for {present.clean(live.waiting_for)}, {present.until(live.waiting_until, now)}")
    return ", ".join(parts)


VERBS: Final = (
    Verb(
        name="runs",
        summary="what ran, newest first",
        usage="[ORG] [-n N] [--failed] [--after CURSOR] [--system SYSTEM] [COMMON]",
        examples=("zendeskctl runs acme", "zendeskctl runs --failed -n 100 --json"),
        prepare=_prepare_runs,
        run=_runs,
        operations=("runs",),
        documents=(wire.RunList,),
    ),
    Verb(
        name="run",
        summary="one run: numbers, how it ended, how far it is",
        usage="ID [--log] [COMMON]",
        examples=("zendeskctl run 8815 --log", "zendeskctl run 8815 --json | jq -r .status"),
        prepare=_prepare_run,
        run=_run,
        operations=("run", "logs"),
        documents=(wire.RunDocument, RunWithLog),
    ),
)
