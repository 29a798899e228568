"""Four kinds of credentials -> one header, renewed early and stored before use."""

from __future__ import annotations

import base64
from datetime import timedelta

import msgspec
import pytest

from tests.fixtures.loopback import FastTime, MemoryDoor, basic
from zendeskd.connectors.auth import ACCESS_S, Authorizer, TokenAnswer, decode_token
from zendeskd.connectors.faults import Answer, Rejected, Unauthorized
from zendeskd.errors import BadResponse, CredentialError, PermissionDenied, StorageError
from zendeskd.models import (
    AccessToken,
    ApiToken,
    Bearer,
    OAuthClientCredentials,
    OAuthRefreshToken,
    Secret,
    StoredCredential,
)

CLIENT = OAuthClientCredentials("zendeskd", Secret("client-s3cret"))
REFRESH = OAuthRefreshToken("zendeskd", Secret("client-s3cret"), Secret("refresh-1"))


@pytest.fixture
def fast_time() -> FastTime:
    return FastTime()


class Endpoint:
    """The token endpoint: answers tokens with numbers; `fault` is raised instead, once."""

    def __init__(self, expires_in: float | None = 1800, scope: str | None = "read") -> None:
        self.asked: list[dict[str, str | int]] = []
        self.expires_in, self.scope = expires_in, scope
        self.fault: Exception | None = None

    def __call__(self, ask: dict[str, str | int]) -> TokenAnswer:
        self.asked.append(ask)
        if self.fault is not None:
            raise self.fault
        n = len(self.asked)
        return TokenAnswer(Secret(f"access-{n}"), self.expires_in, Secret(f"refresh-{n + 1}"), self.scope)


def authorizer(door: MemoryDoor, endpoint: Endpoint, time: FastTime) -> Authorizer:
    return Authorizer(door, endpoint, time.now, "acme")


def oauth(credential: OAuthClientCredentials | OAuthRefreshToken, access: AccessToken | None = None) -> MemoryDoor:
    return MemoryDoor(StoredCredential(credential, access))


def answer(body: object, status: int = 200) -> Answer:
    return Answer(status, {}, msgspec.json.encode(body), "acme.zendesk.com")


def rejected(name: str, status: int = 400) -> Rejected:
    return Rejected(answer({"error": name}, status), name, "")


def test_an_api_token_is_basic_with_slash_token(fast_time: FastTime) -> None:
    auth = authorizer(MemoryDoor(StoredCredential(ApiToken("zoë@x.com", Secret("t")))), Endpoint(), fast_time)
    assert base64.b64decode(auth.header().removeprefix("Basic ")).decode() == "zoë@x.com/token:t"


def test_a_bearer_is_sent_as_it_is(fast_time: FastTime) -> None:
    assert (
        authorizer(MemoryDoor(StoredCredential(Bearer(Secret("abc")))), Endpoint(), fast_time).header() == "Bearer abc"
    )


@pytest.mark.parametrize("token", ["", "a b", "a\r\nX: y", "tök", "a\0"])
def test_a_token_that_cannot_stand_in_a_header_is_refused_without_being_shown(token: str, fast_time: FastTime) -> None:
    auth = authorizer(MemoryDoor(StoredCredential(Bearer(Secret(token)))), Endpoint(), fast_time)
    with pytest.raises(CredentialError, match="no token has") as caught:
        auth.header()
    assert "zendeskctl credentials set acme" in caught.value.hint


def test_client_credentials_get_a_token_and_store_it_before_use(fast_time: FastTime) -> None:
    door, endpoint = oauth(CLIENT), Endpoint()
    auth = authorizer(door, endpoint, fast_time)
    assert auth.header() == "Bearer access-1"
    assert endpoint.asked == [
        {
            "grant_type": "client_credentials",
            "client_id": "zendeskd",
            "client_secret": "client-s3cret",
            "scope": "read",
            "expires_in": ACCESS_S,
        }
    ]
    assert door.saved == [
        StoredCredential(CLIENT, AccessToken(Secret("access-1"), fast_time.now() + timedelta(seconds=1800)))
    ]
    assert auth.header() == "Bearer access-1"
    assert len(endpoint.asked) == 1


def test_a_stored_token_is_used_until_shortly_before_its_end(fast_time: FastTime) -> None:
    stored = AccessToken(Secret("old"), fast_time.now() + timedelta(seconds=100))
    door, endpoint = oauth(CLIENT, stored), Endpoint()
    auth = authorizer(door, endpoint, fast_time)
    assert auth.header() == "Bearer old"
    fast_time.ticks += 41
    assert auth.header() == "Bearer access-1"


def test_a_short_lived_token_is_not_renewed_all_the_time(fast_time: FastTime) -> None:
    endpoint = Endpoint(expires_in=40)
    auth = authorizer(oauth(CLIENT), endpoint, fast_time)
    for _ in range(4):
        assert auth.header() == "Bearer access-1"
        fast_time.ticks += 9
    fast_time.ticks += 1
    assert auth.header() == "Bearer access-2"


@pytest.mark.parametrize("expires_in", [None, 0, -5])
def test_a_token_of_unknown_end_is_used_until_refused(expires_in: float | None, fast_time: FastTime) -> None:
    endpoint = Endpoint(expires_in=expires_in)
    door = oauth(CLIENT)
    auth = authorizer(door, endpoint, fast_time)
    auth.header()
    fast_time.ticks += 10**8
    assert auth.header() == "Bearer access-1"
    assert door.saved[0].access == AccessToken(Secret("access-1"), None)
    assert auth.after_401()
    assert auth.header() == "Bearer access-2"


def test_a_refresh_stores_the_new_pair_before_it_is_used(fast_time: FastTime) -> None:
    door, endpoint = oauth(REFRESH), Endpoint()
    auth = authorizer(door, endpoint, fast_time)
    assert auth.header() == "Bearer access-1"
    assert endpoint.asked[0]["refresh_token"] == "refresh-1"
    assert endpoint.asked[0]["grant_type"] == "refresh_token"
    assert door.stored.credential == OAuthRefreshToken("zendeskd", Secret("client-s3cret"), Secret("refresh-2"))
    assert auth.after_401()
    assert endpoint.asked[1]["refresh_token"] == "refresh-2"


def test_a_new_pair_that_cannot_be_stored_is_not_used(fast_time: FastTime) -> None:
    door = oauth(REFRESH)

    def full() -> None:
        raise StorageError("The disk is full.")

    door.on_save = full
    auth = authorizer(door, Endpoint(), fast_time)
    with pytest.raises(StorageError):
        auth.header()


@pytest.mark.parametrize("credential", [CLIENT, REFRESH])
def test_nothing_is_spent_where_its_successor_could_not_be_stored(
    credential: OAuthClientCredentials | OAuthRefreshToken, fast_time: FastTime
) -> None:
    door, endpoint = oauth(credential), Endpoint()

    def full() -> None:
        raise StorageError("The disk is full.")

    door.on_prove = full
    auth = authorizer(door, endpoint, fast_time)
    with pytest.raises(StorageError):
        auth.header()
    assert endpoint.asked == []
    door.on_prove = lambda: None
    assert auth.header() == "Bearer access-1"


def test_a_token_that_another_thread_renewed_is_taken_over(fast_time: FastTime) -> None:
    old = AccessToken(Secret("old"), None)
    door, endpoint = oauth(REFRESH, old), Endpoint()
    auth = authorizer(door, endpoint, fast_time)
    assert auth.header() == "Bearer old"
    door.stored = StoredCredential(REFRESH, AccessToken(Secret("theirs"), fast_time.now() + timedelta(hours=1)))
    assert auth.after_401()
    assert auth.header() == "Bearer theirs"
    assert endpoint.asked == []


def test_renewing_holds_the_integrations_lock(fast_time: FastTime) -> None:
    door, endpoint = oauth(CLIENT), Endpoint()
    held: list[bool] = []
    door.on_save = lambda: held.append(door.lock.locked())
    authorizer(door, endpoint, fast_time).header()
    assert held == [True]
    assert not door.lock.locked()


def test_a_fixed_token_can_only_be_asked_with_again_unless_it_was_replaced(fast_time: FastTime) -> None:
    door = MemoryDoor()
    auth = authorizer(door, Endpoint(), fast_time)
    auth.header()
    assert not auth.after_401()
    door.stored = StoredCredential(ApiToken("ana@example.com", Secret("new")))
    assert auth.after_401()
    assert auth.header() == basic("ana@example.com", "new")


def test_an_oauth_credential_replaced_by_a_fixed_one_is_taken_over(fast_time: FastTime) -> None:
    door, endpoint = oauth(CLIENT, AccessToken(Secret("old"), None)), Endpoint()
    auth = authorizer(door, endpoint, fast_time)
    auth.header()
    door.stored = StoredCredential(Bearer(Secret("fixed")))
    assert auth.after_401()
    assert auth.header() == "Bearer fixed"
    assert endpoint.asked == []


@pytest.mark.parametrize(
    ("fault", "detail", "hint"),
    [
        (
            rejected("invalid_client"),
            "does not accept the OAuth client (invalid_client, HTTP 400)",
            "identifier or sec",
        ),
        (rejected("invalid_grant"), "grant any more (invalid_grant, HTTP 400)", "one use"),
        (rejected("invalid_scope"), "(invalid_scope, HTTP 400)", '"read"'),
        (rejected("unauthorized_client"), "(unauthorized_client, HTTP 400)", "confidential"),
        (rejected("strange<b>", 422), "gave no access token for the OAuth credentials (HTTP 422)", "credentials set"),
        (Unauthorized("x", status=401), "gave no access token for the OAuth credentials (HTTP 401)", "credentials set"),
        (PermissionDenied("x", status=403), "(HTTP 403)", "credentials set"),
    ],
)
def test_a_refused_token_request_says_what_to_do(fault: Exception, detail: str, hint: str, fast_time: FastTime) -> None:
    endpoint = Endpoint()
    endpoint.fault = fault
    with pytest.raises(CredentialError) as caught:
        authorizer(oauth(CLIENT), endpoint, fast_time).header()
    assert detail in caught.value.detail
    assert hint in caught.value.hint
    assert caught.value.hint.endswith("zendeskctl credentials set acme")
    assert "s3cret" not in caught.value.detail + caught.value.hint


@pytest.mark.parametrize(
    ("asked", "granted", "noted"),
    [
        ("read", "read", None),
        ("read", "read write", None),
        ("read", None, None),
        ("tickets:read users:read", "read", None),
        ("read", "tickets:write", "tickets:write"),
        ("read write", "read", "read"),
    ],
)
def test_a_smaller_scope_than_asked_for_explains_a_later_403(
    asked: str, granted: str | None, noted: str | None, fast_time: FastTime
) -> None:
    credential = OAuthClientCredentials("zendeskd", Secret("s"), asked)
    auth = authorizer(oauth(credential), Endpoint(scope=granted), fast_time)
    auth.header()
    error = PermissionDenied("Refused.", hint="Be an admin.", status=403)
    explained = auth.explain(error)
    assert auth.granted == noted
    assert (f'"{noted}"' in explained.hint) if noted else explained is error


def test_the_final_word_names_the_kind_of_credential(fast_time: FastTime) -> None:
    api = authorizer(MemoryDoor(), Endpoint(), fast_time)
    api.header()
    error = api.refused(Unauthorized("x", status=401, request_id="r-1"))
    assert error.detail == "Zendesk rejected the API token (HTTP 401)."
    assert "30 days" in error.hint
    assert (error.status, error.request_id) == (401, "r-1")
    client = authorizer(oauth(CLIENT), Endpoint(), fast_time)
    client.header()
    assert client.refused(Unauthorized("x")).detail == "Zendesk rejected the access token (HTTP 401)."


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"access_token": ""},
        {"access_token": 7},
        {"access_token": "a b"},
        [],
        {"access_token": "x", "expires_in": "y"},
    ],
)
def test_a_token_answer_without_a_token_is_a_bad_response_that_shows_nothing(body: object) -> None:
    with pytest.raises(BadResponse, match="without a usable access token"):
        decode_token(answer(body, 201))


def test_a_token_answer_of_any_2xx_is_read_and_does_not_show_itself() -> None:
    token = decode_token(answer({"access_token": "abc", "token_type": "bearer", "expires_in": 1800}, 201))
    assert (token.access_token.reveal(), token.expires_in, token.refresh_token) == ("abc", 1800, None)
    assert "abc" not in repr(token)
