"""`health`: for monitoring. Exit codes and perfdata as monitoring plug-ins have them, not those of the other verbs.

Format: Monitoring Plugins Development Guidelines (monitoring-plugins.org), sections "Plugin Output" and "Plugin
Return Codes".
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime
from enum import IntEnum
from typing import Final, NamedTuple

from zendeskd import present, wire
from zendeskd.verbs.base import Call, Verb
from zendeskd.verbs.documents import HealthDocument
from zendeskd.verbs.status import fetch

LIMITED_LONG_S: Final = 900
"""A wait for a rate limit that is longer than this deserves a look."""


class State(IntEnum):
    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


class Finding(NamedTuple):
    state: State
    text: str


def _prepare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("orgs", metavar="ORG", nargs="*", help="only these organisations")


def _health(call: Call) -> int:
    vital, daemon = call.daemon.health(), call.daemon.status()
    items = fetch(call, call.options.orgs, None).items
    now = call.now()
    findings = [*about_daemon(vital, daemon), *about_fleet(items, now)]
    state = max((finding.state for finding in findings), default=State.OK)
    summary = "; ".join(finding.text for finding in sorted(findings, key=lambda one: -one.state))
    document = HealthDocument(
        state=state.name.lower(),
        code=int(state),
        summary=summary or present.counts_line([item.health for item in items]),
        problems=[finding.text for finding in findings],
        counts=present.counts(item.health for item in items),
        oldest_age_s=oldest_age_s(items, now),
        records=sum(item.total_records for item in items),
        queue_length=daemon.queue_length,
    )
    if call.terminal.json:
        call.terminal.document(document)
    else:
        call.terminal.line(f"ZENDESKD {state.name} - {document.summary.replace('|', '/')} | {perfdata(document)}")
    return int(state)


def about_daemon(vital: wire.Health, daemon: wire.DaemonStatus) -> list[Finding]:
    findings = []
    if not vital.ok:
        findings.append(Finding(State.CRITICAL, f"daemon: {present.clean(vital.detail)}"))
    if daemon.database.trouble is not None:
        findings.append(Finding(State.CRITICAL, f"database: {present.clean(daemon.database.trouble)}"))
    last = daemon.backup.recent[0] if daemon.backup is not None and daemon.backup.recent else None
    if last is not None and last.trouble is not None:
        findings.append(Finding(State.WARNING, f"the last backup failed: {present.clean(last.trouble)}"))
    return findings


def about_fleet(items: Sequence[wire.SyncStatus], now: datetime) -> list[Finding]:
    """Critical: blocked, or every organisation failing. Warning: failing, late, waiting long for a rate limit."""
    names: dict[str, list[str]] = {}
    for item in items:
        if item.health in {"blocked", "failing", "late"}:
            names.setdefault(item.health, []).append(present.clean(item.organization_id))
        elif limited_long(item, now):
            names.setdefault("limited long", []).append(present.clean(item.organization_id))
    active = [item for item in items if item.is_active]
    all_failing = bool(active) and all(item.health in {"blocked", "failing"} for item in active)
    findings = []
    for word in ("blocked", "failing", "late", "limited long"):
        if word in names:
            bad = word == "blocked" or (word == "failing" and all_failing)
            state = State.CRITICAL if bad else State.WARNING
            findings.append(Finding(state, f"{len(names[word])} {word}: {_some(names[word])}"))
    return findings


def limited_long(item: wire.SyncStatus, now: datetime) -> bool:
    """Whether it waits for a rate limit for longer than LIMITED_LONG_S from now."""
    until = present.moment(item.run.waiting_until) if item.run is not None and item.state == "limited" else None
    return until is not None and (until - now).total_seconds() > LIMITED_LONG_S


def _some(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def oldest_age_s(items: Sequence[wire.SyncStatus], now: datetime) -> int | None:
    """Age of the oldest copy among those whose schedule is on."""
    moments = [present.moment(item.last_success_at) for item in items if item.is_active]
    ages = [int((now - when).total_seconds()) for when in moments if when is not None]
    return max(ages, default=None)


def perfdata(document: HealthDocument) -> str:
    words = [f"{word}={document.counts.get(word, 0)}" for word in present.HEALTH_ORDER]
    if document.oldest_age_s is not None:
        words.append(f"oldest_age={document.oldest_age_s}s")
    return " ".join([*words, f"records={document.records}", f"queue={document.queue_length}"])


VERBS: Final = (
    Verb(
        name="health",
        summary="for monitoring: one line, perfdata, 0 fine, 1 warning, 2 critical, 3 unknown",
        usage="[ORG...] [COMMON]",
        examples=("zendeskctl health", "zendeskctl health acme globex --timeout 10s"),
        prepare=_prepare,
        run=_health,
        operations=("health", "status", "sync_status"),
        documents=(HealthDocument,),
        description="For monitoring. 2 critical: an organisation is blocked, every one is failing, the daemon stands "
        "still or cannot store. 1 warning: one is failing, late or waits long for a rate limit, or the last backup "
        "failed. 3 unknown: no daemon answered. Other verbs have other exit codes.",
    ),
)
