"""The list of tickets on a real control socket with a real copy of a few thousand tickets."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.fakes import START, record
from tests.fixtures import mockup
from tests.fixtures.control import Control
from tests.fixtures.terminal import driven
from zendeskd.models import Link, Page
from zendeskd.tui.widgets.grid import Grid

COUNT = 3000


def tickets() -> list[Any]:
    """Every hundredth is hostile, and number 2,718 alone speaks of marmalade."""
    return [
        record(
            number,
            title=mockup.HOSTILE if number % 100 == 0 else f"Matter {number}",
            body="there is marmalade in it" if number == 2718 else "nothing of note",
            updated_at=f"2026-11-{1 + number // 150:02d}T10:{number % 60:02d}:00.000Z",
            deleted_at="2026-11-22T10:00:00.000Z" if number % 500 == 1 else None,
            links=(Link("related_to", "zendesk", "ticket", "7"),) if number == 3000 else (),
        )
        for number in range(1, COUNT + 1)
    ]


def test_a_few_thousand_tickets_are_read_to_the_end_and_searched(control: Control) -> None:
    control.script([Page(records=tickets(), end_of_stream=True, cursor="c", watermark=START)])
    control.add("acme")
    control.ended(control.client().trigger("acme").run_id)
    control.script([Page(records=[record(1, title="A printer")], end_of_stream=True, cursor="c", watermark=START)])
    control.add("globex")
    control.ended(control.client().trigger("globex").run_id)

    async def drive() -> None:
        async with driven(control) as one:  # type: ignore[arg-type] # its path is all that is needed
            one.app.screen.query_one(Grid).move_to(("acme", "zendesk"))
            await one.press("r")
            text = await one.shows("Tickets › acme · local copy", "Tickets 100+ ·")
            assert not {"\x1b", "\x07", "\u202e"} & set(text)
            grid = one.app.screen.query_one(Grid)
            for _ in range(COUNT):
                if "Tickets 3,000 ·" in one.text():
                    break
                await one.press("end")
            await one.press("end")
            await one.shows("Matter 1 ", "deleted", "(removed)")
            keys = grid.keys
            assert len(keys) == len(set(keys)) == COUNT
            newest = control.client().records("acme", limit=500)
            assert keys[:500] == [item.id for item in newest.items]
            assert newest.items[0].link_count == 1
            await one.press("slash", *"marmalade", "enter")
            await one.shows("Tickets 1 · search marmalade", "2718  ")
            await one.press("escape", "r")
            await one.shows("Tickets › all organisations", "ORG")
            await one.press("slash", *"printer", "enter")
            await one.shows("Tickets 1 · search printer", "globex")

    asyncio.run(drive())
