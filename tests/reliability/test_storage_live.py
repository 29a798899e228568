"""What may become of the disk below a running daemon, and of its database between two starts.

Each time: the failure is called what it is, everybody is told, the daemon goes on by itself where it can, and where it
cannot not a byte of the database is changed.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fixtures.daemons import DaemonProcess
from tests.waiting import wait_for
from zendeskd import wire
from zendeskd.client import ApiError
from zendeskd.db import Database
from zendeskd.simulator import Account, Simulator

LOCKED_S = float(os.environ.get("STORAGE_LOCKED_S", "11"))
"""How long another program keeps the lock: longer than SQLite waits for it, which is 10 s."""

PAGE = 16_384
LOCKS = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


class Scene:
    """A daemon with an organisation that was read once, and since then has changed."""

    def __init__(self, daemon: DaemonProcess, account: Account) -> None:
        self.daemon, self.account = daemon, account

    def read(self) -> Scene:
        self.daemon.add("acme", self.account.base_url, self.account.credential)
        assert self.daemon.first_run("acme").status == "success"
        self.account.change(30)
        self.account.add(20)
        return self

    def at_rest(self) -> bytes:
        """End the daemon. -> its database, which is one file then."""
        assert self.daemon.stop() == 0
        return self.daemon.database.read_bytes()

    def run(self) -> wire.RunDocument:
        return self.daemon.ended(self.daemon.client.trigger("acme").run_id)

    def is_whole(self) -> None:
        """Goes on as if nothing had been: the next run brings everything, and all is well again."""
        run = self.run()
        assert run.status == "success"
        assert self.daemon.stored("acme") == self.account.tickets()
        assert self.daemon.query("PRAGMA integrity_check") == [("ok",)]
        assert self.daemon.client.status().database.trouble is None
        assert self.ctl("health")[0] == 0

    def trouble(self) -> str | None:
        return self.daemon.client.status().database.trouble

    def fails(self) -> str:
        """A run that is asked for now comes to nothing. -> the sentence that says why."""
        try:
            run = self.run()
        except ApiError as refused:
            assert (refused.status, refused.problem.code) == (503, "storage_error")
            return f"{refused.detail} {refused.hint}"
        assert (run.status, run.error_code) == ("failed", "storage_error")
        return run.error_message or ""

    def ctl(self, *words: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "zendeskd.ctl", "--socket", str(self.daemon.socket), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr

    def is_told(self, word: str) -> None:
        """In what monitoring, scripts and the dashboard read."""
        code, said = self.ctl("health")
        assert (code, f"database: {word}" in said) == (2, True), said
        assert word in self.ctl("version")[1]
        assert f"database: {word}" in self.daemon.client.health().detail
        assert self.daemon.client.health().ok  # the daemon itself is well

    def refuses_to_start(self, code: int, environ: dict[str, str] | None = None) -> str:
        """-> what it says with its last breath."""
        process = self.daemon.launch(environ=environ)
        assert process.wait(30) == code
        self.daemon.process = None
        *_, last = (self.daemon.folder / "stderr").read_text().splitlines()
        if not last.startswith("{"):
            return last
        told = json.loads(last)
        assert told["event"] == "cannot start"
        return f"{told['error']} {told['hint']}"

    def logged(self, event: str) -> int:
        return sum(json.loads(line)["event"] == event for line in self.daemon.log.read_text().splitlines())

    def restore(self, file: Path) -> None:
        command = self.daemon.command("restore", str(file), "--yes")
        subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, stdin=subprocess.DEVNULL)


@pytest.fixture
def scene(daemon: DaemonProcess, simulator: Simulator) -> Scene:
    return Scene(daemon, simulator.add_account("acme", tickets=1200)).read()


def beside(path: Path, end: str) -> Path:
    return path.with_name(path.name + end)


# --- full, read-only, failing -----------------------------------------------------------------------------------------


def can_mount() -> bool:
    return subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0


needs_mounts = pytest.mark.skipif(
    shutil.which("unshare") is None or not can_mount(), reason="needs a mount namespace of its own (root)"
)


class MountedDaemon(DaemonProcess):
    """Its state folder is mounted as `mount` says, for it alone."""

    mount = ""

    def command(self, verb: str = "run", *more: str) -> list[str]:
        words = super().command(verb, *more)
        if not self.mount:
            return words
        script = f'set -e; mkdir -p "$0"; {self.mount}; exec "$@"'
        return ["unshare", "--mount", "sh", "-c", script, str(self.folder / "state"), *words]

    def outside(self) -> Path:
        """The database as it is now, copied out of the mount, which nobody else sees."""
        assert self.process is not None
        inside = Path(f"/proc/{self.process.pid}/root{self.folder}/state")
        target = self.folder / "outside"
        target.mkdir(exist_ok=True)
        for name in ("zendeskd.db", "zendeskd.db-wal"):
            shutil.copyfile(inside / name, target / name)
        return target / "zendeskd.db"


@pytest.fixture
def mounted(short_dir: Path) -> Iterator[MountedDaemon]:
    one = MountedDaemon(short_dir)
    yield one
    one.close()


@needs_mounts
def test_a_full_disk_that_is_given_room(mounted: MountedDaemon, simulator: Simulator) -> None:
    mounted.mount = 'mount -t tmpfs -o size=14m tmpfs "$0"'
    mounted.start()
    account = simulator.add_account("acme", tickets=6000)
    scene = Scene(mounted, account)
    mounted.add("acme", account.base_url, account.credential)
    run = mounted.first_run("acme")
    assert (run.status, run.error_code) == ("failed", "storage_error")
    assert "disk that holds" in (run.error_message or "")
    assert 0 < run.records_processed < 6000
    scene.is_told("disk full")
    assert "Free some space" in scene.ctl("explain", "acme")[1]
    for _ in range(3):  # each try stores what fits, or nothing
        again = mounted.ended(mounted.client.trigger("acme").run_id)
        assert (again.status, again.error_code) == ("failed", "storage_error")
    wait_for(lambda: mounted.status("acme").state == "retrying", "the end of the run")
    status = mounted.status("acme")
    assert (status.health, status.consecutive_failures) == ("failing", 4)
    assert mounted.process is not None
    enter = ["nsenter", "--target", str(mounted.process.pid), "--mount"]
    subprocess.run([*enter, "mount", "-o", "remount,size=200m", str(mounted.folder / "state")], check=True, timeout=30)
    run = scene.run()
    assert run.status == "success"
    assert mounted.client.status().database.trouble is None
    wait_for(lambda: mounted.status("acme").consecutive_failures == 0, "the end of the run")
    mounted.database = mounted.outside()
    assert mounted.stored("acme") == account.tickets()
    assert mounted.query("SELECT sum(records_created + records_deleted), sum(records_unchanged) FROM sync_logs") == [
        (6000, 0)
    ]
    assert mounted.query("PRAGMA integrity_check") == [("ok",)]


def test_a_database_that_may_only_be_read_is_left_alone(mounted: MountedDaemon, simulator: Simulator) -> None:
    """Mounted read-only for root, who may write to every file; by its mode for others."""
    scene = Scene(mounted.start(), simulator.add_account("acme", tickets=300)).read()
    before = scene.at_rest()
    folder = mounted.database.parent
    if os.geteuid() == 0:
        if not can_mount():
            pytest.skip("needs a mount namespace of its own")
        mounted.mount = 'mount --bind "$0" "$0"; mount -o remount,bind,ro "$0"'
    else:
        mounted.database.chmod(0o440)
    said = scene.refuses_to_start(1)  # which systemd tries again: it may be mended
    assert "cannot be opened" in said or "keeps it read-only" in said
    assert mounted.database.read_bytes() == before
    assert {one.name for one in folder.iterdir()} == {"master.key", "zendeskd.db", "zendeskd.lock"}
    mounted.mount = ""
    mounted.database.chmod(0o640)
    mounted.start()
    scene.is_whole()


@pytest.mark.parametrize("error", [errno.EIO, errno.EROFS], ids=["EIO", "EROFS"])
def test_a_disk_that_fails_for_a_while(
    error: int, disk: Path, daemons: Callable[[], DaemonProcess], simulator: Simulator
) -> None:
    daemon = daemons()
    told = daemon.folder / "faulty"
    preloaded = {"LD_PRELOAD": str(disk), "FAULTY_DISK": str(told), "FAULTY_FOLDER": str(daemon.folder / "state")}
    daemon.start(environ=preloaded)
    scene = Scene(daemon, simulator.add_account("acme", tickets=300)).read()
    told.write_text(str(error))
    for _ in range(3):
        assert "The disk that holds" in scene.fails()
    scene.is_told("I/O error")
    told.unlink()
    run = scene.run()
    assert run.status == "success"
    assert daemon.stored("acme") == scene.account.tickets()
    assert scene.trouble() is None
    assert scene.logged("a thread does not move") == 0
    before = scene.at_rest()
    told.write_text(str(error))
    scene.refuses_to_start(1, preloaded)  # and systemd tries again
    assert daemon.database.read_bytes() == before
    told.unlink()
    daemon.start()
    scene.is_whole()


# --- locked -----------------------------------------------------------------------------------------------------------


def test_another_program_that_keeps_the_lock(scene: Scene) -> None:
    daemon = scene.daemon
    words = [sys.executable, "-c", LOCKS, str(daemon.database)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "locked\n"
        assert "Another program keeps the database" in scene.fails()
        scene.is_told("locked")
        if LOCKED_S > 10:
            assert daemon.client.records(org="acme").items  # reading needs no lock
        other.stdin.close()
    scene.is_whole()


# --- deleted, moved, replaced -----------------------------------------------------------------------------------------


def saved(daemon: DaemonProcess) -> Path:
    def made() -> list[wire.Backup]:
        known = daemon.client.status().backup
        return [one for one in known.recent if one.trouble is None] if known is not None else []

    return Path(wait_for(made, "what it held to be saved")[0].path)


@pytest.mark.parametrize("everything", [False, True], ids=["the-file", "the-whole-folder"])
def test_a_database_that_is_deleted_is_saved_and_can_be_put_back(scene: Scene, everything: bool) -> None:
    daemon = scene.daemon
    key = (daemon.folder / "state" / "master.key").read_bytes()
    before = daemon.query("SELECT external_id, raw FROM flow_records ORDER BY 1")
    if everything:
        shutil.rmtree(daemon.database.parent)
    else:
        daemon.database.unlink()
    for _ in range(3):
        assert "was deleted or moved away" in scene.fails()
    assert not daemon.database.exists()
    scene.is_told("file is gone")
    file = saved(daemon)
    assert scene.logged("the database is lost") == 1
    assert daemon.stop() == 0
    said = scene.refuses_to_start(2)
    assert f"zendeskd restore {file}" in said
    assert not daemon.database.exists()
    master = daemon.folder / "state" / "master.key"
    master.write_bytes(key)
    master.chmod(0o600)
    scene.restore(file)
    assert daemon.query("SELECT external_id, raw FROM flow_records ORDER BY 1") == before
    daemon.start()
    scene.is_whole()


def test_a_database_that_is_deleted_just_before_the_end_is_saved(scene: Scene) -> None:
    """Nobody has noticed it before."""
    daemon = scene.daemon
    daemon.database.unlink()
    assert daemon.stop() == 0
    (file,) = (daemon.folder / "state" / "backups").iterdir()
    scene.restore(file)
    daemon.start()
    scene.is_whole()


def test_systemd_is_told_to_wait_for_what_is_saved_at_the_end(
    daemons: Callable[[], DaemonProcess], simulator: Simulator, short_dir: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as supervisor:
        supervisor.bind(str(short_dir / "notify"))
        daemon = daemons().start(environ={"NOTIFY_SOCKET": str(short_dir / "notify")})
        Scene(daemon, simulator.add_account("acme", tickets=300)).read()
        daemon.database.unlink()
        assert daemon.stop() == 0
        heard = []
        with contextlib.suppress(BlockingIOError):
            while True:
                heard.append(supervisor.recv(4096).decode())
    assert any(re.match(r"EXTEND_TIMEOUT_USEC=\d{8,}\n", one) for one in heard[heard.index("STOPPING=1") :])
    assert len(list((daemon.folder / "state" / "backups").iterdir())) == 1


def test_a_database_that_is_moved_away_and_back(scene: Scene) -> None:
    daemon = scene.daemon
    away = daemon.database.with_name("away.db")
    daemon.database.rename(away)
    assert "was deleted or moved away" in scene.fails()
    away.rename(daemon.database)
    scene.is_whole()


def test_another_database_in_its_place_is_not_written_to(scene: Scene) -> None:
    daemon = scene.daemon
    copy = daemon.folder / "copy.db"
    with (
        contextlib.closing(sqlite3.connect(daemon.database)) as source,
        contextlib.closing(sqlite3.connect(copy)) as to,
    ):
        source.backup(to)
    other = copy.read_bytes()
    copy.replace(daemon.database)
    assert "Another file took the place" in scene.fails()
    scene.is_told("file was replaced")
    saved(daemon)
    daemon.kill()
    assert daemon.database.read_bytes() == other
    daemon.start()
    scene.is_whole()


@pytest.mark.parametrize("ends", [("-wal",), ("-wal", "-shm")], ids=" ".join)
def test_a_log_that_is_deleted_costs_nothing(scene: Scene, ends: tuple[str, ...]) -> None:
    for end in ends:
        beside(scene.daemon.database, end).unlink()
    scene.is_whole()
    scene.daemon.kill()
    scene.daemon.start()
    scene.is_whole()


# --- damaged ----------------------------------------------------------------------------------------------------------


def table_page(path: Path) -> int:
    """Where the root of the records' table lies in the file."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'flow_records'").fetchone()
    return (int(root) - 1) * PAGE


def damaged(path: Path, how: str) -> None:
    if how == "cut off":
        os.truncate(path, path.stat().st_size // PAGE // 2 * PAGE)
        return
    at, size = (0, 100) if how == "header" else (table_page(path), PAGE)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(bytes(255 - n % 7 for n in range(size)))


@pytest.mark.parametrize("how", ["header", "table", "cut off"])
def test_a_database_that_is_damaged_under_the_daemon(scene: Scene, how: str) -> None:
    daemon = scene.daemon
    daemon.client.backup()
    file = saved(daemon)
    scene.at_rest()
    daemon.start()
    damaged(daemon.database, how)
    before = daemon.database.read_bytes()
    for _ in range(2):
        assert "is damaged" in scene.fails()
    scene.is_told("corrupt")
    assert "restore" in scene.fails()
    daemon.kill()
    assert daemon.database.read_bytes() == before
    scene.restore(file)
    daemon.start()
    scene.is_whole()


@pytest.mark.parametrize("how", ["header", "cut off"])
def test_a_database_that_is_damaged_before_the_start(scene: Scene, how: str) -> None:
    daemon = scene.daemon
    scene.at_rest()
    damaged(daemon.database, how)
    before = daemon.database.read_bytes()
    for _ in range(2):
        assert "zendeskd restore" in scene.refuses_to_start(2)  # which systemd does not try again
    assert daemon.database.read_bytes() == before


def test_a_database_of_a_newer_program_is_left_alone(scene: Scene) -> None:
    daemon = scene.daemon
    scene.at_rest()
    with contextlib.closing(sqlite3.connect(daemon.database)) as connection, connection:
        connection.execute("INSERT INTO schema_migration (name, applied) VALUES ('0999_fence', '2030-01-01')")
    before = daemon.database.read_bytes()
    assert "written by a newer zendeskd" in scene.refuses_to_start(2)
    assert daemon.database.read_bytes() == before


# --- a log that was left ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("without", ["", "-shm"], ids=["as-it-was", "without-shm"])
def test_a_log_that_a_killed_daemon_left_is_read(scene: Scene, without: str) -> None:
    daemon = scene.daemon
    assert scene.run().status == "success"
    daemon.kill()
    assert beside(daemon.database, "-wal").stat().st_size > PAGE
    if without:
        beside(daemon.database, without).unlink()
    scene.account.change(10)
    daemon.start()
    scene.is_whole()


@pytest.mark.parametrize("what", ["of another database", "of the database before the backup"])
def test_a_log_that_is_not_its_own_is_not_taken_for_it(scene: Scene, what: str) -> None:
    """A killed daemon leaves a log, and somebody copies another database to its name by hand."""
    daemon = scene.daemon
    other = daemon.folder / "other.db"
    if what == "of another database":
        with contextlib.closing(Database(f"sqlite:///{other}")) as made:
            made.open()
    else:
        daemon.client.backup()
        shutil.copyfile(saved(daemon), other)
    assert scene.run().status == "success"
    daemon.kill()
    shutil.copyfile(other, daemon.database)
    log = beside(daemon.database, "-wal")
    before = (daemon.database.read_bytes(), log.read_bytes())
    assert "was left by another database" in scene.refuses_to_start(2)
    assert (daemon.database.read_bytes(), log.read_bytes()) == before
    log.rename(daemon.folder / "log-of-another")
    daemon.start()
    assert daemon.query("PRAGMA integrity_check") == [("ok",)]
