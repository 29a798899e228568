"""Every account, asked from here: name, connection, clock, credentials, how much may still be asked.

A running daemon is asked to check the credentials: it may renew tokens, and it keeps to the account's rate budgets.
Without one they are checked from here, but for the kind whose renewal ends the old token: only the daemon stores it.
"""

from __future__ import annotations

import contextlib
import http.client
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from zendeskd import connectors
from zendeskd.cancel import CancelToken
from zendeskd.client import ApiError, Client, DaemonUnreachable, IncompatibleApi
from zendeskd.connectors.base import Connector
from zendeskd.connectors.transport import tls_context
from zendeskd.doctor.copy_at_rest import Sealed
from zendeskd.doctor.findings import Finding, failed, ok, warning
from zendeskd.errors import Cancelled, RunError, ZendeskdError
from zendeskd.models import BudgetView, Identity, Integration, State, StoredCredential, Waiting
from zendeskd.secrets import Vault

AT_ONCE: Final = 8
CONNECT_S: Final = 10.0
ONE_S: Final = 30.0
ALL_S: Final = 60.0
CLOCK_MOST_S: Final = 120.0
"""The export refuses start times in the last minute: a clock that runs ahead asks for those."""


def examine_accounts(
    fleet: Sequence[Sealed],
    vault: Vault | None,
    socket: Path | None,
    now: Callable[[], datetime],
    *,
    all_s: float = ALL_S,
) -> list[Finding]:
    """`socket`: the running daemon's, None without one. What is left after `all_s` seconds is not examined any more."""
    ends = time.monotonic() + all_s
    offsets: list[float] = []
    systems = connectors.build()

    def one(sealed: Sealed) -> Finding:
        left = ends - time.monotonic()
        if left < 1:
            return warning(_topic(sealed.integration), "not examined, the time was over")
        return _Visit(sealed, vault, socket, systems, min(left, ONE_S)).finding(now, offsets)

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="doctor") as pool:
        findings = list(pool.map(one, fleet))
    if offsets:
        findings.insert(0, _clock_finding(offsets))
    return findings


class _Visit:
    """One account, visited by one thread."""

    def __init__(
        self,
        sealed: Sealed,
        vault: Vault | None,
        socket: Path | None,
        systems: dict[str, Connector],
        within_s: float,
    ) -> None:
        self._sealed, self._one = sealed, sealed.integration
        self._vault, self._socket, self._systems, self._within_s = vault, socket, systems, within_s
        self._topic = _topic(self._one)
        self._cancel = CancelToken()
        self._waiting: str | None = None  # for which rate limit

    def finding(self, now: Callable[[], datetime], offsets: list[float]) -> Finding:
        started = time.monotonic()
        try:
            date = _reach(self._one.base_url, min(CONNECT_S, self._within_s))
        except (OSError, http.client.HTTPException) as error:
            return failed(self._topic, f"{self._one.base_url}: {_network_words(error)}", _NETWORK)
        took_ms = (time.monotonic() - started) * 1000
        if date is not None:
            offsets.append((now() - date).total_seconds())
        if not self._sealed.ciphertext:
            hint = f"zendeskctl credentials set {self._one.organization_id}"
            return warning(self._topic, f"reached in {took_ms:.0f} ms; it has no credentials", hint)
        try:
            return self._checked(f"reached in {took_ms:.0f} ms")
        except Cancelled:
            return self._no_answer(self._waiting)
        except DaemonUnreachable as error:
            return self._no_answer(self._daemons_wait()) if error.reason == "timeout" else _failed(self._topic, error)
        except (RunError, ApiError, IncompatibleApi) as error:
            return _failed(self._topic, error)

    def _checked(self, reached: str) -> Finding:
        if self._socket is not None:
            return self._by_daemon(self._socket, reached)
        if self._one.credential_kind == "oauth_refresh_token":
            return warning(
                self._topic,
                f"{reached}; its credentials were not tried: asking may end the stored token",
                "start the daemon, then examine again",
            )
        if self._vault is None:
            return warning(self._topic, f"{reached}; its credentials cannot be opened without the key")
        try:
            stored = self._vault.unseal(self._one.organization_id, self._one.system_type, self._sealed.ciphertext)
        except ZendeskdError as error:
            return failed(self._topic, error.detail, error.hint)
        identity, budgets = self._by_ourselves(stored)
        return self._good(reached, identity.user, identity.role, budgets)

    def _by_daemon(self, socket: Path, reached: str) -> Finding:
        with Client(socket, timeout_s=self._within_s) as client:
            result = client.check_credentials(self._one.organization_id, self._one.system_type)
        for item in result.items:
            if not item.ok:
                return failed(self._topic, item.detail, item.hint)
            return self._good(reached, item.user or "?", item.role or "?", ())
        return warning(self._topic, f"{reached}; the daemon does not know it")

    def _by_ourselves(self, stored: StoredCredential) -> tuple[Identity, tuple[BudgetView, ...]]:
        limit = threading.Timer(self._within_s, self._cancel.set, ["deadline"])
        limit.daemon = True
        limit.start()
        try:
            source = self._systems[self._one.system_type].open(self._one, _Door(stored), self._cancel, self._waits)
            self._cancel.on_set(source.close)  # a call that hangs ends with its connection
            with contextlib.closing(source):
                return source.check(), source.budgets()
        finally:
            limit.cancel()

    def _waits(self, waiting: Waiting | None) -> None:
        if waiting is not None and waiting.state is State.LIMITED:
            self._waiting = waiting.reason
        elif not self._cancel.is_set():  # a wait that the deadline ended is the reason
            self._waiting = None

    def _daemons_wait(self) -> str | None:
        """For which rate limit the account's own run waits, if it does."""
        assert self._socket is not None
        try:
            with Client(self._socket, timeout_s=5) as client:
                items = client.sync_status(self._one.system_type).items
        except (DaemonUnreachable, ApiError, IncompatibleApi):
            return None
        return next(
            (i.why for i in items if i.organization_id == self._one.organization_id and i.state == State.LIMITED), None
        )

    def _no_answer(self, limit: str | None) -> Finding:
        if limit is not None:
            hint = "nothing to do: it goes on by itself; examine again later"
            return warning(self._topic, f"reached, but it has to wait for its rate limit ({limit})", hint)
        return failed(self._topic, f"gave no answer within {self._within_s:.0f} s", _NETWORK)

    def _good(self, reached: str, user: str, role: str, budgets: Sequence[BudgetView]) -> Finding:
        detail = f"{reached}; {user} ({role})"
        if budgets:
            detail += "; left a minute: " + ", ".join(f"{b.name} {b.remaining:,} of {b.total:,}" for b in budgets)
        short = [b for b in budgets if b.remaining * 4 < b.total]
        if short:
            hint = "something else uses this account's API a lot; runs will wait for their turn"
            return warning(self._topic, detail, hint)
        return ok(self._topic, detail)


class _Door:
    """The stored credential as it is. What it is renewed to is used for this examination and forgotten."""

    def __init__(self, stored: StoredCredential) -> None:
        self._stored = stored

    def load(self) -> StoredCredential:
        return self._stored

    def save(self, stored: StoredCredential) -> None:
        self._stored = stored

    def prove(self) -> None:
        """Nothing is stored, so nothing stands in the way of it."""

    def renewing(self) -> AbstractContextManager[object]:
        return contextlib.nullcontext()


def _reach(base_url: str, within_s: float) -> datetime | None:
    """Connect and ask for nothing, without credentials. -> the other side's clock. Raises OSError, HTTPException."""
    url = urlsplit(base_url)
    if url.scheme == "http":
        connection = http.client.HTTPConnection(url.netloc, timeout=within_s)
    else:
        connection = http.client.HTTPSConnection(url.netloc, timeout=within_s, context=tls_context())
    with contextlib.closing(connection):
        connection.request("HEAD", f"{url.path}/")
        date = connection.getresponse().getheader("date")
    try:
        when = parsedate_to_datetime(date or "")
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _clock_finding(offsets: Sequence[float]) -> Finding:
    """The median of what the accounts say: one account's clock may be wrong."""
    offset = sorted(offsets)[len(offsets) // 2]
    words = f"{abs(offset):.0f} s {'ahead of' if offset > 0 else 'behind'} the accounts' clocks"
    if abs(offset) > CLOCK_MOST_S:
        return failed("clock", words, "let a time service keep it: timedatectl set-ntp true")
    return ok("clock", "agrees with the accounts' clocks" if abs(offset) < 5 else words)


_NETWORK: Final = "check the base URL, this machine's network and its DNS"


def _network_words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return f"it does not speak HTTP ({type(error).__name__})"


def _failed(topic: str, error: ZendeskdError) -> Finding:
    return failed(topic, error.detail, error.hint)


def _topic(integration: Integration) -> str:
    return f"{integration.organization_id} {integration.system_type}"
