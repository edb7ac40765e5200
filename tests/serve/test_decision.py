import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from asif_data.model_dir import Calibration, ScopeCalibration
from asif_serve.decision import Decision, decide, energy_of, in_scope_of, scores_of

LABELS = ("a", "b", "c")
# Their exponentials are 6, 3 and 1: shares of ten.
LOGITS = np.log([[6.0, 3.0, 1.0]])


def calibration(**changes):
    values = {
        "temperature": 1.0,
        "scope": ScopeCalibration(slope=1, intercept=0),
        "scope_threshold": 0.0,
        "confidence_threshold": 0.0,
        "set_coverage": 0.95,
        "set_threshold": 0.2,
    }
    return Calibration(**values | changes)


def test_scores_are_shares():
    assert scores_of(LOGITS, 1)[0] == pytest.approx([0.6, 0.3, 0.1])


def test_a_temperature_of_two_takes_square_roots():
    roots = [math.sqrt(6), math.sqrt(3), 1]
    assert scores_of(LOGITS, 2)[0] == pytest.approx([root / sum(roots) for root in roots])


def test_a_temperature_of_one_half_takes_squares():
    assert scores_of(LOGITS, 0.5)[0] == pytest.approx([36 / 46, 9 / 46, 1 / 46])


def test_huge_logits_do_not_overflow():
    assert scores_of(np.array([[1e4, 0, -1e4]]), 1)[0] == pytest.approx([1, 0, 0])
    assert in_scope_of(np.array([[1e4, 0, 0], [-1e4, -1e4, -1e4]]), ScopeCalibration(slope=1, intercept=0)) == (
        pytest.approx([1, 0])
    )


def test_single_precision_scores_still_sum_to_one():
    scores = scores_of(np.array([[3.3, -1.7, 0.2]], dtype=np.float32), 0.7)
    assert scores.dtype == np.float64
    assert scores.sum() == pytest.approx(1, abs=1e-12)


def test_energy_is_the_log_of_the_sum():
    assert energy_of(LOGITS) == pytest.approx([math.log(10)])


def test_in_scope_compares_the_labels_with_none_of_them():
    # Uncalibrated, "none of them" has the exponential 1: ten parts of eleven.
    assert in_scope_of(LOGITS, ScopeCalibration(slope=1, intercept=0)) == pytest.approx([10 / 11])


def test_slope_and_intercept_move_in_scope():
    assert in_scope_of(LOGITS, ScopeCalibration(slope=2, intercept=0)) == pytest.approx([100 / 101])
    assert in_scope_of(LOGITS, ScopeCalibration(slope=1, intercept=-math.log(10))) == pytest.approx([0.5])


def test_the_temperature_does_not_move_in_scope():
    cold, hot = (decide(LOGITS, LABELS, calibration(temperature=t))[0] for t in (0.5, 5))
    assert cold.in_scope == hot.in_scope == pytest.approx(10 / 11)


def test_a_decision_in_full():
    assert decide(LOGITS, LABELS, calibration()) == [
        Decision(
            LABELS,
            (pytest.approx(0.6), pytest.approx(0.3), pytest.approx(0.1)),
            pytest.approx(10 / 11),
            None,
            ("a", "b"),
        )
    ]


@pytest.mark.parametrize(
    ("scope", "confidence", "reason"),
    [
        (0.90, 0.59, None),
        (0.92, 0.59, "out_of_scope"),
        (0.90, 0.61, "uncertain"),
        (0.92, 0.61, "out_of_scope"),
    ],
)
def test_thresholds_withhold_the_label(scope, confidence, reason):
    [found] = decide(LOGITS, LABELS, calibration(scope_threshold=scope, confidence_threshold=confidence))
    assert found.reason == reason
    assert found.label == (None if reason else "a")
    assert found.best == "a"


def test_what_reaches_a_threshold_exactly_is_inside():
    half = np.zeros((1, 2))
    exact = calibration(
        scope=ScopeCalibration(slope=0, intercept=0), scope_threshold=0.5, confidence_threshold=0.5, set_threshold=0.5
    )
    [found] = decide(half, ("a", "b"), exact)
    assert found == Decision(("a", "b"), (0.5, 0.5), 0.5, None, ("a", "b"))


@pytest.mark.parametrize(
    ("threshold", "labels"), [(0.0, ("a", "b", "c")), (0.2, ("a", "b")), (0.5, ("a",)), (0.9, ("a",))]
)
def test_the_prediction_set_holds_what_reaches_its_threshold_and_always_the_best(threshold, labels):
    assert decide(LOGITS, LABELS, calibration(set_threshold=threshold))[0].prediction_set == labels


def test_the_prediction_set_goes_from_best_to_worst():
    assert decide(LOGITS[:, ::-1], LABELS, calibration())[0].prediction_set == ("c", "b")


def test_the_first_of_equal_labels_is_the_best():
    [found] = decide(np.zeros((1, 3)), LABELS, calibration(set_threshold=0.9))
    assert (found.best, found.prediction_set) == ("a", ("a",))


def test_rows_keep_their_order():
    found = decide(np.vstack([LOGITS, LOGITS[:, ::-1], LOGITS]), LABELS, calibration())
    assert [decision.label for decision in found] == ["a", "c", "a"]


def test_no_rows_are_no_decisions():
    assert decide(np.empty((0, 3)), LABELS, calibration()) == []


@given(
    st.lists(st.lists(st.floats(-50, 50, width=32), min_size=3, max_size=3), min_size=1, max_size=5),
    st.floats(0.05, 20),
    *[st.floats(0, 1)] * 3,
)
def test_what_holds_for_any_logits(logits, temperature, scope, confidence, inside):
    rules = calibration(
        temperature=temperature, scope_threshold=scope, confidence_threshold=confidence, set_threshold=inside
    )
    for found in decide(np.array(logits, dtype=np.float32), LABELS, rules):
        assert sum(found.scores) == pytest.approx(1, abs=1e-9)
        assert 0 <= found.in_scope <= 1
        assert found.prediction_set[0] == found.best
        assert len(set(found.prediction_set)) == len(found.prediction_set)
        assert found.scores[LABELS.index(found.best)] == max(found.scores)
        assert (found.reason == "out_of_scope") == (found.in_scope < scope)
        assert (found.label is None) == (found.reason is not None)


@given(st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=5), st.floats(0.1, 10), st.floats(-3, 3), st.floats(-5, 5))
def test_scores_and_in_scope_are_those_of_scipy(logits, temperature, slope, intercept):
    rows = np.array([logits])
    assert scores_of(rows, temperature) == pytest.approx(
        special.softmax(rows / temperature, axis=-1), rel=1e-9, abs=1e-300
    )
    expected = special.expit(slope * special.logsumexp(rows, axis=-1) + intercept)
    assert in_scope_of(rows, ScopeCalibration(slope=slope, intercept=intercept)) == pytest.approx(expected, rel=1e-9)


def test_the_server_does_without_scipy():
    code = "import sys, asif_serve.cli; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
