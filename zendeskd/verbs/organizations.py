"""`org add|show|set|remove|list`: the fleet, one organisation at a time."""

from __future__ import annotations

import argparse
from datetime import datetime
from typing import Final

import msgspec

from zendeskd import present, wire
from zendeskd.present import Cell, Column
from zendeskd.verbs.base import Call, Verb, add_system, add_yes
from zendeskd.verbs.exits import Exit, UsageProblem
from zendeskd.verbs.secret import ask_for_credential, credential_of, read_source

# --- add --------------------------------------------------------------------------------------------------------------


def _prepare_add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("org", metavar="ORG", help="a short name: small letters, digits and hyphens")
    parser.add_argument("--name", metavar="NAME", help="its full name")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--subdomain", metavar="NAME", help="NAME of https://NAME.zendesk.com")
    where.add_argument("--base-url", metavar="URL", help="where its account is otherwise")
    parser.add_argument("--interval", metavar="CRON", help="default: the daemon's default_interval")
    parser.add_argument("--timezone", metavar="ZONE", help="default: the daemon's timezone")
    parser.add_argument("--lookback", metavar="SPAN", help="how far the first run reads back: 7d, or all")
    parser.add_argument("--strategy", metavar="WAY", help="how tickets are read: export or list")
    parser.add_argument("--tag", metavar="TAG", dest="tags", action="append", default=[], help="may come several times")
    parser.add_argument("--inactive", action="store_true", help="do not start its schedule")
    parser.add_argument("--credentials", metavar="FILE", help="the JSON object; - is standard input")
    add_system(parser)


def _add(call: Call) -> Exit:
    options = call.options
    credential: bytes | None = None
    if options.credentials is not None:
        credential = credential_of(read_source(options.credentials, call.terminal.stdin), kind=None, public={})
    elif call.terminal.interactive:
        credential = ask_for_credential(call.terminal, kind=None, public={}, may_skip=True)
    integration: dict[str, object] = {
        "systemType": options.system,
        "subdomain": options.subdomain,
        "baseUrl": options.base_url,
        "interval": options.interval,
        "lookback": options.lookback,
        "strategy": options.strategy,
        "isActive": not options.inactive,
        "credentials": None if credential is None else msgspec.Raw(credential),
    }
    organization: dict[str, object] = {
        "id": options.org,
        "name": options.name,
        "timezone": options.timezone,
        "tags": options.tags,
        "integrations": [_given(integration)],
    }
    reply = call.daemon.add_organization(msgspec.json.encode(_given(organization)))
    if call.terminal.json:
        call.terminal.document(reply)
        return Exit.OK
    call.terminal.line(f"{present.clean(reply.id)}: added")
    call.terminal.lines(described(reply, call.now()))
    if credential is None:
        call.terminal.say(
            f"It waits for credentials: {call.address.zendeskctl} credentials set {present.clean(reply.id)}"
        )
    return Exit.OK


def _given(body: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in body.items() if value is not None}


# --- show, set --------------------------------------------------------------------------------------------------------


def _prepare_show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("org", metavar="ORG")


def _show(call: Call) -> Exit:
    reply = call.daemon.organization(call.options.org)
    if call.terminal.json:
        call.terminal.document(reply)
    else:
        call.terminal.lines(described(reply, call.now()))
    return Exit.OK


def described(org: wire.OrganizationItem, now: datetime) -> list[str]:
    """An organisation and the configuration of its systems."""
    clean = present.clean
    lines = [
        f"org         {clean(org.id)}, {clean(org.name)}",
        f"time zone   {clean(org.timezone)}",
        f"tags        {clean(' '.join(org.tags)) or '-'}",
        f"added       {present.clock(org.created_at, now)}",
    ]
    for one in org.integrations:
        lines += [
            f"{clean(one.system_type):<10}  {clean(one.base_url)}",
            f"  schedule  {clean(one.interval)} ({clean(one.timezone)}), {'active' if one.is_active else 'stopped'}",
            f"  next run  {present.clock(one.next_run_at, now)}",
            f"  reads     {clean(one.strategy)}, from {clean(one.lookback)} back at first",
            f"  login     {credential(one.credential, now)}",
        ]
    return lines


def credential(one: wire.CredentialStatus | None, now: datetime) -> str:
    """`api_token`, with the end of its life if that is known."""
    if one is None:
        return "no credentials yet"
    ends = "" if one.expires_at is None else f", until {present.clock(one.expires_at, now)}"
    return f"{present.clean(one.kind)}{ends}"


def _prepare_set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("org", metavar="ORG")
    parser.add_argument("--name", metavar="NAME")
    parser.add_argument("--timezone", metavar="ZONE", help="systems that kept the organisation's own zone follow")
    parser.add_argument("--tag", metavar="TAG", dest="tags", action="append", help="replaces all tags; several times")
    parser.add_argument("--no-tags", action="store_true", help="remove all tags")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--subdomain", metavar="NAME", help="NAME of https://NAME.zendesk.com")
    where.add_argument("--base-url", metavar="URL", help="another account only while nothing was read")
    parser.add_argument("--lookback", metavar="SPAN", help="how far a first run reads back: 7d, or all")
    parser.add_argument("--strategy", metavar="WAY", help="how tickets are read: export or list")
    add_system(parser)


def _set(call: Call) -> Exit:
    options = call.options
    if options.tags and options.no_tags:
        raise UsageProblem("--tag and --no-tags do not go together")
    patch = wire.IntegrationPatch(
        subdomain=options.subdomain,
        base_url=options.base_url,
        lookback=options.lookback,
        strategy=options.strategy,
    )
    touched = any(getattr(patch, name) is not None for name in patch.__struct_fields__)
    tags = [] if options.no_tags else options.tags
    if not touched and options.name is None and options.timezone is None and tags is None:
        raise UsageProblem("nothing to set: give at least one option", hint="zendeskctl org set --help lists them")
    reply = call.daemon.set_organization(
        options.org,
        name=options.name,
        timezone=options.timezone,
        tags=tags,
        integrations={options.system: patch} if touched else None,
    )
    if call.terminal.json:
        call.terminal.document(reply)
    else:
        call.terminal.line(f"{present.clean(reply.id)}: set")
        call.terminal.lines(described(reply, call.now()))
    return Exit.OK


# --- remove, list -----------------------------------------------------------------------------------------------------


def _prepare_remove(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("org", metavar="ORG")
    add_yes(parser)


def _remove(call: Call) -> Exit:
    options = call.options
    name = present.clean(options.org)
    if not options.yes:
        call.terminal.confirm(
            f"Removes {name}, its credentials and every record that was copied. Zendesk itself is not touched.",
            typed=name,
        )
    reply = call.daemon.remove_organization(options.org)
    if call.terminal.json:
        call.terminal.document(reply)
    else:
        call.terminal.line(f"{present.clean(reply.id)}: removed, with everything that was stored of it")
    return Exit.OK


def _prepare_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ids", action="store_true", help="only the names, one a line")


def _list(call: Call) -> Exit:
    terminal = call.terminal
    if call.options.ids and call.options.json:
        raise UsageProblem("--ids and --json do not go together")
    reply = call.daemon.organizations()
    if terminal.json:
        terminal.document(reply)
        return Exit.OK
    if call.options.ids:
        terminal.lines([present.clean(org.id) for org in reply.items])
        return Exit.OK
    if not reply.items:
        terminal.say(f"No organisations yet: {call.address.zendeskctl} org add acme --subdomain acme")
        return Exit.OK
    columns = [
        Column("ORG", 9),
        Column("SYSTEM", 7, spare=4),
        Column("INTERVAL", 12, spare=1),
        Column("ZONE", 12, spare=2),
        Column("LOGIN", 9, spare=3),
        Column("TAGS", 4, spare=5),
        Column("NAME"),
    ]
    rows: list[list[Cell]] = []
    for org in reply.items:
        rows += [_list_row(org, one) for one in org.integrations] or [_list_row(org, None)]
    terminal.table(columns, rows)
    return Exit.OK


def _list_row(org: wire.OrganizationItem, one: wire.SyncConfig | None) -> list[Cell]:
    system = ("-", "-", org.timezone, "-")
    if one is not None:
        interval = one.interval if one.is_active else f"{one.interval} (stopped)"
        system = (one.system_type, interval, one.timezone, "-" if one.credential is None else one.credential.kind)
    texts = (org.id, *system, " ".join(org.tags) or "-", org.name)
    return [Cell(present.clean(text)) for text in texts]


VERBS: Final = (
    Verb(
        name="org add",
        summary="add an organisation",
        usage="ORG --subdomain NAME|--base-url URL [--name NAME] [--interval CRON] [--timezone ZONE] "
        "[--lookback SPAN] [--strategy WAY] [--tag TAG]... [--inactive] [--credentials FILE] "
        "[--system SYSTEM] [COMMON]",
        examples=(
            "zendeskctl org add acme --subdomain acme",
            "zendeskctl org add acme --subdomain acme --interval '*/30 * * * *' --credentials - < acme.json",
        ),
        prepare=_prepare_add,
        run=_add,
        operations=("add_organization",),
        documents=(wire.OrganizationDocument,),
        description="Add an organisation. On a terminal its credentials are asked for.",
    ),
    Verb(
        name="org show",
        summary="an organisation's configuration",
        usage="ORG [COMMON]",
        examples=("zendeskctl org show acme", "zendeskctl org show acme --json | jq .integrations[0].baseUrl"),
        prepare=_prepare_show,
        run=_show,
        operations=("organization",),
        documents=(wire.OrganizationDocument,),
    ),
    Verb(
        name="org set",
        summary="change an organisation's configuration",
        usage="ORG [--name NAME] [--timezone ZONE] [--tag TAG]...|--no-tags [--subdomain NAME|--base-url URL] "
        "[--lookback SPAN] [--strategy WAY] [--system SYSTEM] [COMMON]",
        examples=("zendeskctl org set acme --name 'Acme Ltd'", "zendeskctl org set acme --tag vip --tag emea"),
        prepare=_prepare_set,
        run=_set,
        operations=("set_organization",),
        documents=(wire.OrganizationDocument,),
        description="Change what is given, leave the rest. Schedules: zendeskctl interval.",
    ),
    Verb(
        name="org remove",
        summary="remove an organisation and everything stored of it",
        usage="ORG [--yes] [COMMON]",
        examples=("zendeskctl org remove acme", "zendeskctl org remove acme --yes"),
        prepare=_prepare_remove,
        run=_remove,
        operations=("remove_organization",),
        documents=(wire.OrganizationDocument,),
    ),
    Verb(
        name="org list",
        summary="every organisation's configuration",
        usage="[--ids] [COMMON]",
        examples=("zendeskctl org list", "zendeskctl org list --ids"),
        prepare=_prepare_list,
        run=_list,
        operations=("organizations",),
        documents=(wire.OrganizationList,),
    ),
)
