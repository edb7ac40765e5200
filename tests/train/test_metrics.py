"""Metrics against values computed by hand."""

import numpy as np
import pytest

from asif_train import metrics


def test_macro_f1_counts_a_label_that_is_never_answered_as_zero() -> None:
    gold, found = np.array([0, 0, 1, 2]), np.array([0, 0, 0, 2])
    assert metrics.macro_f1(gold, found, 3) == pytest.approx((0.8 + 0.0 + 1.0) / 3)


def test_four_way_macro_f1_reads_none_as_a_logit_of_zero() -> None:
    logits = np.array([[2.0, -1.0], [-1.0, -2.0], [0.5, 1.0]])
    assert metrics.four_way_macro_f1(logits, np.array([0, 2, 1])) == 1.0


def test_calibration_error_by_hand() -> None:
    scores = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    gold = np.array([0, 1, 0, 0])
    # Two bins: confidence 0.9 with half right, confidence 0.6 with all right.
    assert metrics.expected_calibration_error(gold, scores) == pytest.approx(0.5 * 0.4 + 0.5 * 0.4)


def test_brier_by_hand() -> None:
    scores = np.array([[0.8, 0.1, 0.1], [0.2, 0.5, 0.3]])
    by_hand = ((0.2**2 + 0.1**2 + 0.1**2) + (0.2**2 + 0.5**2 + 0.7**2)) / 2
    assert metrics.brier(np.array([0, 2]), scores) == pytest.approx(by_hand)


def test_scope_auroc_counts_pairs_in_order() -> None:
    inside, in_scope = np.array([True, True, False, False]), np.array([0.9, 0.4, 0.5, 0.1])
    assert metrics.scope_auroc(inside, in_scope) == pytest.approx(3 / 4)
    assert np.isnan(metrics.scope_auroc(np.array([True]), np.array([0.5])))


def test_fpr_at_95_tpr_by_hand() -> None:
    inside = np.array([True] * 20 + [False] * 4)
    in_scope = np.array([*np.linspace(0.5, 1.0, 20), 0.1, 0.2, 0.6, 0.9])
    assert metrics.fpr_at_95_tpr(inside, in_scope) == pytest.approx(0.5)


def test_risk_coverage_keeps_the_confident_first() -> None:
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.45, 0.55]])
    coverage, risk = metrics.risk_coverage(np.array([0, 1, 1, 1]), scores)
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert risk.tolist() == pytest.approx([0, 0, 1 / 3, 1 / 4])


def test_intervals_resample_groups_not_rows() -> None:
    rng = np.random.default_rng(1)
    group = np.repeat(np.arange(30), 10)
    right = np.repeat(rng.random(30) < 0.7, 10)  # all rows of a group stand or fall together
    by_group = metrics.estimate(lambda i: float(right[i].mean()), group)
    by_row = metrics.estimate(lambda i: float(right[i].mean()), np.arange(300))
    assert by_group.low < by_group.value < by_group.high
    assert by_group.high - by_group.low > 2 * (by_row.high - by_row.low)


def test_an_interval_of_one_group_is_not_defined() -> None:
    found = metrics.estimate(lambda i: 1.0, ["a", "a"])
    assert found.value == 1.0
    assert np.isnan(found.low)
