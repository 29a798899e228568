"""What people write about organisations, as values: everything that is wrong is found at once and named by its path.

A *draft* is what a request or an import file says, checked; what it leaves out is None. `fleet` makes organisations of
drafts.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from zendeskd import wire
from zendeskd.cron import CronExpression, parse_zone
from zendeskd.decoding import decode, misfit, nearest
from zendeskd.errors import BadRequest
from zendeskd.models import STRATEGIES, SYSTEMS, AnyCredential
from zendeskd.sync import parse_lookback

T = TypeVar("T")

Parse = Callable[[bytes], AnyCredential]
_SLUG: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_HOST_MAX: Final = 253
_SEGMENT: Final = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._~-]+")
_TAKEN: Final = frozenset({"import", "export"})  # paths of the API
_NAME_MAX: Final = 200
_TAG_MAX: Final = 64
_TAGS_MAX: Final = 50


@dataclass(frozen=True, slots=True)
class IntegrationDraft:
    system_type: str
    base_url: str | None = None
    interval: str | None = None
    timezone: str | None = None
    lookback: str | None = None
    strategy: str | None = None
    is_active: bool | None = None
    credential: AnyCredential | None = None


@dataclass(frozen=True, slots=True)
class OrganizationDraft:
    id: str
    name: str | None = None
    timezone: str | None = None
    tags: tuple[str, ...] | None = None
    integrations: tuple[IntegrationDraft, ...] = ()


class Invalid(BadRequest):
    """Several things may be wrong; `problems` has all, `field` is the first one's path."""

    def __init__(self, problems: Sequence[wire.ProblemItem]) -> None:
        first = problems[0]
        detail = first.detail
        if len(problems) > 1:
            detail = f"{len(problems)} things are wrong. The first, at {first.path or 'the top'}: {first.detail}"
        super().__init__(detail, hint=first.hint, field=first.path)
        self.problems = tuple(problems)


class Found:
    """Collects what is wrong, so that one request shows all of it."""

    def __init__(self) -> None:
        self.problems: list[wire.ProblemItem] = []

    def add(self, path: str, error: BadRequest) -> None:
        self.problems.append(wire.ProblemItem(path=path, detail=error.detail, hint=error.hint))

    def value(self, path: str, check: Callable[[], T]) -> T | None:
        """What `check` gives, or None with its complaint written down."""
        try:
            return check()
        except BadRequest as error:
            self.add(path, error)
            return None

    def settle(self) -> None:
        """Raises Invalid if anything is wrong."""
        if self.problems:
            raise Invalid(self.problems)


# --- reading ----------------------------------------------------------------------------------------------------------


class _Integration(wire.Request, kw_only=True):
    """As wire.IntegrationSpec, with what is left out told from what is given."""

    system_type: str = "zendesk"
    subdomain: str | None = None
    base_url: str | None = None
    interval: str | None = None
    timezone: str | None = None
    lookback: str | None = None
    strategy: str | None = None
    is_active: bool | None = None
    credentials: msgspec.Raw = msgspec.Raw()


class _Organization(wire.Request, kw_only=True):
    """As wire.OrganizationSpec, with its integrations not yet read."""

    id: str
    name: str | None = None
    timezone: str | None = None
    tags: list[str] | None = None
    integrations: list[msgspec.Raw] = msgspec.field(default_factory=list)


class _Import(wire.Request, kw_only=True):
    """As wire.ImportRequest, with its organisations not yet read. An exported file has a `schema`."""

    organizations: list[msgspec.Raw]
    update: bool = False
    dry_run: bool = False
    schema: int = wire.SCHEMA


@dataclass(frozen=True, slots=True)
class ImportDraft:
    organizations: tuple[OrganizationDraft, ...]
    update: bool
    dry_run: bool


def read_organization(body: bytes, parse: Parse) -> OrganizationDraft:
    """The body of `POST /api/organizations`. Raises Malformed or Invalid."""
    raw = decode(body, msgspec.Raw)
    found = Found()
    draft = _organization(bytes(raw), "", parse, found)
    found.settle()
    assert draft is not None
    return draft


def read_import(body: bytes, parse: Parse) -> ImportDraft:
    """The body of an import. Raises Malformed or Invalid with everything that is wrong in it."""
    request = decode(body, _Import)
    if request.schema != wire.SCHEMA:
        raise BadRequest(
            f"schema: this daemon reads schema {wire.SCHEMA}, the file is {request.schema}",
            hint="export it again with this version",
            field="schema",
        )
    found = Found()
    drafts: dict[str, OrganizationDraft] = {}
    for number, raw in enumerate(request.organizations):
        path = f"organizations[{number}]"
        draft = _organization(bytes(raw), path, parse, found)
        if draft is None:
            continue
        if draft.id in drafts:
            found.add(f"{path}.id", BadRequest(f"{draft.id!r} is in the file twice", hint="name each one once"))
        drafts[draft.id] = draft
    found.settle()
    return ImportDraft(tuple(drafts.values()), request.update, request.dry_run)


def read_patch(org: str, body: bytes) -> OrganizationDraft:
    """The body of `PATCH /api/organizations/{org}`. Raises Malformed or Invalid."""
    patch = decode(body, wire.OrganizationPatch)
    found = Found()
    given = _Organization(id=org, name=patch.name, timezone=patch.timezone, tags=patch.tags)
    draft = _checked(given, "", found)
    parts = []
    for system, part in patch.integrations.items():
        spec = _Integration(system_type=system, **{name: getattr(part, name) for name in part.__struct_fields__})
        parts.append(_integration(spec, f"integrations.{system}", None, found))
    found.settle()
    return replace(draft, integrations=tuple(parts))


def _organization(raw: bytes, path: str, parse: Parse, found: Found) -> OrganizationDraft | None:
    spec = found.value(path, lambda: _decoded(raw, _Organization))
    if spec is None:
        return None
    draft = _checked(spec, path, found)
    if _SLUG.fullmatch(spec.id) is None or spec.id in _TAKEN:
        found.add(at(path, "id"), _bad_id(spec.id))
    parts: dict[str, IntegrationDraft] = {}
    for number, one in enumerate(spec.integrations):
        where = at(path, f"integrations[{number}]")
        given = found.value(where, lambda raw=one: _decoded(bytes(raw), _Integration))  # type: ignore[misc]
        if given is None:
            continue
        if given.system_type in parts:
            found.add(
                at(where, "systemType"),
                BadRequest(f"{given.system_type} is given twice", hint="an organisation has each system once"),
            )
        parts[given.system_type] = _integration(given, where, parse, found)
    return replace(draft, integrations=tuple(parts.values()))


def _decoded(raw: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise misfit(str(error), kind) from None


def _checked(spec: _Organization, path: str, found: Found) -> OrganizationDraft:
    if spec.name is not None:
        found.value(at(path, "name"), lambda: plain(spec.name or "", _NAME_MAX))
    if spec.timezone is not None:
        found.value(at(path, "timezone"), lambda: parse_zone(spec.timezone or ""))
    if spec.tags is not None and len(spec.tags) > _TAGS_MAX:
        found.add(at(path, "tags"), BadRequest(f"more than {_TAGS_MAX} tags", hint="keep those you search by"))
    for number, tag in enumerate(spec.tags or ()):
        found.value(at(path, f"tags[{number}]"), lambda text=tag: plain(text, _TAG_MAX))  # type: ignore[misc]
    tags = None if spec.tags is None else tuple(dict.fromkeys(spec.tags))
    return OrganizationDraft(spec.id, spec.name, spec.timezone, tags)


def _integration(spec: _Integration, path: str, parse: Parse | None, found: Found) -> IntegrationDraft:
    system = spec.system_type
    if system not in SYSTEMS:
        found.add(at(path, "systemType"), BadRequest(f"system {system!r} is not known", hint=nearest(system, SYSTEMS)))
    if spec.strategy is not None and system in STRATEGIES and spec.strategy not in STRATEGIES[system]:
        error = BadRequest(f"strategy {spec.strategy!r} is not known", hint=nearest(spec.strategy, STRATEGIES[system]))
        found.add(at(path, "strategy"), error)
    if spec.timezone is not None:
        found.value(at(path, "timezone"), lambda: parse_zone(spec.timezone or ""))
    interval, lookback, credential = None, None, None
    if spec.interval is not None:
        interval = found.value(at(path, "interval"), lambda: CronExpression(spec.interval or "", "UTC").text)
    if spec.lookback is not None:
        lookback = found.value(at(path, "lookback"), lambda: _lookback(spec.lookback or ""))
    if parse is not None and bytes(spec.credentials) not in {b"", b"null"}:
        try:
            credential = parse(bytes(spec.credentials))
        except BadRequest as error:
            found.add(at(path, error.field or "credentials"), error)
    return IntegrationDraft(
        system_type=system,
        base_url=_address(spec, path, found),
        interval=interval,
        timezone=spec.timezone,
        lookback=lookback,
        strategy=spec.strategy,
        is_active=spec.is_active,
        credential=credential,
    )


def _address(spec: _Integration, path: str, found: Found) -> str | None:
    if spec.subdomain is not None and spec.base_url is not None:
        found.add(at(path, "baseUrl"), BadRequest("subdomain and baseUrl are both given", hint="give one of the two"))
        return None
    if spec.subdomain is not None:
        return found.value(at(path, "subdomain"), lambda: subdomain_url(spec.subdomain or ""))
    if spec.base_url is not None:
        return found.value(at(path, "baseUrl"), lambda: parse_base_url(spec.base_url or ""))
    return None


def at(path: str, key: str) -> str:
    return f"{path}.{key}" if path and key else path or key


# --- single values ----------------------------------------------------------------------------------------------------


def subdomain_url(subdomain: str) -> str:
    """`acme` -> `https://acme.zendesk.com`. Raises BadRequest."""
    name = subdomain.strip().lower()
    if not subdomain.isascii() or _LABEL.fullmatch(name) is None:
        shown = name.rpartition("@")[2]  # before it a URL has a password
        first = re.sub(r"^https?://", "", shown).split(".")[0]
        hint = f"give its first part alone: {first}" if _LABEL.fullmatch(first) else "acme, for acme.zendesk.com"
        raise BadRequest(f"{shown[:80]!r} is not a subdomain", hint=hint, field="subdomain")
    return f"https://{name}.zendesk.com"


def parse_base_url(text: str) -> str:
    """The URL without a closing slash. Raises BadRequest for what credentials must not be sent to."""
    hint = "for example https://support.example.com"

    def bad(what: str, hint: str = hint) -> BadRequest:
        return BadRequest(f"the base URL {what}", hint=hint, field="baseUrl")

    if len(text) > 500 or not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise bad("has characters that a URL has not, or is too long")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise bad("has no host or port that can be read") from None
    if parts.scheme not in {"http", "https"}:
        raise bad("does not begin with https://")
    if parts.username is not None or parts.password is not None:
        raise bad("has a user or password in it", "credentials are given apart from it, and stored sealed")
    if parts.query or parts.fragment or text.endswith(("?", "#")):
        raise bad("has a query or a fragment", "end it before ? and #")
    if not _is_address(host) and not (len(host) <= _HOST_MAX and all(map(_LABEL.fullmatch, host.split(".")))):
        raise bad("has no host")
    if port == 0:
        raise bad("has no host or port that can be read")
    path = parts.path.rstrip("/")
    if path and not all(map(_SEGMENT.fullmatch, path[1:].split("/"))):
        raise bad("has a path that servers read differently", "letters, digits, . _ ~ - and single slashes")
    if parts.scheme == "http" and not _is_loopback(host):
        raise bad("is http to another host, where credentials would travel in clear", f"https://{host}")
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{'' if port is None else f':{port}'}{path}"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _lookback(text: str) -> str:
    try:
        parse_lookback(text)
    except ValueError as error:
        raise BadRequest(str(error), hint='"7d", "12h", "2w" or "all"', field="lookback") from None
    return text.strip().lower()


def plain(text: str, longest: int, field: str = "") -> str:
    """Raises BadRequest for text that is empty, too long, or would move a terminal's cursor."""
    if not text.strip() or len(text) > longest:
        raise BadRequest(
            f"1 to {longest} characters, not {len(text)}", hint="give a shorter one, or leave it out", field=field
        )
    if any(unicodedata.category(one) in {"Cc", "Cs", "Zl", "Zp"} for one in text):
        raise BadRequest("has control characters", hint="letters, digits, spaces and punctuation", field=field)
    return text


def _bad_id(given: str) -> BadRequest:
    if given in _TAKEN:
        return BadRequest(f"{given!r} is a word of the API", hint=f"for example {given}-1", field="id")
    near = re.sub(r"[^a-z0-9]+", "-", given.lower()).strip("-")[:63]
    hint = f"a-z, 0-9 and -, at most 63, beginning with a letter or digit; for example {near or 'acme'}"
    return BadRequest(f"{given[:80]!r} is not an organisation id", hint=hint, field="id")
