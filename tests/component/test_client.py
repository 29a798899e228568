"""The client: both faces, and what it says when there is no daemon, or not the right one."""

from __future__ import annotations

import asyncio
import inspect
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.fixtures.control import Control
from zendeskd import calls
from zendeskd.client import ApiError, AsyncClient, Client, DaemonUnreachable, IncompatibleApi
from zendeskd.operations import OPERATIONS


@contextmanager
def answering(path: Path, answer: Callable[[socket.socket, bytes], None]) -> Iterator[None]:
    """A listener that does `answer` with each connection over which a request comes, and that request."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        done = threading.Event()

        def serve() -> None:
            while not done.is_set():
                connection, _ = listener.accept()
                with connection:
                    if request := connection.recv(65536):
                        answer(connection, request)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            done.set()
            with socket.socket(socket.AF_UNIX) as last:
                last.connect(str(path))
            thread.join()


def unreachable(path: Path, ask: Callable[[Client], object] = Client.status, **options: float) -> DaemonUnreachable:
    with Client(path, **options) as client, pytest.raises(DaemonUnreachable) as caught:  # type: ignore[arg-type]
        ask(client)
    return caught.value


# --- no daemon --------------------------------------------------------------------------------------------------------


def test_no_socket(short_dir: Path) -> None:
    error = unreachable(short_dir / "none")
    assert (error.code, error.reason) == ("daemon_unreachable", "missing")
    assert "systemctl status zendeskd" in error.hint
    assert "--socket" in error.hint
    assert str(short_dir / "none") in error.detail
    assert unreachable(short_dir / "none" / "deeper").reason == "missing"


def test_a_socket_that_nobody_listens_on(short_dir: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(short_dir / "s"))
    error = unreachable(short_dir / "s")
    assert (error.reason, error.hint) == ("refused", "systemctl restart zendeskd")
    (short_dir / "file").write_text("")
    assert unreachable(short_dir / "file").reason == "refused"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("closed", ["socket", "folder"])
def test_a_socket_that_is_not_for_us(short_dir: Path, closed: str) -> None:
    path = short_dir / "s"
    short_dir.chmod(0o755 if closed == "socket" else 0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o600)
        script = (
            "import grp, os, sys, zendeskd.client as c\n"
            "client = c.Client(sys.argv[1])\n"
            "try: client.status()\n"  # imports what is imported late, while it may still be read
            "except c.DaemonUnreachable as error: assert error.reason == 'refused'\n"
            "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
            "try: client.status()\n"
            "except c.DaemonUnreachable as error: print(error.reason, error.hint, sep='|')\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, path], check=False, capture_output=True, text=True, timeout=30
        )
    reason, _, hint = done.stdout.partition("|")
    assert reason == "permission", done.stderr
    assert hint.startswith("join the group root, which owns it")


def test_a_daemon_that_does_not_answer(short_dir: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(short_dir / "s"))
        listener.listen()
        error = unreachable(short_dir / "s", timeout_s=0.2)
    assert (error.reason, error.hint) == ("timeout", "journalctl -u zendeskd -n 50")
    assert f"pid {os.getpid()}" in error.detail, "the kernel knows who listens"


def test_a_daemon_with_no_room_for_us(short_dir: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(short_dir / "s"))
        listener.listen(0)
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(str(short_dir / "s"))
            assert unreachable(short_dir / "s", timeout_s=0.2).reason == "timeout"


def test_a_path_that_no_socket_can_have(short_dir: Path) -> None:
    error = unreachable(short_dir / ("x" * 120))
    assert (error.reason, "longer than 107 bytes" in error.detail) == ("missing", True)


def test_a_daemon_that_goes_away_amid_an_answer(short_dir: Path) -> None:
    asked = []

    def hang_up(connection: socket.socket, request: bytes) -> None:
        asked.append(request.split()[0])
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{")

    with answering(short_dir / "s", hang_up):
        assert unreachable(short_dir / "s").reason == "lost"
        assert asked == [b"GET", b"GET"], "what only looks is asked once more"
        asked.clear()
        error = unreachable(short_dir / "s", lambda client: client.trigger("acme"))
        assert asked == [b"POST"], "what changes something is not"
    assert error.reason == "lost"
    assert error.detail.endswith("whether it did what was asked is not known")


def test_a_connection_that_was_closed_while_it_was_kept_is_made_anew(new_control: Control) -> None:
    new_control.start()
    client = new_control.client()
    client.status()
    for connection in list(new_control.server._server.server_state.connections):
        connection.loop.call_soon_threadsafe(connection.transport.abort)
    assert client.status().boot_id == "boot-1"


def test_a_stream_that_breaks_off(short_dir: Path) -> None:
    hello = b'{"seq":1,"event":"hello","at":"2026-11-23T14:00:00.000Z"}\n'

    def one_line(connection: socket.socket, _: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n"
        connection.sendall(head + b"%x\r\n%s\r\n" % (len(hello), hello))

    with answering(short_dir / "s", one_line), Client(short_dir / "s") as client:
        events = client.events()
        assert next(events).event == "hello"
        with pytest.raises(DaemonUnreachable) as caught:
            next(events)
    assert caught.value.reason == "lost"


# --- not the right one ------------------------------------------------------------------------------------------------


def scripted(reply: httpx.Response) -> Client:
    return Client("unused", transport=httpx.MockTransport(lambda request: reply))


def test_another_api_number_is_incompatible() -> None:
    headers = {"zendeskd-api": "2", "zendeskd-version": "3.0.0"}
    with scripted(httpx.Response(200, json={}, headers=headers)) as client, pytest.raises(IncompatibleApi) as caught:
        client.status()
    assert "daemon 3.0.0" in caught.value.detail
    assert "API 2" in caught.value.detail
    assert caught.value.code == "incompatible_api"


@pytest.mark.parametrize(
    "reply",
    [
        httpx.Response(200, text="<html>"),
        httpx.Response(200, content=b"\xff"),
        httpx.Response(200, json={"items": 5}),
        httpx.Response(502, text="Bad Gateway"),
        httpx.Response(404, json={"error": "not found"}),
    ],
)
def test_an_answer_that_is_not_of_our_daemon_is_incompatible(reply: httpx.Response) -> None:
    with scripted(reply) as client, pytest.raises(IncompatibleApi):
        client.organizations()


def test_keys_of_a_newer_daemon_are_no_trouble() -> None:
    reply = httpx.Response(200, json={"schema": 1, "items": [], "colour": "red"})
    with scripted(reply) as client:
        assert client.organizations().items == []


def test_a_problem_is_told_as_it_came() -> None:
    problem = {"title": "Conflict", "status": 409, "code": "conflict", "detail": "It is blocked.", "hint": "Start it."}
    reply = httpx.Response(409, json=problem, headers={"content-type": "application/problem+json"})
    with scripted(reply) as client, pytest.raises(ApiError) as caught:
        client.trigger("acme")
    assert (caught.value.status, caught.value.detail, caught.value.hint) == (409, "It is blocked.", "Start it.")
    assert caught.value.problem.code == "conflict"


# --- both faces -------------------------------------------------------------------------------------------------------


def test_the_asynchronous_face_does_the_same(control: Control) -> None:
    control.add()

    async def scenario() -> tuple[str, bool, int]:
        async with AsyncClient(control.path, user_agent="zendeskd-tui/1.0.0") as client:
            status = await client.status()
            queued = await client.trigger("acme")
            with pytest.raises(ApiError):
                await client.organization("none")
            return status.boot_id, queued.joined, queued.run_id

    boot_id, joined, run_id = asyncio.run(scenario())
    assert (boot_id, joined) == ("boot-1", False)
    assert control.ended(run_id).requested_by == "root (dashboard)"


def test_the_asynchronous_face_says_the_same_without_a_daemon(short_dir: Path) -> None:
    async def scenario() -> list[str]:
        reasons = []
        async with AsyncClient(short_dir / "none") as client:
            for ask in (client.status, lambda: anext(client.events())):
                with pytest.raises(DaemonUnreachable) as caught:
                    await ask()
                reasons.append(caught.value.reason)
        return reasons

    assert asyncio.run(scenario()) == ["missing", "missing"]


def test_both_faces_have_one_method_per_operation_and_no_other() -> None:
    ours = {name for name, value in inspect.getmembers(calls, inspect.isfunction) if not name.startswith("_")}
    ours -= {"quote", "dataclass"}
    assert {one.name for one in OPERATIONS} <= ours
    for name in ours:
        assert hasattr(Client, name), name
        assert hasattr(AsyncClient, name), name
    assert ours - {one.name for one in OPERATIONS} == {"sync_status_one", "sync_config_one", "plan_resync"}


def test_names_with_odd_characters_stay_in_their_place() -> None:
    seen = []

    def look(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.raw_path.decode())
        return httpx.Response(404, json={}, headers={"content-type": "application/json"})

    with Client("unused", transport=httpx.MockTransport(look)) as client:
        for ask in (
            lambda: client.organization("a/../b?c#d"),
            lambda: client.trigger("a&b=c"),
            lambda: client.record("acme/zendesk/a/b"),
            lambda: client.links("acme/zendesk/ü"),
        ):
            with pytest.raises(IncompatibleApi):
                ask()
    assert seen == [
        "/api/organizations/a%2F..%2Fb%3Fc%23d",
        "/api/zendesk/sync-config?organizationId=a%26b%3Dc",
        "/api/records/acme/zendesk/a%2Fb",
        "/api/records/acme/zendesk/%C3%BC/links",
    ]


def test_the_client_is_quick_to_import_and_knows_nothing_behind_the_socket() -> None:
    script = "import sys, zendeskd.client; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=30)
    loaded = set(done.stdout.split())
    assert loaded.isdisjoint(
        {"starlette", "uvicorn", "structlog", "peewee", "schedule", "cryptography", "rich", "textual"}
    )


def test_httpx_is_whole_for_whoever_else_wants_it() -> None:
    script = "import zendeskd.client, httpx._main; print(callable(httpx._main.main))"
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True, timeout=30)
    assert done.stdout.strip() == "True" or "No module named 'rich'" in done.stderr
