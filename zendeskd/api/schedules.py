"""What a cron expression means, before it is used."""

from __future__ import annotations

from itertools import islice
from typing import Final

from zendeskd import wire
from zendeskd.api.asked import Asked, Endpoint
from zendeskd.api.query import instant
from zendeskd.cron import CronExpression
from zendeskd.errors import BadRequest
from zendeskd.models import stamp

COUNT_MAX: Final = 100


def preview(asked: Asked) -> wire.Preview:
    told = asked.decoded(wire.PreviewRequest)
    if not 1 <= told.count <= COUNT_MAX:
        hint = f"a whole number from 1 to {COUNT_MAX}"
        raise BadRequest(f"count: {told.count} is not possible", hint=hint, field="count")
    cron = CronExpression(told.interval, told.timezone or asked.context.defaults.timezone)
    now = asked.context.now()
    after = now if told.after is None else instant(told.after, "after")
    times = [
        wire.PreviewTime(
            local=when.astimezone(cron.zone).isoformat(), utc=stamp(when), in_s=round((when - now).total_seconds())
        )
        for when in islice(cron.upcoming(after), told.count)
    ]
    return wire.Preview(interval=cron.text, timezone=cron.timezone, words=cron.words(), times=times)


ENDPOINTS: Final = (
    Endpoint(
        ("preview_schedule",),
        "POST",
        "/api/schedules/preview",
        preview,
        takes=wire.PreviewRequest,
        replies={200: wire.Preview},
    ),
)
