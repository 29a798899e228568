"""Credentials at rest: what opens, what does not, and that nothing of a secret is ever shown."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.fixtures.stores import NOW, table
from zendeskd import master_key, secrets
from zendeskd.db import Database
from zendeskd.errors import BadRequest, ConfigError, CredentialError, StorageError
from zendeskd.master_key import KEY_NAME
from zendeskd.models import (
    AccessToken,
    AnyCredential,
    ApiToken,
    Bearer,
    Integration,
    OAuthClientCredentials,
    OAuthRefreshToken,
    Secret,
    StoredCredential,
)
from zendeskd.secrets import StoredCredentials, Vault, open_vault, parse_credential
from zendeskd.store import Store

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
TOKEN = "s3cr3t-tok3n"
EXPIRES = datetime(2026, 12, 1, tzinfo=UTC)

CREDENTIALS: list[AnyCredential] = [
    OAuthClientCredentials(client_id="id", client_secret=Secret(TOKEN)),
    OAuthRefreshToken(client_id="id", client_secret=Secret(TOKEN), refresh_token=Secret("r")),
    ApiToken(email="jane@example.com", token=Secret(TOKEN)),
    Bearer(token=Secret(TOKEN)),
]


def stored(token: str = TOKEN) -> StoredCredential:
    return StoredCredential(credential=Bearer(token=Secret(token)))


# --- the vault --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("credential", CREDENTIALS, ids=lambda one: type(one).__name__)
def test_what_is_sealed_comes_out_again(credential: AnyCredential) -> None:
    whole = StoredCredential(credential=credential, access=AccessToken(token=Secret("t"), expires_at=EXPIRES))
    vault = Vault(KEY)
    sealed = vault.seal("acme", "zendesk", whole)
    assert (sealed.kind, sealed.expires_at) == (secrets.kind_of(credential), EXPIRES)
    version, kid, nonce, ciphertext = sealed.ciphertext.split(":")
    assert version == "v1"
    assert TOKEN not in sealed.ciphertext
    assert all((kid, nonce, ciphertext))
    assert vault.unseal("acme", "zendesk", sealed.ciphertext) == whole
    assert vault.seal("acme", "zendesk", whole).ciphertext != sealed.ciphertext
    assert vault.seal("acme", "zendesk", replace(whole, access=None)).expires_at is None


@pytest.mark.parametrize(("org", "system"), [("globex", "zendesk"), ("acme", "jira"), ('acme","zendesk', "")])
def test_a_row_moved_to_another_place_does_not_open(org: str, system: str) -> None:
    vault = Vault(KEY)
    with pytest.raises(CredentialError, match="damaged"):
        vault.unseal(org, system, vault.seal("acme", "zendesk", stored()).ciphertext)


@given(st.text() | st.from_regex(r"v1:[0-9a-f]{8}:[A-Za-z0-9_-]{0,20}:[A-Za-z0-9_-]{0,40}", fullmatch=True))
def test_garbage_does_not_open(garbage: str) -> None:
    with pytest.raises(CredentialError) as refused:
        Vault(KEY).unseal("acme", "zendesk", garbage)
    assert "zendeskctl credentials set acme --system zendesk" in refused.value.hint


def test_one_wrong_bit_does_not_open() -> None:
    vault = Vault(KEY)
    sealed = vault.seal("acme", "zendesk", stored()).ciphertext
    for at in (12, 20, len(sealed) - 8):
        wrong = sealed[:at] + ("A" if sealed[at] != "A" else "B") + sealed[at + 1 :]
        with pytest.raises(CredentialError):
            vault.unseal("acme", "zendesk", wrong)


def test_a_form_of_the_future_is_named() -> None:
    with pytest.raises(CredentialError, match="newer zendeskd"):
        Vault(KEY).unseal("acme", "zendesk", "v2:a:b:c")


def test_an_older_key_still_opens_and_a_lost_one_is_named() -> None:
    sealed = Vault(OTHER).seal("acme", "zendesk", stored())
    both = Vault(KEY, older=[OTHER])
    assert both.unseal("acme", "zendesk", sealed.ciphertext) == stored()
    again = both.seal("acme", "zendesk", stored())
    assert Vault(KEY).unseal("acme", "zendesk", again.ciphertext) == stored()
    with pytest.raises(CredentialError, match="another master key") as refused:
        Vault(KEY).unseal("acme", "zendesk", sealed.ciphertext)
    assert "if it is lost" in refused.value.hint


def test_nothing_shows_a_secret() -> None:
    vault = Vault(KEY)
    whole = StoredCredential(credential=CREDENTIALS[1], access=AccessToken(token=Secret("acc3ss")))
    for shown in (repr(vault), str(vault), repr(whole), repr(vault.seal("acme", "zendesk", whole)), str(vars(vault))):
        assert TOKEN not in shown
        assert "acc3ss" not in shown
        assert repr(KEY) not in shown


# --- the master key ---------------------------------------------------------------------------------------------------


def test_the_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    sealed = open_vault(tmp_path, None).seal("acme", "zendesk", stored())
    path = tmp_path / KEY_NAME
    assert len(path.read_bytes()) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert open_vault(tmp_path, None).unseal("acme", "zendesk", sealed.ciphertext) == stored()
    assert list(tmp_path.iterdir()) == [path]


def test_two_that_start_at_once_use_the_same_key(tmp_path: Path) -> None:
    vaults: list[Vault] = []
    begin = threading.Barrier(6)

    def start() -> None:
        begin.wait()
        vaults.append(open_vault(tmp_path, None))

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({repr(vault) for vault in vaults}) == 1
    assert [path.name for path in tmp_path.iterdir()] == [KEY_NAME]


def test_the_key_that_systemd_hands_over_comes_first(tmp_path: Path) -> None:
    state, given_ = tmp_path / "state", tmp_path / "credentials"
    state.mkdir()
    given_.mkdir()
    assert open_vault(state, given_) is not None  # nothing is handed over: its own
    (given_ / KEY_NAME).write_bytes(KEY)
    (given_ / KEY_NAME).chmod(0o440)
    assert repr(open_vault(state, given_)) == repr(Vault(KEY))


def test_no_new_key_where_sealed_credentials_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"master\.key is missing"):
        open_vault(tmp_path, None, create=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [0, 31, 33, 5000])
def test_a_key_of_another_size(tmp_path: Path, size: int) -> None:
    (tmp_path / KEY_NAME).write_bytes(b"k" * size)
    (tmp_path / KEY_NAME).chmod(0o600)
    with pytest.raises(ConfigError, match=f"has {min(size, 32) if size < 33 else 'more than 32'} bytes, not 32"):
        open_vault(tmp_path, None)


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_key_that_others_can_read(tmp_path: Path, mode: int) -> None:
    (tmp_path / KEY_NAME).write_bytes(KEY)
    (tmp_path / KEY_NAME).chmod(mode)
    with pytest.raises(ConfigError, match="can be read by others") as refused:
        open_vault(tmp_path, None)
    assert refused.value.hint == f"chmod 600 {tmp_path / KEY_NAME}"


def test_a_key_that_cannot_be_read_or_made(tmp_path: Path) -> None:
    (tmp_path / KEY_NAME).mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        open_vault(tmp_path, None)
    with pytest.raises(ConfigError, match="cannot be made"):
        open_vault(tmp_path / "absent", None)


@contextlib.contextmanager
def no_more_files() -> Iterator[None]:
    """The process may open no file more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_fault_that_passes_is_none_of_the_configuration(tmp_path: Path) -> None:
    """Exit code 2 would mean that the service manager never tries again."""
    with pytest.raises(StorageError, match="cannot be made: Too many open files"), no_more_files():
        master_key.make(tmp_path / KEY_NAME)
    open_vault(tmp_path, None)
    with pytest.raises(StorageError, match="cannot be read: Too many open files"), no_more_files():
        master_key.read(tmp_path / KEY_NAME, private=True)
    with pytest.raises(StorageError, match="cannot be looked into: Too many open files"), no_more_files():
        master_key.older(tmp_path)


# --- what a person enters ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entered", "credential"),
    [
        ({"kind": "bearer", "token": f" {TOKEN}\n"}, CREDENTIALS[3]),
        ({"kind": "api_token", "email": "jane@example.com/token", "token": TOKEN}, CREDENTIALS[2]),
        (
            {"kind": "oauth_refresh_token", "clientId": "id", "clientSecret": TOKEN, "refreshToken": "r"},
            CREDENTIALS[1],
        ),
        ({"kind": "oauth_client_credentials", "clientId": "id", "clientSecret": TOKEN}, CREDENTIALS[0]),
        (
            {"kind": "oauth_client_credentials", "clientId": "id", "clientSecret": TOKEN, "scope": "tickets:read"},
            OAuthClientCredentials(client_id="id", client_secret=Secret(TOKEN), scope="tickets:read"),
        ),
    ],
)
def test_what_a_person_enters(entered: dict[str, str], credential: AnyCredential) -> None:
    assert parse_credential(json.dumps(entered)) == parse_credential(json.dumps(entered).encode()) == credential


@pytest.mark.parametrize(
    ("entered", "field", "says"),
    [
        ("", "credentials", "not a JSON object"),
        (TOKEN, "credentials", "not a JSON object"),
        (f'["{TOKEN}"]', "credentials", "not a JSON object"),
        (b"\xff" + TOKEN.encode(), "credentials", "not a JSON object"),
        ("[" * 50_000, "credentials", "not a JSON object"),
        (f'{{"token": "{TOKEN}"}}', "credentials.kind", "need a `kind`"),
        (f'{{"kind": "{TOKEN}"}}', "credentials.kind", "oauth_client_credentials, oauth_refresh_token, api_token or"),
        ('{"kind": 7}', "credentials.kind", "need a `kind`"),
        ('{"kind": "bearer"}', "credentials.token", "kind bearer need token"),
        (
            f'{{"kind": "oauth_refresh_token", "refreshToken": "{TOKEN}"}}',
            "credentials.clientId",
            "need clientId and clientSecret too",
        ),
        (f'{{"kind": "bearer", "token": "x", "{TOKEN}": "x"}}', "credentials", "have the keys token; there is another"),
        ('{"kind": "bearer", "token": 7}', "credentials.token", "must be text"),
        ('{"kind": "bearer", "token": "  "}', "credentials.token", "must be text that is not empty"),
        (f'{{"kind": "bearer", "token": "{TOKEN} \\u0000"}}', "credentials.token", "characters that no credential"),
        (f'{{"kind": "bearer", "token": "{TOKEN}\\nx"}}', "credentials.token", "characters that no credential"),
        (f'{{"kind": "bearer", "token": "{TOKEN}\\u00fc"}}', "credentials.token", "characters that no credential"),
        (f'{{"kind": "bearer", "token": "{TOKEN * 2000}"}}', "credentials.token", "far too long"),
        (f'{{"kind": "api_token", "email": "{TOKEN}", "token": "x"}}', "credentials.email", "e-mail address"),
        (" " * 70_000, "credentials", "longer than 64 KiB"),
    ],
)
def test_what_is_wrong_is_named_and_no_value_is_shown(entered: str | bytes, field: str, says: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse_credential(entered)
    assert says in refused.value.detail
    assert refused.value.field == field
    assert TOKEN not in refused.value.detail + refused.value.hint


@pytest.mark.parametrize(
    ("entered", "says", "example"),
    [
        (
            {"kind": "oauth_client_credentials", "client_id": "x", "clientSecret": TOKEN},
            "client_id is none, did you mean clientId?",
            '{"kind": "oauth_client_credentials", "clientId": "...", "clientSecret": "..."}',
        ),
        (
            {"kind": "api_token", "e-mail": "a@b.c", "apiToken": TOKEN},
            "apiToken is none, did you mean token?; e-mail is none, did you mean email?",
            '{"kind": "api_token", "email": "...", "token": "..."}',
        ),
        ({"kind": "bearer", "token": " "}, "must be text", '{"kind": "bearer", "token": "..."}'),
        ({"kind": "bearer"}, "need token too", '{"kind": "bearer", "token": "..."}'),
    ],
)
def test_a_misspelt_key_is_named_with_the_right_one(entered: dict[str, str], says: str, example: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse_credential(json.dumps(entered))
    assert says in refused.value.detail
    assert refused.value.hint == f"For example: {example}"
    assert TOKEN not in refused.value.detail


# --- the door ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def vault() -> Vault:
    return Vault(KEY)


@pytest.fixture
def door(store: Store, acme: Integration, vault: Vault) -> Iterator[StoredCredentials]:
    store.fleet.put_credential("acme", "zendesk", vault.seal("acme", "zendesk", stored("first")), NOW)
    return StoredCredentials(store, vault, acme, now=lambda: NOW)  # type: ignore[return-value]


def renewed(token: str) -> StoredCredential:
    return replace(stored("first"), access=AccessToken(token=Secret(token), expires_at=EXPIRES))


def test_a_renewed_credential_is_stored(
    database: Database, store: Store, acme: Integration, door: StoredCredentials
) -> None:
    assert door.load() == stored("first")
    door.save(renewed("acc3ss"))
    assert door.load() == renewed("acc3ss")
    assert store.fleet.integration_by_id(acme.id).credential_expires_at == EXPIRES
    with database.reading() as connection:
        dump = "\n".join(connection.iterdump())
    assert "acc3ss" not in dump
    assert "first" not in table(database, "SELECT ciphertext FROM credentials")[0][0]


def test_what_a_person_entered_meanwhile_stays(
    store: Store, acme: Integration, vault: Vault, door: StoredCredentials
) -> None:
    door.load()
    store.fleet.put_credential("acme", "zendesk", vault.seal("acme", "zendesk", stored("entered")), NOW)
    door.save(renewed("late"))
    assert StoredCredentials(store, vault, acme).load() == stored("entered")
    door.load()
    door.save(renewed("in time"))
    assert door.load() == renewed("in time")


@contextlib.contextmanager
def no_room(database: Database) -> Iterator[None]:
    """The disk takes no write, and is read as before."""
    with database.writing() as writer:
        pass
    writer.execute("PRAGMA query_only = 1")
    yield
    writer.execute("PRAGMA query_only = 0")


def test_a_renewed_credential_that_the_disk_refuses_is_not_lost(
    database: Database, store: Store, acme: Integration, vault: Vault, door: StoredCredentials
) -> None:
    door.load()
    other = StoredCredentials(store, vault, acme)
    with no_room(database):
        with pytest.raises(StorageError):
            door.save(renewed("the only one"))
        assert door.load() == renewed("the only one")
        assert other.load() == renewed("the only one"), "whichever door the next run comes through"
        with pytest.raises(StorageError):
            other.prove()
    assert StoredCredentials(store, Vault(KEY), acme).load() == stored("first"), "not stored yet"
    assert other.load() == renewed("the only one")
    assert StoredCredentials(store, Vault(KEY), acme).load() == renewed("the only one")
    door.save(renewed("after it"))
    assert other.load() == door.load() == renewed("after it")


def test_what_could_not_be_stored_gives_way_to_what_a_person_entered(
    database: Database, store: Store, acme: Integration, vault: Vault, door: StoredCredentials
) -> None:
    door.load()
    with no_room(database), pytest.raises(StorageError):
        door.save(renewed("of the old one"))
    store.fleet.put_credential("acme", "zendesk", vault.seal("acme", "zendesk", stored("entered")), NOW)
    assert door.load() == stored("entered")
    assert StoredCredentials(store, Vault(KEY), acme).load() == stored("entered")


def test_proving_changes_nothing(store: Store, acme: Integration, vault: Vault, door: StoredCredentials) -> None:
    before = store.fleet.credential(acme.id)
    door.prove()
    assert store.fleet.credential(acme.id) == before
    assert door.load() == stored("first")


def test_a_door_may_save_without_loading(
    store: Store, acme: Integration, vault: Vault, door: StoredCredentials
) -> None:
    StoredCredentials(store, vault, acme).save(renewed("unread"))
    assert door.load() == renewed("unread")


def test_no_credentials_and_no_organisation(store: Store, acme: Integration, vault: Vault) -> None:
    store.fleet.remove_organization("acme")
    door = StoredCredentials(store, vault, acme)
    with pytest.raises(CredentialError, match="acme has no credentials for zendesk") as refused:
        door.load()
    assert refused.value.hint == "zendeskctl credentials set acme --system zendesk"
    with pytest.raises(StorageError, match="removed"):
        door.save(stored())


def test_one_refresher_through_whichever_door(store: Store, acme: Integration, vault: Vault) -> None:
    doors = [StoredCredentials(store, vault, acme) for _ in range(2)]
    begun, inside = threading.Event(), []

    def refresh() -> None:
        begun.set()
        with doors[1].renewing():
            inside.append("second")

    with doors[0].renewing():
        thread = threading.Thread(target=refresh)
        thread.start()
        begun.wait(10)
        inside.append("first")
    thread.join(10)
    assert inside == ["first", "second"]


def test_a_refresher_does_not_wait_for_another_integrations(store: Store, acme: Integration, vault: Vault) -> None:
    other = StoredCredentials(store, vault, replace(acme, id=99))
    renewed_other = threading.Event()

    def refresh() -> None:
        with other.renewing():
            renewed_other.set()

    with StoredCredentials(store, vault, acme).renewing():
        thread = threading.Thread(target=refresh)
        thread.start()
        assert renewed_other.wait(10)
    thread.join(10)


def test_the_end_waits_for_a_renewal_under_way(
    store: Store, acme: Integration, vault: Vault, door: StoredCredentials
) -> None:
    assert vault.await_renewals(0), "there is none"
    asking, answer = threading.Event(), threading.Event()

    def refresh() -> None:
        with door.renewing():
            asking.set()
            assert answer.wait(10)
            door.save(renewed("late"))

    thread = threading.Thread(target=refresh)
    thread.start()
    assert asking.wait(10)
    assert not vault.await_renewals(0.01)
    threading.Timer(0.05, answer.set).start()
    assert vault.await_renewals(10)
    assert StoredCredentials(store, Vault(KEY), acme).load() == renewed("late")
    thread.join(10)


def test_the_end_stores_what_the_disk_refused_before(
    database: Database, store: Store, acme: Integration, vault: Vault, door: StoredCredentials
) -> None:
    with no_room(database):
        with pytest.raises(StorageError):
            door.save(renewed("the only one"))
        assert not vault.await_renewals(0)
    assert vault.await_renewals(0)
    assert StoredCredentials(store, Vault(KEY), acme).load() == renewed("the only one")


def test_the_key_file_is_not_left_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        open_vault(tmp_path, None)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_looked_into_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be looked into"):
        open_vault(tmp_path, tmp_path / ("x" * 300))
