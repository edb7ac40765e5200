"""The learning curve: nested shares, every point kept, nothing trained twice."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from asif_data.errors import AsifError
from asif_data.labels import LabelSet
from asif_data.rows import Row
from asif_train import curve as curves
from asif_train.cli import app
from asif_train.corpus import read_corpus
from asif_train.recipe import Recipe, read_recipe

VALUES = {"macro-F1": 0.5, "in-scope AUROC": 0.6, "macro-F1 incl. none": 0.4}


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Recipe]:
    """The recipes that would have been trained; each model scores the same."""
    recipes: list[Recipe] = []

    def scores(
        data: Path, labels: LabelSet, recipe: Recipe, out: Path, judged: dict[str, list[Row]]
    ) -> dict[str, dict[str, float]]:
        recipes.append(recipe)
        return dict.fromkeys(judged, VALUES)

    monkeypatch.setattr(curves, "_scores", scores)
    return recipes


def silent(line: str) -> None: ...


def test_models_are_trained_on_shares_judged_and_thrown_away(few: Path, tmp_path: Path, corpus_rows: list[Row]) -> None:
    recipe = read_recipe("small", epochs=1)
    other = [row for row in corpus_rows if row.split == "test"][-40:]
    out = tmp_path / "curve"
    points = curves.curve(few, recipe, out, shares=[0.5, 1], others={"other": other}, tell=silent)
    assert [(point.rows, point.seed) for point in points] == [(48, 0), (24, 0)]
    scores = [point.scores[judged]["macro-F1"] for point in points for judged in ("test", "other")]
    assert all(score is not None and 0 < score <= 1 for score in scores)
    assert sorted(path.name for path in out.iterdir()) == ["curve.png", "points.jsonl"]


def test_a_share_is_trained_for_as_many_updates_as_the_whole(few: Path, tmp_path: Path, trained: list[Recipe]) -> None:
    curves.curve(few, read_recipe("small", epochs=2), tmp_path / "curve", shares=[0.25, 1, 0.5], tell=silent)
    assert [(recipe.rows, recipe.epochs) for recipe in trained] == [(48, 2), (24, 4), (12, 8)]


def test_what_was_reached_is_not_trained_anew(
    few: Path, tmp_path: Path, trained: list[Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, out, score = read_recipe("small"), tmp_path / "curve", curves._scores

    def stopped(*args: Any) -> Any:
        if len(trained) == 3:
            raise KeyboardInterrupt
        return score(*args)

    monkeypatch.setattr(curves, "_scores", stopped)
    with pytest.raises(KeyboardInterrupt):
        curves.curve(few, recipe, out, shares=[0.25, 1], seeds=[0, 1], tell=silent)
    monkeypatch.setattr(curves, "_scores", score)
    points = curves.curve(few, recipe, out, shares=[0.25, 1], seeds=[0, 1, 0], tell=silent)
    assert [(recipe.rows, recipe.seed) for recipe in trained] == [(48, 0), (12, 0), (48, 1), (12, 1)]
    assert len(points) == len((out / "points.jsonl").read_text().splitlines()) == 4
    assert (out / "curve.png").exists()


def test_another_recipe_or_other_judged_rows_are_another_point(
    few: Path, tmp_path: Path, trained: list[Recipe]
) -> None:
    out = tmp_path / "curve"
    rows = [Row(text="you felt small", label="empathy"), Row(text="how awful", label="sympathy")]
    for rate, others in ((1e-4, {}), (2e-4, {}), (1e-4, {}), (1e-4, {"a": rows}), (1e-4, {"a": rows[:1]})):
        curves.curve(few, read_recipe("small", learning_rate=rate), out, shares=[1], others=others, tell=silent)
    assert len(trained) == 4


def test_a_broken_line_among_the_points_is_named(few: Path, tmp_path: Path, trained: list[Recipe]) -> None:
    (tmp_path / "points.jsonl").write_text('{"rows": 1\n')
    with pytest.raises(AsifError, match=r"points\.jsonl:1: expected a point"):
        curves.curve(few, read_recipe("small"), tmp_path, shares=[1], tell=silent)


@pytest.mark.parametrize(
    "given", [{"shares": [0.0]}, {"shares": [1.5]}, {"shares": []}, {"seeds": []}, {"seeds": [-1]}]
)
def test_wrong_shares_and_seeds_are_named_before_anything_trains(
    few: Path, tmp_path: Path, trained: list[Recipe], given: dict[str, Any]
) -> None:
    with pytest.raises(AsifError, match=next(iter(given))[:-1]):
        curves.curve(few, read_recipe("small"), tmp_path / "curve", **given)
    assert trained == []


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"test": [Row(text="oh no", label="sympathy")]}, "other than test"),
        ({"real": [Row(text="oh no", label="pity")]}, "real: .*found pity"),
        ({"real": [Row(text="see you", label="none")]}, "real: expected rows that one of the labels applies to"),
        ({"real": []}, "found none"),
    ],
)
def test_rows_that_cannot_be_judged_are_named_before_anything_trains(
    few: Path, tmp_path: Path, trained: list[Recipe], others: dict[str, list[Row]], message: str
) -> None:
    with pytest.raises(AsifError, match=message):
        curves.curve(few, read_recipe("small"), tmp_path / "curve", others=others)
    assert trained == []


def test_the_command_judges_on_named_rows(few: Path, tmp_path: Path, trained: list[Recipe]) -> None:
    out = tmp_path / "curve"
    command = ["curve", "--data", str(few), "--out", str(out), "--share", "1", "--on", f"mine={few}", "--seed", "3"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "mine" in done.output
    assert json.loads((out / "points.jsonl").read_text())["scores"] == {"test": VALUES, "mine": VALUES}


def test_the_command_names_a_wrong_on(few: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["curve", "--data", str(few), "--out", str(tmp_path / "c"), "--on", "mine"])
    assert isinstance(done.exception, AsifError)
    assert "--on: expected NAME=ROWS" in str(done.exception)


def test_table_and_figure_show_every_seed() -> None:
    points = [
        curves.Point(rows, seed, {"test": {name: value + 0.1 * seed for name, value in VALUES.items()}})
        for rows in (20, 10)
        for seed in (0, 1)
    ]
    cells = [list(column.cells) for column in curves.table(points).columns]
    assert cells[:3] == [["10", "20"], ["2", "2"], ["0.550 ± 0.071", "0.550 ± 0.071"]]
    left, right = curves._figure(points).axes
    assert (left.get_ylabel(), right.get_ylabel()) == ("macro-F1", "in-scope AUROC")
    assert [list(map(float, line.get_ydata())) for line in left.lines] == [[0.55, 0.55], [0.5, 0.6], [0.5, 0.6]]  # pyright: ignore
    assert list(left.lines[0].get_xdata()) == [10, 20]


def test_samples_of_the_training_rows_nest_keep_groups_and_are_no_prefix(few: Path) -> None:
    corpus = read_corpus(few)
    quarter, half = (corpus.sample(count) for count in (12, 24))
    assert [len(quarter), len(half)] == [12, 24]
    names = [row.id for row in half]
    assert [row.id for row in quarter] == [name for name in names if name in {row.id for row in quarter}]
    assert names != [row.id for row in corpus.train[:24]]
    assert all(sum(row.group == other.group for other in half) == 2 for row in half)
    assert len(corpus.sample(13)) == 12
    assert len(corpus.sample(1)) == 2
    assert corpus.sample(None) == corpus.sample(48) == corpus.train
