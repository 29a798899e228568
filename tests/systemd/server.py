"""A server as docs/operate.md makes one: its commands, pasted from the document, and what can be seen afterwards."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.systemd.image import ROOT
from tests.systemd.machine import Done, Machine
from tests.waiting import wait_for

_SECTIONS: Final = re.findall(
    r"^## (.*?)\n(.*?)(?=^## |\Z)", (ROOT / "docs" / "operate.md").read_text(), re.MULTILINE | re.DOTALL
)
COMMANDS: Final = {
    (title, number): block
    for title, text in _SECTIONS
    for number, block in enumerate(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
}
"""Every block of commands, by its section and its place there."""
NOTHING: Final[Mapping[str, str]] = {}
SOCKET: Final = "/run/zendeskd/control.sock"
SIMULATOR: Final = "http://127.0.0.1:8045"


class Server(Machine):
    """Debian, people, a repository to clone; `paste` does the rest."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._read = 0
        self.credentials: dict[str, str] = {}
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        hidden = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info")
        shutil.copytree(ROOT, self.path("/srv/upstream"), ignore=hidden)
        self.sh("""
            useradd --create-home ana
            useradd --create-home bob
            git config --global user.name upstream
            git config --global user.email upstream@example.com
            git -C /srv/upstream init --quiet --initial-branch=main
        """)
        self.publish("the work tree")
        self.sh("git clone --quiet /srv/upstream zendeskd")

    def publish(self, message: str) -> None:
        """What lies in /srv/upstream is the newest commit there."""
        self.sh(f"cd /srv/upstream\ngit add --all\ngit commit --quiet --message '{message}'")

    # --- the document ---------------------------------------------------------------------------------------------

    def paste(
        self,
        section: str,
        number: int = 0,
        *,
        only: str = "",
        instead: Mapping[str, str] = NOTHING,
        timeout_s: float = 120,
    ) -> Done:
        """A block of commands of the document, entered as root in the clone. `only`: the one line that begins so.
        `instead`: what a reader fills in."""
        block = COMMANDS[section, number]
        if only:
            (block,) = (line for line in block.splitlines() if line.startswith(only))
        for old, new in instead.items():
            assert old in block, f"{section}: no {old!r} in\n{block}"
            block = block.replace(old, new)
        return self.sh(f"cd zendeskd\n{block}", timeout_s=timeout_s)

    # --- the unit -------------------------------------------------------------------------------------------------

    def show(self, name: str) -> str:
        """A property of the unit, as systemd has it."""
        return self.sh(f"systemctl show --property={name} --value zendeskd").out.strip()

    def pid(self) -> int:
        return int(self.show("MainPID"))

    def drop_in(self, settings: str | None) -> None:
        """Settings of the test's own beside the unit; None: none any more. They count from the next start on."""
        folder = "/etc/systemd/system/zendeskd.service.d"
        self.sh(f"mkdir -p {folder}; rm -f {folder}/test.conf")
        if settings is not None:
            self.path(f"{folder}/test.conf").write_text(f"[Service]\n{settings}\n")
        self.sh("systemctl daemon-reload")

    def configure(self, settings: str) -> None:
        self.path("/etc/zendeskd/zendeskd.toml").write_text(settings + "\n")

    def journal(self) -> str:
        """What the unit, and systemd about it, wrote since this was asked the last time."""
        self.sh("journalctl --sync")
        whole = self.sh("journalctl --unit=zendeskd --output=cat --no-pager").out
        new, self._read = whole[self._read :], len(whole)
        return new

    def journal_says(self, words: str, timeout_s: float = 15) -> None:
        """Wait until it does, in a line that was not there before."""
        said: list[str] = []

        def found() -> bool:
            said.append(self.journal())
            return words in "".join(said)

        wait_for(found, f"the journal to say: {words}", timeout_s)

    def came_back(self, pid: int, timeout_s: float = 30) -> int:
        """Wait until another main process than that one is ready. -> how often systemd has started the unit again."""

        def is_back() -> bool:
            return self.show("ActiveState") == "active" and self.pid() not in {0, pid}

        wait_for(is_back, "the unit to be started again", timeout_s)
        return int(self.show("NRestarts"))

    # --- the daemon -----------------------------------------------------------------------------------------------

    def ctl(self, *words: str, user: str = "ana", **more: Any) -> Any:
        """The document that `zendeskctl` prints."""
        return self.sh(shlex.join(["zendeskctl", *words, "--json"]), user=user, **more).document()

    def add(self, org: str, account: str, *options: str) -> Any:
        """An organisation, with an account of the simulator."""
        about = ["--base-url", f"{SIMULATOR}/accounts/{account}", "--lookback", "all", *options]
        return self.ctl("org", "add", org, *about, "--credentials", "-", typed=self.credentials[account])

    def newest(self, org: str) -> Any:
        return self.ctl("runs", org, "-n", "1")["items"][0]

    def ended(self, run: int, timeout_s: float = 30) -> Any:
        def finished() -> Any:
            found = self.ctl("run", str(run))
            return None if found["status"] in {"queued", "running"} else found

        return wait_for(finished, f"the end of run {run}", timeout_s)

    def stored(self, org: str) -> dict[int, str]:
        """Every ticket of the copy, as it was sent; read by a member of the group, as people do."""
        select = f"SELECT external_id, raw FROM flow_records WHERE organization_id = '{org}'"
        rows = self.sh(f'sqlite3 -readonly -json /var/lib/zendeskd/zendeskd.db "{select}"', user="ana").out
        return {int(row["external_id"]): row["raw"] for row in json.loads(rows or "[]")}

    # --- the simulator --------------------------------------------------------------------------------------------

    def simulate(self, tickets: int) -> None:
        """Two accounts, from a unit of its own that knows nothing of the daemon's."""
        options = f"--port=8045 --accounts=2 --tickets={tickets} --export-per-minute=600"
        self.sh(
            "systemd-run --quiet --unit=simulator --property=User=nobody --setenv=PYTHONDONTWRITEBYTECODE=1 "
            f"/opt/zendeskd/bin/zendeskd simulator {options}"
        )
        asked = f"curl --silent --fail {SIMULATOR}/_simulator/accounts"

        def found() -> dict[str, str]:
            return {
                one["name"]: json.dumps(one["credential"])
                for one in json.loads(self.sh(asked, codes=(0, 7)).out or "[]")
            }

        self.credentials = wait_for(lambda: made if len(made := found()) == 2 else None, "both accounts", 60) or {}

    def steer(self, account: str, action: str, **what: object) -> None:
        body = shlex.quote(json.dumps(what))
        self.sh(f"curl --silent --fail --data {body} {SIMULATOR}/_simulator/accounts/{account}/{action}")

    def truth(self, account: str) -> dict[int, str]:
        lines = self.sh(f"curl --silent --fail {SIMULATOR}/_simulator/accounts/{account}/tickets").out.splitlines()
        return {json.loads(line)["id"]: line for line in lines}
