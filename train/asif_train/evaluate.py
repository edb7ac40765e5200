"""Evaluation through the serving predictor: what is measured is what is served."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from asif_data.artefacts import contrast_sets
from asif_data.encoding import Utterance
from asif_data.errors import AsifError
from asif_data.labels import LABELS, NONE
from asif_data.model_dir import ModelDirectory, load
from asif_data.rows import Row
from asif_serve.predictor import Predictor
from asif_train import metrics
from asif_train.base_model import locate
from asif_train.baselines import Scored, baselines
from asif_train.failures import confident_errors, quotes
from asif_train.judged import Judged
from asif_train.metrics import Estimate, estimate_weighted
from asif_train.practice import practice
from asif_train.progress import progress
from asif_train.provenance import report_head
from asif_train.report import Report
from asif_train.robustness import robustness
from asif_train.slices import slices
from asif_train.tables import COMPARED

REPORT_VERSION = 3
_COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.5)


def evaluate(
    model_dir: str | Path,
    rows: Sequence[Row],
    *,
    train_rows: Sequence[Row] = (),
    split: str = "test",
    resamples: int = metrics.RESAMPLES,
    suite: bool = False,
) -> Report:
    """Judge a model on labelled rows it has not seen.

    `train_rows` are what the baselines are fitted on; without them there are none. Every headline has a 95 % interval
    from `resamples` resamples of groups (a row without a group is one of its own; 0 leaves intervals out). With `suite` the robustness suite is put to the model too,
    if its labels are those of the codebook. Raises AsifError.
    """
    model = load(model_dir)
    labels = tuple(model.manifest.labels)
    unknown = sorted({str(row.label) for row in (*rows, *train_rows)} - {*labels, NONE})
    if unknown:
        raise AsifError(
            f"expected rows labelled {', '.join(labels)} or none, which {model.path.name} knows, found {', '.join(unknown)}."
        )
    if all(row.label == NONE for row in rows):
        raise AsifError("expected rows that one of the labels applies to, found none.")
    predictor = Predictor(model)
    parts = [rows[i : i + 64] for i in range(0, len(rows), 64)]
    decisions = [
        d for part in progress(parts, "Answering") for d in predictor([Utterance(r.text, r.context) for r in part])
    ]
    judged = Judged.of(rows, decisions, labels)
    inside, groups = judged.inside, judged.groups
    holds = np.array([str(row.label) in d.prediction_set for row, d in zip(rows, decisions, strict=True)])
    sizes = np.array([len(d.prediction_set) for d in decisions])
    right = judged.answers == judged.gold
    with_none = partial(metrics.weighted_macro_f1, judged.gold, judged.answers, len(labels) + 1)
    errors = confident_errors(judged, rows)
    values: dict[str, Any] = {
        **report_head(predictor, REPORT_VERSION),
        "corpus_sha256": model.manifest.corpus_sha256,
        "split": split,
        "rows": len(rows),
        "in_scope_rows": int(inside.sum()),
        "groups": len(set(groups)),
        "interval": f"95 % percentile bootstrap over groups, {resamples} resamples",
        "headline": {
            **_judge(judged.gold, Scored(judged.scores, judged.in_scope), groups, resamples),
            "macro-F1 incl. none": asdict(estimate_weighted(with_none, groups, resamples)),
            "accuracy incl. none": asdict(estimate_weighted(partial(metrics.weighted_mean, right), groups, resamples)),
            "set coverage": asdict(_inside(holds, inside, groups, resamples)),
            "set size": asdict(_inside(sizes, inside, groups, resamples)),
            **_contrast(rows, right, groups, resamples),
        },
        "withheld": {reason: sum(d.reason == reason for d in decisions) for reason in ("out_of_scope", "uncertain")},
        "per_label": _per_label(judged.gold, judged.answers, labels),
        "confusion": confusion_matrix(judged.gold, judged.answers, labels=range(len(labels) + 1)).tolist(),
        "calibration": _calibration(judged),
        "selective_accuracy": _selective(judged.gold[inside], judged.scores[inside]),
        "slices": slices(judged, rows, resamples),
        **_practice(judged, resamples),
        **({"robustness": robustness(predictor).values["tests"]} if suite and labels == LABELS else {}),
        "errors": errors,
        "baselines": list(_baselines(train_rows, rows, judged, model, resamples)) if train_rows else [],
    }
    return Report(values, judged, quotes(errors, rows))


def _judge(gold: np.ndarray, scored: Scored, groups: Sequence[str] | np.ndarray, resamples: int) -> dict[str, Any]:
    return {
        name: asdict(estimate_weighted(headline(gold, scored.scores, scored.in_scope), groups, resamples))
        for name, headline in metrics.HEADLINES.items()
    }


def _inside(values: np.ndarray, inside: np.ndarray, groups: Sequence[str] | np.ndarray, resamples: int) -> Estimate:
    """The mean of a value over the rows in scope."""
    kept = [g for g, keep in zip(groups, inside, strict=True) if keep]
    return estimate_weighted(partial(metrics.weighted_mean, values[inside]), kept, resamples)


def _contrast(
    rows: Sequence[Row], right: np.ndarray, groups: Sequence[str] | np.ndarray, resamples: int
) -> dict[str, Any]:
    """Contrast consistency: the share of contrast sets of at least two rows with every member right.

    Source: Gardner et al. (2020), Evaluating Models' Local Decision Boundaries via Contrast Sets.
    """
    sets = [members for members in contrast_sets(rows).values() if len(members) > 1]
    if not sets:
        return {}
    whole = np.array([right[members].all() for members in sets])
    first = [groups[members[0]] for members in sets]
    value = estimate_weighted(partial(metrics.weighted_mean, whole), first, resamples)
    return {"contrast consistency": asdict(value)}


def _per_label(gold: np.ndarray, answers: np.ndarray, labels: Sequence[str]) -> dict[str, dict[str, float]]:
    """Precision, recall and F1 of what is answered; an answer withheld as out of scope counts as none."""
    found: Any = precision_recall_fscore_support(gold, answers, labels=range(len(labels) + 1), zero_division=0)  # pyright: ignore[reportArgumentType]
    return {
        name: {"precision": float(p), "recall": float(r), "f1": float(f), "rows": int(n)}
        for name, p, r, f, n in zip([*labels, NONE], *found, strict=True)
    }


def _selective(gold: np.ndarray, scores: np.ndarray) -> list[dict[str, float]]:
    coverage, risk = metrics.risk_coverage(gold, scores)
    at = [int(np.searchsorted(coverage, c - 1e-9)) for c in _COVERAGES]
    return [{"coverage": c, "accuracy": float(1 - risk[i])} for c, i in zip(_COVERAGES, at, strict=True)]


def _practice(judged: Judged, resamples: int) -> dict[str, Any]:
    found = practice(judged, resamples)
    return {"in_practice": found} if found else {}


def _calibration(judged: Judged) -> dict[str, Any]:
    inside = judged.inside
    found = {
        "scores": metrics.label_calibration(judged.gold[inside], judged.scores[inside]),
        "in_scope": metrics.scope_calibration(inside, judged.in_scope),
    }
    return {of: {name: asdict(value) for name, value in values.items()} for of, values in found.items()}


def _baselines(
    train: Sequence[Row], test: Sequence[Row], judged: Judged, model: ModelDirectory, resamples: int
) -> Iterator[dict[str, Any]]:
    base = locate(model.manifest.recipe["base_model"])
    with tempfile.TemporaryDirectory() as folder:
        found = baselines(train, test, judged.labels, base, Path(folder))
        for baseline in progress(found, "Baselines"):
            scored = baseline.score()
            yield {
                "name": baseline.name,
                "view": baseline.view,
                **_judge(judged.gold, scored, judged.groups, resamples),
                "difference": _difference(judged, scored, resamples),
            }


def _difference(judged: Judged, other: Scored, resamples: int) -> dict[str, Any]:
    """How far the model is ahead, both on the same resamples of groups.

    A paired bootstrap: Efron & Tibshirani (1993), An Introduction to the Bootstrap.
    """
    found = {}
    for name in COMPARED:
        ours = metrics.HEADLINES[name](judged.gold, judged.scores, judged.in_scope)
        theirs = metrics.HEADLINES[name](judged.gold, other.scores, other.in_scope)
        ahead = partial(_ahead, ours, theirs)
        found[name] = asdict(estimate_weighted(ahead, judged.groups, resamples))
    return found


def _ahead(ours: metrics.Weighted, theirs: metrics.Weighted, weights: np.ndarray) -> np.ndarray:
    return ours(weights) - theirs(weights)
