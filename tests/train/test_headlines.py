"""Headlines: by hand, over the rows or sets that each is about, and beside those of another model."""

from dataclasses import replace

import numpy as np
import pytest

from asif_data.labels import LABELS
from asif_data.rows import Row
from asif_train.headlines import headlines, higher_is_better
from asif_train.judged import Judged

# Two rows of each label and none; the first of each is right, and the second answered as the next mark.
ANSWERS = np.array([0, 1, 1, 2, 2, 3, 3, 0])
JUDGED = Judged(
    LABELS,
    gold=np.repeat([0, 1, 2, 3], 2),
    scores=np.where(np.arange(3) == np.array([0, 1, 1, 2, 2, 0, 1, 0])[:, None], 0.8, 0.1),
    in_scope=np.where(ANSWERS == 3, 0.2, 0.9),
    answers=ANSWERS,
    uncertain=np.zeros(8, dtype=bool),
    sets=np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1], [1, 0, 0], [1, 0, 0], [1, 1, 1]], dtype=bool),
    groups=np.array([f"group {i}" for i in range(8)]),
)


def rows(sets: list[str | None]) -> list[Row]:
    return [Row.model_validate({"text": f"reply {i}", "contrast_set": name}) for i, name in enumerate(sets)]


def test_figures_incl_none_count_none_as_an_answer() -> None:
    found = headlines(JUDGED, rows([None] * 8))
    assert found["accuracy incl. none"].estimate(0).value == 0.5
    assert found["macro-F1 incl. none"].estimate(0).value == 0.5  # of each mark, one of two found and one of two right


def test_prediction_sets_are_judged_over_the_rows_in_scope() -> None:
    found = headlines(JUDGED, rows([None] * 8))
    coverage, size = found["set coverage"].estimate(0), found["set size"].estimate(0)
    assert (coverage.value, coverage.rows) == (pytest.approx(4 / 6), 6)
    assert (size.value, size.rows) == (pytest.approx((1 + 2 + 1 + 1 + 3 + 1) / 6), 6)


def test_contrast_consistency_is_the_share_of_whole_sets_with_every_member_right() -> None:
    found = headlines(JUDGED, rows(["a", "b", "a", "b", "b", "c", "c", "alone"]))["contrast consistency"].estimate(30)
    assert (found.value, found.rows) == (pytest.approx(1 / 3), 3)


def test_without_contrast_sets_there_is_no_consistency() -> None:
    assert "contrast consistency" not in headlines(JUDGED, rows(["a", *[None] * 7]))


def test_a_difference_to_oneself_is_certainly_nothing() -> None:
    for measure in headlines(JUDGED, rows(["a", "a", "b", "b", *[None] * 4])).values():
        found = measure.minus(measure).estimate(30)
        assert (found.value, found.low, found.high) == (0, 0, 0)


def test_a_difference_is_resampled_in_pairs() -> None:
    # Both err on the same rows but one: apart, each accuracy varies far more than their difference.
    rng = np.random.default_rng(0)
    gold = rng.integers(0, 4, 200)
    answers = np.where(rng.random(200) < 0.7, gold, (gold + 1) % 4)
    better = answers.copy()
    better[np.flatnonzero(answers != gold)[0]] = gold[np.flatnonzero(answers != gold)[0]]
    whole = Judged(
        LABELS,
        gold=gold,
        scores=np.full((200, 3), 1 / 3),
        in_scope=np.full(200, 0.5),
        answers=answers,
        uncertain=np.zeros(200, dtype=bool),
        sets=np.ones((200, 3), dtype=bool),
        groups=np.arange(200),
    )
    blank = rows([None] * 200)
    old = headlines(whole, blank)["accuracy incl. none"]
    new = headlines(replace(whole, answers=better), blank)["accuracy incl. none"]
    alone, paired = new.estimate(200), new.minus(old).estimate(200)
    assert paired.value == pytest.approx(1 / 200)
    assert paired.low >= 0
    assert paired.high - paired.low < (alone.high - alone.low) / 3


def test_every_headline_is_better_higher_but_errors_and_sets() -> None:
    lower = {name for name in headlines(JUDGED, rows([None] * 8)) if not higher_is_better(name)}
    assert lower == {"ECE", "Brier", "AURC", "FPR at 95 % TPR", "set coverage", "set size"}
