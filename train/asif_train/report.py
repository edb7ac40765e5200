"""A report: what an evaluation found, as tables, figures, report.json and a model card."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.table import Table

from asif_data.files import write_atomically
from asif_data.labels import NONE
from asif_data.model_dir import CARD, FIGURES, REPORT, ModelDirectory
from asif_train import figures, tables
from asif_train.card import card
from asif_train.judged import Judged


@dataclass(frozen=True)
class Report:
    """An evaluation: `values` is what report.json holds; `judged` is what the figures need.

    `quotes` holds the words of the most confident errors that may be quoted, by the row's place; they go to the model
    card alone.
    """

    values: dict[str, Any]
    judged: Judged
    quotes: Mapping[int, str] = field(default_factory=dict)

    def table(self) -> Table:
        """The headlines beside the baselines, for a terminal."""
        return tables.headlines(self.values).rich()

    def tables(self) -> list[Table]:
        """Baselines, calibration, whole sessions, slices, robustness and errors, for a terminal; none is empty."""
        values = self.values
        grids = (
            tables.differences(values),
            tables.elsewhere(values),
            tables.parity(values),
            tables.calibration(values),
            tables.practice(values),
            tables.slices(values),
            tables.robustness(values),
            tables.errors(values),
        )
        return [grid.rich() for grid in grids if grid.rows]

    def figures(self) -> dict[str, Any]:
        """Confusion, reliability, risk-coverage and slices as matplotlib figures, by name."""
        inside = self.judged.inside
        gold, scores = self.judged.gold[inside], self.judged.scores[inside]
        return {
            "confusion": figures.confusion(np.array(self.values["confusion"]), [*self.judged.labels, NONE]),
            "reliability": figures.reliability(gold, scores),
            "risk_coverage": figures.risk_coverage(gold, scores),
            "slices": figures.slices(self.values["slices"], self.values["headline"]),
        }

    def save(self, model: ModelDirectory) -> None:
        """Write figures, report.json and the model card beside the model; the manifest stays as it is."""
        folder = model.path / FIGURES
        folder.mkdir(exist_ok=True)
        for name, figure in self.figures().items():
            figure.savefig(folder / f"{name}.png", dpi=150, bbox_inches="tight")
        write_atomically(model.path / CARD, card(model, self.values, self.quotes))
        write_atomically(model.path / REPORT, json.dumps(jsonable(self.values), indent=2) + "\n")


def jsonable(value: Any) -> Any:
    """JSON knows no nan: what is not defined becomes null."""
    if isinstance(value, dict):
        return {k: jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(v) for v in value]
    return None if isinstance(value, float) and np.isnan(value) else value
