"""Figures from seconds."""

import math

import pytest
from serve.bench.found import Found, Load, Round, quantile


def test_quantiles_are_milliseconds_between_the_nearest_values():
    hundred = [i / 1000 for i in range(100, -1, -1)]  # 100 to 0 ms
    assert [quantile(hundred, share) for share in (0.5, 0.95, 0.99, 1)] == pytest.approx([50, 95, 99, 100])
    assert quantile([0.001, 0.002], 0.75) == pytest.approx(1.75)
    assert quantile([0.003], 0.99) == pytest.approx(3)


def test_a_rate_is_of_all_rounds_together():
    found = Found("a", "", [Round(loads={8: Load(100, 1.0)}), Round(loads={8: Load(300, 3.5)})])
    assert found.rate(8) == pytest.approx(400 / 4.5)
    assert found.rates(8) == pytest.approx([100, 300 / 3.5])


def test_latencies_of_all_rounds_are_put_together():
    found = Found("a", "", [Round(loads={1: Load(2, 1, [0.001, 0.002])}), Round(loads={1: Load(1, 1, [0.009])})])
    assert found.ms(1, 0.5) == pytest.approx(2)
    assert found.ms(1, 1) == pytest.approx(9)


def test_a_mean_is_of_the_rounds_that_have_the_figure():
    found = Found("a", "", [Round(start=1.0), Round(), Round(start=2.0)])
    assert math.isclose(found.mean(lambda one: one.start), 1.5)


@pytest.mark.parametrize(
    "ask",
    [
        lambda found: found.rate(8),
        lambda found: found.rate(64),  # nothing was answered
        lambda found: found.ms(8, 0.5),
        lambda found: found.ms(64, 0.5),
        lambda found: found.beside(0.99),
        lambda found: found.mean(lambda one: one.memory),
    ],
)
def test_a_figure_that_is_not_there_is_no_number(ask):
    with pytest.raises(LookupError):
        ask(Found("a", "", [Round(loads={64: Load(0, 1.0, unanswered=5)})]))
