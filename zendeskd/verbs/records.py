"""`records`, `record`, `link`: the local copy, read and linked. What comes from tickets is hostile and cleaned here."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from zendeskd import present, wire
from zendeskd.errors import NotFound
from zendeskd.present import Cell, Column
from zendeskd.verbs.base import Call, Verb, add_system, positive
from zendeskd.verbs.exits import Exit, UsageProblem

# --- records ----------------------------------------------------------------------------------------------------------


def _prepare_records(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("org", metavar="ORG", nargs="?", help="only this organisation")
    parser.add_argument("-q", metavar="WORDS", dest="query", help="search title, body, requester, assignee and tags")
    parser.add_argument("--status", metavar="STATUS", help="only this status, as open or hold")
    parser.add_argument("--tag", metavar="TAG", help="only records with this tag")
    parser.add_argument("--deleted", choices=("yes", "no"), help="only deleted records, or none of them")
    parser.add_argument("-n", metavar="N", dest="count", type=positive, default=50, help="how many (default 50)")
    parser.add_argument("--after", metavar="CURSOR", help="go on where the page before ended")
    add_system(parser, default=None)


def _records(call: Call) -> Exit:
    options, terminal = call.options, call.terminal
    reply = call.daemon.records(
        options.org,
        system=options.system,
        status=options.status,
        tag=options.tag,
        deleted=None if options.deleted is None else options.deleted == "yes",
        query=options.query,
        limit=options.count,
        after=options.after,
    )
    if terminal.json:
        terminal.document(reply)
        return Exit.OK
    if not reply.items:
        terminal.say("No records.")
        return Exit.OK
    now = call.now()
    columns = [
        Column("ID", 6, right=True, spare=3),
        Column("RECORD", 14),
        Column("STATUS", 8, spare=1),
        Column("PRIO", 6, spare=5),
        Column("CHANGED UTC", 11, spare=2),
        Column("REQUESTER", 12, spare=4),
        Column("TITLE", 20),
    ]
    terminal.table(columns, [_record_row(item, now) for item in reply.items])
    if reply.next is not None:
        terminal.say(f"More: --after {present.clean(reply.next)}")
    return Exit.OK


def _record_row(item: wire.RecordItem, now: datetime) -> list[Cell]:
    gone = item.deleted_at is not None
    return [
        Cell(str(item.id)),
        Cell(present.record_name(item)),
        Cell("deleted", "dim") if gone else Cell(present.clean(item.status) or "-"),
        Cell(present.clean(item.priority) or "-"),
        Cell(present.clock(item.updated_at, now, zone=False)),
        Cell(present.clean(item.requester) or "-"),
        Cell(present.clean(item.title) or "-", "dim" if gone else "plain"),
    ]


# --- record -----------------------------------------------------------------------------------------------------------


def _prepare_record(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the local id, or ORG/SYSTEM/EXTERNAL_ID")
    parser.add_argument("--raw", action="store_true", help="the source's own JSON and nothing else")


def record_name(text: str) -> str:
    """A record as the API takes it. Raises UsageProblem for what cannot be one."""
    parts = text.split("/", 2)
    if (text.isascii() and text.isdigit()) or (len(parts) == 3 and all(parts)):
        return text
    raise UsageProblem(
        f"{present.clean(text)!r} names no record",
        hint="a local id (8123) or ORG/SYSTEM/EXTERNAL_ID (acme/zendesk/48213)",
    )


def _record(call: Call) -> Exit:
    options, terminal = call.options, call.terminal
    if options.raw and options.json:
        raise UsageProblem("--raw and --json do not go together: --raw is the source's own JSON")
    record = call.daemon.record(record_name(options.id))
    if options.raw:
        terminal.line(record.raw if terminal.width is None else present.json_text(record.raw.encode(errors="replace")))
    elif terminal.json:
        terminal.document(record)
    else:
        _show_record(call, record)
    return Exit.OK


def _show_record(call: Call, record: wire.RecordDocument) -> None:
    now, clean, terminal = call.now(), present.clean, call.terminal
    fields = [
        ("record", f"{present.record_name(record)}   (id {record.id})"),
        ("status", clean(record.status)),
        ("priority", clean(record.priority)),
        ("requester", clean(record.requester)),
        ("assignee", clean(record.assignee)),
        ("group", clean(record.group_name)),
        ("customer", clean(record.customer)),
        ("tags", clean(" ".join(record.tags))),
        ("created", present.clock(record.created_at, now)),
        ("changed", present.clock(record.updated_at, now)),
        ("deleted", present.clock(record.deleted_at, now) if record.deleted_at else ""),
        ("copied", present.clock(record.synced_at, now)),
        ("url", clean(record.url)),
    ]
    terminal.line(clean(record.title) or "(no title)")
    terminal.lines([f"{name:<9}  {value}" for name, value in fields if value])
    if record.body:
        terminal.line()
        terminal.lines(present.clean_block(record.body).rstrip().split("\n"))
    if record.links:
        terminal.line()
        _show_links(call, record.links)


# --- links ------------------------------------------------------------------------------------------------------------


def _prepare_link(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="a record: the local id, or ORG/SYSTEM/EXTERNAL_ID")
    parser.add_argument(
        "other", metavar="OTHER", nargs="?", help="a local id, or SYSTEM/EXTERNAL_ID (need not be here)"
    )
    parser.add_argument("--relation", metavar="RELATION", help="default: related_to")
    parser.add_argument("--remove", action="store_true", help="remove the link to OTHER")


def _link(call: Call) -> Exit:
    options = call.options
    if options.other is None and (options.relation or options.remove):
        raise UsageProblem("--relation and --remove want the OTHER record")
    record = record_name(options.id)
    if options.other is None:
        reply = call.daemon.links(record)
    elif options.remove:
        reply = _unlink(call, record, options.other, options.relation)
    else:
        reply = call.daemon.link(record, options.other, options.relation)
    if call.terminal.json:
        call.terminal.document(reply)
    elif reply.items:
        _show_links(call, reply.items)
    else:
        call.terminal.say("No links.")
    return Exit.OK


def _unlink(call: Call, record: str, other: str, relation: str | None) -> wire.LinkList:
    """Remove every link to `other` (of that relation, if one is named). Raises NotFound if there is none."""
    wanted = other.split("/", 2)[-2:] if "/" in other else other
    found = [
        link
        for link in call.daemon.links(record).items
        if (wanted == [link.system, link.external_id] or wanted == str(link.record_id))
        and relation in {None, link.relation}
    ]
    if not found:
        raise NotFound(
            f"{present.clean(record)} has no such link to {present.clean(other)}",
            hint=f"zendeskctl link {present.clean(record)} lists its links",
        )
    for link in found:
        reply = call.daemon.unlink(record, link.id)
    return reply


def _show_links(call: Call, links: Sequence[wire.LinkItem]) -> None:
    clean = present.clean
    columns = [
        Column("RELATION", 12),
        Column("SYSTEM", 8),
        Column("ID", 8),
        Column("STATUS", 12),
        Column("FROM", 6),
        Column("TITLE"),
    ]
    rows = [
        [
            Cell(present.relation(link)),
            Cell(clean(link.system)),
            Cell(clean(link.external_id)),
            Cell("not here yet", "dim") if link.record_id is None else Cell(clean(link.status) or "-"),
            Cell(present.origin(link)),
            Cell(clean(link.title) or "-"),
        ]
        for link in links
    ]
    call.terminal.table(columns, rows)


VERBS: Final = (
    Verb(
        name="records",
        summary="search and list records, newest change first",
        usage="[ORG] [-q WORDS] [--status STATUS] [--tag TAG] [--deleted yes|no] [-n N] [--after CURSOR] "
        "[--system SYSTEM] [COMMON]",
        examples=("zendeskctl records acme -q 'payment 500' --status open", "zendeskctl records --json -n 100"),
        prepare=_prepare_records,
        run=_records,
        operations=("records",),
        documents=(wire.RecordList,),
    ),
    Verb(
        name="record",
        summary="one record, with its body and its links",
        usage="ID [--raw] [COMMON]",
        examples=("zendeskctl record acme/zendesk/48213", "zendeskctl record 8123 --raw | jq .via"),
        prepare=_prepare_record,
        run=_record,
        operations=("record",),
        documents=(wire.RecordDocument,),
    ),
    Verb(
        name="link",
        summary="a record's links: list, add, remove",
        usage="ID [OTHER] [--relation RELATION] [--remove] [COMMON]",
        examples=(
            "zendeskctl link acme/zendesk/48213",
            "zendeskctl link acme/zendesk/48213 jira/PAY-2231 --relation escalated_to",
        ),
        prepare=_prepare_link,
        run=_link,
        operations=("links", "link", "unlink"),
        documents=(wire.LinkList,),
    ),
)
