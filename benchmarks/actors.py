"""Who acts on a soak: the people of the simulated accounts, operators, listeners, readers of the database.

Each is a thread that does one small thing after another, drawn by its own dice, until the scene is over.
"""

from __future__ import annotations

import contextlib
import socket
import sqlite3
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

import httpx
import msgspec

from zendeskd.client import ApiError, Client
from zendeskd.errors import ZendeskdError

KINDS: Final = ("oauth_client_credentials", "oauth_refresh_token", "api_token", "bearer")
UNSEEN: Final = {"export": {"purge"}, "list": {"touch", "scrub", "archive", "purge"}}
"""What no run can see by a strategy: a comparison is for that."""

CHANGES: Final = {
    "change": 40, "add": 20, "touch": 10, "delete": 8, "restore": 4, "strange": 2, "archive": 2, "scrub": 1, "purge": 1,
}  # fmt: skip
_ALWAYS_NOW: Final = {"archive", "purge"}
FAULTS: Final[tuple[tuple[str, dict[str, object]], ...]] = (
    ("status", {"status": 500}),
    ("status", {"status": 503, "retry_after": 3}),
    ("status", {"status": 404}),
    ("status", {"status": 422}),
    ("rate_limited", {"retry_after": 4}),
    ("rate_limited", {"retry_after_date_s": 6}),
    ("rate_limited", {"is_text": True, "retry_after": "soon"}),
    ("too_big", {"above": 100}),
    ("html", {}),
    ("not_json", {}),
    ("wrong_shape", {}),
    ("redirect", {}),
    ("unauthorized", {}),
    ("forbidden", {}),
    ("anonymous", {}),
    ("expired_cursor", {}),
    ("too_recent", {}),
    ("stuck_cursor", {}),
    ("repeating_cursor", {}),
    ("null_cursor", {}),
    ("short_page", {"rows": 3}),
    ("duplicates", {}),
    ("duplicates", {"is_stale": True}),
    ("duplicates_across", {}),
    ("malformed_ticket", {"variant": "no_id"}),
    ("malformed_ticket", {"variant": "wrong_types"}),
    ("reset", {}),
    ("reset", {"at": "within"}),
    ("truncated", {}),
    ("slow", {"delay_s": 1.0, "chunk": 16_384, "every_s": 0.05}),
    ("hang", {"seconds": 8}),
    ("hang", {"at": "within", "seconds": 8}),
    ("huge_body", {"is_gzip": True}),
    ("bad_gzip", {}),
)
"""All but `strange_text`, which changes a ticket without a new version: a check, which keeps nothing of what it reads,
would be the only one to see it. Of such text `strange` makes enough."""
STRIKES_ON: Final = ("tickets", "tickets", "tickets", "any", "deleted", "token", "show_many")
HELD_S: Final = (1.0, 8.0)
"""For how long somebody leaves a look at the database open, or does not read the stream of events."""


@dataclass
class Organization:
    """One of the fleet, the account behind it, and what happened there that no run can see."""

    name: str
    strategy: str
    kind: str
    is_compared: bool  # during the soak; the others only at its end, so that no comparison hides a loss
    unseen: set[int] = field(default_factory=set)
    archived: set[int] = field(default_factory=set)
    deleted: list[int] = field(default_factory=list)


class Scene:
    """What the actors share. Any thread."""

    def __init__(self, simulator: str, folder: Path, fleet: list[Organization]) -> None:
        self.simulator, self.folder, self.fleet = simulator, folder, fleet
        self.socket = folder / "run" / "control.sock"
        self.database = folder / "state" / "zendeskd.db"
        self.config = folder / "zendeskd.toml"
        self.over = threading.Event()
        self.bugs: list[str] = []
        self._lock = threading.Lock()
        self._happened: Counter[str] = Counter()
        self._http = httpx.Client(base_url=f"{simulator}/_simulator", timeout=60, trust_env=False)

    def count(self, what: str, number: int = 1) -> None:
        with self._lock:
            self._happened[what] += number

    def happened(self) -> dict[str, int]:
        with self._lock:
            return dict(sorted(self._happened.items()))

    def tell_simulator(self, path: str, body: dict[str, object]) -> Any:
        return self._http.post(path, json=body).raise_for_status().json()

    def ask_simulator(self, path: str) -> httpx.Response:
        return self._http.get(path).raise_for_status()

    def write_config(self, level: str) -> None:
        self.config.write_text(
            'timezone = "UTC"\n[reconcile]\nschedule = "off"\n[backup]\nschedule = "*/7 * * * *"\nkeep = 2\n'
            f'[logging]\nlevel = "{level}"\nmax_bytes = "256 KB"\nkeep = 3\n'
        )


class Actor(threading.Thread):
    """Does `step` again and again, about every `pause_s` seconds."""

    def __init__(self, scene: Scene, seed: str, pause_s: float) -> None:
        super().__init__(name=seed, daemon=True)
        self.scene, self.dice, self._pause_s = scene, Random(seed), pause_s

    def run(self) -> None:
        while not self.scene.over.wait(self._pause_s * (0.5 + self.dice.random())):
            try:
                self.step()
            except ApiError as error:
                self.scene.count(f"refused: {error.problem.code}")
            except ZendeskdError as error:
                self.scene.count(f"no answer: {error.code}")
            except Exception:  # noqa: BLE001 - told at the end
                if not self.scene.over.is_set():
                    self.scene.bugs.append(f"{self.name}\n{traceback.format_exc()}")

    def step(self) -> None:
        raise NotImplementedError

    def drawn(self, steps: dict[str, int]) -> str:
        return self.dice.choices(list(steps), list(steps.values()))[0]


class Passage(Actor):
    """The simulator's time: `pace` of its seconds in one."""

    def __init__(self, scene: Scene, seed: int, pace: float) -> None:
        super().__init__(scene, f"{seed}/passage", 0.5)
        self._ahead, self._told_at = pace - 1, time.monotonic()

    def step(self) -> None:
        now = time.monotonic()
        self.scene.tell_simulator("clock", {"advance": (now - self._told_at) * self._ahead})
        self._told_at = now


class Customers(Actor):
    """What happens to tickets."""

    def __init__(self, scene: Scene, seed: int, per_s: float) -> None:
        super().__init__(scene, f"{seed}/customers", 1 / per_s)

    def step(self) -> None:
        org, what = self.dice.choice(self.scene.fleet), self.drawn(CHANGES)
        body: dict[str, object] = {} if what in _ALWAYS_NOW else {"is_settled": self.dice.random() < 0.5}
        many = self.dice.randint(1, 5)
        if what == "restore":
            body["which"] = [org.deleted.pop() for _ in range(min(many, len(org.deleted)))]
        else:
            body["count" if what == "add" else "which"] = many
        ids = self.scene.tell_simulator(f"accounts/{org.name}/{what}", body)["ids"]
        if what == "delete":
            org.deleted += ids
        if what == "archive":
            org.archived.update(ids)
        if what in UNSEEN[org.strategy]:
            org.unseen.update(ids)
        self.scene.count(f"tickets: {what}", len(ids))


class Troubles(Actor):
    """Faults of every kind, and tokens that expire or are revoked."""

    def __init__(self, scene: Scene, seed: int, per_minute: float) -> None:
        super().__init__(scene, f"{seed}/troubles", 60 / per_minute)

    def step(self) -> None:
        account = f"accounts/{self.dice.choice(self.scene.fleet).name}"
        happens = self.drawn({"fault": 85, "expire_tokens": 10, "revoke_token": 3, "revoke_client": 2})
        if happens != "fault":
            self.scene.tell_simulator(f"{account}/{happens}", {})
            self.scene.count(f"trouble: {happens}")
            return
        kind, options = self.dice.choice(FAULTS)
        times, after = self.dice.choice((1, 1, 1, 2, 7)), self.dice.randrange(4)
        body = {"kind": kind, "times": times, "after": after, "on": self.dice.choice(STRIKES_ON), **options}
        self.scene.tell_simulator(f"{account}/faults", body)
        self.scene.count(f"fault: {kind}")


class NobodyFits(Exception):
    """There is no organisation to which it could be done."""


class Operator(Actor):
    """Somebody with zendeskctl."""

    def __init__(self, scene: Scene, seed: int, number: int, pause_s: float) -> None:
        super().__init__(scene, f"{seed}/operator {number}", pause_s)
        self._daemon = Client(scene.socket)

    def step(self) -> None:
        step = self.drawn(_ASKED)
        try:
            _STEPS[step](self)
        except NobodyFits:
            return
        self.scene.count(f"asked: {step}")

    def _one_of(self, names: list[str]) -> str:
        """Raises NobodyFits."""
        if not names:
            raise NobodyFits
        return self.dice.choice(names)

    def _any(self, fit: Callable[[Organization], bool] = lambda _: True) -> str:
        return self._one_of([one.name for one in self.scene.fleet if fit(one)])

    def _in_state(self, state: str) -> str:
        found = [one.organization_id for one in self._daemon.sync_status().items if one.state == state]
        return self._one_of(found)

    def trigger(self) -> None:
        self._daemon.trigger(self._any())

    def cancel(self) -> None:
        self._daemon.cancel(self._any())

    def stop(self) -> None:
        self._daemon.stop(self._any(), reason="a soak")

    def start_again(self) -> None:
        self._daemon.start(self._in_state("stopped"))

    def interval(self) -> None:
        self._daemon.interval(self._any(), self.dice.choice(("* * * * *", "*/2 * * * *", "1-59/2 * * * *")))

    def resync(self) -> None:
        self._daemon.resync(self._any(), self.dice.choice(("1d", "30d", "all")))

    def compare(self) -> None:
        self._daemon.reconcile([self._any(lambda one: one.is_compared)])

    def backup(self) -> None:
        self._daemon.backup()

    def reload(self) -> None:
        self.scene.write_config(self.dice.choice(("debug", "info")))
        self._daemon.reload()

    def look(self) -> None:
        self._daemon.sync_status()
        self._daemon.status()
        self._daemon.health()

    def search(self) -> None:
        words = self.dice.choice(("refund", "login", "zebra*", '"our office"', "error AND page", "émile"))
        found = self._daemon.records(None if self.dice.random() < 0.5 else self._any(), query=words, limit=50)
        if found.items:
            self._daemon.record(found.items[0].id)
            self._daemon.links(found.items[0].id)

    def history(self) -> None:
        self._daemon.runs(limit=50, failed=self.dice.random() < 0.5)
        self._daemon.logs(limit=200)

    def check(self) -> None:
        self._daemon.check_credentials(self._any())

    def credentials(self) -> None:
        mend_credentials(self.scene, self._daemon, self._in_state("blocked"))


_STEPS: Final = {
    "trigger": Operator.trigger, "cancel": Operator.cancel, "stop": Operator.stop, "start": Operator.start_again,
    "interval": Operator.interval, "resync": Operator.resync, "compare": Operator.compare, "backup": Operator.backup,
    "reload": Operator.reload, "look": Operator.look, "search": Operator.search, "history": Operator.history,
    "check": Operator.check, "credentials": Operator.credentials,
}  # fmt: skip
_ASKED: Final = {
    "trigger": 25, "cancel": 4, "stop": 3, "start": 6, "interval": 4, "resync": 2, "compare": 3, "backup": 1,
    "reload": 2, "look": 20, "search": 15, "history": 6, "check": 2, "credentials": 7,
}  # fmt: skip


def mend_credentials(scene: Scene, daemon: Client, org: str) -> None:
    """Make new ones in the account and give them to the daemon, as somebody would whose integration is blocked."""
    kind = next(one.kind for one in scene.fleet if one.name == org)
    scene.tell_simulator(f"accounts/{org}/revoke_client", {})
    account = next(one for one in scene.ask_simulator("accounts").json() if one["name"] == org)
    daemon.set_credentials(org, msgspec.json.encode(account["credentials"][kind]))


class Listener(Actor):
    """Follows the events for a while, then goes."""

    def __init__(self, scene: Scene, seed: int, number: int) -> None:
        super().__init__(scene, f"{seed}/listener {number}", 1.0)

    def step(self) -> None:
        until = time.monotonic() + self.dice.uniform(*HELD_S)
        with (
            Client(self.scene.socket) as daemon,
            contextlib.closing(daemon.events(heartbeat_s=1, ticks=True)) as events,
        ):
            last = -1
            for event in events:
                if event is not None:
                    assert event.seq >= last, f"event {event.seq} after {last}"
                    last = event.seq
                self.scene.count("events heard")
                if time.monotonic() >= until or self.scene.over.is_set():
                    break
        self.scene.count("streams ended by who listened")


class Sleeper(Actor):
    """Asks for the events and reads none of them."""

    def __init__(self, scene: Scene, seed: int) -> None:
        super().__init__(scene, f"{seed}/sleeper", 1.0)

    def step(self) -> None:
        with socket.socket(socket.AF_UNIX) as stalled:
            stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            try:
                stalled.connect(str(self.scene.socket))
                stalled.sendall(b"GET /api/events HTTP/1.1\r\nhost: zendeskd\r\n\r\n")
            except OSError:
                return
            self.scene.over.wait(self.dice.uniform(*HELD_S) * 3)
        self.scene.count("streams that nobody read")


class Reader(Actor):
    """Somebody with sqlite3, who now and then leaves a look at the database open."""

    def __init__(self, scene: Scene, seed: int) -> None:
        super().__init__(scene, f"{seed}/reader", 1.0)

    def step(self) -> None:
        url = f"file:{self.scene.database}?mode=ro"
        with contextlib.closing(sqlite3.connect(url, uri=True, timeout=5)) as connection:
            connection.execute("BEGIN")
            for query in _QUERIES:
                connection.execute(query).fetchall()
            if self.dice.random() < 0.3:
                self.scene.over.wait(self.dice.uniform(*HELD_S))
                self.scene.count("looks at the database left open")
            connection.execute("COMMIT")
        self.scene.count("looks at the database")


_QUERIES: Final = (
    "SELECT * FROM sync_logs ORDER BY synced_at DESC LIMIT 10",
    "SELECT source_system, COUNT(*) FROM flow_records GROUP BY source_system",
    "SELECT * FROM integrations WHERE system_type = 'zendesk'",
    "SELECT rowid FROM flow_records_fts WHERE flow_records_fts MATCH 'office' LIMIT 20",
)


def everybody(scene: Scene, seed: int, *, pace: float, changes_per_s: float, faults_per_minute: float) -> list[Actor]:
    cast: Iterable[Actor] = (
        Passage(scene, seed, pace),
        Customers(scene, seed, changes_per_s),
        *((Troubles(scene, seed, faults_per_minute),) if faults_per_minute else ()),
        *(Operator(scene, seed, number, 0.6) for number in range(2)),
        *(Listener(scene, seed, number) for number in range(2)),
        Sleeper(scene, seed),
        Reader(scene, seed),
    )
    return list(cast)
