"""An account as a run sees it: authorized calls, and what is left to do when the credentials are refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from zendeskd.cancel import CancelToken
from zendeskd.connectors.auth import Authorizer, TokenAnswer, decode_token
from zendeskd.connectors.base import CredentialDoor
from zendeskd.connectors.budgets import ACCOUNT, AccountBudgets
from zendeskd.connectors.exchange import TRIES, Exchange
from zendeskd.connectors.faults import Answer, Unauthorized, WebPage403
from zendeskd.connectors.transport import Request, Transport
from zendeskd.connectors.waits import Patience, Time
from zendeskd.errors import PermissionDenied
from zendeskd.models import CallStats, Integration, State, Waiting

PAUSE_S: Final = 1.0
"""Before a call that was refused is sent as it was once more."""

FEW_TRIES: Final = 2
"""For a call that a person waits for."""
TOKEN_WHOLE_S: Final = 30.0

T = TypeVar("T")


class Account:
    """One integration's account for one run: `get` from one thread at a time, the rest from any."""

    def __init__(
        self,
        integration: Integration,
        door: CredentialDoor,
        cancel: CancelToken,
        on_wait: Callable[[Waiting | None], None],
        budgets: AccountBudgets,
        time: Time,
    ) -> None:
        self.org = integration.organization_id
        self.base_url = integration.base_url.rstrip("/")
        self.stats = CallStats()
        self.budgets = budgets
        self.time = time
        self._patience = Patience(cancel, on_wait, self.stats, time)
        self._transport = Transport(self.base_url)
        self._exchange = Exchange(self._transport, budgets, self._patience, self.stats, time)
        self._auth = Authorizer(door, self._token, time.now, self.org)

    def get(
        self,
        request: Callable[[], Request],
        kind: str,
        decode: Callable[[Answer], T],
        *,
        shrink: Callable[[], bool] = lambda: False,
        most_tries: int = TRIES,
        ask_again: bool = True,
    ) -> T:
        """An authorized call: see Exchange.ask. After a 401 a renewed token is tried, or once more the fixed one
        (a lone 401 happens, and so does a 403 of a firewall), unless `ask_again` is False. Raises CredentialError or
        PermissionDenied when that is refused too."""

        def ask_once() -> T:
            return self._exchange.ask(
                request, kind, decode, headers=self._headers, shrink=shrink, most_tries=most_tries
            )

        def ask() -> T:
            return self._past_a_firewall(ask_once) if ask_again else ask_once()

        try:
            try:
                return ask()
            except Unauthorized as error:
                if not self._auth.after_401():
                    if not ask_again:
                        raise
                    self._patience.wait(PAUSE_S, State.RETRYING, "HTTP 401, asking once more", error)
                self.stats.retries += 1
            return ask()
        except Unauthorized as error:
            raise self._auth.refused(error) from error
        except PermissionDenied as error:
            raise self._auth.explain(error) from error

    def close(self) -> None:
        """End every wait and the connection. May be called twice."""
        self._patience.end()
        self._transport.close()

    def _past_a_firewall(self, ask: Callable[[], T]) -> T:
        """What `ask` gives; once more after a pause where a web page refused it."""
        try:
            return ask()
        except WebPage403 as error:
            self._patience.wait(PAUSE_S, State.RETRYING, "HTTP 403 with a web page, asking once more", error)
            self.stats.retries += 1
        return ask()

    def _headers(self) -> Mapping[str, str]:
        return {"Authorization": self._auth.header()}

    def _token(self, ask: dict[str, str | int]) -> TokenAnswer:
        """One token request, on a connection of its own that `close` does not cut: it must not lose the answer."""
        transport = Transport(self.base_url, read_s=TOKEN_WHOLE_S, whole_s=TOKEN_WHOLE_S)
        try:
            exchange = Exchange(transport, self.budgets, self._patience, self.stats, self.time)
            request = Request("/oauth/tokens", body=ask)
            return self._past_a_firewall(lambda: exchange.ask(lambda: request, ACCOUNT, decode_token))
        finally:
            transport.close()
