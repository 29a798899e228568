"""A request as an account sees it, and what is kept of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Call:
    """One request to an account. `path` begins behind the account's base URL and has lost its `.json`."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case
    body: bytes = b""

    @property
    def takes_gzip(self) -> bool:
        for part in self.headers.get("accept-encoding", "").lower().split(","):
            coding, _, weight = part.partition(";")
            if coding.strip() in {"gzip", "*"}:
                return weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
        return False


@dataclass(frozen=True)
class Seen:
    """What is remembered of a request. `credential` names it without showing it: `none`, `password`, `bearer`,
    `api_token EMAIL`, `oauth #3` (the third token given out). `fault` is the kind of the fault that struck."""

    method: str
    path: str
    kind: str
    query: dict[str, str]
    status: int
    credential: str
    fault: str | None
    at: datetime
    headers: dict[str, str]  # without the authorization
