"""The file that makes one daemon a state folder: taken, told about, and never mistaken for somebody else's."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from zendeskd.errors import Conflict
from zendeskd.lock import InstanceLock, holder, take

PRECIOUS = "precious\n"


def put(kind: str, path: Path) -> Path:
    """Something else in the lock's place. -> the file that must stay as it is."""
    target = path.with_name("precious")
    target.write_text(PRECIOUS)
    if kind == "file":
        path.write_text(PRECIOUS)
        return path
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "dangling":
        path.symlink_to(path.with_name("nowhere"))
    elif kind == "link":
        path.symlink_to(target)
    elif kind == "hard link":
        os.link(target, path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
    return target


@pytest.mark.parametrize("kind", ["file", "folder", "fifo", "dangling", "link", "hard link", "socket"])
def test_what_is_no_lock_file_is_refused_and_left_as_it_is(short_dir: Path, kind: str) -> None:
    path = short_dir / "zendeskd.lock"
    precious = put(kind, path)
    before = path.lstat()
    for _ in range(2):
        with pytest.raises(OSError, match="is no lock file: move it away"):
            InstanceLock(path)
        with pytest.raises(OSError, match="is no lock file"):
            holder(path)
    after = path.lstat()
    assert (after.st_ino, after.st_mode, after.st_size) == (before.st_ino, before.st_mode, before.st_size)
    assert precious.read_text() == PRECIOUS
    assert not (short_dir / "nowhere").exists()


@pytest.mark.parametrize("left", [b"", b"4194304\n", b"\0" * 8])
def test_what_a_crash_or_a_power_cut_left_is_taken_over(short_dir: Path, left: bytes) -> None:
    path = short_dir / "zendeskd.lock"
    path.write_bytes(left)
    with InstanceLock(path):
        assert path.read_text() == f"{os.getpid()}\n"
        assert holder(path) == os.getpid()
        with pytest.raises(Conflict, match=f"pid {os.getpid()}"):
            InstanceLock(path)
    assert holder(path) is None


HOLDER = """
import sys
from pathlib import Path
from zendeskd.lock import take
take(Path(sys.argv[1]))
print(flush=True)
sys.stdin.read()
"""


def test_a_killed_holder_lets_go_and_its_pid_is_nobodys(short_dir: Path) -> None:
    path = short_dir / "zendeskd.lock"
    with subprocess.Popen([sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert holder(path) == other.pid
        with pytest.raises(Conflict, match=f"pid {other.pid}"):
            InstanceLock(path)
        other.send_signal(signal.SIGKILL)
        other.wait(10)
    assert path.read_text() == f"{other.pid}\n", "kill -9 leaves it in the file"
    assert holder(path) is None
    os.close(take(path))
