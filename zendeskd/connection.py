"""One connection to the control socket: who is at the other end, and how long it may stall."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar, Final

import h11
import msgspec
from uvicorn.protocols.http.h11_impl import H11Protocol

from zendeskd import wire

_SO_PEERGROUPS: Final = 59  # asm-generic/socket.h; the socket module has no name for it

_quiet = logging.getLogger("zendeskd.control.http")
_quiet.setLevel(logging.ERROR)  # what callers send wrong is answered, not logged: they could fill the disk


@dataclass(frozen=True, slots=True)
class Limits:
    """What all callers together may cost. Seconds end in `_s`."""

    connections: int = 256
    requests: int = 64  # at a time; one process may have a quarter of them, one user half
    streams: int = 64  # of events, likewise
    rate_per_s: float = 200.0  # requests of one user: an endless loop is slowed down to this
    burst: int = 1000  # but a script over a large fleet is not held up
    head_s: float = 10.0  # from the first moment of a connection, or the first byte of a request, to its last header
    body_s: float = 30.0
    unread_s: float = 30.0  # how long a caller may leave an answer unread


@dataclass(frozen=True, slots=True)
class Peer:
    """Who connected, as the kernel knew it at that moment. `pid` may long be somebody else's."""

    pid: int
    uid: int
    gid: int
    groups: frozenset[int] = frozenset()


def peer_of(sock: socket.socket) -> Peer:
    """SO_PEERCRED and SO_PEERGROUPS: unix(7)."""
    pid, uid, gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    try:
        packed = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 1024)  # Python takes no longer answer
    except OSError:  # more than 256 groups, or a kernel before 4.13: its primary group has to do
        packed = b""
    return Peer(pid, uid, gid, frozenset({gid, *struct.unpack(f"{len(packed) // 4}I", packed)}))


class PeerCredH11(H11Protocol):
    """uvicorn's protocol, with `peer` in each request's state. Event loop only."""

    limits: ClassVar = Limits()
    held: ClassVar[dict[int, dict[PeerCredH11, None]]] = {}
    """The connections by process, and of each first the one that was not used for longest: found without a search, as
    thousands may come a second. Of one server, so each has a class of its own."""
    peer: Peer
    _head_since: float | None = None
    _unread: tuple[int, float] = (0, 0.0)  # bytes the caller has not taken, since when

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        super().connection_made(transport)
        self.logger = _quiet
        self.peer = peer_of(transport.get_extra_info("socket"))
        self.app_state = {**self.app_state, "peer": self.peer}  # copied into each request's scope
        self._head_since = self.loop.time()
        self._hold()
        if len(self.connections) > self.limits.connections and not self._make_room():
            self._refuse(503, "busy", "too many connections", hint="try again in a second")

    def connection_lost(self, exc: Exception | None) -> None:
        self._let_go()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._between_requests() and self._head_since is None:
            self._head_since = self.loop.time()
            self._hold()
        super().data_received(data)
        if not self._between_requests():
            self._head_since = None

    def send_400_response(self, msg: str) -> None:
        """Called by uvicorn for what is not HTTP."""
        if self._between_requests() and self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            self._refuse(400, "invalid_http", msg, hint="speak HTTP/1.1, with headers of at most 16 KiB")
        else:
            self.transport.abort()

    def end_if_stalled(self, now: float) -> None:
        """Called each second. Ends a connection that neither sends its request nor takes its answer."""
        if self._head_since is not None and now - self._head_since > self.limits.head_s:
            self.transport.abort()
        unread = self.transport.get_write_buffer_size()
        if unread == 0 or unread != self._unread[0]:
            self._unread = (unread, now)
        elif now - self._unread[1] > self.limits.unread_s:
            self.transport.abort()

    def _between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _make_room(self) -> bool:
        """End the connection that waits longest between requests, of the process that has most. -> whether one was."""
        for theirs in sorted(self.held.values(), key=len, reverse=True):
            for other in theirs:
                if other is not self and other._between_requests():
                    other._let_go()
                    other.transport.abort()
                    return True
        return False

    def _hold(self) -> None:
        """The last of its process, as the one that was used last."""
        theirs = self.held.setdefault(self.peer.pid, {})
        theirs.pop(self, None)
        theirs[self] = None

    def _let_go(self) -> None:
        self.connections.discard(self)
        theirs = self.held.get(self.peer.pid, {})
        theirs.pop(self, None)
        if not theirs:
            self.held.pop(self.peer.pid, None)

    def _refuse(self, status: int, code: str, detail: str, *, hint: str) -> None:
        """Answer without a request, and hang up."""
        title = HTTPStatus(status).phrase
        problem = wire.Problem(title=title, status=status, code=code, detail=detail, hint=hint)
        body = msgspec.json.encode(problem)
        head: dict[str, Any] = {
            "content-type": "application/problem+json",
            "content-length": len(body),
            "retry-after": 1,
            "connection": "close",
        }
        lines = [f"HTTP/1.1 {status} {title}", *(f"{name}: {value}" for name, value in head.items())]
        self.transport.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        self.transport.close()
