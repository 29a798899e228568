"""How the daemon and every integration are."""

from __future__ import annotations

import contextlib
import os
import stat
from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from zendeskd import wire
from zendeskd.api import shapes
from zendeskd.api.asked import Answer, Asked, Endpoint
from zendeskd.api.context import ConfigFacts, ControlContext
from zendeskd.api.names import group_name, user_name
from zendeskd.errors import StorageError
from zendeskd.models import Health, IntegrationView, stamp, stamp_or_none


def health(asked: Asked) -> Answer:
    """From memory alone: it answers while the database hangs."""
    context = asked.context
    pulses = context.jobs.pulses()
    stuck = standing_still(context, pulses)
    detail = f"standing still: {', '.join(stuck)}" if stuck else "scheduler and workers move"
    if context.database.trouble is not None:
        detail += f"; database: {context.database.trouble}"
    told = wire.Health(
        ok=not stuck,
        detail=detail,
        scheduler_moving="scheduler" not in stuck,
        threads={name: round(seconds, 1) for name, seconds in sorted(pulses.items())},
        doing=context.jobs.doing(),
    )
    return Answer(told, 503 if stuck else 200)


def standing_still(context: ControlContext, pulses: dict[str, float]) -> list[str]:
    """Threads that should have moved and did not."""
    scheduler_s, other_s = context.stalled_s
    return sorted(
        name for name, seconds in pulses.items() if seconds > (scheduler_s if name == "scheduler" else other_s)
    )


def status(asked: Asked) -> wire.DaemonStatus:
    context, facts = asked.context, asked.context.facts
    seq = context.broker.seq  # read before what it describes
    views = context.jobs.views()
    counts = Counter(view.health for view in views)
    now = context.now()
    size, wal = context.database.sizes()
    organizations, records = _counted(context, views)
    return wire.DaemonStatus(
        version=context.version,
        api_version=wire.API_VERSION,
        boot_id=context.broker.boot_id,
        pid=os.getpid(),
        started_at=stamp(context.started_at),
        now=stamp(now),
        uptime_s=max(0, int((now - context.started_at).total_seconds())),
        workers=facts.workers,
        workers_busy=context.jobs.busy(),
        queue_length=context.jobs.queue_length(),
        organizations=organizations,
        integrations=len(views),
        health={word.value: counts[word] for word in Health if counts[word]},
        database=wire.DatabaseStatus(
            path=str(context.database.path),
            bytes=size,
            wal_bytes=wal,
            records=records,
            trouble=context.database.trouble,
        ),
        config_file=None if facts.config_file is None else str(facts.config_file),
        config_loaded_at=stamp(facts.config_loaded_at),
        socket=str(facts.socket),
        access=_access(facts),
        log_file=str(facts.log_file),
        role=asked.role or "",
        seq=seq,
        backup=_backups(context),
    )


def _counted(context: ControlContext, views: Sequence[IntegrationView]) -> tuple[int, int]:
    """How many organisations and records there are; of a database that cannot be read, as they were last known: what
    is wrong with it must be told all the same."""
    try:
        return len(context.store.fleet.organizations()), context.store.records.total()
    except StorageError:
        known = [view.integration for view in views]
        return len({one.organization_id for one in known}), sum(one.total_records for one in known)


def _access(facts: ConfigFacts) -> wire.SocketAccess:
    mode = owner = group = None
    with contextlib.suppress(OSError):  # somebody removed it: only those who are connected already can go on
        found = facts.socket.lstat()
        mode, owner, group = f"{stat.S_IMODE(found.st_mode):04o}", user_name(found.st_uid), group_name(found.st_gid)
    operators = facts.operators or group_name(os.getegid())
    return wire.SocketAccess(mode=mode, owner=owner, group=group, operators=operators, viewers=facts.viewers)


def _backups(context: ControlContext) -> wire.BackupStatus:
    running = context.backups.running
    return wire.BackupStatus(
        schedule=context.facts.backup_schedule,
        keep=context.facts.backup_keep,
        next_at=stamp_or_none(context.jobs.clock.next_run_of("backup")),
        running=None if running is None else shapes.backup(running),
        recent=[shapes.backup(one) for one in context.backups.recent()],
    )


def sync_status(asked: Asked) -> msgspec.Struct:
    """All integrations of a system, worst first; with `organizationId` that one itself."""
    system, org = asked.system(), asked.query.text("organizationId")
    seq = asked.context.broker.seq
    if org is not None:
        return shapes.sync_status_one(asked.context.jobs.view(org, system), seq)
    return wire.SyncStatusList(seq=seq, items=[shapes.sync_status(view) for view in asked.context.jobs.views(system)])


def sync_config(asked: Asked) -> msgspec.Struct:
    system, org = asked.system(), asked.query.text("organizationId")
    if org is not None:
        return shapes.sync_config_one(asked.context.jobs.view(org, system))
    return wire.SyncConfigList(items=[shapes.sync_config(view) for view in asked.context.jobs.views(system)])


ENDPOINTS: Final = (
    Endpoint(("health",), "GET", "/api/health", health, where="loop", replies={200: wire.Health, 503: wire.Health}),
    Endpoint(("status",), "GET", "/api/status", status, replies={200: wire.DaemonStatus}),
    Endpoint(
        ("sync_status",),
        "GET",
        "/api/{system}/sync-status",
        sync_status,
        ("organizationId",),
        replies={200: (wire.SyncStatusOne, wire.SyncStatusList)},
    ),
    Endpoint(
        ("sync_config",),
        "GET",
        "/api/{system}/sync-config",
        sync_config,
        ("organizationId",),
        replies={200: (wire.SyncConfigOne, wire.SyncConfigList)},
    ),
)
