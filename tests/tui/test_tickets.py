"""The tickets of the local copy: read as one scrolls, searched, never moved under the cursor."""

from __future__ import annotations

import asyncio
import re
import threading
from datetime import timedelta, timezone
from typing import Any

import pytest
from textual import events
from textual.widgets import Input

from tests.fixtures import mockup
from tests.fixtures.scripted import Asked, ScriptedDaemon
from tests.fixtures.terminal import Driven, driven, fleet_of
from zendeskd import wire
from zendeskd.tui.screens.tickets import EVERY_S
from zendeskd.tui.times import TimeStyle
from zendeskd.tui.widgets.grid import Grid


def ticket(number: int, **changes: Any) -> wire.RecordItem:
    fields: dict[str, Any] = {
        "id": number,
        "external_id": str(number),
        "title": f"Matter {number}",
        "updated_at": mockup.ago(hours=5, seconds=number),
    }
    return mockup.record(**{**fields, **changes})


def shown_in_the_mockup() -> list[wire.RecordItem]:
    return [
        mockup.record(id=1, link_count=3),
        mockup.record(
            id=2, external_id="48190", status="pending", priority="high", requester="Omar Haddad", link_count=1,
            title="500 on payment, card was charged twice", updated_at=mockup.ago(minutes=32),
        ),
        mockup.record(
            id=3, external_id="41877", status="hold", priority="high", link_count=12,
            title="Payment errors since release 4.2", updated_at=mockup.ago(days=3),
        ),
        mockup.record(
            id=4, external_id="39002", status="deleted", priority=None, requester=None, url=None,
            title="Payment form 500", updated_at=mockup.ago(days=21), deleted_at=mockup.ago(days=20),
        ),
    ]  # fmt: skip


def serve(scripted: ScriptedDaemon, items: list[wire.RecordItem], step: int | None = None) -> None:
    """Pages of these, `after` being how many went before; what is asked for by `q` is in the title."""

    def answer(asked: Asked) -> wire.RecordList:
        words = asked.query.get("q", "").lower().split()
        found = [
            item for item in items if all(word in re.findall(r"\w+", (item.title or "").lower()) for word in words)
        ]
        found = [item for item in found if asked.query.get("status") in {None, item.status}]
        begin = int(asked.query.get("after", 0))
        end = begin + (step or int(asked.query["limit"]))
        return wire.RecordList(items=found[begin:end], next=str(end) if end < len(found) else None)

    scripted.answer("records", answer)


async def opened(one: Driven, org: str = "acme-eu") -> None:
    one.app.screen.query_one(Grid).move_to((org, "zendesk"))
    await one.press("r")
    await one.shows(f"Tickets › {org}")
    await one.shows_no("reading ...")


async def type_in(one: Driven, text: str) -> None:
    await one.press("slash")
    for char in text:
        await one.press({" ": "space", ":": "colon"}.get(char, char))


def cursor(one: Driven) -> int:
    return one.app.screen.query_one(Grid).cursor_key


def pages_asked(scripted: ScriptedDaemon) -> list[str | None]:
    return [one.query.get("after") for one in scripted.asked_for("records")]


@pytest.fixture
def eu(scripted: ScriptedDaemon) -> ScriptedDaemon:
    fleet_of(scripted, [
        mockup.status("acme-eu", watermark=mockup.ago(minutes=6, seconds=22)),
        mockup.status("globex", watermark=mockup.ago(hours=2)),
        mockup.status("hooli", last_success_at=None),
    ])  # fmt: skip
    return scripted


def test_the_list(eu: ScriptedDaemon) -> None:
    async def drive(name: str, size: tuple[int, int]) -> None:
        serve(eu, shown_in_the_mockup())
        async with driven(eu, size) as one:
            await opened(one)
            await one.shows("39002")
            await one.is_drawn(name)

    asyncio.run(drive("tickets-100x30", (100, 30)))
    asyncio.run(drive("tickets-80x24", (80, 24)))
    asyncio.run(drive("tickets-44x14", (44, 14)))


def test_a_search_marks_what_it_found(eu: ScriptedDaemon) -> None:
    async def drive() -> None:
        serve(eu, [*shown_in_the_mockup(), ticket(7)])
        async with driven(eu) as one:
            await opened(one)
            await type_in(one, "payment 500")
            await one.shows("Tickets 3 · search payment 500 · newest change first")
            assert {asked.query.get("q") for asked in eu.asked_for("records")} == {None, "payment 500"}
            await one.is_drawn("tickets-search-100x30")
            await one.press("enter")
            assert marked(one, 0) == ["Payment", "500"]
            assert marked(one, 1) == ["500", "payment"]
            await one.press("escape")
            await one.shows("Tickets 5 · newest change first")
            assert marked(one, 0) == []
            await one.press("escape")
            await one.shows("Organisations 3 ·")

    asyncio.run(drive())


def marked(one: Driven, row: int) -> list[str]:
    strip = one.app.screen.query_one(Grid).render_line(row + 1)
    return [segment.text for segment in strip if segment.style is not None and segment.style.reverse]


def test_r_goes_from_one_organisation_to_all_and_back(eu: ScriptedDaemon) -> None:
    async def drive() -> None:
        items = [ticket(1), ticket(2, organization_id="globex"), ticket(3, source_system="jira", external_id="PAY-1")]
        eu.answer(
            "records",
            lambda asked: wire.RecordList(
                items=[item for item in items if not asked.orgs or item.organization_id in asked.orgs], next=None
            ),
        )
        async with driven(eu) as one:
            await opened(one)
            await one.shows("Tickets 2 ", "jira:PAY-1")
            assert "globex" not in one.text()
            assert "ORG" not in one.line("STATUS")
            await one.press("r")
            await one.shows("Tickets › all organisations · oldest 12:24:46 (2h 00m behind), 1 not complete yet")
            await one.shows("Tickets 3 ", "globex")
            assert "ORG" in one.line("STATUS")
            await one.press("r")
            await one.shows("Tickets › acme-eu", "Tickets 2 ")
            assert [asked.orgs for asked in eu.asked_for("records")] == [("acme-eu",), (), ("acme-eu",)]

    asyncio.run(drive())


def test_the_marked_ones_are_one_list(eu: ScriptedDaemon) -> None:
    async def drive() -> None:
        serve(eu, [ticket(1), ticket(2, organization_id="globex")])
        async with driven(eu) as one:
            await one.press("space", "space", "r")
            await one.shows("Tickets › acme-eu, globex · local copy, oldest synced to", "Tickets 2 ")
            assert "ORG" in one.line("STATUS")
            assert [set(asked.orgs) for asked in eu.asked_for("records")] == [{"acme-eu", "globex"}]

    asyncio.run(drive())


def test_from_an_organisation_and_from_the_palette(eu: ScriptedDaemon) -> None:
    async def drive() -> None:
        serve(eu, [ticket(1)])
        eu.answer("runs", wire.RunList(items=[], next=None))
        async with driven(eu) as one:
            one.app.open(("globex", "zendesk"))
            await one.shows("Organisations › globex")
            await one.press("r")
            await one.shows("Tickets › globex")
            await one.press("escape", "escape", "d", "colon")
            await one.pilot.press(*"those of the local copy".replace(" ", ""))
            await one.pilot.pause()
            await one.until(lambda: "tickets" in one.text(), "the palette")
            await one.press("enter")
            await one.shows("Tickets › all organisations")
            assert "All organisations" not in one.text().splitlines()[-1]
            await one.press("r")
            await one.told("these are all organisations")

    asyncio.run(drive())


# --- pages ------------------------------------------------------------------------------------------------------------


def test_pages_are_read_as_one_scrolls_and_none_of_them_twice(eu: ScriptedDaemon) -> None:
    async def drive() -> None:
        items, gate = [ticket(number) for number in range(1, 451)], threading.Event()
        serve(eu, items)
        pages = eu._answers["records"][0]

        def slow(asked: Asked) -> Any:
            assert asked.query.get("after") is None or gate.wait(20)
            return pages(asked)  # type: ignore[operator]

        eu.answer("records", slow)
        async with driven(eu) as one:
            await opened(one)
            await one.shows("Tickets 100+ ·")
            assert pages_asked(eu) == [None], "a screenful is enough until somebody scrolls"
            await one.press("pagedown")
            await one.until(lambda: len(pages_asked(eu)) == 2, "the next page, before the cursor is at the end")
            await one.press(*["pagedown"] * 5, "up", "end")
            assert cursor(one) == 100
            gate.set()
            await one.shows("Tickets 300+ ·")
            assert cursor(one) == 100, "what is under the cursor stays"
            await one.press("end")
            await one.shows("Tickets 450 ·")
            await one.press("end")
            await one.shows("Matter 450")
            await one.press("g")
            await one.shows("Matter 1 ")
            assert pages_asked(eu) == [None, "100", "300"]

    asyncio.run(drive())


def test_short_and_empty_pages_are_not_the_end(eu: ScriptedDaemon) -> None:
    async def drive() -> None:
        counts = {None: 0, "a": 1, "b": 0, "c": 2}
        order = [None, "a", "b", "c", "d"]

        def answer(asked: Asked) -> wire.RecordList:
            place = order.index(asked.query.get("after"))
            items = [ticket(10 * place + each) for each in range(counts[order[place]])]
            return wire.RecordList(items=items, next=order[place + 1] if place < 3 else None)

        eu.answer("records", answer)
        async with driven(eu) as one:
            await opened(one)
            await one.shows("Tickets 3 ·", "Matter 10", "Matter 31")

    asyncio.run(drive())


def test_a_next_that_leads_nowhere_ends_the_list(eu: ScriptedDaemon) -> None:
    async def drive() -> None:
        eu.answer("records", wire.RecordList(items=[ticket(1)], next="again"))
        async with driven(eu) as one:
            await opened(one)
            await one.shows("Tickets 1 ·")
            assert pages_asked(eu) == [None, "again"]

    asyncio.run(drive())


# --- searching --------------------------------------------------------------------------------------------------------


def test_an_older_answer_never_replaces_a_newer_one(eu: ScriptedDaemon) -> None:
    async def drive() -> None:
        gate, asked_late = threading.Event(), threading.Event()

        def answer(asked: Asked) -> wire.RecordList:
            if asked.query.get("q") == "pay":
                asked_late.set()
                assert gate.wait(20)
            return wire.RecordList(items=[ticket(1, title=f"found by {asked.query.get('q')}")], next=None)

        eu.answer("records", answer)
        async with driven(eu) as one:
            await opened(one)
            await type_in(one, "pay")
            await one.until(asked_late.is_set, "the first search")
            await one.pass_time(1)
            await one.shows("found by", "searching ...")
            await one.press(*"ment")
            await one.shows("found by payment")
            gate.set()
            await one.press("enter")
            await one.pass_time(1)
            assert "found by payment" in one.text()
            assert "search payment ·" in one.text()

    asyncio.run(drive())


def test_what_narrows_and_what_is_not_understood(eu: ScriptedDaemon) -> None:
    async def drive() -> None:
        serve(eu, shown_in_the_mockup())
        async with driven(eu) as one:
            await opened(one)
            await type_in(one, "printer on fire")
            await one.press("enter")
            await one.shows("Nothing in the local copy matches printer on fire", "Tickets 0 ·")
            await one.press("escape")
            await type_in(one, "status:open tag:vip deleted:no system:zendesk org:acme 500")
            await one.press("enter")
            await one.shows("Tickets 1 · search status:open")
            last = eu.asked_for("records")[-1]
            narrow = {"q": "500", "status": "open", "tag": "vip", "deleted": "false", "system": "zendesk"}
            assert {**last.query, **narrow} == last.query
            assert last.orgs == ("acme-eu",)
            await one.press("escape")
            await one.shows("Tickets 4 ·")
            count = len(eu.asked_for("records"))
            for typed, said in (
                (
                    "error:500",
                    'there is no error: but status:, org:, system:, tag:, deleted:; as a word it is written "',
                ),
                ("deleted:perhaps", "deleted: is yes or no, never perhaps"),
                ("org:globex", "there is no organisation with globex in its name among these; r shows all"),
            ):
                await type_in(one, typed)
                await one.press("enter")
                await one.shows(said, "Tickets 4 ·")
                await one.press("escape")
                await one.shows_no(said)
            await one.until(lambda: len(eu.asked_for("records")) >= count + 3, "the list after each")
            assert all("q" not in asked.query for asked in eu.asked_for("records")[count:])

    asyncio.run(drive())


def test_keys_right_behind_the_slash_are_not_taken_for_actions(eu: ScriptedDaemon) -> None:
    async def drive() -> None:
        serve(eu, shown_in_the_mockup())
        async with driven(eu) as one:
            await opened(one)
            for char in "/ry":
                one.app.post_message(events.Key("slash" if char == "/" else char, char))
            field = one.app.screen.query_one("#search", Input)
            await one.until(lambda: field.has_focus, "the field")
            await one.press("z")
            await one.until(lambda: field.value.endswith("z"), "a z")
            assert one.text().startswith("Tickets › acme-eu")

    asyncio.run(drive())


def test_n_goes_to_the_next_title_that_has_it(eu: ScriptedDaemon) -> None:
    async def drive() -> None:
        titles = ["Payment", "Other", "Of what cannot be seen here, which is payment", "A payment", "Other"]
        items = [ticket(number, title=title) for number, title in enumerate(titles, 1)]
        eu.answer("records", wire.RecordList(items=items, next=None))  # the others have it in their bodies
        async with driven(eu) as one:
            await opened(one)
            await one.press("n")
            assert cursor(one) == 2, "nothing is looked for"
            await type_in(one, "payment")
            await one.press("enter")
            await one.shows("search payment")
            assert cursor(one) == 1
            await one.press("n")
            assert cursor(one) == 4
            await one.press("n")
            assert cursor(one) == 4
            await one.told("no further match")
            await one.press("down", "N", "N")
            assert cursor(one) == 1

    asyncio.run(drive())


# --- trouble ----------------------------------------------------------------------------------------------------------


def test_no_tickets_yet(eu: ScriptedDaemon) -> None:
    async def drive() -> None:
        serve(eu, [])
        async with driven(eu) as one:
            await opened(one, "hooli")
            await one.shows("No tickets here yet", "zendeskctl trigger hooli", "not complete yet")

    asyncio.run(drive())


def test_what_the_daemon_refuses_is_said_and_tried_again(eu: ScriptedDaemon) -> None:
    async def drive() -> None:
        eu.refuse("records", 503, "storage_error", "the database is locked", hint="wait")
        async with driven(eu) as one:
            await one.press("r")
            await one.shows("cannot be read: the database is locked; wait", "as soon as the daemon answers")
            assert len(pages_asked(eu)) == 1
            serve(eu, [ticket(1)])
            await one.pass_time(EVERY_S)
            await one.shows("Matter 1", "Tickets 1 ·")
            assert "cannot be read" not in one.text()
            eu.refuse("records", 422, "bad_request", "the search is too broad")
            await type_in(one, "a")
            await one.shows("cannot be read: the search is too broad", "Matter 1")
            serve(eu, [ticket(2)])
            await one.press("escape")
            await one.shows("Matter 2")
            assert "too broad" not in one.text()

    asyncio.run(drive())


def test_without_a_connection_what_was_read_stays(eu: ScriptedDaemon) -> None:
    async def drive() -> None:
        serve(eu, [ticket(number) for number in range(1, 301)])
        async with driven(eu) as one:
            await opened(one)
            await one.shows("Tickets 100+ ·")
            eu.hang_up()
            await one.until(lambda: not one.app.fleet.is_live, "the loss")
            await one.press("end")
            text = await one.shows("Matter 100", "reconnecting")
            assert "cannot be read" not in text
            style = one.app.screen.query_one(Grid).render_line(3)._segments[1].style
            assert style is not None
            assert style.dim
            assert pages_asked(eu) == [None]
            await one.press("R")
            await one.until(lambda: one.app.fleet.is_live, "the connection")
            await one.until(lambda: "100" in pages_asked(eu), "the page that was wanted")
            assert cursor(one) == 100
            await one.press("g")
            count = len(pages_asked(eu))
            eu.hang_up()
            await one.until(lambda: not one.app.fleet.is_live, "the loss")
            await one.press("R")
            await one.until(lambda: len(pages_asked(eu)) > count, "the list anew")
            assert pages_asked(eu)[count] is None

    asyncio.run(drive())


def test_an_organisation_that_is_removed_closes_its_list(eu: ScriptedDaemon) -> None:
    async def drive() -> None:
        serve(eu, [ticket(1)])
        async with driven(eu) as one:
            await one.press("space", "space", "r")
            await one.shows("Tickets › acme-eu, globex")
            one.publish("removed", organization_id="globex", system_type="zendesk")
            await one.shows("Tickets › acme-eu · local copy")
            await one.until(lambda: eu.asked_for("records")[-1].orgs == ("acme-eu",), "its list alone")
            one.publish("removed", organization_id="acme-eu", system_type="zendesk")
            await one.shows("Organisations 1 ·")
            await one.told("acme-eu is not there any more")

    asyncio.run(drive())


# --- what was stored meanwhile ----------------------------------------------------------------------------------------


def test_new_tickets_come_by_themselves_to_whoever_is_on_top(eu: ScriptedDaemon) -> None:
    async def drive() -> None:
        serve(eu, [ticket(number) for number in range(5, 9)])
        async with driven(eu) as one:
            await opened(one)
            await one.shows("Tickets 4 ·")
            one.update(mockup.status("acme-eu", watermark=mockup.ago(minutes=6, seconds=22), why="page 3"))
            await one.until(lambda: one.app.fleet.items["acme-eu", "zendesk"].why == "page 3", "the event")
            await one.pass_time(EVERY_S)
            assert len(pages_asked(eu)) == 1, "nothing was stored"
            serve(eu, [ticket(number) for number in range(4, 9)])
            one.update(mockup.status("acme-eu", total_records=99999))
            await one.shows("Tickets 5 ·", "Matter 4")
            assert cursor(one) == 5, "the cursor stays on its ticket"
            serve(eu, [ticket(number) for number in range(3, 9)])
            one.update(mockup.status("acme-eu", total_records=100000))
            one.update(mockup.status("acme-eu", total_records=100001))
            await one.until(lambda: one.app.fleet.items["acme-eu", "zendesk"].total_records == 100001, "the events")
            await one.pass_time(EVERY_S - 1)
            assert "Matter 3" not in one.text(), "not more often than that"
            await one.pass_time(1)
            await one.shows("Tickets 6 ·", "Matter 3")
            assert len(pages_asked(eu)) == 3
            one.update(mockup.status("globex", total_records=7))
            await one.until(lambda: one.app.fleet.items["globex", "zendesk"].total_records == 7, "the event")
            await one.pass_time(EVERY_S)
            assert len(pages_asked(eu)) == 3, "it is not shown"

    asyncio.run(drive())


def test_whoever_is_further_down_is_told(eu: ScriptedDaemon) -> None:
    async def drive() -> None:
        serve(eu, [ticket(number) for number in range(5, 9)])
        async with driven(eu) as one:
            await opened(one)
            await one.press("down", "down")
            one.update(mockup.status("acme-eu", total_records=3))
            await one.pass_time(EVERY_S)
            await one.until(lambda: len(pages_asked(eu)) == 2, "a look at the top")
            assert "newer ones" not in one.text(), "there are none"
            serve(eu, [ticket(number) for number in range(3, 9)])
            one.update(mockup.status("acme-eu", total_records=5))
            await one.until(lambda: one.app.fleet.items["acme-eu", "zendesk"].total_records == 5, "the event")
            await one.pass_time(EVERY_S)
            text = await one.shows("Tickets 4 · newer ones above: g · newest change first")
            assert "Matter 3" not in text
            assert cursor(one) == 7
            await one.press("g")
            await one.shows("Tickets 6 ·", "Matter 3")
            await one.until(lambda: cursor(one) == 3, "the newest")
            assert "newer ones" not in one.text()

    asyncio.run(drive())


# --- a row ------------------------------------------------------------------------------------------------------------


def test_hostile_text_stays_in_its_line(eu: ScriptedDaemon) -> None:
    async def drive() -> None:
        wide, stacked = "\u7d75" * 60, "z" + "\u0301" * 900
        items = [
            ticket(1, title=mockup.HOSTILE, requester=mockup.HOSTILE, status=mockup.HOSTILE, priority="[red]x[/red]"),
            ticket(2, title="\u05e9\u05dc\u05d5\u05dd \u202e gnp.exe \u2066 [b]go[/b]", external_id="\x1b]0;x\x07"),
            ticket(3, title=wide),
            ticket(4, title=stacked, requester=None),
            ticket(5, title=None, status=None, priority=None, updated_at=None),
            ticket(6, title="\u2764\ufe0f \U0001f468\u200d\U0001f469 " * 20, updated_at="1970-01-01T00:00:00.000Z"),
            ticket(7, title="after"),
        ]  # fmt: skip
        serve(eu, items)
        async with driven(eu) as one:
            await opened(one)
            text = await one.shows("Tickets 7 ·", "after")
            assert not {"\x1b", "\x07", "\u202e", "\u2066", "\x9b"} & set(text)
            assert "[bold]x[/b" in text
            assert "[red]x" in text
            for line in text.splitlines()[1:-1]:
                assert line[-1] in "╮│╯", "every frame is closed"
            assert all(one.app.screen.query_one(Grid).render_line(y).cell_length == 98 for y in range(8))

    asyncio.run(drive())


def test_another_width_has_other_columns(eu: ScriptedDaemon) -> None:
    async def drive() -> None:
        serve(eu, shown_in_the_mockup())
        async with driven(eu) as one:
            await opened(one)
            await one.shows("REQUESTER")
            await one.pilot.resize_terminal(80, 24)
            await one.shows_no("REQUESTER")
            await one.pilot.resize_terminal(100, 30)
            await one.shows("REQUESTER")

    asyncio.run(drive())


def test_enter_opens_the_record_and_y_offers_what_can_be_copied(eu: ScriptedDaemon) -> None:
    async def drive() -> None:
        serve(eu, shown_in_the_mockup())
        eu.answer("record", mockup.record_document(id=1, body="The payment was refused."))
        async with driven(eu) as one:
            await opened(one)
            await type_in(one, "payment")
            await one.press("enter", "y")
            await one.shows("48213", "https://acme-eu.zendesk.com", "zendeskctl record acme-eu/zendesk/48213")
            await one.press("2")
            await one.until(lambda: any("agent/tickets/48213" in toast for toast in one.toasts), "the URL")
            await one.press("enter")
            await one.shows("Tickets › acme-eu › zendesk 48213", "find payment:")
            await one.press("escape")
            await one.shows("search payment ·")
            assert cursor(one) == 1

    asyncio.run(drive())


def test_the_time_style(eu: ScriptedDaemon) -> None:
    async def drive() -> None:
        serve(eu, shown_in_the_mockup())
        async with driven(eu) as one:
            await opened(one)
            assert "14:17" in one.line("48213")
            one.app.times = TimeStyle("absolute", timezone(timedelta(hours=-5)))
            one.app.draw()
            assert "09:17" in one.line("48213")
            await one.press("T")
            await one.until(lambda: "14:17" in one.line("48213"), "UTC")

    asyncio.run(drive())
