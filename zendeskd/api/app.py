"""The application that the control server serves: every endpoint on its route, errors as problems."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from zendeskd.api import (
    checks,
    commands,
    events,
    history,
    links,
    logs,
    openapi,
    operations,
    organizations,
    records,
    schedules,
    status,
)
from zendeskd.api.answering import Parts, Reply, answer, may, problem_reply
from zendeskd.api.asked import BODY_MAX, Endpoint
from zendeskd.api.context import ControlContext
from zendeskd.api.gate import Gate
from zendeskd.api.problems import Refused
from zendeskd.api.shares import Places
from zendeskd.api.threads import Threads
from zendeskd.connection import Peer
from zendeskd.decoding import nearest
from zendeskd.errors import NotFound

THREADS: Final = 4
SLOW_THREADS: Final = 4
LOG_THREADS: Final = 1  # it computes all the time, which every other thread feels
CLOSE_WITHIN_S: Final = 1.0
LARGE_BODIES: Final = 4
"""Imports of more than BODY_MAX at a time: what is read of all of them is in memory."""

_DESCRIBED: Final[tuple[Endpoint, ...]] = (
    *status.ENDPOINTS,
    *history.ENDPOINTS,
    *logs.ENDPOINTS,
    *records.ENDPOINTS,
    *links.ENDPOINTS,
    *organizations.ENDPOINTS,
    *checks.ENDPOINTS,
    *schedules.ENDPOINTS,
    *operations.ENDPOINTS,
    *commands.ENDPOINTS,
    *records.SYSTEM_ENDPOINTS,  # last: "/api/{system}" fits any path of its length
)
ENDPOINTS: Final = (openapi.endpoint(_DESCRIBED), *_DESCRIBED)

_Answers = Callable[[Request], Awaitable[Response]]


def build_app(context: ControlContext) -> Starlette:
    """An ASGI application with `peer` in each request's state, as `connection.PeerCredH11` puts it."""
    pools = {
        "threads": Threads("control-work", THREADS),
        "slow": Threads("control-slow", SLOW_THREADS),
        "logs": Threads("control-logs", LOG_THREADS),
    }

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        for pool in pools.values():
            pool.close(CLOSE_WITHIN_S)

    large = Places("large bodies", LARGE_BODIES)
    by_path: dict[str, dict[str, Endpoint]] = {}
    for endpoint in ENDPOINTS:
        by_path.setdefault(endpoint.path, {})[endpoint.method] = endpoint
    routes = [Route("/api/events", events.endpoint(context), methods=["GET"])]
    for path, methods in by_path.items():
        route = Route(_pattern(path), _route(context, methods, pools, large))
        route.methods = None  # any: one that it has not is refused here, and not taken for that of "/api/{system}"
        routes.append(route)
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Gate, version=context.version, limits=context.limits, roles=context.roles)],
        exception_handlers={HTTPException: _no_route},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return app


def _pattern(path: str) -> str:
    """A record is named by its local id, or by ORG/SYSTEM/EXTERNAL_ID."""
    return path.replace("/api/records/{id}", "/api/records/{id:record}")


def _route(
    context: ControlContext, methods: Mapping[str, Endpoint], pools: Mapping[str, Threads], large: Places
) -> _Answers:
    async def respond(request: Request) -> Response:
        endpoint = methods.get("GET" if request.method == "HEAD" else request.method)
        if endpoint is None:
            allowed = sorted({*methods, *({"HEAD"} if "GET" in methods else ())})
            raise HTTPException(405, headers={"Allow": ", ".join(allowed)})
        peer: Peer = request.state.peer
        with ExitStack() as held:
            body = b""
            if endpoint.method not in {"GET", "DELETE"} and may(context.roles(peer), endpoint):
                room = lambda: held.enter_context(large.one(peer))  # noqa: E731
                body = await _body(request, endpoint.body_max, context.limits.body_s, room)
            parts = Parts(
                peer=peer,
                user_agent=request.headers.get("user-agent", ""),
                path=request.path_params,
                query=tuple(request.query_params.multi_items()),
                body=body,
            )
            if endpoint.where == "loop":
                return _response(answer(context, endpoint, parts))
            return _response(await pools[endpoint.where].run(lambda: answer(context, endpoint, parts)))

    return respond


def _response(reply: Reply) -> Response:
    return Response(reply.body, reply.status, dict(reply.headers), reply.media_type)


async def _body(request: Request, most: int, within_s: float, make_room: Callable[[], None]) -> bytes:
    """The whole body. `make_room` is called for a large one. Raises Refused if it is too long, or takes too long."""
    too_long = Refused(413, "body_too_large", f"the body is longer than {most} bytes", hint="send less at a time")
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > most:
        raise too_long
    body = bytearray()
    try:
        async with asyncio.timeout(within_s):
            async for chunk in request.stream():
                if len(body) <= BODY_MAX < len(body) + len(chunk) <= most:
                    make_room()
                body += chunk
                if len(body) > most:
                    raise too_long
    except TimeoutError:
        hint = "send it in one go"
        raise Refused(408, "body_too_slow", f"the body did not arrive within {within_s:.0f} s", hint=hint) from None
    except ClientDisconnect:
        hint = "send as much as content-length says"
        raise Refused(400, "body_incomplete", "the connection ended amid the body", hint=hint) from None
    return bytes(body)


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.scope["path"]  # its URL may be made of any nonsense that the header Host holds
    what = f"{request.method} {path[:200]}"
    allowed = (error.headers or {}).get("Allow", "")
    if error.status_code == 405:
        refusal: Exception = Refused(405, "method_not_allowed", f"there is no {what}", hint=f"it takes {allowed}")
    else:
        known = sorted({re.sub(r"\{system\}", "zendesk", endpoint.path) for endpoint in ENDPOINTS})
        refusal = NotFound(f"there is no {what}", hint=nearest(path, known, what="there are"))
    reply = problem_reply(refusal, "any")
    headers = {**reply.headers, **({"allow": allowed} if allowed else {})}
    return Response(reply.body, reply.status, headers, reply.media_type)
