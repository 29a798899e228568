"""One record: read, searched, copied."""

from __future__ import annotations

import asyncio

import pytest
from textual import events
from textual.widgets import Input

from tests.fixtures import mockup
from tests.fixtures.record_screen import BODY, document, opened, standing
from tests.fixtures.scripted import ScriptedDaemon
from tests.fixtures.terminal import Driven, driven, fleet_of
from zendeskd import wire
from zendeskd.tui import record_text
from zendeskd.tui.screens.record import RecordScreen
from zendeskd.tui.times import TimeStyle

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
