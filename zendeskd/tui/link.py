"""The live connection: subscribe, take a snapshot, apply what is newer, come back by itself. asyncio, no Textual."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Final, Literal, Protocol

from zendeskd import __version__, present, wire
from zendeskd.address import Address
from zendeskd.client import ApiError, AsyncClient, DaemonUnreachable, IncompatibleApi
from zendeskd.errors import ZendeskdError
from zendeskd.models import SYSTEMS, stamp
from zendeskd.ssh import NotLetIn, Tunnel
from zendeskd.tui.state import Connection, Fleet, LogLine

DELAYS_S: Final = (1.0, 2.0, 4.0, 8.0, 10.0)
"""Before each try to reconnect; the last one for ever."""

HEARTBEAT_S: Final = 5
FROZEN_S: Final = 12.0
"""Without even a heartbeat for so long the daemon is taken to hang."""

STATUS_EVERY_S: Final = 5.0
"""The daemon's own status is asked for again after something happened, and no more often than this."""

Severity = Literal["information", "warning", "error"]


class Listener(Protocol):
    """Who is told. Called in the event loop; must not block or raise."""

    def changed(self) -> None: ...  # something to draw
    def happened(self, event: wire.Event) -> None: ...  # each event newer than the snapshot
    def tell(self, text: str, severity: Severity = "information") -> None: ...
    def phase_changed(self) -> None: ...
    def reloaded(self) -> None: ...  # events were lost; the fleet was read again


class Link:
    """Fills `fleet` until `run` is cancelled. `tunnel`: what leads to a daemon elsewhere; set up again before a try if
    it is down. Belongs to one event loop."""

    def __init__(
        self,
        client: AsyncClient,
        fleet: Fleet,
        listener: Listener,
        *,
        now: Callable[[], datetime],
        tunnel: Tunnel | None = None,
        delays_s: Sequence[float] = DELAYS_S,
        frozen_s: float = FROZEN_S,
    ) -> None:
        self._client, self._fleet, self._listener, self._tunnel = client, fleet, listener, tunnel
        self._address = Address(client.path) if tunnel is None else tunnel.address
        self._now, self._delays_s, self._frozen_s = now, delays_s, frozen_s
        self._at_once = asyncio.Event()
        self._boot_id: str | None = None
        self._told_versions = False
        self._status_is_old, self._status_at = False, 0.0

    def reconnect(self) -> None:
        """Do not wait for the next try."""
        self._at_once.set()

    async def run(self) -> None:
        while True:
            try:
                if self._tunnel is not None:
                    await self._tunnel.reopen()
                await self._follow()
            except NotLetIn as error:
                await self._give_up(error.reason, error)
                continue
            except DaemonUnreachable as error:
                why = error if self._tunnel is None else await self._tunnel.why(error)
                self._lose(why.reason, why.detail, why.hint)
            except ApiError as error:
                self._lose("permission" if error.status == 403 else "refused by it", error.detail, error.hint)
            except IncompatibleApi as error:
                await self._give_up("incompatible", error)
                continue
            await self._pause()

    # --- while connected ------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        """Until the stream ends or breaks. Raises what the client raises."""
        async with aclosing(self._client.events(heartbeat_s=HEARTBEAT_S, ticks=True)) as events:
            hello: wire.Event | None = None
            newest = snapshot = 0
            while True:
                try:
                    async with asyncio.timeout(self._frozen_s):
                        event = await anext(events, _END)
                except TimeoutError:
                    raise self._frozen() from None
                if event is _END:
                    raise self._ended()
                if isinstance(event, wire.Event):
                    if hello is None:
                        hello, newest = event, event.seq
                        snapshot = await self._snapshot()
                        self._connected(hello)
                    else:
                        if event.seq > newest + 1:
                            snapshot = await self._reload()
                        newest = event.seq
                        self._take(event, snapshot)
                self._fleet.heard_at = self._now() + self._fleet.skew
                await self._look_at_the_daemon()

    async def _snapshot(self) -> int:
        """Read everything, at once: over ssh each way there and back takes its time. -> the number of the newest event
        that is in it."""
        fleet = asyncio.gather(*(self._client.sync_status(system) for system in SYSTEMS))
        lists, _ = await asyncio.gather(fleet, self._read_status())
        self._fleet.replace(item for one in lists for item in one.items)
        self._fleet.heard_at = self._now() + self._fleet.skew
        return min(one.seq for one in lists)

    async def _reload(self) -> int:
        """Events were lost on the way: never silently."""
        snapshot = await self._snapshot()
        at = stamp(self._now() + self._fleet.skew)
        self._fleet.add_line(LogLine(at, "warn", "", "feed skipped, reloaded", ""))
        self._listener.reloaded()
        self._listener.changed()
        return snapshot

    async def _read_status(self) -> None:
        self._fleet.set_daemon(await self._client.status(), self._now())
        self._status_is_old, self._status_at = False, time.monotonic()

    async def _look_at_the_daemon(self) -> None:
        if self._status_is_old and time.monotonic() - self._status_at >= STATUS_EVERY_S:
            await self._read_status()
            self._listener.changed()

    def _take(self, event: wire.Event, snapshot: int) -> None:
        if event.seq > snapshot or event.event in {"log", "daemon"}:
            self._fleet.apply(event)
        if event.event in {"run", "daemon", "removed"}:
            self._status_is_old = True
        self._listener.happened(event)
        self._listener.changed()

    def _connected(self, hello: wire.Event) -> None:
        self._fleet.connection = Connection("live")
        daemon = self._fleet.daemon
        if self._boot_id not in {None, hello.boot_id} and daemon is not None:
            began = present.clock(daemon.started_at, self._now(), zone=False)
            self._listener.tell(f"daemon restarted {began} (pid {daemon.pid})", "warning")
        self._boot_id = hello.boot_id
        if daemon is not None and daemon.version != __version__ and not self._told_versions:
            self._told_versions = True
            said = f"daemon {present.clean(daemon.version)}, viewer {__version__}"
            self._listener.tell(f"{said}: restart the daemon to use new features", "warning")
        self._listener.phase_changed()

    # --- while not ------------------------------------------------------------------------------------------------

    def _ended(self) -> DaemonUnreachable:
        detail = f"the daemon ended the connection ({self._address}): it stops or restarts"
        return DaemonUnreachable("lost", detail, hint=self._address.command("systemctl status zendeskd"))

    def _frozen(self) -> DaemonUnreachable:
        pid = "" if self._fleet.daemon is None else f" (pid {self._fleet.daemon.pid})"
        detail = f"the daemon{pid} is there but does not answer on {self._address}"
        if self._tunnel is not None:
            detail = f"nothing comes from {self._address}: the daemon{pid} hangs, or the way to it stalls"
        return DaemonUnreachable("timeout", detail, hint=self._address.command("journalctl -u zendeskd -n 50"))

    def _lose(self, reason: str, detail: str, hint: str) -> None:
        before, now = self._fleet.connection, self._now()
        attempt = before.attempt + 1
        self._fleet.connection = Connection(
            phase="lost",
            reason=reason,
            detail=present.clean(detail),
            hint=present.clean(hint),
            attempt=attempt,
            lost_at=before.lost_at or now,
            next_try_at=now + timedelta(seconds=self._delay_s(attempt)),
        )
        self._listener.phase_changed()

    async def _give_up(self, reason: str, error: ZendeskdError) -> None:
        """Versions too far apart, or a question of ssh: trying again helps only after somebody did something."""
        self._fleet.connection = Connection(
            "given up", reason, present.clean(error.detail), present.clean(error.hint), lost_at=self._now()
        )
        self._listener.phase_changed()
        await self._at_once.wait()
        self._at_once.clear()

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._delay_s(self._fleet.connection.attempt)):
                await self._at_once.wait()
        self._at_once.clear()

    def _delay_s(self, attempt: int) -> float:
        return self._delays_s[min(max(attempt, 1), len(self._delays_s)) - 1]


_END: Final = object()
