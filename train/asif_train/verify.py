"""Verification: an evaluation is run again, and must find what the report beside the model says."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from asif_data.errors import AsifError
from asif_data.model_dir import REPORT, load
from asif_train.corpus import Corpus
from asif_train.evaluate import REPORT_VERSION, evaluate
from asif_train.provenance import rows_sha256
from asif_train.report import jsonable
from asif_train.tables import Grid

# On one machine every figure comes again to the last digit. Another processor's float32 may differ by less than this;
# an answer that changed shows, for it moves an accuracy by one over the number of rows.
TOLERANCE = 1e-6
HEADLINE = "headline"
_NOT_COMPARED = ("created", "git_commit", "elsewhere")

Figure = float | str | bool | None


@dataclass(frozen=True)
class Verification:
    """What an evaluation found anew.

    `values`: `figures`, how many were compared; `largest`, the largest difference of two numbers; and `differing`, each
    figure that differs, by its place in the report, with what the report says and what was found, None where it is
    absent or not defined. Numbers differ if by more than `tolerance`.
    """

    values: dict[str, Any]

    @property
    def passed(self) -> bool:
        """Whether every headline, with its interval, is as the report says."""
        return not any(found["figure"].startswith(f"{HEADLINE}.") for found in self.values["differing"])

    def table(self) -> Table:
        """The figures that differ, for a terminal."""
        values = self.values
        rows = [(d["figure"], *(_text(d[side]) for side in ("report", "now"))) for d in values["differing"]]
        title = f"{len(rows)} of {values['figures']} figures differ"
        return Grid(title, ("figure", REPORT, "now"), rows).rich()


def verify(model_dir: str | Path, corpus: Corpus, *, baselines: bool = True) -> Verification:
    """Run the evaluation that `report.json` tells of again, with what it was run with, and compare figure by figure.

    Nothing is written. Without `baselines` theirs are left out; so are figures on rows of another making, which the corpus does not
    hold. Raises AsifError if there is no report of this manifest
    and of this version, or if the rows are not those that it judged.
    """
    model = load(model_dir)
    report = model.report()
    file = model.path / REPORT
    if report is None or report.get("schema_version") != REPORT_VERSION:
        found = "none" if report is None else f"schema_version {report.get('schema_version')!r}"
        raise AsifError(
            f"{file}: expected a report on this very manifest of schema_version {REPORT_VERSION}, found {found}; "
            "run `asif-train evaluate`."
        )
    rows = corpus.split(report["split"])
    if rows_sha256(rows) != report["rows_sha256"]:
        raise AsifError(
            f"{file}: expected the {report['rows']} {report['split']} rows that it judged (SHA-256 "
            f"{report['rows_sha256'][:12]}...), found {len(rows)} rows with another hash; give their corpus with --data."
        )
    baselines = baselines and bool(report["baselines"])
    again = evaluate(
        model_dir,
        rows,
        train_rows=corpus.train if baselines else (),
        split=report["split"],
        resamples=report["resamples"],
        full="parity" in report,
    )
    now = json.loads(json.dumps(jsonable(again.values)))
    left_out = _NOT_COMPARED if baselines else (*_NOT_COMPARED, "baselines")
    told, found = (dict(figures({k: v for k, v in side.items() if k not in left_out})) for side in (report, now))
    return Verification(
        {
            "model": report["model"],
            "manifest_sha256": report["manifest_sha256"],
            "rows_sha256": report["rows_sha256"],
            "tolerance": TOLERANCE,
            **compared(told, found),
        }
    )


def compared(report: dict[str, Figure], now: dict[str, Figure]) -> dict[str, Any]:
    """Two sets of figures by name: how many, the largest difference of two numbers, and those that differ."""
    names = list(report | now)
    gaps = {name: _gap(report.get(name), now.get(name)) for name in names}
    return {
        "figures": len(names),
        "largest": max((gap for gap in gaps.values() if gap != float("inf")), default=0.0),
        "differing": [
            {"figure": name, "report": report.get(name), "now": now.get(name)}
            for name, gap in gaps.items()
            if gap > TOLERANCE or (name in report) != (name in now)
        ],
    }


def _gap(a: Figure, b: Figure) -> float:
    """How far two numbers are apart; of others 0 if they are the same, else infinite."""
    if isinstance(a, int | float) and isinstance(b, int | float):
        return abs(a - b)
    return 0.0 if a == b else float("inf")


def figures(values: Any, name: str = "") -> Iterator[tuple[str, Figure]]:
    """Every figure of a report by its place, such as `headline.accuracy.value` or `confusion.0.1`."""
    if isinstance(values, dict | list):
        for key, inner in values.items() if isinstance(values, dict) else enumerate(values):
            yield from figures(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, values


def _text(value: Figure) -> str:
    return f"{value:.7g}" if isinstance(value, float) else str(value)
