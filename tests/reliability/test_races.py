"""Many daemons at once for one state folder, and for one socket: one lives, the others say who it is and touch nothing.

As many rounds as ZENDESKD_RACES says; after each the winner is killed, so that the next one begins on what it left.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures.daemons import DaemonProcess
from tests.waiting import wait_for
from zendeskd.client import Client, DaemonUnreachable

pytestmark = pytest.mark.e2e

ROUNDS = int(os.environ.get("ZENDESKD_RACES", "2"))
RACERS = 8


class Race:
    """Daemons started at the same time."""

    def __init__(self, commands: list[list[str]], folder: Path) -> None:
        self.said = [folder / f"said-{number}" for number in range(len(commands))]
        self.processes = []
        for command, said in zip(commands, self.said, strict=True):
            with said.open("wb") as out:
                self.processes.append(
                    subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
                )

    def running(self) -> list[subprocess.Popen[bytes]]:
        return [one for one in self.processes if one.poll() is None]

    def winner(self) -> subprocess.Popen[bytes]:
        wait_for(lambda: len(self.running()) <= 1, "all but one to give up", 60)
        assert len(self.running()) == 1, [said.read_text() for said in self.said]
        return self.running()[0]

    def losers(self) -> list[tuple[int, str]]:
        """How each ended, and what it said."""
        return [
            (one.returncode, said.read_text())
            for one, said in zip(self.processes, self.said, strict=True)
            if one.poll() is not None
        ]

    def end(self) -> None:
        for one in self.processes:
            one.kill()
            one.wait(20)


def answering(socket: Path, winner: subprocess.Popen[bytes]) -> None:
    """It listens, and it is the winner that does."""
    with Client(socket) as client:
        wait_for(lambda: socket.exists() and _pid(client) == winner.pid, "the winner to answer", 30)
        assert client.health().ok


def _pid(client: Client) -> int | None:
    try:
        return client.status().pid
    except DaemonUnreachable:
        return None


def of_the_winner(said: str, winner: subprocess.Popen[bytes], words: str) -> bool:
    """Names its pid, or "?" in the moment in which it had yet to write it down."""
    found = re.search(rf"another zendeskd \(pid (\d+|\?)\) {words}", said)
    return found is not None and found[1] in {str(winner.pid), "?"}


def test_one_of_many_gets_the_state_folder_and_a_killed_one_leaves_no_trace(
    daemons: Callable[[], DaemonProcess],
) -> None:
    one = daemons()
    key: bytes | None = None
    for _ in range(ROUNDS):
        race = Race([one.command()] * RACERS, one.folder)
        try:
            winner = race.winner()
            answering(one.socket, winner)
            for code, said in race.losers():
                assert code == 1, said
                assert of_the_winner(said, winner, f"works in {one.folder / 'state'}"), said
                assert "Traceback" not in said
            assert (one.folder / "state" / "zendeskd.lock").read_text() == f"{winner.pid}\n"
            assert one.query("PRAGMA integrity_check") == [("ok",)]
            now = (one.folder / "state" / "master.key").read_bytes()
            assert key in {None, now}, "no loser made another key"
            key = now
            before = one.socket.stat().st_ino
            again = subprocess.run(one.command(), capture_output=True, text=True, timeout=60, check=False)
            assert again.returncode == 1
            assert f"another zendeskd (pid {winner.pid}) works in" in again.stderr
            assert one.socket.stat().st_ino == before, "the socket is still the winner's"
            answering(one.socket, winner)
        finally:
            race.end()
        assert one.socket.exists(), "kill -9 leaves the socket, the locks and the pids behind"


def test_one_of_many_gets_the_socket_and_the_others_leave_it_alone(daemons: Callable[[], DaemonProcess]) -> None:
    made = [daemons() for _ in range(RACERS)]
    shared = made[0].folder / "run"
    socket = shared / "control.sock"
    for _ in range(ROUNDS):
        race = Race([one.command("run", f"--runtime-dir={shared}") for one in made], made[0].folder)
        try:
            winner = race.winner()
            answering(socket, winner)
            for code, said in race.losers():
                assert code == 1, said
                assert of_the_winner(said, winner, f"listens on {socket}"), said
                assert "Traceback" not in said
            assert (shared / "control.sock.lock").read_text() == f"{winner.pid}\n"
        finally:
            race.end()
        assert socket.exists()
