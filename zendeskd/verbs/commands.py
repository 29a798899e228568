"""`trigger`, `start`, `stop`, `interval`, `cancel`: what a person asks of one or many organisations."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from zendeskd import present, wire
from zendeskd.models import stamp
from zendeskd.verbs.base import Call, Verb, add_system, add_yes, duration
from zendeskd.verbs.documents import CommandList
from zendeskd.verbs.exits import Exit, TimedOut, UsageProblem
from zendeskd.verbs.follow import WAIT_S, Deadline, ended, failed
from zendeskd.verbs.many import Asked, add_organizations, ask_each, chosen, tell

# --- trigger ----------------------------------------------------------------------------------------------------------


def _prepare_trigger(parser: argparse.ArgumentParser) -> None:
    add_organizations(parser, failed_too=True)
    parser.add_argument("--wait", action="store_true", help="until the runs have ended; 1 if one failed")
    parser.add_argument("--strict", action="store_true", help="with --wait: a partial run counts as failed")
    parser.add_argument("--timeout", metavar="TIME", type=duration, help="with --wait: how long (default 10m)")


def _trigger(call: Call) -> Exit:
    options = call.options
    if options.strict and not options.wait:
        raise UsageProblem("--strict goes with --wait")
    deadline = Deadline(call, options.timeout or WAIT_S)
    done = ask_each(call, chosen(call), "trigger", lambda org: call.daemon.trigger(org, options.system))
    if not options.wait:
        return tell(call, done, _asked)
    for one in done:
        if one.error is None and not call.terminal.json:
            call.terminal.say(f"{present.clean(one.org)}: {_asked(one)}")
    _await(call, done, deadline)
    runs = [one.run for one in done if one.run is not None]
    bad = [Exit.FAILED] if any(failed(run, strict=options.strict) for run in runs) else []
    return tell(call, done, lambda one: f"run {one.accepted.run_id} {outcome(one.run)}", *bad)


def _asked(one: Asked) -> str:
    return f"run {one.accepted.run_id} {one.accepted.state}" + (", joined" if one.accepted.joined else "")


def _await(call: Call, done: Sequence[Asked], deadline: Deadline) -> None:
    """Until the runs have ended. Past the deadline, those of several that have not get TimedOut as their error; one
    alone raises it."""
    by_id = {one.accepted.run_id: one for one in done if one.error is None}
    try:
        for run in ended(call, list(by_id), deadline):
            by_id[run.id].run = run
    except TimedOut as error:
        if len(done) == 1:
            raise
        for one in by_id.values():
            one.error = None if one.run is not None else error


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
    add_organizations(parser)
    parser.add_argument("--interval", metavar="CRON", help="and change its schedule")


def _start(call: Call) -> Exit:
    options = call.options
    _not_the_daemon(call, "start")
    done = ask_each(
        call, chosen(call), "start", lambda org: call.daemon.start(org, options.system, interval=options.interval)
    )
    now = call.now()
    return tell(call, done, lambda one: _said(one, "started,", "was started already,", now))


def _said(one: Asked, changed: str, already: str, now: datetime) -> str:
    return f"{changed if one.changed.changed else already} {_plan(one, now)}"


def _plan(one: Asked, now: datetime) -> str:
    """`*/15 * * * *, next run 14:37:00 UTC (in 12:14)`."""
    left = present.until(one.changed.next_run_at, now)
    due = {"-": "not planned", "now": "now"}.get(left, f"{present.clock(one.changed.next_run_at, now)} (in {left})")
    return f"{one.changed.interval}, next run {due}"


def _prepare_stop(parser: argparse.ArgumentParser) -> None:
    add_organizations(parser)
    parser.add_argument("--reason", metavar="TEXT", help="shown beside the organisation until it starts again")
    parser.add_argument("--for", dest="span", metavar="TIME", type=duration, help="start again after 30m, 2h, 7d")
    add_yes(parser)


def _stop(call: Call) -> Exit:
    options = call.options
    _not_the_daemon(call, "stop")
    if options.all and not options.yes:
        call.terminal.confirm("Stop the schedule of every organisation?")
    orgs = chosen(call)
    if len(orgs) > 1 and not options.yes and not options.all:
        call.terminal.confirm(f"Stop the schedules of {len(orgs)} organisations?")
    until = None if options.span is None else stamp(call.now() + timedelta(seconds=options.span))
    done = ask_each(
        call, orgs, "stop", lambda org: call.daemon.stop(org, options.system, reason=options.reason, until=until)
    )
    end = "" if until is None else f"until {present.clock(until, call.now())}"
    return tell(call, done, lambda one: _stopped(one.changed, end, options.reason))


def _stopped(reply: wire.Changed, end: str, reason: str | None) -> str:
    """An organisation that is stopped again takes the new end and the new reason, or the lack of them."""
    if reply.changed:
        return f"stopped {end}".rstrip()
    if not end and reason is None:
        return "was stopped already"
    now = ("reason: " + reason) if reason else "without a reason"
    return f"was stopped already, now {end or 'until it is started'}, {now}"


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
    if len(options.cron.split()) == 1 and not options.cron.startswith("@"):
        raise UsageProblem(
            f"{present.clean(options.cron)!r} is no schedule", hint="quote it: zendeskctl interval acme '*/30 * * * *'"
        )
    done = ask_each(
        call,
        list(dict.fromkeys(options.orgs)),
        "update-interval",
        lambda org: call.daemon.interval(org, options.cron, options.system),
    )
    now = call.now()
    return tell(call, done, lambda one: _said(one, "now", "was already", now))


def _prepare_cancel(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("orgs", metavar="ORG", nargs=1)
    add_system(parser)
    add_yes(parser)


def _cancel(call: Call) -> Exit:
    options, org = call.options, call.options.orgs[0]
    if not options.yes:
        call.terminal.confirm(f"Cancel the run of {present.clean(org)}? What is stored stays; the schedule goes on.")
    done = ask_each(call, [org], "cancel", lambda org: call.daemon.cancel(org, options.system))
    return tell(call, done, lambda one: f"run {one.changed.run_id} was asked to end; it does so at its next page")


VERBS: Final = (
    Verb(
        name="trigger",
        summary="run now; joins a run that is going on or queued",
        usage="ORG...|--all|--failed [--wait] [--strict] [--timeout TIME] [--system SYSTEM] [COMMON]",
        examples=("zendeskctl trigger acme --wait", "zendeskctl trigger --failed"),
        prepare=_prepare_trigger,
        run=_trigger,
        operations=("trigger", "run", "events"),
        documents=(wire.Accepted, wire.RunDocument, CommandList),
    ),
    Verb(
        name="start",
        summary="start schedules; also tries a blocked organisation again",
        usage="ORG...|--all [--interval CRON] [--system SYSTEM] [COMMON]",
        examples=("zendeskctl start acme", "zendeskctl start acme --interval '*/30 * * * *'"),
        prepare=_prepare_start,
        run=_start,
        operations=("start",),
        documents=(wire.Changed, CommandList),
    ),
    Verb(
        name="stop",
        summary="stop schedules; a run going on ends at its next page",
        usage="ORG...|--all [--reason TEXT] [--for TIME] [--yes] [--system SYSTEM] [COMMON]",
        examples=("zendeskctl stop acme --reason 'change freeze'", "zendeskctl stop --all --for 2h --yes"),
        prepare=_prepare_stop,
        run=_stop,
        operations=("stop",),
        documents=(wire.Changed, CommandList),
    ),
    Verb(
        name="interval",
        summary="change schedules",
        usage="ORG... CRON [--system SYSTEM] [COMMON]",
        examples=("zendeskctl interval acme '*/30 * * * *'", "zendeskctl interval acme globex @hourly"),
        prepare=_prepare_interval,
        run=_interval,
        operations=("interval",),
        documents=(wire.Changed, CommandList),
    ),
    Verb(
        name="cancel",
        summary="end the run going on; the schedule goes on",
        usage="ORG [--yes] [--system SYSTEM] [COMMON]",
        examples=("zendeskctl cancel acme", "zendeskctl cancel acme --yes"),
        prepare=_prepare_cancel,
        run=_cancel,
        operations=("cancel",),
        documents=(wire.Changed,),
    ),
)
