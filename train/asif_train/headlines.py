"""Headlines: the figures that a model is judged by, each with what it takes to resample it, alone or beside another's."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from asif_data.artefacts import contrast_sets
from asif_data.rows import Row
from asif_train import metrics
from asif_train.baselines import Scored
from asif_train.judged import Judged
from asif_train.metrics import Estimate, Weighted, estimate_weighted

MACRO_F1_INCL_NONE, ACCURACY_INCL_NONE = "macro-F1 incl. none", "accuracy incl. none"
# Set coverage has its goal in the calibration: more is not better.
LOWER_IS_BETTER = ("ECE", "Brier", "AURC", "FPR at 95 % TPR", "set size")
NEITHER_IS_BETTER = ("set coverage",)


def higher_is_better(name: str) -> bool:
    """Whether more of this headline is better."""
    return name not in (*LOWER_IS_BETTER, *NEITHER_IS_BETTER)


@dataclass(frozen=True)
class Measure:
    """A weighted metric, and the group of each row (or set of rows) that it weighs: (rows,)."""

    metric: Weighted
    groups: np.ndarray

    def estimate(self, resamples: int = metrics.RESAMPLES) -> Estimate:
        """The figure with its 95 % interval over groups."""
        return estimate_weighted(self.metric, self.groups, resamples)

    def minus(self, other: "Measure") -> "Measure":
        """How far this is above another measure of the same rows, both on the same resamples of groups.

        A paired bootstrap: Efron & Tibshirani (1993), An Introduction to the Bootstrap.
        """
        return Measure(lambda weights: self.metric(weights) - other.metric(weights), self.groups)


def shared_headlines(gold: np.ndarray, scored: Scored | Judged, groups: np.ndarray) -> dict[str, Measure]:
    """The headlines that need scores alone, which baselines have too; gold is 0..L-1, or L for none."""
    return {
        name: Measure(headline(gold, scored.scores, scored.in_scope), groups)
        for name, headline in metrics.HEADLINES.items()
    }


def headlines(judged: Judged, rows: Sequence[Row]) -> dict[str, Measure]:
    """Every headline of a model by name, in the order of a report.

    Over the rows in scope, whether they are answered or withheld: macro-F1 (0..1), accuracy (0..1), ECE (0..1), Brier
    (0..2), AURC (0..1), set coverage (the share of rows whose prediction set holds the true label, 0..1) and set size
    (labels in the set, 1..L). Over all rows: in-scope AUROC and FPR at 95 % TPR (0..1), and the figures incl. none (0..1),
    which count it as one more answer. Contrast consistency is over contrast sets (0..1). Sources: the functions in
    `metrics`; sets: Sadinle et al. (2019), Least Ambiguous Set-Valued Classifiers with Bounded Error Levels.
    """
    right = judged.right
    incl_none = partial(metrics.weighted_macro_f1, judged.gold, judged.answers, len(judged.labels) + 1)
    inside = judged.part(judged.inside)
    holds = inside.sets[np.arange(len(inside.gold)), inside.gold]
    return {
        **shared_headlines(judged.gold, judged, judged.groups),
        MACRO_F1_INCL_NONE: Measure(incl_none, judged.groups),
        ACCURACY_INCL_NONE: Measure(partial(metrics.weighted_mean, right), judged.groups),
        "set coverage": Measure(partial(metrics.weighted_mean, holds), inside.groups),
        "set size": Measure(partial(metrics.weighted_mean, inside.sets.sum(1)), inside.groups),
        **_contrast(rows, right, judged.groups),
    }


def _contrast(rows: Sequence[Row], right: np.ndarray, groups: np.ndarray) -> dict[str, Measure]:
    """Contrast consistency: the share of contrast sets of at least two rows with every member right.

    Source: Gardner et al. (2020), Evaluating Models' Local Decision Boundaries via Contrast Sets.
    """
    sets = [members for members in contrast_sets(rows).values() if len(members) > 1]
    if not sets:
        return {}
    whole = np.array([right[members].all() for members in sets])
    first = groups[[members[0] for members in sets]]
    return {"contrast consistency": Measure(partial(metrics.weighted_mean, whole), first)}
