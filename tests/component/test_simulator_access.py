"""The simulator's credentials, token endpoint, rate limits and errors against what is known of Zendesk's."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from tests.fixtures.simulated import Asker
from zendeskd.simulator import Account, Simulator

Ask = Callable[..., Asker]
ME = "/api/v2/users/me.json"


def basic(login: str, secret: str | None) -> str:
    return "Basic " + base64.b64encode(f"{login}:{secret}".encode()).decode()


def client(account: Account, **more: object) -> dict[str, object]:
    known = {"client_id": account.client_id, "client_secret": account.client_secret, "scope": "read"}
    return {"grant_type": "client_credentials", **known, **more}


@pytest.fixture
def account(simulator: Simulator) -> Account:
    return simulator.add_account("acme", tickets=10)


def test_an_admin_is_who_he_is_with_token_and_bearer(account: Account, ask: Ask) -> None:
    for authorization in (basic(f"{account.email}/token", account.token), f"Bearer {account.bearer}"):
        user = ask(account, authorization).get(ME).json()["user"]
        assert (user["role"], user["email"]) == ("admin", account.email)
        assert isinstance(user["id"], int)
        assert ask(account, authorization).export(start_time=0).status_code == 200


def test_nobody_is_anonymous_with_200_and_401_on_everything_else(account: Account, ask: Ask) -> None:
    for authorization in (None, basic(account.email, "a password")):
        asker = ask(account, authorization)
        assert asker.get(ME).status_code == 200
        assert asker.get(ME).json()["user"]["name"] == "Anonymous user"
        assert asker.get(ME).json()["user"]["id"] is None
        assert asker.export(start_time=0).json() == {"error": "Couldn't authenticate you"}
        assert asker.get("/api/v2/tickets").status_code == 401


def test_wrong_tokens_get_the_two_known_bodies(account: Account, ask: Ask) -> None:
    for path in (ME, "/api/v2/tickets"):
        for login, secret in ((f"{account.email}/token", "wrong"), ("nobody@example.com/token", account.token)):
            answer = ask(account, basic(login, secret)).get(path)
            assert (answer.status_code, answer.json()) == (401, {"error": "Couldn't authenticate you"})
        answer = ask(account, "Bearer wrong").get(path)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")


def test_an_agents_email_may_list_and_not_export(account: Account, ask: Ask) -> None:
    asker = ask(account, basic(f"{account.agent_email}/token", account.token))
    assert asker.get(ME).json()["user"]["role"] == "agent"
    assert asker.get("/api/v2/tickets").status_code == 200
    refused = asker.export(start_time=0)
    assert refused.status_code == 403
    assert refused.json()["error"]["title"] == "Forbidden"


def test_a_client_gets_tokens_and_expires_in_only_if_it_asked(account: Account, ask: Ask) -> None:
    asker = ask(account, None)
    plain = asker.post("/oauth/tokens", client(account))
    assert plain.status_code == 200
    assert set(plain.json()) == {"access_token", "token_type", "scope"}
    asked = asker.post("/oauth/tokens", client(account, expires_in=7200)).json()
    assert asked["expires_in"] == 7200
    assert asked["access_token"] != plain.json()["access_token"]
    for answer in (plain.json(), asked):
        assert ask(account, f"Bearer {answer['access_token']}").export(start_time=0).status_code == 200
    form = {name: str(value) for name, value in client(account).items()}
    assert asker.http.post(f"{account.base_url}/oauth/tokens", data=form).json()["scope"] == "read"


def test_a_token_lives_half_an_hour_unless_asked_otherwise(simulator: Simulator, account: Account, ask: Ask) -> None:
    short = ask(account, None).post("/oauth/tokens", client(account)).json()["access_token"]
    long = ask(account, None).post("/oauth/tokens", client(account, expires_in=7200)).json()["access_token"]
    current = ask(account, f"Bearer {long}").get("/api/v2/oauth/tokens/current.json").json()["token"]
    assert current["scopes"] == ["read"]
    assert current["expires_at"].endswith("Z")
    simulator.advance(1801)
    expired = ask(account, f"Bearer {short}").get(ME)
    assert (expired.status_code, expired.json()["error"]) == (401, "invalid_token")
    assert ask(account, f"Bearer {long}").get(ME).status_code == 200
    account.expire_tokens()
    assert ask(account, f"Bearer {long}").get(ME).status_code == 401


def test_a_refresh_ends_the_old_pair_and_its_replay_harms_nobody(account: Account, ask: Ask) -> None:
    asker = ask(account, None)
    known = {"client_id": account.client_id, "client_secret": account.client_secret, "grant_type": "refresh_token"}
    first = account.credential_of("oauth_refresh_token")["refreshToken"]
    one = asker.post("/oauth/tokens", {**known, "refresh_token": first, "refresh_token_expires_in": 700_000}).json()
    assert one["refresh_token_expires_in"] == 700_000
    two = asker.post("/oauth/tokens", {**known, "refresh_token": one["refresh_token"]}).json()
    assert ask(account, f"Bearer {one['access_token']}").get(ME).status_code == 401
    for spent in (first, one["refresh_token"], "never given out"):
        refused = asker.post("/oauth/tokens", {**known, "refresh_token": spent})
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert ask(account, f"Bearer {two['access_token']}").get(ME).status_code == 200
    assert "refresh_token" in asker.post("/oauth/tokens", {**known, "refresh_token": two["refresh_token"]}).json()


@pytest.mark.parametrize(
    ("more", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "nobody"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"expires_in": 10}, 400, "invalid_request"),
        ({"scope": "impersonate"}, 400, "invalid_scope"),
    ],
)
def test_the_token_endpoint_says_no(
    account: Account, ask: Ask, more: dict[str, object], status: int, error: str
) -> None:
    answer = ask(account, None).post("/oauth/tokens", client(account, **more))
    assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_an_unknown_scope_gives_a_token_with_which_every_call_is_403(account: Account, ask: Ask) -> None:
    token = ask(account, None).post("/oauth/tokens", client(account, scope="raed")).json()["access_token"]
    for path in (ME, "/api/v2/tickets", "/api/v2/incremental/tickets/cursor?start_time=0"):
        answer = ask(account, f"Bearer {token}").get(path)
        assert (answer.status_code, answer.json()["error"]["title"]) == (403, "Forbidden")


def test_a_narrow_scope_reads_what_it_names(account: Account, ask: Ask) -> None:
    token = ask(account, None).post("/oauth/tokens", client(account, scope="tickets:read")).json()["access_token"]
    asker = ask(account, f"Bearer {token}")
    assert asker.export(start_time=0).status_code == 200
    assert asker.get(ME).json()["error"] == "insufficient_scope"


def test_revoked_means_revoked_and_the_client_can_get_new_ones(account: Account, ask: Ask) -> None:
    token = ask(account, None).post("/oauth/tokens", client(account)).json()["access_token"]
    old = [basic(f"{account.email}/token", account.token), f"Bearer {account.bearer}", f"Bearer {token}"]
    account.revoke_token()
    assert [ask(account, one).get(ME).status_code for one in old] == [401, 401, 401]
    assert ask(account, None).post("/oauth/tokens", client(account)).status_code == 200
    spent = client(account)
    account.revoke_client()
    assert ask(account, None).post("/oauth/tokens", spent).json()["error"] == "invalid_client"
    assert ask(account, None).post("/oauth/tokens", client(account)).status_code == 200
    assert ask(account).get(ME).status_code == 200


def test_the_export_has_a_budget_of_its_own_within_the_accounts(simulator: Simulator, ask: Ask) -> None:
    account = simulator.add_account("small", tickets=5, export_per_minute=3, account_per_minute=8)
    asker = ask(account)
    first = asker.export(start_time=0)
    assert first.headers["zendesk-ratelimit-incremental-exports"].startswith("total=3; remaining=2; resets=")
    assert (first.headers["X-Rate-Limit"], first.headers["X-Rate-Limit-Remaining"]) == ("8", "7")
    assert (first.headers["ratelimit-limit"], first.headers["ratelimit-remaining"]) == ("8", "7")
    assert 1 <= int(first.headers["ratelimit-reset"]) <= 60
    assert [asker.export(start_time=0).status_code for _ in range(3)] == [200, 200, 429]
    refused = asker.export(start_time=0)
    assert refused.json() == {
        "error": "APIRateLimitExceeded",
        "description": "Number of allowed incremental export API requests per minute exceeded",
    }
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert [asker.get("/api/v2/tickets").status_code for _ in range(6)] == [200] * 5 + [429]
    assert asker.get("/api/v2/tickets").json()["description"] == "Number of allowed API requests per minute exceeded"
    simulator.advance(60)
    assert asker.export(start_time=0).status_code == 200


def test_old_accounts_spell_the_headers_as_in_2023(simulator: Simulator, ask: Ask) -> None:
    answer = ask(simulator.add_account("old", tickets=5, old_headers=True)).get("/api/v2/tickets")
    assert {"rate-limit", "rate-limit-remaining", "rate-limit-reset", "zendesk-rate-limit-tickets-index"} <= set(
        answer.headers
    )


def test_an_unknown_account_endpoint_or_path(simulator: Simulator, account: Account, ask: Ask) -> None:
    asker = ask(account)
    assert asker.get("/api/v2/nonsense").json() == {"error": "InvalidEndpoint", "description": "Not found"}
    missing = asker.http.get(f"{simulator.url}/accounts/nobody/api/v2/tickets")
    assert (missing.status_code, missing.json()["error"]["title"]) == (404, "No help desk at nobody.zendesk.com")
    assert asker.http.get(f"{simulator.url}/anything").status_code == 404


def test_requests_are_remembered_without_secrets(account: Account, ask: Ask) -> None:
    ask(account).export(start_time=0)
    ask(account, None).post("/oauth/tokens", client(account))
    ask(account, basic(f"{account.email}/token", account.token)).get(ME)
    assert [(one.kind, one.status, one.credential) for one in account.requests] == [
        ("export", 200, "bearer"),
        ("token", 200, "none"),
        ("me", 200, f"api_token {account.email}"),
    ]
    assert account.requests[0].query["start_time"] == "0"
    assert not any(
        secret in repr(account.requests) for secret in (account.bearer, account.token, account.client_secret)
    )
    account.forget_requests()
    assert account.requests == []


def test_request_ids_differ(account: Account, ask: Ask) -> None:
    ids = {ask(account).get(ME).headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3
