"""The users, groups and organisations of one simulated account: who they are follows from their number alone."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from zendeskd.simulator.texts import COMPANIES, FIRST, GROUPS, LAST, quoted

AGENTS: Final = 12
_STEP: Final = 37
_KEEP: Final = 4096  # encoded users kept: 4 MB

_USER: Final = (
    b'{"id":%d,"url":"%b/api/v2/users/%d.json","name":%b,"email":%b,"created_at":"2024-02-11T08:15:30Z",'
    b'"updated_at":"2026-05-19T16:40:02Z","time_zone":"Eastern Time (US & Canada)",'
    b'"iana_time_zone":"America/New_York","phone":null,"shared_phone_number":null,"photo":null,"locale_id":1,'
    b'"locale":"en-US","organization_id":%b,"role":"%b","verified":true,"external_id":null,"tags":[],"alias":null,'
    b'"active":true,"shared":false,"shared_agent":false,"last_login_at":"2026-06-02T07:11:45Z",'
    b'"two_factor_auth_enabled":null,"signature":null,"details":null,"notes":null,"role_type":null,'
    b'"custom_role_id":null,"is_billing_admin":false,"moderator":false,"ticket_restriction":%b,'
    b'"only_private_comments":false,"restricted_agent":%b,"suspended":false,"default_group_id":%b,'
    b'"report_csv":false,"user_fields":{}}'
)
_GROUP: Final = (
    b'{"url":"%b/api/v2/groups/%d.json","id":%d,"is_public":true,"name":%b,"description":"","default":%b,'
    b'"deleted":false,"created_at":"2024-01-08T09:00:00Z","updated_at":"2024-01-08T09:00:00Z"}'
)
_ORGANIZATION: Final = (
    b'{"url":"%b/api/v2/organizations/%d.json","id":%d,"name":%b,"shared_tickets":false,"shared_comments":false,'
    b'"external_id":null,"created_at":"2024-01-09T10:30:00Z","updated_at":"2025-11-03T12:05:41Z",'
    b'"domain_names":["%b"],"details":"","notes":"","group_id":null,"tags":[],"organization_fields":{}}'
)


class People:
    """Numbers are 0, 1, 2, …; users 0 to 11 are agents and user 0 is the admin. Ids have 13 and 14 digits."""

    def __init__(self, account: str, seed: int, requesters: int) -> None:
        base = int.from_bytes(blake2b(f"{seed}/{account}".encode(), digest_size=6).digest())
        self.origin = f"https://{account}.zendesk.com".encode()
        self.domain = f"{account}.example.com"
        self.users = AGENTS + requesters
        self.organizations = max(1, requesters // 8)
        self._old = 1_200_000_000_000 + base % 700_000_000_000  # 13 digits, for agents and even numbers
        self._new = 12_000_000_000_000 + base % 70_000_000_000_000  # 14 digits
        self._group = 4_400_000_000_000 + base % 500_000_000_000
        self._organization = 26_000_000_000_000 + base % 9_000_000_000_000
        self._encoded: dict[int, bytes] = {}

    def user_id(self, number: int) -> int:
        return (self._new if number % 2 and number >= AGENTS else self._old) + number * _STEP

    def group_id(self, number: int) -> int:
        return self._group + number % len(GROUPS) * _STEP

    def organization_of(self, number: int) -> int | None:
        """The id of the organisation that a user belongs to; every fifth requester has none."""
        if number < AGENTS or number % 5 == 0:
            return None
        return self._organization + (number - AGENTS) // 8 % self.organizations * _STEP

    def name(self, number: int) -> str:
        return f"{FIRST[number % len(FIRST)]} {LAST[number // 7 % len(LAST)]}"

    def email(self, number: int) -> str:
        if number == 0:
            return f"admin@{self.domain}"
        return f"agent{number}@{self.domain}" if number < AGENTS else f"requester{number}@example.com"

    def role(self, number: int) -> str:
        return "admin" if number == 0 else "agent" if number < AGENTS else "end-user"

    def user(self, user_id: int) -> bytes:
        """The JSON of a user. Raises KeyError for an id that nobody has."""
        number, off = divmod(user_id - (self._new if user_id >= self._new else self._old), _STEP)
        if off or not 0 <= number < self.users or self.user_id(number) != user_id:
            raise KeyError(user_id)
        return self._kept(user_id, lambda: self._user(number))

    def group(self, group_id: int) -> bytes:
        """The JSON of a group. Raises KeyError."""
        number, off = divmod(group_id - self._group, _STEP)
        if off or not 0 <= number < len(GROUPS):
            raise KeyError(group_id)
        is_default = b"true" if number == 0 else b"false"
        return _GROUP % (self.origin, group_id, group_id, quoted(GROUPS[number]), is_default)

    def organization(self, organization_id: int) -> bytes:
        """The JSON of an organisation. Raises KeyError."""
        number, off = divmod(organization_id - self._organization, _STEP)
        if off or not 0 <= number < self.organizations:
            raise KeyError(organization_id)
        name = COMPANIES[number % len(COMPANIES)]
        if number >= len(COMPANIES):
            name += f" {number // len(COMPANIES) + 1}"
        domain = b"customer%d.example.com" % number
        return _ORGANIZATION % (self.origin, organization_id, organization_id, quoted(name), domain)

    def _user(self, number: int) -> bytes:
        user_id, role = self.user_id(number), self.role(number)
        organization = self.organization_of(number)
        return _USER % (
            user_id,
            self.origin,
            user_id,
            quoted(self.name(number)),
            quoted(self.email(number)),
            b"null" if organization is None else b"%d" % organization,
            role.encode(),
            b'"requested"' if role == "end-user" else b"null",
            b"true" if role == "end-user" else b"false",
            b"null" if role == "end-user" else b"%d" % self.group_id(number),
        )

    def _kept(self, key: int, make: Callable[[], bytes]) -> bytes:
        found = self._encoded.get(key)
        if found is None:
            if len(self._encoded) >= _KEEP:
                self._encoded.clear()
            found = self._encoded[key] = make()
        return found
