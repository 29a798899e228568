"""What a machine is made of: a root file system and the wheels that pip finds in it.

Both are fetched once, from where this host's own apt and pip get theirs, and kept outside of the repository."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("ZENDESKD_TEST_CACHE") or Path(tempfile.gettempdir()) / "zendeskd-test-cache")
"""Read before the tests' environment is cleaned."""

_INCLUDE = ("systemd", "dbus", "python3-venv", "git", "procps", "sqlite3", "jq", "curl")
"""What a server has that debootstrap's smallest variant lacks, and the programs that docs/operate.md names."""
_FACTS = "import platform, sys; print(*sys.version_info[:2], platform.libc_ver()[1].split('.')[1])"


class Missing(Exception):
    """This host cannot make or boot a machine, and why."""


def image() -> Path:
    """The root file system. Raises Missing."""
    _need("debootstrap", "apt-get")
    release = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    mirror = _mirror(release)
    name = f"{release}-{_digest(mirror, *_INCLUDE)}"

    def make(folder: Path) -> None:
        include = f"--include={','.join(_INCLUDE)}"
        _fetch(["debootstrap", "--variant=minbase", include, release, str(folder), mirror], timeout_s=900)
        for waste in ("var/cache/apt/archives", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale"):
            shutil.rmtree(folder / waste)
            (folder / waste).mkdir()
        (folder / "etc/hostname").write_text("machine\n")

    return _kept(name, make)


def wheels(image: Path) -> Path:
    """The pinned wheels of what zendeskd needs to be built and to run, for that root file system's Python. Raises
    Missing."""
    facts = subprocess.run(
        ["chroot", image, "python3", "-c", _FACTS], capture_output=True, text=True, check=True, timeout=30
    ).stdout.split()
    major, minor, glibc = map(int, facts)
    pins = (ROOT / "constraints.txt").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    wanted.append("typing_extensions")  # pip asks the Python that it runs on whether it is needed

    def make(folder: Path) -> None:
        machine = platform.machine()
        platforms = [f"manylinux_2_{number}_{machine}" for number in range(glibc, 16, -1)] + [
            f"manylinux2014_{machine}"
        ]
        _fetch(
            [
                *_pip(),
                *("download", "--quiet", "--dest", str(folder), "--constraint", str(ROOT / "constraints.txt")),
                *("--only-binary=:all:", "--implementation=cp", f"--python-version={major}.{minor}"),
                *(f"--abi={abi}" for abi in (f"cp{major}{minor}", "abi3", "none")),
                *(f"--platform={name}" for name in platforms),
                *wanted,
            ],
            timeout_s=300,
        )

    return _kept(f"wheels-{_digest(pins, *wanted, *facts)}", make)


def check_host() -> None:
    """Raises Missing where no machine can be booted."""
    if os.geteuid() != 0:
        raise Missing("root is needed to make namespaces and mounts")
    _need("unshare", "nsenter", "setpriv", "mount")
    probe = ["unshare", "--mount", "--uts", "--ipc", "--pid", "--net", "--cgroup", "--fork", "true"]
    done = subprocess.run(probe, capture_output=True, text=True, check=False, timeout=30)
    if done.returncode != 0:
        raise Missing(f"namespaces cannot be made here: {done.stderr.strip()}")


def _need(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            raise Missing(f"there is no {program} here")


def _mirror(release: str) -> str:
    """Where this host gets the packages of its own release from."""
    command = ["apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout
    for line in listed.splitlines():
        name, component, place = line.split()
        if (name, component) == (release, "main"):
            return place
    raise Missing(f"apt has no source here for the release {release or 'of this system'}")


def _pip() -> list[str]:
    for python in (sys.executable, "python3"):
        command = [python, "-m", "pip"]
        if subprocess.run([*command, "--version"], capture_output=True, check=False, timeout=60).returncode == 0:
            return command
    raise Missing("there is no pip here")


def _fetch(command: Sequence[str], timeout_s: float) -> None:
    """In namespaces of its own: whatever it mounts or starts ends with it, and it ends with us."""
    alone = [
        "setpriv",
        "--pdeathsig=KILL",
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child=KILL",
        "--mount-proc",
    ]
    done = subprocess.run(
        [*alone, "--", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=timeout_s,
    )
    if done.returncode != 0:
        last = (done.stdout.strip().splitlines() or ["no word of why"])[-1]
        raise Missing(f"{' '.join(command[:1])} failed with {done.returncode}: {last}")


def _kept(name: str, make: Callable[[Path], None]) -> Path:
    """The folder of that name, made if it is not there: whole or not at all, by one at a time."""
    with _locked_cache():
        folder = CACHE / name
        if not folder.exists():
            unfinished = CACHE / f"{name}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            try:
                make(unfinished)
                unfinished.rename(folder)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
        return folder


@contextlib.contextmanager
def _locked_cache() -> Iterator[None]:
    """Root boots what lies there: nobody else may have put it there."""
    CACHE.mkdir(mode=0o755, parents=True, exist_ok=True)
    found = CACHE.lstat()
    if CACHE.is_symlink() or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise Missing(f"{CACHE} belongs to others, or others may write there")
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _digest(*words: str) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:12]
