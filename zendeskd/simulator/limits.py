"""Rate limits and the headers that announce them.

Budgets are per minute: the account's, which every request counts against, and one of its own for the exports, the
ticket list and the deleted tickets. Header names as seen since 2024; those of 2023 recordings on request.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from zendeskd.simulator.answers import ACCOUNT_LIMIT, EXPORT_LIMIT, Answer, limited

_MINUTE_S = 60.0


@dataclass
class Budget:
    """`total` requests in each minute; a minute begins with the first request after the last one."""

    name: str
    total: int
    used: int = 0
    ends_at: float = 0.0

    def renew(self, now: float) -> None:
        if now >= self.ends_at:
            self.used, self.ends_at = 0, now + _MINUTE_S

    @property
    def remaining(self) -> int:
        return max(0, self.total - self.used)

    def resets(self, now: float) -> int:
        """Whole seconds until it is full again, at least 1."""
        return min(60, max(1, math.ceil(self.ends_at - now)))


class Limits:
    """One account's budgets. Not locked: the account is."""

    def __init__(self, account: int, export: int, listing: int, deleted: int, *, old_headers: bool = False) -> None:
        self.account = Budget("account", account)
        self.own = {
            "export": Budget("incremental-exports", export),
            "list": Budget("tickets-index", listing),
            "deleted": Budget("deleted-tickets", deleted),
        }
        self.old_headers = old_headers

    def spend(self, kind: str, now: float) -> Answer | None:
        """Count one request of a kind. Returns the 429 if a budget is used up; a refused request counts nowhere."""
        budgets = [self.account]
        if kind in self.own:
            budgets.append(self.own[kind])
        for budget in budgets:
            budget.renew(now)
        for budget in reversed(budgets):
            if budget.remaining == 0:
                text = EXPORT_LIMIT if kind == "export" and budget is not self.account else ACCOUNT_LIMIT
                return limited(text, str(budget.resets(now)))
        for budget in budgets:
            budget.used += 1
        return None

    def headers(self, kind: str, now: float) -> dict[str, str]:
        """What an answer to a request of this kind says about the budgets."""
        account, own = self.account, self.own.get(kind)
        account.renew(now)
        total, remaining, reset = str(account.total), str(account.remaining), str(account.resets(now))
        prefix = "rate-limit" if self.old_headers else "ratelimit"
        said = {"X-Rate-Limit": total, "X-Rate-Limit-Remaining": remaining}
        said[f"{prefix}" if self.old_headers else f"{prefix}-limit"] = total
        said[f"{prefix}-remaining"] = remaining
        said[f"{prefix}-reset"] = reset
        if own is not None:
            own.renew(now)
            value = f"total={own.total}; remaining={own.remaining}; resets={own.resets(now)}"
            said[f"zendesk-{prefix}-{own.name}"] = value
        return said
