"""Slices: how the model does on rows of one register, length, border or topic."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from asif_data.rows import Row
from asif_train import metrics
from asif_train.judged import Judged
from asif_train.metrics import estimate_weighted

REGISTER, LENGTH, BORDER, TOPIC = "register", "length", "border", "topic"
LENGTHS = ((10, "up to 10 words"), (25, "11-25 words"), (50, "26-50 words"))
LONGEST = "over 50 words"
MEASURES = ("macro-F1", "in-scope AUROC", "accuracy incl. none")
FEWEST_ROWS = 5
FEWEST_CALIBRATED = 50
_LONGEST_NAME = 40  # a longer value is no category: it may be a text, and a report holds none

Slices = dict[str, dict[str, dict[str, Any]]]


def slice_rows(rows: Sequence[Row]) -> dict[str, dict[str, np.ndarray]]:
    """Indices of the rows of each slice: column → value → (rows,).

    Columns are the register, the length of the utterance in words, the border and the topic; those that no row has are
    left out, as are values of fewer than five rows or more than 40 characters. Lengths come in order, other values
    by name.
    """
    lengths: dict[str, list[int]] = {name: [] for name in (*(name for _, name in LENGTHS), LONGEST)}
    for i, row in enumerate(rows):
        lengths[_length(row)].append(i)
    found = {
        REGISTER: _by_value(rows, REGISTER),
        LENGTH: lengths,
        BORDER: _by_value(rows, BORDER),
        TOPIC: _by_value(rows, TOPIC),
    }
    kept = {
        column: {value: np.array(members) for value, members in values.items() if len(members) >= FEWEST_ROWS}
        for column, values in found.items()
    }
    return {column: values for column, values in kept.items() if values}


def _length(row: Row) -> str:
    words = len(row.text.split())
    return next((name for most, name in LENGTHS if words <= most), LONGEST)


def _by_value(rows: Sequence[Row], column: str) -> dict[str, list[int]]:
    members: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        value = getattr(row, column, None)
        if isinstance(value, str | int) and 0 < len(name := str(value)) <= _LONGEST_NAME:
            members.setdefault(name, []).append(i)
    return dict(sorted(members.items()))


def slices(judged: Judged, rows: Sequence[Row], resamples: int = metrics.RESAMPLES) -> Slices:
    """Each slice's rows, rows in scope, macro-F1, in-scope AUROC and accuracy incl. none: column → value → measures.

    Macro-F1 is over the labels that occur in the slice. Intervals resample the slice's own groups. ECE and Brier score
    stand beside their limits (see `metrics.label_calibration`) where at least 50 rows are in scope.
    """
    return {
        column: {value: _measured(judged.part(members), resamples) for value, members in values.items()}
        for column, values in slice_rows(rows).items()
    }


def _measured(part: Judged, resamples: int) -> dict[str, Any]:
    inside, best = part.inside, part.scores.argmax(1)
    weighted = {
        "macro-F1": lambda w: metrics.weighted_macro_f1(
            part.gold[inside], best[inside], len(part.labels), w[:, inside], occurring=True
        ),
        "in-scope AUROC": lambda w: metrics.weighted_scope_auroc(inside, part.in_scope, w),
        "accuracy incl. none": lambda w: metrics.weighted_mean(part.right, w),
    }
    measured: dict[str, Any] = {"rows": len(part.gold), "in_scope_rows": int(inside.sum())}
    for name in MEASURES:
        measured[name] = asdict(estimate_weighted(weighted[name], part.groups, resamples))
    if inside.sum() >= FEWEST_CALIBRATED:
        found = metrics.label_calibration(part.gold[inside], part.scores[inside])
        measured["calibration"] = {name: asdict(yardstick) for name, yardstick in found.items()}
    return measured
