"""The program that `test_fleet_faults` starts with the failing disk preloaded: one call of a whole daemon's part fails.

    python -m tests.reliability.fleet_walk FOLDER KIND ERRNO LASTING EVERY FIRST

Jobs with their worker, a real connector and credentials that are renewed with every run work on a database in FOLDER:
taking over, a run (new, changed, deleted tickets, one set aside, a spent refresh token), a comparison. The k-th call of
KIND (see faulty_disk.c) fails, for every EVERY-th k from FIRST on. Then the disk is mended, under the jobs that go on
or before the next ones, and the copy has to become what an undisturbed one is. Prints what happened as JSON; ends with
1 at a difference.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import shutil
import sqlite3
import sys
import threading
from collections import Counter
from pathlib import Path

import msgspec
import structlog

from tests.fixtures.copied import LINKS, RECORDS, WRONG_SUMS
from tests.fixtures.simulated import SimulatedTime
from tests.fixtures.stores import is_consistent, new_organization, table
from tests.waiting import wait_for
from zendeskd.connectors.zendesk import ZendeskConnector
from zendeskd.db import Database
from zendeskd.errors import Conflict, StorageError, ZendeskdError
from zendeskd.jobs import Jobs
from zendeskd.models import AnyCredential, StoredCredential, dec_secret
from zendeskd.secrets import StoredCredentials, Vault
from zendeskd.simulator import Simulator
from zendeskd.store import Store
from zendeskd.store.fleet import SealedCredential

MOST_CALLS = 3000
NEVER = "0 0 1 1 *"
KEY = bytes(32)

COUNTED = "SELECT sum(created), sum(deleted) FROM daily_counts"
WRONG_RUNS = (
    "SELECT * FROM (SELECT sum(runs) AS runs, sum(failures) AS failures FROM daily_counts), (SELECT count(*) AS began,"
    " sum(status = 'failed') AS failed FROM sync_logs WHERE started_at IS NOT NULL) WHERE runs != began"
    " OR failures != failed"
)
UNTRUE = (
    "SELECT id FROM sync_logs WHERE (status = 'success') != (end_reason = 'end_of_stream' AND records_failed = 0)"
    " OR status IN ('queued', 'running') OR error_code NOT IN ('storage_error', 'bad_record')"
)


class Life:
    """One daemon's life on the database in `folder`, without its socket."""

    def __init__(self, folder: Path, time: SimulatedTime) -> None:
        """Raises StorageError."""
        self.db = Database(f"sqlite:///{folder / 'copy.db'}")
        self.db.open()
        try:
            self.store = Store(self.db)
            self.vault = Vault(KEY)
            self.jobs = Jobs(
                self.store,
                {"zendesk": ZendeskConnector(time)},
                lambda one: StoredCredentials(self.store, self.vault, one, now=time.now),
                workers=2,
                now=time.now,
                monotonic=time.monotonic,
            )
            self.jobs.load()
        except BaseException:
            self.db.close()
            raise
        self.time = time
        self.jobs.start_threads()

    def end(self) -> None:
        assert self.jobs.shut_down(20)
        self.vault.await_renewals(5)
        self.db.close()

    def idle(self) -> None:
        wait_for(lambda: self.jobs.busy() == 0 and self.jobs.queue_length() == 0, "the work to be done", 40)

    def run(self) -> str:
        """-> the status of a run, or the code of what was in its way."""
        with contextlib.suppress(StorageError):
            try:
                asked = self.jobs.trigger("acme", "zendesk", "walk")
            except Conflict:
                return "blocked"
            self.idle()
            return str(self.store.runs.get(asked.run_id).status)
        return "storage_error"

    def compare(self) -> str:
        try:
            self.jobs.reconcile("acme", "zendesk", "walk")
        except (StorageError, Conflict) as refused:
            return refused.code
        self.idle()
        found = self.jobs.view("acme", "zendesk").reconciled
        assert found is not None
        return found.status

    def write_late(self) -> None:
        """What the clock does each minute."""
        self.db.look()
        self.db.look_through(threading.Event())
        self.jobs.clock.bring_forward("minute", self.time.now())
        posts = self.jobs._roster.all()
        wait_for(lambda: not any(post.unrecorded or post.uncompared for post in posts), "what is late", 40)


class Walk:
    """An account, a copy that has read it once, what has happened there since, and what comes of it undisturbed."""

    def __init__(self, folder: Path, simulator: Simulator) -> None:
        self.folder = folder
        self.account = simulator.add_account("acme", tickets=24, body_bytes=300, kind="oauth_refresh_token")
        self.time = SimulatedTime(simulator)
        first = Life(self._added("first"), self.time)
        assert first.run() == "success"
        first.end()
        self.account.add(18)
        self.account.change(8)
        self.account.scrub([7])
        self.account.delete(5)
        twin = Life(self.copied("twin"), self.time)
        assert [twin.run(), twin.compare(), twin.run()] == ["partial", "verified", "success"]
        twin.end()
        self.truth = self.content("twin")

    def _added(self, name: str) -> Path:
        (self.folder / name).mkdir(parents=True)
        db = Database(f"sqlite:///{self.folder / name / 'copy.db'}")
        db.open()
        one = new_organization("acme", credential=self._sealed())
        part = msgspec.structs.replace(
            one.integrations[0], base_url=self.account.base_url, sync_interval=NEVER, lookback="all"
        )
        Store(db).fleet.apply([msgspec.structs.replace(one, integrations=(part,))], [], self.time.now())
        db.close()
        return self.folder / name

    def _sealed(self) -> SealedCredential:
        """A refresh token that nobody has used yet."""
        with self.account.lock:
            fresh = self.account.credential | {"refreshToken": self.account.access.first_refresh_token()}
        return Vault(KEY).seal(
            "acme", "zendesk", StoredCredential(msgspec.convert(fresh, AnyCredential, dec_hook=dec_secret))
        )

    def copied(self, name: str) -> Path:
        """The copy as it was before anything happened, with a token to renew, pages of few rows and a bad record."""
        shutil.copytree(self.folder / "first", self.folder / name)
        with contextlib.closing(sqlite3.connect(self.folder / name / "copy.db")) as connection, connection:
            connection.execute("UPDATE credentials SET ciphertext = ?", (self._sealed().ciphertext,))
        self.account.clear_faults()
        self.account.fault("malformed_ticket", after=1, times=2)  # it is asked for once more
        self._cut_pages()
        self.account.forget_requests()
        return self.folder / name

    def _cut_pages(self) -> None:
        self.account.fault("short_page", times=None, rows=10)

    def content(self, name: str) -> list[object]:
        """What is in it, once everything about it was found sound."""
        db = Database(f"sqlite:///{self.folder / name / 'copy.db'}")
        db.open()
        try:
            assert is_consistent(db)
            assert table(db, "PRAGMA integrity_check") == [("ok",)]
            for wrong in (WRONG_SUMS, WRONG_RUNS, UNTRUE):
                assert table(db, wrong) == [], (wrong, table(db, "SELECT * FROM sync_logs"))
            queries = (RECORDS, LINKS, COUNTED, "SELECT cursor, watermark, total_records FROM integrations")
            return [table(db, query) for query in queries]
        finally:
            db.close()

    def tried(self, name: str, disk: Disk, nth: int, *, live_on: bool) -> list[str]:
        """-> what came of the run and the comparison that were disturbed; empty if the fault was not reached."""
        folder = self.copied(name)
        life, said = None, ["not started"]
        disk.arm(folder, nth)
        with contextlib.suppress(StorageError):
            life = Life(folder, self.time)
            said = [life.run(), life.compare()]
        is_reached = disk.mend() > nth
        self.account.clear_faults()
        self._cut_pages()
        if life is not None and live_on:
            life.write_late()
        if life is not None and not live_on:
            life.end()
            life = None
        life = life or Life(folder, self.time)
        healed = [life.run(), life.compare(), life.run()]
        trouble = life.db.trouble
        life.end()
        assert healed == ["success", "verified", "success"], (nth, said, healed, trouble)
        spent = [one.status for one in self.account.requests if one.kind == "token"]
        assert set(spent) == {200}, spent
        return said if is_reached else []


class Disk:
    """The library that is preloaded."""

    def __init__(self, kind: int, error: int, lasting: int) -> None:
        self._library = ctypes.CDLL(None)
        self._library.disk_arm.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_long, ctypes.c_long, ctypes.c_int]
        self._kind, self._error, self._lasting = kind, error, lasting

    def arm(self, folder: Path, nth: int) -> None:
        self._library.disk_arm(bytes(folder), self._kind, nth, self._lasting, self._error)

    def mend(self) -> int:
        """-> how many calls there were."""
        calls = ctypes.c_long.in_dll(self._library, "disk_calls").value
        self._library.disk_mend()
        return calls


def main(folder: Path, kind: int, error: int, lasting: int, every: int, first: int) -> int:
    structlog.configure(processors=[], wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    disk, outcomes = Disk(kind, error, lasting), Counter[str]()
    with Simulator(seed=1) as simulator:
        walk = Walk(folder, simulator)
        for nth in range(first, MOST_CALLS, every):
            said = walk.tried(f"call-{nth}", disk, nth, live_on=bool(nth // every % 2))
            outcomes[" ".join(said) or "undisturbed"] += 1
            found = walk.content(f"call-{nth}")
            if found != walk.truth:
                print(
                    json.dumps({"nth": nth, "said": said, "found": repr(found)[:3000], "not": repr(walk.truth)[:3000]})
                )
                return 1
            if not said:
                print(json.dumps(outcomes))
                return 0
            shutil.rmtree(folder / f"call-{nth}")
    return 1


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1]), *(int(word) for word in sys.argv[2:7])))
    except ZendeskdError as problem:
        sys.exit(f"{problem.detail} {problem.hint}")
