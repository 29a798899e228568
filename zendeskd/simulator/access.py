"""Who may in: API tokens, bearer tokens, and the OAuth token endpoint with its rotation.

Rules as documented, probed or reported of Zendesk: an API token works with any user's e-mail, whose role then counts;
a refresh ends the old pair, a refresh token is good once, and replaying it does not harm its successor; `expires_in`
is answered only if it was asked for; an unknown scope still gives a token, with which every call answers 403.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final
from urllib.parse import parse_qsl

from zendeskd.simulator.answers import (
    Answer,
    as_json,
    failure,
    forbidden,
    invalid_token,
    lacking_scope,
    no_record,
    not_authenticated,
)
from zendeskd.simulator.people import AGENTS, People

ACCESS_S: Final = 1800
REFRESH_S: Final = 30 * 86_400
_ACCESS_RANGE: Final = range(300, 172_801)
_REFRESH_RANGE: Final = range(604_800, 7_776_001)
_KNOWN_SCOPES: Final = frozenset({"read", "write", "impersonate"}) | {
    f"{noun}:{verb}" for noun in ("tickets", "users", "organizations", "auditlogs") for verb in ("read", "write")
}


@dataclass
class Grant:
    """One access token that was given out, and its refresh token if it has one."""

    number: int
    access: str
    scopes: frozenset[str]
    expires_at: float
    refresh: str | None = None
    refresh_expires_at: float = 0.0
    is_ended: bool = False
    is_consumed: bool = False  # the refresh token was used


@dataclass(frozen=True)
class Caller:
    """Who asks. `user` is a number of `People`, None for nobody; `refused` is the 401 where that is the answer."""

    label: str
    user: int | None = None
    scopes: frozenset[str] | None = None  # None: all
    grant: Grant | None = None
    refused: Answer | None = None


class Access:
    """One account's credentials. Not locked: the account is."""

    def __init__(self, account: str, seed: int, people: People) -> None:
        self._key = blake2b(f"access/{seed}/{account}".encode(), digest_size=32).digest()
        self._people = people
        self._made = 0
        self._emails = {people.email(number): number for number in range(min(people.users, AGENTS + 100))}
        self.grants: list[Grant] = []
        self.client_id = f"zendeskd_{account.replace('-', '_')}"
        self.client_secret = self._secret("client")
        self.client_scopes = frozenset({"read", "write", "tickets:read", "users:read", "organizations:read"})
        self.is_public_client = False
        self.email = people.email(0)
        self.token: str | None = self._secret("api")[:40]
        self.bearer: str | None = self._secret("bearer")
        self.token_status = 200  # the specification says 201
        self.refresh_token = self.first_refresh_token()

    def first_refresh_token(self, now: float = float("inf")) -> str:
        """A refresh token as an interactive sign-in would have left it; its access token is not usable."""
        grant = self._grant(frozenset({"read"}), now, 0, refresh_s=REFRESH_S)
        grant.access = ""
        assert grant.refresh is not None
        return grant.refresh

    # --- who is it ---

    def identify(self, authorization: str, now: float) -> Caller:
        scheme, _, rest = authorization.partition(" ")
        if not authorization:
            return Caller("none")
        if scheme.lower() == "basic":
            return self._basic(rest)
        if scheme.lower() == "bearer":
            return self._bearer(rest.strip(), now)
        return Caller("unknown", refused=not_authenticated())

    def _basic(self, encoded: str) -> Caller:
        try:
            login, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return Caller("basic, garbled", refused=not_authenticated())
        email, slash, word = login.rpartition("/")
        if not slash or word != "token":
            return Caller("password")  # as good as nobody since 2026-01
        user = self._emails.get(email)
        if self.token is None or secret != self.token or user is None:
            return Caller(f"api_token {email}", refused=not_authenticated())
        return Caller(f"api_token {email}", user)

    def _bearer(self, token: str, now: float) -> Caller:
        if self.bearer is not None and token == self.bearer:
            return Caller("bearer", 0)
        for grant in reversed(self.grants):
            if token and grant.access == token:
                if grant.is_ended or now >= grant.expires_at:
                    return Caller(f"oauth #{grant.number}", refused=invalid_token())
                return Caller(f"oauth #{grant.number}", 0, grant.scopes, grant)
        return Caller("bearer, unknown", refused=invalid_token())

    def refuse(self, caller: Caller, resource: str, role: str) -> Answer | None:
        """The 401 or 403 for a caller who wants a resource (`tickets`, `users`) that needs a role; None if he may."""
        if caller.refused is not None:
            return caller.refused
        if caller.user is None:
            return not_authenticated()
        if caller.scopes is not None and not caller.scopes & {"read", f"{resource}:read"}:
            return lacking_scope("read") if caller.scopes & _KNOWN_SCOPES else forbidden()
        ranks = ("end-user", "agent", "admin")
        if ranks.index(self._people.role(caller.user)) < ranks.index(role):
            return forbidden()
        return None

    # --- the token endpoint ---

    def give_token(self, body: bytes, content_type: str, now: float) -> Answer:
        """POST /oauth/tokens."""
        asked = _asked(body, content_type)
        kind = asked.get("grant_type")
        if kind not in {"client_credentials", "refresh_token"}:
            return _refused(400, "unsupported_grant_type", "The authorization grant type is not supported.")
        if not self._is_client(asked, public=self.is_public_client and kind == "refresh_token"):
            return _refused(401, "invalid_client", "Client authentication failed.")
        try:
            access_s = _span(asked.get("expires_in"), _ACCESS_RANGE)
            refresh_s = _span(asked.get("refresh_token_expires_in"), _REFRESH_RANGE)
        except ValueError:
            return _refused(400, "invalid_request", "expires_in is out of range.")
        if kind == "refresh_token":
            return self._refresh(asked, now, access_s, refresh_s)
        scopes = frozenset(str(asked.get("scope") or "read").split())
        if scopes & _KNOWN_SCOPES - self.client_scopes:
            return _refused(400, "invalid_scope", "The requested scope is invalid, unknown, or malformed.")
        return self._given(self._grant(scopes, now, access_s or ACCESS_S), access_s, None)

    def _refresh(self, asked: Mapping[str, Any], now: float, access_s: int | None, refresh_s: int | None) -> Answer:
        token = asked.get("refresh_token")
        old = next((g for g in self.grants if token and g.refresh == token), None)
        if old is None or old.is_consumed or old.is_ended or now >= old.refresh_expires_at:
            text = "The provided authorization grant is invalid, expired, revoked, or was issued to another client."
            return _refused(400, "invalid_grant", text)
        old.is_consumed = old.is_ended = True
        new = self._grant(old.scopes, now, access_s or ACCESS_S, refresh_s=refresh_s or REFRESH_S)
        return self._given(new, access_s, refresh_s)

    def _given(self, grant: Grant, access_s: int | None, refresh_s: int | None) -> Answer:
        said: dict[str, object] = {
            "access_token": grant.access,
            "token_type": "bearer",
            "scope": " ".join(sorted(grant.scopes)),
        }
        if access_s is not None:
            said["expires_in"] = access_s
        if grant.refresh is not None:
            said["refresh_token"] = grant.refresh
            if refresh_s is not None:
                said["refresh_token_expires_in"] = refresh_s
        return as_json(said, self.token_status)

    def _is_client(self, asked: Mapping[str, Any], *, public: bool) -> bool:
        if asked.get("client_id") != self.client_id:
            return False
        return asked.get("client_secret") == self.client_secret or (public and "client_secret" not in asked)

    def _grant(self, scopes: frozenset[str], now: float, access_s: int, *, refresh_s: int = 0) -> Grant:
        number = len(self.grants) + 1
        grant = Grant(number, self._secret("access"), scopes, now + access_s)
        if refresh_s:
            grant.refresh, grant.refresh_expires_at = self._secret("refresh"), now + refresh_s
        self.grants.append(grant)
        return grant

    def current_token(self, caller: Caller, url: str) -> Answer:
        """GET /api/v2/oauth/tokens/current."""
        if caller.grant is None and caller.label != "bearer":
            return no_record()
        grant = caller.grant
        said = {
            "id": 9_000_000_000_000 + (grant.number if grant else 0),
            "url": url,
            "user_id": self._people.user_id(caller.user or 0),
            "client_id": 8_000_000_000_001,
            "token": (grant.access if grant else self.bearer or "")[:10],
            "scopes": sorted(grant.scopes) if grant else ["read", "write"],
            "expires_at": _instant(grant.expires_at) if grant else None,
        }
        return as_json({"token": said})

    # --- what tests and operators do to it ---

    def revoke(self) -> None:
        """End every token there is: API token, bearer, access and refresh tokens. The OAuth client stays."""
        self.token = self.bearer = None
        for grant in self.grants:
            grant.is_ended = True

    def expire(self, now: float) -> None:
        """All access tokens given out so far end now; refresh tokens and the OAuth client stay good."""
        for grant in self.grants:
            grant.expires_at = min(grant.expires_at, now)

    def renew(self) -> None:
        """New API token, bearer, client secret and refresh token; whatever was there before ends."""
        self.revoke()
        self.token, self.bearer = self._secret("api")[:40], self._secret("bearer")
        self.client_secret = self._secret("client")
        self.refresh_token = self.first_refresh_token()

    def credential(self, kind: str) -> dict[str, str]:
        """The JSON object that `zendeskctl credentials set` takes. Raises ValueError for an unknown kind."""
        client = {"clientId": self.client_id, "clientSecret": self.client_secret}
        kinds = {
            "oauth_client_credentials": client,
            "oauth_refresh_token": client | {"refreshToken": self.refresh_token},
            "api_token": {"email": self.email, "token": self.token or ""},
            "bearer": {"token": self.bearer or ""},
        }
        if kind not in kinds:
            raise ValueError(f"no kind of credential: {kind!r}; there are {', '.join(kinds)}")
        return {"kind": kind, **kinds[kind]}

    def _secret(self, what: str) -> str:
        self._made += 1
        return blake2b(f"{what}/{self._made}".encode(), key=self._key, digest_size=32).hexdigest()


def _asked(body: bytes, content_type: str) -> dict[str, Any]:
    """The parameters, from JSON or a form; none if it is neither."""
    try:
        if content_type.startswith("application/x-www-form-urlencoded"):
            return dict(parse_qsl(body.decode()))
        asked = json.loads(body)
    except ValueError:
        return {}
    return asked if isinstance(asked, dict) else {}


def _span(value: object, allowed: range) -> int | None:
    """Raises ValueError for what is not a number of seconds in the range."""
    if value is None:
        return None
    seconds = int(str(value))
    if seconds not in allowed:
        raise ValueError(value)
    return seconds


def _refused(status: int, error: str, text: str) -> Answer:
    return failure(status, error, error_description=text)


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
