"""`org import|export`: the fleet as a file."""

from __future__ import annotations

import argparse
import codecs
import os
from pathlib import Path
from typing import Final

import msgspec

from zendeskd import present, wire
from zendeskd.errors import ConfigError, ZendeskdError
from zendeskd.verbs.base import Call, Verb
from zendeskd.verbs.exits import Exit, UsageProblem


def _prepare_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help='{"organizations": [...]}, as exported; - is standard input')
    parser.add_argument("--update", action="store_true", help="also change organisations that are there already")
    parser.add_argument("--dry-run", action="store_true", help="check everything, change nothing")


def _import(call: Call) -> Exit:
    from zendeskd.client import ApiError

    options, terminal = call.options, call.terminal
    content = _read(call, options.file)
    try:
        reply = call.daemon.import_organizations(content, update=options.update, dry_run=options.dry_run)
    except ApiError as error:
        if terminal.json:  # has every place already
            raise
        raise _in_file(options.file, error) from None
    if terminal.json:
        terminal.document(reply)
        return Exit.OK
    would = "would be " if reply.dry_run else ""
    for word, names in (("added", reply.added), ("updated", reply.updated), ("unchanged", reply.unchanged)):
        if names:
            did = word if word == "unchanged" else f"{would}{word}"
            terminal.line(f"{present.number(len(names))} {did}: {present.clean(', '.join(names))}")
    if not (reply.added or reply.updated or reply.unchanged):
        terminal.say("The file holds no organisations.")
    elif reply.unchanged and not options.update:
        terminal.say("Organisations that are there already are left alone; --update changes them.")
    return Exit.OK


def _read(call: Call, name: str) -> bytes:
    """The file's content without a byte order mark. Raises UsageProblem if it cannot be read or is no JSON, with line
    and column."""
    try:
        content = call.terminal.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise UsageProblem(f"{name}: {error.strerror}") from None
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        msgspec.json.decode(content, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageProblem(
            f"{_said(name)}{_position(content)}: no JSON: {error}",
            hint="zendeskctl org export shows what it looks like",
        ) from None
    return content


def _position(content: bytes) -> str:
    """`, line 3, column 14` of what is wrong, as the standard library's parser finds it."""
    import json

    try:
        json.loads(content)
    except json.JSONDecodeError as error:
        return f", line {error.lineno}, column {error.colno}"
    except UnicodeDecodeError as error:
        return f", byte {error.start}"
    return ""


def _said(name: str) -> str:
    return "standard input" if name == "-" else name


def _in_file(name: str, error: ZendeskdError) -> ZendeskdError:
    """What the daemon found wrong, with the file's name before each place. Other errors stay as they are."""
    problem = getattr(error, "problem", None)
    if problem is None or problem.status not in {400, 422}:
        return error
    places = [(item.path, item.detail, item.hint) for item in problem.problems]
    places = places or [(problem.field, problem.detail, problem.hint)]
    lines = tuple(": ".join(filter(None, (_said(name), path, detail))) for path, detail, _ in places)
    hints = dict.fromkeys(hint for _, _, hint in places if hint)
    return ConfigError(lines[0], hint="; ".join(list(hints)[:3]), problems=lines)


def _prepare_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", nargs="?", help="default: standard output")


def _export(call: Call) -> Exit:
    reply = call.daemon.export_organizations()
    text = present.json_text(msgspec.json.format(msgspec.json.encode(reply), indent=2))
    if call.options.file is None:
        call.terminal.line(text)
        return Exit.OK
    path = Path(call.options.file)
    try:
        with open(path, "w", encoding="utf-8", opener=_for_us_and_our_group) as file:
            file.write(text + "\n")
    except OSError as error:
        raise UsageProblem(f"cannot write {path}: {error.strerror}") from None
    call.terminal.say(f"{present.plural(len(reply.organizations), 'organisation')} written to {path}; no secrets in it")
    return Exit.OK


def _for_us_and_our_group(path: str, flags: int) -> int:
    """It names customers, and an import of it says where credentials go."""
    return os.open(path, flags, 0o640)


VERBS: Final = (
    Verb(
        name="org import",
        summary="add many organisations from a file, all or nothing",
        usage="FILE [--update] [--dry-run] [COMMON]",
        examples=("zendeskctl org import fleet.json --dry-run", "zendeskctl org import fleet.json --update"),
        prepare=_prepare_import,
        run=_import,
        operations=("import_organizations",),
        documents=(wire.ImportResult,),
        description="Add many organisations from a JSON file, all or nothing. Organisations that are there already are "
        "left alone unless --update is given.",
    ),
    Verb(
        name="org export",
        summary="the fleet as a file for import, without any secret",
        usage="[FILE] [COMMON]",
        examples=("zendeskctl org export > fleet.json", "zendeskctl org export | jq '.organizations | length'"),
        prepare=_prepare_export,
        run=_export,
        operations=("export_organizations",),
        documents=(wire.FleetExport,),
    ),
)
