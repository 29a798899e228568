"""Credentials from where they are safe to come from: a file, standard input, or a person typing. Never an argument.

Nothing of a secret is ever in an error or on the screen.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TextIO

import msgspec

from zendeskd.verbs.exits import UsageProblem
from zendeskd.verbs.terminal import Terminal

SIZE_MAX: Final = 64 * 1024

KINDS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "oauth_client_credentials": (("clientId",), ("clientSecret",)),
    "oauth_refresh_token": (("clientId",), ("clientSecret", "refreshToken")),
    "api_token": (("email",), ("token",)),
    "bearer": ((), ("token",)),
}
"""Kind -> its public parts and its secrets."""

_WORDS: Final = {
    "clientId": "OAuth client id",
    "clientSecret": "OAuth client secret",
    "refreshToken": "refresh token",
    "email": "e-mail of the token's user",
    "token": "token",
}
FLAGS: Final = {"clientId": "--client-id", "email": "--email"}


def read_source(name: str, stdin: TextIO) -> bytes:
    """What a file (or standard input, `-`) holds, without the byte order mark that editors put before it. Raises
    UsageProblem if it cannot be read or is empty."""
    try:
        if name == "-":
            content = stdin.buffer.read(SIZE_MAX + 1)
        else:
            with Path(name).open("rb") as file:
                content = file.read(SIZE_MAX + 1)
    except (OSError, ValueError) as error:  # a name with a NUL in it
        if "{" in name:
            raise UsageProblem(
                "the credentials themselves were given where a file belongs: other users may have seen them (ps)",
                hint="give them on standard input (-), or put them into a file for you alone; then renew them",
            ) from None
        raise UsageProblem(f"cannot read {name}: {getattr(error, 'strerror', error)}") from None
    said = "standard input" if name == "-" else name
    if len(content) > SIZE_MAX:
        raise UsageProblem(f"{said} is larger than {SIZE_MAX // 1024} KiB: that is no credential")
    content = content.removeprefix(codecs.BOM_UTF8)
    if not content.strip():
        raise UsageProblem(f"{said} is empty", hint="the JSON object, or with --kind the bare secret")
    return content


def credential_of(content: bytes, *, kind: str | None, public: Mapping[str, str | None]) -> bytes:
    """The credential as the API takes it: a JSON object as it is, a bare secret put into its kind.

    `public`: the public parts that were given. Raises UsageProblem that names what is missing, never the secret.
    """
    if content.lstrip().startswith(b"{"):
        if kind is not None or any(public.values()):
            raise UsageProblem("the file is a JSON object, which says its kind itself: leave --kind and its parts out")
        try:
            msgspec.json.decode(content, type=msgspec.Raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise UsageProblem("the credential is no JSON object: it begins with { but cannot be read") from None
        return content.strip()
    if kind is None:
        raise UsageProblem(
            "a bare secret does not say what it is: give --kind and its public parts, or the JSON object",
            hint="zendeskctl credentials set acme --kind api_token --email ana@example.com < token.txt",
        )
    parts, secrets = KINDS[kind]
    _check_public(kind, parts, public)
    if len(secrets) > 1:
        raise UsageProblem(f"{kind} has two secrets ({', '.join(secrets)}): give the JSON object")
    return _encoded(kind, {part: public[part] or "" for part in parts} | {secrets[0]: _bare(content)})


def ask_for_credential(
    terminal: Terminal, *, kind: str | None, public: Mapping[str, str | None], may_skip: bool = False
) -> bytes | None:
    """Ask the person for what is missing. None if they skipped it. Raises UsageProblem for an unusable answer."""
    if kind is None:
        terminal.say(f"Kinds of credentials: {', '.join(KINDS)}")
        kind = terminal.ask(f"Kind{' (enter: later)' if may_skip else ''}: ").strip()
        if not kind and may_skip:
            return None
        if kind not in KINDS:
            raise UsageProblem(f"that is no kind of credentials, it can be {', '.join(KINDS)}")
    parts, secrets = KINDS[kind]
    _check_public(kind, parts, {**dict.fromkeys(parts, "asked"), **{k: v for k, v in public.items() if v}})
    values = {part: public.get(part) or terminal.ask(f"{_WORDS[part]}: ").strip() for part in parts}
    values |= {part: terminal.ask_secret(f"{_WORDS[part]} (not shown): ").strip() for part in secrets}
    missing = [_WORDS[part] for part, value in values.items() if not value]
    if missing:
        raise UsageProblem(f"{missing[0]}: nothing was typed")
    return _encoded(kind, values)


def _check_public(kind: str, parts: tuple[str, ...], public: Mapping[str, str | None]) -> None:
    for part, flag in FLAGS.items():
        if part in parts and not public.get(part):
            raise UsageProblem(f"{kind} wants {flag}")
        if part not in parts and public.get(part):
            raise UsageProblem(f"{flag} does not go with {kind}")


def _bare(content: bytes) -> str:
    try:
        text = content.decode().strip()
    except UnicodeDecodeError:
        raise UsageProblem("the secret is not text (UTF-8)") from None
    if not text.isprintable() or " " in text:
        raise UsageProblem("the secret has blanks or line breaks in it", hint="one line with nothing but the secret")
    return text


def _encoded(kind: str, values: Mapping[str, str]) -> bytes:
    return msgspec.json.encode({"kind": kind, **values})
