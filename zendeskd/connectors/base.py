"""What every system's connector fulfils, and what it is handed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from zendeskd.cancel import CancelToken
from zendeskd.models import (
    BudgetView,
    CallStats,
    Identity,
    Integration,
    Page,
    Position,
    Record,
    StoredCredential,
    Waiting,
)


class CredentialDoor(Protocol):
    """One integration's credentials, as sealed in the database. Any thread."""

    def load(self) -> StoredCredential:
        """The current credential. Raises CredentialError when there is none or it cannot be opened."""

    def save(self, stored: StoredCredential) -> None:
        """Store a renewed credential durably, in one transaction, before it is used. Raises StorageError; `load` gives
        the renewed one nevertheless from then on."""

    def prove(self) -> None:
        """Show, by a write, that a renewed credential could be stored now. Raises StorageError."""

    def renewing(self) -> AbstractContextManager[object]:
        """A context manager: the one refresher of this integration."""


class Source(Protocol):
    """One integration's account, opened for one run. Not shared between runs.

    Methods block and raise RunError subclasses, or Cancelled when the run's token is set. They are called from one
    thread at a time; `close` and `calls` from any.
    """

    calls: CallStats

    def pages(self, position: Position) -> Iterator[Page]:
        """Everything changed after `position`, in the source's order, page by page, until `end_of_stream`.

        Raises CursorInvalid on the first page if the source no longer accepts the cursor.
        """

    def census(self, since: Position) -> Iterator[Page]:
        """Every record the source still shows that changed since `since`, for a reconcile pass."""

    def confirm(self, external_ids: Sequence[str]) -> list[Record]:
        """Those of these records (any number) that the source still shows."""

    def check(self) -> Identity:
        """Prove that the credentials may do all that a sync needs, at the cost of one or two calls."""

    def probe(self) -> None:
        """One cheap call that fails as the next run would fail for credentials. Raises RunError."""

    def budgets(self) -> tuple[BudgetView, ...]:
        """What the source last said about its rate budgets. Any thread."""

    def close(self) -> None:
        """End every connection; a call that is blocked in another thread fails soon. May be called twice."""


class Connector(Protocol):
    """A system. Shared by all threads; holds what accounts share (TLS context, rate budgets)."""

    def open(
        self,
        integration: Integration,
        credentials: CredentialDoor,
        cancel: CancelToken,
        on_wait: Callable[[Waiting | None], None],
    ) -> Source:
        """A source for one run. `on_wait` is told of each wait and, with None, of its end."""
