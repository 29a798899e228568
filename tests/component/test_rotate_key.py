"""`zendeskd rotate-key`: everything opens with the new key, old backups with the old one, and what is refused."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from tests.fixtures.stores import add_organization
from zendeskd import cli, copies, paths
from zendeskd.db import Database
from zendeskd.doctor import copy_at_rest
from zendeskd.errors import CredentialError
from zendeskd.lock import InstanceLock
from zendeskd.models import StoredCredential
from zendeskd.secrets import Vault, key_id_of, open_vault, parse_credential
from zendeskd.store import Store

FLEET = ("acme", "globex", "initech")
Printed = pytest.CaptureFixture[str]


class Host:
    """A state folder without a daemon, with sealed credentials."""

    def __init__(self, folder: Path) -> None:
        self.state, self.etc = folder / "state", folder / "etc"
        self.state.mkdir(mode=0o750)
        self.etc.mkdir()
        self.config = folder / "zendeskd.toml"
        self.config.write_text("")
        self.key, self.path = self.state / "master.key", self.state / "zendeskd.db"

    def fill(self, vault: Vault | None = None) -> Host:
        database = Database(f"sqlite:///{self.path}")
        database.open()
        for org in FLEET:
            sealed = (vault or open_vault(self.state, None)).seal(org, "zendesk", credential_of(org))
            add_organization(Store(database), org, credential=sealed)
        database.close()
        return self

    def back_up(self) -> Path:
        self.state.joinpath("backups").mkdir(exist_ok=True)
        file = self.state / "backups" / "zendeskd-20261123T080000Z.db"
        with copy_at_rest.opened(self.path, in_use=False) as source:
            copies.write_copy(source, file, stop=threading.Event())
        return file

    def zendeskd(self, verb: str, *words: str) -> int:
        folders = [f"--config={self.config}", f"--state-dir={self.state}", f"--runtime-dir={self.state}"]
        return cli.main([verb, *words, *folders])

    def sealed(self) -> dict[str, str]:
        with copy_at_rest.opened(self.path, in_use=False) as connection:
            found = copy_at_rest.integrations(connection)
        return {one.integration.organization_id: one.ciphertext for one in found if one.ciphertext}

    def opened(self, vault: Vault | None = None) -> dict[str, StoredCredential]:
        vault = vault or open_vault(self.state, None, create=False)
        return {org: vault.unseal(org, "zendesk", text) for org, text in self.sealed().items()}

    def change(self, sql: str) -> None:
        with sqlite3.connect(self.path) as connection:
            connection.execute(sql)
        connection.close()


def credential_of(org: str) -> StoredCredential:
    return StoredCredential(parse_credential(msgspec.json.encode({"kind": "bearer", "token": f"token-of-{org}"})))


EVERYTHING = {org: credential_of(org) for org in FLEET}


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    before = list(root.handlers)
    yield
    root.handlers[:] = before
    structlog.reset_defaults()


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(paths, "UNIT_FILES", ())
    return Host(tmp_path).fill()


# --- the key in the state folder --------------------------------------------------------------------------------------


def test_all_credentials_are_sealed_with_a_new_key_and_the_old_one_is_kept(host: Host, capsys: Printed) -> None:
    before, old = host.sealed(), host.key.read_bytes()
    host.change("UPDATE credentials SET updated_at = '2026-01-01T00:00:00.000Z', revision = 7")
    assert host.zendeskd("rotate-key") == 0
    new = Vault(host.key.read_bytes())
    assert host.opened(new) == EVERYTHING
    assert {key_id_of(text) for text in host.sealed().values()} == {new.key_id} != {Vault(old).key_id}
    kept = host.state / f"master.key.{Vault(old).key_id}"
    assert kept.read_bytes() == old
    assert [stat.S_IMODE(path.stat().st_mode) for path in (kept, host.key)] == [0o600, 0o600]
    with copy_at_rest.opened(host.path, in_use=False) as connection:
        rows = connection.execute("SELECT updated_at, revision FROM credentials").fetchall()
    assert {tuple(row) for row in rows} == {("2026-01-01T00:00:00.000Z", 7)}, "nobody entered anything"
    printed = capsys.readouterr()
    assert f"sealed   3 credentials with the new key {new.key_id}" in printed.out
    assert f"old key  {kept}" in printed.out
    files = b"".join(path.read_bytes() for path in host.state.iterdir() if path.is_file())
    assert [text for text in before.values() if text.encode() in files] == [], "what the old key opens is gone"
    assert not list(host.state.glob(".master-*"))


@pytest.mark.parametrize(
    ("made", "said"),
    [("substr(ciphertext, 1, 60)", "are damaged"), ("replace(ciphertext, 'v1:', 'v1:x')", "with another master key")],
)
def test_a_credential_that_does_not_open_stays_and_is_told(host: Host, capsys: Printed, made: str, said: str) -> None:
    host.change(f"UPDATE credentials SET ciphertext = {made} WHERE integration_id = 2")
    left = host.sealed()["globex"]
    assert host.zendeskd("rotate-key") == 1
    printed = capsys.readouterr().out
    assert "sealed   2 credentials" in printed
    assert "left     globex zendesk: The " in printed
    assert said in printed
    assert host.sealed()["globex"] == left
    host.change("DELETE FROM credentials WHERE integration_id = 2")
    assert host.opened(Vault(host.key.read_bytes())) == {org: EVERYTHING[org] for org in ("acme", "initech")}


def test_a_backup_from_before_is_put_back_and_sealed_again(host: Host, capsys: Printed) -> None:
    backup = host.back_up()
    assert host.zendeskd("rotate-key") == 0
    new = host.key.read_bytes()
    assert host.zendeskd("restore", str(backup), "--yes") == 0
    assert host.opened() == EVERYTHING
    assert host.zendeskd("rotate-key") == 0
    assert host.key.read_bytes() == new, "it had sealed nothing of what is there now"
    assert host.opened(Vault(new)) == EVERYTHING
    capsys.readouterr()
    assert host.zendeskd("rotate-key") == 0
    assert host.key.read_bytes() != new
    assert host.opened() == EVERYTHING
    assert len(list(host.state.glob("master.key.*"))) == 2


def test_a_host_without_credentials_or_database_has_a_new_key_too(tmp_path: Path, capsys: Printed) -> None:
    host = Host(tmp_path)
    assert host.zendeskd("rotate-key") == 2
    assert "There is no master key" in capsys.readouterr().err
    open_vault(host.state, None)
    old = host.key.read_bytes()
    assert host.zendeskd("rotate-key") == 0
    assert host.key.read_bytes() != old
    assert "sealed   0 credentials" in capsys.readouterr().out
    assert not host.path.exists()


@pytest.mark.parametrize("damage", ["wrong", "short", "open", "lost"])
def test_a_key_that_is_not_right_changes_nothing(host: Host, capsys: Printed, damage: str) -> None:
    before = host.sealed()
    right = host.key.read_bytes()
    host.key.write_bytes(right[:31] if damage == "short" else right[::-1] if damage == "wrong" else right)
    host.key.chmod(0o640 if damage == "open" else 0o600)
    if damage == "lost":
        host.key.unlink()
    files = {path.name for path in host.state.iterdir()}
    assert host.zendeskd("rotate-key") == (1 if damage == "wrong" else 2)
    said = {
        "wrong": "3 of 3 stored credentials were sealed with another master key",
        "short": "has 31 bytes, not 32",
        "open": "can be read by others",
        "lost": "is missing, and credentials in the database are sealed with it",
    }
    assert said[damage] in capsys.readouterr().err
    assert host.sealed() == before
    assert {path.name for path in host.state.iterdir()} - files <= {"zendeskd.lock"}


def test_not_while_the_daemon_runs(host: Host, capsys: Printed) -> None:
    before = host.key.read_bytes()
    with InstanceLock(host.state / "zendeskd.lock"):
        assert host.zendeskd("rotate-key") == 1
    assert "Stop it first" in capsys.readouterr().err
    assert host.key.read_bytes() == before


def test_a_database_that_another_program_writes_is_left_alone(host: Host, capsys: Printed) -> None:
    other = sqlite3.connect(host.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    before = host.sealed()
    assert host.zendeskd("rotate-key") == 1
    other.execute("ROLLBACK")
    other.close()
    assert "could not be sealed again" in (said := capsys.readouterr().err)
    assert "run it again" in said
    assert host.sealed() == before
    assert host.opened() == EVERYTHING, "the key is new already, and the old one beside it"
    assert host.zendeskd("rotate-key") == 0
    assert host.opened(Vault(host.key.read_bytes())) == EVERYTHING
    assert len(list(host.state.glob("master.key.*"))) == 1


# --- keys that systemd hands over -------------------------------------------------------------------------------------


@pytest.fixture
def loaded(host: Host, monkeypatch: pytest.MonkeyPatch) -> Host:
    """Its key is root's, and a drop-in of the unit hands it over."""
    host.key.replace(host.etc / "master.key")
    unit = host.etc / "zendeskd.service"
    unit.write_text(f"[Service]\nLoadCredential=master.key:{host.etc}/master.key\n")
    monkeypatch.setattr(paths, "UNIT_FILES", (unit,))
    monkeypatch.setattr(paths, "SYSTEM_STATE", host.state)
    return host


def test_where_systemd_has_the_key_it_says_what_to_do(loaded: Host, capsys: Printed) -> None:
    before = loaded.sealed()
    assert loaded.zendeskd("rotate-key") == 2
    said = capsys.readouterr().err
    assert str(loaded.etc / "zendeskd.service") in said
    assert "zendeskd rotate-key --old-key" in said
    assert loaded.sealed() == before


def test_keys_by_file(loaded: Host, capsys: Printed) -> None:
    old, new = loaded.etc / "master.key", loaded.etc / "new key"
    backup = loaded.back_up()
    assert loaded.zendeskd("rotate-key", f"--old-key={old}", f"--new-key={new}") == 0
    assert stat.S_IMODE(new.stat().st_mode) == 0o600
    printed = capsys.readouterr().out
    assert "next     put the new key where the unit takes it from" in printed
    assert f"mv {old} {old}.old && mv '{new}' {old}\n" in printed
    assert loaded.opened(Vault(new.read_bytes())) == EVERYTHING
    assert not loaded.key.exists()
    # once more, as after a kill: nothing is left to do, and it says the same
    assert loaded.zendeskd("rotate-key", f"--old-key={old}", f"--new-key={new}") == 0
    assert loaded.opened(Vault(new.read_bytes())) == EVERYTHING
    # a backup from before, put back under the new key
    assert loaded.zendeskd("restore", str(backup), "--yes") == 0
    assert loaded.opened(Vault(old.read_bytes())) == EVERYTHING
    assert loaded.zendeskd("rotate-key", f"--old-key={old}", f"--new-key={new}") == 0
    assert loaded.opened(Vault(new.read_bytes())) == EVERYTHING


def test_an_older_key_may_be_handed_over_too(loaded: Host) -> None:
    old = (loaded.etc / "master.key").read_bytes()
    given = loaded.etc / "given"
    given.mkdir()
    (given / "master.key").write_bytes(bytes(32))
    with pytest.raises(CredentialError, match="another master key"):
        loaded.opened(open_vault(loaded.state, given))
    (given / f"master.key.{Vault(old).key_id}").write_bytes(old)
    assert loaded.opened(open_vault(loaded.state, given)) == EVERYTHING


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--old-key={etc}/master.key"], "go together"),
        (["--new-key={etc}/new"], "go together"),
        (["--old-key={etc}/absent", "--new-key={etc}/new"], "cannot be read"),
        (["--old-key={etc}/master.key", "--new-key={etc}/master.key"], "the same key"),
        (["--old-key={etc}/master.key", "--new-key={etc}/absent/new"], "cannot be made"),
        (["--old-key={etc}/open", "--new-key={etc}/new"], "can be read by others"),
        (["--old-key={etc}/wrong", "--new-key={etc}/new"], "Nothing was changed"),
        (["--old-key={state}/master.key", "--new-key={etc}/new"], "the daemon's own"),
    ],
)
def test_files_that_do_not_do(loaded: Host, capsys: Printed, words: list[str], said: str) -> None:
    before: dict[str, Any] = loaded.sealed()
    for name, mode in (("open", 0o644), ("wrong", 0o600)):
        (loaded.etc / name).write_bytes(b"k" * 32)
        (loaded.etc / name).chmod(mode)
    if "{state}" in words[0]:
        loaded.key.write_bytes(b"k" * 32)
        loaded.key.chmod(0o600)
    assert loaded.zendeskd("rotate-key", *(one.format(etc=loaded.etc, state=loaded.state) for one in words)) in (1, 2)
    assert said in capsys.readouterr().err
    assert loaded.sealed() == before


def test_beside_the_log_of_another_database_nothing_is_changed(host: Host, capsys: Printed) -> None:
    """A daemon was killed, and somebody copied another database to its name."""
    copy = host.back_up()
    log = host.path.with_name("zendeskd.db-wal")
    database = Database(f"sqlite:///{host.path}")
    database.open()
    with database.writing() as connection:
        connection.execute("CREATE TABLE numbers (n INTEGER)")
    left = log.read_bytes()
    database.close()
    shutil.copyfile(copy, host.path)
    log.write_bytes(left)
    before = {path.name: path.read_bytes() for path in host.state.iterdir() if path.is_file()}
    assert host.zendeskd("rotate-key") == 2
    assert "was left by another database" in capsys.readouterr().err
    after = {path.name: path.read_bytes() for path in host.state.iterdir() if path.is_file()}
    assert after == {"zendeskd.lock": after["zendeskd.lock"], **before}
