"""What a person sets once for all, and what is said about settings that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from zendeskd.errors import ConfigError
from zendeskd.tui import bindings, program, start
from zendeskd.tui.app import Options
from zendeskd.tui.widgets.grid import Grid


def chosen(folder: Path, text: str | None, *words: str) -> Options:
    file = folder / "zendeskd" / "tui.toml"
    file.parent.mkdir(exist_ok=True)
    if text is not None:
        file.write_text(text, encoding="utf-8")
    return start.choose(program._parser().parse_args(words), {"XDG_CONFIG_HOME": str(folder)})


def test_without_a_file_the_defaults(tmp_path: Path) -> None:
    assert chosen(tmp_path, None) == Options()


def test_settings_are_read_and_the_command_line_wins(tmp_path: Path) -> None:
    text = 'theme = "light"\norder = "name"\ntime_style = "utc"\n[keys]\ntrigger = "f5"\n'
    assert chosen(tmp_path, text) == Options(theme="light", order="name", time_style="utc", keymap={"trigger": "f5"})
    assert chosen(tmp_path, text, "--theme", "ansi-dark", "--ascii").theme == "ansi-dark"


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    text = 'theme = "pink"\nordre = "name"\ntime_style = 3\n[keys]\ntriger = "f5"\nstop = 1\n'
    with pytest.raises(ConfigError) as told:
        chosen(tmp_path, text)
    said = "\n".join(told.value.problems)
    for words in (
        "theme is 'pink', it can be dark, light",
        "ordre is no setting, do you mean order?",
        "time_style is 3, it can be relative",
        "keys.triger is nothing a key does, do you mean trigger?",
        "keys.stop must be a key",
    ):
        assert words in said


@pytest.mark.parametrize("content", [b"theme = ", b"\xff\xfe", b"keys = 3"])
def test_a_file_that_cannot_be_understood_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "zendeskd" / "tui.toml"
    file.parent.mkdir()
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"tui\.toml"):
        chosen(tmp_path, None)


def test_a_wrong_file_ends_the_program_kindly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "zendeskd").mkdir()
    (tmp_path / "zendeskd" / "tui.toml").write_text('order = "size"\n')
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(program, "why_not", lambda *_: "")
    assert program.main([]) == 2
    assert "order is 'size', it can be health" in capsys.readouterr().err


def test_every_key_has_a_name_of_its_own() -> None:
    ids = [binding.id for binding in Grid.BINDINGS]  # type: ignore[union-attr]
    assert sorted(ids) == sorted(bindings.GRID)
    for binding in (*bindings.EVERYWHERE, *bindings.ACTING, *bindings.LISTING, *bindings.READING):
        assert binding.id and binding.tooltip, binding


def test_the_linux_console_has_no_glyphs() -> None:
    options = program._parser().parse_args([])
    assert start.choose(options, {"XDG_CONFIG_HOME": "/nowhere", "TERM": "linux"}).ascii
    assert not start.choose(options, {"XDG_CONFIG_HOME": "/nowhere", "TERM": "xterm"}).ascii
