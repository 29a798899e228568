"""From a key to the daemon and back: asked, and done only when the daemon's own event says so."""

from __future__ import annotations

import asyncio
import shlex
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from zendeskd import present, wire
from zendeskd.client import AsyncClient
from zendeskd.errors import ZendeskdError
from zendeskd.models import SYSTEMS
from zendeskd.tui.link import Severity
from zendeskd.tui.state import Fleet, Key

AT_ONCE: Final = 8
"""Requests under way at the same time when many organisations are marked."""

FEW: Final = 3
"""So many answers are told one by one."""

KEPT_RUNS: Final = 200
"""Runs remembered for answers that come after their events."""

Ask = Callable[[str, str], Awaitable[wire.Accepted | wire.Changed]]


class Told(Protocol):
    def tell(self, text: str, severity: Severity = "information") -> None: ...
    def changed(self) -> None: ...


class _Answer(NamedTuple):
    """`text`: what is told of it alone; "" where the daemon's own event will tell."""

    kind: str
    text: str = ""
    severity: Severity = "information"


class Actions:
    """`asked`: what was sent for each integration and is not confirmed yet, as the verb. `zendeskctl`: how a command
    line begins that does the same. One event loop."""

    def __init__(self, client: AsyncClient, fleet: Fleet, told: Told, zendeskctl: str = "zendeskctl") -> None:
        self._client, self._fleet, self._told, self._zendeskctl = client, fleet, told, zendeskctl
        self.asked: dict[Key, str] = {}
        self._told_each: set[Key] = set()  # asked for with few others
        self._runs: dict[int, Key] = {}  # asked for here, not seen running yet
        self._seen: dict[int, wire.RunSummary] = {}  # the runs that lately began or ended, whoever asked
        self._backups: set[str] = set()  # asked for here, not ended yet
        self._backup: wire.Backup | None = None  # the last that ended, whoever asked

    # --- what can be asked ----------------------------------------------------------------------------------------

    async def trigger(self, keys: Sequence[Key]) -> None:
        await self._ask("trigger", keys, self._client.trigger)

    async def start(self, keys: Sequence[Key]) -> None:
        await self._ask("start", keys, self._client.start)

    async def stop(self, keys: Sequence[Key], reason: str = "") -> None:
        more = f" --reason {shlex.quote(reason)}" if reason else ""
        await self._ask(
            "stop", keys, lambda org, system: self._client.stop(org, system, reason=reason or None), more=more
        )

    async def interval(self, keys: Sequence[Key], interval: str) -> None:
        more = f" {shlex.quote(interval)}"
        await self._ask("interval", keys, lambda org, system: self._client.interval(org, interval, system), more=more)

    async def cancel(self, keys: Sequence[Key]) -> None:
        await self._ask("cancel", keys, self._client.cancel)

    async def resync(self, key: Key, since: str) -> None:
        more = " --full" if since == "all" else f" --since {shlex.quote(since)}"
        await self._ask("resync", [key], lambda org, system: self._client.resync(org, since, system), more=more)

    async def reconcile(self, keys: Sequence[Key]) -> None:
        orgs = list(dict.fromkeys(org for org, _ in keys))
        self._told.tell(f"asked: reconcile {_named(orgs)}   ({self._line('reconcile', keys)})")
        try:
            reply = await self._client.reconcile(orgs)
        except ZendeskdError as error:
            self._refused("reconcile", error)
            return
        joined = sum(item.joined for item in reply.items)
        already = f", {joined} of them under way already" if joined else ""
        self._told.tell(f"reconcile: {present.plural(len(reply.items), 'comparison')} accepted{already}")

    async def backup(self) -> None:
        self._told.tell(f"asked: backup   ({self._zendeskctl} backup)")
        try:
            reply = await self._client.backup()
        except ZendeskdError as error:
            self._refused("backup", error)
            return
        if reply.joined:
            self._told.tell("backup: joined the one that is being made")
        self._backups.add(reply.path)
        if (seen := self._backup) is not None and seen.path == reply.path:  # its event was faster than the answer
            self._backup_ended(seen)

    async def reload(self) -> None:
        self._told.tell(f"asked: reload   ({self._zendeskctl} reload)")
        try:
            reply = await self._client.reload()
        except ZendeskdError as error:
            self._refused("reload", error)
            return
        changes = [f"{one.key}: {one.old} -> {one.new}{'' if one.applied else ' (at the next start)'}"
                   for one in reply.changes]  # fmt: skip
        self._told.tell(present.clean("reloaded: " + ("; ".join(changes) or "nothing changed")))

    # --- asking ---------------------------------------------------------------------------------------------------

    async def _ask(self, verb: str, keys: Sequence[Key], ask: Ask, *, more: str = "") -> None:
        """Ask for each, say once what was asked and how `zendeskctl` says it. Of a few each answer is told, of many
        only how many there were of each kind: hundreds of messages would hide the list, which shows it anyhow."""
        if not keys:
            return
        self._told.tell(f"asked: {verb} {_named([org for org, _ in keys])}   ({self._line(verb, keys, more)})")
        self.asked |= dict.fromkeys(keys, verb)
        are_few = len(keys) <= FEW
        self._told_each = self._told_each | set(keys) if are_few else self._told_each.difference(keys)
        self._told.changed()
        turn = asyncio.Semaphore(AT_ONCE)

        async def one(key: Key) -> _Answer:
            async with turn:
                return await self._ask_one(verb, key, ask)

        answers = await asyncio.gather(*(one(key) for key in keys))
        if are_few:
            for answer in answers:
                if answer.text:
                    self._told.tell(answer.text, answer.severity)
        else:
            self._told.tell(*_summed_up(verb, answers))
        self._told.changed()

    async def _ask_one(self, verb: str, key: Key, ask: Ask) -> _Answer:
        name = present.clean(key[0])
        try:
            reply = await ask(*key)
        except ZendeskdError as error:
            self.asked.pop(key, None)
            return _Answer("refused", _refusal(f"{verb} {name}", error), "error")
        if isinstance(reply, wire.Changed):
            if reply.changed:
                return _Answer("accepted")
            self.asked.pop(key, None)
            return _Answer("so already", f"{name}: {_ALREADY.get(verb, 'nothing to change')}")
        if reply.joined:
            self.asked.pop(key, None)
            return _Answer("joined", f"{name}: joined run {reply.run_id}, {present.clean(reply.state)}")
        if seen := self._seen.get(reply.run_id):  # its events were faster than the answer
            self.asked.pop(key, None)
            return _Answer("accepted", _began(seen))
        self._runs[reply.run_id] = key
        return _Answer("accepted")

    def _line(self, verb: str, keys: Sequence[Key], more: str = "") -> str:
        return command_line(self._zendeskctl, verb, keys, more)

    def _refused(self, what: str, error: ZendeskdError) -> None:
        self._told.tell(_refusal(what, error), "error")

    # --- and the daemon's word ------------------------------------------------------------------------------------

    def confirm(self, event: wire.Event) -> None:
        """What the daemon says happened; ends "asked"."""
        run = event.run
        if run is not None and run.status != "queued":
            self._seen[run.id] = run
            if len(self._seen) > KEPT_RUNS:
                del self._seen[next(iter(self._seen))]
            if self._runs.pop(run.id, None) in self._told_each:
                self._told.tell(_began(run))
        if event.backup is not None and event.backup.finished_at is not None:
            self._backup_ended(event.backup)
        if event.item is not None:
            key = (event.item.organization_id, event.item.system_type)
            verb = self.asked.pop(key, None)
            if verb is not None and verb in _DONE and key in self._told_each:
                self._told.tell(f"{present.clean(key[0])}: {_DONE[verb](event.item)}")

    def _backup_ended(self, one: wire.Backup) -> None:
        self._backup = one
        if one.path not in self._backups:
            return
        self._backups.discard(one.path)
        if one.trouble is None:
            text = f"backup made: {one.path}, {present.size(one.bytes)} in {present.took(one.duration_ms)}"
            self._told.tell(present.clean(text))
        else:
            self._told.tell(present.clean(f"backup failed: {one.trouble}  {one.hint}".rstrip()), "error")

    def forget(self) -> None:
        """The connection is gone: whether it was done shows when it is back."""
        self.asked.clear()
        self._runs.clear()
        self._backups.clear()


_ALREADY: Final[Mapping[str, str]] = {"start": "was started already", "stop": "was stopped already"}
_DONE: Final[Mapping[str, Callable[[wire.SyncStatus], str]]] = {
    "start": lambda item: "schedule started" if item.is_active else present.clean(item.state),
    "stop": lambda item: present.clean(item.state),
    "interval": lambda item: f"interval is now {present.clean(item.interval)}",
    "cancel": lambda item: "run is ending" if item.run is not None else "run ended",
}


def _refusal(what: str, error: ZendeskdError) -> str:
    return present.clean(f"{what}: {error.detail}.{f'  {error.hint}' if error.hint else ''}")


def _began(run: wire.RunSummary) -> str:
    word = "started" if run.status == "running" else "ok" if run.status == "success" else present.clean(run.status)
    return f"{present.clean(run.organization_id)}: run {run.id} {word}"


def _summed_up(verb: str, answers: Sequence[_Answer]) -> tuple[str, Severity]:
    """`trigger: 490 accepted, 8 joined, 2 refused; the first: trigger globex: it is blocked.`, and how bad that is."""
    kinds = Counter(answer.kind for answer in answers)
    text = f"{verb}: {', '.join(f'{count} {kind}' for kind, count in kinds.most_common())}"
    refused = next((answer.text for answer in answers if answer.kind == "refused"), None)
    return (text, "information") if refused is None else (f"{text}; the first: {refused}", "error")


def command_line(zendeskctl: str, verb: str, keys: Sequence[Key], more: str = "") -> str:
    """How `zendeskctl` says it: `zendeskctl trigger acme-eu`."""
    systems = {system for _, system in keys}
    system = f" --system {systems.pop()}" if systems and systems != {SYSTEMS[0]} and len(systems) == 1 else ""
    orgs = [shlex.quote(present.clean(org)) for org in dict.fromkeys(org for org, _ in keys)]
    named = " ".join(orgs) if len(orgs) <= 5 else f"{' '.join(orgs[:4])} ..."
    return " ".join(filter(None, (f"{zendeskctl} {verb}", f"{named}{more}{system}".strip())))


def _named(orgs: Sequence[str]) -> str:
    return present.clean(orgs[0]) if len(orgs) == 1 else present.plural(len(orgs), "organisation")
