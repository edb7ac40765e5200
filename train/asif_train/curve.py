"""Learning curve: whether more rows would still help, on the test split and on any other labelled rows."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from matplotlib.figure import Figure
from rich.table import Table

from asif_data.errors import AsifError
from asif_data.model_dir import write_atomically
from asif_data.rows import Row
from asif_train import figures
from asif_train.corpus import read_corpus
from asif_train.evaluate import evaluate
from asif_train.fit import fit
from asif_train.recipe import Recipe

SHARES = (0.125, 0.25, 0.5, 1.0)
POINTS = "points.jsonl"
FIGURE = "curve.png"
SHOWN = ("macro-F1", "in-scope AUROC")


@dataclass(frozen=True)
class Point:
    """One fine-tuning: `rows` it was trained on, its seed, and its headlines by name of the judged set."""

    rows: int
    seed: int
    scores: dict[str, dict[str, float]]


def curve(
    data: str | Path,
    recipe: Recipe,
    out: Path,
    *,
    shares: Sequence[float] = SHARES,
    seeds: Sequence[int] = (0,),
    others: dict[str, list[Row]] | None = None,
    tell: Callable[[str], None] = print,
) -> list[Point]:
    """Fine-tune on nested shares of the training groups and judge each model as it would be served.

    Judged are the test split of `data` and each named list in `others`. Every point is appended to
    `out`/points.jsonl as it is reached; called again with the same rows and recipe, points that stand there are not
    trained anew. Writes `out`/curve.png. Models are deleted as soon as they are judged. Raises AsifError.
    """
    corpus = read_corpus(data)
    judged = {"test": corpus.test, **(others or {})}
    out.mkdir(parents=True, exist_ok=True)
    points = []
    for rows, seed in _plan(len(corpus.train), shares, seeds):
        trained = recipe.model_copy(update={"rows": rows, "seed": seed})
        key = {"recipe": trained.model_dump(), "corpus_sha256": corpus.sha256, "judged": sorted(judged)}
        point = _known(out / POINTS, key)
        if point is None:
            tell(f"{rows} of {len(corpus.train)} rows, seed {seed}")
            point = Point(rows, seed, _judged(data, trained, out / ".models", judged, tell))
            reached = (out / POINTS).read_text(encoding="utf-8") if (out / POINTS).is_file() else ""
            write_atomically(out / POINTS, reached + json.dumps(asdict(point) | key) + "\n")
        points.append(point)
    _figure(points).savefig(out / FIGURE, dpi=150, bbox_inches="tight")
    return points


def table(points: Sequence[Point]) -> Table:
    """Mean over the seeds, with their standard deviation, at each number of rows."""
    names = [(judged, name) for judged in points[0].scores for name in (*SHOWN, "four-way macro-F1")]
    shown = Table("rows", "seeds", *(f"{judged}\n{name}" for judged, name in names), title="Learning curve")
    for rows, part in by_rows(points):
        cells = ([point.scores[judged][name] for point in part] for judged, name in names)
        shown.add_row(str(rows), str(len(part)), *(_spread(values) for values in cells))
    return shown


def by_rows(points: Sequence[Point]) -> Iterator[tuple[int, list[Point]]]:
    """The points of each number of training rows, fewest first."""
    for rows, part in groupby(sorted(points, key=lambda point: point.rows), key=lambda point: point.rows):
        yield rows, list(part)


def _figure(points: Sequence[Point]) -> Figure:
    parts = list(by_rows(points))
    series = {
        (judged, name): [[point.scores[judged][name] for point in part] for _, part in parts]
        for judged in points[0].scores
        for name in SHOWN
    }
    return figures.learning_curve([rows for rows, _ in parts], series)


def _spread(values: Sequence[float]) -> str:
    return f"{mean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")


def _plan(rows: int, shares: Sequence[float], seeds: Sequence[int]) -> list[tuple[int, int]]:
    wrong = [share for share in shares if not 0 < share <= 1]
    if wrong or not shares or not seeds:
        raise AsifError(f"expected at least one seed and shares above 0 and at most 1, found {list(shares)}.")
    return [(max(1, round(rows * share)), seed) for seed in seeds for share in sorted(shares, reverse=True)]


def _known(file: Path, key: dict[str, Any]) -> Point | None:
    if not file.is_file():
        return None
    for line in file.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if all(record.get(name) == value for name, value in key.items()):
            return Point(record["rows"], record["seed"], record["scores"])
    return None


def _judged(
    data: str | Path, recipe: Recipe, models: Path, judged: dict[str, list[Row]], tell: Callable[[str], None]
) -> dict[str, dict[str, float]]:
    shutil.rmtree(models, ignore_errors=True)
    try:
        model = fit(data, recipe, models, tell=tell)
        reports = {
            name: evaluate(model, rows, split=name, resamples=1).values["headline"] for name, rows in judged.items()
        }
    finally:
        shutil.rmtree(models, ignore_errors=True)
    return {name: {metric: found["value"] for metric, found in report.items()} for name, report in reports.items()}
