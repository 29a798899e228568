"""`zendeskd restore`: what it refuses, what it says before, and what is there afterwards."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from tests.fixtures.commandline import Stream
from tests.fixtures.stores import NOW, add_organization, begin_run, is_consistent, record, table, write
from zendeskd import cli, copies, paths
from zendeskd.db import Database
from zendeskd.doctor import copy_at_rest
from zendeskd.lock import InstanceLock
from zendeskd.master_key import KEY_NAME
from zendeskd.models import StoredCredential
from zendeskd.secrets import open_vault, parse_credential
from zendeskd.store import Store
from zendeskd.store.fleet import SealedCredential

BEARER = {"kind": "bearer", "token": "t" * 20}
REFRESH = {"kind": "oauth_refresh_token", "clientId": "c", "clientSecret": "s", "refreshToken": "r1"}


class Host:
    """A state folder without a daemon, and a backup of its database as it was before the last page."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.state.mkdir(mode=0o750)
        self.config = folder / "zendeskd.toml"
        self.config.write_text("")
        self.path, self.backup = self.state / "zendeskd.db", folder / "backup.db"
        self.pages = 0

    def make(self, credential: dict[str, Any] = BEARER) -> Host:
        with self.database() as database:
            store = Store(database)
            self.run = begin_run(store, add_organization(store, "acme", credential=self.sealed(credential)))
        self.store_page()
        self.back_up()
        self.store_page()
        return self

    @contextlib.contextmanager
    def database(self, path: Path | None = None) -> Iterator[Database]:
        one = Database(f"sqlite:///{path or self.path}")
        one.open()
        try:
            yield one
        finally:
            one.close()

    def sealed(self, credential: dict[str, Any]) -> SealedCredential:
        stored = StoredCredential(parse_credential(msgspec.json.encode(credential)))
        return open_vault(self.state, None).seal("acme", "zendesk", stored)

    def store_page(self) -> None:
        with self.database() as database:
            store = Store(database)
            self.pages += 1
            pages = store.pages.open(store.fleet.integration("acme", "zendesk"), 1)
            write(pages, [record(self.pages * 10 + each) for each in range(3)], cursor=f"page {self.pages}")

    def store_page_again(self) -> None:
        self.pages -= 1
        self.store_page()

    def back_up(self) -> None:
        self.backup.unlink(missing_ok=True)
        with self.database() as database, database.snapshot() as source:
            copies.write_copy(source, self.backup, stop=_never())

    def restore(self, *more: str, file: Path | None = None) -> int:
        folders = [f"--config={self.config}", f"--state-dir={self.state}", f"--runtime-dir={self.state}"]
        return cli.main(["restore", str(file or self.backup), *folders, *more])

    def contents(self, path: Path | None = None) -> tuple[int, str]:
        """Records and cursor."""
        with self.database(path) as database:
            assert is_consistent(database)
            ((records,),) = table(database, "SELECT count(*) FROM flow_records")
            ((cursor,),) = table(database, "SELECT cursor FROM integrations")
            return records, cursor

    @property
    def aside(self) -> Path:
        (one,) = (path for path in self.state.glob("zendeskd.db.before-restore-*") if not path.name.endswith("-wal"))
        return one


def _never() -> Any:
    import threading

    return threading.Event()


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
    return Host(tmp_path).make()


Printed = pytest.CaptureFixture[str]

# --- put back ---------------------------------------------------------------------------------------------------------


def test_the_backup_is_there_and_the_database_before_is_kept(host: Host, capsys: Printed) -> None:
    assert host.contents() == (6, "page 2")
    before = host.backup.read_bytes()
    assert host.restore("--yes") == 0
    out = capsys.readouterr().out
    assert "is sound" in out
    assert "holds    1 organisation, 3 records" in out
    assert "instead  1 organisation, 6 records" in out
    assert "start the daemon; each organisation goes on from where the backup was" in out
    assert "key " not in out
    assert "OAuth" not in out
    assert stat.S_IMODE(host.path.stat().st_mode) == 0o640
    assert host.contents() == (3, "page 1")
    assert str(host.aside) in out
    assert host.contents(host.aside) == (6, "page 2")
    assert host.backup.read_bytes() == before
    kept = host.aside
    assert host.restore("--yes", file=kept) == 0
    assert host.contents() == (6, "page 2")


def test_what_the_database_had_in_its_log_is_kept_too_and_not_mixed_into_the_backup(host: Host, tmp_path: Path) -> None:
    """As a daemon leaves it that was killed."""
    busy = tmp_path / "busy"
    busy.mkdir()
    with host.database() as database:
        store = Store(database)
        write(store.pages.open(store.fleet.integration("acme", "zendesk"), 1), [record(99)], cursor="page 3")
        for end in ("", "-wal"):
            shutil.copy(f"{host.path}{end}", busy / f"zendeskd.db{end}")
    for end in ("", "-wal"):
        shutil.copy(busy / f"zendeskd.db{end}", f"{host.path}{end}")
    assert host.path.with_name("zendeskd.db-wal").stat().st_size > 0
    assert host.restore("--yes") == 0
    assert host.contents() == (3, "page 1")
    assert host.contents(host.aside) == (7, "page 3")


@pytest.mark.parametrize("credential", [BEARER, REFRESH], ids=["bearer", "refresh-token"])
def test_the_log_of_another_database_is_set_aside_and_goes_into_neither(
    tmp_path: Path, capsys: Printed, credential: dict[str, Any]
) -> None:
    """A daemon was killed, and somebody copied another database to its name: the daemon refuses that and says so."""
    host = Host(tmp_path).make(credential)
    left_behind(host)
    log = host.path.with_name("zendeskd.db-wal")
    before = (host.path.read_bytes(), log.read_bytes())
    assert host.restore("--yes") == 0
    out = capsys.readouterr().out
    assert "instead  1 organisation, 3 records" in out
    assert f"log      {log} was left by another database" in out
    assert ("1 of 1 OAuth refresh tokens may have been used up" in out) is (credential is REFRESH)
    aside = host.aside
    assert (aside.read_bytes(), aside.with_name(aside.name + "-wal").read_bytes()) == before
    assert host.contents() == (3, "page 1")
    assert host.restore("--yes", file=aside) == 0  # which takes no log with it
    assert host.contents() == (3, "page 1")


def left_behind(host: Host) -> None:
    """The database's log, as after a kill, and instead of the database a backup."""
    with host.database() as database:
        store = Store(database)
        grown = [record(100 + each, body="words " * 500) for each in range(50)]
        write(store.pages.open(store.fleet.integration("acme", "zendesk"), 1), grown, cursor="page 3")
        log = host.path.with_name("zendeskd.db-wal").read_bytes()
    host.path.with_name("zendeskd.db-wal").write_bytes(log)
    shutil.copyfile(host.backup, host.path)


def test_a_damaged_database_gives_way_with_its_log(host: Host, capsys: Printed) -> None:
    log = host.path.with_name("zendeskd.db-wal")
    host.path.write_bytes(b"not a database any more" * 1000)
    log.write_bytes(b"nor is this a log" * 1000)
    assert host.restore("--yes") == 0
    assert "instead  nothing that can be read in" in capsys.readouterr().out
    assert host.contents() == (3, "page 1")
    assert host.aside.read_bytes().startswith(b"not a database")
    assert host.aside.with_name(host.aside.name + "-wal").read_bytes().startswith(b"nor is this")


def test_a_new_host(host: Host, capsys: Printed) -> None:
    host.path.unlink()
    host.path.with_name("zendeskd.db-wal").write_bytes(b"left behind")
    assert host.restore("--yes") == 0
    assert "kept" not in capsys.readouterr().out
    assert host.contents() == (3, "page 1")


def test_a_copy_that_was_made_with_sqlite3_itself(host: Host, tmp_path: Path) -> None:
    """Its header says that there may be a log."""
    own = tmp_path / "own.db"
    with contextlib.closing(sqlite3.connect(host.path)) as source, contextlib.closing(sqlite3.connect(own)) as copy:
        source.backup(copy)
    assert own.read_bytes()[18:20] == b"\x02\x02"
    host.store_page()
    assert host.restore("--yes", file=own) == 0
    assert host.contents() == (6, "page 2")


def test_what_one_that_was_killed_left_is_no_hindrance(host: Host) -> None:
    (host.state / ".zendeskd.db.restoring").write_text("half")
    assert host.restore("--yes") == 0
    assert host.contents() == (3, "page 1")


STEPS = """
import os, sys
from zendeskd import cli

def dying(module, name, after):
    call = getattr(module, name)
    def one(*given, **named):
        if not any("zendeskd.db" in os.fsdecode(each) for each in given if isinstance(each, (str, bytes, os.PathLike))):
            return call(*given, **named)
        steps[0] += 1
        is_last = steps[0] == last
        if is_last and not after:
            os._exit(9)
        try:
            return call(*given, **named)
        finally:
            if is_last:
                os._exit(9)
    setattr(module, name, one)

steps, last, after = [0], int(sys.argv[1]), sys.argv[2] == "after"
for name in ("link", "replace", "rename", "unlink", "open"):
    dying(os, name, after)
sys.exit(cli.main(sys.argv[3:]))
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_at_any_step_there_is_the_database_before_or_the_backup(host: Host, moment: str) -> None:
    folders = [f"--config={host.config}", f"--state-dir={host.state}", f"--runtime-dir={host.state}"]
    found = []
    for last in range(1, 40):
        # a log with something in it, as a daemon leaves it that was killed
        with host.database() as database:
            Store(database).audit.write(
                now=NOW, uid=0, user="ana", pid=1, operation="x", target="", detail="", outcome=200
            )
            for end in ("", "-wal"):
                shutil.copy(f"{host.path}{end}", f"{host.path}.busy{end}")
        for end in ("", "-wal"):
            Path(f"{host.path}.busy{end}").replace(f"{host.path}{end}")
        command = [sys.executable, "-c", STEPS, str(last), moment, "restore", str(host.backup), "--yes", *folders]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode in (0, 9), done.stderr
        assert host.path.exists(), f"step {last}"
        found.append(host.contents())
        assert found[-1] in [(6, "page 2"), (3, "page 1")], f"step {last}"
        if done.returncode == 0:
            break
        if found[-1] == (3, "page 1"):
            host.store_page_again()
    assert done.returncode == 0, "it came to its end"
    assert found.count((6, "page 2")) > 3
    assert not list(host.state.glob(".zendeskd.db.restoring*"))
    for aside in host.state.glob("zendeskd.db.before-restore-*"):
        assert not aside.samefile(host.path)


def test_ended_by_hand_in_the_last_moment_it_leaves_nothing(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(copies, "put_in_place", interrupted)
    before = sorted(host.state.iterdir())
    assert host.restore("--yes") == 130
    assert [path for path in sorted(host.state.iterdir()) if path.name != "zendeskd.lock"] == before
    assert host.contents() == (6, "page 2")


def test_a_damaged_database_has_its_log_again_if_it_could_not_be_replaced(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    log = host.path.with_name("zendeskd.db-wal")
    host.path.write_bytes(b"not a database any more" * 1000)
    log.write_bytes(b"nor is this a log" * 1000)
    monkeypatch.setattr(copies, "put_in_place", full)
    assert host.restore("--yes") == 1
    assert "No space left on device" in capsys.readouterr().err
    assert log.read_bytes().startswith(b"nor is this")
    assert not list(host.state.glob("zendeskd.db.before-restore-*"))


def test_a_database_that_another_program_reads_from_its_log_is_not_taken_apart(host: Host, capsys: Printed) -> None:
    with contextlib.closing(sqlite3.connect(host.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM flow_records").fetchone() == (6,)
        with contextlib.closing(sqlite3.connect(host.path)) as writer, writer:
            writer.execute("UPDATE organizations SET name = 'Renamed'")
        assert host.restore("--yes") == 1
        said = capsys.readouterr().err
        assert "another program reads it" in said
        assert "fuser" in said
    assert host.contents() == (6, "page 2")
    with host.database() as database:
        assert table(database, "SELECT name FROM organizations") == [("Renamed",)]


def test_a_database_on_another_disk_stays_there(host: Host, tmp_path: Path) -> None:
    other = tmp_path / "disk" / "tickets.db"
    other.parent.mkdir()
    host.path.rename(other)
    host.path.symlink_to(other)
    assert host.restore("--yes") == 0
    assert host.path.is_symlink()
    assert host.contents(other) == (3, "page 1")
    (aside,) = other.parent.glob("tickets.db.before-restore-*")
    assert host.contents(aside) == (6, "page 2")


@pytest.mark.parametrize("name", ["50% of it?.db", "two words.db", "a\nb\x1b[31m#.db"])
def test_odd_names_are_names(host: Host, capsys: Printed, tmp_path: Path, name: str) -> None:
    file = host.backup.rename(tmp_path / name)
    assert host.restore("--yes", file=file) == 0
    assert "\x1b" not in capsys.readouterr().out
    assert host.contents() == (3, "page 1")


def test_refresh_tokens_that_were_renewed_since_are_not_lost(tmp_path: Path, capsys: Printed) -> None:
    host = Host(tmp_path).make(REFRESH)
    renewed = host.sealed({**REFRESH, "refreshToken": "r2"})
    with host.database() as database:
        Store(database).fleet.renew_credential(1, renewed, NOW + timedelta(days=1))
    assert host.restore("--yes") == 0
    out = capsys.readouterr().out
    assert "OAuth" not in out
    with host.database() as database:
        assert table(database, "SELECT ciphertext FROM credentials") == [(renewed.ciphertext,)]
        assert table(database, "SELECT count(*) FROM flow_records") == [(3,)]


def test_a_refresh_token_that_is_newer_in_the_backup_stays(tmp_path: Path, capsys: Printed) -> None:
    host = Host(tmp_path).make(REFRESH)
    with host.database() as database:
        ((stored,),) = table(database, "SELECT ciphertext FROM credentials")
        with database.writing() as connection:
            connection.execute("UPDATE credentials SET ciphertext = 'old', updated_at = '2020-01-01T00:00:00.000Z'")
    assert host.restore("--yes") == 0
    assert "OAuth" not in capsys.readouterr().out
    with host.database() as database:
        assert table(database, "SELECT ciphertext FROM credentials") == [(stored,)]


def test_refresh_tokens_of_another_account_are_not_taken(tmp_path: Path, capsys: Printed) -> None:
    host = Host(tmp_path).make(REFRESH)
    with host.database() as database:
        Store(database).fleet.renew_credential(1, host.sealed(REFRESH), NOW + timedelta(days=1))
        with database.writing() as connection:
            connection.execute("UPDATE integrations SET base_url = 'https://other.zendesk.com'")
    assert host.restore("--yes") == 0
    out = capsys.readouterr().out
    assert "1 of 1 OAuth refresh tokens may have been used up since the backup" in out
    assert "zendeskctl credentials set ORG" in out


def test_an_older_schema_is_said(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed) -> None:
    steps = tmp_path / "steps"
    steps.mkdir()
    for name in ("0001_initial.py", "0002_more.py"):
        (steps / name).write_text("")
    monkeypatch.setattr(copy_at_rest, "DIRECTORY", steps)
    assert host.restore("--yes") == 0
    assert "schema   older; 0002_more is applied when the daemon starts" in capsys.readouterr().out


# --- asked ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("typed", "code", "records"), [(b"y\n", 0, 3), (b"n\n", 1, 6), (b"\n", 1, 6), (b"", 1, 6)])
def test_a_person_is_asked(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: Printed, typed: bytes, code: int, records: int
) -> None:
    monkeypatch.setattr("sys.stdin", Stream(typed, tty=True))
    assert host.restore() == code
    said = capsys.readouterr().err
    assert f"Put it in the place of {host.path}? [y/N] " in said
    assert ("nothing was changed" in said) is (code == 1)
    assert host.contents()[0] == records


def test_without_a_terminal_nothing_is_done_unasked(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    monkeypatch.setattr("sys.stdin", Stream(b"y\n"))
    assert host.restore() == 2
    assert "--yes" in capsys.readouterr().err
    assert host.contents()[0] == 6


# --- refused ----------------------------------------------------------------------------------------------------------


def refused(host: Host, capsys: Printed, *more: str, file: Path | None = None) -> tuple[int, str]:
    before = sorted(path.name for path in host.state.iterdir())
    code = host.restore(*(more or ("--yes",)), file=file)
    assert code != 0
    known = {name for name in before if name != "zendeskd.lock"}
    assert {path.name for path in host.state.iterdir()} - {"zendeskd.lock"} == known, "something was made"
    assert host.contents() == (6, "page 2")
    return code, capsys.readouterr().err


def test_while_the_daemon_runs(host: Host, capsys: Printed) -> None:
    with InstanceLock(host.state / "zendeskd.lock"):
        code, said = refused(host, capsys)
    assert code == 1
    assert "runs (pid " in said
    assert "systemctl stop zendeskd" in said


def test_files_that_are_no_backup(host: Host, capsys: Printed, tmp_path: Path) -> None:
    other, text, empty = tmp_path / "other.db", tmp_path / "notes.txt", tmp_path / "empty"
    with contextlib.closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE songs (title)")
    text.write_text("these are notes\n" * 500)
    empty.write_text("")
    os.mkfifo(pipe := tmp_path / "pipe")
    for file, said in [
        (other, "is not a database of zendeskd"),
        (empty, "is not a database of zendeskd"),
        (text, "is damaged, or no database"),
        (tmp_path, "Is a directory"),
        (pipe, "It is not a file"),
        (tmp_path / "missing", "No such file"),
        (host.path, "is the database itself"),
    ]:
        code, told = refused(host, capsys, file=file)
        assert code == 1
        assert said in told


def test_a_damaged_backup(host: Host, capsys: Printed) -> None:
    content = bytearray(host.backup.read_bytes())
    content[40_000:60_000] = b"\xff" * 20_000
    host.backup.write_bytes(content)
    code, said = refused(host, capsys)
    assert code == 1
    assert "is damaged, or no database" in said
    assert "nothing was changed" in said


def test_a_backup_of_a_newer_program(host: Host, capsys: Printed) -> None:
    with contextlib.closing(sqlite3.connect(host.backup)) as connection, connection:
        connection.execute("INSERT INTO schema_migration (name, applied) VALUES ('9999_later', 1)")
    code, said = refused(host, capsys)
    assert code == 2
    assert "9999_later" in said
    assert "Install that version again" in said


@pytest.mark.parametrize("lost", [False, True])
def test_a_key_that_does_not_open_it_is_said_before(host: Host, capsys: Printed, lost: bool) -> None:
    key = host.state / KEY_NAME
    key.unlink() if lost else key.write_bytes(b"k" * 32)
    assert host.restore("--yes") == 1
    printed = capsys.readouterr()
    assert "key      " in printed.out
    assert "Nothing was changed: the present key does not open" in printed.err
    assert "--force" in printed.err
    assert (KEY_NAME in printed.err) or ("credentials" in printed.err)
    assert host.contents()[0] == 6
    assert host.restore("--yes", "--force") == 0
    assert host.contents()[0] == 3


def test_a_key_that_systemd_hands_over_cannot_be_tried(
    host: Host, capsys: Printed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = tmp_path / "zendeskd.service"
    unit.write_text(f"[Service]\nLoadCredential={KEY_NAME}:/etc/zendeskd/{KEY_NAME}\n")
    monkeypatch.setattr(paths, "UNIT_FILES", (unit,))
    monkeypatch.setattr(paths, "SYSTEM_STATE", host.state)
    (host.state / KEY_NAME).unlink()
    assert host.restore("--yes") == 0
    assert f"key      not tried: systemd hands it over when the unit starts ({unit})" in capsys.readouterr().out


def test_a_disk_without_room(host: Host, capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 100))  # type: ignore[attr-defined]
    code, said = refused(host, capsys)
    assert code == 1
    assert "100 B free" in said


def test_a_host_without_a_state_folder(host: Host, capsys: Printed, tmp_path: Path) -> None:
    assert cli.main(["restore", str(host.backup), f"--config={host.config}", f"--state-dir={tmp_path / 'new'}"]) == 2
    assert "install -d" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
