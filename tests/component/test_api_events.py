"""The stream of live events: complete, in order, numbered; and honest about what a slow reader missed."""

from __future__ import annotations

import asyncio
import json
import socket
import threading

import httpx
import pytest

from tests.fixtures.control import Control
from tests.waiting import wait_for
from zendeskd.client import AsyncClient
from zendeskd.events import Broker, as_ndjson
from zendeskd.models import Secret


def test_hello_first_then_every_event_of_a_run(control: Control) -> None:
    control.add()
    client = control.client()
    events = client.events()
    hello = next(events)
    assert (hello.event, hello.boot_id, hello.version, hello.seq) == ("hello", "boot-1", "1.0.0", control.broker.seq)
    queued = control.client().trigger("acme")
    seen = []
    for event in events:
        seen.append(event)
        if event.run is not None and event.run.status == "success":
            break
    events.close()
    assert [event.seq for event in seen] == list(range(hello.seq + 1, hello.seq + 1 + len(seen)))
    runs = [event.run.status for event in seen if event.run is not None and event.run.id == queued.run_id]
    assert (runs[0], runs[-1]) == ("queued", "success")
    states = [event.item.state for event in seen if event.item is not None]
    assert {"queued", "running"} <= set(states)


def test_a_removed_one_is_told(control: Control) -> None:
    control.add()
    events = control.client().events()
    next(events)
    control.client().remove_organization("acme")
    told = next(event for event in events if event.event == "removed")
    events.close()
    assert (told.organization_id, told.system_type) == ("acme", "zendesk")


def test_the_status_says_which_events_it_contains(control: Control) -> None:
    """Subscribe, read the whole state, drop events up to its `seq`: nothing is missed and nothing comes twice."""
    control.add()
    events = control.client().events()
    next(events)
    control.client().start("acme")
    full = control.client().sync_status()
    later = [event for event in _until(control, events) if event.seq > full.seq and event.item is not None]
    state = later[-1].item if later else full.items[0]
    assert state is not None
    assert state.is_active
    events.close()


def _until(control: Control, events: object) -> list[object]:
    wait_for(lambda: control.client().sync_status_one("acme").last_status == "success")
    wait_for(lambda: control.client().sync_status_one("acme").run is None)
    control.broker.publish("daemon", message="mark")
    found = []
    for event in events:  # type: ignore[attr-defined]
        if event.message == "mark":
            return found
        found.append(event)
    raise AssertionError("the stream ended")


def test_lines_are_json_with_only_the_keys_they_need(control: Control) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(str(control.path))
        sock.sendall(b"GET /api/events HTTP/1.0\r\nhost: x\r\n\r\n")
        stream = sock.makefile("rb")
        head = [stream.readline() for _ in range(3)]
        while stream.readline().strip():
            pass
        assert head[0].startswith(b"HTTP/1.1 200")
        assert set(json.loads(stream.readline())) == {"seq", "event", "at", "bootId", "version"}
        control.broker.publish("log", log={"event": "page stored", "org": "acme", "odd": {1, 2}, "key": Secret("hush")})
        line = json.loads(stream.readline())
        stream.close()
    assert set(line) == {"seq", "event", "at", "log"}
    assert line["log"]["key"] == "Secret(***)"


def test_the_same_as_server_sent_events(control: Control) -> None:
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(control.path))) as client:
        with client.stream("GET", "http://zendeskd/api/events", headers={"accept": "text/event-stream"}) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            lines = response.iter_lines()
            assert [next(lines), next(lines)] == ["id: 0", "event: hello"]
            assert json.loads(next(lines).removeprefix("data: "))["bootId"] == "boot-1"
            assert next(lines) == ""
            control.broker.publish("daemon", message="hi")
            assert [next(lines), next(lines)] == ["id: 1", "event: daemon"]


def test_a_heartbeat_comes_in_quiet_seconds(control: Control) -> None:
    events = control.client().events(heartbeat_s=1, ticks=True)
    assert next(events).event == "hello"  # type: ignore[union-attr]
    assert next(events) is None
    control.broker.publish("daemon", message="hi")
    assert next(events).message == "hi"  # type: ignore[union-attr]
    events.close()
    for bad in ("0", "61", "x"):
        reply = control.http("GET", "/api/events", params={"heartbeatS": bad})
        assert (reply.status_code, reply.json()["field"]) == (422, "heartbeatS")
    assert control.http("GET", "/api/events?since=4").status_code == 422


def test_the_asynchronous_client_sees_the_same(control: Control) -> None:
    async def both() -> list[object]:
        async with AsyncClient(control.path) as client:
            events = client.events(heartbeat_s=1, ticks=True)
            found: list[object] = [(await anext(events)).event]  # type: ignore[union-attr]
            found.append(await anext(events))
            control.broker.publish("daemon", message="hi")
            found.append((await anext(events)).message)  # type: ignore[union-attr]
            await events.aclose()
        return found

    assert asyncio.run(both()) == ["hello", None, "hi"]


def test_many_threads_publish_without_a_gap(control: Control) -> None:
    events = control.client().events()
    next(events)

    def publish() -> None:
        for _ in range(50):
            control.broker.publish("daemon", message="x")

    threads = [threading.Thread(target=publish) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert [next(events).seq for _ in range(400)] == list(range(1, 401))
    for thread in threads:
        thread.join()
    events.close()


# --- the broker alone -------------------------------------------------------------------------------------------------


def test_a_slow_reader_loses_the_oldest_and_sees_the_gap() -> None:
    async def scenario() -> list[int]:
        broker = Broker("b", "1", kept=10)
        broker.attach(asyncio.get_running_loop())
        stream = broker.stream(as_ndjson)
        seqs = [json.loads(await anext(stream))["seq"]]
        for _ in range(25):
            broker.publish("daemon", message="x")
        await asyncio.sleep(0)
        seqs += [json.loads(line)["seq"] for line in (await anext(stream)).splitlines()]
        await stream.aclose()  # type: ignore[attr-defined]
        return seqs

    assert asyncio.run(scenario()) == [0, *range(16, 26)]


def test_hello_and_the_first_event_are_neighbours_whatever_is_on_its_way() -> None:
    async def scenario() -> list[int]:
        broker = Broker("b", "1")
        broker.publish("daemon", message="before any loop")
        broker.attach(asyncio.get_running_loop())
        broker.publish("daemon", message="published, not yet sent")
        stream = broker.stream(as_ndjson)
        seqs = [json.loads(await anext(stream))["seq"]]
        await asyncio.sleep(0)
        seqs += [json.loads(line)["seq"] for line in (await anext(stream)).splitlines()]
        await stream.aclose()  # type: ignore[attr-defined]
        return seqs

    assert asyncio.run(scenario()) == [1, 2]


def test_closing_sends_what_is_there_and_ends() -> None:
    async def scenario() -> list[str]:
        broker = Broker("b", "1")
        broker.attach(asyncio.get_running_loop())
        stream = broker.stream(as_ndjson)
        await anext(stream)
        broker.publish("daemon", message="last")
        await asyncio.sleep(0)
        broker.close()
        broker.publish("daemon", message="too late")
        return [json.loads(line)["message"] async for line in stream]

    assert asyncio.run(scenario()) == ["last"]


def test_publishing_after_the_loop_has_gone_is_counted_and_harmless() -> None:
    broker = Broker("b", "1")

    async def attach() -> None:
        broker.attach(asyncio.get_running_loop())

    asyncio.run(attach())
    assert [broker.publish("daemon", message="x"), broker.seq] == [1, 1]


@pytest.mark.parametrize("odd", [float("nan"), b"bytes", object(), {1: 2}, {(1, 2): 3}, "\ud800"])
def test_odd_values_in_a_log_line_never_stop_the_publisher(odd: object) -> None:
    broker = Broker("b", "1")
    assert broker.publish("log", log={"odd": odd}) == 1
