"""Who asked what over the control socket, and what came of it: the rows of `audit_log`."""

from __future__ import annotations

from datetime import datetime

import msgspec

from zendeskd.models import stamp
from zendeskd.store import tables as t
from zendeskd.store.edge import Part, text, text_or_none


class AuditRow(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    at: datetime
    uid: int | None
    user: str | None
    pid: int | None
    operation: str
    target: str
    detail: str
    outcome: int


class Audit(Part):
    """Any thread may call any method; each raises StorageError when the disk says no."""

    def write(
        self,
        *,
        now: datetime,
        uid: int | None,
        user: str | None,
        pid: int | None,
        operation: str,
        target: str,
        detail: str,
        outcome: int,
    ) -> None:
        """`operation` is a name of OPERATIONS, or `command` for one that was not looked at; `outcome` is the reply's
        HTTP status. Never a secret in `detail`."""
        values = {
            "at": stamp(now),
            "uid": uid,
            "user": text_or_none(user),
            "pid": pid,
            "operation": operation,
            "target": text(target),
            "detail": text(detail),
            "outcome": outcome,
        }
        with self._db.writing():
            self._db.execute(t.AuditEntry.insert(values))

    def list(self, limit: int = 50) -> list[AuditRow]:
        """The newest first."""
        return self._structs(t.AuditEntry.select().order_by(t.AuditEntry.id.desc()).limit(limit), AuditRow)
