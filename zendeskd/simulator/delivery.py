"""How an answer goes out: whole, late, in drips, cut short, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Any, Final

from starlette.types import Receive, Scope, Send

from zendeskd.simulator.answers import Answer, gzipped
from zendeskd.simulator.faults import DELIVERED, Fault

_LOOK_S: Final = 0.01  # how often a wait looks whether it was released


class Delivery:
    """An ASGI response. `stopping` ends every wait."""

    def __init__(
        self,
        answer: Answer,
        fault: Fault | None,
        stopping: asyncio.Event,
        transport: asyncio.Transport,
        latency_s: float,
    ) -> None:
        self._answer = answer
        self._fault = fault if fault is not None and fault.kind in DELIVERED else None
        self._stopping, self._transport, self._latency_s = stopping, transport, latency_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        if self._latency_s:
            await self._pause(self._latency_s)
        if self._fault is None:
            await self._start(send, len(self._answer.body))
            await send({"type": "http.response.body", "body": self._answer.body})
        else:
            await getattr(self, f"_{self._fault.kind}")(send, self._fault.options)
        if self._transport.is_closing():  # uvicorn wants to have seen that before an unfinished answer returns
            while (await receive())["type"] != "http.disconnect":
                pass

    async def _start(self, send: Send, length: int | None, *, is_gzip: bool | None = None) -> None:
        answer = self._answer
        headers = [(b"Content-Type", answer.content_type.encode()), (b"Vary", b"Accept-Encoding")]
        headers += [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()]
        if answer.is_gzip if is_gzip is None else is_gzip:
            headers.append((b"Content-Encoding", b"gzip"))
        if length is not None:
            headers.append((b"Content-Length", str(length).encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})

    async def _reset(self, send: Send, options: dict[str, Any]) -> None:
        if options["at"] == "within":
            await self._part(send, len(self._answer.body) // 2)
        self._cut()

    async def _truncated(self, send: Send, options: dict[str, Any]) -> None:
        await self._part(send, int(len(self._answer.body) * options["part"]))
        self._transport.close()  # what was written goes out first

    async def _slow(self, send: Send, options: dict[str, Any]) -> None:
        await self._pause(options["delay_s"])
        body, size = self._answer.body, max(1, options["chunk"])
        await self._start(send, len(body))
        for first in range(0, len(body), size):
            if self._is_over:
                return
            await send({"type": "http.response.body", "body": body[first : first + size], "more_body": True})
            await self._pause(options["every_s"])
        await send({"type": "http.response.body", "body": b""})

    async def _hang(self, send: Send, options: dict[str, Any]) -> None:
        half = len(self._answer.body) // 2 if options["at"] == "within" else 0
        if half:
            await self._part(send, half)
        await self._pause(options["seconds"] if options["seconds"] is not None else float("inf"))
        if not half:
            await self._start(send, len(self._answer.body))
        await send({"type": "http.response.body", "body": self._answer.body[half:]})

    async def _huge_body(self, send: Send, options: dict[str, Any]) -> None:
        """JSON that is mostly blanks, as long as it was told to be, without a length in advance."""
        left, block = options["size"], b" " * 1_000_000
        await self._start(send, None, is_gzip=options["is_gzip"])
        if options["is_gzip"]:
            blocks = -(-left // len(block))
            body = gzipped(b'{"tickets":[') + gzipped(block) * blocks + gzipped(b'],"end_of_stream":true}')
            await send({"type": "http.response.body", "body": body})
            return
        await send({"type": "http.response.body", "body": b'{"tickets":[', "more_body": True})
        while left > 0 and not self._is_over:
            await send({"type": "http.response.body", "body": block[:left], "more_body": True})
            left -= len(block)
        await send({"type": "http.response.body", "body": b'],"end_of_stream":true}'})

    async def _bad_gzip(self, send: Send, options: dict[str, Any]) -> None:
        del options
        body = b"\x1f\x8b\x08\x00 this is not what it says it is"
        await self._start(send, len(body), is_gzip=True)
        await send({"type": "http.response.body", "body": body})

    async def _part(self, send: Send, length: int) -> None:
        """The promise of all of it, and the first bytes."""
        await self._start(send, len(self._answer.body))
        await send({"type": "http.response.body", "body": self._answer.body[:length], "more_body": True})

    def _cut(self) -> None:
        """A reset, not an orderly end: a socket that is closed with nothing to linger for sends RST."""
        connection = self._transport.get_extra_info("socket")
        if connection is not None:
            with contextlib.suppress(OSError):  # it may be gone already
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    async def _pause(self, seconds: float) -> None:
        """Ends early when the fault is released, the client has gone or the simulator stops."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0 and not self._is_over:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), min(left, _LOOK_S))

    @property
    def _is_over(self) -> bool:
        is_released = self._fault is not None and self._fault.released.is_set()
        return is_released or self._stopping.is_set() or self._transport.is_closing()
