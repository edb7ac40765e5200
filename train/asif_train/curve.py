"""Learning curve: whether more rows would still help, on the test split and on any other labelled rows."""

import hashlib
import json
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from matplotlib.figure import Figure
from rich.table import Table

from asif_data.errors import AsifError
from asif_data.files import write_atomically
from asif_data.labels import CODEBOOK, NONE, LabelSet
from asif_data.rows import Row
from asif_train import figures
from asif_train.base_model import locate
from asif_train.corpus import Corpus, read_corpus
from asif_train.evaluate import evaluate
from asif_train.fit import fit
from asif_train.provenance import git_commit
from asif_train.recipe import MAX_EPOCHS, Recipe, checked_recipe

SHARES = (0.125, 0.25, 0.5, 1.0)
POINTS = "points.jsonl"
FIGURE = "curve.png"
SHOWN = ("macro-F1", "in-scope AUROC")
TEST = "test"

Scores = dict[str, dict[str, float | None]]


@dataclass(frozen=True)
class Point:
    """One fine-tuning: how many rows it was trained on, its seed, and its headlines by name of the judged set."""

    rows: int
    seed: int
    scores: Scores


def curve(
    data: str | Path,
    recipe: Recipe,
    out: Path,
    *,
    shares: Sequence[float] = SHARES,
    seeds: Sequence[int] = (0,),
    others: Mapping[str, Sequence[Row]] | None = None,
    labels: LabelSet = CODEBOOK,
    tell: Callable[[str], None] = print,
) -> list[Point]:
    """Fine-tune on nested shares of the training groups and judge each model as it would be served.

    A share is trained for as many updates as the whole: its epochs are the recipe's divided by the share, without
    early stopping, so that the curve compares rows and not training time or learning rates. The best epoch on
    the whole validation split counts. Judged are the test split of `data` and each named set of rows in `others`.

    Points go to `out`/points.jsonl and `out`/curve.png as they are reached. A point that stands there with the same
    corpus, recipe, base model and judged rows is not trained anew. Models are deleted as soon as they are judged.
    Raises AsifError.
    """
    corpus = read_corpus(data, labels)
    judged = {TEST: corpus.test, **_checked(others or {}, labels.marks)}
    plan = _plan(recipe, corpus, shares, seeds)
    given = {
        "corpus_sha256": corpus.sha256,
        "base_model_sha256": locate(recipe.base_model).sha256,
        "judged": {name: _digest(rows) for name, rows in judged.items()},
    }
    out.mkdir(parents=True, exist_ok=True)
    points = []
    for trained in plan:
        key = given | {"recipe": trained.model_dump()}
        point = _known(out / POINTS, key)
        if point is None:
            rows = len(corpus.sample(trained.rows))
            tell(f"{rows} of {len(corpus.train)} rows, seed {trained.seed}, at most {trained.epochs} epochs")
            point = Point(rows, trained.seed, _scores(data, labels, trained, out, judged))
            _keep(out / POINTS, asdict(point) | key | {"git_commit": git_commit()})
        points.append(point)
        _figure(points).savefig(out / FIGURE, dpi=150, bbox_inches="tight")
    return points


def table(points: Sequence[Point]) -> Table:
    """Mean over the seeds, with their standard deviation, at each number of rows."""
    names = [(judged, name) for judged in points[0].scores for name in (*SHOWN, "macro-F1 incl. none")]
    shown = Table("rows", "seeds", *(f"{judged}\n{name}" for judged, name in names), title="Learning curve")
    for rows, part in _by_rows(points):
        cells = ([point.scores[judged][name] for point in part] for judged, name in names)
        shown.add_row(str(rows), str(len(part)), *(_spread(values) for values in cells))
    return shown


def _plan(recipe: Recipe, corpus: Corpus, shares: Sequence[float], seeds: Sequence[int]) -> list[Recipe]:
    """One recipe a point, the largest share of each seed first; each seed and number of rows once."""
    if not shares or not all(0 < share <= 1 for share in shares):
        raise AsifError(f"expected shares above 0 and at most 1, found {list(shares)}.")
    if not seeds:
        raise AsifError("expected at least one seed, found none.")
    whole = len(corpus.sample(recipe.rows))
    plan = {}
    for seed in seeds:
        for share in sorted(shares, reverse=True):
            rows = max(1, round(whole * share))
            epochs = min(MAX_EPOCHS, math.ceil(recipe.epochs / share))
            plan[seed, rows] = recipe.model_dump() | {"rows": rows, "seed": seed, "epochs": epochs, "patience": epochs}
    return [checked_recipe(values, "curve") for values in plan.values()]


def _checked(others: Mapping[str, Sequence[Row]], marks: Sequence[str]) -> dict[str, Sequence[Row]]:
    for name, rows in others.items():
        if name == TEST:
            raise AsifError(f"expected a name other than {TEST}, which is the split of the corpus, found {name!r}.")
        unknown = sorted({str(row.label) for row in rows} - set(marks))
        if unknown:
            raise AsifError(f"{name}: expected rows labelled {', '.join(marks)}, found {', '.join(unknown)}.")
        if all(row.label == NONE for row in rows):
            raise AsifError(f"{name}: expected rows that one of the labels applies to, found none.")
    return dict(others)


def _digest(rows: Sequence[Row]) -> str:
    return hashlib.sha256(json.dumps([(row.text, row.context, row.label) for row in rows]).encode()).hexdigest()


def read_points(file: str | Path) -> list[Point]:
    """All points that stand in a points.jsonl. Raises AsifError that names the line which is none."""
    return [point for point, _ in _points(Path(file))]


def _known(file: Path, key: dict[str, Any]) -> Point | None:
    found = _points(file) if file.is_file() else ()
    return next((point for point, record in found if all(record.get(k) == v for k, v in key.items())), None)


def _points(file: Path) -> Iterator[tuple[Point, dict[str, Any]]]:
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        try:
            record = json.loads(line)
            yield Point(record["rows"], record["seed"], record["scores"]), record
        except (ValueError, TypeError, KeyError):
            raise AsifError(
                f"{file}:{number}: expected a point as JSON, found something else; delete the line."
            ) from None


def _keep(file: Path, record: dict[str, Any]) -> None:
    reached = file.read_text(encoding="utf-8") if file.is_file() else ""
    write_atomically(file, reached + json.dumps(record, allow_nan=False) + "\n")


def _scores(
    data: str | Path, labels: LabelSet, recipe: Recipe, out: Path, judged: Mapping[str, Sequence[Row]]
) -> Scores:
    models = Path(tempfile.mkdtemp(prefix=".models-", dir=out))
    try:
        model = fit(data, recipe, models, labels=labels, tell=lambda line: None)
        return {name: _headlines(model, rows, name) for name, rows in judged.items()}
    finally:
        shutil.rmtree(models, ignore_errors=True)


def _headlines(model: Path, rows: Sequence[Row], name: str) -> dict[str, float | None]:
    found = evaluate(model, rows, split=name, resamples=0).values["headline"]
    return {metric: None if math.isnan(value["value"]) else value["value"] for metric, value in found.items()}


def _by_rows(points: Sequence[Point]) -> Iterator[tuple[int, list[Point]]]:
    for rows, part in groupby(sorted(points, key=lambda point: point.rows), key=lambda point: point.rows):
        yield rows, list(part)


def _spread(values: Sequence[float | None]) -> str:
    found = [value for value in values if value is not None]
    if not found:
        return "-"
    return f"{mean(found):.3f}" + (f" ± {stdev(found):.3f}" if len(found) > 1 else "")


def _figure(points: Sequence[Point]) -> Figure:
    parts = list(_by_rows(points))
    series = {
        (judged, name): [
            [value for point in part if (value := point.scores[judged][name]) is not None] for _, part in parts
        ]
        for judged in points[0].scores
        for name in SHOWN
    }
    return figures.learning_curve([rows for rows, _ in parts], series)
