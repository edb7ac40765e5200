"""Evaluation: through the serving predictor, with intervals, baselines, figures and a card."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from asif_data import model_dir
from asif_data.encoding import Utterance
from asif_data.errors import AsifError
from asif_data.rows import Row
from asif_serve.predictor import Predictor
from asif_train.evaluate import _contrast, evaluate


@pytest.fixture(scope="module")
def some_rows(corpus_rows: list[Row]) -> list[Row]:
    rows = [row for row in corpus_rows if row.split == "test"]
    labels = ("empathy", "sympathy", "over-identification", "none")
    return [row for label in labels for row in [row for row in rows if row.label == label][:30]]


@pytest.fixture(scope="module")
def judged(small_model: Path, some_rows: list[Row], corpus_rows: list[Row], tmp_path_factory: pytest.TempPathFactory):
    model = tmp_path_factory.mktemp("judged") / small_model.name
    shutil.copytree(small_model, model)
    train = [row for row in corpus_rows if row.split == "train"][:200]
    report = evaluate(model, some_rows, train_rows=train, resamples=30)
    report.save(model_dir.load(model))
    return model, report


def test_it_measures_what_is_served(judged, some_rows: list[Row]) -> None:
    model, report = judged
    served = Predictor(model_dir.load(model))([Utterance(row.text, row.context) for row in some_rows])
    inside = [(d, row) for d, row in zip(served, some_rows, strict=True) if row.label != "none"]
    right = sum(d.best == row.label for d, row in inside)
    assert report.values["headline"]["accuracy"]["value"] == pytest.approx(right / len(inside))
    withheld = sum(d.reason == "out_of_scope" for d in served)
    assert report.values["withheld"]["out_of_scope"] == withheld


def test_every_headline_has_an_interval_around_it(judged) -> None:
    _, report = judged
    assert {
        "macro-F1",
        "accuracy",
        "ECE",
        "Brier",
        "in-scope AUROC",
        "FPR at 95 % TPR",
        "four-way macro-F1",
        "set coverage",
        "set size",
    } <= set(report.values["headline"])
    for found in report.values["headline"].values():
        assert found["low"] <= found["high"]


def test_contrast_consistency_is_the_share_of_whole_sets_with_every_member_right() -> None:
    sets = ["a", "a", "b", "b", "b", "c", "c", None, "alone"]
    rows = [Row.model_validate({"text": f"reply {i}", "contrast_set": name}) for i, name in enumerate(sets)]
    right = np.array([True, True, True, False, True, False, False, False, True])
    found = _contrast(rows, right, [str(name) for name in sets], 30)["contrast consistency"]
    assert (found["value"], found["rows"]) == (pytest.approx(1 / 3), 3)


def test_without_contrast_sets_there_is_no_consistency(small_model: Path, some_rows: list[Row]) -> None:
    rows = [row for row in some_rows if not getattr(row, "contrast_set", None)]
    assert "contrast consistency" not in evaluate(small_model, rows, resamples=30).values["headline"]


def test_baselines_stand_beside_it_also_on_the_clients_turn_alone(judged) -> None:
    _, report = judged
    names = [(b["name"], b["client_only"]) for b in report.values["baselines"]]
    assert names == [
        ("majority", False),
        ("TF-IDF + logistic regression", False),
        ("frozen encoder + logistic regression", False),
        ("TF-IDF + logistic regression", True),
        ("frozen encoder + logistic regression", True),
    ]
    text = report.table().columns[0]._cells
    assert any("client's turn alone" in str(cell) for cell in text)


def test_the_report_names_the_manifest_and_leaves_it_as_it_was(judged, small_model: Path) -> None:
    model, _ = judged
    saved = json.loads((model / "report.json").read_text())
    assert saved["manifest_sha256"] == model_dir.load(small_model).manifest_sha256
    assert model_dir.load(model).report() == saved
    assert sum(map(sum, saved["confusion"])) == saved["rows"]


def test_the_card_tells_limits_before_figures(judged) -> None:
    model, _ = judged
    card = (model / "README.md").read_text()
    assert card.index("Limits first") < card.index("## Evaluation")
    assert "machine-written" in card
    assert "base_model: sentence-transformers/all-MiniLM-L6-v2" in card
    for name in ("confusion", "reliability", "risk_coverage"):
        assert (model / "figures" / f"{name}.png").stat().st_size > 5_000
        assert f"figures/{name}.png" in card


def test_a_report_of_another_model_is_not_shown(judged) -> None:
    model, _ = judged
    other = json.loads((model / "report.json").read_text()) | {"manifest_sha256": "0" * 64}
    copy = model.with_name("copy")
    shutil.copytree(model, copy)
    (copy / "report.json").write_text(json.dumps(other))
    assert model_dir.load(copy).report() is None


def test_labels_the_model_does_not_know_are_named(small_model: Path) -> None:
    with pytest.raises(AsifError, match="advice"):
        evaluate(small_model, [Row(text="Try a walk.", label="advice")])
