"""The links of a record, which are walked, and how both are kept true."""

from __future__ import annotations

import asyncio

from tests.fixtures import mockup
from tests.fixtures.record_screen import LINKS, colours, copy_of, document, ended, issue, opened, standing
from tests.fixtures.scripted import ScriptedDaemon
from tests.fixtures.terminal import driven
from zendeskd import wire
from zendeskd.tui import link_text
from zendeskd.tui.screens.link import LinkScreen
from zendeskd.tui.screens.record import Links, RecordScreen
from zendeskd.tui.times import TimeStyle

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
