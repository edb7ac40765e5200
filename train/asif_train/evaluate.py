"""Evaluation through the serving predictor: what is measured is what is served."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from asif_data.labels import LABELS, NONE
from asif_data.model_dir import ModelDirectory
from asif_data.rows import Row
from asif_serve.predictor import Predictor, load_predictor
from asif_train import metrics
from asif_train.base_model import locate
from asif_train.baselines import baselines
from asif_train.failures import confident_errors, quotes
from asif_train.headlines import Measure, headlines, shared_headlines
from asif_train.judged import Judged, check_known, judge
from asif_train.parity import parity
from asif_train.practice import practice
from asif_train.progress import progress
from asif_train.provenance import report_head, rows_sha256
from asif_train.report import Report
from asif_train.robustness import robustness
from asif_train.slices import slices
from asif_train.tables import COMPARED

REPORT_VERSION = 4
_COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.5)


def evaluate(
    model_dir: str | Path,
    rows: Sequence[Row],
    *,
    train_rows: Sequence[Row] = (),
    split: str = "test",
    resamples: int = metrics.RESAMPLES,
    elsewhere: Mapping[str, Sequence[Row]] | None = None,
    full: bool = False,
) -> Report:
    """Judge a model on labelled rows it has not seen.

    `train_rows` are what the baselines are fitted on; without them there are none. Every headline has a 95 % interval
    from `resamples` resamples of groups (a row without a group is one of its own; 0 leaves intervals out). The headlines
    are told of the rows of `elsewhere` too, by name: conversations of another making. With `full` the answers are held
    against those of the network itself, and the robustness suite is put to the model if its labels are those of the
    codebook. Raises AsifError.
    """
    predictor = load_predictor(model_dir)
    model, labels = predictor.model, predictor.labels
    for others in (train_rows, *(elsewhere or {}).values()):
        check_known(predictor, others)
    judged = judge(predictor, rows)
    inside = judged.inside
    errors = confident_errors(judged, rows)
    values: dict[str, Any] = {
        **report_head(predictor, REPORT_VERSION),
        "corpus_sha256": model.manifest.corpus_sha256,
        "rows_sha256": rows_sha256(rows),
        "split": split,
        "rows": len(rows),
        "in_scope_rows": int(inside.sum()),
        "groups": len(set(judged.groups)),
        "resamples": resamples,
        "interval": metrics.interval_text(resamples),
        "headline": _estimates(headlines(judged, rows), resamples),
        "withheld": {
            "out_of_scope": int((judged.answers == len(labels)).sum()),
            "uncertain": int(judged.uncertain.sum()),
        },
        "per_label": _per_label(judged.gold, judged.answers, labels),
        "confusion": confusion_matrix(judged.gold, judged.answers, labels=range(len(labels) + 1)).tolist(),
        "calibration": _calibration(judged),
        "selective_accuracy": _selective(judged.gold[inside], judged.scores[inside]),
        "slices": slices(judged, rows, resamples),
        **_practice(judged, resamples),
        "elsewhere": {
            name: _elsewhere(predictor, name, others, full, resamples) for name, others in (elsewhere or {}).items()
        },
        **({"parity": parity(predictor, rows, judged)} if full else {}),
        **({"robustness": robustness(predictor).values["tests"]} if full and labels == LABELS else {}),
        "errors": errors,
        "baselines": list(_baselines(train_rows, rows, judged, model, resamples)) if train_rows else [],
    }
    return Report(values, judged, quotes(errors, rows))


def _elsewhere(predictor: Predictor, name: str, rows: Sequence[Row], full: bool, resamples: int) -> dict[str, Any]:
    judged = judge(predictor, rows, f"Answering {name}")
    return {
        "rows": len(rows),
        "in_scope_rows": int(judged.inside.sum()),
        "groups": len(set(judged.groups)),
        "headline": _estimates(headlines(judged, rows), resamples),
        **({"parity": parity(predictor, rows, judged)} if full else {}),
    }


def _estimates(measures: dict[str, Measure], resamples: int) -> dict[str, Any]:
    return {name: asdict(measure.estimate(resamples)) for name, measure in measures.items()}


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
    ours = shared_headlines(judged.gold, judged, judged.groups)
    with tempfile.TemporaryDirectory() as folder:
        fitted = baselines(train, test, judged.labels, base, Path(folder))
        for baseline in progress(fitted, "Baselines"):
            found = shared_headlines(judged.gold, baseline.score(), judged.groups)
            yield {
                "name": baseline.name,
                "view": baseline.view,
                **_estimates(found, resamples),
                "difference": _estimates({name: ours[name].minus(found[name]) for name in COMPARED}, resamples),
            }
