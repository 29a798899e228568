"""The list of organisations: what it shows, in which order, and which keys move and narrow it."""

from __future__ import annotations

import asyncio

import pytest

from tests.fixtures import mockup
from tests.fixtures.scripted import ScriptedDaemon
from tests.fixtures.terminal import Driven, driven, fleet_of
from zendeskd import present, wire

NAMES = ["globex", "initech", "hooli", "acme-eu", "acme-us", "stark", "tyrell", "wayne", "umbrella"]


def listed(one: Driven) -> list[str]:
    """The organisations in the order in which they stand on the screen."""
    words = [line.strip("│ *").split(" ")[0] for line in one.text().splitlines() if line.startswith("│")]
    return [word for word in words if word in NAMES]


def log_of_the_mockup(one: Driven) -> None:
    one.log("request failed", "initech", "warning", attempt=3, error="connect_timeout")
    one.log("credentials rejected", "globex", "error", status=401, run=8817, action="blocked")
    one.log("rate limited", "hooli", retry_after=60)
    one.log("page stored", "acme-eu", page=30, new=4, updated=96)
    one.log("page stored", "acme-eu", page=31, new=2, updated=98)


@pytest.mark.parametrize(
    ("name", "size", "options"),
    [
        ("overview-100x30", (100, 30), {}),
        ("overview-80x24", (80, 24), {}),
        ("overview-120x40", (120, 40), {}),
        ("overview-60x20", (60, 20), {}),
        ("overview-40x10", (40, 10), {}),
        ("overview-ascii-100x30", (100, 30), {"ascii": True}),
        ("overview-viewer-100x30", (100, 30), {"read_only": True}),
    ],
)
def test_the_picture(scripted: ScriptedDaemon, name: str, size: tuple[int, int], options: dict[str, bool]) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted, size, **options) as one:
            log_of_the_mockup(one)
            await one.until(lambda: one.app.fleet.logged == 5, "the log")
            if size[1] >= 28:
                await one.shows("page=31")
            await one.is_drawn(name)

    asyncio.run(drive())


def test_without_colour_it_is_the_same_text(scripted: ScriptedDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "")

    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted, (80, 24)) as one:
            assert one.app.no_color
            await one.is_drawn("overview-80x24")

    asyncio.run(drive())


@pytest.mark.parametrize("key", ["j", "question_mark", "ctrl+p", "c", "i", "l", "d", "enter", "t", "slash"])
def test_ascii_is_ascii(scripted: ScriptedDaemon, key: str) -> None:
    async def drive(size: tuple[int, int]) -> None:
        fleet_of(scripted)
        scripted.answer("runs", wire.RunList(items=[mockup.run()] * 50, next=None))
        async with driven(scripted, size, ascii=True) as one:
            await one.shows("! blocked")
            await one.press("end", "up", "up", "up", "up", key)
            text = one.text()
            assert text.isascii(), [char for char in text if not char.isascii()]
            assert all(present.width(line) <= size[0] for line in text.splitlines())

    asyncio.run(drive((100, 30)))
    asyncio.run(drive((80, 12)))


def test_a_change_is_on_the_screen_within_a_second(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted) as one:
            one.update(mockup.status("wayne", state="running", health="running", run=mockup.live(progress=0.5)))
            await one.until(lambda: "50%" in one.line(" wayne"), "the new state", timeout_s=1)
            assert "ok" in one.line(" wayne"), "NOW does not hide LAST"

    asyncio.run(drive())


def test_waits_count_down(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted) as one:
            assert "limit 0:38" in one.line("hooli")
            await one.pass_time(3)
            assert "limit 0:35" in one.line("hooli")
            assert "retry 1:49" in one.line("initech")
            assert "14:24:49 UTC" in one.text()

    asyncio.run(drive())


def test_trouble_comes_to_the_top_when_the_keys_are_at_rest(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted) as one:
            one.clock.go(10)
            one.update(mockup.status("wayne", health="blocked", state="blocked"))
            await one.until(lambda: listed(one)[:2] == ["globex", "wayne"], "the new order")

    asyncio.run(drive())


def test_nothing_moves_for_two_seconds_after_a_key_and_the_cursor_stays_on_its_organisation(
    scripted: ScriptedDaemon,
) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted) as one:
            await one.press("end", "up")
            assert one.cursor == "wayne"
            one.update(mockup.status("wayne", health="blocked", state="blocked"))
            await one.until(lambda: "blocked" in one.line(" wayne"), "the new state")
            assert listed(one) == NAMES
            await one.pass_time(2.1)
            assert listed(one)[:2] == ["globex", "wayne"]
            assert one.cursor == "wayne"

    asyncio.run(drive())


def test_removed_organisations_go_and_the_cursor_stays_near(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted) as one:
            await one.press("j")
            assert one.cursor == "initech"
            one.publish("removed", organization_id="initech", system_type="zendesk")
            await one.shows("Organisations 8")
            assert one.cursor == "hooli"

    asyncio.run(drive())


def test_keys_move_the_cursor_and_the_sentences_follow(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted) as one:
            for keys, org in [(("down",), "initech"), (("k",), "globex"), (("G",), "umbrella"), (("g",), "globex")]:
                await one.press(*keys)
                assert one.cursor == org
            await one.press("pagedown")
            assert one.cursor == "umbrella"
            await one.shows("umbrella: The last run was fine.")

    asyncio.run(drive())


def test_the_filter_narrows_while_it_is_typed_and_escape_ends_it(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted) as one:
            await one.press("/", *"acme")
            assert listed(one) == ["acme-eu", "acme-us"]
            assert "2 of 9" in one.text() and "filter acme" in one.text()
            await one.press("enter", "escape")
            assert listed(one) == NAMES
            await one.press("/", *"state:failing")
            assert listed(one) == ["initech"]
            await one.press("escape", "/", *"!acme", "enter")
            assert listed(one) == [name for name in NAMES if "acme" not in name]
            await one.press("/", *"zzz")
            assert "None of them matches" in one.text()

    asyncio.run(drive())


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("stat:failing", "Filter: there is no stat: but state:, system:, org:, last:."),
        ("state:faling", "Filter: state: is never faling, but blocked, failing, late"),
        ("last:netwrk", "Filter: last: is never netwrk, but ok, cancelled"),
        ("!state:faling", "Filter: state: is never faling"),
        ("acme system:jra", "Filter: system: is never jra, but zendesk"),
    ],
)
def test_a_filter_that_can_never_match_says_so(scripted: ScriptedDaemon, typed: str, said: str) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted, (100, 30)) as one:
            await one.press("/", *typed)
            text = await one.shows(f"filter {typed} ?", said)
            assert ("None of them matches" in text) == (not typed.startswith("!"))
            await one.press("escape")
            await one.shows_no("Filter:", f"{typed} ?")

    asyncio.run(drive())


def test_a_filter_that_matches_none_just_now_is_no_mistake(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted) as one:
            for typed in ("state:late", "last:interrupted", "!last:never", "org:zzz", "la", "state:"):
                await one.press("/", "ctrl+u", *typed)
                assert "Filter:" not in one.text(), typed
            await one.press("ctrl+u", *"last:ok state:queued")
            assert listed(one) == ["stark"], "the words of the list itself are understood"

    asyncio.run(drive())


def test_escape_closes_the_filter_then_clears_the_marks(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted) as one:
            await one.press("/", *"acme", "enter", "a")
            assert "2 marked" in one.text() and "filter acme" in one.text()
            await one.press("escape")
            assert "2 marked" in one.text() and "filter none" in one.text()
            await one.press("escape")
            assert "marked" not in one.text()
            await one.press("escape")
            assert one.app.is_running and listed(one) == NAMES, "there is nothing behind the list"

    asyncio.run(drive())


def test_typing_in_the_filter_triggers_nothing(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted) as one:
            await one.press("/", *"tsxica!oqR", "enter")
            assert one.app.is_running
            assert one.asked("trigger", "start", "stop", "interval", "cancel") == []

    asyncio.run(drive())


def test_problems_only_and_orders(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted) as one:
            await one.press("!")
            assert listed(one) == ["globex", "initech"]
            assert "filter problems" in one.text()
            await one.press("!", "o")
            assert "order name" in one.text()
            assert listed(one) == sorted(NAMES)
            await one.press("O")
            assert "order name reversed" in one.text()
            assert listed(one) == sorted(NAMES, reverse=True)
            await one.press("o")
            assert listed(one)[:2] == ["acme-us", "umbrella"], "never and oldest first"
            await one.press("o", "o")
            assert listed(one)[0] == "hooli"

    asyncio.run(drive())


def test_the_columns_follow_the_width_at_once(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted, (120, 40)) as one:
            for width, column, is_there in ((100, "RUNS", True), (80, "RUNS", False), (60, "WHY", False)):
                await one.pilot.resize_terminal(width, 30)
                await one.pilot.pause()
                assert (column in one.line("ORG")) == is_there, width

    asyncio.run(drive())


def test_a_digit_or_a_click_on_a_count_shows_only_these(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted) as one:
            await one.press("2")
            assert listed(one) == ["initech"]
            await one.press("2")
            assert listed(one) == NAMES
            await one.pilot.click("Counts", offset=(2, 0))
            await one.pilot.pause()
            assert listed(one) == ["globex"]

    asyncio.run(drive())


def test_the_mouse_picks_a_row_and_an_order(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted) as one:
            await one.pilot.click("Grid", offset=(3, 3))
            assert one.cursor == "hooli"
            await one.pilot.click("Grid", offset=(3, 0))
            await one.pilot.pause()
            assert "order name" in one.text()

    asyncio.run(drive())


def test_time_styles(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted) as one:
            await one.press("T", "T")
            assert "14:37" in one.line(" wayne") and "14:22" in one.line(" wayne")
            assert "limit 0:38" in one.line("hooli"), "what counts down goes on"
            await one.press("T")
            assert "12:14" in one.line(" wayne")

    asyncio.run(drive())


def test_hostile_text_is_shown_as_text(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted, [mockup.status("evil", why=mockup.HOSTILE, organization_name=mockup.HOSTILE)])
        async with driven(scripted, (120, 40)) as one:
            one.log(mockup.HOSTILE, "[red]org[/red]", note=mockup.HOSTILE)
            text = await one.shows("[red]org")
            assert "[bold]x[/bold]" in text
            assert "\x1b" not in text and "\u202e" not in text

    asyncio.run(drive())


def test_five_hundred_organisations_scroll(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted, [mockup.status(f"org-{each:03d}") for each in range(500)])
        async with driven(scripted) as one:
            await one.press("end")
            assert "org-499" in one.text() and one.cursor == "org-499"
            await one.press("pageup")
            assert one.cursor == "org-484"
            await one.press("home")
            assert "org-000" in one.text() and "ORG" in one.text()

    asyncio.run(drive())


def test_no_organisations_says_how_to_add_the_first(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted, [])
        async with driven(scripted, (80, 24)) as one:
            await one.is_drawn("empty-80x24")
            one.update(mockup.status("acme"))
            await one.until(lambda: one.cursor == "acme", "the first organisation")
            assert "No organisations yet" not in one.text()
            await one.shows("⏎ Open")
            await one.press("enter")
            await one.shows("Organisations › acme")

    asyncio.run(drive())


def test_keys_work_again_after_a_filter_that_nothing_matched(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted) as one:
            await one.press("/", *"zzz", "enter")
            assert listed(one) == []
            await one.press("escape")
            await one.shows("⏎ Open")
            await one.press("j")
            assert one.cursor == "initech"

    asyncio.run(drive())


def test_long_names_get_the_room_there_is(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        name = "a-very-long-organisation-name"
        fleet_of(scripted, [mockup.status(name, why="something quite long to say here, really")])
        async with driven(scripted, (140, 30)) as one:
            assert "a-very-long-organisation" in one.text()
            assert "something quite long to say here" in one.text()

    asyncio.run(drive())


@pytest.mark.parametrize("theme", ["dark", "light", "ansi-dark", "ansi-light"])
def test_every_theme_shows_the_same_words_and_where_the_cursor_is(scripted: ScriptedDaemon, theme: str) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted, (80, 24), theme=theme) as one:
            await one.press("j")
            assert "token rejected, 401" in one.line("globex")
            grid = one.app.screen.query_one("Grid")
            with_cursor, without = grid.render_line(2), grid.render_line(3)
            assert one.cursor in with_cursor.text and one.cursor not in without.text
            one_style, other = list(with_cursor)[1].style, list(without)[1].style
            assert one_style and other and one_style.bgcolor != other.bgcolor

    asyncio.run(drive())
