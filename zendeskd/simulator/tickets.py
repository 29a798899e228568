"""A ticket's JSON, made from its numbers: the same bytes for the same seed, account, id and revision, every time.

Shapes follow recorded tickets of several accounts. One ticket takes about 12 µs, so none is kept.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cached_property, lru_cache
from hashlib import blake2b
from random import Random
from time import gmtime, strftime
from typing import Final

from zendeskd.simulator.people import AGENTS, People
from zendeskd.simulator.rows import AI_AGENT, DELETED, SCRUBBED, STRANGE, Ticket
from zendeskd.simulator.texts import PARAGRAPHS, SUBJECTS, TOPICS, inner, paragraphs, quoted, subjects, tag_lists

_STATUSES: Final = (b"open", b"pending", b"solved", b"closed", b"open", b"solved", b"hold", b"solved")
_STATUSES_NEW: Final = (b"new", b"open", b"pending", b"open")
_PRIORITIES: Final = (b"null", b'"normal"', b'"low"', b"null", b'"high"', b'"normal"', b'"urgent"', b"null")
_TYPES: Final = (b"null", b'"question"', b'"task"', b"null", b'"incident"', b'"question"', b"null", b"null")
_CUSTOM: Final = 64
_PROBLEM_EVERY: Final = 50  # each 50th ticket is a problem, which incidents of the next 49 may name
_SKELETON: Final = 1930  # bytes of a ticket without its description, about

_TICKET: Final = (
    b'{"url":"%b/api/v2/tickets/%d.json","id":%d,"external_id":%b,"via":%b,"created_at":"%b","updated_at":"%b",'
    b'"generated_timestamp":%d,"type":%b,"subject":"%b","raw_subject":"%b","description":"%b","priority":%b,'
    b'"status":"%b","recipient":%b,"requester_id":%d,"submitter_id":%d,"assignee_id":%b,"organization_id":%b,'
    b'"group_id":%b,"collaborator_ids":%b,"follower_ids":%b,"email_cc_ids":%b,"forum_topic_id":null,"problem_id":%b,'
    b'"has_incidents":%b,"is_public":%b,"due_at":%b,"tags":%b,"custom_fields":%b,"satisfaction_rating":%b,'
    b'"sharing_agreement_ids":[],"custom_status_id":%d,"encoded_id":"%b","fields":%b,"followup_ids":%b,'
    b'"ticket_form_id":%d,"brand_id":%d,"allow_channelback":false,"allow_attachments":true,'
    b'"from_messaging_channel":%b,"support_type":"%b"}'
)


@lru_cache(maxsize=1024)
def _day(number: int) -> bytes:
    return strftime("%Y-%m-%dT", gmtime(number * 86_400)).encode()


def iso(when: int) -> bytes:
    """Unix seconds as Zendesk writes them: `2026-11-23T14:05:00Z`."""
    day, second = divmod(when, 86_400)
    return b"%b%02d:%02d:%02dZ" % (_day(day), second // 3600, second // 60 % 60, second % 60)


class Writer:
    """Writes one account's tickets. `body_bytes` is about how long a ticket's JSON is."""

    def __init__(self, account: str, seed: int, people: People, initial: int, body_bytes: int) -> None:
        self._people = people
        self._initial = initial
        self._key = blake2b(f"{seed}/{account}".encode(), digest_size=32).digest()
        self._base = int.from_bytes(self._key[:4])
        self._paragraphs = max(1, round((body_bytes - _SKELETON) / 210))
        self._requesters = max(1, people.users - AGENTS)
        self._support = quoted(f"support@{people.domain}")

    def ticket(self, ticket: Ticket) -> bytes:
        """The JSON of a ticket as the export, the lists and show_many all give it."""
        drawn = struct.unpack("<16H", blake2b(b"%d" % ticket.id, key=self._key, digest_size=32).digest())
        ticket_id, revision, flags = ticket.id, ticket.revision, ticket.flags
        people, origin = self._people, self._people.origin
        requester = AGENTS + drawn[0] * (drawn[1] + 1) % self._requesters
        requester_id = people.user_id(requester)
        organization = people.organization_of(requester)
        agent = (drawn[2] + revision) % (AGENTS + 3)  # the last three: nobody
        assigned = agent < AGENTS
        status = self._status(drawn[3], revision, flags)
        subject, description = self._text(drawn, ticket, requester)
        kind, problem, has_incidents = self._kind(ticket_id, drawn[6])
        fields = self._custom_fields[(drawn[7] + revision) % _CUSTOM] + b',{"id":%d,"value":"%d"}]' % (
            self._base + 900_000_000_000,
            745 + drawn[8] + revision,
        )
        followers = b"[%d]" % people.user_id(drawn[9] % AGENTS) if drawn[9] % 5 == 0 else b"[]"
        submitter_id = people.user_id(drawn[4] % AGENTS) if drawn[4] % 6 == 0 else requester_id
        return _TICKET % (
            origin,
            ticket_id,
            ticket_id,
            b'"order-%d"' % drawn[5] if drawn[5] % 4 == 0 else b"null",
            self._via(drawn[10], requester),
            iso(ticket.created),
            iso(ticket.updated),
            ticket.generated,
            kind,
            subject,
            subject,
            description,
            _PRIORITIES[(drawn[11] + revision) % 8],
            status,
            self._support if drawn[10] % 8 < 3 else b"null",
            requester_id,
            submitter_id,
            b"%d" % people.user_id(agent) if assigned else b"null",
            b"null" if organization is None else b"%d" % organization,
            b"%d" % people.group_id(agent) if assigned or drawn[2] % 2 else b"null",
            followers,
            followers,
            b"[%d]" % people.user_id(AGENTS + drawn[12] % self._requesters) if drawn[12] % 9 == 0 else b"[]",
            problem,
            has_incidents,
            b"false" if drawn[13] % 40 == 0 else b"true",
            b'"%b"' % iso(ticket.created + 604_800) if kind == b'"task"' else b"null",
            tag_lists()[(drawn[13] + revision) % 256],
            fields,
            self._rating(drawn[14], ticket_id, status),
            self._base + 12_480_000_000_000,
            b"%05X-%05X" % (drawn[15] * 16 + 7, ticket_id),
            fields,
            b"[%d]" % min(self._initial, ticket_id + 1 + drawn[14] % 40)
            if status == b"closed" and drawn[14] % 8 == 0 and ticket_id < self._initial
            else b"[]",
            self._base + 360_000_000_000,
            self._base + 361_000_000_000,
            b"true" if drawn[10] % 8 == 7 else b"false",
            b"ai_agent" if flags & AI_AGENT else b"agent",
        )

    def status(self, ticket: Ticket) -> str:
        """The status a ticket has or, when deleted, had before."""
        drawn = struct.unpack("<16H", blake2b(b"%d" % ticket.id, key=self._key, digest_size=32).digest())
        return self._status(drawn[3], ticket.revision, ticket.flags & ~DELETED).decode()

    def subject(self, ticket: Ticket) -> bytes:
        """JSON text without its quotes."""
        drawn = struct.unpack("<16H", blake2b(b"%d" % ticket.id, key=self._key, digest_size=32).digest())
        return self._text(drawn, ticket, 0)[0]

    def _status(self, drawn: int, revision: int, flags: int) -> bytes:
        if flags & DELETED:
            return b"deleted"
        return _STATUSES_NEW[revision] if drawn % 8 == 0 and revision < 4 else _STATUSES[(drawn + revision) % 8]

    def _text(self, drawn: tuple[int, ...], ticket: Ticket, requester: int) -> tuple[bytes, bytes]:
        """(subject, description), of one topic, signed by who asks."""
        if ticket.flags & SCRUBBED:
            return b"SCRUBBED", b"X"
        number = drawn[5] % SUBJECTS
        subject = subjects()[number]
        if ticket.flags & STRANGE:
            subject = b"\\u0000%b \\ud800" % subject
        pool, topic, first = paragraphs(), number % TOPICS, drawn[4] * 3 + ticket.id
        text = b"".join([pool[((first + n) * TOPICS + topic) % PARAGRAPHS] for n in range(self._paragraphs)])
        return subject, b"%bKind regards,\\n%b" % (text, inner(self._people.name(requester)))

    def _via(self, drawn: int, requester: int) -> bytes:
        channel = drawn % 8
        if channel < 3:
            name = quoted(self._people.name(requester))
            address = quoted(self._people.email(requester))
            return (
                b'{"channel":"email","source":{"from":{"address":%b,"name":%b,"original_recipients":[%b]},'
                b'"to":{"name":"Support","address":%b},"rel":null}}' % (address, name, self._support, self._support)
            )
        if channel == 6:
            number = b"+1555%07d" % (drawn * 151 % 10_000_000)
            return (
                b'{"channel":"voice","source":{"from":{"phone":"%b","formatted_phone":"%b","name":"Caller %b"},'
                b'"to":{"phone":"+15550100000","formatted_phone":"+1 (555) 010-0000","name":"Support"},'
                b'"rel":"voicemail"}}' % (number, number, number)
            )
        name = (b"web", b"web", b"api", b"voice", b"native_messaging")[channel - 3]
        return b'{"channel":"%b","source":{"from":{},"to":{},"rel":null}}' % name

    def _kind(self, ticket_id: int, drawn: int) -> tuple[bytes, bytes, bytes]:
        """(type, problem_id, has_incidents)."""
        if ticket_id % _PROBLEM_EVERY == 0:
            return b'"problem"', b"null", b"true"
        kind = _TYPES[drawn % 8]
        problem = ticket_id - ticket_id % _PROBLEM_EVERY
        if kind == b'"incident"' and problem:
            return kind, b"%d" % problem, b"false"
        return kind, b"null", b"false"

    def _rating(self, drawn: int, ticket_id: int, status: bytes) -> bytes:
        if status not in (b"solved", b"closed"):
            return b"null" if drawn % 3 else b'{"score":"unoffered"}'
        rating_id = self._base + 35_000_000_000_000 + ticket_id
        return (
            b'{"score":"offered"}',
            b'{"score":"unoffered"}',
            b'{"id":%d,"score":"good","comment":"Schnell & freundlich \xf0\x9f\x91\x8d"}' % rating_id,
            b'{"id":%d,"score":"bad","comment":null,"reason":"Some other reason","reason_id":%d}'
            % (rating_id, self._base + 1_000_000),
            b"null",
        )[drawn % 5]

    @cached_property
    def _custom_fields(self) -> tuple[bytes, ...]:
        """Arrays without their closing bracket: null, text, yes or no, numbers as text, numbers, lists."""
        random = Random(self._key)  # noqa: S311 - nothing here is a secret
        makers: tuple[Callable[[], bytes], ...] = (
            lambda: b"null",
            lambda: random.choice((b"true", b"false")),
            lambda: b'"%d"' % random.randrange(1000),
            lambda: random.choice((b'["a4","letter"]', b"[]", b'["gr\xc3\xbcn"]')),
            lambda: random.choice((b'"checkout"', b'"kasse_\xe2\x82\xac"', b"null", b'"tier_2"')),
            lambda: b"%.2f" % (random.randrange(100_000) / 100),
            lambda: b'"2026-%02d-%02d"' % (random.randint(1, 12), random.randint(1, 28)),
            lambda: b"null",
            lambda: random.choice((b'"eu"', b'"us"', b'"jp"')),
        )
        first = self._base + 360_005_657_120
        return tuple(
            b"[" + b",".join(b'{"id":%d,"value":%b}' % (first + n, make()) for n, make in enumerate(makers))
            for _ in range(_CUSTOM)
        )
