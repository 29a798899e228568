"""The course of one run, as its log lines tell it: pages, retries, waits, records set aside, errors. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from zendeskd import present, wire
from zendeskd.present import Cell, Tone, number
from zendeskd.tui.state import LogLine
from zendeskd.tui.times import TimeStyle
from zendeskd.tui.widgets.grid import GridColumn, GridRow

_TONES: Final[dict[str, Tone]] = {
    "retry": "warn", "limit": "warn", "skipped": "warn", "warn": "warn", "error": "bad",
    "ended": "bad",
}  # fmt: skip
_COUNTS: Final = ("read", "new", "updated", "unchanged", "deleted")
_ROOM_FOR_WHY: Final = 22


class Step(NamedTuple):
    """`what` is page, retry, limit, skipped, warn, error or ended (badly). `counts` as in _COUNTS, None where it is
    none. `took_ms` of a page is from the one before to this one, of the others how long was waited. Text is clean."""

    key: Hashable
    at: str
    what: str
    page: int | None = None
    counts: tuple[int | None, ...] = (None,) * len(_COUNTS)
    took_ms: int | None = None
    waited_ms: int | None = None
    why: str = ""
    request_id: str = ""

    @property
    def name(self) -> str:
        return self.what if self.page is None else f"{self.what} {number(self.page)}"

    @property
    def reason(self) -> str:
        """Why, with what there is to quote to the source's support."""
        said = [self.why] if self.why else []
        if self.what == "page" and self.waited_ms:
            said.append(f"waited {present.took(self.waited_ms)}")
        if self.request_id:
            said.append(f"request {self.request_id}")
        return " · ".join(said)


def steps(run: wire.RunDocument, lines: Sequence[LogLine]) -> list[Step]:
    """The newest first. What the lines do not tell (a quiet page, a log that was removed) is taken from the run."""
    found: list[Step] = []
    known: dict[Hashable, int] = {}
    for line in lines:
        base = (line.at, line.event, line.rest)
        known[base] = known.get(base, 0) + 1
        if (step := _step((*base, known[base]), line)) is not None:
            found.append(step)
    said = {step.why for step in found if step.what == "skipped"}
    for index, one in enumerate(run.skipped):
        why = _skipped(one.external_id, one.reason)
        if why not in said:
            found.append(Step(("skipped", index), one.seen_at, "skipped", why=why))
    if not any(step.what == "page" for step in found) and run.status not in {"queued", "running"} and run.pages == 1:
        counts = (run.records_processed, run.records_created, run.records_updated, run.records_unchanged)
        at = run.synced_at or run.queued_at
        found.append(Step("page", at, "page", 1, (*counts, run.records_deleted), run.duration_ms))
    return sorted(found, key=lambda step: step.at, reverse=True)


def _step(key: Hashable, line: LogLine) -> Step | None:
    said = line.said
    match line.event:
        case "page stored":
            counts = tuple(_whole(said, name) for name in _COUNTS)
            return Step(
                key, line.at, "page", _whole(said, "page"), counts, _whole(said, "took_ms"), _whole(said, "waited_ms")
            )
        case "request failed":
            why = _text(said, "error") or _text(said, "reason")
            tried = _text(said, "reason") if _text(said, "error") else ""
            why = f"{tried}: {why}" if tried else why or line.event
            return Step(key, line.at, "retry", took_ms=_ms(said), why=why, request_id=_text(said, "request_id"))
        case "rate limited":
            return Step(key, line.at, "limit", took_ms=_ms(said), why=_text(said, "reason"))
        case "record set aside":
            return Step(key, line.at, "skipped", why=_skipped(said.get("record"), said.get("reason")))
    if line.level not in {"warn", "error"}:
        return None
    why = _text(said, "error") or _text(said, "reason")
    if line.event == "run ended":
        return Step(key, line.at, "ended", why=why, request_id=_text(said, "request_id"))
    why = f"{line.event}: {why}" if why else line.event
    return Step(key, line.at, line.level, why=why, request_id=_text(said, "request_id"))


def troubles(found: Sequence[Step], now: datetime, times: TimeStyle) -> list[tuple[str, str]]:
    """The first and the last thing that went wrong on the way, with its request: for who asks the source's support."""
    wrong = [step for step in found if step.what in {"retry", "error"}]
    if not wrong:
        return []
    told = [f"{times.clock(step.at, now)} {step.reason}" for step in (wrong[-1], wrong[0])]
    return [("trouble", f"first {told[0]}"), ("", f"last {told[1]}")] if len(wrong) > 1 else [("trouble", told[0])]


# --- as a table -------------------------------------------------------------------------------------------------------

_COLUMNS: Final = (
    GridColumn("at", "AT", 8),
    GridColumn("what", "WHAT", 10),
    GridColumn("read", "READ", 5, right=True),
    GridColumn("new", "NEW", 5, right=True),
    GridColumn("updated", "UPD", 5, right=True),
    GridColumn("unchanged", "SAME", 5, right=True),
    GridColumn("deleted", "DEL", 4, right=True),
    GridColumn("took", "TOOK", 6, right=True),
    GridColumn("why", "WHY", 10),
)


def columns(cells: int) -> tuple[GridColumn, ...]:
    """Those that leave room for the reason; the reason takes the rest."""
    chosen = list(_COLUMNS)
    for unwanted in ("deleted", "unchanged", "updated", "new", "read"):
        if _rest(chosen, cells) >= _ROOM_FOR_WHY:
            break
        chosen = [column for column in chosen if column.key != unwanted]
    chosen[-1] = chosen[-1]._replace(cells=max(8, _rest(chosen, cells)))
    return tuple(chosen)


def _rest(chosen: Sequence[GridColumn], cells: int) -> int:
    return cells - 2 - sum(column.cells + 2 for column in chosen[:-1])


def row(step: Step, chosen: Sequence[GridColumn], now: datetime, times: TimeStyle) -> GridRow:
    tone = _TONES.get(step.what, "plain")
    found = {
        "at": Cell(times.clock(step.at, now)),
        "what": Cell(step.name, tone),
        "took": Cell("" if step.took_ms is None else present.took(step.took_ms)),
        "why": Cell(step.reason, tone),
    }
    found |= {
        name: Cell("" if count is None else number(count)) for name, count in zip(_COUNTS, step.counts, strict=True)
    }
    return GridRow(step.key, tuple(found[column.key] for column in chosen))


def title(found: Sequence[Step], pages: int) -> str:
    """`Pages 31 · 2 retries, waited 4.5s · 3 skipped`; which pages, where not all are here."""
    shown = [step.page for step in found if step.what == "page" and step.page is not None]
    part = f"Pages {number(pages)}"
    if shown and len(shown) < pages:
        part = f"Pages {number(min(shown))} to {number(max(shown))} of {number(pages)}"
    parts = [part]
    for what, words in (("retry", "retries"), ("limit", "waits for a limit")):
        some = [step for step in found if step.what == what]
        if some:
            waited = sum(step.took_ms or 0 for step in some)
            name = words if len(some) > 1 else {"retry": "1 retry", "limit": "1 wait for a limit"}[what]
            counted = f"{number(len(some))} {name}" if len(some) > 1 else name
            parts.append(f"{counted}, {present.took(waited)}" if waited else counted)
    skipped = sum(step.what == "skipped" for step in found)
    return " · ".join([*parts, f"{number(skipped)} skipped"] if skipped else parts)


def plain(step: Step) -> dict[str, Any]:
    """As it is copied for somebody who helps."""
    fields = {"at": step.at, "what": step.what, "page": step.page, **dict(zip(_COUNTS, step.counts, strict=True))}
    fields |= {"tookMs": step.took_ms, "waitedMs": step.waited_ms, "why": step.why, "requestId": step.request_id}
    return {name: value for name, value in fields.items() if value not in (None, "")}


# --- what lines say, whoever wrote them -------------------------------------------------------------------------------


def _whole(said: dict[str, Any], name: str) -> int | None:
    value = said.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _ms(said: dict[str, Any]) -> int | None:
    value = said.get("wait_s")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e7:
        return None
    return round(value * 1000)


def _text(said: dict[str, Any], name: str) -> str:
    value = said.get(name)
    return "" if value is None else present.clean(str(value))


def _skipped(external_id: object, reason: object) -> str:
    return present.clean(f"{'no id' if external_id is None else external_id}: {reason or ''}")
