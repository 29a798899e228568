"""Zendesk: the connector, and one run's source of tickets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

import msgspec

from zendeskd.cancel import CancelToken
from zendeskd.connectors.account import FEW_TRIES, Account
from zendeskd.connectors.base import CredentialDoor, Source
from zendeskd.connectors.budgets import ACCOUNT, Accounts
from zendeskd.connectors.faults import Answer
from zendeskd.connectors.odd_text import decoded
from zendeskd.connectors.transport import Request
from zendeskd.connectors.waits import Time
from zendeskd.connectors.zendesk_export import ExportReader, PageSize
from zendeskd.connectors.zendesk_list import ListReader
from zendeskd.connectors.zendesk_tickets import INCLUDE, Envelope, TicketMapper, decode_envelope
from zendeskd.errors import BadResponse, CredentialError, PermissionDenied
from zendeskd.models import BudgetView, CallStats, Identity, Integration, Page, Position, Record, Waiting

_HOLDS: Final = "zendesk-waits.json"
MANY: Final = 100  # the most ids that show_many takes


class _Me(msgspec.Struct):
    id: int | None = None
    name: str | None = None
    email: str | None = None
    role: str | None = None


class _MeEnvelope(msgspec.Struct):
    user: _Me


_show_many_decoder = msgspec.json.Decoder(Envelope)


class _Reader(Protocol):
    def pages(self, position: Position) -> Iterator[Page]: ...

    def census(self, since: Position) -> Iterator[Page]: ...

    def first(self, *, ask_again: bool) -> None: ...


class ZendeskConnector:
    """Every Zendesk account of the process. Any thread."""

    def __init__(self, time: Time | None = None, *, state_dir: Path | None = None) -> None:
        """`state_dir`: where to keep what accounts asked for over the end of the process."""
        self._time = time or Time()
        self._accounts = Accounts(self._time, None if state_dir is None else state_dir / _HOLDS)
        self._lock = threading.Lock()
        self._page_sizes: dict[str, PageSize] = {}

    def open(
        self,
        integration: Integration,
        credentials: CredentialDoor,
        cancel: CancelToken,
        on_wait: Callable[[Waiting | None], None],
    ) -> Source:
        """A source for one run, by the integration's strategy. Calls nothing yet."""
        budgets = self._accounts.of(integration.base_url)
        account = Account(integration, credentials, cancel, on_wait, budgets, self._time)
        mapper = TicketMapper(account.base_url)
        if integration.strategy == "list":
            return ZendeskSource(account, mapper, ListReader(account, mapper))
        with self._lock:
            page_size = self._page_sizes.setdefault(account.base_url.lower(), PageSize())
        return ZendeskSource(account, mapper, ExportReader(account, mapper, page_size))


class ZendeskSource:
    """One account's tickets, for one run. See base.Source."""

    def __init__(self, account: Account, mapper: TicketMapper, reader: _Reader) -> None:
        self._account = account
        self._mapper = mapper
        self._reader = reader
        self.calls: CallStats = account.stats

    def pages(self, position: Position) -> Iterator[Page]:
        """Everything changed after the position, in the order of the strategy, until the end of the stream."""
        return self._reader.pages(position)

    def census(self, since: Position) -> Iterator[Page]:
        """Every ticket that Zendesk still lists from there on, deleted ones too where the strategy shows them."""
        return self._reader.census(since)

    def confirm(self, external_ids: Sequence[str]) -> list[Record]:
        """Those of the tickets that Zendesk still shows one by one, archived ones included.

        One that is shown but cannot be mapped comes as an empty record of version 0.
        """
        found: list[Record] = []
        ids = [one for one in external_ids if one.isascii() and one.isdigit()]
        for start in range(0, len(ids), MANY):
            found.extend(self._show(ids[start : start + MANY]))
        return found

    def check(self) -> Identity:
        """Two calls: who the credentials are, and whether they may read. Raises RunError with the reason in words."""
        me = self._account.get(lambda: Request("/api/v2/users/me.json"), ACCOUNT, _decode_me, most_tries=FEW_TRIES)
        if me.id is None:
            raise CredentialError(
                "Zendesk took the call for an anonymous one: it does not accept these credentials.",
                hint="Password sign-in ended in January 2026: use an OAuth client or an API token.",
            )
        who = me.email or me.name or f"user {me.id}"
        if me.role != "admin":
            raise PermissionDenied(
                f"{who} has the role {me.role or 'unknown'}; reading every ticket needs an admin.",
                hint="Make that user an admin, or give the credentials of one.",
            )
        self._reader.first(ask_again=True)
        return Identity(user=who, role=me.role, account=urlsplit(self._account.base_url).netloc)

    def probe(self) -> None:
        """One call, the one that a run would begin with. A refused fixed token is not tried twice."""
        self._reader.first(ask_again=False)

    def budgets(self) -> tuple[BudgetView, ...]:
        return self._account.budgets.views()

    def close(self) -> None:
        self._account.close()

    def _show(self, ids: Sequence[str]) -> list[Record]:
        request = Request("/api/v2/tickets/show_many", {"ids": ",".join(ids), "include": INCLUDE})
        return self._account.get(lambda: request, ACCOUNT, self._decode_many)

    def _decode_many(self, answer: Answer) -> list[Record]:
        envelope, raws = decode_envelope(answer, _show_many_decoder)
        tickets = self._mapper.map(envelope, raws)
        # shown, though it cannot be mapped: version 0 replaces nothing that is here
        shown = [Record(one.external_id, "ticket", 0, b"", b"{}") for one in tickets.quarantined if one.external_id]
        return tickets.records + shown


def _decode_me(answer: Answer) -> _Me:
    try:
        return decoded(answer.body, _MeEnvelope).user
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadResponse(
            f"{answer.host} did not answer like a Zendesk account.",
            hint="Is the base URL right? A suspended account answers with a web page.",
            status=answer.status,
            request_id=answer.request_id,
        ) from error
