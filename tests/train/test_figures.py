"""Figures: what stands where."""

import numpy as np
import pytest

from asif_train import figures


def test_intervals_stand_in_order_each_series_beside_the_other() -> None:
    nan = float("nan")
    a = {"first": {"value": 0.5, "low": 0.4, "high": 0.7}, "second": {"value": 0.9, "low": nan, "high": nan}}
    figure = figures.intervals(
        {"a": a, "b": {"second": {"value": 0.2, "low": 0.1, "high": 0.3}}}, "share", reference=0.6
    )
    [axes] = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["first", "second"]
    reference, one, two = axes.lines
    assert list(reference.get_xdata()) == [0.6, 0.6]
    assert list(one.get_xdata()) == [0.5, 0.9]
    assert one.get_ydata() == pytest.approx([-0.11, 0.89])
    assert two.get_ydata() == pytest.approx([1.11])
    assert one.get_marker() != two.get_marker()  # told apart without colour
    low, high = axes.collections[0].get_segments()[0][:, 0]
    assert (low, high) == (0.4, 0.7)
    figure.canvas.draw()


def test_a_data_map_has_deviation_across_and_mean_up() -> None:
    labels, marks = ["none", "empathy", "none"], ["empathy", "none"]
    figure = figures.data_map(np.array([0.9, 0.1, 0.5]), np.array([0.0, 0.1, 0.4]), labels, marks)
    empathy, none = figure.axes[0].lines
    assert (list(none.get_xdata()), list(none.get_ydata())) == ([0.0, 0.4], [0.9, 0.5])
    assert (list(empathy.get_xdata()), list(empathy.get_ydata())) == ([0.1], [0.1])
    assert none.get_marker() != empathy.get_marker()
