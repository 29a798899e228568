"""Callers of the control socket as nobody wants them, each kind a process of its own. Standard library only.

    python attackers.py KIND SOCKET SECONDS

Says `begun` once it does what it does, goes on for so many seconds, then prints as JSON how often it did.
"""

from __future__ import annotations

import contextlib
import json
import random
import resource
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

DICE = random.Random()
CROWD = 4000
TRIGGER = (
    b"POST /api/zendesk/sync-config?organizationId=acme HTTP/1.1\r\nhost: x\r\ncontent-length: 20\r\n\r\n"
    b'{"action":"trigger"}'
)

_pause = threading.Event()  # never set: the pace of who attacks


class Attack:
    """Connections to the socket until the time is over, and how often what happened."""

    def __init__(self, path: str, seconds: float) -> None:
        self.path, self.ends_at = path, time.monotonic() + seconds
        self.done: Counter[str] = Counter()
        self._has_begun = False

    def goes_on(self) -> bool:
        return time.monotonic() < self.ends_at

    def begun(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            print("begun", flush=True)

    def connect(self, timeout_s: float = 5.0) -> socket.socket | None:
        """None while the queue of the socket is full."""
        caller = socket.socket(socket.AF_UNIX)
        caller.settimeout(timeout_s)
        try:
            caller.connect(self.path)
        except OSError as error:
            caller.close()
            self.done[type(error).__name__] += 1
            _pause.wait(0.01)
            return None
        self.done["connected"] += 1
        return caller

    def calls(self) -> Iterator[socket.socket]:
        """One connection after the other, each closed before the next."""
        while self.goes_on():
            if (caller := self.connect()) is not None:
                with caller, contextlib.suppress(OSError):
                    yield caller
                self.begun()

    def answer(self, caller: socket.socket) -> None:
        """Count the answers until the other side hangs up."""
        while more := caller.recv(65536):
            for line in more.split(b"HTTP/1.1 ")[1:]:
                self.done[line[:3].decode("ascii", "replace")] += 1


def garbage(attack: Attack) -> None:
    """Random bytes, also behind the beginning of a request."""
    for caller in attack.calls():
        start = DICE.choice([b"", b"GET ", b"GET / HTTP/1.1\r\n", b"POST /api/reload HTTP/1.1\r\nhost: x\r\n"])
        with contextlib.suppress(OSError):
            caller.sendall(start + DICE.randbytes(DICE.randrange(1, 100_000)))
            caller.shutdown(socket.SHUT_WR)
            attack.answer(caller)


def huge(attack: Attack) -> None:
    """Headers and bodies far beyond what is taken, with and without saying so before."""
    for caller in attack.calls():
        kind = DICE.choice(["header", "headers", "body", "import", "chunked"])
        attack.done[kind] += 1
        with contextlib.suppress(OSError):
            if kind == "header":
                caller.sendall(b"GET /api/health HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 4_000_000)
            elif kind == "headers":
                caller.sendall(b"GET /api/health HTTP/1.1\r\nhost: x\r\n" + b"x: y\r\n" * 200_000)
            elif kind == "body":
                caller.sendall(b"POST /api/reconcile HTTP/1.1\r\nhost: x\r\ncontent-length: 999999999\r\n\r\n")
                caller.sendall(b"[" * 4_000_000)
            elif kind == "import":
                length = 16_000_000
                caller.sendall(b"POST /api/organizations/import HTTP/1.1\r\nhost: x\r\n")
                caller.sendall(b"connection: close\r\ncontent-length: %d\r\n\r\n" % length)
                caller.sendall(b'{"organizations":[' + b"{}," * ((length - 18) // 3))
            else:
                caller.sendall(b"POST /api/reconcile HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
                for _ in range(100):
                    caller.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        with contextlib.suppress(OSError):
            attack.answer(caller)


def trickle(attack: Attack, first: bytes, piece: bytes, count: int) -> None:
    """Many connections of which each sends a little now and then."""
    open_ones: list[socket.socket] = []
    while attack.goes_on():
        while len(open_ones) < count and attack.goes_on() and (caller := attack.connect(0.2)) is not None:
            caller.setblocking(False)
            with contextlib.suppress(OSError):
                caller.send(first)
            open_ones.append(caller)
        attack.begun()
        _pause.wait(0.05)
        for caller in list(open_ones):
            try:
                caller.send(piece)
                if caller.recv(65536) == b"":
                    raise ConnectionResetError
                attack.done["answered"] += 1
            except BlockingIOError:
                continue
            except OSError:
                attack.done["hung up on"] += 1
                open_ones.remove(caller)
                caller.close()
    for caller in open_ones:
        caller.close()


def slow_heads(attack: Attack) -> None:
    trickle(attack, b"GET /api/health HTTP/1.1\r\nhost: x\r\nx: ", b"a", 400)


def slow_bodies(attack: Attack) -> None:
    trickle(attack, b"POST /api/reconcile HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n", b" ", 100)


def endless_chunks(attack: Attack) -> None:
    """Bodies that never end, also behind a path that there is not."""
    path = DICE.choice([b"/api/reconcile", b"/api/organizations/import", b"/nowhere"])
    first = b"POST " + path + b" HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    trickle(attack, first, b"400\r\n" + b" " * 1024 + b"\r\n", 60)


def crowd(attack: Attack) -> None:
    """As many connections at once as this process may have, all kept."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(CROWD, hard - 100)
    kept: list[socket.socket] = []
    while attack.goes_on():
        if len(kept) < count:
            if (caller := attack.connect(0.2)) is not None:
                kept.append(caller)
        else:
            attack.begun()
            for caller in kept:
                caller.close()
            kept.clear()
        if len(kept) == 1000:
            attack.begun()
    attack.begun()
    for caller in kept:
        caller.close()


def deaf(attack: Attack) -> None:
    """Streams of events, and large answers, that are asked for and never read."""
    kept: list[socket.socket] = []
    events = b"GET /api/events HTTP/1.1\r\nhost: x\r\n\r\n"
    many = b"GET /api/openapi.json HTTP/1.1\r\nhost: x\r\n\r\n" * 50
    while attack.goes_on():
        if len(kept) < 200 and (caller := attack.connect(0.2)) is not None:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            with contextlib.suppress(OSError):
                caller.sendall(events if len(kept) % 2 else many)
            kept.append(caller)
        elif kept:
            attack.begun()
            _pause.wait(0.05)
    for caller in kept:
        caller.close()


def triggers(attack: Attack) -> None:
    """One trigger after the other, as fast as they are taken."""
    for caller in attack.calls():
        with contextlib.suppress(OSError):
            while attack.goes_on():
                caller.sendall(TRIGGER)
                answer = caller.recv(65536)
                attack.done[answer[9:12].decode("ascii", "replace") or "hung up on"] += 1
                if not answer:
                    break
                attack.begun()


def halves(attack: Attack) -> None:
    """Pipelines, ends that are closed half way, lengths that are not true."""
    get = b"GET /api/sync-logs HTTP/1.1\r\nhost: x\r\n\r\n"
    post = b"POST /api/reload HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n{}"
    for caller in attack.calls():
        sent = DICE.choice([get * 100, get[:-10], post % 10, post % 1, (post % 2) * 50, post % 0 + get, TRIGGER * 20])
        with contextlib.suppress(OSError):
            caller.sendall(sent)
            if DICE.random() < 0.8:
                caller.shutdown(socket.SHUT_WR)
            caller.settimeout(0.3)
            attack.answer(caller)


KINDS: dict[str, Callable[[Attack], None]] = {
    one.__name__: one for one in (garbage, huge, slow_heads, slow_bodies, endless_chunks, crowd, deaf, triggers, halves)
}


def main(kind: str, path: str, seconds: str) -> None:
    attack = Attack(path, float(seconds))
    KINDS[kind](attack)
    attack.begun()
    print(json.dumps(attack.done), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:4])
