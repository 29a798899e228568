"""The words that simulated tickets are made of, as ready JSON text. Made once per process, always the same."""

from __future__ import annotations

import json
from functools import cache
from random import Random
from typing import Final

SENTENCES: Final = 512
PARAGRAPHS: Final = 1024
SUBJECTS: Final = 512

FIRST: Final = (
    "Ana", "Björn", "Chen", "Dalia", "Émile", "Fatima", "Grzegorz", "Hana", "İsmail", "Joana", "Kwame", "Lucía",
    "Mei", "Noor", "Oleg", "Priya", "Quentin", "Rósa", "Søren", "Tomás", "Uchenna", "Valeria", "Wei", "Xóchitl",
    "Yuki", "Zoë", "Aarav", "Beatriz", "Cormac", "Daniela", "Ewa", "François",
)  # fmt: skip
LAST: Final = (
    "Abe", "Bauer", "Çelik", "Dubois", "Eriksson", "Fernández", "García", "Hoang", "Ivanova", "Jørgensen", "Kowalski",
    "Lindqvist", "Müller", "Nakamura", "O'Brien", "Petrović", "Quispe", "Rossi", "Śliwa", "Tanaka", "Ueda", "Vargas",
    "Williams", "Xu", "Yılmaz", "Zhang", "Adeyemi", "Brown", "Costa", "Dvořák",
)  # fmt: skip
COMPANIES: Final = (
    "Harbour Coffee", "Nordlys Optik", "Blue Fig Travel", "Kestrel Cycles", "Café Ñandú", "Pine & Rowe", "Oktav Audio",
    "Sora Garden", "Ostrava Steel", "Lumen Dental", "Tidewater Books", "Müllerei Groß", "Atlas Movers", "Juniper Labs",
)  # fmt: skip
GROUPS: Final = ("Support", "Billing", "Returns", "Shipping", "Technical", "VIP")
TAGS: Final = (
    "refund", "shipping", "invoice", "login", "mobile", "vip", "urgent_reply", "delivery_late", "warranty", "trial",
    "api", "newsletter", "jira_escalated", "größe", "返品", "csat_pending", "web_form", "duplicate", "upgrade", "gdpr",
)  # fmt: skip

_THINGS: Final = (
    "order", "invoice", "password reset", "subscription", "delivery", "gift card", "return label", "export", "API key",
    "the mobile app", "two-factor login", "the March statement", "webhook", "booking", "seat licence", "Rückgabe",
)  # fmt: skip
_TROUBLES: Final = (
    "never arrived", "was charged twice", "shows an error", "cannot be opened", "is stuck on \"processing\"",
    "went to the wrong address", "expired too early", "is missing two items", "loads for ever", "was cancelled",
    "has the wrong VAT number", "no longer syncs", "n'est pas arrivé", "文字化けしている", "is half translated",
)  # fmt: skip
_OPENINGS: Final = ("", "Re: ", "Fwd: ", "URGENT: ", "Question: ", "[web] ", "Antw: ", "✱ ")
_PLACES: Final = (
    "Lisboa",
    "München",
    "Kraków",
    "Århus",
    "São Paulo",
    "東京",
    "Québec",
    "Dún Laoghaire",
    "Graz",
    "Oslo",
)
_LINES: Final = (
    "I have tried it three times now, on {place} time, and the {thing} still {trouble}.",
    "Our office in {place} needs this before Friday, otherwise we have to cancel.",
    'The page says: "Something went wrong (code {code})" and nothing else.',
    "It worked until last week; since the update the {thing} {trouble}.",
    "Could you please look into {code} and tell me what to do about the {thing}?",
    "Attached is a screenshot. The reference on it is {code}-{place}.",
    "My colleague in {place} wrote about the {thing} already (case {code}), but we have not heard back 🙁",
    "Steps: open the {thing}, press <Save>, wait; then it {trouble}.",
    "We pay for the {thing} & for support, so a quick answer would be kind.",
    "Sent from my phone, sorry for typos… the {thing} {trouble} again.",
    "Grüße aus {place}, und vielen Dank für die schnelle Hilfe!",
    "お世話になっております。注文番号 {code} の件でご連絡いたしました。",
    "C:\\Users\\Public\\{code}.log has more, I can send it on request.",
    "If a refund of {code} € is easier for you, that is fine with me as well; the card is from {place}.",
    "Saludos desde {place}: el pedido {code} todavía no ha llegado.",
    "The total should be 1.204,50 € but the {thing} shows {code} €.",
)


def quoted(text: str) -> bytes:
    """JSON text of a string, in UTF-8 and without escapes that are not needed."""
    return json.dumps(text, ensure_ascii=False).encode()


def _inner(text: str) -> bytes:
    return quoted(text)[1:-1]


def _sentence(random: Random) -> str:
    return random.choice(_LINES).format(
        place=random.choice(_PLACES),
        thing=random.choice(_THINGS),
        trouble=random.choice(_TROUBLES),
        code=random.randrange(1000, 99999),
    )


@cache
def sentences() -> tuple[bytes, ...]:
    """JSON text without its quotes."""
    random = Random("sentences")  # noqa: S311 - nothing here is a secret
    return tuple(_inner(_sentence(random)) for _ in range(SENTENCES))


@cache
def paragraphs() -> tuple[bytes, ...]:
    """Two to four sentences and an empty line, as JSON text without its quotes."""
    random = Random("paragraphs")  # noqa: S311
    lines = sentences()
    return tuple(b" ".join(random.choices(lines, k=random.randint(2, 4))) + b"\\n\\n" for _ in range(PARAGRAPHS))


@cache
def subjects() -> tuple[bytes, ...]:
    """JSON text without its quotes."""
    random = Random("subjects")  # noqa: S311
    return tuple(
        _inner(f"{random.choice(_OPENINGS)}{random.choice(_THINGS)} {random.choice(_TROUBLES)}")
        for _ in range(SUBJECTS)
    )


@cache
def tag_lists() -> tuple[bytes, ...]:
    """JSON arrays of none to five tags, sorted as Zendesk keeps them."""
    random = Random("tags")  # noqa: S311
    lists = (sorted(random.sample(TAGS, random.choice((0, 1, 1, 2, 2, 3, 5)))) for _ in range(256))
    return tuple(b"[" + b",".join(map(quoted, tags)) + b"]" for tags in lists)
