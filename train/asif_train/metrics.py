"""Metrics, each a function of arrays; intervals that resample groups; the limit that chance alone sets to calibration.

Rows carry a target 0..L-1, or L where none of the L labels applies. `scores` have shape (rows, L) and sum to 1.
Metrics called weighted take weights (resamples, rows), how often each row stands in each resample, and judge all
resamples at once: one value for each, nan where it is not defined. scikit-learn judges one at a time, which made up
most of an evaluation.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.stats import DegenerateDataWarning, bootstrap
from sklearn.metrics import auc, f1_score

RESAMPLES = 1000
SIMULATIONS = 1000
ECE_BINS = 15
_CELLS = 4_000_000  # of an array of resamples times rows: 32 MB, however many rows there are

Weighted = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; `rows` says over how many rows (or sets). What is not defined is nan."""

    value: float
    low: float
    high: float
    rows: int

    def __str__(self) -> str:
        return self.text()

    def text(self, digits: int = 3, *, signed: bool = False) -> str:
        """Value and interval to so many decimals; `signed`, as for a difference, with a plus where it is above 0."""
        if np.isnan(self.value):
            return "not defined"
        form = f"{'+' if signed else ''}.{digits}f"
        limits = "" if np.isnan(self.low) else f" [{self.low:{form}}, {self.high:{form}}]"
        return f"{self.value:{form}}{limits}"


def estimate(
    metric: Callable[[np.ndarray], float], groups: Sequence[object] | np.ndarray, resamples: int = RESAMPLES
) -> Estimate:
    """A metric with a 95 % percentile interval that resamples groups, not rows.

    `metric` takes row indices (a resample repeats and omits whole groups) and may return nan where it is not
    defined; such resamples are left out. Without resamples the interval is nan. Cluster bootstrap: Field & Welsh
    (2007), Bootstrapping clustered data.
    """
    return estimate_weighted(each(metric), groups, resamples)


def each(metric: Callable[[np.ndarray], float]) -> Weighted:
    """A metric of row indices as a weighted one: one resample after the other, nan for one without rows."""

    def weighted(weights: np.ndarray) -> np.ndarray:
        rows = np.arange(weights.shape[1])
        return np.array([metric(np.repeat(rows, times)) if times.any() else np.nan for times in weights.astype(int)])

    return weighted


def estimate_weighted(metric: Weighted, groups: Sequence[object] | np.ndarray, resamples: int = RESAMPLES) -> Estimate:
    """As `estimate`, for a weighted metric; the same groups are resampled in the same way.

    `metric` takes weights (resamples, rows) and returns values (resamples,).
    """
    names, group = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    value = float(metric(np.ones((1, len(group))))[0])
    if resamples < 2 or len(names) < 2 or np.isnan(value):
        return Estimate(value, float("nan"), float("nan"), len(group))

    def resampled(drawn: np.ndarray, axis: int) -> np.ndarray:
        cells = drawn + len(names) * np.arange(len(drawn))[:, None]
        times = np.bincount(cells.ravel(), minlength=cells.size).reshape(cells.shape)
        return metric(times[:, group].astype(float))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)  # resamples without a value are left out below
        result = bootstrap(
            (np.arange(len(names)),),
            resampled,
            vectorized=True,
            n_resamples=resamples,
            batch=max(1, _CELLS // len(group)),
            method="percentile",
            rng=np.random.default_rng(0),
        )
    low, high = interval(result.bootstrap_distribution)
    return Estimate(value, low, high, len(group))


def interval_text(resamples: int) -> str:
    """How the intervals of a report are made."""
    return f"95 % percentile bootstrap over groups, {resamples} resamples"


def interval(values: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of the values that are not nan; nan if there are none."""
    known = values[~np.isnan(values)]
    low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (float("nan"), float("nan"))
    return float(low), float(high)


def macro_f1(gold: np.ndarray, found: np.ndarray, labels: int) -> float:
    """Mean F1 over `labels` classes, 0..1, from classes `gold` and `found` (rows,); a class that nobody names counts as 0.

    scikit-learn's: the mean of the classes' F1, not the F1 of mean precision and recall (Opitz & Burst 2019, Macro F1
    and Macro F1).
    """
    return float(f1_score(gold, found, labels=range(labels), average="macro", zero_division=0))  # pyright: ignore[reportArgumentType]


def macro_f1_incl_none(logits: np.ndarray, gold: np.ndarray) -> float:
    """Macro-F1 over the labels and none before calibration, from logits (rows, L): none's logit is zero."""
    pinned = np.concatenate([logits, np.zeros((len(logits), 1))], axis=1)
    return macro_f1(gold, pinned.argmax(1), pinned.shape[1])


def weighted_confusion(gold: np.ndarray, found: np.ndarray, shape: tuple[int, int], weights: np.ndarray) -> np.ndarray:
    """Confusion counts of every resample, (resamples, *shape): truth down, answer across."""
    cells = np.zeros((len(gold), shape[0] * shape[1]))
    cells[np.arange(len(gold)), gold * shape[1] + found] = 1
    return (weights @ cells).reshape(-1, *shape)


def weighted_macro_f1(
    gold: np.ndarray, found: np.ndarray, labels: int, weights: np.ndarray, *, occurring: bool = False
) -> np.ndarray:
    """`macro_f1` of every resample, (resamples,).

    With `occurring`, the mean is over the classes that occur in a resample as truth: a class that does not occur
    cannot be recalled, and counted as 0 it would lower the score of rows that merely lack it.
    """
    counts = weighted_confusion(gold, found, (labels, labels), weights)
    true, named = counts.sum(2), counts.sum(1)
    f1 = 2 * np.diagonal(counts, axis1=1, axis2=2) / np.maximum(true + named, 1)
    known = (true > 0).sum(1)
    return _share(f1.sum(1), known if occurring else np.where(known > 0, labels, 0))


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The mean of a value (rows,) in every resample, (resamples,); that of being right is the accuracy."""
    return _share(weights @ values, weights.sum(1))


def expected_calibration_error(gold: np.ndarray, scores: np.ndarray, bins: int = ECE_BINS) -> float:
    """Mean gap between confidence and accuracy over equal-width bins of confidence, weighted by rows, 0..1.

    `gold` is 0..L-1, (rows,), and `scores` (rows, L); confidence is the highest score.
    Source: Guo et al. (2017), equation 3.
    """
    return float(_ece((scores.argmax(1) == gold)[None], scores.max(1), bins)[0])


def weighted_brier(gold: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Multi-class Brier score: mean squared distance to the one-hot truth, 0 (best) to 2. Brier (1950)."""
    return weighted_mean(_distance(gold, scores), weights)


def _distance(gold: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Squared distance of scores (rows, L) to the one-hot truth; gold is (rows,) or (simulations, rows)."""
    return (scores**2).sum(1) + 1 - 2 * scores[np.arange(len(scores)), gold]


@dataclass(frozen=True)
class Yardstick:
    """A calibration metric, and the limit that calibrated scores of as many rows exceed one time in twenty."""

    value: float
    limit: float
    within: bool
    rows: int

    def __str__(self) -> str:
        return f"{self.value:.3f}, {'within' if self.within else 'above'} {self.limit:.3f}"


def label_calibration(gold: np.ndarray, scores: np.ndarray, simulations: int = SIMULATIONS) -> dict[str, Yardstick]:
    """ECE and multi-class Brier score of rows in scope, each with its limit; gold is 0..L-1. Needs at least one row.

    A finite sample has both above zero even where every score is true. The limit is the 95th percentile over
    `simulations` draws of the gold labels from the scores themselves, with a fixed seed. Source: consistency
    resampling, Bröcker & Smith (2007), Increasing the Reliability of Reliability Diagrams; as a test of the ECE,
    Vaicenavicius et al. (2019), Evaluating Model Calibration in Classification.
    """
    confidence, best, edges = scores.max(1), scores.argmax(1), scores.cumsum(1)[:, :-1]

    def metrics(drawn: np.ndarray) -> dict[str, np.ndarray]:
        return {"ECE": _ece(drawn == best, confidence), "Brier": _distance(drawn, scores).mean(1)}

    return _against_chance(metrics, gold, lambda u: (u[..., None] >= edges).sum(-1), simulations)


def scope_calibration(inside: np.ndarray, in_scope: np.ndarray, simulations: int = SIMULATIONS) -> dict[str, Yardstick]:
    """Binary ECE and Brier score (0..1) of `in_scope` against "a label applies", limits as in `label_calibration`.

    The binary ECE compares the mean probability in equal-width bins with the share of rows inside.
    """

    def metrics(drawn: np.ndarray) -> dict[str, np.ndarray]:
        return {"ECE": _ece(drawn, in_scope), "Brier": ((drawn - in_scope) ** 2).mean(1)}

    return _against_chance(metrics, inside, lambda u: u < in_scope, simulations)


def _against_chance(
    metrics: Callable[[np.ndarray], dict[str, np.ndarray]],
    truth: np.ndarray,
    draw: Callable[[np.ndarray], np.ndarray],
    simulations: int,
) -> dict[str, Yardstick]:
    """`metrics` takes truths (simulations, rows); `draw` makes them from uniform numbers of that shape."""
    rng = np.random.default_rng(0)
    left, parts = simulations, []
    while left:
        size = min(left, max(1, _CELLS // len(truth)))
        parts.append(metrics(draw(rng.random((size, len(truth))))))
        left -= size
    found = {}
    for name, values in metrics(truth[None]).items():
        value = float(values[0])
        limit = float(np.quantile(np.concatenate([part[name] for part in parts]), 0.95))
        found[name] = Yardstick(value, limit, value <= limit, len(truth))
    return found


def _ece(happened: np.ndarray, predicted: np.ndarray, bins: int = ECE_BINS) -> np.ndarray:
    """ECE of every simulation: `happened` is bool (simulations, rows), `predicted` its probability (rows,)."""
    cells = np.zeros((len(predicted), bins))
    cells[np.arange(len(predicted)), np.minimum((predicted * bins).astype(int), bins - 1)] = 1
    return np.abs((predicted - happened) @ cells).sum(1) / len(predicted)


def weighted_scope_auroc(inside: np.ndarray, in_scope: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Chance that a row inside the scope gets a higher `in_scope` than one outside, (resamples,).

    nan if either is absent. `inside` is bool (rows,). Ties count as half: Mann & Whitney (1947).
    """
    order = np.argsort(in_scope)
    starts = np.unique(in_scope[order], return_index=True)[1]
    within, without = (np.add.reduceat((weights * side)[:, order], starts, axis=1) for side in (inside, ~inside))
    in_order = within * (without.cumsum(1) - without / 2)
    return _share(in_order.sum(1), within.sum(1) * without.sum(1))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)


def fpr_at_95_tpr(inside: np.ndarray, in_scope: np.ndarray) -> float:
    """Share of out-of-scope rows let in by the threshold that lets in 95 % of the in-scope rows.

    Source: Hendrycks & Gimpel (2017), A Baseline for Detecting Misclassified and Out-of-Distribution Examples.
    """
    if not 0 < inside.sum() < len(inside):
        return float("nan")
    return float((in_scope[~inside] >= np.quantile(in_scope[inside], 0.05)).mean())


def risk_coverage(gold: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coverage (0..1, rising) and the error rate among the rows kept (0..1), the most confident first: both (rows,).

    `gold` is 0..L-1, (rows,), and `scores` (rows, L); confidence is the highest score.
    Source: Geifman & El-Yaniv (2017), Selective Classification for Deep Neural Networks.
    """
    wrong = (scores.argmax(1) != gold)[np.argsort(-scores.max(1), kind="stable")]
    kept = np.arange(1, len(gold) + 1)
    return kept / len(gold), np.cumsum(wrong) / kept


def aurc(gold: np.ndarray, scores: np.ndarray) -> float:
    """Area under the risk-coverage curve, 0..1, lower is better; nan for fewer than two rows. Inputs as in `risk_coverage`.

    By trapezoids from the first answer on. Source: Geifman, Uziel & El-Yaniv (2019), Bias-Reduced Uncertainty Estimation
    for Deep Neural Classifiers.
    """
    coverage, risk = risk_coverage(gold, scores)
    return float(auc(coverage, risk)) if len(gold) > 1 else float("nan")


Headline = Callable[[np.ndarray, np.ndarray, np.ndarray], Weighted]


def _labels(metric: Callable[[np.ndarray, np.ndarray], Weighted]) -> Headline:
    """Judges the labels among rows in scope."""

    def headline(gold: np.ndarray, scores: np.ndarray, in_scope: np.ndarray) -> Weighted:
        inside = gold < scores.shape[1]
        weighted = metric(gold[inside], scores[inside])
        return lambda weights: weighted(weights[:, inside])

    return headline


def _scope(metric: Callable[[np.ndarray, np.ndarray], Weighted]) -> Headline:
    """Judges being in scope."""
    return lambda gold, scores, in_scope: metric(gold < scores.shape[1], in_scope)


# What the model and every baseline are judged by: name → function of gold, scores and in_scope.
HEADLINES: dict[str, Headline] = {
    "macro-F1": _labels(lambda gold, scores: partial(weighted_macro_f1, gold, scores.argmax(1), scores.shape[1])),
    "accuracy": _labels(lambda gold, scores: partial(weighted_mean, scores.argmax(1) == gold)),
    "ECE": _labels(lambda gold, scores: each(lambda i: expected_calibration_error(gold[i], scores[i]))),
    "Brier": _labels(lambda gold, scores: partial(weighted_brier, gold, scores)),
    "AURC": _labels(lambda gold, scores: each(lambda i: aurc(gold[i], scores[i]))),
    "in-scope AUROC": _scope(lambda inside, in_scope: partial(weighted_scope_auroc, inside, in_scope)),
    "FPR at 95 % TPR": _scope(lambda inside, in_scope: each(lambda i: fpr_at_95_tpr(inside[i], in_scope[i]))),
}
