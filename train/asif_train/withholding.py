"""Ways of telling from one model whether any label applies, side by side: which score should the model withhold by?"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table
from scipy.special import logsumexp, softmax
from sklearn.covariance import LedoitWolf
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from asif_data.encoding import InputEncoder
from asif_data.errors import AsifError
from asif_data.labels import NONE
from asif_data.model_dir import TOKENIZER, load
from asif_data.rows import Row, row_groups
from asif_train import metrics
from asif_train.dataset import targets
from asif_train.finetune import torch_logits
from asif_train.metrics import Estimate, estimate_weighted

SERVED = "energy (served)"
MEASURES = ("in-scope AUROC", "FPR at 95 % TPR")


@dataclass(frozen=True)
class Answers:
    """What a network says of rows: `logits` (rows, labels) and `states` (rows, width), which its head reads."""

    logits: np.ndarray
    states: np.ndarray


@dataclass(frozen=True)
class Withholding:
    """Scores of being in scope compared. `values[score][rows' name][measure]` is a value in 0..1 with its 95 % interval."""

    values: dict[str, dict[str, dict[str, Any]]]

    def table(self) -> Table:
        """One line a score, for a terminal."""
        judged = list(next(iter(self.values.values())))
        heads = [f"{name}\n{measure}" for name in judged for measure in MEASURES]
        shown = Table("score", *heads, title="Is it in scope?")
        for score, found in self.values.items():
            cells = [str(Estimate(**found[name][measure])) for name in judged for measure in MEASURES]
            shown.add_row(score, *cells)
        return shown


def withholding(
    model_dir: str | Path,
    train_rows: Sequence[Row],
    judged: Mapping[str, Sequence[Row]],
    *,
    resamples: int = metrics.RESAMPLES,
) -> Withholding:
    """Compare scores that a fine-tuned network gives without further training.

    Highest softmax: Hendrycks & Gimpel (2017). Highest logit: Hendrycks et al. (2022). Energy: Liu et al. (2020).
    Distance to class means: Mahalanobis distance of the state that the head reads, with the covariance that the labels share
    (Lee et al. 2018), fitted on the labelled rows of `train_rows`; and the same less the distance to the mean of its none rows.
    They are computed in float32 with torch. Each set of `judged` needs rows in and out of scope. Intervals are over groups. Raises AsifError.
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
    known = answers(network, encoder, train_rows)
    scores = _scores(known, np.array(targets(train_rows, labels)), len(labels))
    found: dict[str, dict[str, dict[str, Any]]] = {score: {} for score in scores}
    for name, rows in judged.items():
        told = answers(network, encoder, rows)
        inside = np.array([row.label != NONE for row in rows])
        for score, of in scores.items():
            found[score][name] = _judge(inside, of(told), row_groups(rows), resamples)
    return Withholding(found)


class _FirstToken(torch.nn.Module):
    """In place of a head: what it reads of each row."""

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return states[:, 0] if states.ndim == 3 else states


def answers(network: PreTrainedModel, encoder: InputEncoder, rows: Sequence[Row]) -> Answers:
    """Logits and the states behind them, in float32 on the CPU."""
    logits = torch_logits(network, encoder, rows)
    head = network.get_submodule("classifier")
    network.set_submodule("classifier", _FirstToken())
    try:
        states = torch_logits(network, encoder, rows)
    finally:
        network.set_submodule("classifier", head)
    return Answers(logits.numpy(), states.numpy())


def _scores(known: Answers, gold: np.ndarray, labels: int) -> dict[str, Any]:
    """Each score by name: a function from answers to one number a row, higher where a label applies."""
    inside = gold < labels
    means = np.stack([known.states[gold == label].mean(0) for label in range(labels)])
    covariance = LedoitWolf(assume_centered=True).fit(known.states[inside] - means[gold[inside]])
    outside = known.states[~inside].mean(0, keepdims=True)

    def distance(answered: Answers, centers: np.ndarray) -> np.ndarray:
        return np.min([covariance.mahalanobis(answered.states - center) for center in centers], axis=0)

    return {
        SERVED: lambda told: logsumexp(told.logits, axis=1),
        "highest logit": lambda told: told.logits.max(1),
        "highest softmax": lambda told: softmax(told.logits, axis=1).max(1),
        "distance to class means": lambda told: -distance(told, means),
        "distance to class means, less that to none": lambda told: distance(told, outside) - distance(told, means),
    }


def _judge(inside: np.ndarray, score: np.ndarray, groups: Sequence[str] | np.ndarray, resamples: int) -> dict[str, Any]:
    measures = (
        partial(metrics.weighted_scope_auroc, inside, score),
        metrics.each(lambda i: metrics.fpr_at_95_tpr(inside[i], score[i])),
    )
    return {
        name: asdict(estimate_weighted(measure, groups, resamples))
        for name, measure in zip(MEASURES, measures, strict=True)
    }
