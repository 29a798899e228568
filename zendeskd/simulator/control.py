"""The control API, for who runs the simulator as a process of its own: paths that no product uses.

GET  /_simulator/accounts                     names, base URLs, credentials, counts
POST /_simulator/accounts                     {"name": …, "tickets": …, …}: one more account
GET  /_simulator/accounts/NAME/tickets        the truth: what a whole export would send, one ticket a line
GET  /_simulator/accounts/NAME/requests       what was asked
POST /_simulator/accounts/NAME/faults         {"kind": …, "times": …, "on": …, "after": …, options…}
POST /_simulator/accounts/NAME/ACTION         {"which": 5} or {"which": [1, 2]}, {"count": 3}: see ACTIONS
POST /_simulator/clock                        {"advance": 61}
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from zendeskd.simulator.account import Account
    from zendeskd.simulator.server import Simulator

ACTIONS: Final = (
    "change", "touch", "add", "delete", "restore", "scrub", "purge", "archive", "strange",
    "revoke_token", "revoke_client", "expire_tokens", "clear_faults",
)  # fmt: skip


def routes(simulator: Simulator) -> list[Route]:
    """Starlette's routes of the control API."""

    def accounts(request: Request) -> Response:
        return JSONResponse([described(one) for one in simulator.accounts.values()])

    async def add_account(request: Request) -> Response:
        try:
            body = await _object(request)
            made = simulator.add_account(str(body.pop("name")), **body)
        except (ValueError, TypeError, KeyError) as error:
            return _wrong(error)
        return JSONResponse(described(made), 201)

    def truth(request: Request) -> Response:
        account = simulator.accounts.get(request.path_params["name"])
        if account is None:
            return _unknown(request)
        return Response(b"".join(raw + b"\n" for raw in account.tickets().values()), media_type="application/x-ndjson")

    def requests(request: Request) -> Response:
        account = simulator.accounts.get(request.path_params["name"])
        if account is None:
            return _unknown(request)
        return JSONResponse([asdict(seen) | {"at": seen.at.isoformat()} for seen in account.requests])

    async def act(request: Request) -> Response:
        account = simulator.accounts.get(request.path_params["name"])
        action = request.path_params["action"].replace("-", "_")
        if account is None or action not in (*ACTIONS, "faults"):
            return _unknown(request)
        try:
            body = await _object(request)
            if action == "faults":
                account.fault(**body)
                return JSONResponse({"faults": len(account.faults)}, 201)
            return JSONResponse({"ids": getattr(account, action)(**body)})
        except (ValueError, TypeError, KeyError) as error:
            return _wrong(error)

    async def clock(request: Request) -> Response:
        try:
            simulator.advance(float((await _object(request))["advance"]))
        except (ValueError, TypeError, KeyError) as error:
            return _wrong(error)
        return JSONResponse({"now": simulator.clock.now().isoformat()})

    return [
        Route("/_simulator/accounts", accounts, methods=["GET"]),
        Route("/_simulator/accounts", add_account, methods=["POST"]),
        Route("/_simulator/accounts/{name}/tickets", truth, methods=["GET"]),
        Route("/_simulator/accounts/{name}/requests", requests, methods=["GET"]),
        Route("/_simulator/accounts/{name}/{action}", act, methods=["POST"]),
        Route("/_simulator/clock", clock, methods=["POST"]),
    ]


def described(account: Account) -> dict[str, object]:
    """What someone needs to sync an account, and how many tickets there are."""
    kinds = ("oauth_client_credentials", "oauth_refresh_token", "api_token", "bearer")
    return {
        "name": account.name,
        "baseUrl": account.base_url,
        "credential": account.credential,
        "credentials": {kind: account.credential_of(kind) for kind in kinds},
        "tickets": len(account.ids(hidden=True)),
    }


async def _object(request: Request) -> dict[str, Any]:
    """Raises ValueError for a body that is not a JSON object."""
    raw = await request.body()
    value = json.loads(raw) if raw else {}
    if not isinstance(value, dict):
        raise ValueError("the body must be a JSON object")
    return value


def _wrong(error: Exception) -> Response:
    return JSONResponse({"error": f"{type(error).__name__}: {error}"}, 422)


def _unknown(request: Request) -> Response:
    return JSONResponse({"error": f"no such account or action: {request.url.path}"}, 404)
