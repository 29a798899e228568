"""Words, glyphs, durations, ages and table cells: the one voice of `zendeskctl` and the dashboard. Pure; takes `now`.

Words come first, a glyph repeats them, a tone (which a front end turns into a colour) repeats both: with the last two
taken away everything still reads. Text that came from outside goes through `clean` before it reaches a terminal.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple

from zendeskd import wire
from zendeskd.models import parse_stamp

Tone = Literal["plain", "good", "warn", "bad", "busy", "dim"]


class Sign(NamedTuple):
    """How one word of the vocabulary is shown: a glyph one cell wide, its ASCII form, its tone."""

    glyph: str
    plain: str
    tone: Tone


SIGNS: Final[Mapping[str, Sign]] = {
    "ok": Sign("✓", "+", "good"),
    "partial": Sign("◕", "o", "warn"),
    "failed": Sign("✗", "x", "bad"),
    "running": Sign("»", ">", "busy"),
    "queued": Sign("∙", ".", "dim"),
    "limited": Sign("~", "~", "warn"),
    "retrying": Sign("~", "~", "warn"),
    "stopped": Sign("=", "=", "dim"),
    "stopping": Sign("=", "=", "dim"),
    "blocked": Sign("!", "!", "bad"),
    "late": Sign("!", "!", "bad"),
    "slow": Sign("!", "!", "bad"),
    "failing": Sign("✗", "x", "bad"),
    "never": Sign("◌", "?", "dim"),
    "cancelled": Sign("-", "-", "dim"),
    "interrupted": Sign("-", "-", "dim"),
}
HEALTH_ORDER: Final = (
    "blocked",
    "failing",
    "late",
    "limited",
    "retrying",
    "failed",
    "running",
    "queued",
    "ok",
    "stopped",
)
REASONS: Final[Mapping[str, str]] = {
    "credential_error": "auth",
    "permission_error": "forbidden",
    "network_error": "network",
    "server_error": "server",
    "bad_response": "response",
    "storage_error": "storage",
    "internal_error": "bug",
    "cursor_stuck": "cursor",
}
"""The short word for each failure class, as in "✗ network"."""


class Cell(NamedTuple):
    """One field of a table. `text` is clean and in full; front ends cut it where they must."""

    text: str
    tone: Tone = "plain"


# --- text from outside ------------------------------------------------------------------------------------------------

_HOSTILE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_HOSTILE_IN_BLOCK: Final = re.compile(_HOSTILE.pattern.replace(r"\x00-\x1f", r"\x00-\x08\x0b-\x1f"))
_RISKY_IN_JSON: Final = re.compile(r"[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_BREAKS: Final = re.compile(r"\r\n?|[\n\t\u2028\u2029]")


def clean(text: str | None) -> str:
    """One harmless line: line breaks and tabs become spaces; other control characters, escape sequences' first
    characters, direction overrides and lone surrogates become U+FFFD."""
    return _HOSTILE.sub("\ufffd", _BREAKS.sub(" ", text or ""))


def clean_block(text: str | None) -> str:
    """As `clean`, but line breaks and tabs stay."""
    return _HOSTILE_IN_BLOCK.sub("\ufffd", re.sub(r"\r\n?|[\u2028\u2029]", "\n", text or ""))


def json_text(encoded: bytes) -> str:
    """JSON whose strings hold no character a terminal acts on; equal to what it was."""
    return _RISKY_IN_JSON.sub(lambda found: f"\\u{ord(found.group()):04x}", encoded.decode())


def width(text: str) -> int:
    """Terminal cells that `text` takes: East Asian wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(_cells_of(char) for char in text)


def _cells_of(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def cut(text: str, cells: int, *, ascii_only: bool = False) -> str:
    """`text` in at most `cells` cells; what was cut ends in an ellipsis."""
    if width(text) <= cells:
        return text
    mark = "~" if ascii_only else "…"
    kept, used = [], 0
    for char in text:
        used += _cells_of(char)
        if used > cells - 1:
            break
        kept.append(char)
    return "".join(kept) + mark if cells > 0 else ""


def wrapped(text: str, cells: int, *, indent: int = 0) -> list[str]:
    """`text` in lines of at most `cells`, broken at blanks; a word that is longer stays whole. The lines after the
    first begin with `indent` blanks."""
    lines = [""]
    for part in re.findall(r"^ +|[^ ]+ *", text):
        if width(lines[-1]) + width(part.rstrip()) > cells and lines[-1].strip():
            lines[-1] = lines[-1].rstrip()
            lines.append(" " * indent)
        lines[-1] += part
    return lines


# --- times and numbers ------------------------------------------------------------------------------------------------


def number(value: int) -> str:
    return f"{value:,}"


def plural(count: int, noun: str) -> str:
    """`1 ticket`, `12,003 tickets`."""
    return f"{number(count)} {noun}{'' if count == 1 else 's'}"


def span(seconds: float) -> str:
    """An age or a distance, in its two largest units: `42s`, `20m`, `6h 01m`, `3d 04h`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m"
    return _hours(whole)


def countdown(seconds: float) -> str:
    """What is left: `0:38`, `12:14`, `6h 01m`."""
    whole = max(0, int(seconds))
    return f"{whole // 60}:{whole % 60:02d}" if whole < 3600 else _hours(whole)


def took(milliseconds: int | None) -> str:
    """How long something lasted: `0.4s`, `31s`, `1m 46s`, `2h 05m`; `-` if that is not known."""
    if milliseconds is None:
        return "-"
    if milliseconds < 1000:
        return f"{milliseconds / 1000:.1f}s"
    whole = milliseconds // 1000
    if whole < 60:
        return f"{whole}s"
    return f"{whole // 60}m {whole % 60:02d}s" if whole < 3600 else _hours(whole)


def _hours(whole: int) -> str:
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d {whole % 86400 // 3600:02d}h"


def size(count: int) -> str:
    """Bytes in words: `412 MB`."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def moment(text: str | None) -> datetime | None:
    """The instant of an API time; None for null and for text that is no instant (a newer daemon's, say)."""
    try:
        return parse_stamp(text)
    except ValueError:
        return None


def day(when: datetime, now: datetime) -> str:
    """`Mon 23 Nov`, with the year when it is not this one."""
    text = f"{when:%a} {when.day} {when:%b}"
    return text if when.year == now.year else f"{text} {when.year}"


def clock(text: str | None, now: datetime, *, zone: bool = True) -> str:
    """`14:24:02 UTC`, with the day when that is not today; `-` for null."""
    when = moment(text)
    if when is None:
        return "-"
    at = f"{when:%H:%M:%S}" if when.date() == now.date() else f"{day(when, now)} {when:%H:%M}"
    return f"{at} UTC" if zone else at


def since(text: str | None, now: datetime) -> str:
    """The age of an instant: `20m`; `-` for null."""
    when = moment(text)
    return "-" if when is None else span((now - when).total_seconds())


def until(text: str | None, now: datetime) -> str:
    """The countdown to an instant: `1:52`, `now` once it has passed; `-` for null."""
    when = moment(text)
    if when is None:
        return "-"
    left = (when - now).total_seconds()
    return countdown(left) if left >= 1 else "now"


# --- the cells of an integration --------------------------------------------------------------------------------------


class Voice:
    """The words of one front end: with glyphs, or in ASCII."""

    def __init__(self, *, ascii_only: bool = False) -> None:
        self.ascii_only = ascii_only

    def sign(self, word: str) -> str:
        """The glyph of a word of the vocabulary; nothing for words that are not part of it."""
        sign = SIGNS.get(word)
        return "" if sign is None else sign.plain if self.ascii_only else sign.glyph

    def signed(self, word: str, text: str | None = None) -> Cell:
        """The glyph and the text (the word itself by default)."""
        shown = clean(word if text is None else text)
        sign = SIGNS.get(word)
        return Cell(shown) if sign is None else Cell(f"{self.sign(word)} {shown}", sign.tone)

    def now(self, item: wire.SyncStatus, now: datetime, *, idle: str = "") -> Cell:
        """What it does now: `» 62% 0:48`, `» 8,400`, `~ limit 0:38`, `~ retry 1:52`, `∙ queued`; `idle` when idle."""
        match item.state:
            case "idle":
                return Cell(idle)
            case "running":
                return self._running(item.run, is_slow=item.slow_s is not None)
            case "limited" | "retrying":
                waits = item.run.waiting_until if item.run is not None else item.next_run_at
                word = "limit" if item.state == "limited" else "retry"
                left = until(waits, now)
                return self.signed(item.state, word if left == "-" else f"{word} {left}")
            case state:
                return self.signed(state)

    def _running(self, run: wire.LiveRun | None, *, is_slow: bool) -> Cell:
        word = "slow" if is_slow else "running"
        if run is None:
            return self.signed(word, "running")
        if run.progress is None:
            return self.signed(word, number(run.records))
        left = "" if run.eta_s is None else f" {countdown(run.eta_s)}"
        return self.signed(word, f"{run.progress:.0%}{left}")

    def last(self, status: str | None, error_code: str | None) -> Cell:
        """How the last finished run ended: `✓ ok`, `◕ partial`, `✗ network`, `interrupted`, `◌ never`."""
        match status:
            case None:
                return self.signed("never")
            case "success":
                return self.signed("ok")
            case "failed":
                return self.signed("failed", REASONS.get(error_code or "", error_code or "failed"))
            case "cancelled" | "interrupted":
                return Cell(status, "dim")
            case other:
                return self.signed(other)

    def history(self, runs: Sequence[wire.RunSummary], count: int = 8) -> Cell:
        """The last finished runs as glyphs, newest right."""
        words = ["ok" if run.status == "success" else run.status for run in reversed(runs[:count])]
        return Cell("".join(self.sign(word) or "?" for word in words))

    def why(self, item: wire.SyncStatus) -> Cell:
        text = clean(item.why)
        return Cell(text.replace("…", "~") if self.ascii_only else text)


def last_error_code(item: wire.SyncStatus) -> str | None:
    """The failure class of the last finished run."""
    if item.recent_runs and item.recent_runs[0].error_code:
        return item.recent_runs[0].error_code
    return None if item.last_error is None else item.last_error.code


def age_cell(item: wire.SyncStatus, now: datetime) -> Cell:
    """Time since the copy was last brought up to date; marked `!` when that is late."""
    age = since(item.last_success_at, now)
    return Cell(f"!{age}", "bad") if item.late_s is not None else Cell(age)


def next_cell(item: wire.SyncStatus, now: datetime) -> Cell:
    """When it goes on: a countdown, `now`, `stopped`, or `-` while a run is going or a person is needed."""
    match item.state:
        case "stopped" | "stopping":
            return Cell("stopped", "dim")
        case "blocked":
            return Cell("-")
        case "queued":
            return Cell("now")
        case _ if item.run is not None:
            return Cell(until(item.run.waiting_until, now))
        case _:
            return Cell(until(item.next_run_at, now))


def counts(health: Iterable[str]) -> dict[str, int]:
    """How many of each health word, worst first, zeros left out; words this version does not know come last."""
    found: dict[str, int] = {}
    for word in health:
        found[word] = found.get(word, 0) + 1
    known = {word: found.pop(word) for word in HEALTH_ORDER if word in found}
    return known | found


def counts_line(health: Sequence[str]) -> str:
    """`12 orgs: 1 blocked, 1 failing, 5 ok`."""
    inner = ", ".join(f"{count} {clean(word)}" for word, count in counts(health).items())
    return f"{plural(len(health), 'org')}: {inner}" if inner else "no organisations"


def preview_line(time: wire.PreviewTime, now: datetime) -> str:
    """`Mon 23 Nov 09:30   14:30 UTC   in 5m`; the UTC day too where it differs."""
    local, utc = datetime.fromisoformat(time.local), moment(time.utc)
    assert utc is not None
    there = f"{utc:%H:%M}" if utc.date() == local.date() else f"{day(utc, now)} {utc:%H:%M}"
    return f"{day(local, now)} {local:%H:%M}   {there} UTC   in {span(time.in_s)}"


def known_until(item: wire.SyncStatus, now: datetime) -> str:
    """How much is stored and how old it is: `18,204 tickets, up to date 20m ago`."""
    noun = {"zendesk": "ticket", "jira": "issue", "slack": "message"}.get(item.system_type, "record")
    stored = plural(item.total_records, noun)
    if item.last_success_at is None:
        return f"{stored}, not complete yet"
    return f"{stored}, up to date {since(item.last_success_at, now)} ago"


def verified(one: wire.Reconciled, now: datetime) -> str:
    """What the last comparison with the source found: `03:10:00 UTC, 0 differences`."""
    if one.status != "verified":
        reason = f" ({clean(one.error_message)})" if one.error_message else ""
        return f"{clock(one.finished_at or one.started_at, now)}, {clean(one.status)}{reason}"
    kinds = {"missing here": one.missing, "stale": one.stale, "vanished there": one.vanished}
    found = ", ".join(f"{number(count)} {kind}" for kind, count in kinds.items() if count)
    differences = plural(sum(kinds.values()), "difference")
    mended = f": {found}; {number(one.repaired)} repaired" if found else ""
    return f"{clock(one.finished_at, now)}, {differences}{mended}"


def backups(known: wire.BackupStatus, now: datetime) -> str:
    """The last backup and the next: `03:00:04 UTC, 412 MB; next 25 Nov 03:00 UTC`."""
    due = f"next {clock(known.next_at, now)}" if known.next_at else "no schedule"
    if known.running is not None:
        return f"going on since {clock(known.running.started_at, now)}; {due}"
    if not known.recent:
        return f"none yet; {due}"
    last = known.recent[0]
    if last.trouble is None:
        return f"{clock(last.finished_at, now)}, {size(last.bytes)}; {due}"
    good = next((one for one in known.recent if one.trouble is None), None)
    before = f"last good {clock(good.finished_at, now)}" if good is not None else "no good one"
    return f"FAILED {clock(last.finished_at, now)}: {clean(last.trouble)} {before}; {due}"


# --- records and links ------------------------------------------------------------------------------------------------


def record_name(item: wire.RecordItem) -> str:
    """`acme/zendesk/48213`, as `zendeskctl record` takes it."""
    return clean(f"{item.organization_id}/{item.source_system}/{item.external_id}")


def relation(link: wire.LinkItem) -> str:
    """`escalated to`; with `(in)` when it is the other end that says so."""
    return clean(link.relation.replace("_", " ")) + (" (in)" if link.direction == "in" else "")


def origin(link: wire.LinkItem) -> str:
    """`source`, or `manual, ana`."""
    return clean(link.origin + (f", {link.created_by}" if link.created_by else ""))


def access(one: wire.SocketAccess | None) -> str:
    """Who may use the control socket: `0660 zendeskd:ops; operators: root, zendeskd and the group ops`."""
    if one is None:
        return "not known"
    if one.mode is None:
        return "its file is gone, nobody else can connect until the daemon is restarted"
    file = f"{clean(one.mode)} {clean(one.owner)}:{clean(one.group)}"
    operators = f"root, {clean(one.owner)} and the group {clean(one.operators)}"
    if one.viewers is None:
        return f"{file}; operators: whoever can open it; viewers: none"
    return f"{file}; operators: {operators}; viewers: the group {clean(one.viewers)}"


# --- tables -----------------------------------------------------------------------------------------------------------


class Column(NamedTuple):
    """`spare`: where there is no room for all columns, the one with the highest goes first; 0 never goes."""

    title: str
    least: int = 0  # cells
    right: bool = False
    spare: int = 0


LAST_LEAST: Final = 8
"""Cells that the last column of a table, which is cut, keeps at least if it has so much to say."""


def fitting(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], cells: int) -> list[int]:
    """The places of the columns that go into lines of `cells` beside each other, two cells between them."""
    wide = [
        max(column.least, width(column.title), *(width(row[place].text) for row in rows))
        for place, column in enumerate(columns)
    ]
    wide[-1] = min(max(columns[-1].least, LAST_LEAST), wide[-1])
    places = list(range(len(columns)))
    while sum(wide[place] + 2 for place in places) - 2 > cells:
        place = max(places, key=lambda each: columns[each].spare)
        if not columns[place].spare:
            break
        places.remove(place)
    return places


def rows_of_text(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> list[list[Cell]]:
    """Title row and rows, padded so that columns stand below each other; the last column is not padded."""
    titles = [Cell(column.title) for column in columns]
    table = [titles, *rows]
    widths = [max(column.least, *(width(row[index].text) for row in table)) for index, column in enumerate(columns)]
    return [
        [
            _pad(cell, column, cells, last=index == len(columns) - 1)
            for index, (cell, column, cells) in enumerate(zip(row, columns, widths, strict=True))
        ]
        for row in table
    ]


def _pad(cell: Cell, column: Column, cells: int, *, last: bool) -> Cell:
    room = " " * (cells - width(cell.text))
    if column.right:
        return Cell(room + cell.text, cell.tone)
    return cell if last else Cell(cell.text + room, cell.tone)
