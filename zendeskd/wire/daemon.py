"""How the daemon itself is: its health, its database and backups, its socket."""

from __future__ import annotations

from zendeskd.wire.base import Document, Reply


class Health(Document, kw_only=True):
    """`GET /api/health`. 200 when `ok`, 503 otherwise. `threads` maps each thread to seconds since it last moved,
    `doing` those that have something to do to what that is."""

    ok: bool
    detail: str
    scheduler_moving: bool
    threads: dict[str, float]
    doing: dict[str, str] = {}


class DatabaseStatus(Reply, kw_only=True):
    path: str
    bytes: int
    wal_bytes: int
    records: int
    trouble: str | None = None  # "disk full", in words, while writing fails


class Backup(Reply, kw_only=True):
    """A backup of the database, going on (`finishedAt` null) or ended. `trouble` says why it has no file."""

    path: str
    requested_by: str | None  # null: made before the daemon started
    started_at: str
    finished_at: str | None
    bytes: int
    duration_ms: int | None
    trouble: str | None
    hint: str


class BackupStatus(Reply, kw_only=True):
    schedule: str | None  # null: none but those that are asked for
    keep: int
    next_at: str | None
    running: Backup | None
    recent: list[Backup]  # that ended, the newest first


class SocketAccess(Reply, kw_only=True):
    """Who may use the control socket: by the file as it is now, then by the groups of the configuration."""

    mode: str | None  # "0660"; null: the file is gone, and nobody else can connect
    owner: str | None
    group: str | None
    operators: str | None = None  # the group that may do everything
    viewers: str | None = None  # the group that may look; null: whoever can open the socket is an operator


class DaemonStatus(Document, kw_only=True):
    """`GET /api/status`."""

    version: str
    api_version: int
    boot_id: str
    pid: int
    started_at: str
    now: str
    uptime_s: int
    workers: int
    workers_busy: int
    queue_length: int
    organizations: int
    integrations: int
    health: dict[str, int]  # counts by health word; zeros left out
    database: DatabaseStatus
    config_file: str | None
    config_loaded_at: str
    socket: str
    access: SocketAccess | None = None  # null: a daemon that does not tell
    log_file: str
    role: str  # of the caller: operator or viewer
    seq: int
    backup: BackupStatus | None = None  # null: a daemon that makes none


class BackupAccepted(Document, kw_only=True):
    """202: it is being made, or was already. How it ended is in the status, by its path, and told as an event."""

    path: str
    started_at: str
    joined: bool


class ReloadChange(Reply, kw_only=True):
    key: str
    old: str
    new: str
    applied: bool  # false: takes effect at the next start


class ReloadResult(Document, kw_only=True):
    changes: list[ReloadChange]
