"""Noise: the same utterance in another spelling, the same way for the same draw."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asif_data.encoding import Utterance
from asif_train.noise import noisy
from asif_train.transforms import _BRACKETS, _FILLERS

SAID = Utterance(
    "You felt small, as if you were twelve again. And nobody came, did they?", "He laughed at my letter, loudly."
)


def drawn(utterance: Utterance = SAID, times: int = 200) -> list[Utterance]:
    return [noisy(utterance, Random(seed)) for seed in range(times)]


def test_a_draw_is_repeated() -> None:
    assert drawn() == drawn()
    assert len(set(drawn())) > 100


def test_most_of_what_was_said_is_still_there() -> None:
    said = set(SAID.text.lower().replace(",", "").replace(".", "").replace("?", "").split())
    for text, _ in drawn():
        kept = {word.strip(".,;!?\u2026-") for word in text.lower().split()}
        assert len(said & kept) >= len(said) - 2
        assert len(text) < 2 * len(SAID.text)


def test_the_clients_turn_changes_only_as_a_whole_transcript_does() -> None:
    changed = [(text, context) for text, context in drawn() if context != SAID.context]
    assert changed
    assert all(text != SAID.text for text, _ in changed)
    assert not any("laughs)" in (context or "") for _, context in drawn())


def test_without_a_client_turn_there_is_none_after() -> None:
    assert all(context is None for _, context in drawn(Utterance(SAID.text)))


def test_nothing_of_the_robustness_suite_is_learnt_by_heart() -> None:
    texts = " ".join(text for text, _ in drawn(times=1000))
    words = texts.replace(",", " ").split()
    assert not {"um", "uh"} & set(words)
    assert not any(bracket in texts for bracket in _BRACKETS)
    assert not any(f" {filler} " in f" {' '.join(words)} " for filler in _FILLERS)


@given(st.text(), st.none() | st.text(), st.integers(0, 2**32))
def test_any_text_can_be_noised(text: str, context: str | None, seed: int) -> None:
    found = noisy(Utterance(text, context), Random(seed))
    assert isinstance(found.text, str)
    assert (found.context is None) == (context is None)


@pytest.mark.parametrize("text", ["", "Mm.", "...", "\u2026"])
def test_hardly_anything_said(text: str) -> None:
    assert all(isinstance(found.text, str) for found in drawn(Utterance(text), 50))
