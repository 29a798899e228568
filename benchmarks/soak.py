"""Hours of everything at once on the real daemon and the real simulator, and what of it grows.

    ./run bench soak [--minutes 25] [--organizations 40] [--seed 1] [--faults 30]

Tickets come, change and go, faults of every kind strike, tokens end, operators ask for everything there is, listeners
come, go and stall, people read the database. In the first third of the time the daemon is ended again and again, by
kill -9 and by SIGTERM; then it lives on, and the slopes are those of that one life. Afterwards the troubles end, and
every ticket is compared with the simulator's, byte for byte: first after runs alone, then after comparisons too.

Time is compressed in two ways. The simulator's clock goes `--pace` times as fast, so tokens expire, budgets come back
and held-back tickets appear in seconds. The daemon has its own, real clock, and its schedules are every minute or two
instead of every fifteen. A clock put before the daemon (libfaketime 0.9.10) does not do: Python's timed waits end by
the monotonic clock in the kernel, and never come back when it is made to run ahead.

The exit code is 1 if something does not hold or grows.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import holds
import msgspec
import slopes
from actors import KINDS, Organization, Scene, everybody
from processes import Daemon, machine

from zendeskd import wire

KILLED_PART = 1 / 3
ENDS = 14
"""How often the daemon is ended in that part of the time, about."""
CUT_OFF = "timeout graceful shutdown exceeded"
"""Said of a request that goes on longer than the end of the daemon waits: a check of credentials, for one."""
TIGHT_EVERY, LARGE_EVERY = 5, 20
"""Each 5th account has the export limit of a small plan, each 20th ten times as many tickets."""


@contextlib.contextmanager
def simulator(seed: int) -> Iterator[str]:
    """-> its URL."""
    command = [sys.executable, "-m", "zendeskd", "simulator", "--accounts", "0", "--seed", str(seed)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def made_fleet(scene: Scene, daemon: Daemon, tickets: int) -> None:
    """An account for each organisation of the scene, and the organisation."""
    specs = []
    for number, org in enumerate(scene.fleet):
        account: dict[str, object] = {"name": org.name, "kind": org.kind, "deleted": tickets // 20}
        account["tickets"] = tickets * (10 if number % LARGE_EVERY == LARGE_EVERY - 1 else 1)
        account["export_per_minute"] = 10 if number % TIGHT_EVERY == TIGHT_EVERY - 1 else 10_000
        made = scene.tell_simulator("accounts", account)
        integration = wire.IntegrationSpec(
            base_url=made["baseUrl"],
            interval="* * * * *" if number % 2 else "*/2 * * * *",
            lookback="all",
            strategy=org.strategy,
            credentials=msgspec.Raw(msgspec.json.encode(made["credential"])),
        )
        specs.append(wire.OrganizationSpec(id=org.name, integrations=[integration]))
    daemon.client.import_organizations(wire.ImportRequest(organizations=specs))


class Lives:
    """The daemon, again and again on one folder, and samples of the life that goes on."""

    def __init__(self, scene: Scene, every_s: float) -> None:
        self.scene, self._every_s = scene, every_s
        self.daemon = Daemon(scene.folder, f"--config={scene.config}")
        self.samples: list[slopes.Sample] = []

    def go_on(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.scene.over.wait(min(self._every_s, left))
            assert self.daemon.process.poll() is None, f"the daemon ended by itself: {self.daemon.stderr.read_text()}"
            if (one := slopes.sample(self.daemon.process.pid, self.daemon.database, self.daemon.logs)) is not None:
                self.samples.append(one)

    def again(self, number: signal.Signals) -> None:
        """End it by a signal and start the next one."""
        code = self.daemon.end(number)
        assert code == (0 if number is signal.SIGTERM else -number), f"it ended with {code}"
        self.scene.count(f"ends by {number.name}")
        self.daemon = Daemon(self.scene.folder, f"--config={self.scene.config}")
        self.samples.clear()


def soak(scene: Scene, lives: Lives, options: argparse.Namespace) -> list[str]:
    """-> what does not hold."""
    dice = Random(options.seed)
    actors = everybody(
        scene,
        options.seed,
        pace=options.pace,
        changes_per_s=options.changes,
        faults_per_minute=options.faults,
    )
    for actor in actors:
        actor.start()
    whole_s = options.minutes * 60
    ends_until = time.monotonic() + whole_s * KILLED_PART
    while (left := ends_until - time.monotonic()) > 0:
        lives.go_on(min(left, whole_s * KILLED_PART / ENDS * dice.uniform(0.3, 1.7)))
        lives.again(dice.choice((signal.SIGTERM, signal.SIGKILL)))
    lives.go_on(whole_s * (1 - KILLED_PART))
    scene.over.set()
    for actor in actors:
        actor.join(60)
    return [*scene.bugs, *(f"{actor.name} goes on" for actor in actors if actor.is_alive())]


def ended_well(scene: Scene, lives: Lives) -> list[str]:
    """-> what does not hold."""
    client = lives.daemon.client
    wrong = holds.late(client)
    holds.heal(scene, client)
    wrong += holds.wrong_counters(scene)
    set_aside = {one.organization_id: one.set_aside for one in client.sync_status().items}
    for org in scene.fleet:
        found = holds.differing(scene, org)
        seen = {number: how for number, how in found.items() if number not in org.unseen}
        scene.count(f"tickets that a comparison alone sees, {org.strategy}", len(found) - len(seen))
        if len(seen) <= set_aside[org.name]:  # garbled twice, and the status says so
            scene.count("tickets set aside, as the status says", len(seen))
        else:
            wrong += holds.in_short(org, seen, "after a whole run")
    for what, number in holds.compare(scene, client).items():
        scene.count(f"the last comparison found {what}", number)
    holds.quiet(scene, client)
    for org in scene.fleet:
        wrong += holds.in_short(org, holds.differing(scene, org), "after a comparison")
    code = lives.daemon.end(signal.SIGTERM)
    wrong += [f"the daemon ended with {code}"] if code else []
    return wrong + holds.wrong_at_rest(scene)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=25)
    parser.add_argument("--organizations", type=int, default=40)
    parser.add_argument("--tickets", type=int, default=300, help="in each account at the beginning")
    parser.add_argument("--changes", type=float, default=4, help="steps a second in the fleet, of 1 to 5 tickets")
    parser.add_argument("--faults", type=float, default=30, help="a minute in the fleet")
    parser.add_argument("--pace", type=float, default=60, help="seconds of the simulator in one")
    parser.add_argument("--every", type=float, default=5, help="seconds between two samples")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {machine()}; load before: {os.getloadavg()[0]:.1f}")
    print(f"{options.organizations} organisations, {options.minutes:g} minutes, seed {options.seed}", flush=True)
    fleet = [
        Organization(f"org-{number:02}", ("export", "export", "list")[number % 3], KINDS[number % 4], number % 2 == 0)
        for number in range(options.organizations)
    ]
    with tempfile.TemporaryDirectory(prefix="zd-soak-") as name, simulator(options.seed) as url:
        scene = Scene(url, Path(name), fleet)
        scene.write_config("info")
        lives = Lives(scene, options.every)
        try:
            made_fleet(scene, lives.daemon, options.tickets)
            wrong = soak(scene, lives, options)
            grown = slopes.table(lives.samples)
            wrong += ended_well(scene, lives)
        finally:
            if lives.daemon.process.poll() is None:
                lives.daemon.end(signal.SIGKILL)
        happened = holds.runs_by_status(scene) | scene.happened()
        said = lives.daemon.stderr.read_text()
    minutes = (lives.samples[-1].at - lives.samples[0].at) / 60
    print(f"\nThe last life of the daemon, {minutes:.1f} minutes in {len(lives.samples)} samples:", *grown, sep="\n")
    print("\nWhat happened:", *(f"{what:52}{number:>10,}" for what, number in happened.items()), sep="\n")
    wrong += [f"it grows: {line}" for line in grown if line.endswith("GROWING")]
    wrong += [f"it said: {line}" for line in said.splitlines() if "Traceback" in line and CUT_OFF not in line]
    print("\nWhat does not hold:", *(wrong or ["nothing"]), sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
