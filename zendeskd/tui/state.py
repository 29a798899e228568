"""What the dashboard knows: filled by a snapshot, kept up to date by events. No Textual, no I/O, one thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from zendeskd import present, wire

Key = tuple[str, str]
"""Organisation and system: what names an integration."""

Phase = Literal["connecting", "live", "lost", "given up"]

KEPT_LINES: Final = 5000
_NOT_SHOWN: Final = frozenset({"at", "level", "event", "org", "logger", "exception"})
_USUAL: Final = ("system", "zendesk")
_SKEW_THAT_COUNTS: Final = timedelta(seconds=2)
_SHORT_LEVELS: Final = {"warning": "warn", "critical": "error"}


def key_of(item: wire.SyncStatus) -> Key:
    return (item.organization_id, item.system_type)


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the daemon's log, its text already harmless."""

    at: str
    level: str  # debug, info, warn, error
    org: str
    event: str
    rest: str  # "attempt=3 error=connect_timeout"
    run: int | None = None
    said: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)  # as it came: not harmless


@dataclass(slots=True)
class Connection:
    """How the connection is. `reason` is that of DaemonUnreachable; `attempt` counts tries since it was lost."""

    phase: Phase = "connecting"
    reason: str = ""
    detail: str = ""
    hint: str = ""
    attempt: int = 0
    lost_at: datetime | None = None
    next_try_at: datetime | None = None


@dataclass(slots=True)
class Fleet:
    """Every integration, the daemon, and the log lines that came while this dashboard was connected."""

    items: dict[Key, wire.SyncStatus] = field(default_factory=dict)
    daemon: wire.DaemonStatus | None = None
    connection: Connection = field(default_factory=Connection)
    revision: int = 0  # grows with every change of `items`
    snapshots: int = 0  # how often everything was read
    heard_at: datetime | None = None  # by the daemon's clock: when what is shown was last known to be true
    log: deque[LogLine] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))
    logged: int = 0  # lines ever; `log` has the last of them
    daemon_events: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=20))  # instant, message
    skew: timedelta = timedelta()  # of the daemon's clock, which is another machine's over ssh

    @property
    def is_live(self) -> bool:
        return self.connection.phase == "live"

    @property
    def role(self) -> str:
        return "" if self.daemon is None else self.daemon.role

    @property
    def busy(self) -> int:
        """Workers that have a run in hand, as the events tell."""
        return sum(1 for item in self.items.values() if item.run is not None)

    def set_daemon(self, status: wire.DaemonStatus, now: datetime) -> None:
        """`now` is this machine's clock."""
        self.daemon = status
        theirs = present.moment(status.now)
        skew = timedelta() if theirs is None else theirs - now
        self.skew = skew if abs(skew) > _SKEW_THAT_COUNTS else timedelta()

    def replace(self, items: Iterable[wire.SyncStatus]) -> None:
        self.items = {key_of(item): item for item in items}
        self.revision += 1
        self.snapshots += 1

    def apply(self, event: wire.Event) -> None:
        """One event that is newer than the snapshot."""
        match event:
            case wire.Event(event="integration", item=wire.SyncStatus() as item):
                self.items[key_of(item)] = item
                self.revision += 1
            case wire.Event(event="removed", organization_id=str() as org, system_type=str() as system):
                self.items.pop((org, system), None)
                self.revision += 1
            case wire.Event(event="log", log=dict() as log):
                self.add_line(log_line(event.at, log))
            case wire.Event(event="daemon", message=str() as message):
                self.daemon_events.append((event.at, present.clean(message)))
                if event.backup is not None:
                    self._take_backup(event.backup)

    def _take_backup(self, one: wire.Backup) -> None:
        known = None if self.daemon is None else self.daemon.backup
        if known is None:
            return
        known.running = one if one.finished_at is None else None
        if one.finished_at is not None:
            known.recent = [one, *(other for other in known.recent if other.path != one.path)]

    def add_line(self, line: LogLine) -> None:
        self.log.append(line)
        self.logged += 1


def log_line(at: str, log: dict[str, Any]) -> LogLine:
    """`log` as the event or the file has it; `at` is when it came, for one that does not say when it was written."""
    written = log.get("at")
    level = str(log.get("level", "info"))
    pairs = (
        f"{key}={value}"
        for key, value in log.items()
        if key not in _NOT_SHOWN and value is not None and (key, value) != _USUAL
    )
    run = log.get("run")
    return LogLine(
        at=written if isinstance(written, str) and present.moment(written) is not None else at,
        level=_SHORT_LEVELS.get(level, present.clean(level)),
        org=present.clean(str(log.get("org") or "")),
        event=present.clean(str(log.get("event", ""))),
        rest=present.clean(" ".join(pairs)),
        run=run if isinstance(run, int) else None,
        said=log if isinstance(run, int) else {},
    )


def utc(text: str) -> datetime:
    """The instant of an API time; the epoch for what is none, so that it sorts first."""
    return present.moment(text) or datetime.fromtimestamp(0, UTC)
