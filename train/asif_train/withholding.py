"""Ways of telling from one model whether any label applies, side by side: which score should the model withhold by?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table
from scipy.special import softmax
from sklearn.covariance import LedoitWolf
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from asif_data.encoding import InputEncoder
from asif_data.errors import AsifError
from asif_data.labels import NONE
from asif_data.model_dir import TOKENIZER, load
from asif_data.rows import Row, row_groups
from asif_serve.decision import energy_of
from asif_train import metrics
from asif_train.dataset import targets
from asif_train.finetune import torch_logits
from asif_train.metrics import Estimate, Weighted, estimate_weighted
from asif_train.progress import progress

SERVED = "energy (served)"
MEASURES = ("in-scope AUROC", "FPR at 95 % TPR")
DIFFERENCE = "AUROC, less that of the served"
_PART = 512


@dataclass(frozen=True)
class Outputs:
    """What a network gives for rows: `logits` (rows, labels) and `features` (rows, width), which its head reads."""

    logits: np.ndarray
    features: np.ndarray


@dataclass(frozen=True)
class Withholding:
    """Scores of being in scope compared.

    `values[score][rows' name]` has a value with its 95 % interval for each of MEASURES, in 0..1, and for DIFFERENCE, in
    -1..1: a score is worse than the served one where the whole interval of the difference lies below zero.
    """

    values: dict[str, dict[str, dict[str, Any]]]

    def table(self) -> Table:
        """One line a score, for a terminal."""
        judged = list(next(iter(self.values.values())))
        shown = [(name, measure) for name in judged for measure in (*MEASURES, DIFFERENCE)]
        table = Table("score", *(f"{name}\n{measure}" for name, measure in shown), title="Is it in scope?")
        for score, found in self.values.items():
            table.add_row(score, *(str(Estimate(**found[name][measure])) for name, measure in shown))
        return table


def withholding(
    model_dir: str | Path,
    train_rows: Sequence[Row],
    judged: Mapping[str, Sequence[Row]],
    *,
    resamples: int = metrics.RESAMPLES,
) -> Withholding:
    """Compare scores that a fine-tuned network gives without further training, in float32 with torch.

    Maximum softmax probability: Hendrycks & Gimpel (2017). Maximum logit: Hendrycks et al. (2022). Energy: Liu et al.
    (2020). Mahalanobis: squared distance to the nearest class mean of the features that the head reads, with the covariance
    that the classes share (Lee et al. 2018), fitted on the labelled rows of `train_rows`, on which features are tighter
    than on new ones. Relative Mahalanobis: the same, less the squared distance to the mean of the none rows, in the
    manner of Ren et al. (2021), who subtract that to the mean of all.

    Each set of `judged` needs rows in and out of scope. Intervals are over groups, differences paired. Raises AsifError.
    """
    model = load(model_dir)
    labels = tuple(model.manifest.labels)
    for name, rows in judged.items():
        if len({row.label == NONE for row in rows}) < 2:
            raise AsifError(
                f"{name}: expected rows that a label applies to and {NONE} rows, found only one of the two."
            )
    absent = {*labels, NONE} - {str(row.label) for row in train_rows}
    if absent:
        raise AsifError(
            f"expected rows of every label and of {NONE} to fit the distances on, found none of {', '.join(sorted(absent))}."
        )
    network = AutoModelForSequenceClassification.from_pretrained(model.path)
    encoder = InputEncoder(model.path / TOKENIZER, model.manifest.max_tokens)
    known = outputs(network, encoder, train_rows, "Reading the training rows")
    scores = scores_of(known, np.array(targets(train_rows, labels)))
    found: dict[str, dict[str, dict[str, Any]]] = {score: {} for score in scores}
    for name, rows in judged.items():
        given = outputs(network, encoder, rows, f"Reading {name}")
        gold, groups = np.array(targets(rows, labels)), row_groups(rows)
        served = _measures(gold, given, scores[SERVED])
        for score, of in scores.items():
            measures = _measures(gold, given, of)
            measures[DIFFERENCE] = _less(measures[MEASURES[0]], served[MEASURES[0]])
            found[score][name] = {
                measure: asdict(estimate_weighted(metric, groups, resamples)) for measure, metric in measures.items()
            }
    return Withholding(found)


class _WithFeatures(torch.nn.Module):
    """In place of a head: what it answers for each row, and beside it what it read of the first token."""

    def __init__(self, head: torch.nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        first = states[:, 0] if states.ndim == 3 else states
        return torch.cat([self.head(states), first], dim=1)


def outputs(
    network: PreTrainedModel, encoder: InputEncoder, rows: Sequence[Row], doing: str = "Reading rows"
) -> Outputs:
    """Logits and the features behind them, in float32 on the CPU. Raises AsifError for a head by another name."""
    head = getattr(network, "classifier", None)
    if head is None:
        raise AsifError(f"expected a network with a head named classifier, found {type(network).__name__} without.")
    parts = [rows[start : start + _PART] for start in range(0, len(rows), _PART)]
    network.set_submodule("classifier", _WithFeatures(head))
    try:
        found = torch.cat([torch_logits(network, encoder, part) for part in progress(parts, doing)]).numpy()
    finally:
        network.set_submodule("classifier", head)
    labels = network.config.num_labels
    return Outputs(found[:, :labels], found[:, labels:])


def scores_of(known: Outputs, gold: np.ndarray) -> dict[str, Callable[[Outputs], np.ndarray]]:
    """Each score by name: a function from outputs to one number a row, higher where a label is likelier to apply.

    Distances are fitted on the rows of `known`, whose labels are `gold`, 0..L-1 or L for none.
    """
    labels = known.logits.shape[1]
    inside = gold < labels
    means = np.stack([known.features[gold == label].mean(0) for label in range(labels)])
    covariance = LedoitWolf(assume_centered=True).fit(known.features[inside] - means[gold[inside]])
    none = known.features[~inside].mean(0, keepdims=True)

    def squared_distance(given: Outputs, centers: np.ndarray) -> np.ndarray:
        return np.min([covariance.mahalanobis(given.features - center) for center in centers], axis=0)

    return {
        SERVED: lambda given: energy_of(given.logits),
        "maximum logit": lambda given: given.logits.max(1),
        "maximum softmax probability": lambda given: softmax(given.logits, axis=1).max(1),
        "Mahalanobis": lambda given: -squared_distance(given, means),
        "relative Mahalanobis": lambda given: squared_distance(given, none) - squared_distance(given, means),
    }


def _measures(gold: np.ndarray, given: Outputs, score: Callable[[Outputs], np.ndarray]) -> dict[str, Weighted]:
    found = score(given)
    return {name: metrics.HEADLINES[name](gold, given.logits, found) for name in MEASURES}


def _less(metric: Weighted, other: Weighted) -> Weighted:
    return lambda weights: metric(weights) - other(weights)
