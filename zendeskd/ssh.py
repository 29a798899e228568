"""The way to a daemon on another machine: the user's own ssh, which makes a socket here that leads to the one there.

    with Tunnel.opened(Address(Path("/run/zendeskd/control.sock"), "db1"), unasked="...", may_ask=True) as tunnel:
        Client(tunnel.socket, explain=tunnel.explain)

ssh ends with this program, however that ends (see `ssh_process`), and with the thread that opened the tunnel, which is
the main one therefore.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TypeVar

from zendeskd import ssh_faults, ssh_process
from zendeskd.address import Address
from zendeskd.client import DaemonUnreachable
from zendeskd.ssh_faults import Fault
from zendeskd.ssh_process import Places
from zendeskd.unreachable import Reason, explain_remote

if TYPE_CHECKING:
    from zendeskd.unreachable import Failure

T = TypeVar("T")

OPEN_S: Final = 45.0
ASKING_S: Final = 300.0
"""With a person who has to find a password or a telephone."""
SETTLE_S: Final = 0.5
"""A call fails a moment before ssh has said why, or has ended."""
LOOK_S: Final = 0.03
EXAMINE_S: Final = 5.0
END_S: Final = 3.0
HELD_S: Final = 0.3
"""What ssh says is shown only if it goes on after that: if it ended, the error says it."""
_HEARD_BYTES: Final = 1 << 20
_READ_BYTES: Final = 1 << 16


class NotLetIn(DaemonUnreachable):
    """ssh asks for what only a person can give. To try again by itself would get the account locked."""


class Tunnel:
    """One ssh, started again when it has ended and somebody opens the tunnel again. `unasked`: what to do where ssh
    would have to ask and may not. Belongs to one thread."""

    def __init__(self, address: Address, *, unasked: str, environ: Mapping[str, str] = os.environ) -> None:
        self.address = address
        self._unasked = unasked
        try:
            self._folder = ssh_process.new_folder(environ)
        except OSError as error:
            raise DaemonUnreachable("refused", f"there is no room for a socket ({error})") from None
        folder = self._folder.path
        self._places = Places(folder / "s", folder / "m", folder / "said")
        self.socket = self._places.socket
        self._process: subprocess.Popen[bytes] | None = None
        self._is_up = self._may_ask = False
        self._mark = 0  # how much of what ssh said is of no interest any more

    @classmethod
    def opened(
        cls,
        address: Address,
        *,
        unasked: str,
        may_ask: bool,
        timeout_s: float | None = None,
        relay: Callable[[str], None] | None = None,
    ) -> Self:
        """One that is open. Raises as `open` does, and leaves nothing behind then."""
        tunnel = cls(address, unasked=unasked)
        try:
            tunnel.open(may_ask=may_ask, timeout_s=timeout_s, relay=relay)
        except BaseException:
            tunnel.close()
            raise
        return tunnel

    @property
    def is_open(self) -> bool:
        return self._is_up and self._process is not None and self._process.poll() is None

    def open(
        self, *, may_ask: bool = False, timeout_s: float | None = None, relay: Callable[[str], None] | None = None
    ) -> None:
        """Returns when the socket is there. `may_ask`: a person sits at the terminal, whom ssh may ask for passwords
        and the like; `relay` gets what ssh says meanwhile. Raises DaemonUnreachable, NotLetIn among them."""
        if not self._is_fresh():
            self._waited_for(self._opening(may_ask, timeout_s, relay or _to_nobody))

    async def reopen(self) -> None:
        """As `open`, in an event loop, and without asking anybody."""
        import asyncio  # noqa: PLC0415 - not for zendeskctl

        if not self._is_fresh():
            for _ in self._opening(False, None, _to_nobody):
                await asyncio.sleep(LOOK_S)

    def explain(self, path: Path, error: Failure, /, *, changes: bool) -> tuple[Reason, str, str]:
        """Why a call got no answer: the words for a client. Takes half a second, five if the host has to be asked."""
        fault = self._waited_for(self._examining())
        if fault is None:
            return explain_remote(self.address, error, changes=changes)
        may_be_done = changes and not self.is_open
        detail = f"{fault.detail}; whether it did what was asked is not known" if may_be_done else fault.detail
        return fault.reason, detail, fault.hint

    def explain_at_once(self, path: Path, error: Failure, /, *, changes: bool) -> tuple[Reason, str, str]:
        """The same in an event loop, where nothing may wait; `why` finds out more."""
        return explain_remote(self.address, error, changes=changes)

    async def why(self, error: DaemonUnreachable) -> DaemonUnreachable:
        """A better reason for this error, if there is one."""
        import asyncio  # noqa: PLC0415 - not for zendeskctl

        examining = self._examining()
        try:
            while True:
                next(examining)
                await asyncio.sleep(LOOK_S)
        except StopIteration as found:
            fault: Fault | None = found.value
        finally:
            examining.close()
        return error if fault is None else DaemonUnreachable(fault.reason, fault.detail, hint=fault.hint)

    def close(self) -> None:
        """End ssh and leave nothing behind. May be called twice."""
        self._end()
        self._folder.remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    # --- up and down ----------------------------------------------------------------------------------------------
    # Generators that yield whenever there is something to wait for, so that the two faces differ by the waiting only.

    def _is_fresh(self) -> bool:
        """Whether it is open; what ssh said until now is not about the call that comes."""
        if not self.is_open:
            return False
        if self._length() > _HEARD_BYTES:  # one line for each call that found no daemon there, for weeks
            with contextlib.suppress(OSError):
                os.truncate(self._places.said, 0)
        self._mark = self._length()
        return True

    def _opening(
        self, may_ask: bool, timeout_s: float | None, relay: Callable[[str], None]
    ) -> Generator[None, None, None]:
        self._end()
        self._may_ask = may_ask
        limit_s = timeout_s or (ASKING_S if may_ask else OPEN_S)
        self._start(may_ask, limit_s)
        assert self._process is not None
        until, held = time.monotonic() + limit_s, _Held(relay)
        is_there = False
        while not is_there:
            is_there = self.socket.exists()
            yield  # also when it is: for a moment it is there and nobody listens
            said = self._heard()
            if (code := self._process.poll()) is not None:
                raise self._failed(said, code)
            is_flooding = self._length() > _HEARD_BYTES  # it would fill the disk
            is_refused = not is_there and "Could not request local forwarding" in said
            if is_flooding or is_refused or time.monotonic() >= until:
                self._end()
                raise self._failed(said, None)
            if may_ask:
                held.take(said)
        self._mark = self._length()
        self._is_up = True

    def _start(self, may_ask: bool, limit_s: float) -> None:
        connect_s = min(ssh_process.CONNECT_S, max(1, math.ceil(limit_s)))
        if (ssh := ssh_process.program()) is None:
            raise _raised(ssh_faults.no_ssh())
        try:
            self._process = ssh_process.start(ssh, self.address, self._places, may_ask=may_ask, connect_s=connect_s)
        except OSError as error:
            where = f"{error.strerror or error}: {error.filename or self._folder.path}"
            raise DaemonUnreachable("refused", f"ssh cannot be started ({where})") from None

    def _end(self) -> None:
        process, self._process, self._is_up, self._mark = self._process, None, False, 0
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for left in self._places:
            with contextlib.suppress(OSError):
                left.unlink()

    def _waited_for(self, steps: Generator[None, None, T]) -> T:
        try:
            while True:
                next(steps)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    if self._process is not None:
                        self._process.wait(LOOK_S)
        except StopIteration as ended:
            found: T = ended.value
            return found
        finally:
            steps.close()

    # --- why ------------------------------------------------------------------------------------------------------

    def _failed(self, said: str, code: int | None) -> DaemonUnreachable:
        return _raised(self._fault(said, code))

    def _fault(self, said: str, code: int | None) -> Fault:
        return ssh_faults.fault_of(self.address, said, code, unasked="" if self._may_ask else self._unasked)

    def _examining(self) -> Generator[None, None, Fault | None]:
        """Why a call failed: ssh has ended, or the host does not connect it. None if it is neither."""
        until = time.monotonic() + SETTLE_S
        while self._process is not None:
            said = self._heard(self._mark)
            if (code := self._process.poll()) is not None:
                return self._fault(self._heard(), code)
            line = next((line for line in ssh_faults.talk(said) if ssh_faults.OPEN_FAILED in line), None)
            if line is not None:
                self._mark = self._length()
                if (fault := ssh_faults.open_fault(self.address, line)) is not None:
                    return fault
                seen = yield from self._looking()
                fault = ssh_faults.open_fault(self.address, "", seen)
                return fault or ssh_faults.open_fault_unknown(self.address)
            if time.monotonic() >= until:
                break
            yield
        return None

    def _looking(self) -> Generator[None, None, str]:
        """See how it is with the socket on the host. "" where that does not work."""
        if (ssh := ssh_process.program()) is None:
            return ""
        until = time.monotonic() + EXAMINE_S
        try:
            process = ssh_process.run(ssh, self.address, self._places, ssh_faults.look_command(self.address))
        except OSError:
            return ""
        with process as looking:
            try:
                while looking.poll() is None:
                    if time.monotonic() >= until:
                        return ""
                    yield
                assert looking.stdout is not None
                return looking.stdout.read(4096).decode("utf-8", "replace")
            finally:
                looking.kill()

    def _heard(self, start: int = 0) -> str:
        """What ssh said since it was started, from that byte on; of very much the end."""
        try:
            with self._places.said.open("rb") as said:
                said.seek(max(start, self._length() - _READ_BYTES))
                return said.read(_READ_BYTES).decode("utf-8", "replace")
        except OSError:
            return ""

    def _length(self) -> int:
        try:
            return self._places.said.stat().st_size
        except OSError:
            return 0


class _Held:
    """Passes on the lines of ssh that it did not end with."""

    def __init__(self, relay: Callable[[str], None]) -> None:
        self._relay, self._passed, self._known, self._since = relay, 0, 0, 0.0

    def take(self, said: str) -> None:
        now, whole = time.monotonic(), said.rfind("\n") + 1
        if whole > self._known:
            self._known, self._since = whole, now
        elif whole > self._passed and now - self._since >= HELD_S:
            for line in ssh_faults.talk(said[self._passed : whole]):
                self._relay(line)
            self._passed = whole


def _to_nobody(line: str) -> None:
    """Where nobody sits."""


def _raised(fault: Fault) -> DaemonUnreachable:
    kind = NotLetIn if fault.is_final else DaemonUnreachable
    return kind(fault.reason, fault.detail, hint=fault.hint)


@contextlib.contextmanager
def ending_in_order() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the program as ctrl+c does, so that a tunnel is closed."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) == signal.SIG_DFL:
                before[number] = signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
