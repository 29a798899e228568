"""One simulated Zendesk account: its tickets, its credentials, and what a test or an operator does to them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from random import Random
from typing import Final

from zendeskd.simulator.access import Access
from zendeskd.simulator.calls import Seen
from zendeskd.simulator.clock import SETTLE_S, Clock
from zendeskd.simulator.faults import Fault
from zendeskd.simulator.limits import Limits
from zendeskd.simulator.pages import PageCache
from zendeskd.simulator.people import People
from zendeskd.simulator.rows import AI_AGENT, ARCHIVED, DAY_S, DELETED, GONE, SCRUBBED, STRANGE, Rows
from zendeskd.simulator.tickets import Writer

REQUESTS_KEPT: Final = 20_000
_YOUNGEST_S: Final = 120  # the last change of the first tickets is this old at least

Which = int | Iterable[int]
"""How many tickets (drawn by the account's own deterministic dice), or their ids."""


class Account:
    """Everything but `base_url`, `name` and `credential` is for tests and operators. Any thread.

    What changes a ticket says when by the account's own clock. With `is_settled` (the default) the change is one that
    the export shows at once: it happened a minute ago, yet behind everything that was read so far, and the clock moves
    ahead a second or two where that is needed. Without, it happens now and the export hides it for a minute.
    """

    def __init__(
        self,
        name: str,
        origin: str,
        clock: Clock,
        kept_pages: PageCache,
        *,
        seed: int = 1,
        tickets: int = 100,
        body_bytes: int = 2600,
        days: float = 90,
        deleted: int = 0,
        ai_share: float = 0.05,
        export_per_minute: int = 10_000,
        account_per_minute: int = 100_000,
        list_per_minute: int = 100_000,
        deleted_per_minute: int = 1_000,
        latency_s: float = 0.0,
        old_headers: bool = False,
        kind: str = "oauth_client_credentials",
    ) -> None:
        """`days`: how far back the tickets go. `deleted`: how many of them are tombstones from the start. `kind`: of
        the credential that `credential` gives."""
        self.name, self.clock, self.kept_pages = name, clock, kept_pages
        self.base_url = f"{origin}/accounts/{name}"
        self.latency_s = latency_s
        self.lock = threading.RLock()
        self.people = People(name, seed, max(8, min(tickets // 4, 2000)))
        self.rows = Rows()
        self.writer = Writer(name, seed, self.people, tickets, body_bytes)
        self.access = Access(name, seed, self.people)
        self.limits = Limits(account_per_minute, export_per_minute, list_per_minute, deleted_per_minute)
        self.limits.old_headers = old_headers
        self.kind = kind
        self.is_suspended = False
        self.has_null_cursor_at_end = False  # what an empty page says that was asked for with a cursor
        self.first_cursor: str | None = None
        self.read_up_to = 0  # nothing may appear at or before this instant any more
        self.faults: list[Fault] = []
        self._seen: deque[Seen] = deque(maxlen=REQUESTS_KEPT)
        self.calls = 0
        self._dice = Random(f"{seed}/{name}")  # noqa: S311 - nothing here is a secret
        newest = int(clock.seconds()) - _YOUNGEST_S
        self.rows.found(tickets, self._dice, newest - int(days * DAY_S), newest, ai_share)
        for ticket_id in self._dice.sample(range(1, tickets + 1), min(deleted, tickets)):
            self.rows.flags[ticket_id - 1] |= DELETED
            self.rows.deleted_at[ticket_id] = self.rows.updated[ticket_id - 1]

    # --- the truth ---

    def tickets(self, *, hidden: bool = False, scope: str = "all") -> dict[int, bytes]:
        """Every ticket that a whole export would send now, by id: its exact bytes. `hidden` adds those of the most
        recent minute. `scope` is the export's support_type_scope."""
        with self.lock:
            return {n: self.writer.ticket(self.rows[n]) for n in self.ids(hidden=hidden, scope=scope)}

    def ids(self, *, hidden: bool = False, scope: str = "all") -> list[int]:
        """The ids of the same, in the export's order."""
        with self.lock:
            horizon = int(self.clock.seconds()) - SETTLE_S
            rows = self.rows
            wanted = {"all": (0, AI_AGENT), "agent": (0,), "ai_agent": (AI_AGENT,)}[scope]
            return [
                n
                for n in rows.exported()
                if (hidden or rows.generated[n - 1] <= horizon) and rows.flags[n - 1] & AI_AGENT in wanted
            ]

    def listed(self) -> dict[int, bytes]:
        """Every ticket that the list shows now, by id: its exact bytes."""
        with self.lock:
            return {n: self.writer.ticket(self.rows[n]) for n in self.rows.listed_ids()}

    def ticket(self, ticket_id: int) -> bytes:
        """The exact bytes of one ticket. Raises KeyError."""
        with self.lock:
            return self.writer.ticket(self.rows[ticket_id])

    # --- what happens to tickets; each returns the ids it happened to ---

    def change(self, which: Which = 1, *, is_settled: bool = True) -> list[int]:
        """Someone works on them: updated_at and generated_timestamp move, status, tags and fields change."""
        with self.lock:
            ids = self._drawn(which, DELETED | SCRUBBED | ARCHIVED | GONE)
            self.rows.change(ids, self._when(is_settled))
            return ids

    def touch(self, which: Which = 1, *, is_settled: bool = True) -> list[int]:
        """The system passes over them: generated_timestamp moves alone."""
        with self.lock:
            ids = self._drawn(which, DELETED | SCRUBBED | GONE)
            self.rows.touch(ids, self._when(is_settled))
            return ids

    def add(self, count: int = 1, *, ai_agent: bool = False, is_settled: bool = True) -> list[int]:
        with self.lock:
            return self.rows.add(count, self._when(is_settled), AI_AGENT if ai_agent else 0)

    def delete(self, which: Which = 1, *, is_settled: bool = True) -> list[int]:
        """They stay in the export with status "deleted", and are in the list of deleted tickets for 30 days."""
        with self.lock:
            ids, when = self._drawn(which, DELETED | SCRUBBED | GONE), self._when(is_settled)
            self.rows.change(ids, when, set_flags=DELETED)
            self.rows.deleted_at.update(dict.fromkeys(ids, when))
            return ids

    def restore(self, which: Iterable[int], *, is_settled: bool = True) -> list[int]:
        """Those of these that are deleted and not purged are back."""
        with self.lock:
            lost = SCRUBBED | GONE
            ids = [n for n in self._drawn(which, lost) if self.rows.flags[n - 1] & (DELETED | lost) == DELETED]
            self.rows.change(ids, self._when(is_settled), clear_flags=DELETED)
            for ticket_id in ids:
                self.rows.deleted_at.pop(ticket_id, None)
            return ids

    def scrub(self, which: Which, *, is_settled: bool = True) -> list[int]:
        """The purge after 30 days: text gone, generated_timestamp moves, updated_at does not, still in the export."""
        with self.lock:
            ids, when = self._drawn(which, SCRUBBED | GONE), self._when(is_settled)
            self.rows.touch(ids, when, set_flags=DELETED | SCRUBBED)
            return ids

    def purge(self, which: Which) -> list[int]:
        """They vanish from everything, without a trace in the export."""
        with self.lock:
            ids = self._drawn(which, GONE)
            self.rows.mark(ids, GONE)
            for ticket_id in ids:
                self.rows.deleted_at.pop(ticket_id, None)
            return ids

    def archive(self, which: Which = 1) -> list[int]:
        """They leave the list and stay in the export; nothing about them changes."""
        with self.lock:
            ids = self._drawn(which, DELETED | SCRUBBED | ARCHIVED | GONE)
            self.rows.mark(ids, ARCHIVED)
            return ids

    def strange(self, which: Which = 1, *, is_settled: bool = True) -> list[int]:
        """Their text gets a NUL and a lone surrogate, as JSON escapes."""
        with self.lock:
            ids = self._drawn(which, DELETED | SCRUBBED | GONE)
            self.rows.change(ids, self._when(is_settled), set_flags=STRANGE)
            return ids

    # --- credentials ---

    @property
    def email(self) -> str:
        """The admin's. An API token works with `agent_email` too, which then may not export."""
        return self.access.email

    @property
    def agent_email(self) -> str:
        return self.people.email(1)

    @property
    def token(self) -> str | None:
        """The API token; None once revoked."""
        return self.access.token

    @property
    def bearer(self) -> str | None:
        """An access token that does not expire; None once revoked."""
        return self.access.bearer

    @property
    def client_id(self) -> str:
        return self.access.client_id

    @property
    def client_secret(self) -> str:
        return self.access.client_secret

    @property
    def credential(self) -> dict[str, str]:
        """A credential that works: the JSON object that zendeskctl and the API take."""
        return self.credential_of(self.kind)

    def credential_of(self, kind: str) -> dict[str, str]:
        with self.lock:
            return self.access.credential(kind)

    def revoke_token(self) -> None:
        """API token, bearer, every access and refresh token end. The OAuth client can get new ones."""
        with self.lock:
            self.access.revoke()

    def revoke_client(self) -> None:
        """The OAuth client's secret changes as well, so that nothing known works; `credential` gives what does."""
        with self.lock:
            self.access.renew()

    def expire_tokens(self) -> None:
        """Every access token given out so far has expired."""
        with self.lock:
            self.access.expire(self.clock.seconds())

    # --- troubles, and what was asked ---

    def fault(
        self, kind: str, *, times: int | None = 1, on: str = "tickets", after: int = 0, **options: object
    ) -> Fault:
        """Make trouble: `times` times (None: until cleared), `on` an endpoint (export, list, deleted, show_many, count,
        me, current_token, token), `tickets` (export and list) or `any`, once `after` such calls went through. Kinds
        and their options are in `faults`. Raises ValueError for what is not one."""
        fault = Fault(kind, times=times, on=on, after=after, options=options)
        with self.lock:
            self.faults.append(fault)
        return fault

    def clear_faults(self) -> None:
        """End all troubles; what hangs goes on."""
        with self.lock:
            for fault in self.faults:
                fault.release()
            self.faults.clear()

    def struck_by(self, kind: str, page_size: int | None, has_cursor: bool) -> Fault | None:
        """The fault that strikes this call. The first made comes first."""
        with self.lock:
            fault = next((one for one in self.faults if one.strikes(kind, page_size, has_cursor)), None)
            self.faults = [one for one in self.faults if not one.is_over]
            return fault

    @property
    def requests(self) -> list[Seen]:
        """The last 20,000 requests, oldest first."""
        with self.lock:
            return list(self._seen)

    def forget_requests(self) -> None:
        with self.lock:
            self._seen.clear()

    def remember(self, seen: Seen) -> None:
        with self.lock:
            self._seen.append(seen)

    def _when(self, is_settled: bool) -> int:
        """The instant of a change: later than everything that was, or could have been, read so far."""
        now = int(self.clock.seconds())
        if not is_settled:
            return max(now, self.read_up_to + 1)
        shown = self.rows.end(now - SETTLE_S)
        newest = self.rows.generated[self.rows.id_at(shown - 1) - 1] if shown else 0
        when = max(now - SETTLE_S, newest + 1, self.read_up_to + 1)
        behind = when + SETTLE_S - self.clock.seconds()
        if behind > 0:
            self.clock.advance(behind)
        return when

    def _drawn(self, which: Which, without: int) -> list[int]:
        """Raises KeyError for an id that was never given out."""
        if not isinstance(which, int):
            return sorted(self.rows[ticket_id].id for ticket_id in set(which))
        flags = self.rows.flags
        if which * 4 < len(flags):  # draw until it fits: cheaper than looking at a million
            drawn: set[int] = set()
            for _ in range(which * 20):
                ticket_id = self._dice.randrange(len(flags)) + 1
                if not flags[ticket_id - 1] & without:
                    drawn.add(ticket_id)
                if len(drawn) == which:
                    return sorted(drawn)
        fit = [n for n, has in enumerate(flags, 1) if not has & without]
        return sorted(self._dice.sample(fit, min(which, len(fit))))
