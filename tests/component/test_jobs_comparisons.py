"""Comparisons with the source: what they mend, how they fail, and how they are ended."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.fakes import Step, page
from tests.fixtures.fleets import Fleet, Gate
from tests.waiting import wait_for
from zendeskd.errors import Conflict, CredentialError, NetworkError
from zendeskd.jobs import Jobs
from zendeskd.models import (
    Health,
    RunStatus,
    State,
    utcnow,
)


def compared(fleet: Fleet, *script: Step, org: str = "acme") -> Jobs:
    """Jobs with one organisation that was read once; `script` is what its comparison will see."""
    fleet.add(org)
    jobs = fleet.start([page(1, cursor="a", end=True)], list(script) or [page(1, end=True)])
    fleet.ended(org)
    fleet.idle(org)
    return jobs


def outcome(jobs: Jobs) -> str:
    found = jobs.view("acme", "zendesk").reconciled
    return "running" if found is None else found.status


def test_reconcile_mends_what_differs(fleet: Fleet) -> None:
    fleet.add()
    jobs = fleet.start([page(1, 2, 3, cursor="a", end=True)], [page(1, 3, 4, cursor="z", end=True)])
    fleet.ended()
    fleet.idle()
    compared, joined = jobs.reconcile("acme", "zendesk", "ana")
    assert not joined

    def verified() -> bool:
        found = jobs.view("acme", "zendesk").reconciled
        return found is not None and found.status == "verified"

    wait_for(verified, "the comparison")
    result = fleet.store.reconciliations.latest()[jobs.view("acme", "zendesk").integration.id]
    assert (result.id, result.missing, result.vanished, result.repaired) == (compared, 1, 1, 2)
    assert (result.local_count, result.source_count) == (3, 3)
    view = jobs.view("acme", "zendesk")
    assert (view.integration.total_records, view.integration.cursor) == (3, "a")


def test_reconcile_before_the_first_run_is_refused(fleet: Fleet, gate: Callable[..., Gate]) -> None:
    fleet.add()
    step = gate(1)
    jobs = fleet.start([step])
    step.wait()
    with pytest.raises(Conflict, match="nothing to compare"):
        jobs.reconcile("acme", "zendesk", "ana")


@pytest.mark.parametrize(
    ("trouble", "code"), [(NetworkError("reset"), "network_error"), (ZeroDivisionError("oops"), "internal_error")]
)
def test_a_comparison_that_fails_says_so(fleet: Fleet, trouble: Exception, code: str) -> None:
    jobs = compared(fleet, trouble)
    jobs.reconcile("acme", "zendesk", "ana")
    wait_for(lambda: outcome(jobs) == "failed", "the failure")
    found = jobs.view("acme", "zendesk").reconciled
    assert found is not None
    assert found.error_code == code
    assert jobs.view("acme", "zendesk").health is Health.OK


def test_a_comparison_goes_on_beside_a_run_and_is_joined(fleet: Fleet, gate: Callable[..., Gate]) -> None:
    step = gate(1)
    jobs = compared(fleet, step)
    first, _ = jobs.reconcile("acme", "zendesk", "ana")
    step.wait()
    assert jobs.reconcile("acme", "zendesk", "ben") == (first, True)
    live = jobs.view("acme", "zendesk").run
    assert live is not None
    assert (live.kind, live.id) == ("reconcile", first)
    fleet.connector.scripts = [[page(2, cursor="z", end=True)]]
    jobs.trigger("acme", "zendesk", "ana")
    fleet.ended(count=2)
    step.open.set()
    wait_for(lambda: outcome(jobs) == "verified", "the comparison")


def test_a_comparison_that_cannot_be_written_down_still_ends(fleet: Fleet) -> None:
    jobs = compared(fleet)
    fleet.failing["finish"] = 1
    jobs.reconcile("acme", "zendesk", "ana")
    wait_for(lambda: outcome(jobs) == "verified", "the comparison")
    wait_for(lambda: jobs.busy() == 0, "the worker")


def test_removal_ends_a_comparison_going_on_or_queued(fleet: Fleet, gate: Callable[..., Gate]) -> None:
    step = gate(1)
    jobs = compared(fleet, page(1, cursor="b"), step)
    jobs.reconcile("acme", "zendesk", "ana")
    step.wait()
    jobs.forget(jobs.view("acme", "zendesk").integration.id)
    fleet.store.fleet.remove_organization("acme")
    assert fleet.removed == [("acme", "zendesk")]


def test_shutdown_interrupts_a_comparison(fleet: Fleet, gate: Callable[..., Gate]) -> None:
    step = gate(1)
    jobs = compared(fleet, page(1, cursor="b"), step)
    compared_id, _ = jobs.reconcile("acme", "zendesk", "ana")
    step.wait()
    fleet.stop()
    assert fleet.store.reconciliations.get(compared_id).status == "interrupted"


def test_a_probe_without_an_answer_leaves_it_blocked(fleet: Fleet) -> None:
    fleet.add()
    jobs = fleet.start([CredentialError("refused")], [NetworkError("reset")])
    fleet.ended(status=RunStatus.FAILED)
    fleet.idle()
    fleet.an_hour_later()
    wait_for(lambda: len(fleet.connector.opened) == 2 and fleet.connector.opened[1].closed.is_set(), "the probe")
    wait_for(lambda: jobs.busy() == 0, "the worker")
    assert jobs.view("acme", "zendesk").state is State.BLOCKED


def test_a_check_tells_who_the_credentials_are_and_refuses_the_rest(fleet: Fleet) -> None:
    fleet.add()
    jobs = fleet.start([page(1, end=True)], [page(1, end=True)], [CredentialError("refused")])
    fleet.ended()
    assert jobs.check("acme", "zendesk").user == "Ana"
    with pytest.raises(CredentialError):
        jobs.check("acme", "zendesk")
    assert all(source.closed.is_set() for source in fleet.connector.opened)


def test_an_organisation_that_does_not_let_go_is_not_removed(
    fleet: Fleet, gate: Callable[..., Gate], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zendeskd.jobs.FORGET_WITHIN_S", 0.05)
    one = fleet.add()
    held = threading.Event()
    jobs = fleet.start([page(1, cursor="a", end=True)])
    fleet.ended()
    fleet.idle()
    original = fleet.store.runs.finish

    def slow(*args: object, **kwargs: object) -> object:
        assert held.wait(20)
        return original(*args, **kwargs)  # type: ignore[arg-type]

    fleet.store.runs.finish = slow  # type: ignore[method-assign, assignment]
    step = gate(2)
    fleet.connector.scripts = [[step]]
    jobs.trigger("acme", "zendesk", "ana")
    step.wait()
    threading.Timer(0.3, held.set).start()
    with pytest.raises(Conflict, match="still ending"):
        jobs.forget(one)
    step.open.set()
    wait_for(lambda: jobs.view("acme", "zendesk").run is None, "the end of the run")
    assert jobs.trigger("acme", "zendesk", "ana")


def test_stop_and_cancel_end_a_comparison_too(fleet: Fleet, gate: Callable[..., Gate]) -> None:
    step = gate(1)
    jobs = compared(fleet, page(1, cursor="b"), step)
    compared_id, _ = jobs.reconcile("acme", "zendesk", "ana")
    step.wait()
    assert jobs.cancel("acme", "zendesk", "ana") == compared_id
    wait_for(lambda: outcome(jobs) == "cancelled", "the comparison to end")
    again = gate(1)
    fleet.connector.scripts = [[page(1, cursor="b"), again]]
    jobs.reconcile("acme", "zendesk", "ana")
    again.wait()
    jobs.stop("acme", "zendesk", "ana")
    wait_for(lambda: outcome(jobs) == "cancelled", "the comparison to end")


def test_a_queued_comparison_that_is_taken_back_is_not_joined_for_ever(fleet: Fleet, gate: Callable[..., Gate]) -> None:
    jobs = compared(fleet)
    fleet.add("other")
    step = gate(5)
    fleet.connector.scripts = [[step], [step], [page(1, end=True)]]
    jobs.adopt(fleet.store.fleet.integration("other", "zendesk").id)
    step.wait()
    jobs.trigger("acme", "zendesk", "ana")
    wait_for(lambda: jobs.busy() == 2, "both workers to be busy")
    first, _ = jobs.reconcile("acme", "zendesk", "ana")
    jobs.stop("acme", "zendesk", "ana")
    assert fleet.store.reconciliations.get(first).status == "cancelled"
    second, joined = jobs.reconcile("acme", "zendesk", "ana")
    assert (second != first, joined) == (True, False)
    step.open.set()


def test_a_comparison_whose_cursor_goes_in_a_circle_or_that_never_ends_fails(fleet: Fleet) -> None:
    jobs = compared(fleet, *[page(1, cursor=cursor) for cursor in "abababab"])
    jobs.reconcile("acme", "zendesk", "ana")
    wait_for(lambda: outcome(jobs) == "failed", "the failure")
    fleet.connector.scripts = [[page(1, cursor="x")]]
    second, _ = jobs.reconcile("acme", "zendesk", "ana")
    wait_for(lambda: fleet.store.reconciliations.get(second).status == "failed", "the failure")
    assert jobs.view("acme", "zendesk").integration.total_records == 1


def test_a_source_that_shows_nothing_any_more_is_not_believed(fleet: Fleet) -> None:
    fleet.add()
    many = page(*range(200), cursor="a", end=True)
    jobs = fleet.start([many], [page(cursor="z", end=True)])
    fleet.ended()
    fleet.idle()
    jobs.reconcile("acme", "zendesk", "ana")
    wait_for(lambda: outcome(jobs) == "failed", "the failure")
    found = jobs.view("acme", "zendesk")
    assert found.reconciled is not None
    assert "showed none of 200" in (found.reconciled.error_message or "")
    assert found.integration.total_records == 200


def test_a_comparisons_end_that_cannot_be_stored_is_stored_later(fleet: Fleet) -> None:
    jobs = compared(fleet)
    compared_id, _ = jobs.reconcile("acme", "zendesk", "ana")
    wait_for(lambda: outcome(jobs) == "verified", "the comparison")
    fleet.failing["finish"] = 1
    second, _ = jobs.reconcile("acme", "zendesk", "ana")
    wait_for(lambda: outcome(jobs) == "verified" and fleet.failing["finish"] == 0, "the comparison")
    wait_for(lambda: jobs.busy() == 0, "the worker")
    assert fleet.store.reconciliations.get(second).status == "running"
    jobs.clock.bring_forward("minute", utcnow())
    wait_for(lambda: fleet.store.reconciliations.get(second).status == "verified", "the end to be stored")
    assert compared_id != second
