"""`./run`, as far as it goes without installing anything."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", ROOT / "run", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, **environ},
    )


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_it_says_what_it_can(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 0
    for verb in ("./run demo [--once]", "./run test", "./run check", "./run bench", "./run picture", "./run VERB"):
        assert verb in done.stdout


def test_a_python_that_will_not_do_is_named() -> None:
    done = run("version", PYTHON="false")
    assert done.returncode == 1
    assert "needs Python 3.11 or newer, false is not" in done.stderr
    assert "apt-get install python3" in done.stderr


def test_every_constraint_is_one_exact_version_and_names_no_place() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if line.count("==") != 1 or "/" in line] == []


def test_every_benchmark_is_listed_and_is_there() -> None:
    listed = [line.partition(":")[0] for line in run("bench").stdout.splitlines()]
    assert "sync" in listed
    programs = [path.stem for path in (ROOT / "benchmarks").glob("*.py") if "def main()" in path.read_text()]
    assert sorted(listed) == sorted(set(programs) - {"standin"})


def test_a_benchmark_that_is_not_there() -> None:
    done = run("bench", "nonsense")
    assert (done.returncode, "no benchmark nonsense" in done.stderr) == (2, True)
