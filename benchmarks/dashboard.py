"""What the dashboard costs: its start, its rest, two hundred events a second, a key.

    ./run bench dashboard [--organisations 500] [--events 200] [--starts 7]

The real program in a real terminal of 100x30, on a stand-in for the daemon in a process of its own (`standin.py`), and
at rest on the real daemon too. A key's time is that from writing the key until what it changes has been written: the
sentence of the organisation that the cursor comes to. Starts take turns with a bare interpreter that imports Textual
and with a Textual application of one line, so the ratios hold on a noisy machine where the figures do not.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from processes import Daemon, cpu_s, machine, peak_mb
from terminal import COLUMNS, LINES, Terminal, terminal

from zendeskd import wire

BARE = """
from textual.app import App
from textual.widgets import Static
class Bare(App):
    def compose(self):
        yield Static("one line")
Bare().run()
"""
SENTENCE = rb"(org-\d{4}): "
KEYS, TICKETS = 120, 5000
HELD_S = 0.1  # until a key that is held comes again
UP_AND_DOWN = [b"j"] * (KEYS // 2) + [b"k"] * (KEYS // 2)


class Start(NamedTuple):
    """Seconds from the start of the process, and of CPU; all of them are one core's work."""

    frame_s: float
    rows_s: float
    cpu_s: float


class StandIn:
    def __init__(self, folder: Path, organisations: int) -> None:
        self.socket = folder / "standin.sock"
        command = [sys.executable, str(Path(__file__).with_name("standin.py"))]
        command += [str(self.socket), str(organisations), str(TICKETS)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        assert self._output.readline() == "ready\n", "the stand-in did not start"

    def events(self, per_s: float) -> None:
        self._input.write(f"{per_s}\n")
        self._input.flush()

    def stop(self) -> None:
        self._input.close()
        self._process.wait()
        self._output.close()


@contextlib.contextmanager
def dashboard(socket: Path) -> Iterator[tuple[Terminal, Start]]:
    """It shows its first rows when this is entered."""
    with terminal(sys.executable, "-m", "zendeskd.tui.program", "--socket", str(socket)) as shown:
        shown.found(rb"zendeskd.*connect")
        frame_s = time.monotonic() - shown.began_at
        shown.found(rb"org-0001")
        yield shown, Start(frame_s, time.monotonic() - shown.began_at, cpu_s(shown.process.pid))


def imported_s() -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import textual.app"], check=True)
    return time.monotonic() - began


def bare() -> tuple[float, float]:
    """-> seconds, and of CPU, until its line is there."""
    with terminal(sys.executable, "-c", BARE) as shown:
        shown.found(b"one line")
        return time.monotonic() - shown.began_at, cpu_s(shown.process.pid)


def started(socket: Path) -> Start:
    with dashboard(socket) as (_, start):
        return start


def measured(shown: Terminal, seconds: float) -> tuple[float, float]:
    """-> share of a core in percent, and bytes a second to the terminal."""
    shown.forget()
    before = cpu_s(shown.process.pid)
    said = shown.read_for(seconds)
    return (cpu_s(shown.process.pid) - before) / seconds * 100, len(said) / seconds


def key_times(shown: Terminal, keys: Sequence[bytes], pattern: bytes) -> list[float]:
    """Milliseconds from each key until what the pattern's group finds is other than before."""
    took, before = [], b""
    for number, key in enumerate(keys):
        shown.read_for(0.01 + 0.007 * (number % 10))  # not in step with the frames
        shown.type(key)
        pressed_at = time.monotonic()
        while (match := shown.found(pattern))[1] == before:
            pass
        before = match[1]
        took.append((time.monotonic() - pressed_at) * 1000)
    return took[1:]  # the first one may have found its own organisation


def tickets(shown: Terminal) -> list[float] | None:
    """Page-down held through the list of tickets; None for a dashboard without that screen."""
    shown.type(b"r")
    try:
        shown.found(rb"Ticket 00000", timeout_s=5)
    except TimeoutError:
        return None
    took, page = [], 0
    deadline = time.monotonic() + 60
    while page < TICKETS - 2 * LINES:
        assert time.monotonic() < deadline, f"the list stays at ticket {page}"
        pressed_at = time.monotonic()
        number = page
        while number <= page and time.monotonic() < deadline:
            shown.type(b"\x1b[6~")
            with contextlib.suppress(TimeoutError):  # at the end of what was read so far: held, the key comes again
                while number <= page:
                    number = int(shown.found(rb"Ticket (\d{5}) ", HELD_S)[1])
        page = number
        took.append((time.monotonic() - pressed_at) * 1000)
    return took


def at_rest_on_the_real_one(folder: Path, organisations: int, seconds: float) -> tuple[float, float]:
    daemon = Daemon(folder)
    try:
        fleet = [
            wire.OrganizationSpec(
                id=f"org-{number:04}", integrations=[wire.IntegrationSpec(subdomain=f"o{number}", is_active=False)]
            )
            for number in range(1, organisations + 1)
        ]
        daemon.client.import_organizations(wire.ImportRequest(organizations=fleet))
        with dashboard(daemon.socket) as (shown, _):
            shown.read_for(3)
            return measured(shown, seconds)
    finally:
        daemon.stop()


def quantiles(took: Sequence[float]) -> str:
    ordered = sorted(took)
    return " / ".join(f"{ordered[min(len(ordered) - 1, int(len(ordered) * part))]:.0f}" for part in (0.5, 0.95, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--organisations", type=int, default=500)
    parser.add_argument("--events", type=int, default=200, help="a second")
    parser.add_argument("--starts", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=20, help="of rest, and under load")
    options = parser.parse_args()

    def tell(what: str, figure: str, target: str = "") -> None:
        print(f"{what:52}{figure:>18}   {target}".rstrip(), flush=True)

    print(f"{machine()}, Textual {version('textual')}; {COLUMNS}x{LINES}, {options.organisations} organisations")
    print(f"load of the machine before: {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="zd-bench-") as name:
        folder = Path(name)
        standin = StandIn(folder, options.organisations)
        try:
            started(standin.socket), bare()  # from disk; a warm machine is measured
            turns = [(imported_s(), *bare(), *started(standin.socket)) for _ in range(options.starts)]
            imported, line, line_cpu, frame, rows, rows_cpu = (
                statistics.median(column) for column in zip(*turns, strict=True)
            )
            slowest = max(turn[4] for turn in turns)
            tell("python -c 'import textual.app'", f"{imported:.2f} s")
            tell("Textual application of one line", f"{line:.2f} s")
            tell("first frame", f"{frame:.2f} s", f"{frame / line:.1f} of the one line")
            tell(
                "first rows",
                f"{rows:.2f} s",
                f"{rows / line:.1f} of the one line, slowest {slowest:.2f} s; target < 0.5 s",
            )
            tell("CPU until the first rows", f"{rows_cpu:.2f} s", f"{rows_cpu / line_cpu:.1f} of the one line")
            with dashboard(standin.socket) as (shown, _):
                shown.read_for(3)
                cpu, written = measured(shown, options.seconds)
                tell("at rest, CPU", f"{cpu:.2f} %", "target < 1 % of a core")
                tell("at rest, to the terminal", f"{written:.0f} bytes/s", "target near 0")
                took = key_times(shown, UP_AND_DOWN, SENTENCE)
                tell("a key at rest, p50 / p95 / max", f"{quantiles(took)} ms", "target < 100 ms")
                standin.events(options.events)
                shown.read_for(2)
                cpu, written = measured(shown, options.seconds)
                tell(f"{options.events} events/s, CPU", f"{cpu:.1f} %", "target < 20 % of a core")
                tell(f"{options.events} events/s, to the terminal", f"{written:.0f} bytes/s")
                took = key_times(shown, UP_AND_DOWN, SENTENCE)
                tell("a key meanwhile, p50 / p95 / max", f"{quantiles(took)} ms", "target < 100 ms")
                paged = tickets(shown)
                said = "no such screen" if paged is None else f"{quantiles(paged)} ms"
                tell(f"page down in {TICKETS} tickets, p50 / p95 / max", said, "target < 100 ms")
                tell("peak memory", f"{peak_mb(shown.process.pid):.0f} MB")
        finally:
            standin.stop()
        cpu, written = at_rest_on_the_real_one(folder, options.organisations, options.seconds / 2)
        tell("at rest on the real daemon, CPU", f"{cpu:.2f} %", "target < 1 % of a core")
        tell("at rest on the real daemon, to the terminal", f"{written:.0f} bytes/s")


if __name__ == "__main__":
    main()
