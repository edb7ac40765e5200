"""Keyword rules: cue phrases, counted."""

import numpy as np
import pytest

from asif_data.labels import LABELS
from asif_train.keywords import CUES, keyword_scores


def test_scores_are_shares_of_the_cue_phrases_found() -> None:
    scores, in_scope = keyword_scores(["I\u2019m SORRY, that's awful. You felt small."])
    assert scores[0] == pytest.approx(np.array([1.5, 2.5, 0.5]) / 4.5)
    assert in_scope[0] == pytest.approx(3 / 4)


def test_without_a_cue_nothing_is_known() -> None:
    scores, in_scope = keyword_scores(["Shall we say Tuesday?", "Some orderly minimums."])
    assert scores == pytest.approx(np.full((2, 3), 1 / 3))
    assert in_scope.tolist() == [0, 0]


def test_phrases_are_written_as_they_are_compared_and_belong_to_one_label() -> None:
    assert tuple(CUES) == LABELS
    phrases = [cue for cues in CUES.values() for cue in cues]
    assert len(set(phrases)) == len(phrases)
    assert all(cue == cue.lower() and "'" not in cue for cue in phrases)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("It sounds like, in that moment, you felt utterly abandoned, lost and afraid.", "empathy"),
        ("Oh, that's awful. You poor thing, how hard that must be.", "sympathy"),
        ("Yes, that happened to me too. It's the worst, isn't it?", "over-identification"),
    ],
)
def test_the_anchors_of_the_codebook_are_told_apart(text: str, label: str) -> None:
    scores, _ = keyword_scores([text])
    assert LABELS[int(scores[0].argmax())] == label
