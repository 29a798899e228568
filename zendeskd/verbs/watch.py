"""`watch` and `wait`: what changes, as it changes."""

from __future__ import annotations

import argparse
import math
from contextlib import closing
from datetime import timedelta
from typing import Any, Final

from zendeskd import present, wire
from zendeskd.errors import Conflict
from zendeskd.models import FINISHED, stamp
from zendeskd.verbs.base import Call, Verb, add_system, duration, positive
from zendeskd.verbs.commands import outcome
from zendeskd.verbs.documents import narrowed
from zendeskd.verbs.exits import Exit, UsageProblem
from zendeskd.verbs.follow import WAIT_S, Deadline, looks
from zendeskd.verbs.history import History, run_event
from zendeskd.verbs.log import ALIASES, LEVELS, add_level, words
from zendeskd.verbs.status import fetch

# --- watch ------------------------------------------------------------------------------------------------------------


def _prepare_watch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("orgs", metavar="ORG", nargs="*", help="only these organisations")
    parser.add_argument("--log", action="store_true", help="the daemon's log lines too")
    add_level(parser, "with --log: from warn, error, ...")
    parser.add_argument(
        "--since", metavar="TIME", type=duration, help="first the runs (and log lines) of the last 30m, 2h, 7d"
    )
    parser.add_argument("--run", metavar="ID", type=positive, help="only this run, until it has ended")
    parser.add_argument("--timeout", metavar="TIME", type=duration, help="stop watching after 10m, 2h (exit code 8)")


def _watch(call: Call) -> Exit:
    options = call.options
    if options.level and not options.log:
        raise UsageProblem("--level goes with --log")
    if options.run and (options.orgs or (options.since and not options.log)):
        raise UsageProblem("--run is one run: name no organisations, and no --since without --log")
    watcher = Watcher(call)
    deadline = Deadline(call, options.timeout or math.inf, "watched for {}", "")
    watcher.look()
    if watcher.ended:
        return Exit.OK
    with closing(looks(call, deadline, patience_s=math.inf)) as events:
        for event in events:
            if event is None:
                watcher.catch_up()
                watcher.look()
            else:
                watcher.take(event)
            call.terminal.stdout.flush()
            if watcher.ended:
                break
    return Exit.OK


class Watcher:
    """Turns events into lines. Remembers each integration's state, to tell changes alone."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._known: dict[tuple[str, str], tuple[str, str]] | None = None
        since = call.options.since
        self._history = History(call, None if since is None else call.now() - timedelta(seconds=since))
        self.ended = False  # with --run: the run has

    def look(self) -> None:
        """Ask for everything, and tell what changed since the last time. Raises ApiError for an unknown name."""
        call = self._call
        if call.options.run:
            run = narrowed(call.daemon.run(call.options.run), wire.RunSummary)
            if run.status in FINISHED:
                self.catch_up()
                if self._history.is_new(event := run_event(run)):
                    self._tell(event)
                self.ended = True
            return
        items = fetch(call, call.options.orgs, None).items
        first, self._known = self._known is None, self._known or {}
        for item in items:
            key, facts = (item.organization_id, item.system_type), (item.state, item.health)
            if not first and self._known.get(key) != facts and not call.terminal.json:
                self._say_item(item, stamp(call.now()))
            self._known[key] = facts

    def catch_up(self) -> None:
        """Tell what was before the stream, and what was missed while there was none."""
        for event in self._history.events():
            self._tell(event)
        self._call.terminal.stdout.flush()

    def take(self, event: wire.Event) -> None:
        options = self._call.options
        if event.event == "log" and not (options.log and self._is_loud(event.log or {})):
            return
        if options.run:
            if _run_id(event) != options.run:
                return
            self.ended = event.run is not None and event.run.status in FINISHED
        elif options.orgs and _org(event) not in options.orgs:
            return
        if self._history.is_new(event):
            self._tell(event)

    def _is_loud(self, log: dict[str, Any]) -> bool:
        wanted = self._call.options.level
        level = str(log.get("level", "info"))
        level = ALIASES.get(level, level)
        return wanted is None or level not in LEVELS or LEVELS.index(level) >= LEVELS.index(ALIASES.get(wanted, wanted))

    def _tell(self, event: wire.Event) -> None:
        if self._call.terminal.json:
            self._call.terminal.document(event)
            return
        match event:
            case wire.Event(event="integration", item=wire.SyncStatus() as item):
                key, facts = (item.organization_id, item.system_type), (item.state, item.health)
                known = self._known if self._known is not None else {}
                if known.get(key) != facts:
                    self._say_item(item, event.at)
                known[key] = facts
            case wire.Event(event="run", run=wire.RunSummary() as run):
                text = outcome(run) if run.status in FINISHED else f"{run.status} ({run.requested_by or run.trigger})"
                self._say(event.at, run.organization_id, f"run {run.id} {text}")
            case wire.Event(event="removed"):
                self._say(event.at, event.organization_id or "", "removed")
            case wire.Event(event="log", log=dict() as log):
                self._say(str(log.get("at") or event.at), str(log.get("org") or ""), words(log))
            case wire.Event(event="daemon"):
                self._say(event.at, "", event.message or "")

    def _say_item(self, item: wire.SyncStatus, at: str) -> None:
        cell = self._call.terminal.voice.now(item, self._call.now(), idle="idle")
        health = "" if item.health in {item.state, "ok"} else f", {item.health}"
        self._say(at, item.organization_id, f"{cell.text}{health}  {item.why}".rstrip())

    def _say(self, at: str, org: str, text: str) -> None:
        when = present.clock(at, self._call.now(), zone=False)
        self._call.terminal.line(f"{when}  {present.clean(org) or '-':<9}  {present.clean(text)}")


def _run_id(event: wire.Event) -> object:
    if event.run is not None:
        return event.run.id
    if event.item is not None:
        return None if event.item.run is None else event.item.run.id
    return (event.log or {}).get("run")


def _org(event: wire.Event) -> object:
    if event.run is not None:
        return event.run.organization_id
    if event.item is not None:
        return event.item.organization_id
    return event.organization_id or (event.log or {}).get("org")


# --- wait -------------------------------------------------------------------------------------------------------------


def _prepare_wait(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("org", metavar="ORG")
    parser.add_argument(
        "--for",
        dest="goal",
        choices=("idle", "ok"),
        default="idle",
        help="idle: no run going on or queued (default); ok: healthy, after a run that brought it up to date",
    )
    parser.add_argument("--timeout", metavar="TIME", type=duration, help="how long (default 10m)")
    add_system(parser)


def _wait(call: Call) -> Exit:
    options = call.options
    item = _reached(call, Deadline(call, options.timeout or WAIT_S))
    if call.terminal.json:
        call.terminal.document(item)
    else:
        state = call.terminal.voice.now(item, call.now(), idle="idle").text
        name, health = present.clean(item.organization_id), present.clean(item.health)
        call.terminal.line(f"{name}: {state}, {health}, {present.known_until(item, call.now())}")
    return Exit.OK


def _reached(call: Call, deadline: Deadline) -> wire.SyncStatusOne:
    """The status once it is as wanted. Raises TimedOut, Conflict if it will not be so until somebody does something,
    and ApiError for an unknown organisation."""
    options = call.options
    with closing(looks(call, deadline)) as events:
        for event in events:
            if event is not None and _org(event) != options.org:
                continue
            one = call.daemon.sync_status_one(options.org, options.system)
            if _is_reached(one, options.goal):
                return one
            if _is_busy(one):
                deadline.meanwhile = "the work goes on"
                continue
            if one.credential is None or one.state in {"blocked", "stopped"}:
                raise _hopeless(one)
            left = present.until(one.next_run_at, call.now())
            deadline.meanwhile = "no run is going on" + ("" if left in {"-", "now"} else f", the next one is in {left}")
    raise AssertionError("looks() ends by raising")


def _is_busy(item: wire.SyncStatus) -> bool:
    return item.run is not None or item.queued_run_id is not None


def _hopeless(item: wire.SyncStatus) -> Conflict:
    state = item.state if item.state in {"blocked", "stopped"} else "without credentials"
    happened = present.clean(item.explanation.happened)
    name = present.clean(item.organization_id)
    return Conflict(f"{name} is {state} and will not be ok by itself: {happened}", hint=item.explanation.you)


def _is_reached(item: wire.SyncStatus, goal: str) -> bool:
    if _is_busy(item):
        return False
    return goal == "idle" or (item.health == "ok" and item.last_success_at is not None)


VERBS: Final = (
    Verb(
        name="watch",
        summary="one line a change, until ctrl+c",
        usage="[ORG...] [--log [--level LEVEL]] [--since TIME] [--run ID] [--timeout TIME] [COMMON]",
        examples=("zendeskctl watch", "zendeskctl watch acme --log --level warn --since 1h"),
        prepare=_prepare_watch,
        run=_watch,
        operations=("events", "sync_status", "runs", "run", "logs"),
        documents=(wire.Event,),
        description="One line a change, until ctrl+c; with --json one event a line. Goes on by itself when the daemon "
        "comes back after a restart; with --log what it logged meanwhile is told too.",
    ),
    Verb(
        name="wait",
        summary="wait until an organisation is idle or ok",
        usage="ORG [--for idle|ok] [--timeout TIME] [--system SYSTEM] [COMMON]",
        examples=("zendeskctl wait acme", "zendeskctl wait acme --for ok --timeout 30m"),
        prepare=_prepare_wait,
        run=_wait,
        operations=("sync_status", "events"),
        documents=(wire.SyncStatusOne,),
        description="Wait until an organisation is idle or ok. Where it will not be ok until somebody does something "
        "(blocked, stopped, without credentials), it says so at once and ends with exit code 6.",
    ),
)
