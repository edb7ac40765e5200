"""Comparison: a new model beside the one in service, on the same rows, answered as they would be served."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table
from scipy.stats import binomtest

from asif_data.errors import AsifError
from asif_data.rows import Row
from asif_serve.predictor import Predictor, load_predictor
from asif_train import metrics
from asif_train.headlines import LOWER_IS_BETTER, NEITHER_IS_BETTER, Measure, headlines
from asif_train.judged import Judged, judge
from asif_train.metrics import Estimate
from asif_train.provenance import made_head, model_head, rows_sha256
from asif_train.slices import slice_rows
from asif_train.tables import Grid

REPORT_VERSION = 1
MOST_LISTED = 15  # of each turn
MOST_SLICES = 20
# Ways in which an answer can change, the worst first.
RIGHT_TO_WRONG, WRONG_TO_WRONG, WRONG_TO_RIGHT = "right to wrong", "wrong to wrong", "wrong to right"
TURNS = (RIGHT_TO_WRONG, WRONG_TO_WRONG, WRONG_TO_RIGHT)


@dataclass(frozen=True)
class Comparison:
    """What a comparison found. `values` is what JSON can hold once nan is null (`report.jsonable`).

    `headline`: name → `old`, `new` and `difference` (new - old, with its 95 % interval). `mcnemar`: rows right in one
    model alone and the p-value. `changed`: how many answers changed and from what to what, and the first of their rows,
    with their words only where they were asked for. `slices`: one entry a slice, accuracy incl. none of both and the
    difference.
    """

    values: dict[str, Any]

    def tables(self) -> list[Table]:
        """Headlines, McNemar's test, changed answers and slices that got worse, for a terminal; none is empty."""
        values = self.values
        grids = (_headlines(values), _mcnemar(values), _answers(values), _rows(values), _slices(values))
        return [grid.rich() for grid in grids if grid.rows]


def compare(
    new_dir: str | Path,
    old_dir: str | Path,
    rows: Sequence[Row],
    *,
    split: str = "test",
    corpus_sha256: str | None = None,
    resamples: int = metrics.RESAMPLES,
    texts: bool = False,
) -> Comparison:
    """Put the same labelled rows, which neither model has seen, to both.

    `corpus_sha256` is the hash of the corpus that the rows are from: where it is not that of a model's own corpus, a
    note says that the model may have seen them. `texts` puts the words of changed rows into the values. Raises
    AsifError, also for models of different labels.
    """
    new, old = load_predictor(new_dir), load_predictor(old_dir)
    if new.labels != old.labels:
        raise AsifError(
            f"expected two models of the same labels in the same order, found {new.model.path.name} with "
            f"{', '.join(new.labels)} and {old.model.path.name} with {', '.join(old.labels)}."
        )
    before, after = judge(old, rows, "Answers of the old model"), judge(new, rows, "Answers of the new model")
    return Comparison(
        {
            "schema_version": REPORT_VERSION,
            "new": _head(new),
            "old": _head(old),
            **made_head(),
            "rows_sha256": rows_sha256(rows),
            "split": split,
            "interval": metrics.interval_text(resamples),
            "notes": _notes(new, old, corpus_sha256),
            **compare_judged(after, before, rows, resamples=resamples, texts=texts),
        }
    )


def compare_judged(
    new: Judged, old: Judged, rows: Sequence[Row], *, resamples: int = metrics.RESAMPLES, texts: bool = False
) -> dict[str, Any]:
    """What a comparison finds in the answers of two models to the same rows; see `Comparison`."""
    return {
        "rows": len(rows),
        "in_scope_rows": int(new.inside.sum()),
        "groups": len(set(new.groups)),
        "headline": _compared(headlines(new, rows), headlines(old, rows), resamples),
        "mcnemar": mcnemar(new.right, old.right),
        "changed": _changed(new, old, rows, texts),
        "slices": [
            {"column": column, "value": value, **_slice(new.part(members), old.part(members), resamples)}
            for column, found in slice_rows(rows).items()
            for value, members in found.items()
        ],
    }


def mcnemar(new: np.ndarray, old: np.ndarray) -> dict[str, Any]:
    """McNemar's exact test: rows that one model alone has right, and how likely so uneven a count is by chance.

    `new` and `old` say where a model is right, bool (rows,). Two-sided binomial test of the rows on which they differ.
    It takes rows as independent: where those of one group go together, p is too small, and the intervals, which
    resample groups, are to be believed. McNemar (1947), Note on the Sampling Error of the Difference Between
    Correlated Proportions or Percentages.
    """
    only_new, only_old = int((new & ~old).sum()), int((old & ~new).sum())
    differing = only_new + only_old
    p = float(binomtest(only_new, differing).pvalue) if differing else 1.0
    return {"only_new_right": only_new, "only_old_right": only_old, "p_value": p}


def _compared(new: dict[str, Measure], old: dict[str, Measure], resamples: int) -> dict[str, Any]:
    return {
        name: {
            "old": old[name].estimate(0).value,
            "new": measure.estimate(0).value,
            "difference": asdict(measure.minus(old[name]).estimate(resamples)),
        }
        for name, measure in new.items()
    }


def _changed(new: Judged, old: Judged, rows: Sequence[Row], texts: bool) -> dict[str, Any]:
    """Rows whose answer, none included, changed: counts, and the first rows of each turn, the worst turn first."""
    turns = {int(i): _turn(bool(new.right[i]), bool(old.right[i])) for i in np.flatnonzero(new.answers != old.answers)}
    answers: dict[tuple[str, str], Counter[str]] = {}
    for i, turn in turns.items():
        answers.setdefault((old.marks[old.answers[i]], new.marks[new.answers[i]]), Counter())[turn] += 1
    listed = [i for turn in TURNS for i in [i for i, found in turns.items() if found == turn][:MOST_LISTED]]
    return {
        "rows": len(turns),
        "turns": {turn: sum(found == turn for found in turns.values()) for turn in TURNS},
        "answers": [
            {"old": before, "new": after, "rows": counts.total(), "turns": {turn: counts[turn] for turn in TURNS}}
            for (before, after), counts in sorted(answers.items(), key=lambda pair: -pair[1].total())
        ],
        "listed": [
            {
                "row": i + 1,
                "id": rows[i].id,
                "true": new.marks[new.gold[i]],
                "old": old.marks[old.answers[i]],
                "new": new.marks[new.answers[i]],
                "turn": turns[i],
                **({"context": rows[i].context, "text": rows[i].text} if texts else {}),
            }
            for i in listed
        ],
    }


def _turn(new_right: bool, old_right: bool) -> str:
    return RIGHT_TO_WRONG if old_right else WRONG_TO_RIGHT if new_right else WRONG_TO_WRONG


def _slice(new: Judged, old: Judged, resamples: int) -> dict[str, Any]:
    """Accuracy incl. none: every slice has it, whichever labels occur there and however few rows each has."""
    ahead = Measure(partial(metrics.weighted_mean, new.right.astype(int) - old.right), new.groups)
    return {
        "rows": len(new.gold),
        "old": float(old.right.mean()),
        "new": float(new.right.mean()),
        "difference": asdict(ahead.estimate(resamples)),
    }


def _head(predictor: Predictor) -> dict[str, Any]:
    return {**model_head(predictor), "corpus_sha256": predictor.model.manifest.corpus_sha256}


def _notes(new: Predictor, old: Predictor, corpus_sha256: str | None) -> list[str]:
    """What a reader must know of the rows: whether a model may have been trained on them."""
    notes = []
    trained = {predictor.model.manifest.corpus_sha256 for predictor in (new, old)}
    if len(trained) > 1:
        notes.append(
            "The two models are of different corpora: one of them may have been trained on some of these rows, and then "
            "looks better than it is."
        )
    if corpus_sha256 and corpus_sha256 not in trained:
        notes.append("These rows are of a corpus that neither model is of: either may have been trained on some.")
    return notes


def _headlines(values: dict[str, Any]) -> Grid:
    names = " beside ".join(values[side]["model"]["version"] for side in ("new", "old"))
    rows = [
        (name, _figure(found["old"]), _figure(found["new"]), *_difference(name, Estimate(**found["difference"])))
        for name, found in values["headline"].items()
    ]
    title = f"{names} on {values['rows']} {values['split']} rows"
    return Grid(title, ("metric", "old", "new", "new - old", ""), rows)


def _difference(name: str, difference: Estimate) -> tuple[str, str]:
    if name in NEITHER_IS_BETTER or not (difference.low > 0 or difference.high < 0):
        return difference.text(signed=True), ""
    better = (difference.low > 0) != (name in LOWER_IS_BETTER)
    return difference.text(signed=True), "better" if better else "worse"


def _figure(value: float) -> str:
    return "not defined" if np.isnan(value) else f"{value:.3f}"


def _mcnemar(values: dict[str, Any]) -> Grid:
    found = values["mcnemar"]
    row = (str(found["only_old_right"]), str(found["only_new_right"]), f"{found['p_value']:.3g}")
    return Grid("McNemar's exact test of the answers incl. none", ("only old right", "only new right", "p"), [row])


def _answers(values: dict[str, Any]) -> Grid:
    changed = values["changed"]
    rows = [
        (found["old"], found["new"], str(found["rows"]), *(str(found["turns"][turn]) for turn in TURNS))
        for found in (*changed["answers"], {"old": "all", "new": "", **changed})
    ]
    title = f"{changed['rows']} of {values['rows']} answers changed"
    return Grid(title, ("old answer", "new answer", "rows", *TURNS), rows if changed["rows"] else [])


def _rows(values: dict[str, Any]) -> Grid:
    listed = values["changed"]["listed"]
    head = ["row", "true label", "old answer", "new answer", "turned"]
    rows = [[r["id"] or f"row {r['row']}", r["true"], r["old"], r["new"], r["turn"]] for r in listed]
    if any("text" in r for r in listed):
        head.append("words")
        for cells, r in zip(rows, listed, strict=True):
            cells.append((f"Client: {r['context']} Counselor: " if r["context"] else "") + r["text"])
    return Grid(f"{len(listed)} of {values['changed']['rows']} rows whose answer changed", head, rows)


def _slices(values: dict[str, Any]) -> Grid:
    """Slices that got worse, those that lost most rows first."""
    worse = [found for found in values["slices"] if found["difference"]["value"] < 0]
    worse.sort(key=lambda found: found["rows"] * found["difference"]["value"])
    rows = [
        (
            slice_name(found),
            str(found["rows"]),
            *(_figure(found[side]) for side in ("old", "new")),
            Estimate(**found["difference"]).text(signed=True),
        )
        for found in worse[:MOST_SLICES]
    ]
    title = f"{len(rows)} of {len(worse)} slices that got worse in accuracy incl. none, of {len(values['slices'])}"
    return Grid(title, ("slice", "rows", "old", "new", "new - old"), rows)


def slice_name(found: dict[str, Any]) -> str:
    """What a slice of a comparison is called."""
    return f"{found['column']}: {found['value']}"
