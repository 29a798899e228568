"""One exchange over a real socket: what it refuses, and that it always ends."""

from __future__ import annotations

import contextlib
import datetime
import gzip
import ipaddress
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.fixtures.loopback import Loopback, Reply
from tests.waiting import wait_for
from zendeskd.connectors import transport as transport_module
from zendeskd.connectors.faults import Redirected, Slow, TooLarge
from zendeskd.connectors.transport import MOST_VALUES, Request, Transport, tls_context
from zendeskd.errors import BadResponse, NetworkError, RunError

PING = Request("/ping", {"page[size]": 5})


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    with Loopback() as server:
        yield server


@pytest.fixture
def transport(loopback: Loopback) -> Iterator[Transport]:
    one = Transport(loopback.url, read_s=5, whole_s=20, max_body=1024 * 1024)
    yield one
    one.close()


def test_an_answer_comes_back_whatever_its_status(loopback: Loopback, transport: Transport) -> None:
    loopback.script = [Reply({"a": 1}, 418, {"X-Request-Id": "r-7", "X-Mixed-CASE": "v"})]
    answer = transport.send(PING, {"Authorization": "Bearer abc"})
    assert (answer.status, answer.body, answer.request_id) == (418, b'{"a": 1}', "r-7")
    assert answer.headers["x-mixed-case"] == "v"
    assert answer.date is not None
    (seen,) = loopback.seen
    assert (seen.method, seen.path, seen.params) == ("GET", "/ping", {"page[size]": "5"})
    assert seen.headers["authorization"] == "Bearer abc"
    assert seen.headers["user-agent"].startswith("zendeskd/")
    assert seen.headers["accept-encoding"] == "gzip"


def test_a_base_url_may_have_a_path_and_a_slash(loopback: Loopback) -> None:
    loopback.script = [Reply({})]
    transport = Transport(loopback.url + "/accounts/acme/")
    transport.send(Request("/api/v2/x"), {})
    transport.close()
    assert loopback.seen[0].path == "/accounts/acme/api/v2/x"


def test_a_body_is_posted_as_json(loopback: Loopback, transport: Transport) -> None:
    loopback.script = [Reply({}, 201)]
    assert transport.send(Request("/oauth/tokens", body={"grant_type": "x", "expires_in": 5}), {}).status == 201
    assert loopback.seen[0].method == "POST"
    assert loopback.seen[0].json == {"grant_type": "x", "expires_in": 5}


def test_one_connection_serves_many_requests_and_keeps_no_cookie(loopback: Loopback, transport: Transport) -> None:
    loopback.script = [Reply({}, headers={"Set-Cookie": "a=b; Path=/"})]
    for _ in range(3):
        transport.send(PING, {})
    assert loopback.connections == 1
    assert all("cookie" not in seen.headers for seen in loopback.seen)


def test_the_environments_proxy_is_not_used(loopback: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    loopback.script = [Reply({})]
    transport = Transport(loopback.url)
    assert transport.send(PING, {}).status == 200
    transport.close()


@pytest.mark.parametrize(
    ("location", "named"),
    [
        ("https://evil.example/api", "evil.example"),
        ("/login", "another place on it"),
        ("http://[bad", "an unreadable address"),
    ],
)
def test_a_redirect_is_refused_and_names_the_other_host(
    location: str, named: str, loopback: Loopback, transport: Transport
) -> None:
    loopback.script = [Reply(status=302, headers={"Location": location})]
    with pytest.raises(Redirected, match=named) as caught:
        transport.send(PING, {"Authorization": "Bearer s3cret"})
    assert len(loopback.seen) == 1
    assert caught.value.code == "network_error"
    assert "s3cret" not in caught.value.detail + caught.value.hint


def test_a_packed_answer_is_unpacked(loopback: Loopback, transport: Transport) -> None:
    loopback.script = [Reply(gzip.compress(b'{"a":1}'), headers={"Content-Encoding": "gzip"})]
    assert transport.send(PING, {}).body == b'{"a":1}'


@pytest.mark.parametrize(
    ("reply", "what"),
    [
        (Reply(gzip.compress(b"x" * 5000)[:-12], headers={"Content-Encoding": "gzip"}), "cut short"),
        (Reply(b"no gzip at all", headers={"Content-Encoding": "gzip"}), "damaged"),
        (Reply(b"xx", headers={"Content-Encoding": "br"}), "'br'"),
        (Reply(b"{}", headers={"Content-Length": "500"}, close=True), "cut short"),
        (
            Reply(raw=b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n', close=True),
            "cut short",
        ),
    ],
)
def test_a_damaged_answer_is_a_bad_response(reply: Reply, what: str, loopback: Loopback, transport: Transport) -> None:
    loopback.script = [reply]
    with pytest.raises(BadResponse, match=what):
        transport.send(PING, {})


@pytest.mark.parametrize(
    "raw", [b"", b"HTTP/1.1 2", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n"]
)
def test_a_connection_that_ends_without_an_answer_is_a_network_error(
    raw: bytes, loopback: Loopback, transport: Transport
) -> None:
    loopback.script = [Reply(raw=raw, close=True)]
    with pytest.raises(NetworkError, match=r"127\.0\.0\.1:\d+ ended the connection"):
        transport.send(PING, {})


def test_an_answer_that_is_too_large_is_not_read_to_its_end(loopback: Loopback, transport: Transport) -> None:
    loopback.script = [Reply(b" " * (2 * 1024 * 1024), close=True)]
    with pytest.raises(TooLarge, match="larger than 1 MiB"):
        transport.send(PING, {})


def test_a_small_answer_that_unpacks_to_a_huge_one_is_stopped(loopback: Loopback, transport: Transport) -> None:
    loopback.script = [
        Reply(gzip.compress(b"\0" * (200 * 1024 * 1024), 9), headers={"Content-Encoding": "gzip"}, close=True)
    ]
    with pytest.raises(TooLarge):
        transport.send(PING, {})


def test_what_follows_a_packed_answer_without_end_is_not_waited_for(loopback: Loopback, transport: Transport) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n"
    loopback.script = [Reply(raw=head + gzip.compress(b'{"tickets":[]}'), flood=b"\0" * 65536)]
    assert transport.send(PING, {}).body == b'{"tickets":[]}'


@pytest.mark.parametrize(
    ("raw", "flood", "error"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-Header: and one more\r\n", NetworkError),
        (b"HTTP/1.1 200 OK\r\nX-Long: ", b"x" * 65536, NetworkError),
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", NetworkError),
        (b"", b"x" * 65536, NetworkError),
        (b"HTTP/1.1 200 OK\r\n\r\n", b" " * 65536, TooLarge),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 209715200\r\n\r\n", b" " * 65536, TooLarge),
        (b"HTTP/1.1 500 Oops\r\n\r\n", b"<html>" * 10000, TooLarge),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"2\r\n{}\r\n" * 10000, RunError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1;" + b"x" * 65536, BadResponse),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
            b"X-Trailer: and one more\r\n",
            BadResponse,
        ),
    ],
)
def test_an_answer_without_end_is_ended(raw: bytes, flood: bytes, error: type[Exception], loopback: Loopback) -> None:
    loopback.script = [Reply(raw=raw, flood=flood)]
    transport = Transport(loopback.url, whole_s=3, max_body=1024 * 1024)
    with pytest.raises(error):
        transport.send(PING, {})
    loopback.script = [Reply({})]
    assert transport.send(PING, {}).status == 200
    transport.close()


def test_an_answer_of_millions_of_values_is_not_taken_apart(loopback: Loopback) -> None:
    loopback.script = [Reply(gzip.compress(b"0," * MOST_VALUES + b"0,0"), headers={"Content-Encoding": "gzip"})]
    roomy = Transport(loopback.url)
    with pytest.raises(TooLarge, match="too many values"):
        roomy.send(PING, {})
    roomy.close()


def test_a_server_that_says_nothing_is_slow(loopback: Loopback) -> None:
    release = threading.Event()
    loopback.script = [Reply({}, hold=release)]
    transport = Transport(loopback.url, read_s=0.2)
    with pytest.raises(Slow, match="sent nothing"):
        transport.send(PING, {})
    release.set()
    transport.close()


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nX-Long:",  # the headers never end
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{",  # the body drips
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}",  # and does not say how long it is
    ],
)
def test_an_answer_that_drips_for_ever_is_ended(raw: bytes, loopback: Loopback) -> None:
    loopback.script = [Reply(raw=raw, drip=threading.Event())]
    transport = Transport(loopback.url, read_s=30, whole_s=0.5)
    with pytest.raises(Slow, match="did not finish"):
        transport.send(PING, {})
    loopback.script = [Reply({})]
    assert transport.send(PING, {}).status == 200  # on a new connection
    transport.close()


@pytest.mark.parametrize(
    "reply",
    [
        Reply({}, hold=threading.Event()),
        Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", drip=threading.Event()),
    ],
)
def test_closing_from_another_thread_ends_a_blocked_call(reply: Reply, loopback: Loopback) -> None:
    loopback.script = [reply]
    transport = Transport(loopback.url, read_s=60)
    failed: list[Exception] = []

    def call() -> None:
        try:
            transport.send(PING, {})
        except NetworkError as error:
            failed.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    wait_for(lambda: loopback.seen, "the request to arrive")
    began = time.monotonic()
    transport.close()
    transport.close()
    thread.join(10)
    assert not thread.is_alive()
    assert time.monotonic() - began < 5
    assert "closed" in str(failed[0])
    with pytest.raises(NetworkError, match="closed"):
        transport.send(PING, {})


def test_calls_at_the_same_time_cost_no_thread_each(loopback: Loopback) -> None:
    release = threading.Event()
    loopback.script = [Reply({}, hold=release)]
    transports = [Transport(loopback.url) for _ in range(10)]
    before = set(threading.enumerate())
    callers = [threading.Thread(target=one.send, args=(PING, {})) for one in transports]
    for thread in callers:
        thread.start()
    wait_for(lambda: len(loopback.seen) == len(callers), "all to have called")
    more = {one.name for one in set(threading.enumerate()) - before - set(callers)}
    assert more <= {"loopback-connection", "time-limits"}
    release.set()
    for thread in callers:
        thread.join(10)
    for one in transports:
        one.close()


# --- hosts that cannot be reached -------------------------------------------------------------------------------------


def test_a_refused_connection_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    transport = Transport(f"http://127.0.0.1:{port}")
    with pytest.raises(NetworkError, match=rf"127\.0\.0\.1:{port} refused the connection") as caught:
        transport.send(PING, {})
    assert "base URL" in caught.value.hint
    transport.close()


@pytest.fixture
def nameless(monkeypatch: pytest.MonkeyPatch) -> None:
    """No name is known to the resolver."""

    def getaddrinfo(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.usefixtures("nameless")
def test_an_unknown_name_says_so() -> None:
    transport = Transport("http://no-such-host.invalid")
    with pytest.raises(NetworkError, match=r"host name of no-such-host\.invalid is not known"):
        transport.send(PING, {})
    transport.close()


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "nothing", "http://a\0b", "http://:1"])
def test_a_base_url_that_cannot_be_called_is_a_network_error(url: str) -> None:
    transport = Transport(url)
    with pytest.raises(NetworkError):
        transport.send(PING, {})
    transport.close()


@pytest.mark.usefixtures("nameless")
def test_user_info_in_the_base_url_is_not_shown() -> None:
    transport = Transport("http://ana:s3cret@no-such-host.invalid")
    with pytest.raises(NetworkError) as caught:
        transport.send(PING, {})
    assert "s3cret" not in caught.value.detail
    transport.close()


class _Failing(httpx.BaseTransport):
    def __init__(self, error: Exception) -> None:
        self.error = error

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        raise self.error


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (httpx.ConnectTimeout("x"), NetworkError, "did not take the connection within 10 s"),
        (httpx.PoolTimeout("x"), NetworkError, "did not take the connection"),
        (httpx.WriteTimeout("x"), Slow, "sent nothing"),
        (httpx.ConnectError("x"), NetworkError, "cannot be reached"),
        (httpx.ReadError("x"), NetworkError, "ended the connection"),
    ],
)
def test_failures_that_a_socket_seldom_shows(error: Exception, kind: type[Exception], words: str) -> None:
    transport = Transport("https://acme.zendesk.com", transport=_Failing(error))
    with pytest.raises(kind, match=words):
        transport.send(PING, {})
    transport.close()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key and a certificate that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path / "server.pem"
    path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def secured(certificate: Path) -> Iterator[tuple[int, threading.Event]]:
    """A TLS server that reads and never answers: its port, and whether a request came."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0))
    asked = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as tls:
            while tls.recv(4096):
                asked.set()

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()[1], asked
    thread.join(10)
    listener.close()
    assert not thread.is_alive()


def test_closing_ends_a_call_that_is_blocked_under_tls(
    secured: tuple[int, threading.Event], certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, asked = secured
    monkeypatch.setattr(transport_module, "_context", ssl.create_default_context(cafile=str(certificate)))
    transport = Transport(f"https://127.0.0.1:{port}", read_s=60)
    failed: list[str] = []

    def call() -> None:
        try:
            transport.send(PING, {})
        except NetworkError as error:
            failed.append(error.detail)

    thread = threading.Thread(target=call)
    thread.start()
    assert asked.wait(10)
    transport.close()
    thread.join(10)
    assert failed == ["The connection was closed while a call was under way."]


def test_a_certificate_that_is_not_valid_says_so(secured: tuple[int, threading.Event]) -> None:
    transport = Transport(f"https://127.0.0.1:{secured[0]}")
    with pytest.raises(NetworkError, match=r"certificate of 127\.0\.0\.1:\d+ is not valid: self") as caught:
        transport.send(PING, {})
    assert "suspended" in caught.value.hint
    transport.close()


def test_a_server_without_tls_says_so(loopback: Loopback) -> None:
    transport = Transport(loopback.url.replace("http://", "https://"), read_s=2)
    with pytest.raises(NetworkError):
        transport.send(PING, {})
    transport.close()


def test_no_keys_of_connections_are_written_down(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    script = "from zendeskd.connectors.transport import tls_context; print(tls_context().keylog_filename)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "SSLKEYLOGFILE": str(keys)},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == "None\n"


def test_one_tls_context_serves_the_process() -> None:
    assert tls_context() is tls_context()
