"""Words that set labels apart."""

import numpy as np
import pytest

from asif_data.vocabulary import distinctive_words


def test_the_z_score_by_hand() -> None:
    # Of 4 words "sad" occurs 2 times in sympathy, "you" 1 time in each; the prior of 8 words gives each word 4.
    found = dict(distinctive_words(["sad sad you", "you"], ["sympathy", "empathy"], prior_words=8.0)["sympathy"])
    odds = np.log((2 + 4) / (1 + 4)) - np.log((0 + 4) / (1 + 4))
    assert found["sad"] == pytest.approx(odds / np.sqrt(1 / 6 + 1 / 4))
    assert found["you"] == pytest.approx(-found["sad"] * 0 + (np.log(5 / 6) - np.log(5 / 4)) / np.sqrt(1 / 5 + 1 / 5))


def test_words_stand_with_the_label_that_uses_them_most_first() -> None:
    texts = ["you felt alone", "You felt small"] * 20 + ["so sorry to hear it", "I'm sorry"] * 20
    found = distinctive_words(texts, ["empathy"] * 40 + ["sympathy"] * 40, 2)
    assert {word for word, _ in found["empathy"]} == {"you", "felt"}
    assert found["sympathy"][0][0] == "sorry"
    assert all(z > 1.96 for _, z in found["empathy"])


def test_a_word_that_all_use_alike_is_nobodys() -> None:
    found = dict(distinctive_words(["well yes"] * 9 + ["well no"] * 9, ["a"] * 9 + ["b"] * 9)["a"])
    assert found["well"] == pytest.approx(0)
    assert found["yes"] > 0 > found["no"]
