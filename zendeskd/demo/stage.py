"""What the demo plays on: the simulator in this process, the daemon as a process of its own, and a folder."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from zendeskd import __version__, paths, wire
from zendeskd.client import Client
from zendeskd.demo.cast import Cast, Player
from zendeskd.demo.ending import Ending
from zendeskd.errors import ConfigError, ZendeskdError
from zendeskd.simulator import Account, Simulator
from zendeskd.throwaway import Throwaway
from zendeskd.tied import tied

READY_WITHIN_S: Final = 30.0
ENDS_WITHIN_S: Final = 30.0
_BELOW_BYTES: Final = len("/zendeskd-demo-12345678/run/control.sock")


@contextlib.contextmanager
def throwaway() -> Iterator[Path]:
    """A new folder that is gone afterwards; after `kill -9`, with the next demo. Raises ZendeskdError if none can be
    made."""
    try:
        parent = tempfile.gettempdir()
        room = len(os.fsencode(parent)) <= paths.SOCKET_PATH_LIMIT - _BELOW_BYTES
        folder = Throwaway("zendeskd-demo-", parent if room else "/tmp")  # noqa: S108 - a folder of our own in it
    except OSError as error:
        why = f"the demo has no room for its files ({error.strerror or error})"
        raise ConfigError(why, hint="name a folder for them: TMPDIR=...") from None
    try:
        yield folder.path
    finally:
        folder.remove()


class Stage:
    """Entered: the accounts are there, the daemon answers, no organisation is known to it yet. For the main thread.

    `client` acts as somebody at a command line would. Whatever the daemon prints goes into a file of the folder.
    """

    def __init__(self, folder: Path, casts: Sequence[Cast], ending: Ending, *, workers: int | None = None) -> None:
        self.folder, self.casts, self.ending = folder, casts, ending
        self.socket = folder / "run" / "control.sock"
        self.database = folder / "state" / "zendeskd.db"
        self.log = folder / "log" / "sync-service.log"
        self.client = Client(self.socket, user_agent=f"zendeskctl/{__version__}")
        self.simulator = Simulator(seed=7)
        self.accounts: dict[str, Account] = {}
        self._workers = workers
        self._daemon: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Raises ZendeskdError if the daemon does not come up, KeyboardInterrupt if the demo is ended meanwhile."""
        try:
            self.simulator.start()
            for cast in self.casts:
                self._build(cast)
            self._daemon = self._launch()
            self._await_ready()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def is_alive(self) -> bool:
        """Whether the daemon runs."""
        return self._daemon is not None and self._daemon.poll() is None

    def add(self, cast: Cast) -> None:
        """Make the organisation known to the daemon, which starts its first run."""
        account = self.accounts.get(cast.org)
        base_url = f"{self.simulator.url}/accounts/{cast.org}" if account is None else account.base_url
        nobody = {"kind": "api_token", "email": "nobody@example.com", "token": "none"}
        credential = nobody if account is None else account.credential_of(cast.credential)
        integration = wire.IntegrationSpec(
            base_url=base_url,
            interval=cast.interval,
            lookback="all",
            strategy=cast.strategy,
            credentials=msgspec.Raw(msgspec.json.encode(credential)),
        )
        self.client.add_organization(wire.OrganizationSpec(id=cast.org, name=cast.name, integrations=[integration]))

    def trouble(self, cast: Cast) -> None:
        """Let the organisation's faults strike from now on."""
        for kind, options in cast.faults:
            self.accounts[cast.org].fault(kind, **{"on": "tickets", "times": None, **options})

    def close(self) -> None:
        """End daemon and simulator. May be called twice."""
        self.client.close()
        if self._daemon is not None:
            self._daemon.send_signal(signal.SIGTERM)
            try:
                self._daemon.wait(ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                self._daemon.kill()
                self._daemon.wait()
        self.simulator.stop()

    def _build(self, cast: Cast) -> None:
        if not cast.tickets:
            return  # there is no such account
        self.accounts[cast.org] = self.simulator.add_account(
            cast.org, tickets=cast.tickets, export_per_minute=600, account_per_minute=2000, **cast.options
        )
        if not isinstance(cast, Player):
            self.trouble(cast)

    def _launch(self) -> subprocess.Popen[bytes]:
        folders = {"state": self.folder / "state", "runtime": self.folder / "run", "log": self.folder / "log"}
        command = [sys.executable, "-m", "zendeskd", "run"]
        command += [f"--{name}-dir={folder}" for name, folder in folders.items()]
        if self._workers is not None:
            command.append(f"--workers={self._workers}")
        environ = {name: value for name, value in os.environ.items() if not name.startswith("ZENDESKD_")}
        environ["XDG_CONFIG_HOME"] = str(self.folder)  # the demo is the same whatever this machine's settings are
        with (self.folder / "daemon.stderr").open("wb") as stderr:
            # a session of its own: ctrl+c and a terminal that hangs up are for the demo, which then ends it
            return subprocess.Popen(
                tied(command),
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                start_new_session=True,
            )

    def _await_ready(self) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        while True:
            try:
                self.client.health()
            except ZendeskdError:
                if not self.is_alive or time.monotonic() > deadline:
                    raise
                self.ending.pause(0.05)
            else:
                return
