"""The stream of live events, as JSON lines or as server-sent events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from zendeskd.api.answering import problem_reply
from zendeskd.api.context import ControlContext
from zendeskd.api.query import Query
from zendeskd.errors import Forbidden, Refusal
from zendeskd.events import as_ndjson, as_sse

NDJSON_TYPE: Final = "application/x-ndjson"
SSE_TYPE: Final = "text/event-stream"
HEARTBEAT_S: Final = 15
HEARTBEAT_MAX_S: Final = 60


def endpoint(context: ControlContext) -> Callable[[Request], Awaitable[Response]]:
    """`GET /api/events`. In the event loop: it asks neither database nor network."""

    async def events(request: Request) -> Response:
        try:
            if context.roles(request.state.peer) is None:
                raise Forbidden("you are neither an operator nor a viewer", hint="ask to be put into one of the groups")
            query = Query(request.query_params.multi_items(), ("heartbeatS",))
            heartbeat_s = query.whole("heartbeatS", HEARTBEAT_S, 1, HEARTBEAT_MAX_S)
        except Refusal as refusal:
            reply = problem_reply(refusal, "events")
            return Response(reply.body, reply.status, dict(reply.headers), reply.media_type)
        sse = SSE_TYPE in request.headers.get("accept", "")
        media_type = SSE_TYPE if sse else NDJSON_TYPE
        if request.method == "HEAD":
            return Response(media_type=media_type)
        if sse:
            stream = context.broker.stream(as_sse, heartbeat=b":\n\n", heartbeat_s=heartbeat_s)
        else:
            stream = context.broker.stream(as_ndjson, heartbeat_s=heartbeat_s)
        return StreamingResponse(stream, media_type=media_type)

    return events
