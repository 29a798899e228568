"""A Zendesk that answers at once: it passes on what it was never asked, and remembers the answers.

What is measured beside each other reads the same bytes, and making them costs neither of the two cores meanwhile.

    replay(base URL of an account, seconds before every answer) -> its base URL here, in a process of its own
"""

from __future__ import annotations

import contextlib
import multiprocessing
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from urllib.parse import urlsplit

import httpx

FORGET = "/forget"
"""A POST there: the account has changed, ask it again."""

_DROPPED = {"transfer-encoding", "content-length", "connection", "date", "server"}
_never = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    upstream: str
    latency_s: float
    answers: dict[tuple[str, bytes], bytes]

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        if self.path.endswith(FORGET):
            self.answers.clear()
            self._send(b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n")
        else:
            self._answer(body)

    def _answer(self, body: bytes) -> None:
        key = (f"{self.command} {self.path}", body)
        answer = self.answers.get(key)
        if answer is None:
            answer = self.answers[key] = self._asked(body)
        if self.latency_s:
            _never.wait(self.latency_s)
        self._send(answer)

    def _send(self, answer: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            self.wfile.write(answer)

    def _asked(self, body: bytes) -> bytes:
        """The account's answer, packed as it was sent."""
        wanted = {name: value for name, value in self.headers.items() if name.lower() != "host"}
        with httpx.stream(self.command, self.upstream + self.path, headers=wanted, content=body, timeout=60) as reply:
            content = b"".join(reply.iter_raw())
        head = [f"HTTP/1.1 {reply.status_code} {reply.reason_phrase}"]
        head += [f"{name}: {value}" for name, value in reply.headers.items() if name.lower() not in _DROPPED]
        head += [f"content-length: {len(content)}"]
        return "\r\n".join(head).encode() + b"\r\n\r\n" + content

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024


def _serve(upstream: str, latency_s: float, told: Connection) -> None:
    handler = type("Handler", (_Handler,), {"upstream": upstream, "latency_s": latency_s, "answers": {}})
    with _Server(("127.0.0.1", 0), handler) as server:
        told.send(server.server_address[1])
        server.serve_forever()


@contextlib.contextmanager
def replay(base_url: str, latency_s: float = 0.0) -> Iterator[str]:
    parts = urlsplit(base_url)
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(f"{parts.scheme}://{parts.netloc}", latency_s, there), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}{parts.path}"
    finally:
        process.terminate()
        process.join()
