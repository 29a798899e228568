"""The daemon's life as a process: lock, (detach), parts up, ready, signals, reload, drain, exit.

    main thread    waits for signals, feeds the watchdog
    scheduler      the clock: queues what is due
    worker-1..N    one piece of work each, with a thread that fetches and one that asks ahead while it reads pages
    housekeeping   the database's chores
    control        the event loop of the control socket, with a few threads for what blocks

No part is started before the process has its final form: python-daemon forks and closes descriptors.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final

import structlog
from daemon import DaemonContext  # type: ignore[import-untyped]  # ships neither types nor a marker

from zendeskd import __version__, heap, logs, notify, paths
from zendeskd.assembly import Assembly
from zendeskd.config import Config
from zendeskd.errors import ConfigError, Conflict, Damaged, StorageError, ZendeskdError
from zendeskd.lock import InstanceLock, holder, wait_for_exit

log = structlog.get_logger("zendeskd.daemon")

DRAIN_S: Final = 60.0
START_WITHIN_S: Final = 30.0
_LOCK_NAME: Final = "zendeskd.lock"
_BEAT_S: Final = 5.0
_TURN_S: Final = 0.001
"""How long a thread may keep the interpreter's lock from another. Python's own 5 ms are a tenth of what writing a page
takes, and a worker asks for the lock after each of its statements."""
_READY: Final = b"READY"

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2

Reload = Callable[[], Config]
"""Reads the settings again, as they were read at the start. Raises ConfigError."""


class _Wishes:
    """What signals ask for. Their handlers set a flag and nothing else; the main thread acts on it."""

    def __init__(self) -> None:
        self.stop = False
        self.reload = False
        self._any = threading.Event()

    def ask_stop(self, *_: object) -> None:
        self.stop = True
        self._any.set()

    def ask_reload(self, *_: object) -> None:
        self.reload = True
        self._any.set()

    def wait(self, seconds: float) -> None:
        self._any.wait(seconds)
        self._any.clear()


def run(config: Config, reload: Reload) -> int:
    """`zendeskd run`: in the foreground until SIGTERM or SIGINT. -> exit code. Raises nothing expected."""
    try:
        lock = _prepare(config)
    except ZendeskdError as error:
        return _complain(error)
    return _live(config, reload, lock, ready=lambda: None, stdout=sys.stdout, stderr=sys.stderr, detach=False)


def start(config: Config, reload: Reload) -> int:
    """`zendeskd start`: the same, detached. Returns 0 once the control socket answers, 1 if it never did."""
    try:
        lock = _prepare(config)
    except ZendeskdError as error:
        return _complain(error)
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        return _await_ready(config, reader, lock)
    os.close(reader)
    with config.log_file.open("ab", buffering=0) as out:

        def ready() -> None:
            with contextlib.suppress(OSError):  # the launcher gave up waiting
                os.write(writer, _READY)
            os.close(writer)

        code = _live(config, reload, lock, ready=ready, stdout=out, stderr=out, detach=True, keep=[writer])
    os._exit(code)


def stop(config: Config, timeout_s: float = DRAIN_S + 10) -> int:
    """`zendeskd stop`: ask the daemon of this state folder to end, wait until it has. 0 also if none was running."""
    try:
        pid = holder(config.state_dir / _LOCK_NAME)
    except OSError as error:
        _say(f"zendeskd: {config.state_dir}: {error.strerror}")
        return EXIT_FAILED
    if pid is None:
        _say("zendeskd: not running")
        return EXIT_OK
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return EXIT_OK
    except PermissionError:
        _say(f"zendeskd: pid {pid} belongs to another user\nstop it as that user, or as root")
        return EXIT_FAILED
    if wait_for_exit(pid, timeout_s):
        _say(f"zendeskd: stopped (pid {pid})")
        return EXIT_OK
    _say(f"zendeskd: pid {pid} has not ended within {timeout_s:.0f} s; it still finishes what it does")
    return EXIT_FAILED


@contextlib.contextmanager
def locked(config: Config) -> Iterator[None]:
    """No daemon of this state folder starts inside the block. Raises Conflict if one runs, and StorageError."""
    lock_file = config.state_dir / _LOCK_NAME
    try:
        lock = InstanceLock(lock_file)
    except Conflict:
        raise Conflict(
            f"The daemon of {config.state_dir} runs (pid {holder(lock_file) or '?'}); nothing was changed.",
            hint="Stop it first: systemctl stop zendeskd (or: zendeskd stop).",
        ) from None
    except OSError as error:
        raise StorageError(f"cannot lock {lock_file}: {error.strerror}", hint="run it as root") from None
    with lock:
        yield


def _prepare(config: Config) -> InstanceLock:
    """Folders and lock, before any fork, so that a refusal reaches the terminal."""
    # the operators' group need not be the daemon's: into the folder of the socket anybody may look, as the unit has it
    for folder, mode in ((config.state_dir, 0o750), (config.runtime_dir, 0o755), (config.log_dir, 0o750)):
        try:
            paths.make_folder(folder, mode)
        except OSError as error:
            raise StorageError(f"cannot make {folder}: {error.strerror}", hint=_hint(folder, error)) from None
    try:
        return InstanceLock(config.state_dir / _LOCK_NAME)
    except OSError as error:
        hint = _hint(config.state_dir, error)
        raise StorageError(f"cannot lock {config.state_dir / _LOCK_NAME}: {error.strerror}", hint=hint) from None


def _hint(folder: Path, error: OSError) -> str:
    if error.errno == errno.EROFS:
        return f"if it is the unit that keeps it read-only: systemctl edit zendeskd, [Service] ReadWritePaths={folder}"
    return "zendeskd check --show tells where each folder comes from"


def _live(
    config: Config,
    reload: Reload,
    lock: InstanceLock,
    *,
    ready: Callable[[], None],
    stdout: IO[bytes] | IO[str],
    stderr: IO[bytes] | IO[str],
    detach: bool,
    keep: list[int] | None = None,
) -> int:
    wishes = _Wishes()
    _dump_no_core()
    context = DaemonContext(
        detach_process=detach,
        umask=0o077,
        working_directory="/",
        prevent_core=False,  # by us, above
        pidfile=lock,
        files_preserve=[lock, *(keep or []), *_activated_sockets()],
        stdin=None,
        stdout=stdout,
        stderr=stderr,
        signal_map={
            signal.SIGTERM: wishes.ask_stop,
            signal.SIGINT: wishes.ask_stop,
            signal.SIGHUP: wishes.ask_reload,
            signal.SIGPIPE: None,
        },
    )
    with context:
        return _serve(config, reload, wishes, ready, foreground=not detach)


def _serve(config: Config, reload: Reload, wishes: _Wishes, ready: Callable[[], None], *, foreground: bool) -> int:
    heap.tune()
    sys.setswitchinterval(_TURN_S)
    assembly = Assembly(config, reload)
    with logs.setup(config, foreground=foreground, sink=assembly.publish_log) as logging:
        assembly.set_level = logging.set_level
        try:
            assembly.open()
        except ZendeskdError as error:
            log.error("cannot start", code=error.code, error=error.detail, hint=error.hint)
            assembly.close(0)
            # what another start cannot mend is not to be started again and again
            return EXIT_USAGE if isinstance(error, ConfigError | Damaged) else EXIT_FAILED
        log.info("ready", version=__version__, pid=os.getpid(), socket=str(config.control_socket))
        notify.notify("READY=1", f"STATUS={assembly.summary()}")
        ready()
        _watch(assembly, wishes)
        notify.notify("STOPPING=1")
        log.info("stopping", drain_s=DRAIN_S)
        drained = assembly.close(DRAIN_S)
        log.info("stopped", drained=drained)
    return EXIT_OK if drained else EXIT_FAILED


def _dump_no_core() -> None:
    """A core file would hold credentials. The limit 0 keeps the kernel from writing one, but not from piping it to a
    program that collects them; 1 keeps it from both."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    most = 0 if hard == 0 else 1
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))


def _watch(assembly: Assembly, wishes: _Wishes) -> None:
    """The main thread's life while the daemon is up: mends what died. The watchdog is fed only while every thread
    moves."""
    stuck: list[str] = []
    beat_s = min(_BEAT_S, notify.watchdog_interval() or _BEAT_S)
    while not wishes.stop:
        wishes.wait(beat_s)
        if wishes.reload:
            wishes.reload = False
            notify.reloading()
            try:
                assembly.reload()
            except ZendeskdError as error:
                log.error("reload refused, the old settings stay", error=error.detail, hint=error.hint)
            notify.notify("READY=1")
        assembly.mend()
        before, stuck = stuck, assembly.stuck()
        if stuck:
            if stuck != before:  # told once, not at every beat
                log.critical("a thread does not move", threads=stuck)
            continue
        if before:
            log.info("every thread moves again")
        notify.notify("WATCHDOG=1", f"STATUS={assembly.summary()}")


def _await_ready(config: Config, reader: int, lock: InstanceLock) -> int:
    """The launcher's half of `start`: 0 when the daemon says that it is ready."""
    told = select.select([reader], [], [], START_WITHIN_S)[0]
    came_up = bool(told) and os.read(reader, len(_READY)) == _READY
    os.close(reader)
    if not came_up:
        _say(f"zendeskd: failed to start, see {config.log_file}")
        return EXIT_FAILED
    _say(f"zendeskd: started (pid {holder(lock.path) or '?'}), socket {config.control_socket}")
    return EXIT_OK


def _activated_sockets() -> list[int]:
    """Descriptors handed over by systemd socket activation (sd_listen_fds(3))."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = os.environ.get("LISTEN_FDS", "0")
    return list(range(3, 3 + int(count))) if count.isdigit() else []


def _complain(error: ZendeskdError) -> int:
    _say(f"zendeskd: {error.detail}" + (f"\n{error.hint}" if error.hint else ""))
    return EXIT_FAILED if isinstance(error, Conflict | StorageError) else EXIT_USAGE


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
