"""The learning curve: nested shares, every point kept, nothing trained twice."""

import json
from pathlib import Path

import pytest

from asif_data.errors import AsifError
from asif_data.rows import Row, write_rows
from asif_train import curve as curves
from asif_train.corpus import read_corpus
from asif_train.recipe import read_recipe

LABELS = ("empathy", "sympathy", "over-identification", "none")


@pytest.fixture
def few(tmp_path: Path, corpus_rows: list[Row]) -> Path:
    kept = []
    for split in ("train", "validation", "test"):
        for label in LABELS:
            kept += [row for row in corpus_rows if (row.split, row.label) == (split, label)][:12]
    write_rows(tmp_path / "few.jsonl", kept)
    return tmp_path / "few.jsonl"


def silent(line: str) -> None: ...


def test_models_are_trained_on_shares_judged_and_thrown_away(few: Path, tmp_path: Path, corpus_rows: list[Row]) -> None:
    recipe = read_recipe("small", epochs=1)
    other = [row for row in corpus_rows if row.split == "test"][-40:]
    out = tmp_path / "curve"
    points = curves.curve(few, recipe, out, shares=[0.5, 1], others={"other": other}, tell=silent)
    assert [(point.rows, point.seed) for point in points] == [(48, 0), (24, 0)]
    assert all(0 <= point.scores[judged]["macro-F1"] <= 1 for point in points for judged in ("test", "other"))
    assert sorted(path.name for path in out.iterdir()) == ["curve.png", "points.jsonl"]
    assert (out / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_what_was_reached_is_not_trained_anew(few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[tuple[int | None, int]] = []

    def judged(data: Path, recipe, *rest: object) -> dict[str, dict[str, float]]:
        if len(trained) == 3:
            raise KeyboardInterrupt
        trained.append((recipe.rows, recipe.seed))
        return {"test": {"macro-F1": 0.5, "in-scope AUROC": 0.5, "four-way macro-F1": 0.4}}

    monkeypatch.setattr(curves, "_judged", judged)
    recipe, out = read_recipe("small"), tmp_path / "curve"
    with pytest.raises(KeyboardInterrupt):
        curves.curve(few, recipe, out, shares=[0.25, 1], seeds=[0, 1], tell=silent)
    trained.pop(0)  # room for one more
    points = curves.curve(few, recipe, out, shares=[0.25, 1], seeds=[0, 1], tell=silent)
    assert trained == [(12, 0), (48, 1), (12, 1)]
    assert len(points) == len((out / "points.jsonl").read_text().splitlines()) == 4
    assert json.loads((out / "points.jsonl").read_text().splitlines()[0])["recipe"]["rows"] == 48


def test_another_recipe_is_another_point(few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []

    def judged(data: Path, recipe, *rest: object) -> dict[str, dict[str, float]]:
        rates.append(recipe.learning_rate)
        return {"test": {"macro-F1": 0.5, "in-scope AUROC": 0.5, "four-way macro-F1": 0.4}}

    monkeypatch.setattr(curves, "_judged", judged)
    for rate in (1e-4, 2e-4, 1e-4):
        curves.curve(few, read_recipe("small", learning_rate=rate), tmp_path / "curve", shares=[1], tell=silent)
    assert rates == [1e-4, 2e-4]


def test_the_table_says_the_spread_of_seeds() -> None:
    values = {"macro-F1": 0.8, "in-scope AUROC": 0.9, "four-way macro-F1": 0.7}
    points = [curves.Point(10, seed, {"test": {name: v + 0.1 * seed for name, v in values.items()}}) for seed in (0, 1)]
    table = curves.table(points)
    assert [list(column.cells) for column in table.columns][:3] == [["10"], ["2"], ["0.850 ± 0.071"]]


@pytest.mark.parametrize("shares", [[0.0], [1.5], []])
def test_a_wrong_share_is_named_before_anything_trains(few: Path, tmp_path: Path, shares: list[float]) -> None:
    with pytest.raises(AsifError, match="shares above 0"):
        curves.curve(few, read_recipe("small"), tmp_path / "curve", shares=shares)


def test_samples_of_the_training_rows_nest_and_repeat(few: Path) -> None:
    corpus = read_corpus(few)
    half, all_ = corpus.sample(24), corpus.sample(48)
    assert half == all_[:24] == corpus.sample(24)
    assert sorted(row.text for row in all_) == sorted(row.text for row in corpus.train)
    assert corpus.sample(None) == corpus.train
