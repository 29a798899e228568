"""What all callers together may cost: requests and streams at a time, and requests a second. Event loop only."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zendeskd import wire
from zendeskd.api.answering import problem_reply
from zendeskd.api.problems import Refused
from zendeskd.connection import Limits, Peer

SHARE: Final = 4
"""One process may take a quarter of what there is, so that it cannot lock the others out."""

PATIENCE_S: Final = 5.0
"""A request that would have to wait longer for its turn is refused."""

EVENTS_PATH: Final = "/api/events"
HEALTH_PATH: Final = "/api/health"


class Gate:
    """ASGI middleware. Refuses with a problem, slows down floods, and puts the common headers on every answer."""

    def __init__(self, app: ASGIApp, version: str, limits: Limits) -> None:
        self._app = app
        self._headers = {
            "zendeskd-api": str(wire.API_VERSION),
            "zendeskd-version": version,
            "cache-control": "no-store",
        }
        self._requests = Places("requests", limits.requests)
        self._streams = Places("event streams", limits.streams)
        self._pace = Pace(limits.rate_per_s, limits.burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        peer: Peer = scope["state"]["peer"]
        try:
            await self._slow_down(peer.uid)
            if scope["path"] == HEALTH_PATH:
                await self._app(scope, receive, send_with_headers)
                return
            places = self._streams if scope["path"] == EVENTS_PATH else self._requests
            with places.one(peer.pid):
                await self._app(scope, receive, send_with_headers)
        except Refused as refusal:
            reply = problem_reply(refusal, "any")
            # what is left of the request is not read
            headers = {**reply.headers, "connection": "close"}
            response = Response(reply.body, reply.status, headers, reply.media_type)
            await response(scope, receive, send_with_headers)

    async def _slow_down(self, uid: int) -> None:
        wait_s = self._pace.wait_s(uid, asyncio.get_running_loop().time())
        if wait_s > PATIENCE_S:
            raise Refused(
                429, "too_many_requests", "too many requests in a short time", hint="slow down", retry_after_s=5
            )
        if wait_s > 0:
            await asyncio.sleep(wait_s)


class Places:
    """A bounded number of something at a time, and of each process a share of it."""

    def __init__(self, what: str, limit: int) -> None:
        self._what, self._limit = what, limit
        self._held: Counter[int] = Counter()

    @contextmanager
    def one(self, pid: int) -> Iterator[None]:
        """Raises Refused when there is none left."""
        if self._held.total() >= self._limit or self._held[pid] >= max(1, self._limit // SHARE):
            raise Refused(
                503, "busy", f"too many {self._what} at a time", hint="try again in a second", retry_after_s=1
            )
        self._held[pid] += 1
        try:
            yield
        finally:
            self._held[pid] -= 1
            if not self._held[pid]:
                del self._held[pid]


class Pace:
    """A token bucket for each user."""

    def __init__(self, rate_per_s: float, burst: int) -> None:
        self._rate, self._burst = rate_per_s, burst
        self._free_at: dict[int, float] = {}  # when the bucket would be empty of debts: burst/rate ahead at most

    def wait_s(self, uid: int, now: float) -> float:
        """How long this request has to wait; it counts unless the wait is beyond all patience."""
        allowance = self._burst / self._rate
        free_at = max(self._free_at.get(uid, 0.0), now)
        wait_s = max(0.0, free_at - now - allowance)
        if wait_s <= PATIENCE_S:
            self._free_at[uid] = free_at + 1.0 / self._rate
        return wait_s
