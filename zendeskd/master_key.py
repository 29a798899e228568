"""The files of the master key: `master.key`, and beside it older ones, `master.key.KID`, which still open what they
sealed. Where a call is said to raise ConfigError, it raises StorageError for a fault of the disk that may pass."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from zendeskd.errors import ConfigError, StorageError, refused

KEY_NAME: Final = "master.key"
KEY_BYTES: Final = 32
_HALF_MADE: Final = ".master-"
_OLDER: Final = re.compile(re.escape(KEY_NAME) + r"\.[0-9a-f]{8}")
_OWNER: Final = "It must belong to the daemon's user."


def key_id(key: bytes) -> str:
    """Names a key without telling it. Raises ConfigError for one of another size."""
    if len(key) != KEY_BYTES:
        raise _wrong_size("The master key", key)
    return hashlib.sha256(b"zendeskd master key " + key).hexdigest()[:8]


def is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise _no_folder(path.parent, error) from None


def read(path: Path, *, private: bool) -> bytes:
    """The key in a file. Raises ConfigError: it cannot be read, has another size, or (`private`) is open to others."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe would wait for its writer
        try:
            mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
            key = os.read(descriptor, KEY_BYTES + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        what = f"The master key {path} cannot be read: {error.strerror}."
        raise refused(error, what, hint=_OWNER) from None
    if private and mode & 0o077:
        raise ConfigError(f"The master key {path} can be read by others (mode {mode:o}).", hint=f"chmod 600 {path}")
    if len(key) != KEY_BYTES:
        raise _wrong_size(f"The master key {path}", key)
    return key


def make(path: Path) -> None:
    """A new key, unless there is one: it appears whole, and one of two that start at once wins. Raises ConfigError."""
    with _new_file(path) as name, contextlib.suppress(FileExistsError):
        os.link(name, path)


def replace(path: Path) -> Path:
    """A new key in the place of the one that is there, which first gets a second name beside it. -> that name.

    The caller holds the daemon's lock. Killed at any moment there is a key, and each that was. Raises ConfigError.
    """
    kept = path.with_name(f"{path.name}.{key_id(read(path, private=True))}")
    for leftover in path.parent.glob(f"{_HALF_MADE}*"):  # of one that was killed
        leftover.unlink(missing_ok=True)
    with _new_file(path) as name:
        with contextlib.suppress(FileExistsError):
            os.link(path, kept)
        _write_through(path.parent)  # the second name, before the first is taken
        os.rename(name, path)  # noqa: PTH104 - a name
    return kept


def older(folder: Path) -> list[Path]:
    """The files of older keys there, by name. Raises ConfigError."""
    try:
        return sorted(path for path in folder.iterdir() if _OLDER.fullmatch(path.name))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _no_folder(folder, error) from None


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[str]:
    """A new key on the disk under a name that is gone afterwards; what the block does is on the disk then too."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=_HALF_MADE, dir=path.parent)  # O_EXCL, mode 0600
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
                file.write(os.urandom(KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
            yield name
        finally:
            Path(name).unlink(missing_ok=True)
        _write_through(path.parent)
    except OSError as error:
        raise refused(
            error,
            f"The master key {path} cannot be made: {error.strerror}.",
            hint="Its folder must be there, be writable for the daemon's user and have room.",
        ) from None


def _write_through(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _no_folder(folder: Path, error: OSError) -> ConfigError | StorageError:
    what = f"The folder of the master key {folder} cannot be looked into: {error.strerror}."
    return refused(error, what, hint=_OWNER)


def _wrong_size(what: str, key: bytes) -> ConfigError:
    has = f"more than {KEY_BYTES}" if len(key) > KEY_BYTES else str(len(key))
    return ConfigError(
        f"{what} has {has} bytes, not {KEY_BYTES}.",
        hint="Put the right one back. If it is lost, make another one (head -c 32 /dev/urandom > master.key) and enter "
        "all credentials again.",
    )
