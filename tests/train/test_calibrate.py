"""Calibration on logits whose truth is known."""

import numpy as np
import pytest

from asif_data.errors import AsifError
from asif_serve.decision import decide, scores_of
from asif_train.calibrate import calibrate, fit_confidence_threshold, fit_set_threshold, fit_temperature


def simulated(rows: int, sharpness: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose softmax beside a zero is the truth's probability; `sharpness` makes them overconfident."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2.5, (rows, 3))
    pinned = np.concatenate([logits, np.zeros((rows, 1))], axis=1)
    p = np.exp(pinned) / np.exp(pinned).sum(1, keepdims=True)
    gold = np.array([rng.choice(4, p=row) for row in p])
    return logits * sharpness, gold


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_overconfidence(sharpness: float) -> None:
    logits, gold = simulated(6000, sharpness)
    inside = gold < 3
    assert fit_temperature(logits[inside], gold[inside]) == pytest.approx(sharpness, rel=0.1)


def test_in_scope_is_the_probability_of_a_label() -> None:
    logits, gold = simulated(8000)
    found = calibrate(logits, gold)
    assert found.scope.slope == pytest.approx(1.0, abs=0.1)
    assert found.scope.intercept == pytest.approx(0.0, abs=0.1)


def test_prediction_sets_cover_new_rows_as_promised() -> None:
    logits, gold = simulated(4000)
    calibration = calibrate(logits, gold)
    new, truth = simulated(4000, seed=1)
    decisions = decide(new, ("a", "b", "c"), calibration)
    holds = [("a", "b", "c")[g] in d.prediction_set for g, d in zip(truth, decisions, strict=True) if g < 3]
    assert np.mean(holds) == pytest.approx(0.95, abs=0.012)


def test_the_set_threshold_is_the_finite_sample_quantile() -> None:
    true_scores = np.linspace(0.02, 1.0, 99)
    scores = np.stack([true_scores, 1 - true_scores], axis=1)
    # (99 + 1) x 5 % = the fifth smallest score of the true label
    assert fit_set_threshold(scores, np.zeros(99, dtype=int)) == pytest.approx(true_scores[4])


def test_too_few_rows_for_the_promise_put_every_label_in_the_set() -> None:
    assert fit_set_threshold(np.full((10, 2), 0.5), np.zeros(10, dtype=int)) == 0.0


def test_answers_above_the_confidence_threshold_are_right_as_promised() -> None:
    logits, gold = simulated(4000)
    inside = gold < 3
    scores = scores_of(logits[inside], 1.0)
    threshold = fit_confidence_threshold(scores, gold[inside])
    assert (scores.max(1) < threshold).mean() <= 0.101


def test_rows_without_none_cannot_calibrate() -> None:
    logits, gold = simulated(100)
    with pytest.raises(AsifError, match="none"):
        calibrate(logits[gold < 3], gold[gold < 3])


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("labels", [2, 4])
def test_thresholds_of_few_rows_do_not_turn_on_the_last_decimal_of_one(labels: int, rows: int) -> None:
    """Else the gate, which asks for the same answers of each exported form, would refuse the model by chance."""
    names = tuple("abcd"[:labels])
    for seed in range(12):
        rng = np.random.default_rng(seed)
        gold = np.repeat(np.arange(labels + 1), rows)
        logits = rng.normal(0, 3, (len(gold), labels))
        calibration = calibrate(logits, gold)
        exact, near = (
            [(d.reason, d.best) for d in decide(given, names, calibration)]
            for given in (logits, logits + rng.normal(0, 1e-6, logits.shape))
        )
        assert exact == near
