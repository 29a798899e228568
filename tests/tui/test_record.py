"""One record and its links: read, searched, walked, kept true."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from textual import events
from textual.widgets import Input

from tests.fixtures import mockup
from tests.fixtures.scripted import Asked, ScriptedDaemon
from tests.fixtures.terminal import Driven, driven, fleet_of
from zendeskd import wire
from zendeskd.tui import link_text, record_text
from zendeskd.tui.screens.link import LinkScreen
from zendeskd.tui.screens.record import Links, RecordScreen
from zendeskd.tui.times import TimeStyle
from zendeskd.tui.widgets.reading import Reading

BODY = """\
Since this morning the payment page answers 500 for everyone who logged in more than an hour ago. \
Logging out and in again helps. Request id 7f3c-22.

Steps:
\t1. log in
\t2. wait an hour
\t3. pay

Payment by invoice works."""

LINKS = [
    mockup.link(
        id=5, origin="source", created_by=None, record_id=9001, title="Checkout 500, token too old",
        status="In Progress",
    ),
    mockup.link(
        id=6, relation="incident_of", system="zendesk", record_type="ticket", external_id="41877", origin="source",
        created_by=None, record_id=8001, title="Payment errors since release 4.2", status="hold", direction="in",
    ),
    mockup.link(id=7, relation="discussed_in", system="slack", record_type="message", external_id="#payments"),
]  # fmt: skip


def document(**changes: Any) -> wire.RecordDocument:
    return mockup.record_document(**{"body": BODY, "links": LINKS, "first_synced_at": mockup.ago(days=1), **changes})


def issue(**changes: Any) -> wire.RecordDocument:
    return document(**{
        "id": 9001, "source_system": "jira", "record_type": "issue", "external_id": "PAY-2231", "status": "In Progress",
        "title": "Checkout 500, token too old", "body": "The token is too old.", "links": [], **changes,
    })  # fmt: skip


def copy_of(scripted: ScriptedDaemon, *documents: wire.RecordDocument) -> None:
    """The local copy holds these; more can be put in by asking again."""
    by_id = {str(one.id): one for one in documents}

    def answer(asked: Asked) -> Any:
        found = by_id.get(asked.path.rsplit("/", 1)[1])
        return found or wire.Problem(title="Not found", status=404, code="not_found", detail="there is no record")

    scripted.answer("record", answer)


async def opened(one: Driven, record: int = 8123, words: Sequence[str] = ()) -> Reading:
    one.app.push_screen(RecordScreen(one.app, record, words))
    await one.until(lambda: isinstance(one.app.screen, RecordScreen) and one.app.screen.record, "the record")
    await one.pilot.pause()
    return one.app.screen.query_one(Reading)


def standing(scripted: ScriptedDaemon, *documents: wire.RecordDocument) -> None:
    fleet_of(scripted)
    scripted.answer("links", wire.LinkList(items=LINKS))
    copy_of(scripted, *(documents or (document(), issue())))


def ended(one: Driven, org: str = "acme-eu", status: str = "success") -> None:
    one.publish("run", run=mockup.run(8830, org, status=status))


# --- what is shown ----------------------------------------------------------------------------------------------------


def test_a_record_and_its_links(scripted: ScriptedDaemon) -> None:
    async def drive(name: str, size: tuple[int, int]) -> None:
        standing(scripted)
        async with driven(scripted, size) as one:
            await opened(one)
            await one.is_drawn(name)

    asyncio.run(drive("record-100x30", (100, 30)))
    asyncio.run(drive("record-80x24", (80, 24)))
    asyncio.run(drive("record-60x20", (60, 20)))
    asyncio.run(drive("record-40x10", (40, 10)))


def test_a_record_in_ascii(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        standing(scripted)
        async with driven(scripted, ascii=True) as one:
            await opened(one)
            assert not set(one.text()) & set("›⏎…✓╭│─")
            assert "Tickets > acme-eu > zendesk 48213" in one.text()

    asyncio.run(drive())


@pytest.mark.parametrize("size", [(100, 30), (80, 24), (60, 20)])
def test_every_stored_field_can_be_read_in_full(scripted: ScriptedDaemon, size: tuple[int, int]) -> None:
    """Before the body or, where there was no room, after it."""
    values = {
        "title": "title " + "t" * 150 + " titlesend",
        "status": "waiting for a very long status",
        "priority": "the-utmost-priority-there-is",
        "requester": "requester " * 12 + "requestersend",
        "assignee": "assignee " * 12 + "assigneesend",
        "group_name": "group " * 12 + "groupsend",
        "customer": "customer " * 12 + "customersend",
        "url": "https://acme.example/" + "u" * 120,
    }

    async def drive() -> None:
        standing(scripted, document(**values, tags=["tag1", "tag2" * 9], source_version=1234567, links=[]))
        async with driven(scripted, size) as one:
            reading = await opened(one)
            lines = [*reading._head, *reading._tail]
            said = "".join("".join(cell.text for cell in line if cell.tone != "dim") for line in lines)
            packed = said.replace(" ", "")
            for value in (*values.values(), "tag1 " + "tag2" * 9, "1234567", "ticket 48213", "8123"):
                assert value.replace(" ", "") in packed, value
            for name in ("created", "changed", "first copied", "copied"):
                assert any(line[0].text.strip() == name or name in [c.text.strip() for c in line] for line in lines)
            assert len(reading._head) <= size[1] // 3, "there is room for the body"
            await one.press("G")
            await one.shows("id here")

    asyncio.run(drive())


def test_no_links_says_how_to_make_one(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        standing(scripted, document(links=[]))
        async with driven(scripted, (80, 24)) as one:
            await opened(one)
            text = await one.shows("Links 0", "zendeskctl link acme-eu/zendesk/48213 OTHER")
            assert "Open link" not in text and "Panel" not in text
            await one.press("enter", "tab")
            assert isinstance(one.app.screen, RecordScreen)

    asyncio.run(drive())


def test_a_record_without_anything(scripted: ScriptedDaemon) -> None:
    empty = dict.fromkeys(
        ("title", "status", "priority", "requester", "assignee", "group_name", "customer", "url", "body",
         "created_at", "updated_at")
    )  # fmt: skip

    async def drive() -> None:
        standing(scripted, document(**empty, tags=[], links=[]))
        async with driven(scripted) as one:
            await opened(one)
            await one.shows("(no title)", "status    -", "url          -")

    asyncio.run(drive())


def test_times_in_another_zone(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        standing(scripted)
        async with driven(scripted) as one:
            await opened(one)
            one.app.times = TimeStyle("absolute", zone=mockup.NOW.tzinfo)
            await one.press("T")
            await one.shows("created  Mon 23 Nov 08:24:46 UTC")

    asyncio.run(drive())


# --- the body ---------------------------------------------------------------------------------------------------------


def test_a_long_body_opens_at_once_and_scrolls(scripted: ScriptedDaemon) -> None:
    long = "\n".join(f"line {number}" for number in range(10_000)) + "\n" + "x" * 10_000 + " the end"

    async def drive() -> None:
        standing(scripted, document(body=long))
        async with driven(scripted, (80, 24)) as one:
            reading = await opened(one)
            loop = asyncio.get_running_loop()
            began = loop.time()
            await one.press(*["pagedown"] * 20)
            assert loop.time() - began < 10, "a page is drawn, not the whole text"
            await one.press("G")
            await one.until(lambda: reading.scroll_y == reading.max_scroll_y, "the end")
            await one.shows("first copied")
            await one.press("w", "g", "/", *"the", "space", *"end", "enter")
            await one.shows("the end", "1 of 1", "not wrapped")
            assert reading.scroll_x > 9000
            await one.press("w")
            await one.shows("the end")
            assert reading.scroll_x == 0

    asyncio.run(drive())


def test_wrapping_and_the_size_keep_the_place(scripted: ScriptedDaemon) -> None:
    long = "\n".join(f"paragraph {number} " + "with words " * 20 for number in range(300))

    async def drive() -> None:
        standing(scripted, document(body=long))
        async with driven(scripted) as one:
            reading = await opened(one)
            await one.press("/", *"paragraph", "space", *"200", "enter")
            reading.scroll_to(y=reading._line_of(reading._found[0].begin), animate=False)
            await one.shows("paragraph 200")
            await one.press("w")
            await one.shows("paragraph 200")
            await one.press("w")
            await one.shows("paragraph 200")
            await one.pilot.resize_terminal(70, 24)
            await one.shows("paragraph 200")

    asyncio.run(drive())


def test_hostile_text_is_only_text(scripted: ScriptedDaemon) -> None:
    hostile = document(
        title=mockup.HOSTILE, requester=mockup.HOSTILE, customer="[red]x[/red]", tags=[mockup.HOSTILE], status="[/]",
        url="javascript:\x1b]8;;x\x07", external_id="\x1b[2J", source_system="zendesk",
        body=f"{mockup.HOSTILE}\r\nthird\rfourth\tfifth\u200b" + "\u0301" * 5000 + " 👩\u200d👧‍ 日本語 ❤\ufe0f\n"
        + "é" * 10_000,
        links=[mockup.link(
            relation="[b]\x1b[0m", external_id="\u202e$(id)", title="[/b]", status="\x9b2J", created_by="\x07"
        )],
        raw='{"a":"\x9b\u202e [bold]',
    )  # fmt: skip

    async def drive() -> None:
        standing(scripted, hostile)
        scripted.answer("links", wire.LinkList(items=hostile.links))
        async with driven(scripted) as one:
            await opened(one, words=["bold", "[red]"])
            text = await one.shows(
                "[bold]x[/bold]", "second\ufffdline", "third", "fourth  fifth", "日本語", "[red]x[/red]"
            )
            assert not any(char in text for char in "\x1b\x07\x9b\u202e\x00\x7f\t\r")
            assert "$(id)" in text and "[/b]" in text
            for keys in (["w"], ["right"] * 3, ["w", "G"], ["y"]):
                await one.press(*keys)
            await one.shows("zendeskctl record 8123")
            await one.press("escape", "enter")
            await one.shows("Link · [b]")
            await one.press("escape")
            one.app.screen.action_source()  # type: ignore[attr-defined]
            text = await one.shows("Source JSON", "[bold]")
            assert not any(char in text for char in "\x1b\x9b\u202e")

    asyncio.run(drive())


# --- searching --------------------------------------------------------------------------------------------------------


def marked(one: Driven) -> list[str]:
    """What stands reversed on the screen: found, or in its frame."""
    strips = one.app.screen._compositor.render_strips()
    segments = [segment for strip in strips for segment in strip]
    return [each.text for each in segments if each.style and (each.style.reverse or each.style.underline)]


def colours(one: Driven, word: str) -> set[object]:
    """Those in which it stands on the screen."""
    strips = one.app.screen._compositor.render_strips()
    return {each.style.color for strip in strips for each in strip if each.style and word in each.text}


def test_the_words_it_was_found_by_are_marked(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        standing(scripted)
        async with driven(scripted) as one:
            await opened(one, words=["payment", "500", "dana", '"'])
            text = await one.shows("find payment 500 dana: 3")
            assert marked(one) == ["Payment", "500", "Dana", "payment", "500", "Payment"]
            await one.press("n")
            await one.shows("1 of 3")
            await one.press("N")
            await one.shows("3 of 3")
            await one.press("N", "N", "N")
            await one.shows("3 of 3")
            assert "(no title)" not in text
            await one.press("escape")
            await one.shows_no("Payment page")

    asyncio.run(drive())


def test_searching_in_the_body(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        standing(scripted, document(body="one\n" * 100 + "the needle\n" + "two\n" * 100 + "another NEEDLE"))
        async with driven(scripted, (80, 24)) as one:
            await opened(one)
            await one.press("n")
            assert one.app.screen.query_one("#find").has_focus, "n without anything to find asks what to find"
            await one.press(*"needle")
            await one.shows("the needle", "find needle: 1 of 2")
            await one.press("enter", "n")
            await one.shows("another NEEDLE", "2 of 2")
            await one.press("n")
            await one.shows("the needle", "1 of 2")
            await one.press("escape")
            await one.shows_no("find needle")
            assert isinstance(one.app.screen, RecordScreen)
            await one.press("/", *"nothing", "enter")
            await one.until(lambda: "not in the text: nothing" in one.toasts, "the word")
            await one.press("escape", "escape")
            assert not isinstance(one.app.screen, RecordScreen)

    asyncio.run(drive())


# --- links ------------------------------------------------------------------------------------------------------------


def test_links_are_walked_and_esc_walks_back(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        back = mockup.link(id=5, direction="in", system="zendesk", external_id="48213", record_id=8123, status="open")
        standing(scripted, document(), issue(links=[back]))
        async with driven(scripted) as one:
            await opened(one)
            await one.press("enter")
            await one.shows("Tickets › acme-eu › jira PAY-2231", "The token is too old", "escalated to (in)")
            await one.press("tab", "enter")
            await one.shows("Tickets › acme-eu › zendesk 48213")
            await one.press("escape")
            await one.shows("jira PAY-2231 ·")
            assert one.app.screen.query_one(Links).has_focus, "as it was left"
            await one.press("escape")
            await one.shows("zendesk 48213 ·")
            await one.press("escape")
            await one.shows("· order health")

    asyncio.run(drive())


def test_tab_goes_from_the_text_to_the_links_and_back(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        standing(scripted, document(body="line\n" * 100 + "end"))
        async with driven(scripted) as one:
            reading = await opened(one)
            links = one.app.screen.query_one(Links)
            await one.press("j", "j")
            assert (reading.scroll_y, links.cursor_key) == (2, 5)
            await one.press("tab", "j")
            assert (reading.scroll_y, links.cursor_key) == (2, 6)
            assert links.has_focus
            await one.press("shift+tab", "k")
            assert (reading.scroll_y, links.cursor_key) == (1, 6)

    asyncio.run(drive())


def test_on_a_tiny_terminal_tab_shows_the_links_instead(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        standing(scripted)
        async with driven(scripted, (40, 10)) as one:
            await opened(one)
            assert "PAY-2231" not in one.text()
            await one.press("tab")
            text = await one.shows("PAY-2231", "not here yet")
            assert "Since this morning" not in text
            await one.press("j", "enter")
            await one.until(lambda: one.scripted.asked_for("record")[-1].path.endswith("/8001"), "the other record")

    asyncio.run(drive())


def test_a_link_whose_other_end_is_not_here(scripted: ScriptedDaemon) -> None:
    async def drive(name: str, size: tuple[int, int]) -> None:
        standing(scripted)
        async with driven(scripted, size) as one:
            await opened(one)
            await one.press("tab", "G", "enter")
            await one.shows("not in the local copy yet")
            await one.is_drawn(name)
            await one.press("escape")
            await one.shows("zendesk 48213 ·")

    asyncio.run(drive("link-100x30", (100, 30)))
    asyncio.run(drive("link-80x24", (80, 24)))


def test_a_link_turns_into_the_record_when_that_arrives(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        absent, here = LINKS[2], mockup.link(id=7, system="jira", record_id=9001)
        standing(scripted)
        scripted.answer("links", wire.LinkList(items=[absent]), wire.LinkList(items=[here]))
        async with driven(scripted) as one:
            one.app.push_screen(
                LinkScreen(one.app, document(), absent, lambda found: RecordScreen(one.app, found), every_s=0.3)
            )
            await one.shows("not in the local copy yet")
            await one.until(lambda: scripted.asked_for("links"), "the first question")
            ended(one, "hooli")
            for _ in range(5):
                one.update(mockup.status("acme-eu"))
            ended(one)
            await one.shows("The token is too old")
            assert len(scripted.asked_for("links")) == 2, "once for all events until then"
            await one.press("escape")
            await one.shows("· order health")

    asyncio.run(drive())


def test_a_link_asks_no_more_often_than_it_may(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        standing(scripted)
        scripted.answer("links", wire.LinkList(items=[LINKS[2]]))
        async with driven(scripted) as one:
            await opened(one)
            await one.press("tab", "G", "enter")
            await one.shows("not in the local copy yet")
            ended(one)
            await one.until(lambda: scripted.asked_for("links"), "the question")
            for number in range(20):
                one.update(mockup.status("acme-eu", total_records=1000 + number))
            await one.until(lambda: one.app.fleet.items["acme-eu", "zendesk"].total_records == 1019, "the events")
            await one.pilot.pause()
            assert len(scripted.asked_for("links")) == 1

    asyncio.run(drive())


def test_a_record_that_came_since_the_other_was_read_is_shown_at_once(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        standing(scripted)
        scripted.answer("links", wire.LinkList(items=[mockup.link(id=7, record_id=9001)]))
        async with driven(scripted) as one:
            await opened(one)
            await one.press("tab", "G", "enter")
            await one.shows("The token is too old")

    asyncio.run(drive())


def test_a_record_that_arrives_behind_another_screen_waits(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        standing(scripted)
        here = wire.LinkList(items=[mockup.link(id=7, record_id=9001)])
        scripted.answer("links", wire.LinkList(items=[LINKS[2]]), here)
        async with driven(scripted) as one:
            link = LinkScreen(one.app, document(), LINKS[2], lambda found: RecordScreen(one.app, found), every_s=0.0)
            one.app.push_screen(link)
            await one.shows("not in the local copy yet")
            await one.until(lambda: scripted.asked_for("links"), "the first question")
            await one.press("l")
            await one.shows("Log ·")
            ended(one)
            await one.until(lambda: link._here == 9001, "the answer")
            assert "Log ·" in one.text()
            await one.press("escape")
            await one.shows("The token is too old")

    asyncio.run(drive())


def test_a_link_that_is_taken_away_and_errors_are_told(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        standing(scripted)
        scripted.answer("links", wire.LinkList(items=[LINKS[2]]))
        async with driven(scripted) as one:
            one.app.push_screen(
                LinkScreen(one.app, document(), LINKS[2], lambda found: RecordScreen(one.app, found), every_s=0.0)
            )
            await one.shows("not in the local copy yet")
            scripted.refuse("links", 500, "storage_error", "the disk is full")
            ended(one)
            await one.shows("the disk is full")
            scripted.answer("links", wire.LinkList(items=[]))
            ended(one)
            await one.shows("This link was removed. esc Back")
            scripted.refuse("links", 404, "not_found", "no record")
            ended(one)
            await one.shows("left the local copy. esc Back")
            scripted.answer("links", wire.LinkList(items=[LINKS[2]]))
            ended(one)
            await one.shows_no("esc Back.", "left the local copy")

    asyncio.run(drive())


def test_a_link_to_a_system_that_is_not_synced_says_so(scripted: ScriptedDaemon) -> None:
    lines = link_text.facts_of(document(), LINKS[2], 90, TimeStyle(), mockup.NOW, is_synced=False)
    said = " ".join(line[0].text for line in lines)
    assert "once acme-eu has an integration with slack" in said
    lines = link_text.facts_of(document(), LINKS[2], 90, TimeStyle(), mockup.NOW, is_synced=True)
    assert "as soon as a run of acme-eu brings it" in " ".join(line[0].text for line in lines)


# --- staying true -----------------------------------------------------------------------------------------------------


def test_a_run_that_changed_it_shows_without_moving_anything(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        long = "line\n" * 200
        standing(scripted, document(body=long + "old end"))
        async with driven(scripted) as one:
            reading = await opened(one)
            await one.press(*["pagedown"] * 3)
            at = reading.scroll_y
            assert at > 20
            asked = len(scripted.asked_for("record"))
            ended(one, "hooli")
            ended(one, status="running")
            copy_of(scripted, document(body=long + "new end", status="solved"))
            ended(one)
            await one.until(lambda: reading.text.endswith("new end"), "the new text")
            assert reading.scroll_y == at
            assert len(scripted.asked_for("record")) == asked + 1, "only the end of a run of its own organisation"
            await one.press("g")
            await one.shows("status    solved")
            assert not [toast for toast in one.toasts if "deleted" in toast]

    asyncio.run(drive())


def test_a_record_behind_another_screen_is_read_again_when_it_is_back(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        standing(scripted)
        async with driven(scripted) as one:
            await opened(one)
            await one.press("l")
            await one.shows("Log ·")
            copy_of(scripted, document(status="solved"))
            ended(one)
            one.log("something", "acme-eu")
            await one.shows("something")
            assert len(scripted.asked_for("record")) == 1
            await one.press("escape")
            await one.shows("status    solved")

    asyncio.run(drive())


def test_a_link_made_by_hand_shows_at_once_at_both_ends(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        standing(scripted, document(links=[]))
        async with driven(scripted) as one:
            await opened(one)
            await one.shows("Links 0")
            copy_of(scripted, document())
            one.publish("links", organization_id="acme-eu", record_ids=[4])
            one.log("of others", "acme-eu")
            await one.until(lambda: one.app.fleet.log and one.app.fleet.log[-1].event == "of others", "the line")
            assert len(scripted.asked_for("record")) == 1, "it is not of that link"
            one.publish("links", organization_id="acme-eu", record_ids=[4, 8123])
            await one.shows("Links 3", "PAY-2231")

    asyncio.run(drive())


def test_what_was_lost_in_a_gap_is_read_again(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        standing(scripted)
        async with driven(scripted) as one:
            await opened(one)
            copy_of(scripted, document(status="solved"))
            one.seq += 10
            one.log("behind the gap", "acme-eu")
            await one.shows("status    solved")

    asyncio.run(drive())


def test_deleted_meanwhile(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        standing(scripted)
        async with driven(scripted) as one:
            await opened(one)
            copy_of(scripted, document(deleted_at=mockup.ago(minutes=1)))
            ended(one)
            await one.shows("zendesk 48213 · deleted ·", "status    deleted", "14:23:46 UTC; it was open")
            await one.told("zendesk 48213 was deleted at its source")
            ended(one)
            await one.pilot.pause()
            assert len([toast for toast in one.toasts if "was deleted" in toast]) == 1

    asyncio.run(drive())


def test_removed_altogether(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        standing(scripted)
        async with driven(scripted) as one:
            await opened(one)
            copy_of(scripted)
            one.publish("removed", organization_id="acme-eu", system_type="zendesk")
            text = await one.shows("There is no such record any more", "esc Back")
            assert "Dana" not in text and "Links" not in text
            await one.press("enter", "tab", "y", "n", "escape", "escape")
            await one.shows("· order health")

    asyncio.run(drive())


def test_a_record_that_never_was(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        standing(scripted)
        async with driven(scripted) as one:
            one.app.push_screen(RecordScreen(one.app, 1))
            await one.shows("There is no such record. esc Back")

    asyncio.run(drive())


def test_errors_are_sentences_in_the_panel(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        standing(scripted)
        scripted.refuse("record", 500, "storage_error", "the disk is \x1b[31mfull")
        async with driven(scripted) as one:
            one.app.push_screen(RecordScreen(one.app, 8123))
            await one.shows("record 8123 cannot be read: the disk is \ufffd[31mfull")
            copy_of(scripted, document())
            one.app.screen.reconnected()  # type: ignore[attr-defined]
            await one.shows("Dana Whitfield")
            scripted.refuse("record", 500, "storage_error", "the disk is full")
            ended(one)
            await one.shows("as it was; cannot be read again: the disk is full", "Dana Whitfield")
            copy_of(scripted, document())
            ended(one)
            await one.shows_no("cannot be read")

    asyncio.run(drive())


def test_while_the_connection_is_gone_it_stays(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        standing(scripted)
        async with driven(scripted) as one:
            await opened(one)
            before = colours(one, "Dana")
            scripted.stop()
            await one.shows("reconnecting")
            await one.pass_time(4)
            await one.shows("NOT CONNECTED")
            text = await one.shows("Dana Whitfield", "PAY-2231")
            assert "cannot be read" not in text
            assert before and not before & colours(one, "Dana"), "dimmed"
            copy_of(scripted, document(status="solved"))
            scripted.start()
            await one.press("R")
            await one.shows("status    solved")

    asyncio.run(drive())


# --- copying ----------------------------------------------------------------------------------------------------------


def clipboard(one: Driven) -> str:
    return one.app.clipboard


def test_what_can_be_copied_of_a_record(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        standing(scripted)
        async with driven(scripted, (80, 24)) as one:
            await opened(one)
            await one.press("y")
            await one.shows(
                "Copy", "1  id", "2  URL", "3  body", "4  command", "zendeskctl record acme-eu/zendesk/48213"
            )
            await one.is_drawn("copy-80x24")
            await one.press("enter")
            assert clipboard(one) == "48213"
            await one.told("copied (if your terminal allows): 48213")
            await one.press("y", "j", "enter")
            assert clipboard(one) == "https://acme-eu.zendesk.com/agent/tickets/48213"
            await one.press("y", "3")
            assert clipboard(one) == BODY.replace("\t", " " * 8)
            await one.told("copied (if your terminal allows): body, 8 lines")
            await one.press("y", "4")
            assert clipboard(one) == "zendeskctl record acme-eu/zendesk/48213"
            await one.press("y", "9", "escape")
            assert clipboard(one) == "zendeskctl record acme-eu/zendesk/48213", "nothing was copied"
            assert isinstance(one.app.screen, RecordScreen)

    asyncio.run(drive())


def test_a_name_with_signs_of_the_shell_is_quoted_and_one_that_cannot_be_typed_is_a_number() -> None:
    assert record_text.command("zendeskctl", document(external_id="#pay")) == "zendeskctl record 'acme-eu/zendesk/#pay'"
    assert record_text.command("zendeskctl", document(external_id="$(x)")) == "zendeskctl record 'acme-eu/zendesk/$(x)'"
    assert record_text.command("zendeskctl", document(external_id="a\nb")) == "zendeskctl record 8123"


def test_copying_on_the_overview(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted) as one:
            await one.press("g", "y")
            await one.shows(
                "name", "globex", "last error", "zendeskctl credentials set globex", "zendeskctl start globex"
            )
            await one.press("3")
            assert clipboard(one) == "zendeskctl credentials set globex"
            await one.press("y", "1")
            assert clipboard(one) == "globex"
            one.app.screen.query_one("Grid").move_to(("wayne", "zendesk"))  # type: ignore[attr-defined]
            await one.press("y")
            assert clipboard(one) == "wayne", "where there is nothing to choose nothing is asked"

    asyncio.run(drive())


# --- the palette ------------------------------------------------------------------------------------------------------


def test_the_palette_shows_the_source(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        standing(scripted, document(raw='{"id":48213,"via":{"channel":"web"},"subject":"Payment"}'))
        async with driven(scripted) as one:
            await opened(one)
            await one.press("ctrl+p", *"source")
            await one.shows("source JSON")
            await one.press("enter")
            await one.shows("Source JSON · zendesk 48213", '  "id": 48213,', '    "channel": "web"')
            await one.press("/", *"channel", "enter")
            await one.shows("find channel: 1 of 1")
            await one.press("y")
            assert '"channel": "web"' in clipboard(one)
            await one.press("escape", "escape")
            await one.shows("Dana Whitfield")
            await one.press("ctrl+p", *"unlink")
            await one.shows("zendeskctl link acme-eu/zendesk/48213 OTHER --remove")
            await one.press("enter")
            assert clipboard(one) == "zendeskctl link acme-eu/zendesk/48213 OTHER --remove"
            await one.press("escape")
            await one.shows("· order health")
            await one.press("ctrl+p", *"source")
            await one.shows_no("source JSON")

    asyncio.run(drive())


@pytest.mark.parametrize(
    ("raw", "shown"),
    [('{"a":1}', '{\n  "a": 1\n}'), ("{broken", "{broken"), ("", ""), ("[" * 9000, "[" * 9000), ('"\x1b"', '"\ufffd"')],
)
def test_source_that_is_no_json_is_shown_as_it_is(raw: str, shown: str) -> None:
    assert record_text.source_json(raw) == shown


def test_json_says_which_hostile_characters_are_in_it() -> None:
    assert record_text.source_json('["a\u202e\x9b"]') == '[\n  "a\\u202e\\u009b"\n]'


def test_help_names_the_keys(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        standing(scripted)
        async with driven(scripted) as one:
            await opened(one)
            await one.press("?")
            await one.shows("tab", "To the other panel", "Mark what you type", "Open the link", "Break long lines")

    asyncio.run(drive())


def test_what_is_typed_quickly_behind_the_slash_is_no_keys(scripted: ScriptedDaemon) -> None:
    """Over a slow line many keys come at once."""

    async def drive() -> None:
        standing(scripted)
        async with driven(scripted) as one:
            for field in ("#filter", "#find"):
                screen, told = one.app.screen, len(one.toasts)
                for char in "/xytd":
                    one.app.post_message(events.Key("slash" if char == "/" else char, char))
                await one.until(lambda field=field: one.app.screen.query_one(field).has_focus, "the field")
                await one.press("z")
                await one.until(lambda field=field: one.app.screen.query_one(field, Input).value.endswith("z"), "a z")
                assert one.app.screen is screen and len(one.toasts) == told and not one.asked("trigger")
                await one.press("escape", "escape")
                await opened(one)

    asyncio.run(drive())
