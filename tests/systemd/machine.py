"""A machine of its own with a real systemd as PID 1: boot.sh makes it, this talks to it."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.systemd.image import CACHE, Missing, check_host, image, wheels
from tests.waiting import wait_for

_BOOT = Path(__file__).with_name("boot.sh")
_ENVIRONMENT = (
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG=C.UTF-8",
    "PIP_NO_INDEX=1",
    "PIP_FIND_LINKS=/srv/wheels",
    "PIP_DISABLE_PIP_VERSION_CHECK=1",
)
"""What a person has who logs in there, and pip finds its wheels on a machine without a network."""
_LESS = ("setpriv", "--bounding-set=-sys_time,-sys_module,-sys_rawio,-syslog")
"""This host's clock and kernel are not the machine's: root there has no power over them."""


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    def document(self) -> Any:
        return json.loads(self.out)


class Machine:
    """Up when made; `close` leaves nothing of it. Raises Missing where this host cannot have one."""

    def __init__(self, folder: Path) -> None:
        check_host()
        root = image()
        inside = CACHE / "machine"
        inside.mkdir(exist_ok=True)
        self.console = folder / "console"
        self.name = f"zendeskd-test-{uuid.uuid4().hex[:8]}"
        self._refusal = folder / "refusal"
        with self.console.open("wb") as console, self._refusal.open("wb") as refusal:
            self._rig = subprocess.Popen(
                [*_LESS, "unshare", "--mount", "sh", _BOOT, root, wheels(root), inside, self.name],
                stdin=subprocess.PIPE,  # it lasts until this is closed, also by our end
                stdout=console,
                stderr=refusal,
                start_new_session=True,  # ctrl+c is for us
            )
        try:
            self._init = wait_for(self._find_init, "PID 1 of the machine", 60)
            wait_for(self._is_up, "the machine to be up", 120)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        assert self._rig.stdin is not None
        self._rig.stdin.close()
        self._rig.wait(60)

    # --- what is done there ---------------------------------------------------------------------------------------

    def sh(
        self, script: str, *, user: str = "root", typed: str = "", codes: tuple[int, ...] = (0,), timeout_s: float = 60
    ) -> Done:
        """What a person who is logged in as `user` enters. Anything but an exit code of `codes` fails the test."""
        done = self._run(script, user=user, typed=typed, timeout_s=timeout_s)
        assert done.returncode in codes, f"{script}\n-> {done.returncode}\n{done.stdout}{done.stderr}{self.tail()}"
        return Done(done.returncode, done.stdout, done.stderr)

    def path(self, inside: str) -> Path:
        """That file or folder as this host sees it."""
        return Path(f"/proc/{self._init}/root{inside}")

    def tail(self) -> str:
        """The last lines of console and journal, for whoever has to find out what went wrong."""
        console = self.console.read_text(errors="replace").splitlines()
        journal = self._run("journalctl --no-pager --lines=30", user="root", typed="", timeout_s=20).stdout.splitlines()
        return "\n".join(["", *console[-10:], "--- journal", *journal])

    # --- booting --------------------------------------------------------------------------------------------------

    def _find_init(self) -> int | None:
        """The process that is systemd's and the first one there: its generators are beside it for a moment."""
        if self._rig.poll() is not None:
            raise Missing(f"this host boots no machine: {self._refusal.read_text().strip()}{self.console.read_text()}")
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                is_first = re.search(r"^NSpid:.*\t1$", (process / "status").read_text(), re.MULTILINE)
                if is_first and (process / "cgroup").read_text().rstrip().endswith(f"/{self.name}/init.scope"):
                    return int(process.name)
        return None

    def _is_up(self) -> bool:
        state = self.sh("systemctl is-system-running", codes=(0, 1)).out.strip()
        assert state != "degraded", f"{self.sh('systemctl --failed').out}{self.tail()}"
        return state == "running"

    def _run(self, script: str, *, user: str, typed: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
        home = "/root" if user == "root" else f"/home/{user}"
        become = () if user == "root" else ("runuser", "-u", user, "--")
        inside = [*_LESS, "nsenter", f"--target={self._init}", "--all", "env", "-i", *_ENVIRONMENT, f"HOME={home}"]
        return subprocess.run(
            [*inside, *become, "sh", "-euc", f"cd {home}\n{script}"],
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
