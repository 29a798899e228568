"""The parts of the daemon put together in this process: what the clock does at night, and threads that stand still."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from tests.fixtures.stores import PIECES, table
from tests.waiting import wait_for
from zendeskd import wire
from zendeskd.assembly import Assembly
from zendeskd.client import ApiError, Client
from zendeskd.config import Config, load
from zendeskd.errors import ConfigError
from zendeskd.models import stamp_or_none, utcnow
from zendeskd.runs.workers import Turn
from zendeskd.simulator import Simulator


def configured(folder: Path, text: str = "") -> Config:
    file = folder / "zendeskd.toml"
    file.write_text(text)
    folders = {f"{name}_dir": str(folder / name) for name in ("state", "runtime", "log")}
    (folder / "state").mkdir(exist_ok=True)
    return load({**folders, "config": str(file)}, {})


@pytest.fixture
def assembly(short_dir: Path) -> Iterator[Assembly]:
    one = Assembly(configured(short_dir, "workers = 2\n"), lambda: configured(short_dir, one_text[0]))
    one_text = ["workers = 2\n"]
    one.file_text = one_text  # type: ignore[attr-defined]
    one.open()
    yield one
    assert one.close(10)


@pytest.fixture
def client(assembly: Assembly, short_dir: Path) -> Iterator[Client]:
    with Client(short_dir / "runtime" / "control.sock") as one:
        yield one


def add(client: Client, org: str, base_url: str, credential: dict[str, str], **options: object) -> None:
    known: dict[str, object] = {"interval": "0 0 1 1 *", "lookback": "all"}
    spec = wire.IntegrationSpec(
        base_url=base_url,
        credentials=msgspec.Raw(msgspec.json.encode(credential)),
        **{**known, **options},  # type: ignore[arg-type]
    )
    client.add_organization(wire.OrganizationSpec(id=org, integrations=[spec]))


def test_every_night_the_fleet_is_compared(assembly: Assembly, client: Client, simulator: Simulator) -> None:
    account = simulator.add_account("acme", tickets=40)
    add(client, "acme", account.base_url, account.credential)
    add(client, "idle", account.base_url, account.credential, is_active=False)
    wait_for(lambda: client.sync_status_one("acme").last_success_at, "the first run")
    account.purge(4)
    assert assembly.jobs is not None
    planned = assembly.jobs.clock.next_run_of("reconcile")
    assert planned is not None
    assert planned - utcnow() <= timedelta(days=1)
    assembly.jobs.clock.bring_forward("reconcile", utcnow())
    found = wait_for(
        lambda: (r := client.sync_status_one("acme").reconciled) and r.status == "verified" and r, "the comparison"
    )
    assert (found.requested_by, found.vanished, found.repaired) == ("schedule", 4, 4)
    assert client.sync_status_one("idle").reconciled is None
    wait_for(lambda: client.sync_status_one("acme").total_records == 36, "the number without the four")


def test_reconciling_can_be_switched_off_and_on_while_running(assembly: Assembly, client: Client) -> None:
    assert assembly.jobs is not None
    assembly.file_text[0] = 'workers = 2\n[reconcile]\nschedule = "off"\n'  # type: ignore[attr-defined]
    (change,) = client.reload().changes
    assert (change.key, change.new, change.applied) == ("reconcile.schedule", '"off"', True)
    assert assembly.jobs.clock.next_run_of("reconcile") is None
    assembly.file_text[0] = "workers = 2\n"  # type: ignore[attr-defined]
    client.reload()
    assert assembly.jobs.clock.next_run_of("reconcile") is not None


def test_backups_keep_to_their_schedule_and_a_reload_changes_it(assembly: Assembly, client: Client) -> None:
    assert assembly.jobs is not None
    known = client.status().backup
    assert known is not None
    assert (known.schedule, known.keep, known.recent) == ("0 3 * * *", 7, [])
    assert known.next_at == stamp_or_none(assembly.jobs.clock.next_run_of("backup"))
    assembly.jobs.clock.bring_forward("backup", utcnow())
    made = wait_for(lambda: (now := client.status().backup) and now.recent, "the backup")[0]
    assert (made.trouble, made.requested_by, Path(made.path).parent.name) == (None, "schedule", "backups")
    assembly.file_text[0] = 'workers = 2\n[backup]\nschedule = "off"\nkeep = 2\n'  # type: ignore[attr-defined]
    assert {(c.key, c.applied) for c in client.reload().changes} == {("backup.schedule", True), ("backup.keep", True)}
    known = client.status().backup
    assert known is not None
    assert (known.schedule, known.keep, known.next_at) == (None, 2, None)


def test_a_backup_that_was_missed_for_long_is_made_at_the_start(
    short_dir: Path, assembly: Assembly, client: Client
) -> None:
    made = Path(client.backup().path)
    wait_for(lambda: (now := client.status().backup) and now.recent, "the backup")
    assert assembly.close(10)
    old = made.rename(made.with_name("zendeskd-20260101T080000Z.db"))
    again = Assembly(configured(short_dir), lambda: configured(short_dir))
    again.open()
    try:
        with Client(short_dir / "runtime" / "control.sock") as other:
            newest, before = wait_for(
                lambda: (now := other.status().backup) and len(now.recent) == 2 and now.recent, "the missed backup"
            )
            assert (newest.requested_by, newest.trouble) == ("schedule", None)
            assert (before.requested_by, before.path) == (None, str(old))
    finally:
        assert again.close(10)


def test_a_new_host_has_missed_nothing(assembly: Assembly, client: Client) -> None:
    assert assembly.jobs is not None
    due = assembly.jobs.clock.next_run_of("backup")
    assert due is not None
    assert due > utcnow()


def test_a_wrong_file_is_refused_at_reload_and_the_old_settings_stay(assembly: Assembly, client: Client) -> None:
    assembly.file_text[0] = 'lookbak = "3d"\n'  # type: ignore[attr-defined]
    with pytest.raises(ApiError) as refused:
        client.reload()
    assert (refused.value.status, refused.value.problem.code) == (422, "config_error")
    assert "did you mean lookback?" in refused.value.detail
    with pytest.raises(ConfigError):
        assembly.reload()


def test_what_waits_for_a_restart_is_told_at_each_reload(assembly: Assembly, client: Client) -> None:
    assembly.file_text[0] = 'workers = 4\nlookback = "3d"\n'  # type: ignore[attr-defined]
    assert {(c.key, c.applied) for c in client.reload().changes} == {("workers", False), ("lookback", True)}
    assert client.status().workers == 2
    assert [(c.key, c.old, c.new) for c in client.reload().changes] == [("workers", "2", "4")]


def test_old_rows_go_at_their_time(assembly: Assembly, client: Client, simulator: Simulator) -> None:
    account = simulator.add_account("acme", tickets=1)
    add(client, "acme", account.base_url, account.credential)
    wait_for(lambda: client.sync_status_one("acme").last_success_at, "the first run")
    assert assembly.jobs is not None
    before = len(client.runs(org="acme").items)
    assembly.jobs.clock.bring_forward("prune", utcnow())
    wait_for(
        lambda: (at := assembly.jobs and assembly.jobs.clock.next_run_of("prune")) and at > utcnow(), "the pruning"
    )
    assert len(client.runs(org="acme").items) == before


def test_the_pieces_of_the_search_index_are_merged(assembly: Assembly, client: Client, simulator: Simulator) -> None:
    assert assembly.jobs is not None
    for number in range(5):
        account = simulator.add_account(f"org{number}", tickets=1)
        add(client, f"org{number}", account.base_url, account.credential)
        wait_for(lambda name=f"org{number}": client.sync_status_one(name).last_success_at, "the first run")
    assembly.jobs.clock.bring_forward("merge", utcnow())
    assert assembly._context is not None
    database = assembly._context.database
    wait_for(lambda: table(database, PIECES) < [(4,)], "the merging")


def test_a_lost_database_is_noticed_while_every_comparison_takes_long(
    assembly: Assembly, client: Client, short_dir: Path
) -> None:
    assert assembly.jobs is not None
    database, away, held = short_dir / "state" / "zendeskd.db", short_dir / "away.db", threading.Event()
    for _ in range(4):
        assembly.jobs._workers.put(Turn.COMPARISON, lambda: held.wait(30) and None, "comparison")
    try:
        database.rename(away)
        assembly.jobs.clock.bring_forward("look", utcnow())
        wait_for(lambda: client.status().database.trouble == "file is gone", "the loss to be noticed")
        away.rename(database)
        assembly.jobs.clock.bring_forward("look", utcnow())
        wait_for(lambda: client.status().database.trouble is None, "its end to be noticed")
    finally:
        held.set()


def test_the_database_stays_open_until_a_renewal_under_way_is_stored(short_dir: Path) -> None:
    one = Assembly(configured(short_dir), lambda: configured(short_dir))
    one.open()
    assert one._context is not None
    context, asking, answer = one._context, threading.Event(), threading.Event()
    stored: list[object] = []

    def renew() -> None:
        with context.vault.renewing(context.vault.renewal(1)):
            asking.set()
            answer.wait(10)
            with context.database.writing() as connection:
                stored.append(connection.execute("SELECT 1").fetchone())

    thread = threading.Thread(target=renew)
    thread.start()
    assert asking.wait(10)
    closing = threading.Thread(target=one.close, args=(5,))
    closing.start()
    closing.join(0.3)
    assert closing.is_alive()
    answer.set()
    closing.join(10)
    thread.join(10)
    assert stored == [(1,)]


def test_a_scheduler_that_stands_still_is_noticed(assembly: Assembly, client: Client) -> None:
    assert assembly.stuck() == []
    assert assembly.jobs is not None
    held = threading.Event()

    def hang() -> None:
        held.wait(30)

    assembly.jobs.clock.put("hang", None, hang, next_run=utcnow())
    wait_for(lambda: assembly.jobs and assembly.jobs.pulses()["scheduler"] > 0.3, "the scheduler to hang")
    assembly.jobs._moved_at -= 120
    try:
        assert assembly.stuck() == ["scheduler"]
        assert not client.health().ok
    finally:
        held.set()
    wait_for(lambda: assembly.stuck() == [], "the scheduler to move again")
    wait_for(lambda: client.health().ok, "health")


def test_every_change_is_told_as_an_event(
    assembly: Assembly, client: Client, simulator: Simulator, short_dir: Path
) -> None:
    account = simulator.add_account("acme", tickets=5)
    seen: list[wire.Event] = []
    done = threading.Event()

    def listen() -> None:
        with Client(short_dir / "runtime" / "control.sock") as listener:
            for event in listener.events():
                seen.append(event)
                if event.event == "removed":
                    done.set()
                    return

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        wait_for(lambda: seen, "the hello")
        add(client, "acme", account.base_url, account.credential)
        wait_for(lambda: client.sync_status_one("acme").last_success_at, "the first run")
        client.remove_organization("acme")
        assert done.wait(10)
    finally:
        thread.join(10)
    assert seen[0].event == "hello"
    assert [e.seq for e in seen[1:]] == list(range(seen[1].seq, seen[1].seq + len(seen) - 1))
    assert [e.run.status for e in seen if e.run is not None] == ["queued", "running", "success"]
    assert [e.item.state for e in seen if e.item is not None][-1] == "idle"
    assert {(e.organization_id, e.system_type) for e in seen if e.event == "removed"} == {("acme", "zendesk")}
