"""What `zendeskd doctor` finds: on a new host, beside a daemon, without one, and when something is wrong."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from tests.fixtures.daemons import DaemonProcess
from tests.fixtures.loopback import Loopback, Reply
from tests.waiting import wait_for
from zendeskd import cli, copies, paths
from zendeskd.db import Database
from zendeskd.doctor import copy_at_rest
from zendeskd.doctor.examination import examine
from zendeskd.doctor.findings import Finding, Word
from zendeskd.models import Identity, StoredCredential, utcnow
from zendeskd.secrets import open_vault, parse_credential
from zendeskd.simulator import Account, Simulator
from zendeskd.store import Store
from zendeskd.store.fleet import NewIntegration, NewOrganization


class Host:
    """Folders of a daemon that does not run, and what the doctor says about them."""

    def __init__(self, folder: Path) -> None:
        self.state, self.log = folder / "state", folder / "log"
        self.config = folder / "zendeskd.toml"
        self.config.write_text("")
        self.overrides: dict[str, object] = {
            "config": self.config,
            "state_dir": self.state,
            "runtime_dir": folder / "run",
            "log_dir": self.log,
        }

    def install(self) -> None:
        for name in ("state_dir", "runtime_dir", "log_dir"):
            Path(str(self.overrides[name])).mkdir(mode=0o750)
        database = Database(f"sqlite:///{self.state}/zendeskd.db")
        database.open()
        database.close()

    def add(self, org: str, base_url: str, credential: dict[str, Any] | None) -> None:
        database = Database(f"sqlite:///{self.state}/zendeskd.db")
        database.open()
        vault = open_vault(self.state, None)
        sealed = None
        if credential is not None:
            stored = StoredCredential(parse_credential(msgspec.json.encode(credential)))
            sealed = vault.seal(org, "zendesk", stored)
        part = NewIntegration(
            system_type="zendesk",
            base_url=base_url,
            strategy="export",
            is_active=True,
            sync_interval="*/15 * * * *",
            timezone="UTC",
            lookback="7d",
            credential=sealed,
        )
        new = NewOrganization(id=org, name=org, timezone="UTC", integrations=(part,))
        Store(database).fleet.apply([new], [], utcnow())
        database.close()

    def words(self) -> list[str]:
        return [f"--{name.replace('_', '-')}={value}" for name, value in self.overrides.items()]

    def examined(self, now: Callable[[], datetime] = utcnow) -> dict[str, list[Finding]]:
        found: dict[str, list[Finding]] = {}
        for finding in examine(self.overrides, {}, now):
            found.setdefault(finding.topic, []).append(finding)
        return found

    def says(self, topic: str, **kwargs: Any) -> Finding:
        return self.examined(**kwargs)[topic][-1]


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """The commands switch their own logging off, for their process."""
    root = logging.getLogger()
    before = list(root.handlers)
    yield
    root.handlers[:] = before
    structlog.reset_defaults()


@pytest.fixture
def host(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(paths, "UNIT_FILES", ())
    return Host(short_dir)


@pytest.fixture
def installed(host: Host) -> Host:
    host.install()
    return host


@pytest.fixture
def account(simulator: Simulator) -> Account:
    return simulator.add_account("acme", tickets=3)


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback() as running:
        yield running


# --- the host ---------------------------------------------------------------------------------------------------------


def test_on_a_new_host_nothing_failed_and_nothing_was_made(host: Host) -> None:
    found = host.examined()
    assert not [f for group in found.values() for f in group if f.word is Word.FAILED]
    assert found["database"][0].hint == "the daemon makes it when it starts"
    assert found["daemon"][0].hint == "systemctl start zendeskd; if it fails: journalctl -u zendeskd -n 20"
    assert not host.state.exists()


def test_every_problem_of_the_configuration(host: Host) -> None:
    host.config.write_text("workers = 0\nwat = 1\n")
    found = host.examined()
    assert list(found) == ["configuration"]
    assert [f.word for f in found["configuration"]] == [Word.FAILED, Word.FAILED]


def test_a_database_in_order(installed: Host) -> None:
    finding = installed.says("database")
    assert finding.word is Word.OK
    assert "quick_check ok" in finding.detail
    assert {path.name for path in installed.state.iterdir()} == {"zendeskd.db"}, "it left something behind"


def test_a_damaged_database(installed: Host) -> None:
    path = installed.state / "zendeskd.db"
    data = bytearray(path.read_bytes())
    data[40_000:60_000] = b"\xff" * 20_000
    path.write_bytes(data)
    finding = installed.says("database")
    assert finding.word is Word.FAILED
    assert "backup" in finding.hint


def test_a_database_beside_which_the_log_of_another_was_left(installed: Host) -> None:
    path, log = installed.state / "zendeskd.db", installed.state / "zendeskd.db-wal"
    before = path.read_bytes()
    other = Database(f"sqlite:///{installed.state}/other.db")
    other.open()
    with other.writing() as connection:
        connection.execute("CREATE TABLE numbers (n INTEGER)")
    log.write_bytes(Path(f"{other.path}-wal").read_bytes())
    other.close()
    finding = installed.says("database")
    assert (finding.word, "was left by another database" in finding.detail) == (Word.FAILED, True)
    assert "zendeskd restore" in finding.hint
    assert path.read_bytes() == before


def test_a_file_that_is_no_database(installed: Host) -> None:
    (installed.state / "zendeskd.db").write_text("hello " * 1000)
    assert installed.says("database").word is Word.FAILED


def test_a_database_of_a_newer_program(installed: Host) -> None:
    with sqlite3.connect(installed.state / "zendeskd.db") as connection:
        connection.execute("UPDATE schema_migration SET name = '9999_later'")
    connection.close()
    finding = installed.says("database")
    assert (finding.word, finding.hint) == (Word.FAILED, "install that version")
    assert "9999_later" in finding.detail


def test_an_examination_that_takes_too_long_is_cut_short(installed: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_at_rest, "_STEPS", 1)
    ticks = iter(range(1_000_000))
    with copy_at_rest.opened(installed.state / "zendeskd.db", in_use=True) as connection:
        assert copy_at_rest.quick_check(connection, 1e9) == "ok"
        assert copy_at_rest.quick_check(connection, 1, lambda: float(next(ticks))) is None


def test_backups_that_are_fresh_late_damaged_or_not_wanted(installed: Host) -> None:
    assert installed.says("backups").detail == "none yet"
    installed.add("acme", "http://127.0.0.1:1", None)
    assert installed.says("backups").word is Word.OK
    later = utcnow() + timedelta(days=3)
    finding = installed.says("backups", now=lambda: later)
    assert finding.word is Word.WARNING
    assert "none yet; two or more of the schedule (0 3 * * *) were missed" in finding.detail
    assert "zendeskctl backup" in finding.hint
    folder = installed.state / "backups"
    folder.mkdir()
    file = folder / f"zendeskd-{later:%Y%m%dT%H%M%SZ}.db"
    with sqlite3.connect(installed.state / "zendeskd.db") as source, sqlite3.connect(file) as copy:
        source.backup(copy)
    source.close()
    copy.close()
    finding = installed.says("backups", now=lambda: later)
    assert (finding.word, str(file) in finding.detail) == (Word.OK, True)
    installed.config.write_text('[backup]\nschedule = "off"\n')
    assert installed.says("backups", now=lambda: later + timedelta(days=30)).detail.endswith("; no schedule")
    file.write_bytes(b"\xff" * 100_000)
    finding = installed.says("backups")
    assert finding.word is Word.FAILED
    assert f"{file} is damaged" in finding.detail


def test_a_folder_that_everybody_can_read(installed: Host) -> None:
    installed.state.chmod(0o755)
    assert installed.says("state_dir").hint == f"chmod o= {installed.state}"


def test_a_clock_that_was_never_set(host: Host) -> None:
    finding = host.says("clock", now=lambda: datetime(1970, 1, 1, 0, 2, tzinfo=UTC))
    assert finding.word is Word.FAILED
    assert "1970-01-01" in finding.detail


def test_a_clock_that_was_set_back(installed: Host) -> None:
    installed.add("acme", "http://127.0.0.1:1", None)
    with sqlite3.connect(installed.state / "zendeskd.db") as connection:
        connection.execute(
            "INSERT INTO sync_logs (organization_id, integration_id, system_type, trigger, status, queued_at,"
            " synced_at) VALUES ('acme', 1, 'zendesk', 'schedule', 'success', ?, ?)",
            ["2026-12-01T00:00:00.000Z"] * 2,
        )
    connection.close()
    finding = installed.says("clock", now=lambda: datetime(2026, 11, 30, tzinfo=UTC))
    assert finding.word is Word.WARNING
    assert "a run ended at 2026-12-01 00:00 UTC" in finding.detail


def test_a_key_that_others_can_read(installed: Host) -> None:
    open_vault(installed.state, None)
    assert installed.says("key").word is Word.OK
    (installed.state / "master.key").chmod(0o644)
    finding = installed.says("key")
    assert finding.word is Word.FAILED
    assert "chmod 600" in finding.hint


def test_a_key_that_is_lost(installed: Host, account: Account) -> None:
    installed.add("acme", account.base_url, account.credential)
    (installed.state / "master.key").unlink()
    assert installed.says("key").word is Word.FAILED
    assert "cannot be opened without the key" in installed.says("acme zendesk").detail
    assert not (installed.state / "master.key").exists(), "a new key would open nothing"


def test_a_key_that_is_not_the_one(installed: Host, account: Account) -> None:
    installed.add("acme", account.base_url, account.credential)
    (installed.state / "master.key").write_bytes(b"k" * 32)
    finding = installed.says("key")
    assert finding.word is Word.FAILED
    assert "1 of 1 stored credentials were sealed with another master key" in finding.detail
    assert "Put that master.key back" in finding.hint


def test_a_key_of_another_size(installed: Host) -> None:
    (installed.state / "master.key").write_bytes(b"k" * 31)
    (installed.state / "master.key").chmod(0o600)
    finding = installed.says("key")
    assert (finding.word, "has 31 bytes, not 32" in finding.detail) == (Word.FAILED, True)


def test_an_older_key_is_kept_as_long_as_a_backup_needs_it(installed: Host, account: Account) -> None:
    installed.add("acme", account.base_url, account.credential)
    backups = installed.state / "backups"
    backups.mkdir()
    backup = backups / "zendeskd-20261201T000000Z.db"
    with copy_at_rest.opened(installed.state / "zendeskd.db", in_use=False) as source:
        copies.write_copy(source, backup, stop=threading.Event())
    words = installed.words()
    assert cli.main(["rotate-key", *words]) == 0
    assert [finding.word for finding in installed.examined()["key"]] == [Word.OK]
    assert cli.main(["restore", str(backup), "--yes", *words]) == 0
    half = installed.says("key")
    assert (half.word, "1 of 1 stored credentials are still sealed with an older" in half.detail) == (
        Word.WARNING,
        True,
    )
    assert cli.main(["rotate-key", *words]) == 0
    backup.unlink()
    last = installed.says("key")
    assert (last.word, "is needed by nothing here any more" in last.detail) == (Word.WARNING, True)
    assert installed.says("acme zendesk").word is Word.OK


@pytest.mark.parametrize(
    "name",
    ["backups/zendeskd-before-0002_more.db", "backups/by-hand.db", "zendeskd.db.before-restore-20261201T000000Z"],
)
def test_an_older_key_is_kept_as_long_as_any_copy_here_needs_it(installed: Host, account: Account, name: str) -> None:
    installed.add("acme", account.base_url, account.credential)
    copy = installed.state / name
    copy.parent.mkdir(exist_ok=True)
    with copy_at_rest.opened(installed.state / "zendeskd.db", in_use=False) as source:
        copies.write_copy(source, copy, stop=threading.Event())
    words = installed.words()
    assert cli.main(["rotate-key", *words]) == 0
    assert [finding.word for finding in installed.examined()["key"]] == [Word.OK]
    whole = copy.read_bytes()
    copy.write_bytes(whole[:16_384])  # nobody knows what it needs
    assert [finding.word for finding in installed.examined()["key"]] == [Word.OK]
    copy.unlink()
    assert "is needed by nothing here any more" in installed.says("key").detail


def test_a_key_that_systemd_hands_over(installed: Host, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    installed.add("acme", account.base_url, account.credential)
    (installed.state / "master.key").unlink()
    unit = installed.state.parent / "zendeskd.service"
    drop_in = Path(f"{unit}.d") / "key.conf"
    drop_in.parent.mkdir()
    drop_in.write_text("[Service]\nLoadCredential=master.key:/etc/zendeskd/master.key\n")
    monkeypatch.setattr(paths, "SYSTEM_STATE", installed.state)
    monkeypatch.setattr(paths, "UNIT_FILES", (unit,))
    finding = installed.says("key")
    assert (finding.word, str(drop_in) in finding.detail) == (Word.OK, True)


def test_a_user_is_told_that_these_are_not_the_systems(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "SYSTEM_STATE", host.config.parent)
    monkeypatch.setattr(paths, "is_system_wide", lambda: False)
    assert host.says("configuration").hint == f"for the daemon of {host.config.parent} run this as root"


def test_a_disk_that_is_full(installed: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 10**12, 5 * 10**7))
    assert installed.says("disk").word is Word.FAILED
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 10**12, 10**9))
    assert installed.says("disk").word is Word.WARNING


def test_the_unit_file(installed: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "UNIT_FILES", (installed.config,))
    assert installed.says("unit file").detail == str(installed.config)


# --- accounts, without a daemon ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["oauth_client_credentials", "api_token", "bearer"])
def test_credentials_that_work(installed: Host, account: Account, kind: str) -> None:
    installed.add("acme", account.base_url, account.credential_of(kind))
    finding = installed.says("acme zendesk")
    assert finding.word is Word.OK, finding
    assert "(admin)" in finding.detail
    assert "export" in finding.detail


def test_credentials_that_are_refused(installed: Host, account: Account) -> None:
    installed.add("acme", account.base_url, {"kind": "bearer", "token": "not-the-token"})
    finding = installed.says("acme zendesk")
    assert finding.word is Word.FAILED
    assert "401" in finding.detail
    assert "zendeskctl credentials set acme" in finding.hint


def test_a_refresh_token_is_not_spent(installed: Host, account: Account) -> None:
    installed.add("acme", account.base_url, account.credential_of("oauth_refresh_token"))
    finding = installed.says("acme zendesk")
    assert finding.word is Word.WARNING
    assert "start the daemon" in finding.hint
    assert not [seen for seen in account.requests if "oauth" in seen.path]


def test_an_account_without_credentials(installed: Host, account: Account) -> None:
    installed.add("acme", account.base_url, None)
    assert installed.says("acme zendesk").hint == "zendeskctl credentials set acme"


def test_an_account_that_cannot_be_reached(installed: Host) -> None:
    installed.add("acme", "http://127.0.0.1:1", None)
    installed.add("globex", "https://no-such-host.invalid", None)
    assert installed.says("acme zendesk").detail == "http://127.0.0.1:1: Connection refused"
    assert installed.says("globex zendesk").word is Word.FAILED


def test_a_clock_that_the_accounts_do_not_share(installed: Host, server: Loopback) -> None:
    installed.add("acme", server.url, None)
    server.script = [Reply(headers={"Date": "Mon, 23 Nov 2026 14:00:00 GMT"})]
    then = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
    assert installed.says("clock", now=lambda: then).word is Word.OK
    finding = installed.says("clock", now=lambda: then + timedelta(minutes=3))
    assert finding.word is Word.FAILED
    assert "180 s ahead" in finding.detail


def test_an_account_that_leaves_little_to_ask(
    installed: Host, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zendeskd.doctor import accounts as doctor_accounts
    from zendeskd.models import BudgetView

    monkeypatch.setattr(
        doctor_accounts._Visit,
        "_by_ourselves",
        lambda *_: (Identity("ana@acme.example", "admin", "acme"), (BudgetView("account", 100, 700),)),
    )
    installed.add("acme", account.base_url, account.credential)
    finding = installed.says("acme zendesk")
    assert finding.word is Word.WARNING
    assert "account 100 of 700" in finding.detail


def test_an_account_that_waits_for_its_rate_limit(
    installed: Host, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zendeskd.doctor import accounts as doctor_accounts

    monkeypatch.setattr(doctor_accounts, "ONE_S", 1.0)
    account.fault("rate_limited", times=None, retry_after="60")
    installed.add("acme", account.base_url, account.credential)
    finding = installed.says("acme zendesk")
    assert (finding.word, "wait for its rate limit (429" in finding.detail) == (Word.WARNING, True), finding


def test_an_account_that_never_answers(installed: Host, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    from zendeskd.doctor import accounts as doctor_accounts

    monkeypatch.setattr(doctor_accounts, "ONE_S", 1.0)
    installed.add("acme", account.base_url, account.credential)
    account.fault("hang", times=None)
    finding = installed.says("acme zendesk")
    assert finding.word is Word.FAILED


# --- beside a daemon --------------------------------------------------------------------------------------------------


def beside(daemon: DaemonProcess) -> list[str]:
    return daemon.command("doctor")[3:]


def test_beside_a_daemon_it_is_the_daemon_who_asks(
    daemon: DaemonProcess, account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.add("acme", account.base_url, account.credential_of("oauth_refresh_token"))
    daemon.first_run("acme")
    code = cli.main([*beside(daemon), "--json"])
    document = json.loads(capsys.readouterr().out)
    found = {finding["topic"]: finding for finding in document["findings"]}
    assert (code, document["schema"]) == (0, 1)
    assert daemon.process is not None
    assert found["daemon"]["detail"] == f"pid {daemon.process.pid} answers on {daemon.socket}"
    assert found["acme zendesk"]["result"] == "ok"
    assert found["database"]["result"] == "ok"
    assert found["clock"]["detail"] == "agrees with the accounts' clocks"
    assert daemon.client.health().ok


def test_the_exit_code_says_that_something_failed(
    daemon: DaemonProcess, account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.add("acme", account.base_url, {"kind": "bearer", "token": "not-the-token"})
    assert cli.main(beside(daemon)) == 1
    out = capsys.readouterr().out
    assert "failed   acme zendesk" in out
    assert "→ Give new credentials: zendeskctl credentials set acme" in out
    assert out.splitlines()[-1].startswith("1 failed, ")


def test_check_online(daemon: DaemonProcess, account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    daemon.add("acme", account.base_url, account.credential)
    assert cli.main(["check", *beside(daemon)[1:], "--online"]) == 0
    assert "ok       acme zendesk" in capsys.readouterr().out


def test_beside_a_daemon_whose_run_waits_for_a_rate_limit(
    daemon: DaemonProcess, account: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from zendeskd.doctor import accounts as doctor_accounts

    monkeypatch.setattr(doctor_accounts, "ONE_S", 2.0)
    account.fault("rate_limited", times=None, retry_after="60")
    daemon.add("acme", account.base_url, account.credential)
    wait_for(lambda: daemon.status("acme").state == "limited", "the run to be limited")
    assert cli.main(beside(daemon)) == 0
    assert "it has to wait for its rate limit (429" in capsys.readouterr().out
