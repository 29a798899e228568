"""What the completion scripts offer, in the shells that are here: never the organisations of another host."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.fixtures.commandline import carry_out
from tests.fixtures.pseudo_terminal import Terminal
from tests.waiting import wait_for
from zendeskd import completion


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_are_correct_for_their_shell(shell: str) -> None:
    script = carry_out("completion", shell).out
    assert completion.ORGANIZATIONS in script
    assert "--failing" in script or "-l failing" in script
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not here")
    check = [program, "--no-execute"] if shell == "fish" else [program, "-n"]
    subprocess.run(check, input=script, text=True, check=True, timeout=30)


OFFERED = [
    ("zendeskctl tr", {"trigger"}),
    ("zendeskctl org ", {"add", "show", "set", "remove", "list", "import", "export"}),
    ("zendeskctl --json trigger ", {"acme", "globex"}),
    ("zendeskctl --socket /x trigger acme --wa", {"--wait"}),
    ("zendeskctl --ssh ana@db1 trigger acme --wa", {"--wait"}),
    ("zendeskctl --ssh ana@db1 tr", {"trigger"}),
    ("zendeskctl --ssh ana@db1 org sh", {"show"}),
    ("zendeskctl --ssh ana@db1 trigger ", {"there-1", "there-2"}),
    ("zendeskctl --ssh=ssh://ana@db1:22 trigger ", {"there-1", "there-2"}),
    ("zendeskctl trigger acme --ssh db1 there", {"there-1", "there-2"}),
    ("zendeskctl --ssh nowhere trigger ", set()),
    ("zendeskctl --socket /their/s trigger ", {"theirs"}),
    ("zendeskctl completion ", {"bash", "zsh", "fish"}),
    ("zendeskctl org show g", {"globex"}),
]
HERE, THERE = {"acme", "globex"}, {"there-1", "there-2", "theirs"}
STUB = """#!/bin/sh
read -r word && echo asked-for-$word  # a password would be asked for
case "$*" in
  *"--timeout 2s --ssh nowhere") exit 3 ;;
  *"2s --ssh ana@db1" | *"2s --ssh db1" | *"2s --ssh=ssh://ana@db1:22") printf 'there-1\\nthere-2\\n' ;;
  *"--timeout 2s --socket /their/s") echo theirs ;;
  *"--timeout 2s") printf 'acme\\nglobex\\n' ;;
esac
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """With a zendeskctl that has organisations here and others there."""
    (tmp_path / "bin").mkdir()
    stub = tmp_path / "bin" / "zendeskctl"
    stub.write_text(STUB)
    stub.chmod(0o755)
    return {**os.environ, "PATH": f"{stub.parent}:{os.environ['PATH']}", "HOME": str(tmp_path), "XDG_CONFIG_HOME": ""}


def never_of_another_host(found: set[str], offered: set[str], line: str) -> None:
    last = line.rsplit(" ", maxsplit=1)[-1]
    assert offered <= found
    assert all(word.startswith(last) for word in found)
    assert not found & ((HERE | THERE) - offered)


@pytest.mark.parametrize(("line", "offered"), OFFERED)
def test_bash_offers(environ: dict[str, str], line: str, offered: set[str]) -> None:
    words = [word for word in re.split(r"([@=:]+)|\s+", line) if word is not None]  # as $COMP_WORDBREAKS does
    words = [word for place, word in enumerate(words) if word or place == len(words) - 1]
    quoted = " ".join(shlex.quote(word) for word in words)
    script = completion.script("bash") + (
        f"COMP_LINE={shlex.quote(line)}; COMP_POINT=${{#COMP_LINE}}; COMP_WORDS=({quoted}); "
        f'COMP_CWORD={len(words) - 1}; COMPREPLY=(); _zendeskctl; printf "%s\\n" "${{COMPREPLY[@]}}"\n'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, timeout=30, check=True, env=environ, input="x"
    )
    assert done.stderr == ""
    never_of_another_host(set(done.stdout.split()), offered, line)


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not here")
@pytest.mark.parametrize(("line", "offered"), OFFERED)
def test_fish_offers(environ: dict[str, str], line: str, offered: set[str]) -> None:
    script = completion.script("fish") + f"complete -C {shlex.quote(line)}\n"
    done = subprocess.run(
        ["fish", "--no-config", "-c", script],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        env=environ,
        input="x",
    )
    assert done.stderr == ""
    never_of_another_host({one.split("\t")[0] for one in done.stdout.splitlines()}, offered, line)


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not here")
@pytest.mark.parametrize("way", ["source", "fpath"])
def test_zsh_offers(environ: dict[str, str], tmp_path: Path, way: str) -> None:
    """In a shell on a terminal: zsh completes nowhere else."""
    (tmp_path / "_zendeskctl").write_text(completion.script("zsh"))
    load = "compinit -D; source ./_zendeskctl" if way == "source" else "fpath=($PWD $fpath); compinit -D"
    (tmp_path / ".zshrc").write_text(
        f"PS1='> '; cd {tmp_path}; autoload -U compinit; {load}; zstyle ':completion:*' list-prompt ''; LISTMAX=999\n"
        # what is offered goes to a file, too
        'compadd() { [[ $1 != -- ]] || print -rl -- "${@[2,-1]}" "<" >> offered; builtin compadd "$@"; }\n'
    )
    terminal = Terminal("zsh", "-i", ZDOTDIR=str(tmp_path), **{k: environ[k] for k in ("PATH", "HOME")})
    try:
        terminal.until("> ")
        for line, offered in OFFERED:
            (tmp_path / "offered").write_text("")
            terminal.type(f"{line}\t")
            wait_for(lambda: terminal.read() or (tmp_path / "offered").read_text().endswith("<\n"), line)
            found = {one for one in (tmp_path / "offered").read_text().split() if one.startswith(line.split(" ")[-1])}
            never_of_another_host(found - {"<"}, offered, line)
            terminal.type("\x15")
    finally:
        terminal.close()
