"""What goes on in the fleet while somebody looks at it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from zendeskd import wire
from zendeskd.demo.cast import FLEET, Player
from zendeskd.demo.stage import Stage

ROUNDS: Final = 5
TURN_S: Final = 5.0
_PATIENCE_S: Final = 60.0  # a slow machine opens with less behind it, but it opens
_LINKS: Final = (("jira/PAY-2231", "escalated_to"), ("slack/payments", "discussed_in"))


class Show:
    """`rehearse`, `open`, then `goes_on`; from the stage's thread. All raise ZendeskdError and KeyboardInterrupt."""

    def __init__(self, stage: Stage) -> None:
        self._stage, self._client, self._accounts = stage, stage.client, stage.accounts

    def rehearse(self) -> None:
        """Give those that have a past their first import and some runs."""
        cast = [player for player in FLEET if player.has_past]
        for player in cast:
            self._stage.add(player)
        self._wait(lambda item: item.last_status is not None, cast)
        for _ in range(ROUNDS):
            for player in cast:
                self._accounts[player.org].change(3)
                self._client.trigger(player.org)
            self._wait(lambda item: item.run is None and item.queued_run_id is None, cast)
        tickets = self._client.tickets(org="acme-eu", limit=3).items
        for ticket in tickets:
            for other, relation in _LINKS:
                self._client.link(ticket.id, other, relation)

    def open(self) -> None:
        """Let trouble begin, and start what takes long."""
        for player in FLEET:
            account = self._accounts[player.org]
            account.latency_s = player.latency_s
            self._stage.trouble(player)
            if player.is_revoked:
                account.revoke_token()
            account.change(player.changes)
            if player.stop_reason:
                self._client.stop(player.org, reason=player.stop_reason)
            elif player.has_past:
                self._client.trigger(player.org)
            else:
                self._stage.add(player)
        revoked = [player for player in FLEET if player.is_revoked]
        self._wait(lambda item: item.state == "blocked", revoked)
        for player in revoked:  # what a person would fetch from Zendesk to mend it
            credential = self._accounts[player.org].credential_of("oauth_client_credentials")
            (self._stage.folder / f"{player.org}.json").write_bytes(msgspec.json.encode(credential))

    @contextlib.contextmanager
    def goes_on(self) -> Iterator[None]:
        """Meanwhile people work on tickets, and trouble comes again."""
        over = threading.Event()
        thread = threading.Thread(target=self._go_on, args=(over,), name="demo-show", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _go_on(self, over: threading.Event) -> None:
        struck = dict.fromkeys((player.org for player in FLEET), time.monotonic())
        while not over.wait(TURN_S):
            for player in FLEET:
                account = self._accounts[player.org]
                account.change(player.changes)
                account.add(1)
                if player.again_s and time.monotonic() - struck[player.org] >= player.again_s:
                    struck[player.org] = time.monotonic()
                    account.clear_faults()  # what has not struck yet does not pile up
                    self._stage.trouble(player)

    def _wait(self, wanted: Callable[[wire.SyncStatus], bool], cast: list[Player]) -> None:
        """Until it is so for all of these, within reason."""
        deadline, orgs = time.monotonic() + _PATIENCE_S, {player.org for player in cast}
        while time.monotonic() < deadline:
            items = self._client.sync_status("zendesk").items
            if sum(item.organization_id in orgs and wanted(item) for item in items) == len(orgs):
                return
            self._stage.ending.pause(0.05)
