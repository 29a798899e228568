"""One request as an endpoint sees it, and what an endpoint is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar

import msgspec

from zendeskd.api.context import ControlContext, Role
from zendeskd.api.query import Query
from zendeskd.connection import Peer
from zendeskd.decoding import decode
from zendeskd.errors import NotFound
from zendeskd.models import SYSTEMS

T = TypeVar("T")

BODY_MAX: Final = 1024 * 1024
IMPORT_BODY_MAX: Final = 16 * 1024 * 1024


@dataclass(slots=True)
class Asked:
    """A request. `operation`, `target` and `note` are what the audit log will tell of it; never a secret. It is told
    every call that may have changed something, and of those that `changed_nothing` some."""

    context: ControlContext
    peer: Peer
    role: Role | None
    user: str  # the caller's name
    by: str  # the caller and the program: "ana (cli)"
    path: Mapping[str, str]
    query: Query
    body: bytes
    operation: str
    target: str = ""
    note: str = ""
    changed_nothing: bool = False

    def decoded(self, kind: type[T]) -> T:
        return decode(self.body, kind)

    def system(self) -> str:
        """The system of the path. Raises NotFound for one that is not known."""
        return known_system(self.path["system"])

    def organization(self) -> str:
        """The organisation a command is for, which becomes the audit's target."""
        org = self.query.required("organizationId", "acme")
        self.target = f"{org}/{self.path['system']}"
        return org


def known_system(name: str) -> str:
    if name not in SYSTEMS:
        raise NotFound(f"there is no system {name[:80]!r}", hint=f"it can be {', '.join(SYSTEMS)}")
    return name


@dataclass(frozen=True, slots=True)
class Answer:
    document: msgspec.Struct | dict[str, Any]
    status: int = 200


Function = Callable[[Asked], msgspec.Struct | Answer]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One route and what answers it.

    `operations`: names of `OPERATIONS`; `where`: in the loop for what never waits, in the threads for what asks the
    database, in those for slow work for what asks the source, in those for logs for what reads large files; `several`:
    which of the parameters may be given more than once, `needs`: which must be; `page`: how many items come without
    `limit`, and at most; `replies`: the shapes that come with a status, problems aside; `takes`: the shape of the body,
    which `may_be_empty`.
    """

    operations: tuple[str, ...]
    method: str
    path: str
    function: Function
    query: tuple[str, ...] = ()
    changes: bool = False
    where: Literal["loop", "threads", "slow", "logs"] = "threads"
    body_max: int = BODY_MAX
    several: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    page: tuple[int, int] | None = None
    replies: Mapping[int, Any] = field(default_factory=dict)
    takes: Any = None
    may_be_empty: bool = False

    @property
    def name(self) -> str:
        """Its operation's; `command` where only the body says which of several is meant."""
        return self.operations[0] if len(self.operations) == 1 else "command"
