"""What `zendeskctl` promises: help, docs and schema that are fresh, a verb for every operation, and a quick start."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.commandline import carry_out
from zendeskd import verbs
from zendeskd.operations import OPERATIONS
from zendeskd.verbs import reference
from zendeskd.verbs.base import Verb
from zendeskd.verbs.exits import MEANING, Exit

ROOT = Path(__file__).parents[2]
EVERY = list(verbs.every())
MAKE = "python -m zendeskd.verbs.reference docs/cli.md zendeskd/schema.json"

by_name = pytest.mark.parametrize("verb", EVERY, ids=[verb.name for verb in EVERY])


@by_name
def test_help_begins_with_two_examples_and_explains_every_option(verb: Verb) -> None:
    done = carry_out(*verb.name.split(), "--help")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0] == "examples:"
    assert [line.startswith(f"  zendeskctl {verb.name}") for line in lines[1:3]] == [True, True]
    assert (lines[3], lines[4].split()[0]) == ("", "usage:")
    assert max(map(len, lines)) <= 100


@by_name
def test_the_usage_line_has_every_argument(verb: Verb) -> None:
    common = {"--socket", "--ssh", "--json", "--no-color", "--ascii", "--quiet", "--help"}
    for action in verb.parser()._actions:
        flags = set(action.option_strings) - common - {"-h", "-q"}
        if not action.option_strings:
            assert str(action.metavar) in verb.usage or action.choices
        elif flags and "for an answer" not in str(action.help):
            assert any(flag in verb.usage for flag in flags), flags


@by_name
def test_examples_are_command_lines_that_parse(verb: Verb) -> None:
    for example in verb.examples:
        words = shlex.split(re.split(r" [|<>] ", example)[0])[1 + len(verb.name.split()) :]
        verb.parser().parse_args(words)


def test_help_is_a_verb_too() -> None:
    for words in ((), ("trigger",), ("org",), ("org", "add")):
        done = carry_out("help", *words)
        assert (done.code, done.out, done.err) == (0, carry_out(*words, "--help").out, "")
    assert carry_out("help", "nope").code == 2


def test_the_overview_lists_every_verb() -> None:
    out = carry_out("--help").out
    assert out.startswith("examples:\n  zendeskctl\n  zendeskctl ")
    for verb in EVERY:
        assert f"  {verb.name} " in out
    assert "systemctl start|stop zendeskd" in out


@pytest.mark.parametrize("group", verbs.groups())
def test_a_group_lists_its_verbs(group: str) -> None:
    out = carry_out(group, "--help").out
    listed = re.findall(rf"^  ({group} \w+)", out, re.MULTILINE)
    assert listed == [name for name in verbs.MODULES if name.startswith(f"{group} ")]


def test_every_operation_has_a_verb_or_a_reason() -> None:
    have = {operation for verb in EVERY for operation in verb.operations} | set(verbs.WITHOUT_VERB)
    assert have == {operation.name for operation in OPERATIONS}
    assert not {operation for verb in EVERY for operation in verb.operations} & set(verbs.WITHOUT_VERB)


def test_every_exit_code_is_explained() -> None:
    assert set(MEANING) == set(Exit)


def test_docs_are_fresh() -> None:
    assert (ROOT / "docs" / "cli.md").read_text() == reference.cli_markdown(), f"run: {MAKE}"


def test_the_shipped_schema_is_fresh() -> None:
    assert (ROOT / "zendeskd" / "schema.json").read_text() == reference.schema_text(), f"run: {MAKE}"


def test_both_are_written_by_one_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "zendeskd.verbs.reference", tmp_path / "cli.md", tmp_path / "schema.json"]
    subprocess.run(command, cwd=ROOT, check=True, timeout=60)
    assert (tmp_path / "cli.md").read_text().startswith("# zendeskctl\n")
    assert '"title": "What zendeskctl --json prints' in (tmp_path / "schema.json").read_text()


# --- start-up ---------------------------------------------------------------------------------------------------------

HEAVY = {
    "structlog",
    "starlette",
    "uvicorn",
    "peewee",
    "textual",
    "rich",
    "click",
    "cryptography",
    "sqlite3",
    "asyncio",
}


def modules_after(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint(*{{name.split('.')[0] for name in sys.modules}}, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    return set(done.stderr.split())


def test_a_command_loads_nothing_that_it_does_not_need() -> None:
    line = "from zendeskd import ctl; ctl.main(['status', '--socket', '/nowhere', '--json'])"
    assert not modules_after(line) & HEAVY


def test_help_and_mistakes_do_not_even_load_the_client() -> None:
    code = "from zendeskd import ctl; ctl.main(['--help']); ctl.main(['start']); ctl.main(['completion', 'bash'])"
    assert "httpx" not in modules_after(code)
