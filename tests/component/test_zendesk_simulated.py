"""The source against the simulated Zendesk: whatever happens on the way, the copy is what the account holds."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator

import msgspec
import pytest

from tests.fakes import integration
from tests.fixtures.loopback import FastTime, MemoryDoor
from tests.fixtures.simulated import SimulatedTime
from zendeskd.cancel import CancelToken
from zendeskd.connectors import build, zendesk_export
from zendeskd.connectors.zendesk import ZendeskConnector
from zendeskd.errors import CredentialError, CursorInvalid, CursorStuck, NetworkError, PermissionDenied, RunError
from zendeskd.models import (
    AnyCredential,
    Page,
    Position,
    Quarantined,
    Record,
    StoredCredential,
    Waiting,
    dec_secret,
)
from zendeskd.simulator import Account, Simulator

KINDS = ("api_token", "bearer", "oauth_client_credentials", "oauth_refresh_token")


def door_of(account: Account, kind: str = "api_token") -> MemoryDoor:
    credential = msgspec.convert(account.credential_of(kind), AnyCredential, dec_hook=dec_secret)
    return MemoryDoor(StoredCredential(credential))


class Copy:
    """What a store would hold: the newest delivery of each ticket, and the place in the stream."""

    def __init__(self, account: Account, time: FastTime, *, strategy: str = "export", kind: str = "api_token") -> None:
        self.account, self.time, self.strategy = account, time, strategy
        self.door = door_of(account, kind)
        self.connector = ZendeskConnector(time)
        self.records: dict[str, Record] = {}
        self.deleted: dict[str, str] = {}
        self.quarantined: list[Quarantined] = []
        self.cursor: str | None = None
        self.waits: list[Waiting] = []

    def run(self) -> list[Page]:
        cancel = CancelToken()
        one = integration(base_url=self.account.base_url, strategy=self.strategy)
        source = self.connector.open(one, self.door, cancel, lambda wait: wait and self.waits.append(wait))
        pages = []
        try:
            for page in source.pages(Position(self.strategy, cursor=self.cursor)):
                self.store(page)
                pages.append(page)
        finally:
            source.close()
            self.calls = source.calls
        assert pages[-1].end_of_stream
        return pages

    def store(self, page: Page) -> None:
        for record in page.records:
            known = self.records.get(record.external_id)
            if known is None or known.source_version <= record.source_version:
                self.records[record.external_id] = record
                self.deleted.pop(record.external_id, None)
        self.deleted |= {one.external_id: one.deleted_at for one in page.deletions if one.external_id in self.records}
        self.quarantined += page.quarantined
        self.cursor = page.cursor or self.cursor

    def assert_true(self) -> None:
        """Every ticket is here, byte for byte."""
        truth = {str(number): raw for number, raw in self.account.tickets().items()}
        assert {number: record.raw for number, record in self.records.items()} == truth


_numbers = itertools.count(1)


def made(simulator: Simulator, **options: object) -> Account:
    """An account of its own for one test."""
    return simulator.add_account(f"acme-{next(_numbers)}", **options)


@pytest.fixture(scope="module")
def running() -> Iterator[Simulator]:
    """One for all tests of the module: starting takes longer than most of them."""
    with Simulator(seed=1) as simulator:
        yield simulator


@pytest.fixture
def simulator(running: Simulator) -> Iterator[Simulator]:
    yield running
    for account in running.accounts.values():
        account.clear_faults()
    running.accounts.clear()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_credential_copies_every_ticket(kind: str, simulator: Simulator, time: FastTime) -> None:
    account = made(simulator, tickets=1500, body_bytes=500, deleted=20)
    copy = Copy(account, time, kind=kind)
    copy.run()
    copy.assert_true()
    assert sum(record.deleted_at is not None for record in copy.records.values()) == 20
    assert all(record.requester for record in copy.records.values() if record.deleted_at is None)
    assert copy.run()[-1].records == []


def test_what_changes_is_what_comes_next_time(simulator: Simulator, time: FastTime) -> None:
    account = made(simulator, tickets=300, body_bytes=300)
    copy = Copy(account, time)
    copy.run()
    before = dict(copy.records)
    changed, touched = account.change(7), account.touch([1, 2, 3])
    added, deleted = account.add(5), account.delete([10, 11])
    account.scrub([12])
    account.strange([13])
    account.archive(4)
    pages = copy.run()
    copy.assert_true()
    came = {int(record.external_id) for page in pages for record in page.records}
    assert came == {*changed, *touched, *added, *deleted, 12, 13}
    only_touched = set(touched) - set(changed)
    assert all(copy.records[str(n)].content_hash == before[str(n)].content_hash for n in only_touched)
    assert all(copy.records[str(n)].deleted_at for n in (*deleted, 12))
    assert copy.quarantined == []
    assert all("\0" not in text for text in (copy.records["13"].title or "", copy.records["13"].body or ""))
    account.restore(deleted)
    copy.run()
    assert all(copy.records[str(n)].deleted_at is None for n in deleted)


FAULTS: list[tuple[str, dict[str, object]]] = [
    ("status", {"status": 500}),
    ("status", {"status": 503, "retry_after": 9}),
    ("rate_limited", {"retry_after": 20}),
    ("rate_limited", {"retry_after": "soon", "is_text": True}),
    ("rate_limited", {"retry_after_date_s": 30, "budget": "account"}),
    ("rate_limited", {}),
    ("too_big", {"above": 400, "times": None}),
    ("html", {}),
    ("not_json", {}),
    ("wrong_shape", {}),
    ("unauthorized", {}),
    ("too_recent", {}),
    ("too_recent", {"is_legacy": True}),
    ("short_page", {}),
    ("duplicates", {}),
    ("duplicates", {"is_stale": True}),
    ("duplicates_across", {}),
    ("malformed_ticket", {}),
    ("malformed_ticket", {"variant": "wrong_types"}),
    ("strange_text", {}),
    ("reset", {}),
    ("reset", {"at": "within"}),
    ("truncated", {}),
    ("bad_gzip", {}),
    ("slow", {"delay_s": 0.05, "chunk": 100_000}),
    ("huge_body", {}),
]


@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize(("kind", "options"), FAULTS, ids=[f"{kind}-{n}" for n, (kind, _) in enumerate(FAULTS)])
def test_trouble_on_the_way_costs_nothing(
    kind: str, options: dict[str, object], after: int, simulator: Simulator, time: FastTime
) -> None:
    account = made(simulator, tickets=1200, body_bytes=100)
    fault = account.fault(kind, on="export", after=after, **options)  # type: ignore[arg-type]
    copy = Copy(account, time)
    copy.run()
    assert fault.hits
    if kind == "too_recent" and after:  # where a cursor is as recent as that, there is nothing new behind it
        copy.run()
    copy.assert_true()


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("redirect", NetworkError),
        ("forbidden", PermissionDenied),
        ("null_cursor", CursorStuck),
        ("stuck_cursor", CursorStuck),
        ("expired_cursor", CursorInvalid),
        ("unauthorized", CredentialError),
    ],
)
def test_trouble_that_lasts_has_its_name(
    fault: str, kind: type[RunError], simulator: Simulator, time: FastTime
) -> None:
    account = made(simulator, tickets=2500, body_bytes=100)
    account.fault(fault, on="export", times=None, after=1)
    copy = Copy(account, time)
    with pytest.raises(kind):
        copy.run()
    assert len(copy.records) >= 1000  # what came before is kept
    account.clear_faults()
    copy.run()
    copy.assert_true()


@pytest.mark.parametrize("variant", ["no_id", "null_id", "text_id", "wrong_types", "not_an_object"])
def test_a_malformed_ticket_is_set_aside_alone(variant: str, simulator: Simulator, time: FastTime) -> None:
    account = made(simulator, tickets=50)
    account.fault("malformed_ticket", times=2, variant=variant)
    copy = Copy(account, time)
    copy.run()
    assert len(copy.records) == 49
    assert copy.calls.retries == 1
    (aside,) = copy.quarantined
    assert aside.reason
    json.loads(aside.raw)


@pytest.mark.parametrize(("strategy", "pages"), [("export", 3), ("list", 25)])
def test_where_asking_once_more_does_not_help_no_further_page_is_asked_for_again(
    strategy: str, pages: int, simulator: Simulator, time: FastTime
) -> None:
    account = made(simulator, tickets=2500, body_bytes=100)
    account.fault("malformed_ticket", times=None)
    copy = Copy(account, time, strategy=strategy)
    copy.run()
    assert len(copy.quarantined) == pages
    assert copy.calls.retries == 1


def test_the_export_budget_is_kept_without_one_429(simulator: Simulator, time: FastTime) -> None:
    account = made(simulator, tickets=7500, body_bytes=50, export_per_minute=3)
    copy = Copy(account, time)
    copy.run()
    copy.assert_true()
    assert {seen.status for seen in account.requests} == {200}
    assert {wait.reason for wait in copy.waits} == {"export budget used up"}
    assert copy.calls.rate_limit_wait_ms > 60_000


def test_runs_at_the_same_time_share_one_export_budget_without_one_429(simulator: Simulator) -> None:
    account = made(simulator, tickets=30, body_bytes=50, export_per_minute=12)
    time = SimulatedTime(simulator)
    connector = ZendeskConnector(time)
    copies = [Copy(account, time) for _ in range(4)]

    def runs(copy: Copy) -> None:
        copy.connector = connector
        for _ in range(8):
            copy.cursor = None
            copy.run()

    threads = [threading.Thread(target=runs, args=(copy,)) for copy in copies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert {seen.status for seen in account.requests} == {200}
    assert len(account.requests) == 32
    for copy in copies:
        copy.assert_true()


def test_old_headers_are_understood_too(simulator: Simulator, time: FastTime) -> None:
    account = made(simulator, tickets=4500, body_bytes=50, export_per_minute=2, old_headers=True)
    copy = Copy(account, time)
    copy.run()
    copy.assert_true()


def test_a_quarter_of_the_account_is_left_to_others(simulator: Simulator, time: FastTime) -> None:
    account = made(simulator, tickets=2000, body_bytes=50, account_per_minute=20)
    copy = Copy(account, time, strategy="list")
    copy.run()
    assert {wait.reason for wait in copy.waits} == {"account budget at a quarter"}
    assert {seen.status for seen in account.requests} == {200}


@pytest.mark.parametrize("kind", ["oauth_client_credentials", "oauth_refresh_token"])
def test_tokens_that_end_during_a_run_are_renewed(
    kind: str, simulator: Simulator, time: FastTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zendesk_export, "_FAR_S", float("inf"))  # each page is asked for after the token ended
    account = made(simulator, tickets=3500, body_bytes=50)
    copy = Copy(account, time, kind=kind)
    store: Callable[[Page], None] = copy.store

    def expiring(page: Page) -> None:
        account.expire_tokens()
        store(page)

    copy.store = expiring  # type: ignore[method-assign]
    copy.run()
    copy.assert_true()
    assert len(copy.door.saved) >= 4


def test_revoked_credentials_are_named_and_new_ones_go_on(simulator: Simulator, time: FastTime) -> None:
    account = made(simulator, tickets=30)
    copy = Copy(account, time, kind="oauth_refresh_token")
    copy.run()
    account.revoke_client()
    with pytest.raises(CredentialError, match=r"invalid_(client|grant)"):
        copy.run()
    copy.door = door_of(account, "oauth_refresh_token")
    account.add(3)
    copy.run()
    copy.assert_true()


@pytest.mark.parametrize("kind", KINDS)
def test_a_check_says_who_it_is(kind: str, simulator: Simulator) -> None:
    account = made(simulator, tickets=5)
    source = build()["zendesk"].open(
        integration(base_url=account.base_url), door_of(account, kind), CancelToken(), lambda wait: None
    )
    identity = source.check()
    source.probe()
    source.close()
    assert identity.role == "admin"
    assert "@" in identity.user


def test_an_unknown_account_is_named(simulator: Simulator, time: FastTime) -> None:
    account = made(simulator, tickets=5)
    copy = Copy(account, time)
    account.base_url += "-typo"
    with pytest.raises(NetworkError, match="There is no Zendesk account"):
        copy.run()


# --- the list strategy ------------------------------------------------------------------------------------------------


def test_the_list_copies_what_it_shows_and_follows_changes_and_deletions(simulator: Simulator, time: FastTime) -> None:
    account = made(simulator, tickets=450, body_bytes=200, deleted=10)
    account.archive(20)
    copy = Copy(account, time, strategy="list")
    copy.run()

    def shown() -> dict[str, bytes]:
        return {str(number): raw for number, raw in account.listed().items()}

    assert {number: record.raw for number, record in copy.records.items()} == shown()
    account.forget_requests()
    changed, gone = account.change(5), account.delete(list(account.listed())[:3])  # an archived one is in no list
    copy.run()
    assert set(copy.deleted) == {str(n) for n in gone}
    alive = {number: record.raw for number, record in copy.records.items() if number not in copy.deleted}
    assert alive == shown()
    assert len([seen for seen in account.requests if seen.kind == "list"]) == 1
    assert set(changed) - set(gone)
    account.restore(gone)
    copy.run()
    assert copy.deleted == {}


@pytest.mark.parametrize("on", ["list", "deleted"])
@pytest.mark.parametrize("fault", ["html", "reset", "truncated", "rate_limited", "unauthorized"])
def test_trouble_with_the_lists_costs_nothing(fault: str, on: str, simulator: Simulator, time: FastTime) -> None:
    account = made(simulator, tickets=250, body_bytes=100)
    struck = account.fault(fault, on=on)
    copy = Copy(account, time, strategy="list")
    copy.run()
    assert struck.hits == 1
    assert set(copy.records) == {str(number) for number in account.listed()}


def test_a_list_cursor_that_expired_is_invalid(simulator: Simulator, time: FastTime) -> None:
    account = made(simulator, tickets=250, body_bytes=100)
    copy = Copy(account, time, strategy="list")
    copy.run()
    account.fault("expired_cursor", on="list", times=None)
    with pytest.raises(CursorInvalid):
        copy.run()


# --- the comparison ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["export", "list"])
def test_what_vanished_is_not_confirmed_and_what_moved_is(strategy: str, simulator: Simulator, time: FastTime) -> None:
    account = made(simulator, tickets=350, body_bytes=100)
    purged, archived = account.purge([5, 6]), account.archive([7, 8])
    source = ZendeskConnector(time).open(
        integration(base_url=account.base_url, strategy=strategy), door_of(account), CancelToken(), lambda wait: None
    )
    try:
        seen = {int(record.external_id) for page in source.census(Position(strategy)) for record in page.records}
        there = {int(record.external_id) for record in source.confirm([str(n) for n in (*purged, *archived)])}
    finally:
        source.close()
    assert set(purged).isdisjoint(seen)
    assert there == set(archived)
    assert set(archived).isdisjoint(seen) == (strategy == "list")
