"""What the API is handed: the parts it speaks for, and the facts it tells."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from zendeskd import __version__, wire
from zendeskd.api.unchanging import Unchanging
from zendeskd.connection import Limits, Peer
from zendeskd.events import Broker
from zendeskd.fleet import Defaults
from zendeskd.models import utcnow

if TYPE_CHECKING:
    from zendeskd.backup import Backups
    from zendeskd.db import Database
    from zendeskd.jobs import Jobs
    from zendeskd.secrets import Vault
    from zendeskd.store import Store

Role = Literal["operator", "viewer"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfigFacts:
    """What `status` tells about the settings in use."""

    workers: int
    socket: Path
    operators: str | None  # groups, by name
    viewers: str | None
    log_file: Path
    config_file: Path | None
    config_loaded_at: datetime
    backup_schedule: str | None
    backup_keep: int


@dataclass(kw_only=True, slots=True)
class ControlContext:
    """All that endpoints use. Any thread reads it; a reload assigns `defaults` and `facts` anew.

    `reload` reads the configuration again and applies it: raises ConfigError and changes nothing if it is bad. `roles`
    says what a caller may do, None: nothing at all; it must not block. `stalled_s` is how long the scheduler, then how
    long any other thread, may stand still before the daemon counts as unwell.
    """

    jobs: Jobs
    store: Store
    database: Database
    vault: Vault
    broker: Broker
    backups: Backups
    defaults: Defaults
    facts: ConfigFacts
    reload: Callable[[], wire.ReloadResult]
    roles: Callable[[Peer], Role | None] = field(default_factory=lambda: roles_by_group(None, None))
    started_at: datetime = field(default_factory=utcnow)
    version: str = __version__
    now: Callable[[], datetime] = utcnow
    stalled_s: tuple[float, float] = (60.0, 900.0)
    limits: Limits = field(default_factory=Limits)
    unchanging: Unchanging = field(default_factory=Unchanging)


def roles_by_group(operators: int | None, viewers: int | None) -> Callable[[Peer], Role | None]:
    """A rule from two group ids. Root and the daemon's own user are operators, and so are members of `operators`;
    members of `viewers` are viewers. Without a group of viewers all who can open the socket are operators."""
    own = os.geteuid()

    def role(peer: Peer) -> Role | None:
        if peer.uid in {0, own} or (operators is not None and operators in peer.groups):
            return "operator"
        if viewers is None:
            return "operator"
        return "viewer" if viewers in peer.groups else None

    return role
