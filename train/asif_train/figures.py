"""Figures of an evaluation, readable in print and by colour-blind readers."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import binomtest

from asif_train import metrics
from asif_train.slices import BORDER, LENGTH, REGISTER

BLUE, ORANGE, _GREY = "#0072B2", "#D55E00", "#666666"  # Okabe & Ito (2008)
COLORS = (BLUE, ORANGE, "#009E73", "#CC79A7", _GREY)


def confusion(counts: np.ndarray, names: Sequence[str]) -> Figure:
    """Confusion counts (labels, labels), truth down, answer across, shaded by the share of the true label."""
    size = max(0, len(names) - 4)  # of four names it is as wide as a column of text
    figure = Figure(figsize=(5.4 + size, 4.6 + size))
    axes = figure.subplots()
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(counts):
        axes.text(
            j,
            i,
            f"{count}\n{share[i, j]:.0%}",
            ha="center",
            va="center",
            color="white" if share[i, j] > 0.5 else "black",
        )
    shown = [name.replace("$", r"\$") for name in names]  # a dollar would begin a formula
    axes.set_xticks(range(len(names)), shown, rotation=20, ha="right")
    axes.set_yticks(range(len(names)), shown)
    axes.set(xlabel="answered (none: withheld as out of scope)", ylabel="true label")
    return figure


def reliability(gold: np.ndarray, scores: np.ndarray, bins: int = 10) -> Figure:
    """Accuracy against confidence in equal-width bins, with the number of rows below. Inputs as in metrics."""
    figure = Figure(figsize=(5, 5))
    top, bottom = figure.subplots(2, sharex=True, height_ratios=(4, 1))
    confidence, right = scores.max(1), scores.argmax(1) == gold
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(index, minlength=bins)
    used = count > 0
    mean = np.bincount(index, confidence, bins)[used] / count[used]
    hit = np.bincount(index, right, bins)[used] / count[used]
    tests = [binomtest(int(k), int(n)) for k, n in zip(np.bincount(index, right, bins)[used], count[used], strict=True)]
    interval = np.array([test.proportion_ci(method="wilson") for test in tests]).T
    top.plot([0, 1], [0, 1], ":", color=_GREY, label="perfectly calibrated")
    error = np.abs(interval - hit)
    top.errorbar(mean, hit, error, fmt="o", color=BLUE, capsize=3, label="model, with 95 % Wilson interval")
    top.set(ylabel="share right", ylim=(0, 1.05), xlim=(1 / scores.shape[1], 1.02))
    top.set_title(f"ECE {metrics.expected_calibration_error(gold, scores):.3f}, {len(gold)} rows in scope", fontsize=10)
    top.legend(loc="lower right", frameon=False)
    bottom.bar((np.arange(bins) + 0.5) / bins, count, 0.9 / bins, color=_GREY)
    bottom.set(xlabel="confidence (highest score)", ylabel="rows")
    return figure


def risk_coverage(gold: np.ndarray, scores: np.ndarray) -> Figure:
    """Error rate among the answers kept, against the share kept, most confident first. Inputs as in metrics."""
    figure = Figure(figsize=(5.4, 3.8))
    axes = figure.subplots()
    coverage, risk = metrics.risk_coverage(gold, scores)
    axes.plot(coverage, risk, color=BLUE, label=f"by confidence (AURC {metrics.aurc(gold, scores):.3f})")
    axes.axhline(risk[-1], ls=":", color=ORANGE, label="in random order")
    axes.set(xlabel="share of rows answered", ylabel="error rate among them", xlim=(0, 1.01), ylim=(0, None))
    axes.legend(frameon=False)
    return figure


def slices(found: Mapping[str, Mapping[str, Mapping[str, Any]]], overall: Mapping[str, Any]) -> Figure:
    """Macro-F1 and in-scope AUROC of each register, length and border with 95 % intervals, beside those of all rows.

    `found` and `overall` are a report's slices and headline.
    """
    columns = [name for name in (REGISTER, LENGTH, BORDER) if name in found]
    lines = [(column, value, found[column][value]) for column in columns for value in found[column]]
    # A gap of one line parts a column from the next.
    places = np.array([i + columns.index(column) for i, (column, _, _) in enumerate(lines)])
    figure = Figure(figsize=(7.2, 1.2 + 0.24 * (places[-1] + 1 if lines else 1)), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, metric in zip(panels, ("macro-F1", "in-scope AUROC"), strict=True):
        axes.axvline(overall[metric]["value"], ls=":", color=_GREY)
        for column, color, marker in zip(columns, COLORS, "osD", strict=False):
            here = [i for i, line in enumerate(lines) if line[0] == column]
            value, low, high = (np.array([lines[i][2][metric][key] for i in here]) for key in ("value", "low", "high"))
            axes.hlines(places[here], low, high, color=color)
            axes.plot(value, places[here], marker, color=color, ms=5)
        axes.set(xlabel=metric)
        axes.grid(axis="x", alpha=0.25)
    panels[0].set_yticks(places, [f"{value} ({measured['rows']})" for _, value, measured in lines], fontsize=8)
    panels[0].invert_yaxis()
    figure.suptitle("by register, length and border (rows); dotted: all rows", fontsize=10)
    return figure


def learning_curve(rows: Sequence[int], series: Mapping[tuple[str, str], Sequence[Sequence[float]]]) -> Figure:
    """Scores against the number of training rows, a panel a metric and a line a judged set, each seed a dot.

    `series` maps (judged set, metric) to the scores of all seeds at each number of rows.
    """
    panels = list(dict.fromkeys(metric for _, metric in series))
    names = list(dict.fromkeys(judged for judged, _ in series))
    figure = Figure(figsize=(4.4 * len(panels), 3.8), layout="constrained")
    for axes, metric in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for name, color, marker in zip(names, cycle(COLORS), cycle("osD^v"), strict=False):
            scores = series[name, metric]
            axes.plot(rows, [np.mean(values) for values in scores], color=color, label=name)
            for count, values in zip(rows, scores, strict=True):
                axes.plot([count] * len(values), values, marker, color=color, ms=4, alpha=0.6)
        axes.set_xscale("log", base=2)
        axes.set_xticks(rows, [f"{count:,}" for count in rows])
        axes.minorticks_off()
        axes.set(xlabel="training rows", ylabel=metric)
        axes.grid(alpha=0.25)
    figure.axes[0].legend(frameon=False)
    return figure


def intervals(
    series: Mapping[str, Mapping[str, Mapping[str, Any]]], xlabel: str, *, reference: float | None = None
) -> Figure:
    """Values with their intervals, a line each: name of the series → name of the line → value, low and high.

    A value without an interval (nan) is a dot alone. Lines come in the order of their first series; `reference` is dotted.
    """
    names = list(dict.fromkeys(name for found in series.values() for name in found))
    figure = Figure(figsize=(7.2, 0.9 + 0.3 * len(names)), layout="constrained")
    axes = figure.subplots()
    if reference is not None:
        axes.axvline(reference, ls=":", color=_GREY)
    for i, (label, found) in enumerate(series.items()):
        color, marker = COLORS[i % len(COLORS)], "osD^v"[i % 5]
        places = np.array([names.index(name) for name in found]) + 0.22 * (i - (len(series) - 1) / 2)
        value, low, high = (
            np.array([found[name][key] for name in found], dtype=float) for key in ("value", "low", "high")
        )
        axes.hlines(places, low, high, color=color)
        axes.plot(value, places, marker, color=color, ms=5, label=label)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel=xlabel, ylim=(len(names) - 0.4, -0.6))
    axes.grid(axis="x", alpha=0.25)
    if len(series) > 1:
        figure.legend(loc="outside upper center", ncols=len(series), frameon=False)
    return figure


def data_map(confidence: np.ndarray, variability: np.ndarray, labels: Sequence[str], marks: Sequence[str]) -> Figure:
    """Training rows by what a fine-tuning made of them: mean (up) and deviation (across) of their label's probability, (rows,).

    `labels` has the label of each row, `marks` the labels in the order of their colours.

    Up left is learnt at once, down left never, right in between: Swayamdipta et al. (2020), Dataset Cartography.
    """
    figure = Figure(figsize=(6.4, 5), layout="constrained")
    axes = figure.subplots()
    for label, color, marker in zip(marks, cycle(COLORS), cycle("osD^v"), strict=False):
        here = np.array([name == label for name in labels])
        axes.plot(variability[here], confidence[here], marker, color=color, ms=4, alpha=0.5, label=label, mew=0)
    axes.set(
        xlabel="deviation of the label's probability over the epochs",
        ylabel="mean of it",
        xlim=(0, None),
        ylim=(0, 1.02),
    )
    axes.legend(frameon=False, loc="lower right", markerscale=1.6)
    return figure
