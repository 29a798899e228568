"""`zendeskd rotate-key` killed after each of its steps: every credential opens, and the next try finishes the work.

A step is each call that may change a file, from the moment on in which the rotation begins; kill -9 comes before it,
and so after the one before. The program is forked for each, from one that has imported everything. ROTATION_KILLS=300
adds so many at random moments.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.component.test_rotate_key import EVERYTHING, Host
from zendeskd.secrets import Vault, key_id_of

DRIVER = """
import os, random, shutil, signal, sys
from pathlib import Path
from zendeskd import cli, daemon, restore, rotation  # before the fork
from zendeskd.doctor import service

template, folder, kills = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
CHANGING = {"open", "close", "write", "flush", "fsync", "link", "rename", "unlink", "execute", "connect"}

def rotate(where, *, die_at=None, after_s=None):
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    steps = 0
    def look(frame, event, called):
        nonlocal steps
        if event == "call" and frame.f_code is rotation.rotate.__code__:
            steps = 1
        elif event == "c_call" and steps and called.__name__ in CHANGING:
            if steps == die_at:
                os.kill(os.getpid(), signal.SIGKILL)
            steps += 1
    if after_s is not None:
        signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        signal.setitimer(signal.ITIMER_REAL, after_s)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    words = ["rotate-key", f"--config={template.parent / 'zendeskd.toml'}", f"--state-dir={where}"]
    if die_at is not None:
        sys.setprofile(look)
    code = cli.main(words + [f"--runtime-dir={where}"])
    sys.setprofile(None)
    os._exit(code)

def once(number, **how):
    where = folder / str(number) / "state"
    shutil.copytree(template, where)
    status = rotate(where, **how)
    shutil.copytree(where, folder / str(number) / "after")
    again = rotate(where)
    print(number, status, again, flush=True)
    assert status in (0, 9) and again == 0
    return status

number = 0
for step in range(1, 1000):
    number += 1
    if once(number, die_at=step) == 0:
        break
dice = random.Random()
for _ in range(kills):
    number += 1
    once(number, after_s=dice.uniform(0.0005, 0.05))
"""


def test_killed_at_any_step_every_credential_opens(tmp_path: Path) -> None:
    host = Host(tmp_path).fill()
    kills = os.environ.get("ROTATION_KILLS", "20")
    work = tmp_path / "work"
    work.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(host.state), str(work), kills],
        capture_output=True,
        text=True,
        timeout=60 + int(kills),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    killed = [number for number, status, _ in lines if status == 9]
    assert len(killed) > 30
    assert {status for _, status, _ in lines} == {0, 9}
    assert {again for *_, again in lines} == {0}, done.stderr
    states = set()
    for number, _, _ in lines:
        after = at(work / str(number) / "after")
        assert after.opened() == EVERYTHING, number
        present = Vault(after.key.read_bytes()).key_id
        sealed_with = {key_id_of(text) for text in after.sealed().values()}
        assert len(sealed_with) == 1, number
        states.add((present in sealed_with, len(list(after.state.glob("master.key.*")))))
        again = at(work / str(number) / "state")
        assert again.opened(Vault(again.key.read_bytes())) == EVERYTHING, number
        assert not list(again.state.glob(".master-*")), number
        assert {path.stat().st_mode & 0o777 for path in again.state.glob("master.key*")} == {0o600}, number
    # before; the second name; the new key and old seals; new seals
    assert states == {(True, 0), (True, 1), (False, 1)}


def at(state: Path) -> Host:
    host = object.__new__(Host)
    host.state, host.key, host.path = state, state / "master.key", state / "zendeskd.db"
    return host
