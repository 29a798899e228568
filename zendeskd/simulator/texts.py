"""What simulated tickets are about, as ready JSON text: a subject and paragraphs of the same matter.

Made once per process, always the same. Some of it is there to be hard on readers: quotation marks, backslashes, tags
that are not markup, letters of many scripts.
"""

from __future__ import annotations

import json
from functools import cache, lru_cache
from random import Random
from typing import Final, NamedTuple

SUBJECTS: Final = 2048
PARAGRAPHS: Final = 1024

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

_WORDS: Final = {
    "place": ("Lisboa", "München", "Kraków", "Århus", "São Paulo", "東京", "Québec", "Dún Laoghaire", "Graz", "Oslo"),
    "thing": ("desk lamp", "coffee grinder", "road bike", "headphones", "reading chair", "garden set", "kettle"),
    "day": ("Monday", "Tuesday", "last week", "the weekend", "yesterday", "the update", "this morning"),
    "browser": ("Firefox", "Safari", "Chrome", "Edge", "the mobile app", "every browser we have"),
    "page": ("checkout", "order history", "account", "returns", "reports", "address book"),
    "month": ("January", "February", "March", "June", "September", "November"),
    "who": ("Jonas", "Aiko", "our accountant", "a colleague", "your chat", "the night shift"),
}


class _Topic(NamedTuple):
    subjects: tuple[str, ...]
    lines: tuple[str, ...]


_TOPICS: Final = (
    _Topic(
        (
            "Payment page answers 500 after log-in",
            "Card declined at checkout, but the bank says it went through",
            "Charged twice for order {n}",
            'Payment for order {n} stuck on "processing"',
            "Cannot pay by invoice any more since {day}",
            "500 on payment, card was charged anyway (order {n})",
            "PayPal sends me back to an empty basket",
        ),
        (
            "Since {day} the payment page answers 500 for everyone who logged in more than an hour ago.",
            "Logging out and in again helps, but our customers do not know that.",
            'The card was charged € {amount} and the order still says "not paid".',
            "It happens with {browser}; with another card it is the same.",
            'The page says: "Something went wrong (code {n})" and nothing else.',
            "Two bookings of the same amount are on my statement, a minute apart.",
            "Please give back one of the two, I have only ordered once.",
            "In our shop in {place} three customers left their baskets standing because of it.",
            "Our bank says that it was booked and that you have to release it.",
        ),
    ),
    _Topic(
        (
            "Password reset mail never arrives",
            "Locked out after changing my phone",
            'Two-factor code is always "expired"',
            "Cannot log in from {place} since {day}",
            "Please remove the log-in of a former colleague",
            'Single sign-on answers "user {n} unknown"',
            "Logged out every few minutes in {browser}",
        ),
        (
            "I asked for a new password three times, the mail does not come; the junk folder is empty too.",
            "The six digits are refused as expired the moment I type them; the clock of the phone is right.",
            "With {browser} it works from home and not from the office in {place}.",
            "{who} has left us, please close the account and send us the list of open sessions.",
            'The error after the redirect is "SAML response {n} has no subject".',
            "Eight people cannot work until this is mended, so please treat it as urgent.",
            "Until {day} it worked, and nobody here has changed anything.",
            "A private window does not help, and neither does another computer.",
            "Could you call me? The number is in my profile, after ten is best.",
        ),
    ),
    _Topic(
        (
            "Order {n} never arrived",
            "Parcel for {place} went to the wrong address",
            "Delivery is two weeks late: order {n}",
            'Tracking has shown "in transit" since {day}',
            "{thing} arrived broken, order {n}",
            "Two items missing from order {n}",
            "Can order {n} go to {place} instead?",
        ),
        (
            'Tracking says "delivered to a neighbour", but nobody in the house has it.',
            "It came with a dent in one side; pictures are attached.",
            "The box was open and two of the four items were missing.",
            "Saludos desde {place}: el pedido {n} todavía no ha llegado.",
            "The carrier sent it back to {place} without ringing.",
            "Please send it again to the office, somebody is there until six.",
            "お世話になっております。注文番号 {n} の件でご連絡いたしました。",
            "It was a present for {day}, so it is too late now anyway.",
            "If it is lost, please say so, then I buy it in the shop.",
        ),
    ),
    _Topic(
        (
            "Cannot export the invoice",
            "Invoice {n} has the wrong VAT number",
            "Please resend the {month} invoices",
            "The {month} statement does not add up",
            "Invoice {n} should go to our {place} office",
            "Reverse charge is missing on invoice {n}",
            "Rechnung {n} fehlt im Portal",
        ),
        (
            "Our VAT number changed in {month}, the invoice still shows the old one.",
            "The total should be 1.204,50 € but the statement shows {n} €.",
            'The button "Export as PDF" does nothing in {browser}.',
            "{who} needs it before the books are closed on Friday.",
            "Our office in {place} has an address of its own now; please use that one.",
            "Vielen Dank für die schnelle Hilfe und Grüße aus {place}!",
            "Until {month} these came by mail; since then nothing has come at all.",
            "Only {few} of the lines on it are ours.",
            "The file is at C:\\Users\\Public\\invoice-{n}.log, I can send it on request.",
        ),
    ),
    _Topic(
        (
            "Return label for order {n} cannot be printed",
            "Refund of € {amount} has not come yet",
            "Wrong size, can I change it? (order {n})",
            "Rückgabe {n}: welche Adresse?",
            "{thing} stopped working after a month",
            "Warranty for the {thing} I bought in {month}",
        ),
        (
            "I sent it back in {month} and have heard nothing since.",
            "The return label opens as an empty page in {browser}.",
            "If a refund of € {amount} is easier for you, that is fine with me as well.",
            "It worked for a month, then the switch came off in my hand 🙁",
            "The receipt is attached; the serial number on it is {n}.",
            "The shop in {place} sent me to you, and you send me to the shop.",
            "I have kept the box and everything that was in it.",
            "How long does it usually take until the money is back?",
            "Je préfère un échange, si c'est possible. Merci d'avance !",
        ),
    ),
    _Topic(
        (
            "API answers 429 with far fewer calls than allowed",
            "Webhook for order events stopped on {day}",
            "API key works for reading, not for writing",
            "Webhook signature does not match since {day}",
            'Field "customer_ref" is missing from the order API',
            "Request {n} times out after 30 seconds",
        ),
        (
            "Our import makes ten calls a minute and gets 429 on every second one.",
            "The last event that reached us was number {n}, before {day}.",
            "The same key works with curl from {place} and fails from our servers.",
            'The answer is {{"error": "invalid_scope", "id": {n}}}, though the scope is there.',
            "We compare the signature as in your guide; with the old secret it matches, with the new one it does not.",
            "We try again with longer and longer pauses, as you recommend, and it does not get better.",
            "Is there a status page for this, or a limit that we do not know of?",
            "Request ids from {day}: 7f3c-{n}, 7f3c-{few}; the clocks of our servers are right.",
            "Steps: create an order with <b>two</b> lines, wait a minute, read it back; the field is gone.",
        ),
    ),
    _Topic(
        (
            "App closes when I open the {page} page",
            "The {page} page loads for ever in {browser}",
            "Search finds nothing since {day}",
            "Basket is empty after switching to {place}",
            "Dark mode makes the {page} page unreadable",
            "The {page} page is half translated",
            "{page} shows 文字化けしている text",
        ),
        (
            "It worked until {day}; now the {page} page stays white.",
            '{browser} shows the wheel for a minute and then "try again later ({n})".',
            "On my phone everything is fine, on the desk it is not.",
            "Half of the buttons are in English and half in Portuguese.",
            "Clearing the cache did not help, another account did.",
            "Sent from my phone, sorry for typos…",
            "Our customers in {place} see the same, so it is not our network.",
            "Please tell us when it is mended, then we test it again.",
            "A screenshot is attached; the reference on it is {n}.",
        ),
    ),
    _Topic(
        (
            "Move our subscription to yearly billing",
            "Please add {few} seats from {month} on",
            "Cancel the trial before it renews",
            "Who may see our data? (audit in {month})",
            'Gift card {n} is "already used"',
            "Question about the price list for {place}",
            "Delete my account and all data, please",
        ),
        (
            "We would like to pay once a year, starting in {month}.",
            "The seats are for the new team in {place}; {who} will send the names.",
            "Please confirm that nothing renews by itself.",
            "Our auditors ask where the data is kept and who may read it.",
            "I scratched the code off carefully, it reads {n} & it is refused.",
            "At the moment we pay for {few} seats, and {who} is the one to talk to.",
            "If there is a form for this, please send it, we did not find it.",
            "The contract is from {month}; its number is {n}.",
            "A quick answer would be kind, the offer ends with {month}.",
        ),
    ),
)
TOPICS: Final = len(_TOPICS)
"""The n-th subject and the n-th paragraph are about topic n modulo this."""

_OPENINGS: Final = ("", "", "", "", "", "", "Re: ", "Fwd: ", "URGENT: ", "[web] ")
_ALWAYS: Final = (
    "{who} wrote about this already (case {n}), but we have not heard back.",
    "Our office in {place} needs this before Friday.",
    "We have been customers for years, so we hope you can sort this out.",
)


def quoted(text: str) -> bytes:
    """JSON text of a string, in UTF-8 and without escapes that are not needed."""
    return json.dumps(text, ensure_ascii=False).encode()


@lru_cache(maxsize=1024)
def inner(text: str) -> bytes:
    """The same without its quotes."""
    return quoted(text)[1:-1]


def _filled(random: Random, text: str) -> str:
    words = {name: random.choice(choices) for name, choices in _WORDS.items()}
    numbers = {"n": random.randrange(1000, 99999), "few": random.randint(3, 40)}
    filled = text.format(amount=f"{random.randint(900, 90000) / 100:.2f}", **numbers, **words)
    return filled[0].upper() + filled[1:]


@cache
def paragraphs() -> tuple[bytes, ...]:
    """Two to four sentences and an empty line, as JSON text without its quotes. Three in a row of one topic have no
    sentence in common."""
    random = Random("paragraphs")  # noqa: S311 - nothing here is a secret
    made = []
    for number in range(PARAGRAPHS):
        topic, third = number % TOPICS, number // TOPICS % 3
        lines = random.sample(_TOPICS[topic].lines[third::3], random.choice((2, 3, 3)))
        if random.random() < 0.4:
            lines.append(_ALWAYS[third])
        made.append(inner(" ".join(_filled(random, line) for line in lines)) + b"\\n\\n")
    return tuple(made)


@cache
def subjects() -> tuple[bytes, ...]:
    """JSON text without its quotes."""
    random = Random("subjects")  # noqa: S311
    return tuple(
        inner(random.choice(_OPENINGS) + _filled(random, random.choice(_TOPICS[number % TOPICS].subjects)))
        for number in range(SUBJECTS)
    )


@cache
def tag_lists() -> tuple[bytes, ...]:
    """JSON arrays of none to five tags, sorted as Zendesk keeps them."""
    random = Random("tags")  # noqa: S311
    lists = (sorted(random.sample(TAGS, random.choice((0, 1, 1, 2, 2, 3, 5)))) for _ in range(256))
    return tuple(b"[" + b",".join(map(quoted, tags)) + b"]" for tags in lists)
