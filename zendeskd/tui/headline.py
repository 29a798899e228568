"""The first line of a screen, and the words for a connection that is not there. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from zendeskd import present, wire
from zendeskd.address import Address
from zendeskd.present import Cell
from zendeskd.tui.state import Connection, Fleet

QUIET_S: Final = 3.0
"""A lost connection is only in the first line for so long: systemd often has the daemon back by then."""

LONG_S: Final = 30.0
"""Then what to do moves to the front."""

_HOST_CELLS: Final = 30


def headline(
    fleet: Fleet, address: Address, now: datetime, clock: str, cells: int, *, is_read_only: bool
) -> list[Cell]:
    """Who, connected or not, since when, how busy; right: your role and the clock."""
    role = "viewer" if is_read_only and fleet.role else fleet.role
    role = role if fleet.is_live else ""
    must = [] if role in {"", "operator"} else [role]
    may = ["operator"] if role == "operator" and cells >= 96 else []
    right = "  ".join([*must, *may, clock])
    if not fleet.is_live:
        return _line(_lost_parts(fleet, address, now), right, cells)
    daemon = fleet.daemon
    if daemon is None:
        return _line([Cell(_name(address)), Cell("connected")], right, cells)
    parts = [Cell(_name(address, daemon.version)), Cell("connected", "good")]
    if trouble := _trouble(daemon):
        parts = trouble if _cells([*parts, *trouble]) + 1 + present.width(right) > cells else [*parts, *trouble]
    extra = [
        Cell(f"up {present.since(daemon.started_at, now)}"),
        Cell(f"workers {min(fleet.busy, daemon.workers)}/{daemon.workers}"),
        *([Cell(f"db {present.size(daemon.database.bytes)}")] if cells >= 96 else []),
    ]
    while extra and _cells([*parts, *extra]) + 2 + present.width(right) > cells:
        extra.pop()
    return _line([*parts, *extra], right, cells)


def _name(address: Address, version: str = "") -> str:
    """`zendeskd 1.0.0 @db1`."""
    at = f"@{present.cut(present.clean(address.machine), _HOST_CELLS)}" if address.host else ""
    return " ".join(filter(None, ("zendeskd", present.clean(version), at)))


def _trouble(daemon: wire.DaemonStatus) -> list[Cell]:
    """Storing does not work: nothing on the screen is more important."""
    trouble = daemon.database.trouble
    return [Cell(f"! database: {present.clean(trouble)}", "bad")] if trouble else []


def _lost_parts(fleet: Fleet, address: Address, now: datetime) -> list[Cell]:
    phase, name = fleet.connection.phase, _name(address)
    if phase == "connecting":
        return [Cell(name), Cell(f"connecting to {present.clean(str(address.socket))}")]
    word = "reconnecting" if phase == "lost" and not is_shown(fleet, now) else "NOT CONNECTED"
    if fleet.heard_at is None:
        return [Cell(name), Cell(word, "bad"), Cell("no data yet")]
    age = present.span((now - fleet.heard_at).total_seconds())
    return [Cell(name), Cell(word, "bad"), Cell(f"showing data from {fleet.heard_at:%H:%M:%S} ({age} ago)")]


def _cells(parts: Sequence[Cell]) -> int:
    return sum(present.width(part.text) for part in parts) + 3 * max(0, len(parts) - 1)


def _line(parts: Sequence[Cell], right: str, cells: int) -> list[Cell]:
    line: list[Cell] = []
    room = cells - present.width(right) - 1
    for part in parts:
        gap = " · " if line else ""
        text = present.cut(f"{gap}{part.text}", room)
        line.append(Cell(text, part.tone))
        room -= present.width(text)
    return [*line, Cell(" " * (room + 1) + right)]


# --- connection lost --------------------------------------------------------------------------------------------------


def is_shown(fleet: Fleet, now: datetime) -> bool:
    """Whether the banner is: at once where there is nothing else to see, else after a moment."""
    connection = fleet.connection
    if connection.phase == "given up" or (connection.phase == "lost" and fleet.heard_at is None):
        return True
    return connection.phase == "lost" and _gone_s(connection, now) >= QUIET_S


def banner(fleet: Fleet, address: Address, now: datetime) -> list[str]:
    """What happened, what the dashboard does about it, what to do."""
    connection, path = fleet.connection, present.clean(str(address.socket))
    if connection.phase == "given up":
        return [_sentence(connection.detail), _sentence(connection.hint), "R try again   q quit"]
    match connection.reason:
        case "missing" if not address.host:
            what = f"Control socket {path} is gone (daemon stopped or restarting)."
            if fleet.heard_at is None:
                what = f"There is no socket {path}: the daemon is stopped, or listens elsewhere."
        case _:
            what = _sentence(connection.detail)
    left = 0 if connection.next_try_at is None else (connection.next_try_at - now).total_seconds()
    tries = f"Reconnecting: attempt {connection.attempt}, "
    tries += f"next try in {max(1, round(left))} s." if left > 0 else "trying now."
    todo = f"If it stays down:  {_advice(fleet, address)}"
    lines = [what, f"{tries}   R reconnect now   q quit", todo]
    return [todo, *lines[:2]] if _gone_s(connection, now) >= LONG_S else lines


def _advice(fleet: Fleet, address: Address) -> str:
    if not address.host and fleet.connection.reason in {"missing", "lost"} and fleet.heard_at is not None:
        return "systemctl status zendeskd   then   journalctl -u zendeskd -n 50"
    return fleet.connection.hint


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _gone_s(connection: Connection, now: datetime) -> float:
    return 0.0 if connection.lost_at is None else (now - connection.lost_at).total_seconds()
