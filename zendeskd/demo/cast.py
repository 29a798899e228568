"""Who plays in the demo: the organisations, and what is made wrong with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

Fault = tuple[str, dict[str, Any]]
"""A kind of fault of the simulator and its options; on tickets and until cleared unless they say otherwise."""


@dataclass(frozen=True)
class Cast:
    """One organisation. `trouble` is what is made wrong; `ends` is the status that its run should come to."""

    org: str
    name: str
    tickets: int
    trouble: str = ""
    ends: str = "success"
    credential: str = "oauth_client_credentials"
    strategy: str = "export"
    interval: str = "* * * * *"
    faults: tuple[Fault, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether every ticket should arrive."""
        return self.ends == "success"


@dataclass(frozen=True)
class Player(Cast):
    """One organisation of the fleet to look at. Faults begin when the curtain rises; again every `again_s` seconds."""

    has_past: bool = True  # has had its first import and some runs when the curtain rises
    latency_s: float = 0.3  # before every answer, from then on
    changes: int = 3  # tickets that people work on every few seconds
    again_s: float = 0.0
    is_revoked: bool = False
    stop_reason: str = ""


CHECKED: Final = (
    Cast("acme-eu", "Acme Europe", 6000, interval="*/2 * * * *"),
    Cast("acme-us", "Acme Americas", 2500, credential="api_token"),
    Cast("globex", "Globex", 800, "its token was revoked", "failed", "bearer", faults=(("unauthorized", {}),)),
    Cast(
        "hooli",
        "Hooli",
        3000,
        "Zendesk limits its rate for a moment",
        faults=(("rate_limited", {"times": 1, "after": 1, "retry_after": "3"}),),
    ),
    Cast(
        "initech",
        "Initech",
        1200,
        "its connections are cut now and then",
        credential="oauth_refresh_token",
        faults=(("reset", {"times": 2, "after": 1}), ("status", {"times": 1, "status": 503})),
    ),
    Cast("soylent", "Soylent", 900, strategy="list", credential="api_token"),
    Cast(
        "stark",
        "Stark Industries",
        1500,
        "its big pages time out",
        faults=(("too_big", {"times": 2, "above": 300}),),
    ),
    Cast(
        "tyrell",
        "Tyrell",
        700,
        "one of its tickets cannot be read",
        "partial",
        faults=(("malformed_ticket", {"times": 2, "variant": "no_id"}),),
    ),
    Cast("vandelay", "Vandelay", 0, "there is no such account", "failed"),
    Cast("wayne", "Wayne Enterprises", 400, options={"latency_s": 0.2}),
    Cast("wonka", "Wonka", 40, credential="bearer"),
)
"""Of `--once`: small, so that it is soon over."""

FLEET: Final = (
    Player("acme-eu", "Acme Europe", 4120, latency_s=4.0, changes=300),
    Player("acme-us", "Acme Americas", 16_000, credential="api_token", has_past=False, latency_s=5.0, changes=600),
    Player("globex", "Globex", 1804, "its token was revoked", credential="bearer", is_revoked=True),
    Player(
        "hooli",
        "Hooli",
        2887,
        "Zendesk limits its rate now and then",
        faults=(("rate_limited", {"times": 1, "retry_after": "50"}),),
        again_s=125,
    ),
    Player(
        "initech",
        "Initech",
        1391,
        "its connections are cut for some minutes",
        credential="oauth_refresh_token",
        faults=(("reset", {"times": 25}),),  # five runs, each of which tries five times
        again_s=1200,
    ),
    Player("soylent", "Soylent", 951, strategy="list", credential="api_token"),
    Player(
        "stark",
        "Stark Industries",
        9600,
        "its big pages time out",
        has_past=False,
        latency_s=1.5,
        changes=120,
        faults=(("too_big", {"above": 400}),),
    ),
    Player(
        "tyrell",
        "Tyrell",
        741,
        "some of its tickets cannot be read",
        faults=(("malformed_ticket", {"times": 2, "variant": "wrong_types"}),),
        again_s=55,
    ),
    Player("umbrella", "Umbrella", 973, "a person stopped it", stop_reason="change freeze"),
    Player("vandelay", "Vandelay", 640, interval="*/3 * * * *", credential="bearer"),
    Player("wayne", "Wayne Enterprises", 1203, latency_s=0.8),
    Player("wonka", "Wonka", 407, interval="*/2 * * * *"),
)
"""Of the dashboard: always something going on, for as long as somebody looks."""
