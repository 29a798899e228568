"""What people tell one integration to do: `POST /api/{system}/sync-config`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, get_args

import msgspec

from zendeskd import wire
from zendeskd.api import shapes
from zendeskd.api.asked import Answer, Asked, Endpoint
from zendeskd.api.query import instant, since
from zendeskd.decoding import nearest
from zendeskd.drafts import plain
from zendeskd.errors import BadRequest
from zendeskd.models import Queued, stamp, stamp_or_none

REASON_MAX: Final = 500
_PER_PAGE: Final = {"export": 1000, "list": 100}
"""Records that one call of a full read brings, by strategy."""

_ACTIONS: Final = get_args({f.name: f for f in msgspec.structs.fields(wire.Command)}["action"].type)


def command(asked: Asked) -> msgspec.Struct | Answer:
    system, org = asked.system(), asked.organization()
    action = _action(asked)
    asked.operation, keys, perform = _COMMANDS[action]
    told = asked.decoded(wire.Command)
    _refuse_others(told, keys)
    return perform(asked, org, system, told)


def _action(asked: Asked) -> str:
    """Looked at first, so that the audit log names what was asked and a typo is told before anything else."""
    given: object = asked.decoded(dict[str, Any]).get("action")
    if given is None:
        raise BadRequest("'action' is missing", hint=f"it can be {', '.join(_ACTIONS)}", field="action")
    if not isinstance(given, str) or given not in _ACTIONS:
        hint = nearest(str(given), _ACTIONS)
        raise BadRequest(f"action {str(given)[:80]!r} is not known", hint=hint, field="action")
    return given


def _refuse_others(told: wire.Command, keys: tuple[str, ...]) -> None:
    for field in msgspec.structs.fields(wire.Command):
        if field.name == "action" or field.name in keys or not getattr(told, field.name):
            continue
        name = field.encode_name
        takes = [one.encode_name for one in msgspec.structs.fields(wire.Command) if one.name in keys]
        hint = f"{told.action} takes {', '.join(takes) or 'nothing else'}"
        raise BadRequest(f"{name!r} does not go with {told.action}", hint=hint, field=name)


def _trigger(asked: Asked, org: str, system: str, _: wire.Command) -> Answer:
    return _accepted(asked, asked.context.jobs.trigger(org, system, asked.by))


def _start(asked: Asked, org: str, system: str, told: wire.Command) -> wire.Changed:
    asked.note = told.interval or ""
    return _changed(asked, org, system, told, asked.context.jobs.start(org, system, asked.by, told.interval))


def _stop(asked: Asked, org: str, system: str, told: wire.Command) -> wire.Changed:
    until = None if told.until is None else instant(told.until, "until")
    if until is not None and until <= asked.context.now():
        raise BadRequest(f"until: {told.until!r} is in the past", hint="an instant to come", field="until")
    if told.reason is not None:
        plain(told.reason, REASON_MAX, "reason")
    asked.note = " ".join(filter(None, (told.reason, f"until {stamp(until)}" if until else "")))
    return _changed(asked, org, system, told, asked.context.jobs.stop(org, system, asked.by, told.reason, until))


def _interval(asked: Asked, org: str, system: str, told: wire.Command) -> wire.Changed:
    if told.interval is None:
        raise BadRequest("'interval' is missing", hint='for example "interval": "*/30 * * * *"', field="interval")
    asked.note = told.interval
    return _changed(asked, org, system, told, asked.context.jobs.set_interval(org, system, asked.by, told.interval))


def _cancel(asked: Asked, org: str, system: str, told: wire.Command) -> wire.Changed:
    run_id = asked.context.jobs.cancel(org, system, asked.by)
    asked.note = f"run {run_id}"
    return _changed(asked, org, system, told, True, run_id)


def _resync(asked: Asked, org: str, system: str, told: wire.Command) -> Answer:
    if told.since is None:
        raise BadRequest("'since' is missing", hint='"since": "30d", a date, an instant, or "all"', field="since")
    one = asked.context.jobs.view(org, system).integration
    begin = since(told.since, one.timezone, asked.context.now())
    asked.note = f"since {stamp_or_none(begin) or 'all'}{' (dry run)' if told.dry_run else ''}"
    if not told.dry_run:
        return _accepted(asked, asked.context.jobs.resync(org, system, asked.by, begin))
    asked.changed_nothing = True
    stored = asked.context.store.records.count_since(one.id, begin)
    plan = wire.ResyncPlan(
        organization_id=org,
        system_type=system,
        since=stamp_or_none(begin),
        records_stored=stored,
        api_calls_expected=stored // _PER_PAGE.get(one.strategy, 100) + 1,
    )
    return Answer(plan)


def _accepted(asked: Asked, queued: Queued) -> Answer:
    asked.changed_nothing = queued.joined
    asked.note = " ".join(filter(None, (asked.note, f"run {queued.run_id}{', joined' if queued.joined else ''}")))
    return Answer(wire.Accepted(run_id=queued.run_id, state=queued.state.value, joined=queued.joined), 202)


def _changed(
    asked: Asked, org: str, system: str, told: wire.Command, changed: bool, run_id: int | None = None
) -> wire.Changed:
    asked.changed_nothing = not changed
    view = asked.context.jobs.view(org, system)
    return shapes.changed(view, action=told.action, changed=changed, run_id=run_id)


_Perform = Callable[[Asked, str, str, wire.Command], msgspec.Struct | Answer]

_COMMANDS: Final[Mapping[str, tuple[str, tuple[str, ...], _Perform]]] = {
    "trigger": ("trigger", (), _trigger),
    "start": ("start", ("interval",), _start),
    "stop": ("stop", ("reason", "until"), _stop),
    "update-interval": ("interval", ("interval",), _interval),
    "cancel": ("cancel", (), _cancel),
    "resync": ("resync", ("since", "dry_run"), _resync),
}
"""Action -> the operation's name, the keys that go with it, what does it."""

ENDPOINTS: Final = (
    Endpoint(
        tuple(operation for operation, _, _ in _COMMANDS.values()),
        "POST",
        "/api/{system}/sync-config",
        command,
        ("organizationId",),
        changes=True,
        needs=("organizationId",),
        takes=wire.Command,
        replies={200: (wire.Changed, wire.ResyncPlan), 202: wire.Accepted},
    ),
)
