"""Draws the pictures of the documentation: `./run picture [FOLDER]`, by default into docs/.

The real dashboard is opened on the demo's fleet, with the real daemon and the simulator behind it, without a terminal
and as large as one of 100 x 30. It is drawn when the fleet is in the states that the picture is to show; the times in
it are those of the moment. The files name no other host: a page that shows them fetches nothing.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Callable
from html import escape, unescape
from pathlib import Path
from typing import Final

from textual.pilot import Pilot

from zendeskd import logs, wire
from zendeskd.demo.cast import FLEET
from zendeskd.demo.ending import Ending
from zendeskd.demo.show import Show
from zendeskd.demo.stage import Stage, throwaway
from zendeskd.demo.words import say
from zendeskd.tui.app import Dashboard
from zendeskd.tui.widgets.grid import Grid

HERE: Final = Path(__file__).parent
SIZE: Final = (100, 30)
FAILURES: Final = 3  # what is called failing
WITHIN_S: Final = 150.0
STIR_S: Final = 2.0
CROWD: Final = ("acme-us", "stark", "soylent", "vandelay", "wayne", "wonka")  # more than there are workers
LATENCY_S: Final = 2.0  # of the crowd's answers, so that some are seen queued

_FACES: Final = re.compile(r"@font-face\s*\{.*?\}\s*", re.DOTALL)
_COMMENTS: Final = re.compile(r"<!--.*?-->\s*", re.DOTALL)
_TEXT: Final = re.compile(
    r'<text class="(?P<look>[^"]*)" x="(?P<x>[\d.]+)" y="(?P<y>[\d.]+)" textLength="[\d.]+"[^>]*>(?P<said>[^<]*)</text>'
)
_WORDS: Final = re.compile(r"[^\s\xa0]+")
_CELL: Final = 12.2  # how wide Rich draws one
_FONTS: Final = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"


def main(folder: Path) -> int:
    """-> 0 if all were drawn, 1 if the fleet did not come to the states wanted. Raises ZendeskdError, and
    KeyboardInterrupt for ctrl+c and its kin."""
    logs.quiet()
    with Ending() as ending, throwaway() as scratch, Stage(scratch, FLEET, ending, workers=3) as stage:
        show = Show(stage)
        show.rehearse()
        show.open()
        with show.goes_on():
            try:
                drawn = asyncio.run(_draw(stage))
            except TimeoutError as error:
                say(f"picture: waited {WITHIN_S:.0f} s in vain for {error}")
                return 1
    folder.mkdir(parents=True, exist_ok=True)
    for name, svg in drawn.items():
        (folder / name).write_text(svg, encoding="utf-8")
        say(f"{folder / name}: {len(svg.encode()):,} bytes")
    return 0


async def _draw(stage: Stage) -> dict[str, str]:
    """File names and what goes into them. Raises TimeoutError that says what did not come about."""
    app = Dashboard(stage.socket)
    async with app.run_test(size=SIZE) as pilot:
        eye = _Eye(app, pilot, stage)
        await eye.until(lambda: eye.one("globex").state == "blocked", "globex to be blocked")
        while eye.one("initech").consecutive_failures < FAILURES:
            stage.client.trigger("initech")
            known = eye.one("initech").consecutive_failures
            await eye.until(lambda n=known: eye.one("initech").consecutive_failures > n, "another failure of initech")
        await eye.until(lambda: eye.progress("acme-us") > 0.1, "the first import of acme-us to get on")
        await eye.until(eye.is_all_there, "hooli to wait, tyrell to be partial, acme-eu to run and others to queue")
        overview = eye.svg("zendeskd-tui")
        app.screen.query_one(Grid).move_to(("acme-eu", "zendesk"))
        await pilot.press("enter")
        await eye.until(lambda: eye.progress("acme-eu") > 0, "acme-eu to run")
        return {"dashboard.svg": overview, "organisation.svg": eye.svg("zendeskd-tui")}


class _Eye:
    """What the dashboard knows and shows."""

    def __init__(self, app: Dashboard, pilot: Pilot[int], stage: Stage) -> None:
        self._app, self._pilot, self._stage = app, pilot, stage
        self._stirs_at = 0.0

    def one(self, org: str) -> wire.SyncStatus:
        return self._app.fleet.items[org, "zendesk"]

    def has(self, state: str) -> bool:
        return any(item.state == state for item in self._app.fleet.items.values())

    def progress(self, org: str) -> float:
        run = self.one(org).run
        return 0.0 if run is None else run.progress or 0.0

    def is_all_there(self) -> bool:
        """At one moment; each of it passes. What the schedules do not bring by themselves is brought about again."""
        if time.monotonic() >= self._stirs_at:
            self._stirs_at = time.monotonic() + STIR_S
            self._stir()
        is_struck = self.one("hooli").state == "limited" and self.one("tyrell").last_status == "partial"
        return is_struck and self.progress("acme-eu") > 0 and self.has("queued")

    def _stir(self) -> None:
        if self.one("hooli").state == "idle":
            self._strike("hooli")
        if self.one("tyrell").state == "idle" and self.one("tyrell").last_status != "partial":
            self._strike("tyrell")
        if self.progress("acme-eu") > 0:
            for org in CROWD:
                self._stage.accounts[org].latency_s = LATENCY_S
                self._stage.client.trigger(org)

    def _strike(self, org: str) -> None:
        """A run that meets what is wrong with the organisation."""
        self._stage.accounts[org].clear_faults()
        self._stage.trouble(next(player for player in FLEET if player.org == org))
        self._stage.client.trigger(org)

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Raises TimeoutError(what)."""
        deadline = time.monotonic() + WITHIN_S
        while not (len(self._app.fleet.items) == len(FLEET) and condition()):
            if self._stage.ending.is_set():
                raise KeyboardInterrupt
            if time.monotonic() > deadline:
                raise TimeoutError(what)
            await self._pilot.pause(0.05)

    def svg(self, title: str) -> str:
        """What is on the screen now."""
        self._app.draw()
        return portable(self._app.export_screenshot(title=title, simplify=True))


def portable(svg: str) -> str:
    """The same picture with the reader's own fonts, every word in its own columns whatever font that is."""
    svg = _COMMENTS.sub("", _FACES.sub("", svg))
    svg = svg.replace("font-family: Fira Code, monospace;", f"font-family: {_FONTS};")
    svg = svg.replace("font-family: arial;", "font-family: sans-serif;")
    svg = svg.replace("font-variant-east-asian: full-width;", "")
    return "\n".join(line.rstrip() for line in _TEXT.sub(_words, svg).splitlines() if line.strip()) + "\n"


def _words(text: re.Match[str]) -> str:
    """One element a word. Every character of these screens is one cell wide."""
    said, left = unescape(text["said"]), float(text["x"])
    return "".join(
        f'<text class="{text["look"]}" x="{left + word.start() * _CELL:.1f}" y="{text["y"]}"'
        f' textLength="{len(word[0]) * _CELL:.1f}" lengthAdjust="spacingAndGlyphs">{escape(word[0])}</text>'
        for word in _WORDS.finditer(said)
    )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE))
