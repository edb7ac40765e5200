"""Evaluation: through the serving predictor, with intervals, baselines, figures and a card."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from sklearn.metrics import f1_score, roc_auc_score

from asif_data import model_dir
from asif_data.encoding import Utterance
from asif_data.errors import AsifError
from asif_data.rows import Row
from asif_serve.predictor import Predictor
from asif_train.card import card
from asif_train.evaluate import evaluate


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
        "macro-F1 incl. none",
        "accuracy incl. none",
        "set coverage",
        "set size",
    } <= set(report.values["headline"])
    for found in report.values["headline"].values():
        assert found["low"] <= found["high"]


def test_without_contrast_sets_there_is_no_consistency(small_model: Path, some_rows: list[Row]) -> None:
    rows = [row for row in some_rows if not getattr(row, "contrast_set", None)]
    assert "contrast consistency" not in evaluate(small_model, rows, resamples=30).values["headline"]


def test_baselines_stand_beside_it_on_every_view(judged) -> None:
    _, report = judged
    both, utterance, client = "utterance and client's turn", "utterance alone", "client's turn alone"
    assert [(b["name"], b["view"]) for b in report.values["baselines"]] == [
        ("majority", None),
        ("keyword rules", utterance),
        ("TF-IDF + logistic regression", both),
        ("frozen encoder + logistic regression", both),
        ("TF-IDF + logistic regression", utterance),
        ("frozen encoder + logistic regression", utterance),
        ("TF-IDF + logistic regression", client),
        ("frozen encoder + logistic regression", client),
    ]


def test_how_far_it_is_ahead_is_the_difference_of_the_headlines(judged) -> None:
    _, report = judged
    for baseline in report.values["baselines"]:
        for name in ("macro-F1", "in-scope AUROC"):
            ahead = baseline["difference"][name]
            assert ahead["value"] == pytest.approx(report.values["headline"][name]["value"] - baseline[name]["value"])
            assert ahead["low"] <= ahead["value"] <= ahead["high"]


def test_headlines_are_those_of_scikit_learn(judged) -> None:
    _, report = judged
    gold, scores, inside = report.judged.gold, report.judged.scores, report.judged.inside
    headline = {name: value["value"] for name, value in report.values["headline"].items()}
    assert headline["macro-F1"] == pytest.approx(f1_score(gold[inside], scores[inside].argmax(1), average="macro"))
    assert headline["in-scope AUROC"] == pytest.approx(roc_auc_score(inside, report.judged.in_scope))
    assert headline["accuracy incl. none"] == pytest.approx((gold == report.judged.answers).mean())
    assert headline["macro-F1 incl. none"] == pytest.approx(f1_score(gold, report.judged.answers, average="macro"))


def test_slices_calibration_and_whole_sessions_are_in_the_report_and_its_tables(judged, some_rows: list[Row]) -> None:
    _, report = judged
    values = report.values
    assert {"register", "length", "border"} <= set(values["slices"])
    assert sum(found["rows"] for found in values["slices"]["length"].values()) == len(some_rows)
    assert set(values["calibration"]) == {"scores", "in_scope"}
    assert values["calibration"]["scores"]["ECE"]["value"] == pytest.approx(values["headline"]["ECE"]["value"])
    assert values["calibration"]["scores"]["Brier"]["value"] == pytest.approx(values["headline"]["Brier"]["value"])
    assert 0 < values["in_practice"]["of_100_turns"]["labelled"]["value"] < 100
    titles = [table.title for table in report.tables()]
    assert titles == ["Ahead of the baselines", "Calibration", "In practice", "Slices", "Most confident errors"]


def test_the_words_of_a_users_rows_are_never_written(small_model: Path, some_rows: list[Row], tmp_path: Path) -> None:
    model = tmp_path / small_model.name
    shutil.copytree(small_model, model)
    private = {"source": "clinic", "context": "canarycontext"}
    rows = [row.model_copy(update=private | {"text": f"{row.text} canarytext"}) for row in some_rows]
    report = evaluate(model, rows, resamples=0)
    report.save(model_dir.load(model))
    errors = json.loads((model / "report.json").read_text())["errors"]
    assert {error["id"] for error in errors} <= {row.id for row in rows}
    assert errors
    for written in ("report.json", "README.md"):
        assert "canary" not in (model / written).read_text()


def test_other_labels_are_judged_without_what_is_known_of_ours(
    small_model: Path, some_rows: list[Row], tmp_path: Path
) -> None:
    model = tmp_path / small_model.name
    shutil.copytree(small_model, model)
    manifest = json.loads((model / "manifest.json").read_text())
    ours, manifest["labels"] = manifest["labels"], ["warm", "cool", "cold"]
    manifest["codebook"] = {}
    (model / "manifest.json").write_text(json.dumps(manifest))
    names = dict(zip(ours, manifest["labels"], strict=True)) | {"none": "none"}
    rows = [Row(text=row.text, label=names[str(row.label)]) for row in some_rows]
    report = evaluate(model, rows, train_rows=rows, resamples=0)
    report.save(model_dir.load(model))
    assert "in_practice" not in report.values
    assert list(report.values["slices"]) == ["length"]
    assert [(b["name"], b["view"]) for b in report.values["baselines"]] == [
        ("majority", None),
        ("TF-IDF + logistic regression", "utterance alone"),
        ("frozen encoder + logistic regression", "utterance alone"),
    ]
    assert "Of 100 turns" not in (model / "README.md").read_text()
    assert "nan" not in (model / "README.md").read_text()


def test_rows_that_no_label_applies_to_cannot_be_judged(small_model: Path) -> None:
    with pytest.raises(AsifError, match="labels applies to"):
        evaluate(small_model, [Row(text="Shall we say Tuesday?", label="none")])


def test_the_report_names_the_manifest_and_leaves_it_as_it_was(judged, small_model: Path) -> None:
    model, _ = judged
    saved = json.loads((model / "report.json").read_text())
    assert saved["manifest_sha256"] == model_dir.load(small_model).manifest_sha256
    assert model_dir.load(model).report() == saved
    assert sum(map(sum, saved["confusion"])) == saved["rows"]


def test_figures_are_written_and_shown_in_the_card(judged) -> None:
    model, _ = judged
    card = (model / "README.md").read_text()
    for name in ("confusion", "reliability", "risk_coverage", "slices"):
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


def test_the_robustness_suite_is_put_where_it_is_asked_for(
    small_model: Path, some_rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    test = {"kind": "invariance", "name": "typos", "passed": 9, "total": 10, "share": 0.9, "interval": [0.6, 0.98]}
    test |= {"goal": 0.97, "met": False, "failures": ["f001"]}
    monkeypatch.setattr("asif_train.evaluate.robustness", lambda predictor: SimpleNamespace(values={"tests": [test]}))
    report = evaluate(small_model, some_rows, resamples=0, full=True)
    assert report.values["robustness"] == [test]
    assert "Robustness" in [table.title for table in report.tables()]
    text = card(model_dir.load(small_model), report.values, report.quotes)
    assert "| invariance | typos | 9/10 | 0.900 [0.600, 0.980] | 0.97 | MISSED |" in text
    assert "robustness" not in evaluate(small_model, some_rows, resamples=0).values


def test_rows_of_another_making_have_headlines_of_their_own(small_model: Path, some_rows: list[Row]) -> None:
    other = some_rows[20:50] + some_rows[90:110]
    report = evaluate(small_model, some_rows, elsewhere={"sessions": other}, resamples=20)
    alone = evaluate(small_model, other, resamples=20)
    found = report.values["elsewhere"]["sessions"]
    assert found["headline"] == alone.values["headline"]
    assert (found["rows"], found["in_scope_rows"]) == (50, alone.values["in_scope_rows"])
    text = card(model_dir.load(small_model), report.values, report.quotes)
    assert f"sessions (50 rows, {found['in_scope_rows']} in scope)" in text
    assert "Elsewhere" not in card(model_dir.load(small_model), alone.values, alone.quotes)


def test_rows_of_another_making_are_checked_too(small_model: Path, some_rows: list[Row]) -> None:
    with pytest.raises(AsifError, match="advice"):
        evaluate(small_model, some_rows, elsewhere={"mine": [Row(text="Try a walk.", label="advice")]})


def test_the_served_form_is_held_against_the_network_on_all_rows(
    small_model: Path, some_rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asif_train.evaluate.robustness", lambda predictor: SimpleNamespace(values={"tests": []}))
    report = evaluate(small_model, some_rows, elsewhere={"mine": some_rows[:40]}, resamples=0, full=True)
    for found in (report.values, report.values["elsewhere"]["mine"]):
        assert found["parity"]["rows"] == found["rows"]
        assert found["parity"]["largest_change"] < 0.2
    [table] = [table for table in report.tables() if table.title == "Served, less the network in float32"]
    assert list(table.columns[0].cells) == ["test, 120 rows", "mine, 40 rows"]
