"""Credentials at rest: the master key, sealing, and the door through which a run gets at its credentials.

AES-256-GCM with the organisation and its system as associated data: a row copied to another organisation does not
open. A sealed text is `v1:KID:NONCE:CIPHERTEXT` (base64 without padding), where KID tells which key sealed it.
"""

from __future__ import annotations

import base64
import contextlib
import difflib
import hashlib
import json
import os
import stat
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from zendeskd.errors import BadRequest, ConfigError, CredentialError, StorageError
from zendeskd.models import (
    AnyCredential,
    ApiToken,
    Bearer,
    Integration,
    OAuthClientCredentials,
    OAuthRefreshToken,
    StoredCredential,
    dec_secret,
    enc_secret,
    utcnow,
)
from zendeskd.store import Store
from zendeskd.store.fleet import SealedCredential

KEY_NAME: Final = "master.key"
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_VERSION: Final = "v1"
_ENTER_AGAIN: Final = "Enter them again: zendeskctl credentials set {org} --system {system}"


# --- the vault --------------------------------------------------------------------------------------------------------


class Vault:
    """Seals with `key`, opens what `key` or one of `older` sealed. Any thread."""

    def __init__(self, key: bytes, *, older: Sequence[bytes] = ()) -> None:
        """Raises ConfigError for a key that has not 32 bytes."""
        self._kid = _kid(key)
        self._keys: Mapping[str, AESGCM] = {_kid(one): AESGCM(one) for one in (*older, key)}
        self._doors = threading.Lock()
        self._renewals: dict[int, Renewal] = {}
        self._under_way = 0
        self._moved = threading.Condition()

    def __repr__(self) -> str:
        return f"Vault({self._kid})"

    def seal(self, organization_id: str, system: str, stored: StoredCredential) -> SealedCredential:
        """What the database holds of it: the sealed text, and what may be known without opening it."""
        nonce = os.urandom(_NONCE_BYTES)
        plain = msgspec.json.encode(stored, enc_hook=enc_secret)
        sealed = self._keys[self._kid].encrypt(nonce, plain, _bound_to(organization_id, system))
        return SealedCredential(
            kind=kind_of(stored.credential),
            ciphertext=":".join((_VERSION, self._kid, _base64(nonce), _base64(sealed))),
            expires_at=None if stored.access is None else stored.access.expires_at,
        )

    def unseal(self, organization_id: str, system: str, ciphertext: str) -> StoredCredential:
        """Raises CredentialError: sealed with another key, for another organisation, or damaged."""
        hint = _ENTER_AGAIN.format(org=organization_id, system=system)
        try:
            version, kid, nonce, sealed = ciphertext.split(":")
            if version != _VERSION:
                raise CredentialError("The credentials were sealed by a newer zendeskd.", hint=hint)
            if kid not in self._keys:
                raise CredentialError(
                    f"The credentials of {organization_id} were sealed with another master key than this one.",
                    hint=f"Put that {KEY_NAME} back and restart; if it is lost: {hint[0].lower()}{hint[1:]}",
                )
            plain = self._keys[kid].decrypt(_bytes(nonce), _bytes(sealed), _bound_to(organization_id, system))
            return msgspec.json.decode(plain, type=StoredCredential, dec_hook=dec_secret)
        except (InvalidTag, ValueError, msgspec.MsgspecError):  # binascii.Error is a ValueError
            raise CredentialError(f"The stored credentials of {organization_id} are damaged.", hint=hint) from None

    def renewal(self, integration_id: int) -> Renewal:
        """What the doors of an integration share."""
        with self._doors:
            return self._renewals.setdefault(integration_id, Renewal())

    @contextlib.contextmanager
    def renewing(self, renewal: Renewal) -> Iterator[None]:
        """One refresher of that integration at a time; from here on `await_renewals` waits for it."""
        with self._moved:
            self._under_way += 1
        try:
            with renewal.lock:
                yield
        finally:
            with self._moved:
                self._under_way -= 1
                self._moved.notify_all()

    def await_renewals(self, timeout_s: float) -> bool:
        """Wait until no renewal is under way, and try once more to store what the disk refused: before the database is
        closed. -> whether every renewed credential is stored. Any thread that is not renewing itself."""
        with self._moved:
            if not self._moved.wait_for(lambda: self._under_way == 0, timeout_s):
                return False
        with self._doors:
            renewals = list(self._renewals.values())
        for unsaved in [one.unsaved for one in renewals if one.unsaved is not None]:
            with contextlib.suppress(StorageError, CredentialError):
                unsaved.door.load()
        return all(one.unsaved is None for one in renewals)


@dataclass(frozen=True, slots=True)
class Unsaved:
    """A renewed credential that the disk did not take, and the row whose place it is to take."""

    stored: StoredCredential
    instead_of: SealedCredential
    door: StoredCredentials


class Renewal:
    """What all doors of one integration share: `lock` is held by its one refresher, and by who changes `unsaved`."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.unsaved: Unsaved | None = None


def kind_of(credential: AnyCredential) -> str:
    return str(credential.__struct_config__.tag)


def _kid(key: bytes) -> str:
    if len(key) != _KEY_BYTES:
        raise ConfigError(
            f"The master key has {len(key)} bytes, not {_KEY_BYTES}.",
            hint="Make one with: head -c 32 /dev/urandom > master.key (and enter all credentials again).",
        )
    return hashlib.sha256(b"zendeskd master key " + key).hexdigest()[:8]


def _bound_to(organization_id: str, system: str) -> bytes:
    return msgspec.json.encode([organization_id, system])


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


# --- the master key ---------------------------------------------------------------------------------------------------


def open_vault(state_dir: Path, credentials_dir: Path | None, *, create: bool = True) -> Vault:
    """The vault with `credentials_dir`/master.key (what systemd's LoadCredential= hands over), else with
    `state_dir`/master.key, which is made on first use.

    With `create=False` (there are sealed credentials already) a missing key is an error: a new one would open none
    of them. Raises ConfigError for a key that is missing, unreadable, of the wrong size or open to others.
    """
    if credentials_dir is not None and _is_there(given := credentials_dir / KEY_NAME):
        return Vault(_read_key(given, private=False))  # its folder is the service's own
    path = state_dir / KEY_NAME
    if not _is_there(path):
        if not create:
            raise ConfigError(
                f"The master key {path} is missing, and credentials in the database are sealed with it.",
                hint=f"Put the key back. If it is lost, make another one (head -c 32 /dev/urandom > {path}; "
                f"chmod 600 {path}) and enter all credentials again.",
            )
        _make_key(path)
    return Vault(_read_key(path, private=True))


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise ConfigError(
            f"The folder of the master key {path} cannot be looked into: {error.strerror}.",
            hint="It must belong to the daemon's user.",
        ) from None


def _read_key(path: Path, *, private: bool) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
            key = os.read(descriptor, _KEY_BYTES + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ConfigError(
            f"The master key {path} cannot be read: {error.strerror}.", hint="It must belong to the daemon's user."
        ) from None
    if private and mode & 0o077:
        raise ConfigError(f"The master key {path} can be read by others (mode {mode:o}).", hint=f"chmod 600 {path}")
    return key


def _make_key(path: Path) -> None:
    """Write a new key beside its place and link it there: it appears whole, and one of two that start at once wins."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=".master-", dir=path.parent)  # O_EXCL, mode 0600
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
                file.write(os.urandom(_KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(name, path)
        finally:
            os.unlink(name)  # noqa: PTH108 - a name
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise ConfigError(
            f"The master key {path} cannot be made: {error.strerror}.",
            hint="The state folder must be there, be writable for the daemon's user and have room.",
        ) from None


# --- what a person enters ---------------------------------------------------------------------------------------------

_KINDS: Final[Mapping[str, type[AnyCredential]]] = {
    str(kind.__struct_config__.tag): kind for kind in (OAuthClientCredentials, OAuthRefreshToken, ApiToken, Bearer)
}
_MOST_BYTES: Final = 64 * 1024
_LONGEST: Final = 16_384


def parse_credential(data: bytes | str) -> AnyCredential:
    """The credential of a JSON object `{"kind": ..., ...}`.

    Raises BadRequest, which names the kind and the keys that are missing or wrong and never shows a value: also a key
    that resembles none of the right ones is not repeated, since it may be a secret in the wrong place.
    """
    fields = _object(data)
    kind = fields.pop("kind", None)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise _bad("kind", f"The credentials need a `kind`: {_or(_KINDS)}.")
    shape = _KINDS[kind]
    known = {field.encode_name: field for field in msgspec.structs.fields(shape)}
    if others := fields.keys() - known.keys():
        named = "".join(f"; {other} is none, did you mean {near}?" for other, near in _near(others, known))
        text = f"Credentials of kind {kind} have the keys {_and(known)}"
        raise _bad("", text + (named or "; there is another one."), kind)
    missing = [name for name, field in known.items() if field.required and name not in fields]
    if missing:
        raise _bad(missing[0], f"Credentials of kind {kind} need {_and(missing)} too.", kind)
    for name, value in fields.items():
        fields[name] = _value(name, value, kind)
    if shape is ApiToken:
        fields["email"] = _email(fields["email"])
    return msgspec.convert({"kind": kind, **fields}, shape, dec_hook=dec_secret)


def _object(data: bytes | str) -> dict[str, Any]:
    if len(data) > _MOST_BYTES:
        raise _bad("", "The credentials are longer than 64 KiB.")
    try:
        fields = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise _bad("", "The credentials are not a JSON object.")
    return fields


def _value(name: str, value: object, kind: str) -> str:
    """Without white space around it, which comes with pasting and is never part of a secret."""
    if not isinstance(value, str) or not value.strip():
        raise _bad(name, f"`{name}` must be text that is not empty.", kind)
    value = value.strip()
    if len(value) > _LONGEST or not (value.isascii() and value.isprintable()):
        raise _bad(name, f"`{name}` holds characters that no credential has (or is far too long).", kind)
    return value


def _email(email: str) -> str:
    email = email.removesuffix("/token")
    if "@" not in email or ":" in email or " " in email:
        raise _bad("email", "`email` must be the e-mail address of the agent whom the token acts for.", "api_token")
    return email


def _near(others: Iterable[str], known: Iterable[str]) -> list[tuple[str, str]]:
    """Wrong keys that are a misspelt right one, with that one."""
    plain = {name.lower(): name for name in known}
    found = []
    for other in sorted(others):
        bare = other.lower().replace("_", "").replace("-", "")
        near = difflib.get_close_matches(bare, plain, n=1) if bare.isascii() and bare.isalpha() else []
        found += [(other, plain[one]) for one in near]
    return found


def _bad(field: str, detail: str, kind: str = "oauth_client_credentials") -> BadRequest:
    parts = {one.encode_name: "..." for one in msgspec.structs.fields(_KINDS[kind]) if one.required}
    example = json.dumps({"kind": kind, **parts})
    return BadRequest(detail, hint=f"For example: {example}", field=f"credentials.{field}" if field else "credentials")


def _and(names: Any) -> str:
    *some, last = names
    return f"{', '.join(some)} and {last}" if some else str(last)


def _or(names: Any) -> str:
    *some, last = names
    return f"{', '.join(some)} or {last}" if some else str(last)


# --- the door ---------------------------------------------------------------------------------------------------------

_NONE: Final = SealedCredential(kind="", ciphertext="")


class StoredCredentials:
    """One integration's credentials, as sealed in the database (see connectors.base.CredentialDoor). Any thread.

    A renewed credential that cannot be stored is kept in memory, for all doors of the integration, until it can: the
    one in the database is spent.
    """

    def __init__(
        self, store: Store, vault: Vault, integration: Integration, *, now: Callable[[], datetime] = utcnow
    ) -> None:
        self._store, self._vault, self._now = store, vault, now
        self._id, self._org, self._system = integration.id, integration.organization_id, integration.system_type
        self._shared = vault.renewal(integration.id)
        self._row: SealedCredential | None = None

    def load(self) -> StoredCredential:
        """Raises CredentialError when there is none or it cannot be opened, StorageError when the disk says no."""
        self._row = self._sealed()
        if self._shared.unsaved is not None:
            with self._shared.lock:
                self._row = self._sealed()
                if (stored := self._kept(self._row)) is not None:
                    return stored
        return self._vault.unseal(self._org, self._system, self._row.ciphertext)

    def prove(self) -> None:
        """Write what is stored once more, so that nothing is spent whose successor could not be kept.

        Raises StorageError.
        """
        with self._shared.lock:
            self._store.fleet.renew_credential(self._id, self._sealed(), self._now())

    def save(self, stored: StoredCredential) -> None:
        """Store a renewed credential before it is used. Raises StorageError; it is kept in memory then, and the next
        `load` through any door gives it.

        If a person has entered other credentials since `load`, theirs stay and this one is not stored: it belongs to
        what they replaced.
        """
        with self._shared.lock:
            row = self._row or self._store.fleet.credential(self._id) or _NONE
            self._shared.unsaved = Unsaved(stored, row, self)
            self._row = self._write(stored, row)
            self._shared.unsaved = None

    def renewing(self) -> contextlib.AbstractContextManager[None]:
        """Held by the one refresher of this integration, whichever door it came through: use it with `with`, and
        `load` again inside."""
        return self._vault.renewing(self._shared)

    def _sealed(self) -> SealedCredential:
        sealed = self._store.fleet.credential(self._id)
        if sealed is None:
            self._shared.unsaved = None
            raise CredentialError(
                f"{self._org} has no credentials for {self._system} yet.",
                hint=f"zendeskctl credentials set {self._org} --system {self._system}",
            )
        return sealed

    def _kept(self, row: SealedCredential) -> StoredCredential | None:
        """The credential that could not be stored, and is now if the disk lets it. None: `row` is not the one it was
        to replace (it was stored after all, or a person has entered another)."""
        unsaved = self._shared.unsaved
        if unsaved is None or unsaved.instead_of.ciphertext != row.ciphertext:
            self._shared.unsaved = None
            return None
        with contextlib.suppress(StorageError):  # told by every other write; `prove` keeps it from being spent
            self._row = self._write(unsaved.stored, row)
            self._shared.unsaved = None
        return unsaved.stored

    def _write(self, stored: StoredCredential, row: SealedCredential) -> SealedCredential:
        sealed = msgspec.structs.replace(self._vault.seal(self._org, self._system, stored), revision=row.revision)
        self._store.fleet.renew_credential(self._id, sealed, self._now())
        return sealed
