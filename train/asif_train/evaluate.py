"""Evaluation through the serving predictor: what is measured is what is served."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from asif_data.artefacts import contrast_sets
from asif_data.encoding import Utterance
from asif_data.errors import AsifError
from asif_data.labels import NONE
from asif_data.model_dir import CARD, FIGURES, REPORT, ModelDirectory, load, write_atomically
from asif_data.rows import Row, row_groups
from asif_serve.predictor import Predictor
from asif_train import figures, metrics
from asif_train.base_model import locate
from asif_train.baselines import Scored, baselines
from asif_train.card import card
from asif_train.dataset import targets
from asif_train.fit import git_commit
from asif_train.metrics import Estimate, estimate

REPORT_VERSION = 1
_BARS = Console(stderr=True)  # standard output is for the report
_COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.5)


@dataclass(frozen=True)
class Report:
    """An evaluation: `values` is what report.json holds; `scored` and `gold` are what the figures need."""

    values: dict[str, Any]
    labels: tuple[str, ...]
    gold: np.ndarray
    scored: Scored

    def table(self) -> Table:
        """The headlines beside the baselines, for a terminal."""
        names = list(_headlines(len(self.labels)))
        table = Table(
            "model",
            *names,
            title=f"{self.values['model']['version']} on {self.values['rows']} {self.values['split']} rows",
        )
        table.add_row("asif", *(_cell(self.values["headline"][name]) for name in names))
        for row in self.values["baselines"]:
            label = row["name"] + (", client's turn alone" if row["client_only"] else "")
            table.add_row(label, *(_cell(row[name]) if name in row else "" for name in names))
        return table

    def figures(self) -> dict[str, Any]:
        """Confusion, reliability and risk-coverage as matplotlib figures, by name."""
        inside = self.gold < len(self.labels)
        gold, scores = self.gold[inside], self.scored.scores[inside]
        return {
            "confusion": figures.confusion(np.array(self.values["confusion"]), [*self.labels, NONE]),
            "reliability": figures.reliability(gold, scores),
            "risk_coverage": figures.risk_coverage(gold, scores),
        }

    def save(self, model: ModelDirectory) -> None:
        """Write figures, report.json and the model card beside the model; the manifest stays as it is."""
        folder = model.path / FIGURES
        folder.mkdir(exist_ok=True)
        for name, figure in self.figures().items():
            figure.savefig(folder / f"{name}.png", dpi=150, bbox_inches="tight")
        write_atomically(model.path / CARD, card(model, self.values))
        write_atomically(model.path / REPORT, json.dumps(_json(self.values), indent=2) + "\n")


def _cell(value: dict[str, Any]) -> str:
    return str(Estimate(**value)).replace(" ", "\n", 1)


def _json(value: Any) -> Any:
    """JSON knows no nan: what is not defined becomes null."""
    if isinstance(value, dict):
        return {k: _json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_json(v) for v in value]
    return None if isinstance(value, float) and np.isnan(value) else value


def evaluate(
    model_dir: str | Path,
    rows: Sequence[Row],
    *,
    train_rows: Sequence[Row] = (),
    split: str = "test",
    resamples: int = metrics.RESAMPLES,
) -> Report:
    """Judge a model on labelled rows it has not seen.

    `train_rows` are what the baselines are fitted on; without them there are none. Every headline has a 95 % interval
    from `resamples` resamples of groups (a row without a group is one of its own; 0 leaves intervals out). Raises AsifError.
    """
    model = load(model_dir)
    labels = tuple(model.manifest.labels)
    unknown = sorted({str(row.label) for row in rows} - {*labels, NONE})
    if unknown:
        raise AsifError(
            f"expected rows labelled {', '.join(labels)} or none, which {model.path.name} knows, found {', '.join(unknown)}."
        )
    predictor = Predictor(model)
    parts = [rows[i : i + 64] for i in range(0, len(rows), 64)]
    decisions = [
        d
        for part in track(parts, "Answering", console=_BARS)
        for d in predictor([Utterance(r.text, r.context) for r in part])
    ]
    gold = np.array(targets(rows, labels))
    scored = Scored(np.array([d.scores for d in decisions]), np.array([d.in_scope for d in decisions]))
    groups = row_groups(rows)
    answers = np.array([len(labels) if d.reason == "out_of_scope" else labels.index(d.best) for d in decisions])
    holds = np.array([str(row.label) in d.prediction_set for row, d in zip(rows, decisions, strict=True)])
    sizes = np.array([len(d.prediction_set) for d in decisions])
    inside = gold < len(labels)
    values: dict[str, Any] = {
        "schema_version": REPORT_VERSION,
        "model": {"name": model.manifest.name, "version": model.manifest.version},
        "manifest_sha256": model.manifest_sha256,
        "form": predictor.form.file,
        "corpus_sha256": model.manifest.corpus_sha256,
        "split": split,
        "rows": len(rows),
        "in_scope_rows": int(inside.sum()),
        "groups": len(set(groups)),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": git_commit(),
        "interval": f"95 % percentile bootstrap over groups, {resamples} resamples",
        "headline": {
            **_judge(gold, scored, groups, resamples),
            "four-way macro-F1": asdict(
                estimate(lambda i: metrics.macro_f1(gold[i], answers[i], len(labels) + 1), groups, resamples)
            ),
            "set coverage": asdict(_inside(holds, inside, groups, resamples)),
            "set size": asdict(_inside(sizes, inside, groups, resamples)),
            **_contrast(rows, answers == gold, groups, resamples),
        },
        "withheld": {reason: sum(d.reason == reason for d in decisions) for reason in ("out_of_scope", "uncertain")},
        "per_label": _per_label(gold, answers, labels),
        "confusion": confusion_matrix(gold, answers, labels=range(len(labels) + 1)).tolist(),
        "selective_accuracy": _selective(gold[inside], scored.scores[inside]),
        "baselines": [],
    }
    if train_rows:
        values["baselines"] = list(_baselines(train_rows, rows, labels, model, gold, groups, resamples))
    return Report(values, labels, gold, scored)


def _headlines(labels: int) -> dict[str, Any]:
    """The metrics that the model and every baseline share: name → function of gold, scores, in_scope.

    Those named three-way judge the labels among rows in scope; the others judge being in scope.
    """

    def three_way(metric: Any) -> Any:
        def value(gold: np.ndarray, scores: np.ndarray, in_scope: np.ndarray) -> float:
            inside = gold < labels
            return metric(gold[inside], scores[inside]) if inside.any() else float("nan")

        return value

    return {
        "macro-F1": three_way(lambda gold, scores: metrics.macro_f1(gold, scores.argmax(1), labels)),
        "accuracy": three_way(lambda gold, scores: metrics.accuracy(gold, scores.argmax(1))),
        "ECE": three_way(metrics.expected_calibration_error),
        "Brier": three_way(metrics.brier),
        "AURC": three_way(metrics.aurc),
        "in-scope AUROC": lambda gold, scores, in_scope: metrics.scope_auroc(gold < labels, in_scope),
        "FPR at 95 % TPR": lambda gold, scores, in_scope: metrics.fpr_at_95_tpr(gold < labels, in_scope),
    }


def _judge(gold: np.ndarray, scored: Scored, groups: Sequence[str], resamples: int) -> dict[str, Any]:
    def over(metric: Any, i: np.ndarray) -> float:
        return metric(gold[i], scored.scores[i], scored.in_scope[i])

    shared = _headlines(scored.scores.shape[1])
    return {name: asdict(estimate(partial(over, metric), groups, resamples)) for name, metric in shared.items()}


def _inside(values: np.ndarray, inside: np.ndarray, groups: Sequence[str], resamples: int) -> Estimate:
    """The mean of a value over the rows in scope."""
    kept = [g for g, keep in zip(groups, inside, strict=True) if keep]
    return estimate(lambda i: float(values[inside][i].mean()), kept, resamples)


def _contrast(rows: Sequence[Row], right: np.ndarray, groups: Sequence[str], resamples: int) -> dict[str, Any]:
    """Contrast consistency: the share of contrast sets of at least two rows with every member right.

    Source: Gardner et al. (2020), Evaluating Models' Local Decision Boundaries via Contrast Sets.
    """
    sets = [members for members in contrast_sets(rows).values() if len(members) > 1]
    if not sets:
        return {}
    whole = np.array([right[members].all() for members in sets])
    value = estimate(lambda i: float(whole[i].mean()), [groups[members[0]] for members in sets], resamples)
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


def _baselines(
    train: Sequence[Row],
    test: Sequence[Row],
    labels: tuple[str, ...],
    model: ModelDirectory,
    gold: np.ndarray,
    groups: Sequence[str],
    resamples: int,
) -> Any:
    base = locate(model.manifest.recipe["base_model"])
    with tempfile.TemporaryDirectory() as folder:
        for baseline in track(baselines(train, test, labels, base, Path(folder)), "Baselines", total=5, console=_BARS):
            judged = _judge(gold, baseline.scored, groups, resamples)
            yield {"name": baseline.name, "client_only": baseline.client_only, **judged}
