"""Requests that schemathesis makes up from the API's own description, sent to a real daemon that really syncs.

As many for each call as ZENDESKD_FUZZ_EXAMPLES says. What comes back must be as described: never a bug (500), and every
refusal a problem with a code and words. Calls that change things are among them, so organisations come, go and change
while it lasts; in the end the daemon is well, and a sync is complete.
"""

from __future__ import annotations

import copy
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from tests.fixtures.daemons import DaemonProcess
from tests.fixtures.described import DOCUMENT, misfits
from tests.fixtures.requests_over_unix import over_unix
from zendeskd.client import ApiError
from zendeskd.simulator import Account, Simulator

pytestmark = pytest.mark.e2e

EXAMPLES = int(os.environ.get("ZENDESKD_FUZZ_EXAMPLES", "10"))
TICKETS = 300

LIKELY: dict[str, list[object]] = {
    "organizationId": ["acme", "globex"],
    "org": ["acme", "globex"],
    "id": ["1", "2", "acme/zendesk/1", "acme/jira/1", "9" * 18, "9" * 40],
    "interval": ["*/30 * * * *", "@hourly", "0 0 30 2 *", "75 * * * *", "* * * * * *", "0 0 1 1 *"],
    "timezone": ["Europe/Berlin", "UTC", "../../etc/passwd", "Nowhere", "/UTC", "Europe", "localtime", ""],
    "lookback": ["7d", "all", "100000w", "0d", "9" * 5000 + "d", "١d"],
    "since": [
        "all",
        "30d",
        "100000w",
        "2026-01-01",
        "0001-01-01",
        "9999-12-31T23:59:59+14:00",
        "0001-01-01T00:00:00+14:00",
    ],
    "until": ["2099-01-01T08:00:00Z", "9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59.999999Z", "2099-01-01"],
    "after": ["1", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "\x00", "9" * 30],
    "strategy": ["export", "list", "guess"],
    "name": ["Acme Ltd", "\x00", "\ud7ff\ufffe", "x" * 201],
    "other": ["1", "2", "jira/OPS-7", "zendesk/\x00", "/", "a/" + "b" * 198],
    "relation": ["related_to", "Related To"],
    "reason": ["migration", "\x00", "\u202e", "x" * 501],
    "q": ["ticket", '"', "a*", "NEAR(a b)", "-", "\x00", "a" * 2000],
    "tag": ["vip", "%", "\x00"],
}
"""Values near those that people give, by the name of the key: chance alone finds no organisation and no schedule."""


def likely(node: Any) -> Any:
    """The description, with these values offered beside anything else that fits."""
    if isinstance(node, list):
        return [likely(one) for one in node]
    if not isinstance(node, dict):
        return node
    found = {key: likely(one) for key, one in node.items()}
    for name, schema in list(found.get("properties", {}).items()):
        if name in LIKELY and isinstance(schema, dict):
            found["properties"][name] = {"anyOf": [{"enum": LIKELY[name]}, schema]}
    if found.get("in") in {"path", "query"} and found["name"] in LIKELY and found["schema"].get("type") == "string":
        found["schema"] = {"anyOf": [{"enum": LIKELY[found["name"]]}, found["schema"]]}
    return found


def without_stream(document: dict[str, Any]) -> dict[str, Any]:
    """`GET /api/events` does not end."""
    found = copy.deepcopy(document)
    del found["paths"]["/api/events"]
    return found


schema = schemathesis.openapi.from_dict(likely(without_stream(DOCUMENT)))


class Scene:
    """A daemon with an organisation on a simulated account."""

    def __init__(self, folder: Path, simulator: Simulator) -> None:
        self.daemon = DaemonProcess(folder)
        self.account: Account = simulator.add_account("acme", tickets=TICKETS)
        self.session: requests.Session = over_unix(self.daemon.socket)

    def furnish(self) -> None:
        """acme is there, whatever was done to it before, and has been read."""
        try:
            self.daemon.client.organization("acme")
        except ApiError:
            self.daemon.add("acme", self.account.base_url, self.account.credential)
            self.daemon.first_run("acme")

    def look_back(self) -> None:
        """After all of it the daemon is well, logged no bug of its own, and a sync is complete."""
        assert self.daemon.client.health().ok
        assert [line for line in self.daemon.log.read_text().splitlines() if '"exception"' in line] == []
        self.daemon.add("after", self.account.base_url, self.account.credential)
        assert self.daemon.first_run("after").status == "success"
        assert self.daemon.stored("after") == self.account.tickets()


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with tempfile.TemporaryDirectory(prefix="zd-", dir="/tmp") as folder, Simulator(seed=1) as simulator:
        one = Scene(Path(folder), simulator)
        one.daemon.start()
        try:
            yield one
            one.look_back()
        finally:
            one.session.close()
            one.daemon.close()


def tame(value: Any) -> Any:
    """No account but those on this host is ever asked: an address that is not here becomes none at all."""
    if isinstance(value, list):
        return [tame(one) for one in value]
    if isinstance(value, dict):
        found = {key: tame(one) for key, one in value.items()}
        if isinstance(found.get("subdomain"), str):
            found["subdomain"] = "no label"
        if isinstance(found.get("baseUrl"), str) and urlsplit_host(found["baseUrl"]) != "127.0.0.1":
            found["baseUrl"] = "http://127.0.0.1:1"
        return found
    return value


def urlsplit_host(text: str) -> str | None:
    try:
        return urlsplit(text).hostname
    except ValueError:
        return None


@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
def test_every_answer_is_as_described(case: schemathesis.Case, scene: Scene) -> None:
    scene.furnish()
    case.body = tame(case.body)
    response = case.call(base_url="http://zendeskd", session=scene.session)
    asked, kinds = response.request, response.headers.get("content-type", [""])
    url = urlsplit(asked.url)
    unjudged = [positive_data_acceptance]  # the description does not say which names and schedules there are
    if not (asked.body or b"").strip() or "" in [value for _, value in parse_qsl(url.query, keep_blank_values=True)]:
        unjudged.append(negative_data_rejection)  # an empty parameter is none, and a body may be left out
    case.validate_response(response, excluded_checks=unjudged)
    assert misfits(asked.method, url.path, response.status_code, kinds[0], response.content) == []
