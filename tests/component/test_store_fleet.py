"""Organisations, integrations and credentials: all or nothing, near names, and nothing left of what is removed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pytest
from msgspec.structs import replace

from tests.fixtures.stores import (
    NOW,
    add_organization,
    begin_run,
    is_consistent,
    new_organization,
    record,
    table,
    write,
)
from zendeskd.db import Database
from zendeskd.errors import Conflict, NotFound, StorageError
from zendeskd.models import Integration, Link, Quarantined, State
from zendeskd.store import Store, removal
from zendeskd.store.fleet import NewOrganization, SealedCredential

SEALED = SealedCredential(kind="api_token", ciphertext="v1:other", expires_at=NOW + timedelta(days=1))


def test_what_was_added_is_there(store: Store) -> None:
    due = NOW + timedelta(minutes=5)
    store.fleet.apply([new_organization("acme", tags=("a", "ü"), next_run_at=due)], [], NOW)
    org = store.fleet.organization("acme")
    assert (org.name, org.timezone, org.tags, org.created_at) == ("Acme", "UTC", ("a", "ü"), NOW)
    one = store.fleet.integration("acme", "zendesk")
    assert (one.organization_name, one.base_url, one.strategy) == ("Acme", "https://acme.zendesk.com", "export")
    assert (one.is_active, one.state, one.next_run_at, one.total_records) == (True, State.IDLE, due, 0)
    assert (one.credential_kind, one.credential_expires_at) == ("bearer", None)
    assert store.fleet.integration_by_id(one.id) == one
    assert store.fleet.integrations() == store.fleet.integrations("zendesk") == [one]
    assert store.fleet.integrations("jira") == []


def test_an_inactive_one_is_stopped(store: Store) -> None:
    assert add_organization(store, "acme", is_active=False).state is State.STOPPED


def test_adding_is_all_or_nothing(store: Store, acme: Integration) -> None:
    with pytest.raises(Conflict, match="organisation acme already"):
        store.fleet.apply([new_organization("globex"), new_organization("acme")], [], NOW)
    with pytest.raises(NotFound, match="no organisation globexx"):
        store.fleet.apply([new_organization("globex")], [new_organization("globexx")], NOW)
    assert [org.id for org in store.fleet.organizations()] == ["acme"]


def test_updating_sets_the_configuration_and_keeps_the_position(store: Store, acme: Integration) -> None:
    write(begin_run(store, acme), [record(1)], cursor="c1")
    new = new_organization("acme", name="Acme Ltd", tags=("x",), credential=None)
    new = replace(new, integrations=(replace(new.integrations[0], sync_interval="0 * * * *"),))
    store.fleet.apply([], [new], NOW)
    one = store.fleet.integration("acme", "zendesk")
    assert (one.organization_name, one.sync_interval, one.cursor, one.total_records) == (
        "Acme Ltd",
        "0 * * * *",
        "c1",
        1,
    )
    assert one.credential_kind == "bearer"
    assert store.fleet.organization("acme").tags == ("x",)
    store.fleet.apply([], [NewOrganization(id="acme", name="Acme", timezone="UTC")], NOW)
    assert len(store.fleet.integrations()) == 1  # what is not given stays


def test_updating_switches_on_and_off_but_does_not_unblock(store: Store, acme: Integration) -> None:
    store.fleet.change(acme.id, state=State.BLOCKED, blocked_at=NOW)
    store.fleet.apply([], [new_organization("acme", credential=None)], NOW)
    assert store.fleet.integration_by_id(acme.id).state is State.BLOCKED
    store.fleet.apply([], [new_organization("acme", credential=SEALED)], NOW)
    assert store.fleet.integration_by_id(acme.id).state is State.IDLE
    store.fleet.apply([], [new_organization("acme", credential=None, is_active=False)], NOW)
    assert store.fleet.integration_by_id(acme.id).state is State.STOPPED


def test_updating_what_is_stopped_leaves_who_stopped_it_and_until_when(store: Store, acme: Integration) -> None:
    until = NOW + timedelta(hours=2)
    stopped = {"stopped_by": "ana", "stop_reason": "change freeze", "stopped_until": until}
    store.fleet.change(acme.id, is_active=False, state=State.STOPPED, **stopped)
    store.fleet.apply([], [new_organization("acme", credential=None, is_active=False, integration_timezone="UTC")], NOW)
    one = store.fleet.integration_by_id(acme.id)
    assert (one.timezone, one.stopped_by, one.stop_reason, one.stopped_until) == ("UTC", *stopped.values())
    store.fleet.apply([], [new_organization("acme", credential=None, is_active=True)], NOW)
    assert store.fleet.integration_by_id(acme.id).stopped_by is None


def test_unknown_names_get_near_ones(store: Store) -> None:
    with pytest.raises(NotFound) as missing:
        store.fleet.organization("acme")
    assert "zendeskctl org add" in missing.value.hint
    for name in ("acme", "acme-eu", "globex"):
        add_organization(store, name)
    with pytest.raises(NotFound, match="There is no organisation acmee") as missing:
        store.fleet.integration("acmee", "zendesk")
    assert missing.value.hint == "Did you mean acme or acme-eu?"
    with pytest.raises(NotFound) as missing:
        store.fleet.organization("quite\0different")
    assert "zendeskctl org list" in missing.value.hint
    with pytest.raises(NotFound, match="acme has no jira") as missing:
        store.fleet.integration("acme", "jira")
    assert missing.value.hint == "It has zendesk."
    store.fleet.apply([NewOrganization(id="bare", name="Bare", timezone="UTC")], [], NOW)
    with pytest.raises(NotFound, match="bare has no zendesk"):
        store.fleet.integration("bare", "zendesk")
    with pytest.raises(NotFound, match="no integration 77"):
        store.fleet.integration_by_id(77)


def test_changing_an_organisation(store: Store, acme: Integration) -> None:
    assert store.fleet.change_organization("acme", name="New").name == "New"
    changed = store.fleet.change_organization("acme", timezone="Europe/Berlin", tags=["b\0"])
    assert (changed.name, changed.timezone, changed.tags) == ("New", "Europe/Berlin", ("b\ufffd",))
    assert store.fleet.change_organization("acme") == changed
    with pytest.raises(NotFound):
        store.fleet.change_organization("nobody", name="x")


def test_changing_an_integration(store: Store, acme: Integration) -> None:
    changed = store.fleet.change(
        acme.id, is_active=False, state=State.STOPPED, stopped_until=NOW, stop_reason="a\ud800"
    )
    assert (changed.is_active, changed.state, changed.stopped_until) == (False, State.STOPPED, NOW)
    assert changed.stop_reason == "a\ufffd"
    assert store.fleet.change(acme.id) == changed
    for column in ("id", "organization_name", "credential_kind", "no_such"):
        with pytest.raises(TypeError, match=column):
            store.fleet.change(acme.id, **{column: 1})
    with pytest.raises(NotFound):
        store.fleet.change(99, is_active=True)


@pytest.mark.parametrize(
    "written", ["is_active = 2", "is_active = 'yes'", "consecutive_failures = 3.7", "base_url = x'6162'"]
)
def test_a_row_changed_by_hand_reads_the_same_alone_and_in_a_list(
    database: Database, store: Store, acme: Integration, written: str
) -> None:
    with database.writing() as connection:
        connection.execute(f"UPDATE integrations SET {written}")
    one = store.fleet.integration_by_id(acme.id)
    assert one == store.fleet.integration("acme", "zendesk") == store.fleet.integrations()[0]


def test_new_credentials_free_a_blocked_integration(store: Store, acme: Integration) -> None:
    store.fleet.change(acme.id, state=State.BLOCKED, blocked_at=NOW, last_sync_at=NOW, next_run_at=None)
    freed = store.fleet.put_credential("acme", "zendesk", SEALED, NOW)
    assert (freed.state, freed.blocked_at, freed.next_run_at) == (State.IDLE, None, NOW)
    assert (freed.credential_kind, freed.credential_expires_at) == ("api_token", SEALED.expires_at)
    later = store.fleet.put_credential("acme", "zendesk", SEALED, NOW + timedelta(hours=1))
    assert later.next_run_at == NOW  # not blocked, and it ran before
    with pytest.raises(NotFound):
        store.fleet.put_credential("nobody", "zendesk", SEALED, NOW)


def test_first_credentials_make_it_due(store: Store) -> None:
    add_organization(store, "acme", credential=None)
    assert store.fleet.ciphertexts() == []
    assert store.fleet.put_credential("acme", "zendesk", SEALED, NOW).next_run_at == NOW
    assert len(store.fleet.ciphertexts()) == 1
    add_organization(store, "globex", credential=None, is_active=False)
    assert store.fleet.put_credential("globex", "zendesk", SEALED, NOW).next_run_at is None


def test_a_renewal_does_not_replace_what_a_person_gave(store: Store, acme: Integration) -> None:
    first = store.fleet.credential(acme.id)
    assert first is not None
    renewed = replace(first, ciphertext="v1:renewed", expires_at=NOW)
    assert store.fleet.renew_credential(acme.id, renewed, NOW) is True
    assert store.fleet.credential(acme.id) == renewed
    store.fleet.put_credential("acme", "zendesk", SEALED, NOW)
    assert store.fleet.renew_credential(acme.id, replace(renewed, ciphertext="v1:late"), NOW) is False
    current = store.fleet.credential(acme.id)
    assert current is not None
    assert current.ciphertext == "v1:other"
    store.fleet.remove_organization("acme")
    assert store.fleet.credential(acme.id) is None
    with pytest.raises(StorageError, match="removed"):
        store.fleet.renew_credential(acme.id, renewed, NOW)


def test_when_credentials_were_last_accepted(database: Database, store: Store, acme: Integration) -> None:
    store.fleet.verified(acme.id, NOW)
    assert table(database, "SELECT verified_at FROM credentials") == [("2026-11-23T14:05:00.000Z",)]
    store.fleet.put_credential("acme", "zendesk", SEALED, NOW)
    assert table(database, "SELECT verified_at FROM credentials") == [(None,)]


def test_an_export_is_what_would_be_added_without_any_secret(store: Store) -> None:
    store.fleet.apply([new_organization("acme", tags=("a",)), new_organization("globex", integrations=())], [], NOW)
    exported = store.fleet.export()
    assert [org.id for org in exported] == ["acme", "globex"]
    assert "sealed" not in repr(exported)
    store.fleet.remove_organization("acme")
    store.fleet.remove_organization("globex")
    store.fleet.apply(exported, [], NOW)
    assert store.fleet.export() == exported


def fill(store: Store, integration: Integration) -> None:
    pages = begin_run(store, integration)
    links = (Link("incident_of", "zendesk", "ticket", "2"),)
    write(pages, [record(n, links=links) for n in range(25)], quarantined=[Quarantined("{", "garbled")], cursor="c")
    store.reconciliations.begin(integration, None, NOW)


TABLES = (
    *("organizations", "integrations", "credentials", "sync_logs", "flow_records", "record_links"),
    *("quarantined_records", "daily_counts", "reconciliations"),
)


def rows(db: Database) -> dict[str, int]:
    return {name: table(db, f"SELECT count(*) FROM {name}")[0][0] for name in TABLES}


def test_nothing_is_left_of_a_removed_organisation(
    database: Database, store: Store, acme: Integration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "_BATCH", 7)
    fill(store, acme)
    alone = rows(database)
    fill(store, add_organization(store, "globex"))
    store.fleet.remove_organization("acme")
    assert rows(database) == alone
    assert [org.id for org in store.fleet.organizations()] == ["globex"]
    assert is_consistent(database)
    store.fleet.remove_organization("globex")
    assert set(rows(database).values()) == {0}
    assert table(database, "SELECT * FROM flow_records_fts WHERE flow_records_fts MATCH 'ticket'") == []
    with pytest.raises(NotFound):
        store.fleet.remove_organization("globex")


@dataclass
class PowerCut(Exception):
    """Stands for the end of the process."""


def test_a_removal_that_is_cut_short_does_not_leave_a_copy_that_looks_whole(
    database: Database, store: Store, acme: Integration, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, acme)
    monkeypatch.setattr(removal, "_BATCH", 10)
    forget, calls = removal.search.forget, []

    def cut(*args: object) -> None:
        calls.append(args)
        if len(calls) == 2:
            raise PowerCut
        forget(*args)

    with monkeypatch.context() as patched:
        patched.setattr(removal.search, "forget", cut)
        with pytest.raises(PowerCut):
            store.fleet.remove_organization("acme")
    left = store.fleet.integration("acme", "zendesk")
    assert (left.is_active, left.cursor, left.watermark, left.credential_kind) == (False, None, None, None)
    assert rows(database)["flow_records"] == 15
    assert is_consistent(database)
    store.fleet.remove_organization("acme")
    assert set(rows(database).values()) == {0}


def test_a_row_that_someone_broke_is_named(database: Database, store: Store, acme: Integration) -> None:
    with database.writing() as connection:
        connection.execute("UPDATE integrations SET next_run_at = 'tomorrow'")
    with pytest.raises(StorageError, match=r"cannot be read as Integration \(1\).*next_run_at"):
        store.fleet.integrations()
    with database.writing() as connection:
        connection.execute("UPDATE organizations SET tags = 'a, b'")
    with pytest.raises(StorageError, match=r"Organization \(acme\)"):
        store.fleet.organizations()
