"""In practice: how precise the answers are, and how much is left to review, where most turns are none."""

from dataclasses import asdict
from typing import Any

import numpy as np

from asif_data.labels import LABELS, MARKS, NONE
from asif_train import metrics
from asif_train.judged import Judged
from asif_train.metrics import Estimate, estimate_weighted

# What share of the counselor turns of whole sessions each mark has: counted for this project, the sessions are not public.
PREVALENCE = {"empathy": 0.235, "sympathy": 0.03, "over-identification": 0.005, NONE: 0.73}
SOURCE = (
    "263 counselor turns of seven whole recorded sessions: none 73 %, empathy 24 %, sympathy 3 %. "
    "Over-identification did not occur in them and is set to 0.5 %, empathy to 23.5 %"
)
LOAD = ("labelled", "wrong", "uncertain")


def practice(judged: Judged, resamples: int = metrics.RESAMPLES) -> dict[str, Any] | None:
    """Precision of each label (0..1) and the review load in whole sessions.

    The load is how many of 100 turns get a label, get a wrong one, and are withheld as uncertain. The rows' own mix of
    marks is replaced by `PREVALENCE`: each true mark's share of answers stays as measured, which assumes that turns of
    one mark are alike here and there (label shift: Saerens et al. 2002, Adjusting the Outputs of a Classifier to New a
    Priori Probabilities). Intervals resample groups. None if the labels are not those of the codebook, or a mark does
    not occur in the rows.
    """
    if judged.labels != LABELS or len(np.unique(judged.gold)) != len(MARKS):
        return None

    def over(measure: Any) -> dict[str, Any]:
        found: Estimate = estimate_weighted(lambda w: measure(_joint(judged, w)), judged.groups, resamples)
        return asdict(found)

    measures = {
        "labelled": lambda joint: 100 * _labelled(joint),
        "wrong": lambda joint: 100 * (_labelled(joint) - sum(joint[:, i, i] for i in range(len(LABELS)))),
        "uncertain": lambda joint: 100 * joint[:, :, -1].sum(1),
    }
    return {
        "prevalence": PREVALENCE,
        "source": SOURCE,
        "precision": {label: over(lambda joint, i=i: _precision(joint, i)) for i, label in enumerate(LABELS)},
        "of_100_turns": {name: over(measures[name]) for name in LOAD},
    }


def _joint(judged: Judged, weights: np.ndarray) -> np.ndarray:
    """Share of all turns by true mark and answer, (resamples, 4, 5): the labels, none and uncertain."""
    answers = np.where(judged.uncertain, len(MARKS), judged.answers)
    counts = metrics.weighted_confusion(judged.gold, answers, (len(MARKS), len(MARKS) + 1), weights)
    true = counts.sum(2, keepdims=True)
    shares = np.divide(counts, true, out=np.full(counts.shape, np.nan), where=true > 0)
    return np.array([PREVALENCE[mark] for mark in MARKS])[:, None] * shares


def _labelled(joint: np.ndarray) -> np.ndarray:
    return joint[:, :, : len(LABELS)].sum((1, 2))


def _precision(joint: np.ndarray, label: int) -> np.ndarray:
    answered = joint[:, :, label].sum(1)
    return np.divide(joint[:, label, label], answered, out=np.full(len(joint), np.nan), where=answered > 0)
