"""Any schedule of changes, troubles and runs: once the troubles are over, the copy is what the account holds."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fixtures.copied import Copied
from tests.fixtures.simulated import SimulatedTime
from tests.fixtures.stores import table
from tests.reliability.test_http_faults import FAULTS
from zendeskd.models import RunStatus
from zendeskd.simulator import Account, Simulator

LIVE = "SELECT external_id FROM flow_records WHERE deleted_at IS NULL"
CHANGES = ("add", "change", "delete", "restore", "strange", "touch", "scrub", "archive")
TROUBLES = [*FAULTS, ("strange_text", {})]
UNSEEN_BY_LISTS = {"touch", "scrub", "archive"}  # a comparison finds these

Step = tuple[object, ...]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(CHANGES), st.integers(1, 8), st.booleans()),
        st.tuples(st.just("fault"), st.sampled_from(TROUBLES), st.integers(0, 4), st.sampled_from([1, 2, 7])),
        st.tuples(st.just("wait"), st.sampled_from([1, 61, 4000])),
        st.just(("renew",)),
        st.just(("run",)),
    ),
    min_size=1,
    max_size=14,
)
numbers = itertools.count()


@pytest.fixture(scope="module")
def shared() -> Iterator[Simulator]:
    with Simulator(seed=3) as running:
        yield running


@pytest.mark.parametrize("strategy", ["export", "list"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(tickets=st.integers(0, 120), steps=STEPS)
def test_any_schedule_ends_with_the_whole_copy(
    strategy: str, tickets: int, steps: list[Step], shared: Simulator
) -> None:
    time = SimulatedTime(shared)
    account = shared.add_account(f"acme-{next(numbers)}", tickets=tickets, body_bytes=30)
    with tempfile.TemporaryDirectory() as folder:
        with closing(Copied(Path(folder) / "copy", account, time, strategy=strategy)) as copy:
            for step in steps:
                happen(step, account, copy, time, strategy)
            account.clear_faults()
            time.wait_out(4000)
            results = [copy.run() for _ in range(2)]
            assert results[-1].status is RunStatus.SUCCESS, results[-1].error_message
            copy.assert_sound()
            assert here(copy) == there(account, strategy)


def happen(step: Step, account: Account, copy: Copied, time: SimulatedTime, strategy: str) -> None:
    match step:
        case ("fault", (str(kind), dict(options)), int(after), int(times)):
            account.fault(kind, on="any", after=after, times=times, **options)
        case ("wait", int(seconds)):
            time.wait_out(seconds)
        case ("renew",):
            account.expire_tokens()
        case ("run",):
            assert copy.run().status in {RunStatus.SUCCESS, RunStatus.FAILED}
            copy.assert_sound()
        case (str(change), int(count), bool(is_settled)):
            if strategy == "list" and change in UNSEEN_BY_LISTS:
                return
            options = {} if change == "archive" else {"is_settled": is_settled and strategy == "export"}
            deleted = list(account.rows.deleted_at)[:count]
            getattr(account, change)(deleted if change == "restore" else count, **options)


def here(copy: Copied) -> dict[int, str]:
    """The exact bytes of what is not marked deleted; of the export, whose deleted tickets come as tickets, all."""
    where = "" if copy.strategy == "export" else " WHERE deleted_at IS NULL"
    return {int(number): raw for number, raw in table(copy.db, f"SELECT external_id, raw FROM flow_records{where}")}


def there(account: Account, strategy: str) -> dict[int, str]:
    tickets = account.tickets() if strategy == "export" else account.listed()
    return {number: raw.decode() for number, raw in tickets.items()}


@pytest.mark.parametrize("then", ["the cursor is refused", "the export is read"])
def test_deletions_that_were_not_to_be_had_are_read_though_the_place_is_lost(
    then: str, tmp_path: Path, simulator: Simulator, time: SimulatedTime
) -> None:
    account = simulator.add_account("acme", tickets=40, body_bytes=30)
    with closing(Copied(tmp_path / "copy", account, time, strategy="list")) as copy:
        assert copy.run().status is RunStatus.SUCCESS
        account.delete(3, is_settled=False)
        account.fault("status", on="deleted", times=None)
        for _ in range(2):  # hours in which tickets are read and deletions are not
            time.wait_out(4000)
            account.change(2, is_settled=False)
            assert copy.run().status is RunStatus.FAILED
        account.clear_faults()
        if then == "the cursor is refused":
            account.fault("expired_cursor", on="list", times=2)
        else:
            copy.strategy = "export"
            time.wait_out(70)
        assert copy.run().status is RunStatus.SUCCESS
        live = {number for number, raw in account.tickets(hidden=True).items() if b'"status":"deleted"' not in raw}
        assert {int(number) for (number,) in table(copy.db, LIVE)} == live
