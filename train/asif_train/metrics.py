"""Metrics, each a function of arrays; intervals that resample groups.

Rows carry a target 0..L-1, or L where none of the L labels applies. `scores` have shape (rows, L) and sum to 1.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import DegenerateDataWarning, bootstrap
from sklearn.metrics import accuracy_score, auc, brier_score_loss, f1_score, roc_auc_score

RESAMPLES = 1000


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; `rows` says over how many rows (or sets)."""

    value: float
    low: float
    high: float
    rows: int

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def estimate(metric: Callable[[np.ndarray], float], groups: Sequence[object], resamples: int = RESAMPLES) -> Estimate:
    """A metric with a 95 % percentile interval that resamples groups, not rows.

    `metric` takes row indices (a resample repeats and omits whole groups) and may return nan where it is not
    defined; such resamples are left out. Without resamples the interval is nan. Cluster bootstrap: Field & Welsh (2007), Bootstrapping clustered data.
    """
    names, inverse = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    members = [np.flatnonzero(inverse == g) for g in range(len(names))]
    value = float(metric(np.arange(len(inverse))))
    if resamples < 1 or len(names) < 2 or np.isnan(value):
        return Estimate(value, float("nan"), float("nan"), len(inverse))

    def resampled(drawn: np.ndarray) -> float:
        return metric(np.concatenate([members[g] for g in drawn]))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)  # resamples without a value are left out below
        result = bootstrap(
            (np.arange(len(names)),),
            resampled,
            vectorized=False,
            n_resamples=resamples,
            method="percentile",
            rng=np.random.default_rng(0),
        )
    low, high = np.nanpercentile(result.bootstrap_distribution, [2.5, 97.5])
    return Estimate(value, float(low), float(high), len(inverse))


def macro_f1(gold: np.ndarray, found: np.ndarray, labels: int) -> float:
    """Mean F1 over `labels` classes; a class that nobody names counts as 0."""
    return float(f1_score(gold, found, labels=range(labels), average="macro", zero_division=0))  # pyright: ignore[reportArgumentType]


def four_way_macro_f1(logits: np.ndarray, gold: np.ndarray) -> float:
    """Macro-F1 over the labels and none before calibration, from logits (rows, L): none's logit is zero."""
    pinned = np.concatenate([logits, np.zeros((len(logits), 1))], axis=1)
    return macro_f1(gold, pinned.argmax(1), pinned.shape[1])


def accuracy(gold: np.ndarray, found: np.ndarray) -> float:
    """Share of rows that are right, 0..1."""
    return float(accuracy_score(gold, found))


def expected_calibration_error(gold: np.ndarray, scores: np.ndarray, bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over equal-width bins of confidence, weighted by rows, 0..1.

    Source: Guo et al. (2017), equation 3.
    """
    confidence, right = scores.max(1), scores.argmax(1) == gold
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(index, confidence - right, bins)
    return float(np.abs(gaps).sum() / len(gold))


def brier(gold: np.ndarray, scores: np.ndarray) -> float:
    """Multi-class Brier score: mean squared distance to the one-hot truth, 0 (best) to 2. Brier (1950)."""
    return float(brier_score_loss(gold, scores, labels=range(scores.shape[1]), scale_by_half=False))  # pyright: ignore[reportArgumentType]


def scope_auroc(inside: np.ndarray, in_scope: np.ndarray) -> float:
    """Chance that a row inside the scope gets a higher `in_scope` than one outside; nan if either is absent."""
    return float(roc_auc_score(inside, in_scope)) if 0 < inside.sum() < len(inside) else float("nan")


def fpr_at_95_tpr(inside: np.ndarray, in_scope: np.ndarray) -> float:
    """Share of out-of-scope rows let in by the threshold that lets in 95 % of the in-scope rows.

    Source: Hendrycks & Gimpel (2017), A Baseline for Detecting Misclassified and Out-of-Distribution Examples.
    """
    if not 0 < inside.sum() < len(inside):
        return float("nan")
    return float((in_scope[~inside] >= np.quantile(in_scope[inside], 0.05)).mean())


def risk_coverage(gold: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coverage (0..1, rising) and the error rate among the rows kept, the most confident first.

    Source: Geifman & El-Yaniv (2017), Selective Classification for Deep Neural Networks.
    """
    wrong = (scores.argmax(1) != gold)[np.argsort(-scores.max(1), kind="stable")]
    kept = np.arange(1, len(gold) + 1)
    return kept / len(gold), np.cumsum(wrong) / kept


def aurc(gold: np.ndarray, scores: np.ndarray) -> float:
    """Area under the risk-coverage curve, 0..1, lower is better."""
    coverage, risk = risk_coverage(gold, scores)
    return float(auc(coverage, risk)) if len(gold) > 1 else float("nan")
