"""One sync of several pages, with changes, deletions and a token to renew: every call of it fails in every way once.

Afterwards the copy is what an undisturbed one is, whatever happened, and no run that read only a part said `success`.
"""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from tests.fixtures.copied import Copied
from tests.fixtures.simulated import SimulatedTime
from zendeskd.models import RunStatus
from zendeskd.simulator import Simulator

FAULTS: list[tuple[str, dict[str, object]]] = [
    ("status", {"status": 500}),
    ("status", {"status": 502}),
    ("status", {"status": 503, "retry_after": 9}),
    ("status", {"status": 400}),
    ("status", {"status": 404}),
    ("status", {"status": 422}),
    ("rate_limited", {}),
    ("rate_limited", {"retry_after": 20}),
    ("rate_limited", {"retry_after_date_s": 30}),
    ("rate_limited", {"retry_after": "soon", "is_text": True}),
    ("html", {}),
    ("not_json", {}),
    ("wrong_shape", {}),
    ("redirect", {}),
    ("unauthorized", {}),
    ("forbidden", {}),
    ("anonymous", {}),
    ("expired_cursor", {}),
    ("stuck_cursor", {}),
    ("repeating_cursor", {}),
    ("null_cursor", {}),
    ("short_page", {}),
    ("duplicates", {}),
    ("duplicates", {"is_stale": True}),
    ("duplicates_across", {}),
    ("reset", {}),
    ("reset", {"at": "within"}),
    ("truncated", {}),
    ("bad_gzip", {}),
]
LASTING = (1, 20)
"""Once, so that the run's own tries overcome it; and longer than they go on, so that the run ends with it."""

MOST_CALLS = 60
ROWS = 10


class Scene:
    """A copy that has read an account once, what has happened there since, and a twin that nothing disturbs."""

    def __init__(self, folder: Path, simulator: Simulator, time: SimulatedTime, strategy: str) -> None:
        self.account = account = simulator.add_account("acme", tickets=24, body_bytes=30)
        self.time, self._folder, self._strategy = time, folder, strategy
        with closing(self._copied("first")) as first, closing(self._copied("twin")) as twin:
            assert [one.run().status for one in (first, twin)] == [RunStatus.SUCCESS] * 2
            account.add(18)
            account.change(8)
            account.strange(2)
            if strategy == "export":  # what a list cannot see
                account.touch(3)
                account.scrub([7])
            account.delete(5)
            assert twin.run().status is RunStatus.SUCCESS
            self.truth = twin.content

    def _copied(self, name: str) -> Copied:
        return Copied(self._folder / name, self.account, self.time, strategy=self._strategy)

    def copy(self, name: str) -> Copied:
        """The copy as it was before it all happened, with a token that has to be renewed."""
        shutil.copytree(self._folder / "first", self._folder / name)
        self.account.expire_tokens()
        return self._copied(name)

    def cut_pages(self) -> None:
        """Pages of few rows, so that there are several. The fault that was made first strikes first."""
        self.account.fault("short_page", times=None, rows=ROWS)

    def heal(self, copy: Copied) -> None:
        self.account.clear_faults()
        self.cut_pages()
        self.time.wait_out(3700)
        last = [copy.run() for _ in range(2)][-1]
        assert last.status is RunStatus.SUCCESS, last.error_message

    def assert_same(self, copy: Copied) -> None:
        copy.assert_sound()
        assert copy.content == self.truth


@pytest.mark.parametrize("times", LASTING)
@pytest.mark.parametrize("strategy", ["export", "list"])
@pytest.mark.parametrize(("kind", "options"), FAULTS, ids=[f"{kind}-{n}" for n, (kind, _) in enumerate(FAULTS)])
def test_every_call_fails_in_every_way(
    kind: str,
    options: dict[str, object],
    strategy: str,
    times: int,
    tmp_path: Path,
    simulator: Simulator,
    time: SimulatedTime,
) -> None:
    scene = Scene(tmp_path, simulator, time, strategy)
    for nth in range(MOST_CALLS):
        fault = scene.account.fault(kind, on="any", after=nth, times=times, **options)  # type: ignore[arg-type]
        scene.cut_pages()
        with closing(scene.copy(f"call-{nth}")) as copy:
            result = copy.run()
            if result.status is RunStatus.SUCCESS:
                scene.assert_same(copy)
            else:
                assert result.error_code
            if not fault.hits:
                assert result.status is RunStatus.SUCCESS
                assert nth, "the fault never struck"
                return
            scene.heal(copy)
            scene.assert_same(copy)
            scene.account.clear_faults()
    pytest.fail(f"more than {MOST_CALLS} calls")
