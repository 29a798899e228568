"""The command line of the dashboard: what it refuses, and how kindly."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.commandline import Stream
from zendeskd import __version__
from zendeskd.tui import program


def test_without_a_terminal_it_names_the_command_that_works_there() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "zendeskd.tui.program"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "use zendeskctl watch" in done.stderr and "Traceback" not in done.stderr


def test_the_command_that_works_there_reaches_the_same_daemon(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--ssh", "db1"]) == 2
    assert "use zendeskctl --ssh db1 watch" in capsys.readouterr().err
    assert program.main(["--ssh", "db1", "--socket", "rel"]) == 2
    assert "use zendeskctl watch" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("terminals", "environ", "why"),
    [
        ((True, True, True), {}, ""),
        ((True, True, True), {"TERM": "dumb"}, "TERM=dumb"),
        ((True, False, True), {}, "its output is not a terminal"),
        ((True, True, False), {}, "its errors do not go to a terminal, and Textual draws there"),
        ((False, True, True), {}, "its input is not a terminal"),
    ],
)
def test_where_it_can_be_drawn(terminals: tuple[bool, bool, bool], environ: dict[str, str], why: str) -> None:
    assert program.why_not(*(Stream(tty=tty) for tty in terminals), environ=environ) == why


def test_without_textual_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    monkeypatch.setattr(program, "why_not", lambda *_: "")
    for name in [name for name in sys.modules if name.startswith("zendeskd.tui.") and name != program.__name__]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "textual", None)
    monkeypatch.setitem(sys.modules, "textual.theme", None)
    assert program.main([]) == 2
    assert "pip install 'zendeskd[tui]'" in said.getvalue()


def test_an_unknown_theme_is_refused_with_the_names(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "why_not", lambda *_: "")
    assert program.main(["--theme", "pink"]) == 2
    assert "no theme 'pink'" in (err := capsys.readouterr().err) and "ansi-dark" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--socket", ""), "the path is empty"),
        (("--ssh", ""), "the host is empty"),
        (("--ssh=-oProxyCommand=id",), "begins with a dash"),
        (("--ssh", "db1", "--socket", "rel"), "has to begin with /"),
        (("--socket", "{file}"), "is not a socket"),
    ],
)
def test_places_where_no_daemon_is(
    words: tuple[str, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(program, "why_not", lambda *_: "")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    try:
        code = program.main([word.format(file=tmp_path / "file") for word in words])
    except SystemExit as ended:  # argparse
        code = int(str(ended.code))
    assert (code, said in (err := capsys.readouterr().err)) == (2, True), err


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_the_caller_closed(closed: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m zendeskd.tui.program {closed}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--version"], ["--help"]):
        with pytest.raises(SystemExit) as ended:
            program.main(words)
        assert ended.value.code == 0
    out = capsys.readouterr().out
    assert f"zendeskd-tui {__version__}" in out and "--read-only" in out
