"""Slices: which rows, which measures, and what is left out."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from asif_data.labels import LABELS
from asif_data.rows import Row
from asif_train.judged import Judged
from asif_train.metrics import label_calibration
from asif_train.slices import slice_rows, slices


def answered(rows: int, groups: int = 20) -> Judged:
    """Rows with answers drawn at random."""
    rng = np.random.default_rng(0)
    scores, in_scope = rng.dirichlet(np.ones(3), rows), rng.random(rows)
    return Judged(
        LABELS,
        gold=rng.integers(0, 4, rows),
        scores=scores,
        in_scope=in_scope,
        answers=np.where(in_scope < 0.3, 3, scores.argmax(1)),
        uncertain=np.zeros(rows, dtype=bool),
        sets=np.ones((rows, 3), dtype=bool),
        groups=np.arange(rows) % groups,
    )


def rows_of(count: int, **columns: str) -> list[Row]:
    return [Row.model_validate({"text": "You felt alone.", "label": "empathy", **columns}) for _ in range(count)]


def test_lengths_are_told_by_words_and_come_in_order() -> None:
    words = [60, 51, 50, 26, 25, 11, 10, 1]
    rows = [Row(text=" ".join(["word"] * count)) for count in words for _ in range(5)]
    found = slice_rows(rows)
    assert list(found) == ["length"]
    assert list(found["length"]) == ["up to 10 words", "11-25 words", "26-50 words", "over 50 words"]
    assert found["length"]["over 50 words"].tolist() == list(range(10))
    assert found["length"]["up to 10 words"].tolist() == list(range(30, 40))


def test_slices_with_next_to_no_rows_and_values_that_may_be_texts_are_left_out() -> None:
    texts = rows_of(5, topic="She told me that her mother had died and nobody came.")
    rows = [*rows_of(5, topic="divorce"), *rows_of(4, topic="exams"), *texts]
    assert list(slice_rows(rows)["topic"]) == ["divorce"]


def test_measures_are_those_of_scikit_learn_on_the_rows_of_the_slice() -> None:
    judged = answered(100)
    rows = [*rows_of(60, register="chat"), *rows_of(40, register="forum")]
    found = slices(judged, rows, resamples=50)["register"]["forum"]
    gold, scores = judged.gold[60:], judged.scores[60:]
    inside = gold < 3
    f1 = f1_score(gold[inside], scores[inside].argmax(1), average="macro")
    assert found["macro-F1"]["value"] == pytest.approx(f1)
    assert found["in-scope AUROC"]["value"] == pytest.approx(roc_auc_score(inside, judged.in_scope[60:]))
    assert found["accuracy incl. none"]["value"] == pytest.approx((judged.answers == judged.gold)[60:].mean())
    assert (found["rows"], found["in_scope_rows"]) == (40, inside.sum())
    for name in ("macro-F1", "in-scope AUROC", "accuracy incl. none"):
        assert found[name]["low"] <= found[name]["value"] <= found[name]["high"]


def test_calibration_is_judged_where_fifty_rows_are_in_scope() -> None:
    judged = answered(140)
    rows = [*rows_of(100, register="chat"), *rows_of(40, register="forum")]
    found = slices(judged, rows, resamples=0)["register"]
    assert "calibration" not in found["forum"]
    inside = judged.gold[:100] < 3
    expected = label_calibration(judged.gold[:100][inside], judged.scores[:100][inside])["ECE"]
    assert found["chat"]["calibration"]["ECE"] == vars(expected)


def test_a_slice_without_none_has_no_auroc() -> None:
    judged = answered(30)
    judged = replace(judged, gold=judged.gold % 3)
    found = slices(judged, rows_of(30, border="im-sorry"), resamples=20)["border"]["im-sorry"]
    assert np.isnan(found["in-scope AUROC"]["value"])
