"""Metrics against values computed by hand."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, confusion_matrix, f1_score, roc_auc_score, roc_curve

from asif_train import metrics
from asif_train.metrics import each


def test_macro_f1_counts_a_label_that_is_never_answered_as_zero() -> None:
    gold, found = np.array([0, 0, 1, 2]), np.array([0, 0, 0, 2])
    assert metrics.macro_f1(gold, found, 3) == pytest.approx((0.8 + 0.0 + 1.0) / 3)


def test_macro_f1_incl_none_reads_none_as_a_logit_of_zero() -> None:
    logits = np.array([[2.0, -1.0], [-1.0, -2.0], [0.5, 1.0]])
    assert metrics.macro_f1_incl_none(logits, np.array([0, 2, 1])) == 1.0


def test_calibration_error_by_hand() -> None:
    scores = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    gold = np.array([0, 1, 0, 0])
    # Two bins: confidence 0.9 with half right, confidence 0.6 with all right.
    assert metrics.expected_calibration_error(gold, scores) == pytest.approx(0.5 * 0.4 + 0.5 * 0.4)


def test_brier_by_hand() -> None:
    scores = np.array([[0.8, 0.1, 0.1], [0.2, 0.5, 0.3]])
    first, second = 0.2**2 + 0.1**2 + 0.1**2, 0.2**2 + 0.5**2 + 0.7**2
    found = metrics.weighted_brier(np.array([0, 2]), scores, np.array([[1.0, 1.0], [3.0, 1.0]]))
    assert found == pytest.approx([(first + second) / 2, (3 * first + second) / 4])


def test_scope_auroc_counts_pairs_in_order() -> None:
    inside, in_scope = np.array([True, True, False, False]), np.array([0.9, 0.4, 0.5, 0.1])
    every, twice, none = [1, 1, 1, 1], [1, 2, 1, 1], [1, 1, 0, 0]
    found = metrics.weighted_scope_auroc(inside, in_scope, np.array([every, twice, none], dtype=float))
    assert found == pytest.approx([3 / 4, 4 / 6, np.nan], nan_ok=True)


def test_scope_auroc_counts_a_tie_as_half() -> None:
    found = metrics.weighted_scope_auroc(np.array([True, False]), np.array([0.5, 0.5]), np.ones((1, 2)))
    assert found.tolist() == [0.5]


def test_fpr_at_95_tpr_by_hand() -> None:
    inside = np.array([True] * 20 + [False] * 4)
    in_scope = np.array([*np.linspace(0.5, 1.0, 20), 0.1, 0.2, 0.6, 0.9])
    assert metrics.fpr_at_95_tpr(inside, in_scope) == pytest.approx(0.5)


def test_risk_coverage_keeps_the_confident_first() -> None:
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.45, 0.55]])
    coverage, risk = metrics.risk_coverage(np.array([0, 1, 1, 1]), scores)
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert risk.tolist() == pytest.approx([0, 0, 1 / 3, 1 / 4])


def test_aurc_is_the_area_under_the_trapezoids_by_hand() -> None:
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.45, 0.55]])
    # Risk 0, 0, 1/3, 1/4 at coverage 1/4 to 1, see above.
    assert metrics.aurc(np.array([0, 1, 1, 1]), scores) == pytest.approx((0 + 1 / 6 + 7 / 24) / 4)
    assert np.isnan(metrics.aurc(np.array([0]), scores[:1]))


def test_calibration_error_is_that_of_a_plain_loop_over_the_bins() -> None:
    rng = np.random.default_rng(4)
    scores, gold = rng.dirichlet(np.ones(3), 300), rng.integers(0, 3, 300)
    confidence, right = scores.max(1), scores.argmax(1) == gold
    expected = 0.0
    for low in np.arange(metrics.ECE_BINS) / metrics.ECE_BINS:
        here = (confidence >= low) & (confidence < low + 1 / metrics.ECE_BINS)
        if here.any():
            expected += here.mean() * abs(right[here].mean() - confidence[here].mean())
    assert metrics.expected_calibration_error(gold, scores) == pytest.approx(expected)


def test_fpr_at_95_tpr_is_read_off_the_roc_curve_of_scikit_learn() -> None:
    rng = np.random.default_rng(6)
    inside = rng.random(401) < 0.5
    in_scope = rng.normal(inside.astype(float), 1.0)
    false, true, _ = roc_curve(inside, in_scope, drop_intermediate=False)
    assert metrics.fpr_at_95_tpr(inside, in_scope) == pytest.approx(false[true >= 0.95][0], abs=0.01)


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


def test_a_figure_tells_what_is_not_defined() -> None:
    nan = float("nan")
    assert str(metrics.Estimate(0.5, 0.4, 0.61234, 9)) == "0.500 [0.400, 0.612]"
    assert metrics.Estimate(12.34, 10.0, 15.0, 9).text(1) == "12.3 [10.0, 15.0]"
    assert str(metrics.Estimate(0.5, nan, nan, 9)) == "0.500"
    assert str(metrics.Estimate(nan, nan, nan, 0)) == "not defined"


def test_resamples_without_a_value_leave_the_interval_to_the_others() -> None:
    first = metrics.estimate(lambda i: 1.0 if 0 in i else float("nan"), ["a", "b", "c"])
    assert (first.value, first.low, first.high) == (1.0, 1.0, 1.0)
    whole = metrics.estimate(lambda i: 1.0 if len(set(i)) == 12 else float("nan"), range(12), 50)
    assert whole.value == 1.0
    assert np.isnan(whole.low)


def test_weighted_metrics_are_those_of_scikit_learn_on_each_resample() -> None:
    rng = np.random.default_rng(3)
    gold, inside = rng.integers(0, 3, 60), rng.random(60) < 0.6
    scores, in_scope = rng.dirichlet(np.ones(3), 60), rng.random(60).round(1)
    best = scores.argmax(1)
    weights = rng.multinomial(60, np.ones(60) / 60, 25).astype(float)

    expected = each(lambda i: float(brier_score_loss(gold[i], scores[i], labels=range(3))))
    assert metrics.weighted_brier(gold, scores, weights) == pytest.approx(expected(weights))
    expected = each(lambda i: float(f1_score(gold[i], best[i], average="macro")))
    assert metrics.weighted_macro_f1(gold, best, 3, weights) == pytest.approx(expected(weights))
    expected = each(lambda i: float(roc_auc_score(inside[i], in_scope[i])))
    assert metrics.weighted_scope_auroc(inside, in_scope, weights) == pytest.approx(expected(weights))
    expected = each(lambda i: float((best == gold)[i].mean()))
    assert metrics.weighted_mean(best == gold, weights) == pytest.approx(expected(weights))
    once = np.ones((1, 60))
    found = metrics.weighted_confusion(gold, best, (3, 3), once)[0]
    assert found.tolist() == confusion_matrix(gold, best).tolist()


def test_macro_f1_over_the_labels_that_occur_does_not_count_the_others() -> None:
    gold, found = np.array([0, 0, 1]), np.array([0, 2, 1])
    every, without_second = np.array([[1.0, 1.0, 1.0]]), np.array([[1.0, 1.0, 0.0]])
    assert metrics.weighted_macro_f1(gold, found, 3, every, occurring=True) == pytest.approx((2 / 3 + 1) / 2)
    assert metrics.weighted_macro_f1(gold, found, 3, every) == pytest.approx((2 / 3 + 1) / 3)
    assert metrics.weighted_macro_f1(gold, found, 3, without_second, occurring=True) == pytest.approx(2 / 3)
    assert np.isnan(metrics.weighted_macro_f1(gold, found, 3, np.zeros((1, 3)), occurring=True)).all()


def test_intervals_are_the_same_one_resample_at_a_time_and_all_at_once() -> None:
    right, group = np.random.default_rng(0).random(40) < 0.7, np.repeat(np.arange(10), 4)
    by_index = metrics.estimate(lambda i: float(right[i].mean()), group, 200)
    at_once = metrics.estimate_weighted(lambda w: metrics.weighted_mean(right, w), group, 200)
    assert at_once.value == pytest.approx(by_index.value)
    assert (at_once.low, at_once.high) == pytest.approx((by_index.low, by_index.high))


def test_many_rows_are_resampled_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_CELLS", 100)
    sizes = []

    def mean(weights: np.ndarray) -> np.ndarray:
        sizes.append(len(weights))
        return metrics.weighted_mean(np.arange(40), weights)

    found = metrics.estimate_weighted(mean, np.arange(40), 50)
    assert found.low < found.value < found.high
    assert max(sizes) <= 2


def test_the_calibration_limit_is_the_percentile_of_a_binomial_in_one_bin() -> None:
    # One bin of 400 rows at 0.7: the ECE is |hits / 400 - 0.7|, whose 95th percentile is 1.96 standard errors.
    scores = np.tile([0.7, 0.3], (400, 1))
    calibrated, confident = np.repeat([0, 1], [280, 120]), np.repeat([0, 1], [240, 160])
    found = metrics.label_calibration(calibrated, scores)
    assert found["ECE"].value == pytest.approx(0)
    assert found["ECE"].limit == pytest.approx(1.96 * np.sqrt(0.7 * 0.3 / 400), abs=0.005)
    # Brier is 2 x 0.3^2 where right, 2 x 0.7^2 where wrong: its limit lies 1.645 standard errors above the mean 0.42.
    assert found["Brier"].limit == pytest.approx(0.42 + 0.8 * 1.645 * np.sqrt(0.7 * 0.3 / 400), abs=0.005)
    assert found["ECE"].within and found["Brier"].within
    over = metrics.label_calibration(confident, scores)
    assert over["ECE"].value == pytest.approx(0.1)
    assert not over["ECE"].within
    assert str(over["ECE"]).startswith("0.100, above 0.0")


def test_calibrated_scores_exceed_their_limit_one_time_in_twenty() -> None:
    rng = np.random.default_rng(5)
    above = 0
    for _ in range(200):
        scores = rng.dirichlet([2.0, 1.0, 1.0], 80)
        gold = (rng.random(80)[:, None] >= scores.cumsum(1)[:, :-1]).sum(1)
        above += not metrics.label_calibration(gold, scores, simulations=100)["ECE"].within
    assert 0 < above <= 22


def test_scope_calibration_by_hand() -> None:
    in_scope, inside = np.array([0.9, 0.9, 0.2, 0.2]), np.array([True, False, False, False])
    found = metrics.scope_calibration(inside, in_scope)
    assert found["ECE"].value == pytest.approx((2 * 0.4 + 2 * 0.2) / 4)
    assert found["Brier"].value == pytest.approx((0.1**2 + 0.9**2 + 0.2**2 + 0.2**2) / 4)


def test_calibration_is_the_same_every_time_and_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    in_scope = np.random.default_rng(2).random(50)
    inside = in_scope > 0.4
    at_once = metrics.scope_calibration(inside, in_scope)
    monkeypatch.setattr(metrics, "_CELLS", 500)
    assert metrics.scope_calibration(inside, in_scope) == at_once


def test_headlines_of_rows_without_a_label_in_scope_are_not_defined() -> None:
    gold, scores, in_scope = np.array([2, 2]), np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([0.3, 0.2])
    found = {name: metric(gold, scores, in_scope)(np.ones((1, 2))) for name, metric in metrics.HEADLINES.items()}
    assert all(np.isnan(values).all() for values in found.values())
