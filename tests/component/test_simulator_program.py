"""The simulator as a process of its own, and its control API."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable

import httpx
import pytest

from tests.fixtures.simulated import Asker
from tests.waiting import wait_for
from zendeskd.errors import ConfigError
from zendeskd.simulator import Simulator, main
from zendeskd.simulator.program import live

Ask = Callable[..., Asker]


@pytest.fixture
def control(simulator: Simulator) -> Callable[[str, object], httpx.Response]:
    def call(path: str, body: object = None) -> httpx.Response:
        address = f"{simulator.url}/_simulator/{path}"
        return httpx.get(address, trust_env=False) if body is None else httpx.post(address, json=body, trust_env=False)

    return call


Control = Callable[..., httpx.Response]


def test_everything_can_be_done_from_outside(simulator: Simulator, control: Control, ask: Ask) -> None:
    made = control("accounts", {"name": "acme", "tickets": 30, "kind": "api_token"})
    assert made.status_code == 201
    (known,) = control("accounts").json()
    assert known == made.json()
    assert known["baseUrl"] == f"{simulator.url}/accounts/acme"
    assert (known["credential"]["kind"], known["tickets"]) == ("api_token", 30)
    account = simulator.accounts["acme"]
    assert control("accounts/acme/delete", {"which": [3]}).json() == {"ids": [3]}
    assert len(control("accounts/acme/add", {"count": 2}).json()["ids"]) == 2
    lines = control("accounts/acme/tickets").content.splitlines()
    assert lines == list(account.tickets().values())
    assert control("accounts/acme/faults", {"kind": "html", "times": 1}).status_code == 201
    assert ask(account).export(start_time=0).headers["content-type"].startswith("text/html")
    assert control("accounts/acme/requests").json()[0]["fault"] == "html"
    assert control("accounts/acme/revoke-token", {}).status_code == 200
    assert account.token is None
    before = simulator.clock.seconds()
    control("clock", {"advance": 600})
    assert simulator.clock.seconds() - before > 599


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("accounts", {"name": "Not A Name"}, 422),
        ("accounts", {"name": "acme"}, 422),
        ("accounts", {"tickets": 3}, 422),
        ("accounts", [], 422),
        ("accounts/acme/change", {"which": [999]}, 422),
        ("accounts/acme/faults", {"kind": "nonsense"}, 422),
        ("accounts/acme/explode", {}, 404),
        ("accounts/nobody/change", {}, 404),
        ("accounts/nobody/tickets", None, 404),
        ("accounts/nobody/requests", None, 404),
        ("clock", {"advance": -1}, 422),
    ],
)
def test_nonsense_from_outside_is_refused(
    simulator: Simulator, control: Control, path: str, body: object, status: int
) -> None:
    simulator.add_account("acme", tickets=5)
    answer = control(path, body)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_live_keeps_every_account_busy(simulator: Simulator) -> None:
    account = simulator.add_account("acme", tickets=30)
    before, stop = account.rows.version, threading.Event()
    busy = threading.Thread(target=live, args=(simulator, stop), kwargs={"every_s": 0.001})
    busy.start()
    try:
        wait_for(lambda: account.rows.version > before + 10, "ten things to happen")
    finally:
        stop.set()
        busy.join(10)
    assert not busy.is_alive()


def test_the_program_says_what_there_is_serves_and_ends_on_a_signal() -> None:
    command = [sys.executable, "-c", "import sys; from zendeskd.simulator import main; sys.exit(main(sys.argv[1:]))"]
    options = ["--accounts", "2", "--tickets", "20", "--live", "--fault", "html=1"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout is not None
            said = json.loads(program.stdout.readline())
            assert [one["name"] for one in said["accounts"]] == ["account-1", "account-2"]
            first = said["accounts"][0]
            token = {"Authorization": f"Bearer {first['credentials']['bearer']['token']}"}
            address = f"{first['baseUrl']}/api/v2/incremental/tickets/cursor?start_time=0"
            answers = [httpx.get(address, headers=token, trust_env=False) for _ in range(2)]
            assert answers[0].headers["content-type"].startswith("text/html")
            assert answers[1].json()["tickets"]
            assert answers[1].headers["zendesk-ratelimit-incremental-exports"].startswith("total=10;")
            program.send_signal(signal.SIGTERM)
            _, errors = program.communicate(timeout=15)
            assert (program.returncode, errors) == (0, "")
        finally:
            program.kill()


def test_a_port_that_is_taken_and_a_fault_that_is_none_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen on port {port}"):
            main(["--port", str(port)])
    with pytest.raises(ConfigError, match="--fault nonsense is not a fault"):
        main(["--fault", "nonsense"])
    with pytest.raises(SystemExit) as usage:
        main(["--tickets", "-1"])
    assert usage.value.code == 2


def test_nothing_stays_behind(ask: Ask) -> None:
    before = set(threading.enumerate())
    simulator = Simulator()
    account = simulator.add_account("acme", tickets=5)
    simulator.start()
    asker = ask(account)
    assert asker.export(start_time=0).status_code == 200
    simulator.stop()
    simulator.stop()
    assert set(threading.enumerate()) == before
    with pytest.raises(httpx.TransportError):
        asker.export(start_time=0)
