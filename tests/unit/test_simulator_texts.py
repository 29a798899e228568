"""What simulated tickets say."""

from __future__ import annotations

import json

from zendeskd.simulator import Simulator
from zendeskd.simulator.texts import PARAGRAPHS, SUBJECTS, TOPICS, paragraphs, subjects


def test_a_ticket_is_about_one_matter_and_signed() -> None:
    topic_of_paragraph = {json.loads(b'"%b"' % text).strip(): n % TOPICS for n, text in enumerate(paragraphs())}
    topics_of_subject: dict[str, set[int]] = {}
    for n, text in enumerate(subjects()):
        topics_of_subject.setdefault(json.loads(b'"%b"' % text), set()).add(n % TOPICS)
    simulator = Simulator(seed=3)
    account = simulator.add_account("acme", tickets=200)
    simulator.stop()
    for raw in account.tickets().values():
        ticket = json.loads(raw)
        *said, signature = ticket["description"].split("\n\n")
        assert len(said) == 3
        assert {topic_of_paragraph[paragraph] for paragraph in said} == topics_of_subject[ticket["subject"]]
        assert len(set(said)) == 3
        assert signature.startswith("Kind regards,\n")


def test_there_is_enough_of_everything_and_nothing_unfilled() -> None:
    texts = [*paragraphs(), *subjects()]
    assert (len(paragraphs()), len(subjects())) == (PARAGRAPHS, SUBJECTS)
    assert len(set(paragraphs())) > PARAGRAPHS * 0.9
    assert not [text for text in texts if b"{n}" in text or b"{place}" in text]
    assert 180 < sum(map(len, paragraphs())) / PARAGRAPHS < 240  # what `body_bytes` counts on


def test_some_of_it_is_hard_on_readers() -> None:
    everything = b"".join(texts := [*paragraphs(), *subjects()]).decode()
    assert texts
    for odd in ('\\"', "C:\\\\Users", "<b>", "東京", "🙁", "€"):
        assert odd in everything
