"""What all callers together may cost: requests and streams at a time, and requests a second. Event loop only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zendeskd import wire
from zendeskd.api.answering import problem_reply
from zendeskd.api.context import Role
from zendeskd.api.problems import Refused
from zendeskd.api.shares import Pace, Places
from zendeskd.connection import Limits, Peer

PATIENCE_S: Final = 5.0
"""A request that would have to wait longer for its turn is refused."""

EVENTS_PATH: Final = "/api/events"
HEALTH_PATH: Final = "/api/health"
STRANGERS: Final = 4


class Gate:
    """ASGI middleware. Refuses with a problem, slows down floods, and puts the common headers on every answer.

    Health has a queue of its own, so that it is told whatever else is asked for. Strangers have few places, as all they
    get is a refusal. A request that waits for its turn holds no place of those that are answered.
    """

    def __init__(self, app: ASGIApp, version: str, limits: Limits, roles: Callable[[Peer], Role | None]) -> None:
        self._app, self._roles = app, roles
        self._headers = {
            "zendeskd-api": str(wire.API_VERSION),
            "zendeskd-version": version,
            "cache-control": "no-store",
        }
        self._requests = Places("requests", limits.requests)
        self._streams = Places("event streams", limits.streams)
        self._strangers = Places("requests of strangers", STRANGERS)
        self._queue = Queue(limits)
        self._health_queue = Queue(limits)

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
            await (self._health_queue if scope["path"] == HEALTH_PATH else self._queue).turn(peer)
            with self._place(scope["path"], peer):
                await self._app(scope, receive, send_with_headers)
        except Refused as refusal:
            reply = problem_reply(refusal, "any")
            # what is left of the request is not read
            headers = {**reply.headers, "connection": "close"}
            response = Response(reply.body, reply.status, headers, reply.media_type)
            await response(scope, receive, send_with_headers)

    def _place(self, path: str, peer: Peer) -> AbstractContextManager[None]:
        if self._roles(peer) is None:
            return self._strangers.one(peer)
        if path == HEALTH_PATH:  # it never waits for anything
            return nullcontext()
        return (self._streams if path == EVENTS_PATH else self._requests).one(peer)


class Queue:
    """Where requests beyond the pace wait for their turn."""

    def __init__(self, limits: Limits) -> None:
        self._pace = Pace(limits.rate_per_s, limits.burst)
        self._waiting = Places("requests", limits.requests)

    async def turn(self, peer: Peer) -> None:
        """Raises Refused for those that would have to wait for long, or among too many."""
        wait_s = self._pace.take(peer.uid, asyncio.get_running_loop().time(), PATIENCE_S)
        if wait_s is None:
            raise Refused(
                429, "too_many_requests", "too many requests in a short time", hint="slow down", retry_after_s=5
            )
        if wait_s > 0:
            with self._waiting.one(peer):
                await asyncio.sleep(wait_s)
