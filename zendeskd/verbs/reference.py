"""What is written about the command line, made from the verbs themselves: docs/cli.md and the JSON schema.

    python -m zendeskd.verbs.reference docs/cli.md zendeskd/schema.json

writes both again; a test fails while they are not fresh.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from zendeskd import verbs, wire
from zendeskd.verbs.base import Verb
from zendeskd.verbs.documents import ErrorDocument
from zendeskd.verbs.exits import MEANING

_INTRO: Final = """\
# zendeskctl

<!-- Made by `python -m zendeskd.verbs.reference`; change the verbs, not this file. -->

`zendeskctl` controls the running daemon over its socket. It needs no configuration: the socket is `--socket PATH`,
else `$ZENDESKD_SOCKET`, else the one of the caller's own daemon, else `/run/zendeskd/control.sock`.

- `--ssh HOST` asks the daemon of another machine, over the `ssh` of this one with all its settings; `HOST` is whatever
  ssh takes. `--socket PATH` is then a path there, `/run/zendeskd/control.sock` if not given: no variable of this
  machine counts. The daemon sees the user whom ssh logs in as. On a terminal ssh may ask for a password, elsewhere it
  never asks. Where ssh does not get through the exit code is 3, where it is not let in 4.
- Data goes to standard output, everything else to standard error. Without a terminal there is no colour, nothing is cut
  and nothing is asked; the columns are the same.
- `--json` prints one document (`watch`: one event a line): the API's own, with `"schema": 1`. Keys may be added to a
  schema; none vanishes or changes its meaning. Times are UTC with milliseconds, durations carry their unit in their
  name. `zendeskd/schema.json` in the package describes every document.
- With `--json` an error is a document too, on standard output, and the exit code is the same:
  `{"schema":1,"error":{"code":"daemon_unreachable","detail":"...","hint":"...","reason":"permission"}}`.
- Verbs that take several organisations ask for each in turn. What is refused for one does not keep the others from it;
  the exit code is theirs if those that failed agree, else 1. Where one organisation is named, JSON is its own document;
  for several, or `--all`, it is a list: `{"schema":1,"items":[...]}`.
"""


def cli_markdown() -> str:
    """docs/cli.md."""
    parts = [_INTRO, "## Exit codes\n\n| code | meaning |\n|---|---|"]
    parts[-1] += "".join(f"\n| {code} | {meaning} |" for code, meaning in MEANING.items())
    parts[-1] += (
        "\n\n`health` alone has the codes of monitoring plug-ins: 0 fine, 1 warning, 2 critical, 3 unknown (also for a "
        "wrong\ncommand line).\n"
    )
    known = list(verbs.every())
    rows = "\n".join(_row(verb) for verb in known)
    parts.append(f"## Verbs\n\n| verb | does | JSON |\n|---|---|---|\n{rows}\n")
    parts += [f"## {verb.name}\n\n```text\n{verb.parser().format_help().rstrip()}\n```\n" for verb in known]
    return "\n".join(parts)


def _row(verb: Verb) -> str:
    documents = ", ".join(f"`{kind.__name__}`" for kind in verb.documents)
    return f"| [{verb.name}](#{verb.name.replace(' ', '-')}) | {verb.summary} | {documents} |"


def schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of every document; `verbs` says which verb prints which."""
    known = list(verbs.every())
    kinds = list(dict.fromkeys([kind for verb in known for kind in verb.documents] + [ErrorDocument]))
    references, definitions = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    by_kind = dict(zip(kinds, references, strict=True))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"What zendeskctl --json prints, schema {wire.SCHEMA}",
        "anyOf": list(references),
        "verbs": {verb.name: [by_kind[kind] for kind in verb.documents] for verb in known if verb.documents},
        "$defs": definitions,
    }


def schema_text() -> str:
    """zendeskd/schema.json."""
    return msgspec.json.format(msgspec.json.encode(schema(), order="deterministic"), indent=1).decode() + "\n"


def main(docs: Path, shipped: Path) -> None:
    docs.write_text(cli_markdown(), encoding="utf-8")
    shipped.write_text(schema_text(), encoding="utf-8")


if __name__ == "__main__":
    main(*(Path(name) for name in sys.argv[1:3]))
