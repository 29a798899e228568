"""`trigger`, `start`, `stop`, `interval`, `cancel`: what a person asks of one or many organisations.

Several organisations are several calls: what one refuses does not keep the others from it, and the exit code says so.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from zendeskd import present, wire
from zendeskd.errors import ZendeskdError
from zendeskd.models import stamp
from zendeskd.verbs.base import Call, Verb, add_system, add_yes, duration
from zendeskd.verbs.documents import CommandItem, CommandList, error_body
from zendeskd.verbs.exits import Exit, UsageProblem, exit_of
from zendeskd.verbs.follow import WAIT_S, Deadline, ended, failed

_FAILED_LAST: Final = frozenset({"failed", "interrupted"})


# --- many organisations -----------------------------------------------------------------------------------------------


def _several(parser: argparse.ArgumentParser, *, failed_too: bool = False) -> None:
    parser.add_argument("orgs", metavar="ORG", nargs="*", help="organisations")
    parser.add_argument("--all", action="store_true", help="every organisation")
    if failed_too:
        parser.add_argument("--failed", action="store_true", help="every organisation whose last run failed")
    add_system(parser)


def _chosen(call: Call) -> list[str]:
    """The organisations that the command line means. Raises UsageProblem unless it says so in exactly one way."""
    options = call.options
    sets = [flag for flag in ("all", "failed") if getattr(options, flag, False)]
    if len(sets) + bool(options.orgs) != 1:
        known = " or ".join(f"--{flag}" for flag in ("all", "failed") if hasattr(options, flag))
        raise UsageProblem(f"name organisations or give {known}, one of them")
    if options.orgs:
        return list(dict.fromkeys(options.orgs))
    items = call.daemon.sync_status(options.system).items
    if sets == ["failed"]:
        items = [item for item in items if item.last_status in _FAILED_LAST and item.is_active]
        blocked = [item.organization_id for item in items if item.state == "blocked"]
        if blocked:
            call.terminal.say(f"Left out, as they are blocked: {present.clean(', '.join(blocked))}")
        items = [item for item in items if item.state != "blocked"]
    return [item.organization_id for item in items]


def _each(
    call: Call, orgs: Sequence[str], action: str, ask: Callable[[str], CommandItem]
) -> tuple[list[CommandItem], list[Exit]]:
    """Ask for each organisation in turn. A refusal becomes its item's error; an unreachable daemon ends it all."""
    items: list[CommandItem] = []
    codes: list[Exit] = []
    for org in orgs:
        try:
            items.append(ask(org))
        except ZendeskdError as error:
            code = exit_of(error)
            if code in {Exit.UNREACHABLE, Exit.INCOMPATIBLE} or len(orgs) == 1:
                raise
            items.append(
                CommandItem(
                    organization_id=org, system_type=call.options.system, action=action, error=error_body(error)
                )
            )
            codes.append(code)
    return items, codes


def _worst(codes: Iterable[Exit]) -> Exit:
    """One code for many: theirs if they agree, else `FAILED`."""
    different = set(codes)
    return Exit.OK if not different else different.pop() if len(different) == 1 else Exit.FAILED


def _show(call: Call, items: Sequence[CommandItem], words: Callable[[CommandItem], str]) -> None:
    if call.terminal.json:
        call.terminal.document(CommandList(items=list(items)))
        return
    for item in items:
        name = present.clean(item.organization_id)
        if item.error is None:
            call.terminal.line(f"{name}: {words(item)}")
        else:
            call.terminal.complain(
                f"{name}: {present.clean(item.error.detail)} {present.clean(item.error.hint)}".rstrip()
            )


def _changed(org: str, reply: wire.Changed) -> CommandItem:
    return CommandItem(
        organization_id=org,
        system_type=reply.system_type,
        action=reply.action,
        run_id=reply.run_id,
        state=reply.state,
        changed=reply.changed,
        interval=reply.interval,
        next_run_at=reply.next_run_at,
    )


# --- trigger ----------------------------------------------------------------------------------------------------------


def _prepare_trigger(parser: argparse.ArgumentParser) -> None:
    _several(parser, failed_too=True)
    parser.add_argument("--wait", action="store_true", help="until the runs have ended; 1 if one failed")
    parser.add_argument("--strict", action="store_true", help="with --wait: a partial run counts as failed")
    parser.add_argument("--timeout", metavar="TIME", type=duration, help="with --wait: how long (default 10m)")


def _trigger(call: Call) -> Exit:
    options = call.options
    if options.strict and not options.wait:
        raise UsageProblem("--strict goes with --wait")
    deadline = Deadline(call, options.timeout or WAIT_S)
    orgs = _chosen(call)

    def ask(org: str) -> CommandItem:
        reply = call.daemon.trigger(org, options.system)
        item = CommandItem(organization_id=org, system_type=options.system, action="trigger")
        item.run_id, item.state, item.joined = reply.run_id, reply.state, reply.joined
        return item

    items, codes = _each(call, orgs, "trigger", ask)
    if not orgs:
        call.terminal.say("No organisation to trigger.")
    if not options.wait:
        _show(call, items, _asked)
        return _worst(codes)
    if not call.terminal.json:
        for item in items:
            if item.error is None:
                call.terminal.say(f"{present.clean(item.organization_id)}: {_asked(item)}")
    by_id = {item.run_id: item for item in items if item.run_id is not None}
    for run in ended(call, list(by_id), deadline):
        by_id[run.id].run, by_id[run.id].state = run, run.status
    _show(call, items, lambda item: f"run {item.run_id} {outcome(item.run)}")
    codes += [Exit.FAILED for item in items if item.run is not None and failed(item.run, strict=options.strict)]
    return _worst(codes)


def _asked(item: CommandItem) -> str:
    return f"run {item.run_id} {item.state}" + (", joined" if item.joined else "")


def outcome(run: wire.RunSummary | None) -> str:
    """`ok, 117 read, 5 new, 112 updated, 9s`, or why it failed."""
    if run is None:
        return "has not ended"
    word = "ok" if run.status == "success" else run.status
    text = (
        f"{word}, {present.number(run.records_processed)} read, {present.number(run.records_created)} new, "
        f"{present.number(run.records_updated)} updated, {present.took(run.duration_ms)}"
    )
    return f"{text}: {run.error_message}" if run.error_message else text


# --- start, stop, interval, cancel ------------------------------------------------------------------------------------


def _prepare_start(parser: argparse.ArgumentParser) -> None:
    _several(parser)
    parser.add_argument("--interval", metavar="CRON", help="and change its schedule")


def _start(call: Call) -> Exit:
    options = call.options
    _not_the_daemon(call, "start")
    items, codes = _each(
        call,
        _chosen(call),
        "start",
        lambda org: _changed(org, call.daemon.start(org, options.system, interval=options.interval)),
    )
    _show(call, items, lambda item: _started(item, call.now()))
    return _worst(codes)


def _started(item: CommandItem, now: datetime) -> str:
    done = "started" if item.changed else "was started already"
    return f"{done}, {item.interval}, next run {_due(item, now)}"


def _due(item: CommandItem, now: datetime) -> str:
    left = present.until(item.next_run_at, now)
    return {"-": "not planned", "now": "now"}.get(left, f"{present.clock(item.next_run_at, now)} (in {left})")


def _prepare_stop(parser: argparse.ArgumentParser) -> None:
    _several(parser)
    parser.add_argument("--reason", metavar="TEXT", help="shown beside the organisation until it starts again")
    parser.add_argument("--for", dest="span", metavar="TIME", type=duration, help="start again after 30m, 2h, 7d")
    add_yes(parser)


def _stop(call: Call) -> Exit:
    options = call.options
    _not_the_daemon(call, "stop")
    orgs = _chosen(call)
    if len(orgs) > 1 and not options.yes:
        call.terminal.confirm(f"Stop the schedules of {len(orgs)} organisations.")
    until = None if options.span is None else stamp(call.now() + timedelta(seconds=options.span))
    items, codes = _each(
        call,
        orgs,
        "stop",
        lambda org: _changed(org, call.daemon.stop(org, options.system, reason=options.reason, until=until)),
    )
    again = "" if until is None else f" until {present.clock(until, call.now())}"
    _show(call, items, lambda item: f"stopped{again}" if item.changed else f"was stopped already{again}")
    return _worst(codes)


def _not_the_daemon(call: Call, verb: str) -> None:
    """Bare `start` and `stop` mean the daemon to most people."""
    if not call.options.orgs and not call.options.all:
        raise UsageProblem(
            f"{verb} acts on organisations: name some, or give --all", hint=f"the daemon: systemctl {verb} zendeskd"
        )


def _prepare_interval(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("orgs", metavar="ORG", nargs="+")
    parser.add_argument("cron", metavar="CRON", help="five fields or an alias such as @hourly, quoted")
    add_system(parser)


def _interval(call: Call) -> Exit:
    options = call.options
    cron, now = options.cron, call.now()
    if len(cron.split()) == 1 and not cron.startswith("@"):
        raise UsageProblem(
            f"{present.clean(cron)!r} is no schedule", hint="quote it: zendeskctl interval acme '*/30 * * * *'"
        )
    items, codes = _each(
        call,
        list(dict.fromkeys(options.orgs)),
        "update-interval",
        lambda org: _changed(org, call.daemon.interval(org, cron, options.system)),
    )
    _show(
        call,
        items,
        lambda item: f"{'now' if item.changed else 'was already'} {item.interval}, next run {_due(item, now)}",
    )
    return _worst(codes)


def _prepare_cancel(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("orgs", metavar="ORG", nargs=1)
    add_system(parser)
    add_yes(parser)


def _cancel(call: Call) -> Exit:
    options, org = call.options, call.options.orgs[0]
    if not options.yes:
        call.terminal.confirm(f"Cancel the run of {present.clean(org)}? What is stored stays; the schedule goes on.")
    items, codes = _each(call, [org], "cancel", lambda org: _changed(org, call.daemon.cancel(org, options.system)))
    _show(call, items, lambda item: f"run {item.run_id} was asked to end; it does so at its next page")
    return _worst(codes)


VERBS: Final = (
    Verb(
        name="trigger",
        summary="run now; joins a run that is going on or queued",
        usage="ORG...|--all|--failed [--wait] [--strict] [--timeout TIME] [--system SYSTEM] [COMMON]",
        examples=("zendeskctl trigger acme --wait", "zendeskctl trigger --failed"),
        prepare=_prepare_trigger,
        run=_trigger,
        operations=("trigger", "run", "events"),
    ),
    Verb(
        name="start",
        summary="start schedules; also tries a blocked organisation again",
        usage="ORG...|--all [--interval CRON] [--system SYSTEM] [COMMON]",
        examples=("zendeskctl start acme", "zendeskctl start acme --interval '*/30 * * * *'"),
        prepare=_prepare_start,
        run=_start,
        operations=("start",),
    ),
    Verb(
        name="stop",
        summary="stop schedules; a run going on ends at its next page",
        usage="ORG...|--all [--reason TEXT] [--for TIME] [--yes] [--system SYSTEM] [COMMON]",
        examples=("zendeskctl stop acme --reason 'change freeze'", "zendeskctl stop --all --for 2h --yes"),
        prepare=_prepare_stop,
        run=_stop,
        operations=("stop",),
    ),
    Verb(
        name="interval",
        summary="change schedules",
        usage="ORG... CRON [--system SYSTEM] [COMMON]",
        examples=("zendeskctl interval acme '*/30 * * * *'", "zendeskctl interval acme globex @hourly"),
        prepare=_prepare_interval,
        run=_interval,
        operations=("interval",),
    ),
    Verb(
        name="cancel",
        summary="end the run going on; the schedule goes on",
        usage="ORG [--yes] [--system SYSTEM] [COMMON]",
        examples=("zendeskctl cancel acme", "zendeskctl cancel acme --yes"),
        prepare=_prepare_cancel,
        run=_cancel,
        operations=("cancel",),
    ),
)
