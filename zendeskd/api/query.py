"""Query parameters and instants of requests, as values. All raise BadRequest that names the parameter."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, date, datetime, time

from zendeskd.cron import parse_zone
from zendeskd.decoding import nearest
from zendeskd.errors import BadRequest
from zendeskd.models import parse_stamp
from zendeskd.sync import parse_lookback


class Query:
    """The parameters of a request. Raises BadRequest for those that its call does not know, or that come twice and
    are not among `several`. `page`: the default of `limit`, which is known only then, and the most it may be."""

    def __init__(
        self,
        given: Iterable[tuple[str, str]],
        known: Collection[str],
        several: Collection[str] = (),
        page: tuple[int, int] | None = None,
    ) -> None:
        self._page = page
        known = (*known, "limit") if page is not None else known
        self._values: dict[str, str] = {}
        self._lists: dict[str, list[str]] = {}
        for name, value in given:
            if name not in known:
                hint = nearest(name, known) if known else "this call takes no parameters"
                raise BadRequest(f"parameter {name!r} is not known here", hint=hint, field=name)
            self._lists.setdefault(name, []).append(value)
            if name in self._values and name not in several:
                raise BadRequest(f"parameter {name!r} is given twice", hint="give it once", field=name)
            self._values[name] = value

    def text(self, name: str) -> str | None:
        """None if it is not given, or empty."""
        return self._values.get(name) or None

    def texts(self, name: str) -> list[str]:
        """All that are given and not empty, each once."""
        return list(dict.fromkeys(value for value in self._lists.get(name, ()) if value))

    def required(self, name: str, example: str) -> str:
        value = self.text(name)
        if value is None:
            raise BadRequest(f"parameter {name!r} is missing", hint=f"for example ?{name}={example}", field=name)
        return value

    def flag(self, name: str) -> bool | None:
        value = self.text(name)
        flags: Mapping[str, bool] = {"true": True, "1": True, "false": False, "0": False}
        if value is not None and value.lower() not in flags:
            raise BadRequest(f"{name}: {value!r} is neither true nor false", hint=f"{name}=true", field=name)
        return None if value is None else flags[value.lower()]

    def limit(self) -> int:
        """How many items are asked for."""
        assert self._page is not None
        default, most = self._page
        return self.whole("limit", default, 1, most)

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        value = self.text(name)
        if value is None:
            return default
        number = int(value) if value.isascii() and value.isdigit() and len(value) < 10 else -1
        if not low <= number <= high:
            raise BadRequest(
                f"{name}: {value!r} is not a whole number from {low} to {high}", hint=f"{name}={default}", field=name
            )
        return number


def row_id(text: str) -> int | None:
    """A local id (a positive 64-bit number), or None."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def instant(text: str, field: str) -> datetime:
    """ISO-8601 with a zone. Raises BadRequest."""
    try:
        when = parse_stamp(text)
        assert when is not None
    except (ValueError, OverflowError):
        raise BadRequest(
            f"{field}: {text!r} is not an instant",
            hint="a date, a time and its zone: 2026-11-24T08:00:00Z",
            field=field,
        ) from None
    return when


def since(text: str, timezone: str, now: datetime) -> datetime | None:
    """An instant, a date in `timezone`, or a span back from `now` ("30d"); None for "all". Raises BadRequest."""
    value = text.strip()
    if value.lower() == "all":
        return None
    when = _begin(value, timezone, now)
    if when is None:
        raise BadRequest(
            f"since: {text!r} is neither an instant nor a date nor a span",
            hint='"2026-11-01", "2026-11-01T08:00:00Z", "30d", "12h" or "all"',
            field="since",
        )
    if when > now:
        raise BadRequest(f"since: {text!r} is in the future", hint="an instant in the past", field="since")
    return when


def _begin(value: str, timezone: str, now: datetime) -> datetime | None:
    with contextlib.suppress(ValueError):
        span = parse_lookback(value)
        return None if span is None else now - span
    with contextlib.suppress(ValueError, OverflowError):
        midnight = datetime.combine(date.fromisoformat(value), time(), tzinfo=parse_zone(timezone))
        return midnight.astimezone(UTC)
    with contextlib.suppress(ValueError, OverflowError):
        return parse_stamp(value)
    return None
