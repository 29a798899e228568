"""Everything the API can do has its place in the dashboard, in zendeskctl and in the docs, or a reason why not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.fixtures import mockup
from tests.fixtures.scripted import ScriptedDaemon
from tests.fixtures.terminal import Driven, driven, fleet_of
from zendeskd import verbs
from zendeskd.operations import OPERATIONS, Operation
from zendeskd.tui.palette import REACHED_BY, WITHOUT_ENTRY, Palette

DOCS = Path(__file__).parents[2] / "docs"
NAMES = [operation.name for operation in OPERATIONS]


def offered(one: Driven) -> set[str]:
    """The names of all entries on the screen that is shown; those of organisations as "open"."""
    names = [entry.name for entry in Palette(one.app.screen).entries()]
    return {"open" if name.startswith("open ") else name for name in names}


def test_every_operation_has_an_entry_or_a_reason(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted) as one:
            entries = offered(one)
            missing = {name for name in NAMES if REACHED_BY.get(name, name) not in entries} - WITHOUT_ENTRY.keys()
            assert not missing, "an entry in the palette, a line in REACHED_BY, or a reason in WITHOUT_ENTRY"

    asyncio.run(drive())
    assert REACHED_BY.keys() | WITHOUT_ENTRY.keys() <= set(NAMES), "what is no operation any more"
    assert not REACHED_BY.keys() & WITHOUT_ENTRY.keys()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_every_operation_has_a_verb_and_a_line_in_the_docs(operation: Operation) -> None:
    name, method, path = operation.name, operation.method, operation.path
    api, cli = (DOCS / "api.md").read_text(encoding="utf-8"), (DOCS / "cli.md").read_text(encoding="utf-8")
    assert f"`{method} {path}`" in api
    having = [verb.name for verb in verbs.every() if name in verb.operations]
    assert bool(having) != (name in verbs.WITHOUT_VERB), "a verb, or a reason in verbs.WITHOUT_VERB"
    assert all(f"\n## {verb}\n" in cli or f"\n### {verb}\n" in cli for verb in having)


def test_every_screen_offers_what_can_be_done_there(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted)
        scripted.answer("health", mockup.vital())
        async with driven(scripted) as one:
            acting = {"trigger", "start", "stop", "interval", "cancel", "resync", "reconcile"}
            everywhere = offered(one) - acting
            assert acting <= offered(one)
            for keys, may_act in ((["enter"], True), (["l"], False), (["d"], False)):
                await one.press(*keys)
                assert everywhere <= offered(one), keys
                assert (acting <= offered(one)) == may_act, keys
                await one.press("escape")
            one.scripted.stop()
            await one.until(lambda: not one.app.fleet.is_live, "the loss")
            assert not offered(one) & (acting | {"reload", "backup"})

    asyncio.run(drive())


def test_an_organisation_is_found_by_its_name(scripted: ScriptedDaemon) -> None:
    async def drive() -> None:
        fleet_of(scripted, [mockup.status("acme"), mockup.status("umbrella", organization_name="[b]Brolly\x1b[31m")])
        async with driven(scripted) as one:
            await one.press("ctrl+p")
            await one.shows("Search for commands")
            await one.press(*"umbrel")
            await one.shows("open umbrella", "[b]Brolly")
            await one.press("enter")
            await one.shows("Organisations › umbrella")

    asyncio.run(drive())
