"""The simulator: any number of accounts behind one port on loopback, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from zendeskd.models import utcnow
from zendeskd.simulator.account import Account
from zendeskd.simulator.answers import Answer, no_endpoint, no_help_desk
from zendeskd.simulator.calls import Call
from zendeskd.simulator.clock import Clock
from zendeskd.simulator.control import routes
from zendeskd.simulator.delivery import Delivery
from zendeskd.simulator.faults import Fault
from zendeskd.simulator.pages import PageCache
from zendeskd.simulator.serving import serve

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_START_S: Final = 10.0
_END_S: Final = 3.0  # for answers that are being made
_MOST_BODY: Final = 1_000_000
_METHODS: Final = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


class _Protocol(H11Protocol):
    """Lets an answer reach its own connection, to cut or close it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class _Server(uvicorn.Server):
    """uvicorn that says when it listens, ends when told to without looking around every 0.1 s, and then hangs up on
    everybody. All but `end` runs in its own thread."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self.is_listening = threading.Event()
        self._stopping = stopping
        self._loop: asyncio.AbstractEventLoop | None = None

    def end(self) -> None:
        """Any thread; may be called twice."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: it has ended
                self._loop.call_soon_threadsafe(self._stopping.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._loop = asyncio.get_running_loop()
        self.is_listening.set()

    async def main_loop(self) -> None:
        await self._stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listening in sockets or []:
            listening.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        tasks = set(self.server_state.tasks)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_END_S)
            for task in late:
                task.cancel()
        for server in self.servers:
            with contextlib.suppress(TimeoutError):  # a connection that came in at the last moment
                await asyncio.wait_for(server.wait_closed(), _END_S)


class Simulator:
    """Accounts live at `{url}/accounts/NAME`. Methods may be called from any thread; `start` and `stop` from one."""

    def __init__(
        self, *, seed: int = 1, port: int = 0, clock: Callable[[], datetime] = utcnow, cache_bytes: int = 64_000_000
    ) -> None:
        """Binds its port at once (0: a free one), so that `url` is known. Raises OSError if it is taken."""
        self.seed = seed
        self.clock = Clock(clock)
        self.accounts: dict[str, Account] = {}
        self._kept_pages = PageCache(cache_bytes)
        self._thread: threading.Thread | None = None
        self._server: _Server | None = None
        # asyncio sends small answers at once (TCP_NODELAY) only where the protocol is named; else each waits 40 ms
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(("127.0.0.1", port))
            self._socket.listen(512)
        except OSError:
            self._socket.close()
            raise
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def add_account(self, name: str, **options: Any) -> Account:
        """One more account; `options` are those of `Account`. Raises ValueError for a name that is taken or is none."""
        if not _NAME.fullmatch(name):
            raise ValueError(f"not the name of an account: {name!r}; letters, digits and hyphens are")
        if name in self.accounts:
            raise ValueError(f"there is an account {name!r} already")
        account = Account(name, self.url, self.clock, self._kept_pages, **{"seed": self.seed, **options})
        self.accounts[name] = account
        return account

    def advance(self, seconds: float) -> None:
        """Move the simulator's clock ahead: hidden rows appear, tokens expire, budgets fill up."""
        self.clock.advance(seconds)

    def start(self) -> Self:
        """Listen. Raises RuntimeError if that does not come about within 10 s."""
        stopping = asyncio.Event()
        config = uvicorn.Config(
            self._application(stopping),
            http=_Protocol,
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=75,
        )
        self._server = _Server(config, stopping)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="simulator", daemon=True)
        self._thread.start()
        if not self._server.is_listening.wait(_START_S):
            raise RuntimeError(f"the simulator did not start to listen on {self.url}")
        return self

    def stop(self) -> None:
        """Hang up on everybody and end. May be called twice, and without `start`."""
        for account in self.accounts.values():
            account.clear_faults()
        if self._server is not None:
            self._server.end()
        if self._thread is not None:
            self._thread.join(_START_S)
        with contextlib.suppress(OSError):
            self._socket.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _application(self, stopping: asyncio.Event) -> Starlette:
        async def of_account(request: Request) -> ASGIApp:
            name, path = request.path_params["name"], "/" + request.path_params["path"]
            account = self.accounts.get(name)
            if account is None:
                return self._delivery(request, no_help_desk(name), stopping)
            body = await request.body()
            call = Call(
                request.method,
                path.removesuffix(".json"),
                dict(request.query_params),
                dict(request.headers),
                body[:_MOST_BODY],
            )
            answer, fault = await asyncio.to_thread(serve, account, call)
            return self._delivery(request, answer, stopping, fault, account.latency_s)

        async def elsewhere(request: Request) -> ASGIApp:
            return self._delivery(request, no_endpoint(), stopping)

        return Starlette(
            routes=[
                *routes(self),
                Route("/accounts/{name}/{path:path}", of_account, methods=_METHODS),
                Route("/{path:path}", elsewhere, methods=_METHODS),
            ]
        )

    def _delivery(
        self,
        request: Request,
        answer: Answer,
        stopping: asyncio.Event,
        fault: Fault | None = None,
        latency_s: float = 0.0,
    ) -> Delivery:
        return Delivery(answer, fault, stopping, request.state.transport, latency_s)
