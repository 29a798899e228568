"""What SQLite's errors mean for people, and what may become of the files of an open database."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final, NamedTuple

from zendeskd.errors import Damaged, StorageError
from zendeskd.open_files import Loss


class Trouble(NamedTuple):
    """In a word or two, as a sentence, and what to do. `{path}` stands for the database."""

    word: str
    sentence: str
    hint: str
    error: type[StorageError] = StorageError

    def of(self, path: Path) -> StorageError:
        return self.error(self.sentence.format(path=path), hint=self.hint.format(path=path))


def hung(seconds: int) -> Trouble:
    return Trouble(
        "locked",
        f"Writing to {{path}} has not moved for {seconds} s.",
        "The disk may hang: look at the kernel's log (`dmesg`).",
    )


_LOCKED: Final = Trouble(
    "locked",
    "Another program keeps the database {path} locked.",
    "End it, or its open transaction (`fuser {path}` names it); reading beside the daemon needs no lock.",
)
FULL: Final = Trouble(
    "disk full",
    "The disk that holds {path} is full.",
    "Free some space there (`df -h`); the daemon goes on by itself.",
)
_READ_ONLY: Final = Trouble(
    "read-only",
    "The database {path} cannot be written.",
    "Check the owner and mode of the file and its folder, and that the file system is not mounted read-only.",
)
CORRUPT: Final = Trouble(
    "corrupt",
    "The database {path} is damaged.",
    "Nothing more is written to it. If the disk still reads (`dmesg`), put a backup in its place: stop the daemon, "
    "zendeskd restore FILE.",
    Damaged,
)
_SAVED: Final = (
    "What it held is saved as a backup: see that it was (zendeskctl version; else zendeskctl backup) before you stop "
    "the daemon. "
)
LOSSES: Final[dict[Loss, Trouble]] = {
    "gone": Trouble(
        "file is gone",
        "The database {path} was deleted or moved away under the running daemon; nothing is stored any more.",
        _SAVED + "Then: zendeskd restore FILE. If it was only moved, move it back.",
    ),
    "replaced": Trouble(
        "file was replaced",
        "Another file took the place of the database {path} under the running daemon; nothing is stored any more.",
        _SAVED + "Then start it again, and it works on the file that is there now; or first: zendeskd restore FILE.",
    ),
    "log gone": Trouble(
        "log is gone",
        "The write-ahead log beside the database {path} was deleted under the running daemon.",
        "The daemon begins a new one as soon as nobody reads.",
    ),
}
_TROUBLES: Final[dict[int, Trouble]] = {
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_PROTOCOL: _LOCKED,  # gave up on the locks of the write-ahead log
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_CORRUPT: CORRUPT,
    sqlite3.SQLITE_NOTADB: CORRUPT,
    sqlite3.SQLITE_CANTOPEN: Trouble(
        "cannot be opened",
        "The database {path} cannot be opened.",
        "Check that its folder is there and belongs to the daemon's user.",
    ),
    sqlite3.SQLITE_IOERR: Trouble(
        "I/O error",
        "The disk that holds {path} fails to read or write.",
        "Look at the kernel's log (`dmesg`) and the disk's health.",
    ),
    sqlite3.SQLITE_NOMEM: Trouble(
        "out of memory",
        "There was not enough memory to work on {path}.",
        "Give the daemon more memory (MemoryMax= in its unit), or stop what else uses it.",
    ),
}


def trouble_of(error: BaseException) -> Trouble | None:
    """What an error of the disk means; None for one that is a bug of ours."""
    code = _code(error)
    return None if code is None else _TROUBLES.get(code & 0xFF)


def is_damage(error: BaseException) -> bool:
    """Whether the file itself is found to be damaged. An index for searching that is not true is no such damage."""
    return trouble_of(error) is CORRUPT and _code(error) != sqlite3.SQLITE_CORRUPT_VTAB


def _code(error: BaseException) -> int | None:
    """SQLite's own, also of an error that peewee has wrapped."""
    return getattr(getattr(error, "orig", error), "sqlite_errorcode", None)
