"""Search words, and which columns of the list of tickets fit."""

from __future__ import annotations

import asyncio

import pytest

from tests.fixtures import mockup
from zendeskd import wire
from zendeskd.models import SYSTEMS
from zendeskd.tui import records, search
from zendeskd.tui.pages import FIRST, LATER, Pages
from zendeskd.tui.search import Search
from zendeskd.tui.times import TimeStyle


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("", Search()),
        ("  payment   500 ", Search(words=("payment", "500"))),
        ("status:open pay*", Search(words=("pay*",), status="open")),
        ("org:Acme system:Zendesk tag:VIP deleted:Yes", Search(org="Acme", system="zendesk", tag="VIP", deleted=True)),
        ("deleted:no x", Search(words=("x",), deleted=False)),
        ("status: x", Search(words=("x",))),
        ('"error:500"', Search(words=('"error:500"',))),
        ("https://x.example/a 12:30 :", Search(words=("https://x.example/a", "12:30", ":"))),
        ("a:b:c", Search(trouble="there is no a: but status:, org:, system:, tag:, deleted:; "
                                 'as a word it is written "a:b:c"')),
        ("tag:a tag:b", Search(trouble="tag: can be there once")),
        ("deleted:maybe", Search(trouble="deleted: is yes or no, never maybe")),
        ("system:fax", Search(trouble=f"system: is {' or '.join(SYSTEMS)}, never fax")),
        ("x\x1b:y", Search(words=("x\x1b:y",))),
    ],
)  # fmt: skip
def test_what_is_typed(typed: str, found: Search) -> None:
    assert search.parse(typed) == found


def test_trouble_is_told_in_harmless_text() -> None:
    assert "\x1b" not in search.parse("bad:\x1b[31m").trouble
    assert "\x1b" not in search.parse("deleted:\x1b[31m").trouble


def test_which_organisations_a_name_means() -> None:
    orgs = ["acme", "acme-eu", "globex"]
    assert search.chosen("ACME", orgs) == ["acme"]
    assert search.chosen("cme-", orgs) == ["acme-eu"]
    assert search.chosen("e", orgs) == ["acme", "acme-eu", "globex"]
    assert search.chosen("hooli", orgs) == []


def names(cells: int, **longest: int) -> list[str]:
    chosen = records.columns(cells, **longest)
    assert sum(column.cells + 2 for column in chosen) <= cells
    return [column.title for column in chosen]


def test_the_title_keeps_its_room() -> None:
    assert names(98) == ["ID", "STATUS", "PRIO", "CHANGED", "REQUESTER", "LINKS", "TITLE"]
    assert names(98, longest_org=9) == ["ID", "ORG", "STATUS", "CHANGED", "REQUESTER", "TITLE"]
    assert names(78) == ["ID", "STATUS", "CHANGED", "TITLE"]
    assert names(78, longest_org=14) == ["ID", "ORG", "STATUS", "CHANGED", "TITLE"]
    assert names(58) == ["ID", "STATUS", "CHANGED", "TITLE"]
    assert names(49) == ["ID", "TITLE"]
    assert names(49, longest_org=30) == ["ID", "ORG", "TITLE"]
    assert records.columns(1)[-1].cells == 1
    assert records.columns(98, longest_id=40)[0].cells == records.ID_MOST


def test_columns_grow_and_never_shrink() -> None:
    widths, chosen = records.Widths(), dict[int, wire.RecordItem]()
    for number, external_id in enumerate(("1", "12345678", "2")):
        chosen[number] = mockup.record(id=number, external_id=external_id)
        widths.measure(chosen)
    assert widths.columns(98, has_orgs=False)[0].cells == 8
    widths.measure({9: mockup.record(id=9, external_id="9", organization_id="a-longer-name")})
    assert [column.cells for column in widths.columns(98, has_orgs=True)[:2]] == [8, 13]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (mockup.ago(minutes=7), "14:17"),
        (mockup.ago(days=3), "Fri 20 Nov"),
        (mockup.ago(days=400), "19 Oct 2025"),
        ("1970-01-01T00:00:00.000Z", "-"),
        ("garbled", "-"),
        (None, "-"),
    ],
)
def test_when_it_changed(text: str | None, shown: str) -> None:
    assert TimeStyle("utc").day(text, mockup.NOW) == shown


def test_the_oldest_copy_is_told() -> None:
    def said(*items: wire.SyncStatus, cells: int = 100) -> str:
        orgs = [item.organization_id for item in items]
        return records.heading(orgs, items, "›", TimeStyle("utc"), mockup.NOW, cells)

    young = mockup.status("acme", watermark=mockup.ago(minutes=6))
    old = mockup.status("globex", watermark=None, last_success_at=mockup.ago(hours=6))
    never = mockup.status("hooli", watermark=None, last_success_at=None)
    assert said(young) == "Tickets › acme · local copy, synced to 14:18:46 (6m behind)"
    assert said(young, cells=50) == "Tickets › acme · synced to 14:18:46 (6m behind)"
    assert said(young, cells=20) == "Tickets › acme · 14:18:46 (6m behind)"
    assert said(young, old) == "Tickets › acme, globex · local copy, oldest up to date 6h 00m ago"
    assert said(young, never).endswith("oldest synced to 14:18:46 (6m behind), 1 not complete yet")
    assert said(never) == "Tickets › hooli · local copy, not complete yet"
    assert said(young, young, young, old).startswith("Tickets › 4 organisations ·")


def test_a_page_that_fails_or_repeats_changes_nothing() -> None:
    asked: list[tuple[int, str | None]] = []
    replies: list[wire.RecordList | Exception] = [
        wire.RecordList(items=[mockup.record(id=1), mockup.record(id=2)], next="a"),
        OSError("gone"),
        wire.RecordList(items=[mockup.record(id=2), mockup.record(id=3)], next=None),
    ]

    async def ask(limit: int, after: str | None) -> wire.RecordList:
        asked.append((limit, after))
        reply = replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def read() -> Pages:
        pages = Pages(ask)
        await pages.read()
        with pytest.raises(OSError, match="gone"):
            await pages.read()
        assert (len(pages), pages.is_over, pages.is_reading) == (2, False, False)
        await pages.read()
        await pages.read()
        return pages

    pages = asyncio.run(read())
    assert (pages.keys, pages.places, pages.is_over) == ([1, 2, 3], {1: 0, 2: 1, 3: 2}, True)
    assert asked == [(FIRST, None), (LATER, "a"), (LATER, "a")]
