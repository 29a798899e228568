"""Where output goes: data to stdout, everything else to stderr, questions only on a terminal.

Not a terminal: no colour, nothing cut. `--json`: one document. All text that reaches a terminal has been through
`present.clean`, so that a ticket's title cannot move the cursor.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from getpass import getpass
from typing import Final, TextIO

import msgspec

from zendeskd import present
from zendeskd.present import Cell, Column, Tone, Voice, cut, fitting, rows_of_text, width, wrapped
from zendeskd.verbs.exits import NotConfirmed, UsageProblem

_COLORS: Final[Mapping[Tone, str]] = {"good": "32", "warn": "33", "bad": "1;31", "busy": "34", "dim": "2"}


class Terminal:
    """The three streams of one command. Belongs to one thread."""

    def __init__(
        self,
        *,
        stdin: TextIO,
        stdout: TextIO,
        stderr: TextIO,
        environ: Mapping[str, str],
        json: bool = False,
        ascii_only: bool = False,
        no_color: bool = False,
        quiet: bool = False,
    ) -> None:
        self.stdin, self.stdout, self.stderr = stdin, stdout, stderr
        self.json, self.quiet = json, quiet
        on_terminal = stdout.isatty()
        self.color = on_terminal and not (no_color or environ.get("NO_COLOR") or environ.get("TERM") == "dumb")
        self.width = _columns(stdout, environ) if on_terminal else None
        self._talk_width = _columns(stderr, environ) if stderr.isatty() else None
        self.voice = Voice(ascii_only=ascii_only or not _can_show_glyphs(stdout))

    @property
    def interactive(self) -> bool:
        """Whether there is a person to ask."""
        return self.stdin.isatty() and self.stderr.isatty()

    def document(self, reply: object) -> None:
        """One JSON document, one line. Raises BrokenPipeError and OSError as the stream does."""
        self.line(present.json_text(msgspec.json.encode(reply)))

    def line(self, text: str = "", tone: Tone = "plain") -> None:
        """One line of data. `text` must be clean already."""
        self._write(self.stdout, self._painted(Cell(text, tone)) + "\n")

    def lines(self, texts: Sequence[str], *, indent: int | None = None) -> None:
        """Lines of data. On a terminal those that are too long are broken at words if `indent` says how far in they go
        on."""
        for text in texts:
            whole = indent is None or self.width is None
            for line in [text] if whole else wrapped(text, self.width or 0, indent=indent or 0):
                self.line(line)

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]], *, whole: bool = False) -> None:
        """A title row and the rows. On a terminal columns that can be spared are left out until the lines fit, and the
        last one is cut to what is left, unless `whole`."""
        if self.width is not None and not whole:
            places = fitting(columns, rows, self.width)
            columns = [columns[place] for place in places]
            rows = [[row[place] for place in places] for row in rows]
        for row in rows_of_text(columns, rows):
            last = row[-1]
            if self.width is not None and not whole:
                used = sum(width(cell.text) + 2 for cell in row[:-1])
                last = Cell(cut(last.text, max(8, self.width - used), ascii_only=self.voice.ascii_only), last.tone)
            painted = "  ".join([*(self._painted(cell) for cell in row[:-1]), self._painted(last)])
            self._write(self.stdout, painted.rstrip() + "\n")

    def say(self, text: str) -> None:
        """Talk, to stderr; silent with -q."""
        if not self.quiet:
            self.complain(text)

    def complain(self, text: str) -> None:
        """To stderr, -q or not; on a terminal long lines are broken at words."""
        lines = text.split("\n")
        if (cells := self._talk_width) is not None:
            lines = [part for line in lines for part in wrapped(line, cells, indent=len(line) - len(line.lstrip(" ")))]
        self._write(self.stderr, "".join(f"{line}\n" for line in lines))
        self.stderr.flush()

    def confirm(self, question: str, *, typed: str | None = None) -> None:
        """Returns if the person says yes (or types the name `typed`). Raises NotConfirmed, and UsageProblem without a
        terminal."""
        if not self.interactive:
            raise UsageProblem(f"{question} There is no terminal to ask on.", hint="give --yes to go ahead")
        wanted = f"Type {typed} to go ahead: " if typed else "Go ahead? [y/N] "
        answer = self.ask(f"{question}\n{wanted}").strip()
        if answer != typed if typed else answer.lower() not in {"y", "yes"}:
            raise NotConfirmed("nothing was changed")

    def ask(self, prompt: str) -> str:
        """A line from the person. End of input counts as an empty one."""
        self.stderr.write(prompt)
        self.stderr.flush()
        return self.stdin.readline().rstrip("\n")

    def ask_secret(self, prompt: str) -> str:
        """A line that is not shown while it is typed."""
        try:
            return getpass(prompt, stream=self.stderr)
        except EOFError:
            return ""

    def _painted(self, cell: Cell) -> str:
        code = _COLORS.get(cell.tone) if self.color else None
        return f"\x1b[{code}m{cell.text}\x1b[0m" if code and cell.text else cell.text

    def _write(self, stream: TextIO, text: str) -> None:
        encoding = stream.encoding or "utf-8"
        stream.write(text.encode(encoding, "replace").decode(encoding))


def _can_show_glyphs(stream: TextIO) -> bool:
    try:
        "✓◕✗»∙◌…".encode(stream.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _columns(stream: TextIO, environ: Mapping[str, str]) -> int:
    """Cells of a line of the terminal: $COLUMNS, else what it says itself, else 80."""
    given = environ.get("COLUMNS", "")
    if given.isascii() and given.isdigit() and int(given) > 0:
        return int(given)
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):  # no descriptor behind it, or not a terminal after all
        return 80
