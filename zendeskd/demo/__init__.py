"""`zendeskd demo`: a made-up Zendesk on loopback, the real daemon on a throw-away folder, and a fleet to look at.

On a terminal it opens the dashboard on a fleet in which something is always going on. `--once` syncs another one, some
of it in trouble on purpose, compares every ticket with what the simulator would send now, byte for byte, and shows the
database. Whatever way it ends, no process and no file is left.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from zendeskd import logs
from zendeskd.demo import dashboard, report
from zendeskd.demo.cast import CHECKED, FLEET
from zendeskd.demo.ending import Ending
from zendeskd.demo.show import Show
from zendeskd.demo.stage import Stage, throwaway
from zendeskd.demo.words import gone, say, tail, where_to_look
from zendeskd.errors import ZendeskdError


def main(*, once: bool, with_dashboard: bool = True) -> int:
    """-> 0 if every ticket of every healthy organisation arrived (or, without `once`, a person ended the demo), 1 if
    not, 2 if the dashboard could not be opened. Raises KeyboardInterrupt if a signal cut `once` short."""
    logs.quiet()  # the simulator hangs up on purpose, which its server would report
    with Ending() as ending, throwaway() as folder:
        try:
            return _check(folder, ending) if once else _look(folder, ending, with_dashboard=with_dashboard)
        except ZendeskdError as error:
            say(f"demo: {error.detail}", error.hint, f"the daemon's log, {folder / 'log' / 'sync-service.log'}, ends:")
            say(*tail(folder / "log" / "sync-service.log"))
            return 1


def _check(folder: Path, ending: Ending) -> int:
    with Stage(folder, CHECKED, ending) as stage:
        started = time.monotonic()
        for cast in CHECKED:
            stage.add(cast)
        say(f"syncing {len(CHECKED)} organisations ...")
        runs = report.wait_for_runs(stage)
        took_s = time.monotonic() - started
    return report.report(stage.database, runs, stage.accounts, took_s)


def _look(folder: Path, ending: Ending, *, with_dashboard: bool) -> int:
    why_not = dashboard.why_not(sys.stdin, sys.stdout) if with_dashboard else "it was not asked for"
    say(f"Setting up a made-up fleet of {len(FLEET)} organisations, a few seconds ...")
    with Stage(folder, FLEET, ending, workers=3) as stage:
        try:
            show = Show(stage)
            show.rehearse()
            show.open()
            with show.goes_on():
                if why_not:
                    say(*where_to_look(stage, why_not))
                    code = _until_told(stage)
                else:
                    code = dashboard.open_on(stage)
        except KeyboardInterrupt:
            code = 0
        if not stage.is_alive:
            say("The daemon has ended by itself. Its log ends:", *tail(stage.log))
            return 1
        say("Ending the daemon and the made-up Zendesk ...")
    say(*gone(folder))
    return code


def _until_told(stage: Stage) -> int:
    while stage.is_alive and not stage.ending.wait(0.5):
        pass
    return 0
