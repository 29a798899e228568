"""What a process and its files take, sampled while it lives, and whether that grows."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

MB: Final = 1024 * 1024
WARM_UP: Final = 0.2
"""This part of a life is left out: caches fill, and every thread does its first work."""
SHORTEST_S: Final = 300.0
"""A slope over less than this says nothing."""


SWAY: Final = 0.5
"""What rises by less than this part of the range in which it goes up and down anyway does not grow."""


class Figure(NamedTuple):
    """`least`: a rise over a life that counts as one. None: it grows with what is stored."""

    name: str
    digits: int
    least: float | None


FIGURES: Final = (
    Figure("resident memory, MB", 1, 4.0),
    Figure("open descriptors", 0, 3.0),
    Figure("threads", 0, 3.0),
    Figure("write-ahead log, MB", 1, 64.0),  # the file keeps its largest size, up to the limit it is given
    Figure("log files, MB", 2, 0.5),
    Figure("a run, ms (median of the last 30)", 0, 100.0),
    Figure("database, MB", 1, None),
    Figure("tickets stored", 0, None),
)


class Sample(NamedTuple):
    at: float
    values: tuple[float, ...]


def sample(pid: int, database: Path, logs: Path) -> Sample | None:
    """None if the process has gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return None
    took, tickets = _of_database(database)
    wal = database.with_name(database.name + "-wal")
    values = (
        _field(status, "VmRSS") / 1024,
        descriptors,
        _field(status, "Threads"),
        _size(wal) / MB,
        sum(_size(file) for file in logs.glob("*.log*")) / MB,
        took,
        _size(database) / MB,
        tickets,
    )
    return Sample(time.monotonic(), values)


def slope_per_hour(samples: Sequence[tuple[float, float]]) -> float:
    """The median of the slopes between all pairs (Theil-Sen): a few outliers do not move it."""
    pairs = itertools.combinations(samples, 2)
    slopes = [(after[1] - before[1]) / (after[0] - before[0]) for before, after in pairs if after[0] > before[0]]
    return statistics.median(slopes) * 3600 if slopes else 0.0


def table(life: Sequence[Sample]) -> list[str]:
    """One process life, a line a figure: start, end, most, slope an hour, verdict."""
    lines = [f"{'':36}{'start':>10}{'end':>10}{'most':>10}{'an hour':>12}"]
    warm = [one for one in life if one.at >= life[0].at + (life[-1].at - life[0].at) * WARM_UP]
    for place, figure in enumerate(FIGURES):
        values = [one.values[place] for one in warm]
        tenth = max(1, len(values) // 10)
        start, end = statistics.median(values[:tenth]), statistics.median(values[-tenth:])
        slope = slope_per_hour([(one.at, one.values[place]) for one in warm])
        row = f"{figure.name:36}" + "".join(f"{one:>10,.{figure.digits}f}" for one in (start, end, max(values)))
        lines.append(f"{row}{slope:>+12,.{max(1, figure.digits)}f}   {_verdict(figure, slope, warm, values)}")
    return lines


def _verdict(figure: Figure, slope: float, warm: Sequence[Sample], values: Sequence[float]) -> str:
    if figure.least is None:
        return "grows with the data"
    took_s = warm[-1].at - warm[0].at
    if took_s < SHORTEST_S:
        return "too short to say"
    tenths = statistics.quantiles(values, n=10)
    rise = slope * took_s / 3600
    return "GROWING" if rise > max(figure.least, SWAY * (tenths[-1] - tenths[0])) else "flat"


def _field(status: str, name: str) -> float:
    return float(status.partition(f"{name}:")[2].split()[0])


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _of_database(database: Path) -> tuple[float, float]:
    """Milliseconds that runs took lately, and the number of tickets."""
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5)) as connection:
        took = connection.execute(
            "SELECT duration_ms FROM sync_logs WHERE status = 'success' ORDER BY id DESC LIMIT 30"
        ).fetchall()
        ((tickets,),) = connection.execute("SELECT COUNT(*) FROM flow_records")
    return (statistics.median(ms for (ms,) in took) if took else 0.0), tickets
