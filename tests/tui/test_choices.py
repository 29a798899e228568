"""Filter, order, time style and theme stay as they were left; what keeps them is never in the way."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.scripted import ScriptedDaemon
from tests.fixtures.terminal import driven, fleet_of
from zendeskd.tui import choices, program, start
from zendeskd.tui.app import Options

THEMES = ["dark", "light", "nord"]


def at_the_next_start(folder: Path, *words: str) -> Options:
    environ = {"XDG_CONFIG_HOME": str(folder), "XDG_STATE_HOME": str(folder)}
    return start.choose(program._parser().parse_args(words), environ)


def kept(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "zendeskd" / "tui.json").read_text(encoding="utf-8"))
    return found


def test_what_was_chosen_is_there_at_the_next_start(scripted: ScriptedDaemon, tmp_path: Path) -> None:
    file = tmp_path / "zendeskd" / "tui.json"

    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted, choices_file=file) as one:
            await one.press("/", *"acme", "enter", "a", "o", "O", "!", "T")
            one.app.use_theme("nord")
            assert "2 marked" in one.text()

    asyncio.run(drive())
    options = at_the_next_start(tmp_path)
    assert options == Options(
        theme="nord", order="name", is_reversed=True, only_problems=True, filter="acme", time_style="absolute"
    )

    async def again() -> None:
        async with driven(scripted, choices_file=file, filter=options.filter, order=options.order) as one:
            await one.shows("Organisations 2 of 9 · order name · filter acme")
            assert "marked" not in one.text(), "marks are not remembered"

    asyncio.run(again())


def test_the_command_line_wins_over_what_was_chosen_and_that_over_the_settings(tmp_path: Path) -> None:
    (tmp_path / "zendeskd").mkdir()
    (tmp_path / "zendeskd" / "tui.toml").write_text('theme = "light"\norder = "age"\n')
    assert at_the_next_start(tmp_path) == Options(theme="light", order="age")
    choices.write(tmp_path / "zendeskd" / "tui.json", {"theme": "nord"})
    assert at_the_next_start(tmp_path) == Options(theme="nord", order="age")
    assert at_the_next_start(tmp_path, "--theme", "dark").theme == "dark"
    assert (tmp_path / "zendeskd" / "tui.toml").read_text() == 'theme = "light"\norder = "age"\n'


def test_only_what_was_changed_is_kept(scripted: ScriptedDaemon, tmp_path: Path) -> None:
    """Else a setting that somebody changes later in tui.toml would do nothing."""

    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted, choices_file=tmp_path / "zendeskd" / "tui.json", order="age", theme="light") as one:
            await one.press("O")

    asyncio.run(drive())
    assert kept(tmp_path) == {"is_reversed": True}


def test_a_choice_is_kept_before_the_end(scripted: ScriptedDaemon, tmp_path: Path) -> None:
    file = tmp_path / "zendeskd" / "tui.json"

    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted, choices_file=file) as one:
            await one.press("o")
            await one.until(file.exists, "the file")
            assert kept(tmp_path) == {"order": "name"}
            assert list(file.parent.iterdir()) == [file], "nothing half-written stays"

    asyncio.run(drive())


def test_two_dashboards_share_the_file(scripted: ScriptedDaemon, tmp_path: Path) -> None:
    file = tmp_path / "zendeskd" / "tui.json"

    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted, choices_file=file) as one, driven(scripted, choices_file=file) as two:
            await one.press("o")
            await two.press("T")

    asyncio.run(drive())
    assert kept(tmp_path) == {"order": "name", "time_style": "absolute"}


def test_many_writers_at_once_leave_a_whole_file(tmp_path: Path) -> None:
    file = tmp_path / "tui.json"

    def write(name: str) -> None:
        for _ in range(50):
            choices.write(file, {"filter": name})

    writers = [threading.Thread(target=write, args=(name * 150,)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert choices.read(file, themes=THEMES)["filter"] in {"a" * 150, "b" * 150}


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[]", b"3", b"[" * 100_000,
     b'{"theme": "pink", "order": ["name"], "filter": "\\u001b[31m"}',
     b'{"is_reversed": 1, "only_problems": "no", "time_style": null, "theme": {}, "filter": 7}'],
)  # fmt: skip
def test_a_garbled_file_was_never_there(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "zendeskd").mkdir()
    (tmp_path / "zendeskd" / "tui.json").write_bytes(content)
    assert at_the_next_start(tmp_path) == Options()
    choices.write(tmp_path / "zendeskd" / "tui.json", {"order": "age"})
    assert at_the_next_start(tmp_path).order == "age"


def test_what_another_version_keeps_stays(tmp_path: Path) -> None:
    file = tmp_path / "tui.json"
    file.write_text('{"layout": "new", "order": "name"}')
    choices.write(file, {"order": "age"})
    assert json.loads(file.read_text()) == {"layout": "new", "order": "age"}


def test_a_file_that_cannot_be_written_is_no_error(
    scripted: ScriptedDaemon, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    in_the_way = tmp_path / "zendeskd"
    in_the_way.write_text("a file where the folder should be")

    async def drive() -> None:
        fleet_of(scripted)
        async with driven(scripted, choices_file=in_the_way / "tui.json") as one:
            await one.press("o")
            await one.shows("order name")
            assert one.toasts == []

    asyncio.run(drive())
    assert at_the_next_start(tmp_path / "none") == Options()
    choices.write(Path("/proc/none/tui.json"), {"order": "age"})
    (tmp_path / "folder" / "tui.json").mkdir(parents=True)
    choices.write(tmp_path / "folder" / "tui.json", {"order": "age"})
    assert [each.name for each in (tmp_path / "folder").iterdir()] == ["tui.json"], "what it began is gone"
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_root_leaves_nothing_in_another_s_home(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    choices.write(tmp_path / ".local" / "state" / "zendeskd" / "tui.json", {"order": "age"})
    assert list(tmp_path.iterdir()) == []
