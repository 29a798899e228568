"""Live events: published from any thread, numbered without gaps, fanned out to the streams of the control socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from zendeskd.models import stamp, utcnow

KEPT_FOR_SLOW: Final = 1000
"""Events a stream may be behind; then it loses the oldest and sees a gap in `seq`."""

_BATCH: Final = 200

_KEYS: Final = {
    "organization_id": "organizationId", "system_type": "systemType", "boot_id": "bootId", "record_ids": "recordIds",
}  # fmt: skip


class Line(NamedTuple):
    """One event, encoded once for all streams."""

    seq: int
    event: str
    text: bytes


def as_ndjson(line: Line) -> bytes:
    return line.text + b"\n"


def as_sse(line: Line) -> bytes:
    """One message of `text/event-stream` (HTML standard, server-sent events)."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (line.seq, line.event.encode(), line.text)


class _Stream:
    """What one subscriber has yet to be sent. Event loop only."""

    def __init__(self, kept: int) -> None:
        self.lines: deque[Line] = deque(maxlen=kept)
        self.wake = asyncio.Event()


class Broker:
    """`publish` and `seq`: any thread. The rest: the event loop it is attached to."""

    def __init__(
        self, boot_id: str, version: str, *, now: Callable[[], datetime] = utcnow, kept: int = KEPT_FOR_SLOW
    ) -> None:
        self.boot_id, self.version = boot_id, version
        self._now, self._kept = now, kept
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._streams: set[_Stream] = set()
        self._seq = 0
        self._fanned = 0
        self._closing = False

    @property
    def seq(self) -> int:
        """The number of the newest event. Read it before the state that it describes."""
        return self._seq

    def publish(self, event: str, **fields: object) -> int:
        """Send an event (`fields`: those of `wire.Event`) to every stream. Never blocks on a reader. -> its number."""
        named = {_KEYS.get(key, key): value for key, value in fields.items()}
        with self._lock:
            seq = self._seq + 1
            line = self._line(seq, event, named)
            self._seq = seq
            if self._loop is not None:
                with contextlib.suppress(RuntimeError):  # the loop has just been closed
                    self._loop.call_soon_threadsafe(self._fan, line)
        return seq

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """To a new loop too, after another one died with its streams."""
        self._streams.clear()
        self._closing = False
        with self._lock:
            self._loop, self._fanned = loop, self._seq

    def close(self) -> None:
        """End every stream, after what it was already sent."""
        with self._lock:
            self._loop = None
        self._closing = True
        for stream in self._streams:
            stream.wake.set()

    async def stream(
        self, write: Callable[[Line], bytes] = as_ndjson, *, heartbeat: bytes = b"\n", heartbeat_s: float = 15.0
    ) -> AsyncIterator[bytes]:
        """`hello` with the number of the newest event, then each later event; `heartbeat` after quiet seconds."""
        stream = _Stream(self._kept)
        self._streams.add(stream)
        try:
            hello = {"bootId": self.boot_id, "version": self.version}
            yield write(self._line(self._fanned, "hello", hello))
            while stream.lines or not self._closing:
                if not stream.lines:
                    stream.wake.clear()
                    try:
                        await asyncio.wait_for(stream.wake.wait(), heartbeat_s)
                    except TimeoutError:
                        yield heartbeat
                    continue
                yield b"".join(write(stream.lines.popleft()) for _ in range(min(_BATCH, len(stream.lines))))
        finally:
            self._streams.discard(stream)

    @property
    def streams(self) -> int:
        return len(self._streams)

    def _fan(self, line: Line) -> None:
        self._fanned = line.seq
        for stream in self._streams:
            stream.lines.append(line)
            stream.wake.set()

    def _line(self, seq: int, event: str, fields: dict[str, Any]) -> Line:
        document = {"seq": seq, "event": event, "at": stamp(self._now()), **fields}
        try:
            text = msgspec.json.encode(document, enc_hook=str)
        except (TypeError, ValueError):  # a log line may hold anything: lone surrogates, odd keys
            text = json.dumps(document, default=str, skipkeys=True, ensure_ascii=False).encode(errors="replace")
        return Line(seq, event, text)
