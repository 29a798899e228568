"""Organisations whose Zendesk hangs, floods or talks rubbish: what it costs them, the others, and memory."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.fixtures.daemons import DaemonProcess
from tests.fixtures.fleets import Fleet
from tests.fixtures.loopback import Loopback, MemoryDoor, Reply
from tests.waiting import wait_for
from zendeskd.connectors.waits import Time
from zendeskd.connectors.zendesk import ZendeskConnector
from zendeskd.models import Bearer, Health, RunRow, RunStatus, Secret, State, StoredCredential
from zendeskd.runs import ahead
from zendeskd.simulator import Simulator

BODIES = json.loads((Path(__file__).parent.parent / "data" / "zendesk-error-bodies.json").read_bytes())
MIB = 1024 * 1024
FASTER = 75
"""Of the clock by which a stall is measured: five minutes in four seconds. Sockets keep their own time."""


class Hurried(Time):
    """Waits before another try are short; everything else is real."""

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return event.wait(seconds / 100)


def page_of(*tickets: str | bytes, more: str = '"end_of_stream":true,"after_cursor":"c"') -> bytes:
    bodies = [one.encode() if isinstance(one, str) else one for one in tickets]
    return b'{"tickets":[' + b",".join(bodies) + b"]," + more.encode() + b"}"


def ticket(number: object, **fields: str) -> str:
    known = {"generated_timestamp": "1790000000", "updated_at": '"2026-09-21T10:00:00Z"', **fields}
    return f'{{"id":{number},' + ",".join(f'"{name}":{value}' for name, value in known.items()) + "}"


@pytest.fixture
def servers() -> Iterator[Callable[[Reply], Loopback]]:
    """`servers(reply)` is a source that answers everything like that."""
    with ExitStack() as stack:

        def make(reply: Reply) -> Loopback:
            server = stack.enter_context(Loopback())
            server.script = [reply]
            return server

        yield make


@pytest.fixture
def world(fleet: Fleet, simulator: Simulator) -> Fleet:
    """A fleet on the real connector, whose stalls come sooner; every organisation has the same token."""
    account = simulator.add_account("good", tickets=30, body_bytes=50)
    fleet.door = MemoryDoor(StoredCredential(Bearer(Secret(account.bearer))))
    fleet.connector = ZendeskConnector(Hurried())  # type: ignore[assignment]
    for number in range(3):
        fleet.add(f"good-{number}", base_url=account.base_url)
    return fleet


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Options of jobs that look more often, on a clock that runs faster."""
    monkeypatch.setattr(ahead, "SLICE_S", ahead.SLICE_S / FASTER)
    return {"monotonic": lambda: time.monotonic() * FASTER}


def ended(fleet: Fleet, org: str, timeout_s: float = 60) -> RunRow:
    rows = wait_for(
        lambda: [row for row in fleet.rows(org) if row.status not in {RunStatus.QUEUED, RunStatus.RUNNING}],
        f"the end of a run of {org}",
        timeout_s,
    )
    return rows[-1]


def peak_mib() -> float:
    """The most memory this process had since `forget_peak`."""
    return next(
        int(line.split()[1]) / 1024 for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line
    )


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


NEVER = threading.Event()
HANGING = {
    "accepts and says nothing": Reply({}, hold=NEVER),
    "drips a body": Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{", drip=NEVER),
    "hints without end": Reply(raw=b"", flood=b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20),
}


@pytest.mark.parametrize("how", HANGING)
def test_more_sources_that_hang_than_there_are_workers_hold_up_nobody(
    how: str, world: Fleet, servers: Callable[[Reply], Loopback], hasty: dict[str, object]
) -> None:
    hanging = 3 if "hints" in how else 6
    for number in range(hanging):
        world.add(f"bad-{number}", base_url=servers(HANGING[how]).url)
    before = {f"good-{number}" for number in range(3)}
    for org in before:  # last in the queue
        one = world.store.fleet.integration(org, "zendesk")
        world.store.fleet.change(one.id, is_active=False, state=State.STOPPED)
    jobs = world.start(workers=2, **hasty)
    wait_for(lambda: len([view for view in jobs.views() if view.run is not None]) >= 2, "both workers to be held")
    for org in sorted(before):
        jobs.start(org, "zendesk", "ana")
    for org in before:
        assert ended(world, org).status is RunStatus.SUCCESS
    rows = [ended(world, f"bad-{number}") for number in range(hanging)]
    for row in rows:
        assert (row.status, row.error_code) == (RunStatus.FAILED, "network_error")
        assert "stalled" in (row.error_message or "")
    last = max(world.rows(org)[0].synced_at for org in before)  # type: ignore[type-var]
    assert last < min(row.synced_at for row in rows), "they waited for a stall to end"  # type: ignore[operator, type-var]
    # the next time it is known that they hang: however many there are, they have half of the workers
    for number in range(hanging):
        one = jobs.view(f"bad-{number}", "zendesk").integration
        jobs.clock.bring_forward(f"integration-{one.id}", one.last_sync_at)
    wait_for(lambda: [view for view in jobs.views() if view.run is not None], "one to hang again")
    jobs.trigger("good-0", "zendesk", "ana")
    wait_for(lambda: len(world.rows("good-0")) == 2 and world.rows("good-0")[0].status is RunStatus.SUCCESS, "a run", 5)


def test_a_source_that_asks_to_come_back_later_holds_no_worker(
    world: Fleet, servers: Callable[[Reply], Loopback]
) -> None:
    world.connector = ZendeskConnector()  # type: ignore[assignment] - whose waits are as long as they are
    world.add("away", base_url=servers(Reply({"error": "busy"}, status=503, headers={"Retry-After": "60"})).url)
    for number in range(3):
        one = world.store.fleet.integration(f"good-{number}", "zendesk")
        world.store.fleet.change(one.id, is_active=False, state=State.STOPPED)
    jobs = world.start(workers=1)
    wait_for(lambda: jobs.view("away", "zendesk").state is State.RETRYING, "it to wait")
    for number in range(3):
        jobs.start(f"good-{number}", "zendesk", "ana")
    for number in range(3):
        assert ended(world, f"good-{number}", 30).status is RunStatus.SUCCESS
    assert jobs.view("away", "zendesk").state is State.RETRYING
    jobs.stop("away", "zendesk", "ana")
    assert ended(world, "away", 10).end_reason == "stopped"


GARBAGE: dict[str, tuple[Reply, str | None]] = {
    "nothing": (Reply(b""), "bad_response"),
    "binary": (Reply(bytes(range(256)) * 4000), "bad_response"),
    "a web page": (Reply(b"<html>" + b"x" * MIB), "bad_response"),
    "no utf-8": (Reply(page_of(b'{"id":1,"subject":"\xff\xfe\x80"}')), "bad_record"),
    "nested": (Reply(b"[" * 2_000_000), "bad_response"),
    "nested within": (Reply(page_of(ticket(1, via="[" * 100_000 + "]" * 100_000), ticket(2))), "bad_response"),
    "NaN": (Reply(page_of(ticket(1, generated_timestamp="NaN"))), "bad_response"),
    "endless number": (Reply(page_of(ticket(1, generated_timestamp="1e999"))), "bad_record"),
    "huge integers": (Reply(page_of(ticket("9" * 10_000), ticket(2), ticket(1, problem_id="9" * 400))), "bad_record"),
    "a million tags": (Reply(page_of(ticket(1, tags=json.dumps(["t"] * 1_000_000)))), None),
    "ids of another kind": (
        Reply(page_of(ticket('"7"'), ticket("null"), ticket("{}"), ticket("1.5"), ticket(3))),
        "bad_record",
    ),
    "tickets of another kind": (Reply(b'{"tickets":"none","end_of_stream":true}'), "bad_response"),
    "an array": (Reply(b"[1,2,3]"), "bad_response"),
    "a million zeros": (Reply(page_of(*["0"] * 1_000_000)), "bad_response"),
    "millions of tickets": (
        Reply(gzip.compress(page_of(*["{}"] * 5_000_000), 1), headers={"Content-Encoding": "gzip"}),
        "bad_response",
    ),
    "an error of millions": (
        Reply(
            gzip.compress(b'{"errors":[' + b"[]," * 3_900_000 + b"[]]}", 1), 500, headers={"Content-Encoding": "gzip"}
        ),
        "server_error",
    ),
    "packed a thousandfold": (
        Reply(gzip.compress(b" " * 300 * MIB), headers={"Content-Encoding": "gzip"}),
        "bad_response",
    ),
    "200 MB": (Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 209715200\r\n\r\n", flood=b" " * MIB), "bad_response"),
    "headers without end": (Reply(raw=b"HTTP/1.1 200 OK\r\n", flood=b"X-A: b\r\n" * 1000), "network_error"),
    "no HTTP": (Reply(raw=b"SSH-2.0-OpenSSH_9.2\r\n", close=True), "network_error"),
    "after the packed end": (
        Reply(
            raw=b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(page_of(ticket(1))),
            flood=b"\0" * MIB,
        ),
        None,
    ),
}
CLASSES = {401: "credential_error", 403: "permission_error", 500: "server_error", 503: "server_error"}


def test_rubbish_ends_its_own_run_with_its_class_and_costs_no_memory(
    world: Fleet, servers: Callable[[Reply], Loopback]
) -> None:
    for number, reply in enumerate(GARBAGE.values()):
        world.add(f"bad-{number}", base_url=servers(reply[0]).url)
    bodies = [one for one in BODIES if one["status"] not in {200, 429} and "too recent" not in one["when"]]
    for number, one in enumerate(bodies):
        world.add(f"error-{number}", base_url=servers(Reply(one["body"], one["status"])).url)
    forget_peak()
    before = peak_mib()
    world.start(workers=4)
    for org in ("good-0", "good-1", "good-2"):
        assert ended(world, org).status is RunStatus.SUCCESS
    for number, (what, (_, code)) in enumerate(GARBAGE.items()):
        row = ended(world, f"bad-{number}")
        status = {None: RunStatus.SUCCESS, "bad_record": RunStatus.PARTIAL}.get(code, RunStatus.FAILED)
        assert (row.status, row.error_code) == (status, code), (what, row.error_message)
    for number, one in enumerate(bodies):
        row = ended(world, f"error-{number}")
        assert row.status is RunStatus.FAILED, one
        assert row.error_code == CLASSES.get(one["status"], row.error_code), (one, row.error_message)
        assert row.error_code != "internal_error", (one, row.error_message)
    assert world.jobs is not None
    assert {view.health for view in world.jobs.views() if view.integration.organization_id[:4] == "good"} == {Health.OK}
    assert peak_mib() - before < 900


def test_pages_without_end_take_one_worker_and_no_memory(world: Fleet, servers: Callable[[Reply], Loopback]) -> None:
    server = servers(Reply({}))
    server.answer = lambda seen: Reply(page_of(more=f'"end_of_stream":false,"after_cursor":"c{len(server.seen)}"'))
    world.add("bad", base_url=server.url)
    jobs = world.start(workers=2)
    for org in ("good-0", "good-1", "good-2"):
        assert ended(world, org).status is RunStatus.SUCCESS
    wait_for(lambda: len(server.seen) > 300, "many pages")
    forget_peak()
    before = peak_mib()
    wait_for(lambda: len(server.seen) > 900, "many more")
    assert peak_mib() - before < 30
    assert [view.integration.organization_id for view in jobs.views() if view.run is not None] == ["bad"]
    jobs.cancel("bad", "zendesk", "ana")
    assert ended(world, "bad").status is RunStatus.CANCELLED


def test_the_whole_daemon_goes_on_beside_them(
    daemons: Callable[[], DaemonProcess], servers: Callable[[Reply], Loopback], simulator: Simulator
) -> None:
    """Two workers, two sources that hang and one that floods; then an organisation is added. It need not wait."""
    daemon = daemons().start("--workers", "2")
    account = simulator.add_account("good", tickets=300, body_bytes=50)
    replies = [HANGING["accepts and says nothing"], HANGING["drips a body"], GARBAGE["200 MB"][0]]
    for number, reply in enumerate(replies):
        daemon.add(f"bad-{number}", servers(reply).url, account.credential)
    wait_for(lambda: daemon.client.status().workers_busy >= 2, "both workers to be held")
    began = time.monotonic()
    daemon.add("good", account.base_url, account.credential)
    assert daemon.first_run("good").status == "success"
    assert time.monotonic() - began < 45
    assert len(daemon.stored("good")) == 300
    assert daemon.client.health().ok
    assert daemon.process is not None
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    assert int(next(line.split()[1] for line in status.splitlines() if "VmHWM" in line)) < 600 * 1024
    daemon.kill()
