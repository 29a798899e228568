"""The one client of the control socket, with a blocking and an asynchronous face.

Both have one method per operation (see `calls` for what each takes and gives):

    with Client(path) as daemon:
        daemon.trigger("acme").run_id

    async with AsyncClient(path) as daemon:
        (await daemon.trigger("acme")).run_id

What a call is and what its answer means is in functions without I/O; the two faces differ by `await` only. Every
method raises DaemonUnreachable, ApiError or IncompatibleApi and nothing else. A client belongs to one thread.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from pathlib import Path
from types import TracebackType
from typing import Concatenate, Final, Generic, Literal, NoReturn, ParamSpec, Self, TypeVar, overload

import msgspec

from zendeskd import __version__, calls, wire
from zendeskd.bare_httpx import httpx
from zendeskd.calls import Call
from zendeskd.errors import ZendeskdError
from zendeskd.unreachable import Explain, Reason, explain_unreachable

P = ParamSpec("P")
T = TypeVar("T")

API_HEADER: Final = "zendeskd-api"
VERSION_HEADER: Final = "zendeskd-version"
PROBLEM_TYPE: Final = "application/problem+json"
BASE_URL: Final = "http://zendeskd"
CONNECT_S: Final = 5.0


# --- errors -----------------------------------------------------------------------------------------------------------


class DaemonUnreachable(ZendeskdError):
    """No answer came. `reason` is missing, refused, permission, timeout or lost (it went away while it was asked)."""

    code = "daemon_unreachable"

    def __init__(self, reason: Reason, detail: str, *, hint: str = "") -> None:
        super().__init__(detail, hint=hint)
        self.reason: Reason = reason


class ApiError(ZendeskdError):
    """The daemon refused or failed. `problem.code` says why; `status` is the HTTP status."""

    code = "api_error"

    def __init__(self, status: int, problem: wire.Problem) -> None:
        super().__init__(problem.detail, hint=problem.hint)
        self.status = status
        self.problem = problem


class IncompatibleApi(ZendeskdError):
    """Daemon and client do not understand each other: versions too far apart, or something else answers there."""

    code = "incompatible_api"


# --- without I/O ------------------------------------------------------------------------------------------------------


def _headers(user_agent: str) -> dict[str, str]:
    return {"user-agent": user_agent, "accept": "application/json"}


def _request(client: httpx.Client | httpx.AsyncClient, call: Call[T]) -> httpx.Request:
    headers = {"content-type": "application/json"} if call.body is not None else {}
    return client.build_request(
        call.operation.method,
        call.path,
        params=call.params,
        content=call.body,
        headers=headers,
        timeout=httpx.Timeout(call.timeout_s, connect=CONNECT_S),
    )


def _reply(call: Call[T], response: httpx.Response) -> T:
    """The decoded answer. Raises ApiError or IncompatibleApi."""
    _check_version(response)
    if not response.is_success and response.status_code not in call.also:
        raise _problem(response)
    if response.headers.get("content-type", "").startswith(PROBLEM_TYPE):
        raise _problem(response)
    try:
        return msgspec.json.decode(response.content, type=call.reply)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _incompatible(response, f"its answer to {call.operation.name} cannot be read ({error})") from None


def _check_version(response: httpx.Response) -> None:
    theirs = response.headers.get(API_HEADER)
    if theirs is not None and theirs != str(wire.API_VERSION):
        raise _incompatible(response, f"the daemon speaks API {theirs}, this program API {wire.API_VERSION}")


def _problem(response: httpx.Response) -> ZendeskdError:
    try:
        return ApiError(response.status_code, msgspec.json.decode(response.content, type=wire.Problem))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _incompatible(response, f"HTTP {response.status_code} without a problem that can be read")


def _incompatible(response: httpx.Response, what: str) -> IncompatibleApi:
    daemon = response.headers.get(VERSION_HEADER, "unknown")
    return IncompatibleApi(
        f"daemon {daemon} and client {__version__} do not understand each other: {what}",
        hint="restart the daemon if it was upgraded, or use the client of its version",
    )


def _event(line: str) -> wire.Event:
    try:
        return msgspec.json.decode(line, type=wire.Event)
    except msgspec.DecodeError as error:
        raise IncompatibleApi(
            f"an event cannot be read: {error}", hint="use the client of the daemon's version"
        ) from None


def _unreachable(explain: Explain, path: Path, call: Call[T], error: httpx.HTTPError | OSError) -> NoReturn:
    reason, detail, hint = explain(path, error, changes=call.operation.changes)
    raise DaemonUnreachable(reason, detail, hint=hint) from None


def _again(call: Call[T], error: httpx.HTTPError) -> bool:
    """Whether to ask once more: a kept connection may have been closed just before this call was sent over it."""
    return call.operation.method == "GET" and isinstance(error, httpx.RemoteProtocolError | httpx.ReadError)


# --- one method per operation -----------------------------------------------------------------------------------------


class _Verb(Generic[P, T]):
    """A function of `calls` as a method: builds the call and does it, with the awaiting of the face it is on."""

    def __init__(self, build: Callable[P, Call[T]]) -> None:
        self._build = build
        self.__doc__ = build.__doc__

    @overload
    def __get__(self, face: Client, owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, face: AsyncClient, owner: type) -> Callable[P, Awaitable[T]]: ...
    @overload
    def __get__(self, face: None, owner: type) -> Callable[Concatenate[object, P], object]: ...
    def __get__(self, face: Client | AsyncClient | None, owner: type) -> Callable[..., object]:
        if face is None:
            return lambda one, *args, **kwargs: one.do(self._build(*args, **kwargs))
        return lambda *args, **kwargs: face.do(self._build(*args, **kwargs))


class _Operations:
    health = _Verb(calls.health)
    status = _Verb(calls.status)
    sync_status = _Verb(calls.sync_status)
    sync_status_one = _Verb(calls.sync_status_one)
    sync_config = _Verb(calls.sync_config)
    sync_config_one = _Verb(calls.sync_config_one)
    trigger = _Verb(calls.trigger)
    start = _Verb(calls.start)
    stop = _Verb(calls.stop)
    interval = _Verb(calls.interval)
    cancel = _Verb(calls.cancel)
    resync = _Verb(calls.resync)
    plan_resync = _Verb(calls.plan_resync)
    tickets = _Verb(calls.tickets)
    records = _Verb(calls.records)
    record = _Verb(calls.record)
    links = _Verb(calls.links)
    link = _Verb(calls.link)
    unlink = _Verb(calls.unlink)
    runs = _Verb(calls.runs)
    run = _Verb(calls.run)
    logs = _Verb(calls.logs)
    organizations = _Verb(calls.organizations)
    organization = _Verb(calls.organization)
    add_organization = _Verb(calls.add_organization)
    import_organizations = _Verb(calls.import_organizations)
    export_organizations = _Verb(calls.export_organizations)
    set_organization = _Verb(calls.set_organization)
    remove_organization = _Verb(calls.remove_organization)
    set_credentials = _Verb(calls.set_credentials)
    check_credentials = _Verb(calls.check_credentials)
    preview_schedule = _Verb(calls.preview_schedule)
    reconcile = _Verb(calls.reconcile)
    reconciliations = _Verb(calls.reconciliations)
    backup = _Verb(calls.backup)
    reload = _Verb(calls.reload)
    openapi = _Verb(calls.openapi)


# --- the faces --------------------------------------------------------------------------------------------------------


class Client(_Operations):
    """Blocking. `timeout_s` caps how long any call waits for an answer; None leaves each call its own time. `explain`
    finds the words where no answer came, for who gets to the socket another way than by its path alone."""

    def __init__(
        self,
        path: Path | str,
        *,
        user_agent: str = f"zendeskd-client/{__version__}",
        timeout_s: float | None = None,
        transport: httpx.BaseTransport | None = None,
        explain: Explain = explain_unreachable,
    ) -> None:
        self.path = Path(path)
        self._explain = explain
        self._timeout_s = timeout_s
        over = transport or httpx.HTTPTransport(uds=str(path), verify=False)  # no TLS context: 20 ms saved
        self._is_reached = transport is not None
        self._http = httpx.Client(transport=over, base_url=BASE_URL, trust_env=False, headers=_headers(user_agent))

    def do(self, call: Call[T]) -> T:
        call = _capped(call, self._timeout_s)
        self._reach(call)
        try:
            response = self._http.send(_request(self._http, call))
        except httpx.HTTPError as error:
            if not _again(call, error):
                self._lose(call, error)
            try:
                response = self._http.send(_request(self._http, call))
            except httpx.HTTPError as second:
                self._lose(call, second)
        return _reply(call, response)

    def _reach(self, call: Call[T]) -> None:
        """See first whether anybody listens: httpx leaves the socket of a connection that failed unclosed."""
        if self._is_reached:
            return
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(min(CONNECT_S, call.timeout_s))
            try:
                probe.connect(str(self.path))
            except OSError as error:
                _unreachable(self._explain, self.path, call, error)
        self._is_reached = True

    def _lose(self, call: Call[T], error: httpx.HTTPError) -> NoReturn:
        self._is_reached = False
        _unreachable(self._explain, self.path, call, error)

    @overload
    def events(self, *, heartbeat_s: int = 15) -> Generator[wire.Event, None, None]: ...
    @overload
    def events(self, *, heartbeat_s: int = 15, ticks: Literal[True]) -> Generator[wire.Event | None, None, None]: ...
    def events(self, *, heartbeat_s: int = 15, ticks: bool = False) -> Generator[wire.Event | None, None, None]:
        """The daemon's events, `hello` first, until it ends. With `ticks` a None comes after each `heartbeat_s` quiet
        seconds. Close the iterator to end the stream early."""
        call = calls.events(heartbeat_s=heartbeat_s)
        self._reach(call)
        try:
            response = self._http.send(_request(self._http, call), stream=True)
            try:
                if not response.is_success:
                    response.read()
                    raise _problem(response)
                _check_version(response)
                for line in response.iter_lines():
                    if line:
                        yield _event(line)
                    elif ticks:
                        yield None
            finally:
                response.close()
        except httpx.HTTPError as error:
            self._lose(call, error)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(_Operations):
    """The same for asyncio. Belongs to one event loop."""

    def __init__(
        self,
        path: Path | str,
        *,
        user_agent: str = f"zendeskd-client/{__version__}",
        timeout_s: float | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        explain: Explain = explain_unreachable,
    ) -> None:
        self.path = Path(path)
        self._explain = explain
        self._timeout_s = timeout_s
        over = transport or httpx.AsyncHTTPTransport(uds=str(path), verify=False)
        self._http = httpx.AsyncClient(transport=over, base_url=BASE_URL, trust_env=False, headers=_headers(user_agent))

    async def do(self, call: Call[T]) -> T:
        call = _capped(call, self._timeout_s)
        try:
            response = await self._http.send(_request(self._http, call))
        except httpx.HTTPError as error:
            if not _again(call, error):
                _unreachable(self._explain, self.path, call, error)
            try:
                response = await self._http.send(_request(self._http, call))
            except httpx.HTTPError as second:
                _unreachable(self._explain, self.path, call, second)
        return _reply(call, response)

    @overload
    def events(self, *, heartbeat_s: int = 15) -> AsyncGenerator[wire.Event, None]: ...
    @overload
    def events(self, *, heartbeat_s: int = 15, ticks: Literal[True]) -> AsyncGenerator[wire.Event | None, None]: ...
    async def events(self, *, heartbeat_s: int = 15, ticks: bool = False) -> AsyncGenerator[wire.Event | None, None]:
        """As `Client.events`."""
        call = calls.events(heartbeat_s=heartbeat_s)
        try:
            response = await self._http.send(_request(self._http, call), stream=True)
            try:
                if not response.is_success:
                    await response.aread()
                    raise _problem(response)
                _check_version(response)
                async for line in response.aiter_lines():
                    if line:
                        yield _event(line)
                    elif ticks:
                        yield None
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            _unreachable(self._explain, self.path, call, error)

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await self.close()


def _capped(call: Call[T], timeout_s: float | None) -> Call[T]:
    if timeout_s is None or timeout_s >= call.timeout_s:
        return call
    return Call(call.operation, call.reply, call.path, call.params, call.body, timeout_s, call.also)
