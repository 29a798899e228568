"""What somebody would try who has broken into the daemon. Prints one JSON object: what was tried, and how it was
refused, or "done". Nothing of it reaches beyond the machine.

Standard library only: it runs inside of the machine."""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWUSER = 0x10000000
_PER_LINUX32 = 0x0008
_PTRACE_SEIZE = 0x4206


def call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), name)


def write(path: str) -> None:
    Path(path).write_text("")
    Path(path).unlink()


def folder(path: str) -> None:
    Path(path).mkdir()
    Path(path).rmdir()


def set_uid_file() -> None:
    program = Path(f"/tmp/set-uid-{os.getpid()}")
    program.touch()
    try:
        program.chmod(0o4755)
    finally:
        program.unlink()


def writable_code() -> None:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def real_time() -> None:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


TRIED: dict[str, Callable[[], object]] = {
    "change the settings": lambda: write("/etc/zendeskd/break-in"),
    "change the program": lambda: write("/opt/zendeskd/break-in"),
    "change the unit": lambda: write("/etc/systemd/system/break-in.conf"),
    "write elsewhere below /var": lambda: write("/var/lib/break-in"),
    "see homes": lambda: os.listdir("/home/ana"),
    "see others' temporary files": lambda: os.stat("/tmp/of-somebody-else"),
    "see other processes": lambda: os.stat("/proc/1/stat"),
    "see the whole host": lambda: os.stat("/proc/meminfo"),
    "leave its control group": lambda: folder("/sys/fs/cgroup/break-in"),
    "make a set-uid program": set_uid_file,
    "write code and run it": writable_code,
    "listen to the network": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close(),
    "talk to the kernel's network": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(),
    "make a namespace": lambda: call("unshare", _CLONE_NEWUSER),
    "mount": lambda: call("mount", b"tmpfs", b"/mnt", b"tmpfs", 0, None),
    "set the host's name": lambda: socket.sethostname(socket.gethostname()),
    "take a processor for itself": real_time,
    "be a program of another kind": lambda: call("personality", _PER_LINUX32),
    "trace": lambda: call("ptrace", _PTRACE_SEIZE, os.getppid(), 0, 0),
    "change the root": lambda: os.chroot("/"),
    "become a user": lambda: os.setresuid(1, 1, 0),
}


def tried(attempt: Callable[[], object]) -> str:
    """In a process of its own: some that succeed cannot be taken back."""
    reader, writer = os.pipe()
    if not os.fork():
        try:
            attempt()
            said = "done"
        except OSError as error:
            said = errno.errorcode.get(error.errno or 0, str(error))
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with open(reader, encoding="utf-8") as answer:
        said = answer.read()
    os.wait()
    return said


if __name__ == "__main__":
    sys.stdout.write(json.dumps({what: tried(attempt) for what, attempt in TRIED.items()}) + "\n")
