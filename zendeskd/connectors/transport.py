"""One HTTP exchange: httpx with limits on time and size, without cookies, redirects or surprises.

httpx is imported here only (and by the client of the control socket). What goes wrong comes out as one of the
errors of `faults`.
"""

from __future__ import annotations

import contextlib
import io
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import httpx
import msgspec

from zendeskd import __version__
from zendeskd.connectors.faults import Answer, Redirected, Slow, TooLarge
from zendeskd.errors import BadResponse, NetworkError, RunError
from zendeskd.models import Secret
from zendeskd.redact import secrets_in, without
from zendeskd.threads import alarms

CONNECT_S: Final = 10.0
READ_S: Final = 60.0
WHOLE_S: Final = 120.0
MAX_BODY: Final = 64 * 1024 * 1024
MOST_VALUES: Final = 4_000_000
"""As many commas may a body hold. Each value becomes an object of fifty bytes and more, which a page of nothing but
`0,0,0` would turn into gigabytes; a thousand tickets with hundreds of custom fields each have a million."""

_context_lock = threading.Lock()
_context: ssl.SSLContext | None = None


def tls_context() -> ssl.SSLContext:
    """The process's one TLS context: making one costs 20 ms, and hundreds of sources open every few minutes.

    Trusts certifi's authorities, or those of SSL_CERT_FILE or SSL_CERT_DIR.
    """
    global _context  # noqa: PLW0603 - made lazily, once
    with _context_lock:
        if _context is None:
            _context = httpx.create_ssl_context()
            # as $SSLKEYLOGFILE may have set it: with that file a recorded call shows its credentials
            _context.keylog_filename = None  # type: ignore[assignment]
        return _context


class Request(msgspec.Struct, frozen=True):
    """What is asked. `path` is appended to the base URL; `body` is sent as JSON with POST, GET otherwise."""

    path: str
    params: Mapping[str, str | int] = {}
    body: Mapping[str, str | int] | None = None


class Transport:
    """One account's connection for one run. One thread at a time sends; any thread may close.

    `whole_s` limits a request from the first byte sent to the last received, however slowly they drip.
    """

    def __init__(
        self,
        base_url: str,
        *,
        read_s: float = READ_S,
        whole_s: float = WHOLE_S,
        max_body: int = MAX_BODY,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._host = urlsplit(base_url).netloc.rpartition("@")[2]
        self._whole_s = whole_s
        self._max_body = max_body
        self._lock = threading.Lock()
        self._busy = False
        self._closed = False
        self._sent = 0
        self._expired = 0  # number of the request that took too long
        self._stream: Any = None  # the network stream under the connection, to hang up from another thread
        self._client = httpx.Client(
            verify=tls_context(),
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(read_s, connect=CONNECT_S),
            limits=httpx.Limits(max_connections=1),
            cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
            headers={
                "User-Agent": f"zendeskd/{__version__}",
                "Accept": "application/json",
                "Accept-Encoding": "gzip",
            },
            transport=transport,
        )

    def send(self, request: Request, headers: Mapping[str, str]) -> Answer:
        """The answer, whatever its status, but for redirects. Raises NetworkError (Slow: took too long; Redirected)
        and BadResponse (cut short, undecodable; TooLarge)."""
        with self._lock:
            if self._closed:
                raise NetworkError("The connection was closed.")
            self._busy = True
            self._sent += 1
            number = self._sent
        try:
            with alarms.after(self._whole_s, lambda: self._expire(number)):
                return self._exchange(request, headers)
        except httpx.TransportError as error:
            raise self._fault(error, number) from error
        except (httpx.InvalidURL, UnicodeError) as error:
            raise NetworkError(f"The base URL of {self._host} is not one that can be called.") from error
        finally:
            with self._lock:
                self._busy = False
                closed = self._closed
            if closed:
                self._client.close()

    def close(self) -> None:
        """End the connection. A call that another thread is in fails soon. May be called twice; any thread."""
        with self._lock:
            self._closed = True
            busy = self._busy
        if busy:
            self._hang_up()  # the call fails in its own thread, which then closes the client
        else:
            self._client.close()

    def _exchange(self, request: Request, headers: Mapping[str, str]) -> Answer:
        url = self._base_url + request.path
        if request.params:
            url += "?" + urlencode(request.params)
        sent = secrets_in({**headers, **(request.body or {})})
        called_at = time.monotonic()
        with self._client.stream(
            "GET" if request.body is None else "POST",
            url,
            json=request.body,
            headers=dict(headers),
            extensions={"trace": self._trace},
        ) as response:
            after_s = time.monotonic() - called_at
            if response.is_redirect or 300 <= response.status_code < 400:
                elsewhere = without(_host_of(response.headers.get("location", "")), sent)
                raise Redirected(
                    f"{self._host} redirected the call to {elsewhere}.",
                    hint="Credentials are sent to no other host. Is the account renamed, moved or suspended? "
                    "Then give its new base URL.",
                    status=response.status_code,
                )
            try:
                whole = io.BytesIO()  # not a list: a body that comes in tiny chunks has millions of them
                for data in self._body(response, sent):
                    whole.write(data)
                body = whole.getvalue()
            except httpx.ReadTimeout:
                raise
            except httpx.TransportError as error:
                if self._expired == self._sent or self._closed:
                    raise
                raise BadResponse(f"The answer of {self._host} was cut short.", status=response.status_code) from error
            if self._expired == self._sent or self._closed:
                raise httpx.ReadError("hung up")  # a body without a length seems to end well there
            if len(body) > MOST_VALUES and body.count(b",") > MOST_VALUES:
                raise TooLarge(f"The answer of {self._host} holds too many values.", status=response.status_code)
            return Answer(
                status=response.status_code,
                headers={name.lower(): value for name, value in response.headers.items()},
                body=body,
                host=self._host,
                sent=sent,
                after_s=after_s,
            )

    def _body(self, response: httpx.Response, sent: tuple[Secret, ...]) -> Iterator[bytes]:
        """The body, unpacked here: httpx would neither limit what a few bytes unpack to nor miss a lost ending."""
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"gzip", "x-gzip", "identity", ""}:
            shown = without(encoding, sent)[:40]
            raise BadResponse(f"{self._host} packed its answer as {shown!r}, which was not asked for.")
        gzip = zlib.decompressobj(wbits=31) if "gzip" in encoding else None
        room, came = self._max_body, False
        for chunk in response.iter_raw():
            if gzip is not None and gzip.eof:
                return  # what follows is no part of it, and zlib would collect it for as long as it comes
            came = came or bool(chunk)
            try:
                data = chunk if gzip is None else gzip.decompress(chunk, room + 1)
            except zlib.error as error:
                raise BadResponse(f"The answer of {self._host} is damaged.", status=response.status_code) from error
            room -= len(data)
            if room < 0:
                raise TooLarge(
                    f"The answer of {self._host} is larger than {self._max_body // (1024 * 1024)} MiB.",
                    status=response.status_code,
                )
            yield data
        if gzip is not None and came and not gzip.eof:
            raise BadResponse(f"The answer of {self._host} was cut short.", status=response.status_code)

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        """httpx tells of each new connection; its stream is the only way to end a blocked read from outside."""
        if event in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            with self._lock:
                self._stream = info["return_value"]
                closed = self._closed
            if closed:
                self._hang_up()

    def _expire(self, number: int) -> None:
        with self._lock:
            if not self._busy or number != self._sent:
                return
            self._expired = number
        self._hang_up()

    def _hang_up(self) -> None:
        stream = self._stream
        sock = None if stream is None else stream.get_extra_info("socket")
        if sock is None:
            return
        with contextlib.suppress(OSError):  # the other side was quicker
            # not close(), which would not wake a thread that is reading; not the TLS socket's own shutdown(), which
            # takes the TLS layer from under that thread
            socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _fault(self, error: httpx.TransportError, number: int) -> RunError:
        if self._closed:
            return NetworkError("The connection was closed while a call was under way.")
        if self._expired == number:
            return Slow(f"{self._host} did not finish its answer within {self._whole_s:.0f} s.")
        if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
            return NetworkError(f"{self._host} did not take the connection within {CONNECT_S:.0f} s.", hint=_NETWORK)
        if isinstance(error, httpx.TimeoutException):
            return Slow(f"{self._host} sent nothing for {self._client.timeout.read or 0:.0f} s.")
        if isinstance(error, httpx.ConnectError):
            return self._unreachable(error)
        if isinstance(error, httpx.UnsupportedProtocol):
            return NetworkError(f"The base URL of {self._host} is not one that can be called.")
        return NetworkError(f"{self._host} ended the connection without an answer.")

    def _unreachable(self, error: BaseException) -> NetworkError:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return NetworkError(
                    f"The certificate of {self._host} is not valid: {cause.verify_message}.",
                    hint="A suspended account can lose its certificate; an intercepting proxy needs SSL_CERT_FILE.",
                )
            if isinstance(cause, ssl.SSLError):
                return NetworkError(f"No secure connection to {self._host}: {cause.reason or cause}.", hint=_NETWORK)
            if isinstance(cause, socket.gaierror):
                return NetworkError(f"The host name of {self._host} is not known.", hint=_NETWORK)
            if isinstance(cause, ConnectionRefusedError):
                return NetworkError(f"{self._host} refused the connection.", hint=_NETWORK)
            cause = cause.__cause__ or cause.__context__
        return NetworkError(f"{self._host} cannot be reached.", hint=_NETWORK)


_NETWORK: Final = "Check the base URL, this machine's network and its DNS."


def _host_of(location: str) -> str:
    try:
        parts = urlsplit(location)
        named = parts.hostname or ""
        return (named if parts.port is None else f"{named}:{parts.port}")[:100] or "another place on it"
    except ValueError:
        return "an unreadable address"
