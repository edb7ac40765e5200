import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from asif_data.model_dir import Reference
from asif_serve.decision import Decision
from asif_serve.drift import WINDOW, Window, divergence, outcome, recent, reference


def decision(label, reason=None, score=1.0, in_scope=0.5):
    return Decision(("a", "b"), (score, 1 - score) if label == "a" else (1 - score, score), in_scope, reason, (label,))


A, B = decision("a", score=0.9, in_scope=0.8), decision("b", score=0.7, in_scope=0.6)
UNSURE, OUT = decision("a", "uncertain", 0.6), decision("b", "out_of_scope", 0.8, 0.1)


def test_an_outcome_is_the_label_or_the_reason_why_there_is_none():
    assert [outcome(d) for d in (A, B, UNSURE, OUT)] == ["a", "b", "uncertain", "out_of_scope"]


def test_a_reference_holds_shares_and_means():
    found = reference([A, A, B, OUT])
    assert found.rows == 4
    assert found.outcomes == {"a": 0.5, "b": 0.25, "out_of_scope": 0.25}
    assert found.confidence == pytest.approx((0.9 + 0.9 + 0.7 + 0.8) / 4)
    assert found.in_scope == pytest.approx((0.8 + 0.8 + 0.6 + 0.1) / 4)


def test_there_is_no_reference_of_nothing():
    with pytest.raises(ValueError, match="at least one"):
        reference([])


def test_an_empty_window_says_nothing():
    window = Window()
    window.add([])
    assert recent(window.sums) is None


@given(st.lists(st.sampled_from([A, B, UNSURE, OUT]), min_size=1, max_size=20))
def test_a_few_answers_look_like_themselves(decisions):
    window = Window()
    window.add(decisions)
    found, expected = recent(window.sums), reference(decisions)
    assert found is not None
    assert found.rows == len(decisions)
    assert found.outcomes == pytest.approx(expected.outcomes)
    assert (found.confidence, found.in_scope) == pytest.approx((expected.confidence, expected.in_scope))


@pytest.mark.parametrize("size", [1, 7, 250])
def test_a_window_holds_about_the_last_thousand(size):
    window = Window()
    for _ in range(20_000 // size):
        window.add([A] * size)
    for _ in range(WINDOW // size):
        window.add([B] * size)
    found = recent(window.sums)
    assert found is not None
    assert found.rows == WINDOW
    # 1 - 1/e of the weight lies on the last thousand rows.
    assert found.outcomes["b"] == pytest.approx(0.632, abs=0.003)
    for _ in range(8 * WINDOW // size):
        window.add([B] * size)
    found = recent(window.sums)
    assert found is not None and found.outcomes["b"] > 0.999
    assert (found.confidence, found.in_scope) == pytest.approx((0.7, 0.6), abs=0.001)


def test_windows_of_several_workers_add_up():
    one, other = Window(), Window()
    one.add([A] * 30)
    other.add([B] * 10)
    found = recent({key: one.sums.get(key, 0) + other.sums.get(key, 0) for key in one.sums | other.sums})
    assert found is not None
    assert found.rows == 40
    assert found.outcomes == pytest.approx({"a": 0.75, "b": 0.25}, abs=0.01)
    assert found.confidence == pytest.approx(0.85, abs=0.001)


def shares(**outcomes):
    return Reference(rows=1, outcomes=outcomes, confidence=1, in_scope=1)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (shares(a=0.5, b=0.5), shares(b=0.5, a=0.5), 0.0),
        (shares(a=1.0), shares(b=1.0), 1.0),
        # By hand: m = (0.75, 0.25); (1/2) log2(1 / 0.75) + (1/2) (0.5 log2(0.5 / 0.75) + 0.5 log2(0.5 / 0.25))
        (shares(a=1.0), shares(a=0.5, b=0.5), 0.3112781),
        (shares(a=0.5, b=0.5), shares(a=0.5, b=0.25, c=0.25), 0.1556391),
    ],
)
def test_the_divergence_is_jensen_and_shannon_s(one, other, expected):
    assert divergence(one, other) == divergence(other, one) == pytest.approx(expected, abs=1e-6)


def test_rows_like_the_reference_s_stay_near_it_and_others_do_not():
    chance = random.Random(0)
    expected = reference([A] * 30 + [B] * 30 + [OUT] * 38 + [UNSURE] * 2)
    window, found = Window(), []
    for i in range(20_000):
        window.add(chance.choices([A, B, OUT, UNSURE], [30, 30, 38, 2]))
        if i > 3_000 and i % 100 == 0:
            now = recent(window.sums)
            assert now is not None
            found.append(divergence(now, expected))
    assert max(found) < 0.004
    window.add([OUT] * 500)
    now = recent(window.sums)
    assert now is not None and divergence(now, expected) > 0.04


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=2, max_size=5))
def test_the_divergence_is_that_of_scipy(counts):
    p, q = (np.array(column, dtype=float) for column in zip(*counts, strict=True))
    if not (p.any() and q.any()):
        return
    p, q = p / p.sum(), q / q.sum()
    one, other = (
        Reference(rows=1, outcomes={str(i): share for i, share in enumerate(shares) if share}, confidence=1, in_scope=1)
        for shares in (p, q)
    )
    assert divergence(one, other) == pytest.approx(jensenshannon(p, q, base=2) ** 2, abs=1e-9)
