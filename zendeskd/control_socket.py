"""The control socket: bound by us under a lock, served by a thread, its callers known from the kernel.

uvicorn's own `uds=` is not used: it widens the mode to 0666, and asyncio removes the socket of a daemon that lives.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import stat
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import structlog
import uvicorn
from starlette.types import ASGIApp

from zendeskd import lock
from zendeskd.connection import Limits, PeerCredH11
from zendeskd.errors import ConfigError, Conflict, StorageError, refused
from zendeskd.events import Broker
from zendeskd.paths import make_folder

log = structlog.get_logger("zendeskd.control")

SOCKET_PATH_MAX: Final = 107
"""Bytes of a Unix socket's path: unix(7), `sun_path` less its end mark."""

BACKLOG: Final = 512
"""Callers that the kernel lets wait. Those beyond that it refuses if they have a time-out."""
ACCEPTED_AT_ONCE: Final = 32
"""Before those that are accepted are served again; they hold descriptors before room is made for them."""
GRACE_S: Final = 3
"""Seconds that requests going on get at the end."""
UNTAKEN_S: Final = 0.5
"""At the end, a caller who takes nothing of an answer for so long is not waited for."""

_FIRST_ACTIVATED_FD: Final = 3  # sd_listen_fds(3)


# --- binding ----------------------------------------------------------------------------------------------------------


class AlreadyRunning(Conflict):
    """Another process holds the control socket."""

    code = "already_running"


@dataclass(frozen=True, slots=True)
class Bound:
    """A listening socket that is ours. `activated`: systemd made it and keeps it, so it stays when we end."""

    socket: socket.socket
    path: Path
    lock: int | None
    activated: bool

    def close(self) -> None:
        """Close and, if we made it, remove the socket, then let go of the lock. May be called twice."""
        self.socket.close()
        if self.lock is None:
            return
        try:
            os.fstat(self.lock)
        except OSError:
            return
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()  # nobody else can have bound it: the lock is still ours
        os.close(self.lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()


def bind_control_socket(
    path: Path, mode: int = 0o660, gid: int | None = None, *, environ: Mapping[str, str] | None = None
) -> Bound:
    """A listening socket at `path`, with this mode from its first moment on.

    A lock on `PATH.lock` decides who owns the path, so a stale socket is removed without a race; the lock file itself
    is never removed. Main thread, before any other is started: the umask is the process's. Raises AlreadyRunning,
    ConfigError or StorageError.
    """
    if (handed := _activated(path, os.environ if environ is None else environ)) is not None:
        return Bound(handed, path, None, activated=True)
    if len(os.fsencode(path)) > SOCKET_PATH_MAX:
        raise ConfigError(
            f"the control socket's path is longer than {SOCKET_PATH_MAX} bytes: {path}",
            hint="set a shorter runtime_dir, or control.socket",
        )
    try:
        make_folder(path.parent, 0o755)  # who may is said by the socket
        held = _take(path)
    except OSError as error:
        raise _unusable(path, error) from None
    try:
        return Bound(_bind(path, mode, gid), path, held, activated=False)
    except OSError as error:
        os.close(held)
        raise _unusable(path, error) from None
    except BaseException:
        os.close(held)
        raise


def _lock_path(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def _take(path: Path) -> int:
    try:
        return lock.take(_lock_path(path))
    except lock.Held as held:
        raise AlreadyRunning(
            f"another zendeskd (pid {held.pid or '?'}) listens on {path}",
            hint="zendeskd stop ends it; another runtime_dir makes a second one",
        ) from None


def _bind(path: Path, mode: int, gid: int | None) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISSOCK(path.lstat().st_mode):
                raise ConfigError(
                    f"{path} is there and is not a socket", hint="move it away, or set another control.socket"
                )
            path.unlink()
        before = os.umask(0o777 & ~mode)  # so that there is no moment with wider rights
        try:
            sock.bind(str(path))
        finally:
            os.umask(before)
        if gid is not None:
            os.chown(path, -1, gid)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _unusable(path: Path, error: OSError) -> ConfigError | StorageError:
    hint = f"see who may write in {path.parent}, or set another runtime_dir"
    if error.errno == errno.EPERM:
        hint = "the daemon's user must be in the operators' group itself (in a unit: SupplementaryGroups=)"
    return refused(error, f"the control socket {path} cannot be made: {error.strerror or error}", hint=hint)


def _activated(path: Path, environ: Mapping[str, str]) -> socket.socket | None:
    """The socket that systemd bound to `path` for us (sd_listen_fds(3)), if it did."""
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return None
    count = environ.get("LISTEN_FDS", "")
    for number in range(_FIRST_ACTIVATED_FD, _FIRST_ACTIVATED_FD + (int(count) if count.isdigit() else 0)):
        try:
            sock = socket.socket(fileno=number)
        except OSError:
            continue
        if sock.family == socket.AF_UNIX and sock.getsockname() == str(path):
            os.set_inheritable(number, False)
            sock.setblocking(False)
            return sock
        sock.detach()
    return None


# --- serving ----------------------------------------------------------------------------------------------------------


class ControlServer:
    """Serves `app` on a bound socket, in a thread of its own. `start` and `stop` from any other thread."""

    def __init__(self, app: ASGIApp, sock: socket.socket, broker: Broker, *, limits: Limits | None = None) -> None:
        """`app` as `api.app.build_app` makes it: it finds `peer` in each request's state."""
        protocol = type("Connection", (PeerCredH11,), {"limits": limits or Limits(), "held": {}})
        config = uvicorn.Config(
            app,
            http=protocol,
            ws="none",
            lifespan="on",
            loop="asyncio",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            backlog=ACCEPTED_AT_ONCE,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=GRACE_S,
        )
        self._socket, self._config, self._broker = sock, config, broker
        self._begin()

    def _begin(self) -> None:
        self._server = _Server(self._config, self._broker)
        self._thread = threading.Thread(target=self._serve, name="control", daemon=True)

    def mend(self) -> bool:
        """Serve again if the thread died. -> whether it had. Raises ConfigError if it cannot. The thread of `stop`."""
        if self._thread.is_alive() or self._server.should_exit:
            return False
        self._begin()
        self.start()
        return True

    def start(self, timeout_s: float = 10.0) -> None:
        """Returns when it answers. Raises ConfigError if it does not get that far."""
        self._thread.start()
        self._server.decided.wait(timeout_s)
        if not self._server.is_answering:
            raise ConfigError("the control socket's server did not start", hint="the log has the reason")

    def stop(self, timeout_s: float = GRACE_S + 5.0) -> bool:
        """End streams at once, requests within a grace period. -> whether the thread ended."""
        self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        self._socket.close()  # nobody may connect any more
        return not self._thread.is_alive()

    def pulse_s(self) -> float:
        """Seconds since the event loop last moved."""
        return self._server.idle_s()

    def _serve(self) -> None:
        try:
            with self._socket.dup() as served:  # the loop closes what it is given, and may have to begin again
                self._server.run(sockets=[served])
        except (OSError, ValueError, SystemExit) as error:  # what asyncio and uvicorn make of a socket that is no good
            log.error("control socket ended", error=str(error))
        finally:
            self._server.decided.set()


class _Server(uvicorn.Server):
    """Attaches the broker to the loop, ends its streams first, and looks after connections that stall."""

    def __init__(self, config: uvicorn.Config, broker: Broker) -> None:
        super().__init__(config)
        self.decided = threading.Event()  # it answers, or it never will
        self.is_answering = False
        self._broker = broker
        self._loop: asyncio.AbstractEventLoop | None = None
        self._moved_at = 0.0

    def idle_s(self) -> float:
        return 0.0 if self._loop is None else self._loop.time() - self._moved_at

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        for sock in sockets or ():
            sock.listen(BACKLOG)  # asyncio has made its own number of it
        self._loop = asyncio.get_running_loop()
        self._moved_at = self._loop.time()
        self._broker.attach(self._loop)
        self.is_answering = True
        self.decided.set()

    async def on_tick(self, counter: int) -> bool:
        self._moved_at = asyncio.get_running_loop().time()
        if counter % 10 == 0:
            for connection in list(self.server_state.connections):
                if isinstance(connection, PeerCredH11):
                    connection.end_if_stalled(self._moved_at)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._broker.close()
        self._end_untaken({})
        await super().shutdown(sockets=sockets)
        for connection in list(self.server_state.connections):
            if isinstance(connection, PeerCredH11):
                connection.transport.abort()

    def _end_untaken(self, before: dict[PeerCredH11, int]) -> None:
        """Again and again until the loop ends: hang up where as much is left to be taken as `before`. Who reads on gets
        the rest; an answer that nobody takes would hold up the end, and uvicorn would report its own giving up."""
        left: dict[PeerCredH11, int] = {}
        for connection in list(self.server_state.connections):
            if isinstance(connection, PeerCredH11) and (size := connection.transport.get_write_buffer_size()):
                left[connection] = size
                if before.get(connection) == size:
                    connection.transport.abort()
        asyncio.get_running_loop().call_later(UNTAKEN_S, self._end_untaken, left)
