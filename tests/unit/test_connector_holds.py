"""What accounts asked for, kept over the end of the process."""

from __future__ import annotations

import os
import stat
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from tests.fixtures.loopback import FastTime
from tests.waiting import wait_for
from zendeskd.connectors.budgets import ACCOUNT, EXPORT, LONGEST_S, Accounts
from zendeskd.connectors.faults import Answer
from zendeskd.connectors.holds import Holds

ACME, GLOBEX = "https://acme.zendesk.com", "https://globex.zendesk.com"
EXPORT_WORDS = b'{"description":"Number of allowed incremental export API requests per minute exceeded"}'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "waits.json"


def refused(accounts: Accounts, seconds: int, kind: str = ACCOUNT, body: bytes = b"", status: int = 429) -> None:
    budgets = accounts.of(ACME)
    assert budgets.enter(kind) is None
    budgets.leave(kind, Answer(status, {"retry-after": str(seconds)}, body, "acme"))


def later(time: FastTime, seconds: float) -> FastTime:
    """The clocks of a process that starts so much later: the monotonic one begins anew."""
    return FastTime(time.now() + timedelta(seconds=seconds))


@pytest.mark.parametrize("status", [429, 503])
def test_the_next_process_waits_for_the_rest_of_it(file: Path, status: int) -> None:
    time = FastTime()
    refused(Accounts(time, file), 600, status=status)
    after = Accounts(later(time, 200), file)
    hold = after.of(ACME + "/").enter(EXPORT)
    assert hold is not None
    assert 399 <= hold.seconds <= 406
    assert after.of(GLOBEX).enter(EXPORT) is None
    assert Accounts(later(time, 700), file).of(ACME).enter(EXPORT) is None
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_was_asked_for_the_export_alone_stays_so(file: Path) -> None:
    time = FastTime()
    refused(Accounts(time, file), 600, EXPORT, EXPORT_WORDS)
    budgets = Accounts(later(time, 1), file).of(ACME)
    assert budgets.enter(EXPORT) is not None
    assert budgets.enter(ACCOUNT) is None


def test_a_moment_is_not_written_down(file: Path) -> None:
    refused(Accounts(FastTime(), file), 3)
    assert not file.exists()


def test_a_clock_that_was_set_back_makes_no_wait_of_a_day(file: Path) -> None:
    time = FastTime()
    refused(Accounts(time, file), 600)
    hold = Accounts(later(time, -86_400), file).of(ACME).enter(ACCOUNT)
    assert hold is not None
    assert hold.seconds <= LONGEST_S


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a":{"b":"soon"}}', '{"a":{"b":"2026-01-01T00:00:00"}}', "\0" * 99])
def test_a_damaged_file_is_done_without(text: str, file: Path) -> None:
    file.write_text(text)
    time = FastTime()
    accounts = Accounts(time, file)
    refused(accounts, 600)
    assert Accounts(later(time, 1), file).of(ACME).enter(ACCOUNT) is not None


def test_a_place_that_cannot_be_written_costs_nothing_else(tmp_path: Path) -> None:
    refused(Accounts(FastTime(), tmp_path / "nowhere" / "waits.json"), 600)


def test_what_is_over_is_not_kept(file: Path) -> None:
    time = FastTime()
    holds = Holds(file, time.now)
    holds.keep(ACME, ACCOUNT, time.now() + timedelta(seconds=30))
    time.ticks += 60
    holds.keep(GLOBEX, EXPORT, time.now() + timedelta(seconds=30))
    assert "acme" not in file.read_text()
    assert holds.of(GLOBEX) == {EXPORT: 30.0}


def test_a_disk_that_hangs_holds_up_no_other_account(file: Path) -> None:
    """A pipe without a reader: to open it for writing lasts until somebody reads."""
    os.mkfifo(file.with_name(file.name + ".new"))
    time, asked = FastTime(), threading.Event()
    accounts = Accounts(time, file)
    hanging = threading.Thread(target=refused, args=(accounts, 600))
    hanging.start()
    try:
        wait_for(lambda: accounts.of(ACME).enter(EXPORT) is not None, "the account to be left alone")

        def open_another() -> None:
            accounts.of(GLOBEX)
            asked.set()

        threading.Thread(target=open_another, daemon=True).start()
        assert asked.wait(5), "it waits for the disk"
        assert hanging.is_alive()
    finally:
        reader = os.open(file.with_name(file.name + ".new"), os.O_RDONLY | os.O_NONBLOCK)
        hanging.join(10)
        os.close(reader)
