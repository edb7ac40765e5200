"""In practice: precision and review load by hand."""

import numpy as np
import pytest

from asif_data.labels import LABELS, MARKS
from asif_train.judged import Judged
from asif_train.practice import PREVALENCE, practice

# Ten rows of each mark: how many are answered with each label, with none, and withheld as uncertain.
COUNTS = [[8, 1, 0, 0, 1], [2, 6, 0, 1, 1], [0, 0, 10, 0, 0], [1, 0, 1, 8, 0]]


def judged(counts: list[list[int]], labels: tuple[str, ...] = LABELS) -> Judged:
    pairs = [(i, j) for i, row in enumerate(counts) for j, count in enumerate(row) for _ in range(count)]
    gold, answers = (np.array(side) for side in zip(*pairs, strict=True))
    uncertain = answers == 4
    return Judged(
        labels,
        gold=gold,
        scores=np.full((len(gold), 3), 1 / 3),
        in_scope=np.ones(len(gold)),
        answers=np.where(uncertain, 0, answers),
        uncertain=uncertain,
        sets=np.ones((len(gold), 3), dtype=bool),
        groups=np.arange(len(gold)),
    )


def test_the_prevalence_is_of_all_turns() -> None:
    assert set(PREVALENCE) == set(MARKS)
    assert sum(PREVALENCE.values()) == pytest.approx(1)


def test_precision_and_review_load_by_hand() -> None:
    found = practice(judged(COUNTS), resamples=200)
    assert found
    empathy = 0.235 * 0.8 + 0.03 * 0.2 + 0.73 * 0.1
    sympathy = 0.235 * 0.1 + 0.03 * 0.6
    over = 0.005 * 1.0 + 0.73 * 0.1
    precision = {name: value["value"] for name, value in found["precision"].items()}
    assert precision == pytest.approx(
        {"empathy": 0.235 * 0.8 / empathy, "sympathy": 0.03 * 0.6 / sympathy, "over-identification": 0.005 / over}
    )
    labelled = empathy + sympathy + over
    load = {name: value["value"] for name, value in found["of_100_turns"].items()}
    right = 0.235 * 0.8 + 0.03 * 0.6 + 0.005
    uncertain = 0.235 * 0.1 + 0.03 * 0.1
    assert load == pytest.approx(
        {"labelled": 100 * labelled, "wrong": 100 * (labelled - right), "uncertain": 100 * uncertain}
    )
    for value in (*found["precision"].values(), *found["of_100_turns"].values()):
        assert value["low"] <= value["value"] <= value["high"]


def test_a_label_that_is_never_answered_has_no_precision() -> None:
    found = practice(judged([[0, 10, 0, 0, 0], [0, 10, 0, 0, 0], [0, 0, 10, 0, 0], [0, 0, 0, 10, 0]]), resamples=20)
    assert found
    assert np.isnan(found["precision"]["empathy"]["value"])
    assert found["precision"]["over-identification"]["value"] == 1.0


def test_it_is_left_out_for_other_labels_and_where_a_mark_does_not_occur() -> None:
    assert practice(judged(COUNTS, ("warm", "cool", "cold")), resamples=0) is None
    assert practice(judged([*COUNTS[:3], [0] * 5]), resamples=0) is None
