"""The daemon as a process: up, one of a kind, reloading, draining, killed, detached, supervised."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fixtures.daemons import DaemonProcess
from tests.waiting import wait_for
from zendeskd.simulator import Simulator

pytestmark = pytest.mark.e2e


def log_events(daemon: DaemonProcess) -> list[str]:
    if not daemon.log.exists():
        return []
    return [json.loads(line)["event"] for line in daemon.log.read_text().splitlines()]


def has_ended(pid: int) -> bool:
    """Gone, or waiting for a parent that does not ask (this machine's init may not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_up_and_down(daemon: DaemonProcess) -> None:
    status = daemon.client.status()
    assert daemon.process is not None
    assert (status.pid, status.role, status.organizations) == (daemon.process.pid, "operator", 0)
    assert daemon.socket.stat().st_mode & 0o777 == 0o660
    assert (daemon.folder / "state" / "master.key").stat().st_mode & 0o777 == 0o600
    assert daemon.stop() == 0
    assert not daemon.socket.exists()
    assert log_events(daemon)[0] == "ready"
    assert log_events(daemon)[-1] == "stopped"


def test_one_daemon_a_state_folder(daemon: DaemonProcess) -> None:
    assert daemon.process is not None
    again = subprocess.run(daemon.command(), capture_output=True, text=True, timeout=30, check=False)
    assert again.returncode == 1
    assert f"another zendeskd (pid {daemon.process.pid})" in again.stderr
    assert "zendeskd stop" in again.stderr
    assert daemon.client.health().ok


def test_one_daemon_a_socket(daemons: Callable[[], DaemonProcess], daemon: DaemonProcess) -> None:
    other = daemons()
    process = other.launch(f"--runtime-dir={daemon.folder / 'run'}")
    assert process.wait(30) != 0
    assert "listens on" in (other.folder / "stderr").read_text()
    assert daemon.client.health().ok


def test_killed_it_leaves_nothing_to_clean_up(daemon: DaemonProcess) -> None:
    daemon.kill()
    assert daemon.socket.exists()
    daemon.start()
    assert daemon.client.health().ok


def test_a_wrong_setting_is_refused_with_every_problem(daemons: Callable[[], DaemonProcess]) -> None:
    one = daemons()
    config = one.folder / "zendeskd.toml"
    config.write_text('workrs = 4\ndefault_interval = "75 * * * *"\n')
    process = one.launch(f"--config={config}")
    assert process.wait(30) == 2
    said = (one.folder / "stderr").read_text()
    assert "did you mean workers?" in said
    assert "minute: 75 is not valid" in said


def test_a_database_of_a_newer_program_is_refused(daemon: DaemonProcess) -> None:
    daemon.stop()
    import sqlite3

    with sqlite3.connect(daemon.database) as connection:
        (table,) = connection.execute("SELECT name FROM sqlite_master WHERE name LIKE '%migration%'").fetchone()
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        newest = dict(zip(columns, connection.execute(f"SELECT * FROM {table} LIMIT 1").fetchone(), strict=True))
        newest = {
            k: ("9999_from_the_future" if isinstance(v, str) and v.startswith("0001") else v) for k, v in newest.items()
        }
        newest = {k: v for k, v in newest.items() if k != "id"}
        marks = ", ".join("?" for _ in newest)
        connection.execute(f"INSERT INTO {table} ({', '.join(newest)}) VALUES ({marks})", list(newest.values()))
    connection.close()
    process = daemon.launch()
    assert process.wait(30) == 2
    assert "newer" in (daemon.folder / "stderr").read_text()


def test_reload_applies_what_it_can_and_refuses_what_is_wrong(daemons: Callable[[], DaemonProcess]) -> None:
    one = daemons()
    config = one.folder / "zendeskd.toml"
    config.write_text('default_interval = "*/15 * * * *"\nworkers = 2\n')
    one.start(f"--config={config}")
    assert one.process is not None
    config.write_text('default_interval = "*/30 * * * *"\nworkers = 3\n')
    one.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "reloaded" in log_events(one), "the reload")
    changed = [json.loads(line) for line in one.log.read_text().splitlines() if "setting changed" in line]
    assert {(c["setting"], c["applied"]) for c in changed} == {("default_interval", True), ("workers", False)}
    config.write_text("workers = 0\n")
    one.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "reload refused, the old settings stay" in log_events(one), "the refusal")
    one.add("late", "http://127.0.0.1:9", {"kind": "bearer", "token": "t"}, interval=None)
    assert one.client.sync_config_one("late").interval == "*/30 * * * *"
    assert one.client.health().ok


@pytest.fixture
def notices() -> Iterator[tuple[str, Callable[[], str]]]:
    """A NOTIFY_SOCKET, and what was sent to it so far."""
    name = f"zendeskd-test-{os.getpid()}-{os.urandom(4).hex()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as receiver:
        receiver.bind("\0" + name)
        heard: list[str] = []

        def so_far() -> str:
            while True:
                try:
                    heard.append(receiver.recv(4096).decode())
                except BlockingIOError:
                    return "\n".join(heard)

        yield "@" + name, so_far


def test_systemd_is_told_how_it_is(
    daemons: Callable[[], DaemonProcess], notices: tuple[str, Callable[[], str]]
) -> None:
    address, heard = notices
    one = daemons().start(environ={"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "400000"})
    wait_for(lambda: "READY=1" in heard(), "ready")
    wait_for(lambda: heard().count("WATCHDOG=1") >= 3, "the watchdog to be fed")
    assert one.process is not None
    one.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "READY=1" in heard().partition("RELOADING=1")[2], "ready after reloading")
    assert "MONOTONIC_USEC=" in heard().partition("RELOADING=1")[2]
    assert one.stop() == 0
    assert "STOPPING=1" in heard()


def test_detached_start_and_stop(daemons: Callable[[], DaemonProcess]) -> None:
    one = daemons()
    try:
        started = subprocess.run(one.command("start"), capture_output=True, text=True, timeout=60, check=False)
        assert started.returncode == 0, started.stderr
        assert "started (pid" in started.stderr
        assert one.client.health().ok
        pid = one.client.status().pid
        assert os.getsid(pid) != os.getsid(0)
        again = subprocess.run(one.command("start"), capture_output=True, text=True, timeout=60, check=False)
        assert again.returncode == 1
        assert f"pid {pid}" in again.stderr
    finally:
        stopped = subprocess.run(one.command("stop"), capture_output=True, text=True, timeout=60, check=False)
    assert (stopped.returncode, stopped.stderr.strip()) == (0, f"zendeskd: stopped (pid {pid})")
    assert has_ended(pid)
    idle = subprocess.run(one.command("stop"), capture_output=True, text=True, timeout=60, check=False)
    assert (idle.returncode, idle.stderr.strip()) == (0, "zendeskd: not running")


def test_a_start_that_fails_says_where_to_look(daemons: Callable[[], DaemonProcess]) -> None:
    one = daemons()
    (one.folder / "state").mkdir()
    one.database.write_text("this is not a database, but somebody's notes")
    started = subprocess.run(one.command("start"), capture_output=True, text=True, timeout=60, check=False)
    assert started.returncode == 1
    assert str(one.log) in started.stderr
    assert one.database.read_text() == "this is not a database, but somebody's notes"


def test_sigterm_ends_a_run_at_its_page_and_the_next_start_goes_on(daemon: DaemonProcess, simulator: Simulator) -> None:
    account = simulator.add_account("acme", tickets=4000, latency_s=0.3)
    daemon.add("acme", account.base_url, account.credential)
    wait_for(lambda: (run := daemon.status("acme").run) and run.pages >= 1, "the first page")
    assert daemon.stop() == 0
    ((status, _, read),) = daemon.query("SELECT status, pages, records_processed FROM sync_logs")
    assert status == "interrupted"
    daemon.start()
    wait_for(lambda: len(daemon.client.runs(org="acme").items) == 2, "the second run")
    run = daemon.ended(2)
    assert (run.status, run.trigger, run.records_created) == ("success", "catchup", 4000 - read)
    assert daemon.stored("acme") == account.tickets()


def test_a_lost_key_is_told_and_not_replaced(daemon: DaemonProcess) -> None:
    daemon.add("acme", "http://127.0.0.1:9", {"kind": "bearer", "token": "t"})
    daemon.stop()
    key = daemon.folder / "state" / "master.key"
    key.unlink()
    process = daemon.launch()
    assert process.wait(30) == 2
    assert "master.key" in (daemon.folder / "stderr").read_text()
    assert not key.exists()


@pytest.mark.parametrize(
    ("size", "mode", "said"), [(31, 0o600, "has 31 bytes, not 32"), (32, 0o644, "can be read by others (mode 644)")]
)
def test_a_key_that_cannot_be_used_is_one_line(
    daemons: Callable[[], DaemonProcess], size: int, mode: int, said: str
) -> None:
    daemon = daemons()
    key = daemon.folder / "state" / "master.key"
    key.parent.mkdir()
    key.write_bytes(b"k" * size)
    key.chmod(mode)
    assert daemon.launch().wait(30) == 2
    (line,) = (daemon.folder / "stderr").read_text().splitlines()
    assert f"The master key {key} {said}" in line


@pytest.mark.parametrize("limit", ["0", "unlimited"])
def test_it_leaves_no_core(daemons: Callable[[], DaemonProcess], limit: str) -> None:
    if limit == "unlimited" and resource.getrlimit(resource.RLIMIT_CORE)[1] != resource.RLIM_INFINITY:
        pytest.skip("the limit of this session cannot be raised")
    daemon = daemons()
    words = ["sh", "-c", f'ulimit -H -c {limit} && ulimit -S -c {limit} && exec "$@"', "sh", *daemon.command()]
    with (daemon.folder / "stderr").open("wb") as stderr:
        daemon.process = subprocess.Popen(words, stderr=stderr, env={**os.environ, "PYTHONFAULTHANDLER": "1"})
    daemon.await_ready()
    limits = Path(f"/proc/{daemon.process.pid}/limits").read_text()
    (core,) = (line.split()[4:6] for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core == (["0", "0"] if limit == "0" else ["1", "1"])
    daemon.process.send_signal(signal.SIGABRT)
    assert daemon.process.wait(30) == -signal.SIGABRT
    assert "Fatal Python error: Aborted" in (daemon.folder / "stderr").read_text()
    daemon.process = None


def test_another_key_is_told_at_the_start_and_costs_only_what_it_does_not_open(
    daemon: DaemonProcess, simulator: Simulator
) -> None:
    account = simulator.add_account("acme", tickets=5)
    daemon.add("acme", account.base_url, account.credential)
    daemon.first_run("acme")
    daemon.stop()
    key = daemon.folder / "state" / "master.key"
    right = key.read_bytes()
    key.write_bytes(right[::-1])
    daemon.start()
    told = "1 of 1 stored credentials were sealed with another master key"
    assert (daemon.folder / "stderr").read_text().count(told) == 1
    daemon.ended(daemon.client.trigger("acme").run_id)
    wait_for(lambda: daemon.status("acme").state == "blocked", "the block")
    status = daemon.status("acme")
    assert status.health == "blocked"
    assert status.last_error is not None
    assert status.last_error.code == "credential_error"
    assert "sealed with another master key than this one" in status.last_error.message
    daemon.add("globex", account.base_url, account.credential)
    assert daemon.first_run("globex").status == "success"
    daemon.stop()
    key.write_bytes(right)
    daemon.start()
    daemon.client.start("acme")
    wait_for(lambda: daemon.status("acme").last_status == "success", "a good run")


def test_a_new_key_while_nothing_runs(daemon: DaemonProcess, simulator: Simulator) -> None:
    account = simulator.add_account("acme", tickets=5, kind="oauth_refresh_token")
    daemon.add("acme", account.base_url, account.credential)
    daemon.first_run("acme")
    refused = subprocess.run(daemon.command("rotate-key"), capture_output=True, text=True, timeout=30, check=False)
    assert (refused.returncode, "Stop it first" in refused.stderr) == (1, True)
    daemon.stop()
    done = subprocess.run(daemon.command("rotate-key"), capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    (old,) = (daemon.folder / "state").glob("master.key.*")
    old.unlink()
    daemon.start()
    run = daemon.ended(daemon.client.trigger("acme").run_id)
    assert run.status == "success"


def test_no_secret_is_written_anywhere_in_clear(daemon: DaemonProcess, simulator: Simulator) -> None:
    account = simulator.add_account("acme", tickets=50)
    daemon.add("acme", account.base_url, account.credential)
    daemon.first_run("acme")
    account.revoke_client()
    daemon.ended(daemon.client.trigger("acme").run_id)
    secrets = [value for key, value in account.credential.items() if key in {"token", "clientSecret", "refreshToken"}]
    assert secrets
    daemon.stop()
    for path in daemon.folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(secret.encode() in content for secret in secrets), path
