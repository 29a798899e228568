"""The four kinds of credentials -> the Authorization header, renewed early and stored before use.

The OAuth token endpoint (`{base}/oauth/tokens`): answers 200 or 201, leaves `expires_in` out unless it was asked for,
and a refresh gives a new pair and ends the old one, so the new one is stored durably before anything uses it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import msgspec
from msgspec.structs import replace

from zendeskd.connectors.base import CredentialDoor
from zendeskd.connectors.faults import Answer, Rejected, Unauthorized
from zendeskd.errors import BadResponse, CredentialError, PermissionDenied
from zendeskd.models import (
    AccessToken,
    ApiToken,
    Bearer,
    OAuthClientCredentials,
    OAuthRefreshToken,
    Secret,
    StoredCredential,
    dec_secret,
)

ACCESS_S: Final = 86_400  # asked for; allowed are 300 to 172,800
REFRESH_S: Final = 7_776_000  # 90 days, the most allowed: an organisation may be stopped for long
EARLY_S: Final = 60.0
_EARLY_PART: Final = 0.1

TokenRequest = Callable[[dict[str, str | int]], "TokenAnswer"]
"""Sends one token request. Raises Rejected, Unauthorized and whatever else a call raises."""


class TokenAnswer(msgspec.Struct):
    access_token: Secret
    expires_in: float | None = None
    refresh_token: Secret | None = None
    scope: str | None = None


def decode_token(answer: Answer) -> TokenAnswer:
    """The token in a 2xx answer. Raises BadResponse, which never shows what came."""
    try:
        token = msgspec.json.decode(answer.body, type=TokenAnswer, dec_hook=dec_secret)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        token = None
    if token is None or not _is_token(token.access_token.reveal()):
        raise BadResponse(
            f"The token endpoint of {answer.host} answered without a usable access token.",
            status=answer.status,
            request_id=answer.request_id,
        )
    return token if token.scope is None else replace(token, scope=answer.quoted(token.scope))


class Authorizer:
    """One integration's authorization for one run. One thread at a time.

    `renew` sends a token request and must let it finish whatever happens to the run: an answer that is lost takes the
    refresh token with it.
    """

    def __init__(self, door: CredentialDoor, renew: TokenRequest, now: Callable[[], datetime], org: str) -> None:
        self._door = door
        self._renew = renew
        self._now = now
        self._new = f"Give new credentials: zendeskctl credentials set {org}"
        self._stored: StoredCredential | None = None
        self._lifetime_s: float | None = None
        self.granted: str | None = None  # a scope that is less than was asked for

    @property
    def is_oauth(self) -> bool:
        return self._stored is not None and isinstance(
            self._stored.credential, OAuthClientCredentials | OAuthRefreshToken
        )

    def header(self) -> str:
        """The header's value. Renews a token that is about to end. Raises RunError."""
        if self._stored is None:
            self._stored = self._door.load()
        if self.is_oauth and not self._is_good(self._stored.access):
            self._renewed(self._stored.access)
        credential = self._stored.credential
        if isinstance(credential, ApiToken):
            pair = f"{credential.email}/token:{credential.token.reveal()}"
            return "Basic " + base64.b64encode(pair.encode()).decode("ascii")
        if isinstance(credential, Bearer):
            return self._bearer(credential.token)
        assert self._stored.access is not None
        return self._bearer(self._stored.access.token)

    def after_401(self) -> bool:
        """What can be done about a 401: True, the header is a new one now; False, only asking once more is left."""
        before = self._stored
        assert before is not None
        if self.is_oauth:
            self._renewed(before.access)
            return True
        self._stored = self._door.load()  # an operator may have replaced it since
        return self._stored.credential != before.credential

    def refused(self, error: Unauthorized) -> CredentialError:
        """The final word on a 401."""
        kinds = {ApiToken: "API token", Bearer: "token"}
        kind = kinds.get(type(self._stored.credential), "access token") if self._stored is not None else "credentials"
        hint = self._new
        if kind == "API token":
            hint += ". Zendesk deactivates tokens that were unused for 30 days; an OAuth client does not end like that."
        return CredentialError(
            f"Zendesk rejected the {kind} (HTTP 401).", hint=hint, status=401, request_id=error.request_id
        )

    def explain(self, error: PermissionDenied) -> PermissionDenied:
        """A 403, with the scope that was granted where it is less than asked for."""
        if self.granted is None:
            return error
        return PermissionDenied(
            error.detail,
            hint=f'The token was granted the scope "{self.granted}" only; let the OAuth client have "read".',
            status=error.status,
            request_id=error.request_id,
        )

    def _is_good(self, access: AccessToken | None) -> bool:
        if access is None:
            return False
        if access.expires_at is None:
            return True  # unknown: used until it is refused
        early = EARLY_S if self._lifetime_s is None else min(EARLY_S, self._lifetime_s * _EARLY_PART)
        return self._now() + timedelta(seconds=early) < access.expires_at

    def _renewed(self, spent: AccessToken | None) -> None:
        """Get a new access token, unless another thread has put one in place of `spent` meanwhile."""
        with self._door.renewing():
            stored = self._door.load()
            credential = stored.credential
            if not isinstance(credential, OAuthClientCredentials | OAuthRefreshToken):
                self._stored = stored  # replaced by one of another kind
                return
            if stored.access != spent and self._is_good(stored.access):
                self._stored = stored
                return
            self._door.prove()  # the answer ends what is stored: on a full disk nothing is asked
            answer = self._requested(credential)
            self._lifetime_s = answer.expires_in if answer.expires_in and answer.expires_in > 0 else None
            expires_at = None if self._lifetime_s is None else self._now() + _span(self._lifetime_s)
            if isinstance(credential, OAuthRefreshToken) and answer.refresh_token:
                credential = replace(credential, refresh_token=answer.refresh_token)
            if isinstance(credential, OAuthClientCredentials):
                self.granted = _lacking(credential.scope, answer.scope)
            renewed = StoredCredential(credential, AccessToken(answer.access_token, expires_at))
            self._door.save(renewed)
            self._stored = renewed

    def _requested(self, credential: OAuthClientCredentials | OAuthRefreshToken) -> TokenAnswer:
        ask: dict[str, str | int] = {
            "client_id": credential.client_id,
            "client_secret": credential.client_secret.reveal(),
            "expires_in": ACCESS_S,
        }
        if isinstance(credential, OAuthClientCredentials):
            ask |= {"grant_type": "client_credentials", "scope": credential.scope}
        else:
            ask |= {
                "grant_type": "refresh_token",
                "refresh_token": credential.refresh_token.reveal(),
                "refresh_token_expires_in": REFRESH_S,
            }
        try:
            return self._renew(ask)
        except (Rejected, Unauthorized, PermissionDenied) as error:
            raise self._no_token(error) from error

    def _no_token(self, error: Rejected | Unauthorized | PermissionDenied) -> CredentialError:
        name = error.name if isinstance(error, Rejected | Unauthorized) else ""
        sentence, hint = _TOKEN_FAULTS.get(name, ("Zendesk gave no access token for the OAuth credentials", ""))
        word = f"{name}, " if name in _TOKEN_FAULTS else ""
        return CredentialError(
            f"{sentence} ({word}HTTP {error.status}).",
            hint=f"{hint} {self._new}".strip(),
            status=error.status,
            request_id=error.request_id,
        )

    def _bearer(self, token: Secret) -> str:
        if not _is_token(token.reveal()):
            raise CredentialError("The stored token holds characters that no token has.", hint=self._new)
        return "Bearer " + token.reveal()


_TOKEN_FAULTS: Final = {
    "invalid_client": (
        "Zendesk does not accept the OAuth client",
        "The client's unique identifier or secret is wrong, or the client was removed.",
    ),
    "invalid_grant": (
        "Zendesk does not accept the OAuth grant any more",
        "A refresh token is good for one use and ends when unused (30 days unless set otherwise).",
    ),
    "invalid_scope": (
        "Zendesk does not grant the scope that was asked for",
        'The OAuth client must be allowed the scope "read".',
    ),
    "unauthorized_client": (
        "Zendesk does not allow the OAuth client this kind of grant",
        "client_credentials needs a confidential client.",
    ),
    "unsupported_grant_type": ("Zendesk does not offer this kind of grant here", ""),
    "invalid_request": ("Zendesk did not understand the token request", ""),
}


def _is_token(text: str) -> bool:
    """Printable ASCII without blanks: anything else cannot stand in a header."""
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def _span(seconds: float) -> timedelta:
    return timedelta(seconds=min(seconds, 10 * 365 * 86_400))


def _lacking(asked: str, granted: str | None) -> str | None:
    """The granted scope if it covers less than was asked for; `read` covers `tickets:read`."""
    if not granted:
        return None
    got = set(granted.split())
    covered = all(scope in got or scope.rpartition(":")[2] in got for scope in asked.split())
    return None if covered else granted[:100]
