"""Binding the control socket, who called, and callers that stall or flood."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import msgspec
import pytest

from tests.fixtures.control import Control, raw_http
from tests.waiting import wait_for
from zendeskd import wire
from zendeskd.connection import Limits, Peer, peer_of
from zendeskd.control_socket import AlreadyRunning, ControlServer, bind_control_socket
from zendeskd.errors import ConfigError, StorageError

GET_HEALTH = b"GET /api/health HTTP/1.1\r\nhost: zendeskd\r\nconnection: close\r\n\r\n"
GET_STATUS = GET_HEALTH.replace(b"health", b"status")


def problem_of(answer: bytes) -> wire.Problem:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    return msgspec.json.decode(body, type=wire.Problem)


# --- binding ----------------------------------------------------------------------------------------------------------


def test_the_socket_has_its_mode_and_group_and_goes_away_at_the_end(short_dir: Path) -> None:
    path = short_dir / "run" / "control.sock"
    before = os.umask(0o022)
    try:
        with bind_control_socket(path, gid=os.getgid(), environ={}) as bound:
            assert stat.S_ISSOCK(path.stat().st_mode)
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
            assert not bound.activated
            assert os.umask(0o022) == 0o022, "the umask is put back"
        assert not path.exists()
        assert path.with_name("control.sock.lock").exists(), "unlinking a lock file would be a race"
        bound.close()  # twice does no harm
    finally:
        os.umask(before)


def test_a_second_one_is_refused_with_the_pid_of_the_first(short_dir: Path) -> None:
    with bind_control_socket(short_dir / "s", environ={}):
        with pytest.raises(AlreadyRunning, match=f"pid {os.getpid()}"):
            bind_control_socket(short_dir / "s", environ={})
        assert (short_dir / "s").exists(), "the one that was refused leaves the socket alone"
    with bind_control_socket(short_dir / "s", environ={}):
        pass


def test_a_stale_socket_is_replaced(short_dir: Path) -> None:
    path = short_dir / "s"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    with bind_control_socket(path, environ={}), socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(path))


@pytest.mark.parametrize("kind", ["file", "folder", "link", "dangling", "fifo", "link to a socket"])
def test_what_is_not_a_socket_is_never_removed(short_dir: Path, kind: str) -> None:
    path, target = short_dir / "s", short_dir / "target"
    with socket.socket(socket.AF_UNIX) as other:
        if kind == "link to a socket":
            other.bind(str(target))
            other.listen()
        elif kind != "dangling":
            target.write_text("precious")
        if kind == "file":
            path.write_text("precious")
        elif kind == "folder":
            path.mkdir()
        elif kind == "fifo":
            os.mkfifo(path)
        else:
            path.symlink_to(target)
        there, mode = target.exists(), path.lstat().st_mode
        with pytest.raises(ConfigError, match="is not a socket"):
            bind_control_socket(path, environ={})
    assert path.lstat().st_mode == mode
    assert target.exists() == there
    assert not target.is_file() or target.read_text() == "precious"


def test_a_long_path_is_refused_with_a_sentence(short_dir: Path) -> None:
    with pytest.raises(ConfigError, match="longer than 107 bytes"):
        bind_control_socket(short_dir / ("x" * 107), environ={})


def test_a_folder_that_cannot_be_made_is_refused_with_a_sentence(short_dir: Path) -> None:
    (short_dir / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be made"):
        bind_control_socket(short_dir / "file" / "s", environ={})


@pytest.mark.parametrize("is_locked", [False, True])
def test_a_fault_that_passes_is_none_of_the_configuration(is_locked: bool, short_dir: Path) -> None:
    """Exit code 2 would mean that the service manager never tries again."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free + is_locked, before[1]))  # one more file, or none
    try:
        with pytest.raises(StorageError, match="cannot be made: Too many open files"):
            bind_control_socket(short_dir / "s", environ={})
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    bind_control_socket(short_dir / "s", environ={}).close()


def test_a_lock_file_that_is_a_link_is_not_followed(short_dir: Path) -> None:
    (short_dir / "s.lock").symlink_to(short_dir / "elsewhere")
    with pytest.raises(ConfigError, match=r"s\.lock is there and is no lock file: move it away"):
        bind_control_socket(short_dir / "s", environ={})
    assert not (short_dir / "elsewhere").exists()


RACER = """
import sys
from pathlib import Path
from zendeskd.control_socket import AlreadyRunning, bind_control_socket
sys.stdin.readline()
try:
    bound = bind_control_socket(Path(sys.argv[1]), environ={})
except AlreadyRunning as error:
    print("refused", error.detail, flush=True)
else:
    print("won", flush=True)
    sys.stdin.readline()
    bound.close()
"""


def test_of_several_processes_exactly_one_wins_and_a_killed_one_leaves_no_trace(short_dir: Path) -> None:
    path = short_dir / "s"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))

    def race(count: int) -> tuple[list[subprocess.Popen[str]], list[str]]:
        racers = [
            subprocess.Popen([sys.executable, "-c", RACER, path], stdin=-1, stdout=-1, text=True) for _ in range(count)
        ]
        for racer in racers:
            racer.stdin.write("go\n")  # type: ignore[union-attr]
            racer.stdin.flush()  # type: ignore[union-attr]
        return racers, [racer.stdout.readline().strip() for racer in racers]  # type: ignore[union-attr]

    for _ in range(2):  # the second time on what the killed winner left
        racers, said = race(4)
        try:
            assert sorted(word.split()[0] for word in said) == ["refused", "refused", "refused", "won"]
            winner = racers[said.index("won")]
            assert all(f"pid {winner.pid})" in word or "pid ?" in word for word in said if word != "won")
            with socket.socket(socket.AF_UNIX) as caller:
                caller.connect(str(path))
        finally:
            for racer in racers:
                racer.kill()
                racer.wait(10)
                racer.stdin.close()  # type: ignore[union-attr]
                racer.stdout.close()  # type: ignore[union-attr]
        assert path.exists(), "kill -9 leaves the socket behind"


ACTIVATED = """
import os, socket, sys
from pathlib import Path
from zendeskd.control_socket import bind_control_socket
path = Path(sys.argv[1])
inherited = int(sys.argv[2])
if inherited != 3:
    os.dup2(inherited, 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
bound = bind_control_socket(path)
print(bound.activated, bound.socket.fileno(), os.get_inheritable(3))
bound.close()
"""


def test_a_socket_of_systemd_is_taken_over_and_stays(short_dir: Path) -> None:
    path = short_dir / "s"
    with socket.socket(socket.AF_UNIX) as given:
        given.bind(str(path))
        given.listen()
        done = subprocess.run(
            [sys.executable, "-c", ACTIVATED, path, str(given.fileno())],
            pass_fds=[given.fileno()],
            check=False,
            capture_output=True,
            text=True,
            timeout=30,
        )
    assert done.stdout.split() == ["True", "3", "False"], done.stderr
    assert path.exists()


def test_a_socket_that_was_meant_for_another_process_is_not_taken(short_dir: Path) -> None:
    environ = {"LISTEN_PID": str(os.getpid() + 1), "LISTEN_FDS": "1"}
    with bind_control_socket(short_dir / "s", environ=environ) as bound:
        assert not bound.activated


# --- who called -------------------------------------------------------------------------------------------------------


def test_the_kernel_says_who_called(standing: Control) -> None:
    standing.client().status()
    peer = standing.peers[-1]
    assert (peer.pid, peer.uid, peer.gid) == (os.getpid(), os.getuid(), os.getgid())
    assert peer.groups >= {os.getgid(), *os.getgroups()}


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_somebody_else_is_somebody_else(control: Control) -> None:
    control.path.chmod(0o666)
    control.folder.chmod(0o755)
    script = (
        "import os, socket, sys; os.setgroups([4242, 4243]); os.setgid(65534); os.setuid(65534);"
        "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        f"s.sendall({GET_STATUS!r}); print(s.recv(100))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, control.path], check=False, capture_output=True, text=True, timeout=30
    )
    assert "200 OK" in done.stdout, done.stderr
    peer = control.peers[-1]
    assert (peer.uid, peer.gid, peer.groups) == (65534, 65534, {65534, 4242, 4243})


def test_both_ends_of_a_pair_are_us() -> None:
    here, there = socket.socketpair(socket.AF_UNIX)
    with here, there:
        peer = peer_of(here)
    assert isinstance(peer, Peer)
    assert peer.pid == os.getpid()


# --- callers that stall -----------------------------------------------------------------------------------------------


def impatient(control: Control, **limits: float) -> Control:
    return control.start(limits=Limits(**{"head_s": 0.3, "body_s": 0.3, "unread_s": 0.3, **limits}))  # type: ignore[arg-type]


@pytest.mark.parametrize("sent", [b"", b"GET /api/health HT", b"GET /api/health HTTP/1.1\r\nhost: x\r\n"])
def test_who_does_not_send_a_request_is_hung_up_on(new_control: Control, sent: bytes) -> None:
    impatient(new_control)
    assert raw_http(new_control.path, sent) == b""
    assert raw_http(new_control.path, GET_HEALTH).startswith(b"HTTP/1.1 200")


def test_who_trickles_after_an_answer_is_hung_up_on(new_control: Control) -> None:
    impatient(new_control)
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(10)
        caller.connect(str(new_control.path))
        caller.sendall(GET_HEALTH.replace(b"connection: close\r\n", b""))
        assert caller.recv(65536).startswith(b"HTTP/1.1 200")
        caller.sendall(b"GET /api")
        while caller.recv(65536):
            pass


def test_a_body_that_does_not_come_is_a_408(new_control: Control) -> None:
    impatient(new_control)
    answer = raw_http(new_control.path, b"POST /api/reconcile HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{")
    assert answer.startswith(b"HTTP/1.1 408")
    assert problem_of(answer).code == "body_too_slow"


def test_who_does_not_read_its_answer_is_hung_up_on_and_costs_nobody_anything(new_control: Control) -> None:
    impatient(new_control)
    for number in range(40):
        new_control.add(f"org-{number}")
    with socket.socket(socket.AF_UNIX) as caller:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        caller.settimeout(10)
        caller.connect(str(new_control.path))
        caller.sendall(b"GET /api/zendesk/sync-status HTTP/1.1\r\nhost: x\r\n\r\n" * 20)
        # pipelined, the unread answers pass any buffer; ours must end it, since the caller does not
        wait_for(lambda: not connections(new_control), "the connection's end")
        assert raw_http(new_control.path, GET_HEALTH).startswith(b"HTTP/1.1 200")


def test_a_stream_that_is_never_read_is_ended_and_the_others_get_every_event(new_control: Control) -> None:
    impatient(new_control)
    events = new_control.client().events()
    assert next(events).event == "hello"
    with socket.socket(socket.AF_UNIX) as sleeper:
        sleeper.connect(str(new_control.path))
        sleeper.sendall(b"GET /api/events HTTP/1.1\r\nhost: x\r\n\r\n")
        wait_for(lambda: new_control.broker.streams == 2, "both streams")
        for number in range(3000):
            new_control.broker.publish("log", log={"event": "x" * 1000, "number": number})
            if number % 100 == 99:  # the reader keeps up
                seen = [next(events).seq for _ in range(100)]
                assert seen == list(range(number - 98, number + 2))
        wait_for(lambda: new_control.broker.streams == 1, "the end of the stream that is not read")
    events.close()


def test_a_stream_that_nobody_reads_holds_up_no_end(new_control: Control, caplog: pytest.LogCaptureFixture) -> None:
    new_control.start()
    with socket.socket(socket.AF_UNIX) as sleeper:
        sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sleeper.connect(str(new_control.path))
        sleeper.sendall(b"GET /api/events HTTP/1.1\r\nhost: x\r\n\r\n")
        wait_for(lambda: new_control.broker.streams == 1, "the stream")
        for _ in range(3000):
            new_control.broker.publish("log", log={"event": "x" * 1000})
        wait_for(lambda: unread(new_control), "what nobody reads")
        assert new_control.server.stop()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def unread(control: Control) -> bool:
    return any(one.transport.get_write_buffer_size() for one in control.server._server.server_state.connections)


def connections(control: Control) -> int:
    return len(control.server._server.server_state.connections)


# --- callers that flood -----------------------------------------------------------------------------------------------


def test_idle_connections_make_room_for_new_ones(new_control: Control) -> None:
    new_control.start(limits=Limits(connections=8))
    idle = []
    try:
        for _ in range(30):
            caller = socket.socket(socket.AF_UNIX)
            caller.connect(str(new_control.path))
            idle.append(caller)
        assert raw_http(new_control.path, GET_HEALTH).startswith(b"HTTP/1.1 200")
        wait_for(lambda: connections(new_control) <= 8, "the idle ones to go")
    finally:
        for caller in idle:
            caller.close()


def test_connections_that_are_all_in_use_are_not_cut_off(new_control: Control) -> None:
    new_control.start(limits=Limits(connections=2, streams=8))
    first, second = new_control.client().events(), new_control.client().events()
    assert next(first).event == next(second).event == "hello"
    answer = raw_http(new_control.path, GET_HEALTH)
    assert answer.startswith(b"HTTP/1.1 503")
    assert problem_of(answer).code == "busy"
    new_control.broker.publish("daemon", message="still here")
    assert next(first).message == next(second).message == "still here"
    first.close()
    second.close()
    wait_for(lambda: connections(new_control) == 0)
    assert raw_http(new_control.path, GET_HEALTH).startswith(b"HTTP/1.1 200")


def test_an_answer_is_read_even_if_the_server_hangs_up_before_it_was_asked(short_dir: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(short_dir / "s"))
        listener.listen()

        def answer() -> None:
            with listener.accept()[0] as connection:
                connection.sendall(b"busy")

        server = threading.Thread(target=answer)
        server.start()
        assert raw_http(short_dir / "s", b"x" * 4_000_000) == b"busy"  # more than the socket holds
        server.join()


def test_streams_are_limited_and_leave_requests_alone(new_control: Control) -> None:
    new_control.start(limits=Limits(streams=4))  # one process may have a quarter
    stream = new_control.client().events()
    next(stream)
    refused = new_control.http("GET", "/api/events")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert refused.json()["detail"] == "too many event streams at a time"
    assert new_control.http("GET", "/api/status").status_code == 200
    stream.close()
    wait_for(lambda: new_control.broker.streams == 0)
    with new_control.client() as again:
        assert next(again.events()).event == "hello"


def test_requests_at_a_time_are_limited_and_health_still_answers(new_control: Control) -> None:
    new_control.start(limits=Limits(requests=4))
    began, go_on = threading.Event(), threading.Event()

    def slow_reload() -> wire.ReloadResult:
        began.set()
        assert go_on.wait(20)
        return wire.ReloadResult(changes=[])

    new_control.context.reload = slow_reload
    asking = threading.Thread(target=new_control.http, args=("POST", "/api/reload"))
    asking.start()
    try:
        assert began.wait(10)
        refused = new_control.http("GET", "/api/status")
        assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, "busy", "1")
        assert new_control.http("GET", "/api/health").status_code == 200
    finally:
        go_on.set()
        asking.join(10)
    assert new_control.http("GET", "/api/status").status_code == 200


def test_health_answers_while_every_thread_is_taken(new_control: Control) -> None:
    new_control.start()
    go_on = threading.Event()
    new_control.context.reload = lambda: wire.ReloadResult(changes=[]) if go_on.wait(20) else None  # type: ignore[assignment, return-value]
    asking = [threading.Thread(target=new_control.http, args=("POST", "/api/reload")) for _ in range(6)]
    try:
        for one in asking:
            one.start()
        assert new_control.http("GET", "/api/health").status_code == 200
    finally:
        go_on.set()
        for one in asking:
            one.join(10)


def test_a_flood_is_slowed_down_and_then_refused(new_control: Control) -> None:
    new_control.start(limits=Limits(rate_per_s=0.1, burst=3))
    codes = [new_control.http("GET", "/api/health").status_code for _ in range(5)]
    assert codes[:3] == [200, 200, 200]
    refused = new_control.http("GET", "/api/health")
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")


# --- what is not HTTP, and what is too long ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello\r\n\r\n",
        b"GET /api/health HTTP/1.1\r\n\r\n",  # no host
        b"GET /api/health HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n",
        b"GET /api/health HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 70_000,
        b"POST /api/reload HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /api/reload HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
    ],
)
def test_what_is_not_http_is_a_400_problem(standing: Control, sent: bytes) -> None:
    answer = raw_http(standing.path, sent)
    assert answer.startswith(b"HTTP/1.1 400")
    assert problem_of(answer).code == "invalid_http"


def test_garbage_behind_a_request_hangs_up_without_harm(standing: Control) -> None:
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(10)
        caller.connect(str(standing.path))
        caller.sendall(b"POST /api/reload HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n")
        with contextlib.suppress(ConnectionResetError):
            while caller.recv(65536):
                pass
    assert raw_http(standing.path, GET_HEALTH).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_long_is_a_413(control: Control, chunked: bool) -> None:
    body = b"x" * (1024 * 1024 + 1)

    def pieces() -> object:
        for at in range(0, len(body), 65536):
            yield body[at : at + 65536]

    reply = control.http("POST", "/api/organizations", content=pieces() if chunked else body)
    assert (reply.status_code, reply.json()["code"]) == (413, "body_too_large")
    assert control.audit() == []


def test_an_import_may_be_longer_and_is_limited_too(control: Control) -> None:
    padding = " " * (2 * 1024 * 1024)
    reply = control.http("POST", "/api/organizations/import", content='{"organizations": []' + padding + "}")
    assert reply.status_code == 200
    reply = control.http("POST", "/api/organizations/import", content=b" " * (16 * 1024 * 1024 + 1))
    assert reply.status_code == 413


def test_a_caller_that_goes_away_amid_its_body_is_forgotten(control: Control) -> None:
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(control.path))
        caller.sendall(b"POST /api/reload HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{")
        wait_for(lambda: connections(control) == 1)
    wait_for(lambda: connections(control) == 0)
    assert raw_http(control.path, GET_HEALTH).startswith(b"HTTP/1.1 200")


# --- the end ----------------------------------------------------------------------------------------------------------


def test_stopping_ends_streams_after_what_was_sent_and_removes_the_socket(new_control: Control) -> None:
    new_control.start()
    events = new_control.client().events()
    next(events)
    new_control.broker.publish("daemon", message="stopping")
    assert new_control.server.stop()
    assert [event.message for event in events] == ["stopping"]
    new_control.stop()
    assert not new_control.path.exists()


def test_a_request_that_hangs_does_not_keep_the_server_from_stopping(new_control: Control) -> None:
    new_control.start()
    began, go_on = threading.Event(), threading.Event()

    def hang() -> wire.ReloadResult:
        began.set()
        go_on.wait(30)
        return wire.ReloadResult(changes=[])

    new_control.context.reload = hang

    def ask() -> None:
        with contextlib.suppress(httpx.TransportError):
            new_control.http("POST", "/api/reload")

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        assert began.wait(10)
        assert new_control.server.stop(), "the thread has to end, whatever its workers do"
    finally:
        go_on.set()
        asking.join(10)


def test_a_server_that_cannot_serve_says_so_at_the_start(new_control: Control) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.close()
    server = ControlServer(new_control.start().server._server.config.app, dead, new_control.broker)
    with pytest.raises(ConfigError, match="did not start"):
        server.start()
    assert server.stop()
