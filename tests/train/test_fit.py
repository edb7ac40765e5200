"""Fitting: the whole way from rows to a published, promoted model, and what happens when it goes wrong."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from rich.console import Console

from asif_data import model_dir
from asif_data.errors import AsifError
from asif_data.labels import LABELS, MARKS, LabelSet
from asif_data.rows import BadRows, Row, write_rows
from asif_serve.app import create_app
from asif_serve.predictor import load_predictor
from asif_serve.settings import Settings
from asif_train import fit as fitting
from asif_train.corpus import read_corpus
from asif_train.evaluate import evaluate
from asif_train.fit import fit
from asif_train.recipe import checked_recipe, read_recipe

FIT = [sys.executable, "-m", "asif_train.cli", "fit", "--recipe", "small"]


def test_the_small_model_is_published_verified_and_promoted(small_models: Path) -> None:
    found = model_dir.current(small_models)
    assert found is not None
    model = model_dir.load(found)
    assert model.manifest.version == found.name
    assert model.manifest.labels == ["empathy", "sympathy", "over-identification"]
    assert {"config.json", "model.safetensors", "tokenizer.json", "onnx/model.onnx"} <= set(model.manifest.sha256)
    assert len(model.manifest.training) == 2
    log = [json.loads(line) for line in (small_models / "promotions.jsonl").read_text().splitlines()]
    assert [entry["version"] for entry in log] == [found.name]


def test_a_finished_run_leaves_no_checkpoints(small_models: Path) -> None:
    assert list((small_models / ".runs").iterdir()) == []


def test_there_is_no_pickle_in_a_model_directory(small_model: Path) -> None:
    assert not [p for p in small_model.rglob("*") if p.suffix in {".bin", ".pkl", ".pickle", ".pt", ".pth", ".joblib"}]


def test_all_users_who_may_read_the_manifest_may_read_the_weights(small_model: Path) -> None:
    modes = {path.stat().st_mode & 0o777 for path in small_model.rglob("*") if path.is_file()}
    assert modes == {(small_model / model_dir.MANIFEST).stat().st_mode & 0o777}


def test_published_forms_passed_the_gate(small_model: Path) -> None:
    manifest = model_dir.load(small_model).manifest
    assert manifest.forms[0].precision == "fp32"
    for form in manifest.forms:
        assert form.macro_f1_loss <= 0.005
        assert form.decisions_changed <= 0.005
    for form in manifest.refused_forms:
        assert not (small_model / form.file).exists()


def test_bad_rows_are_all_named_and_nothing_is_made(tmp_path: Path) -> None:
    data = tmp_path / "labels.csv"
    data.write_text("text,label\nhello there,Empathy\n,none\nfine,sympathy\n")
    with pytest.raises(BadRows) as caught:
        fit(data, read_recipe("small"), tmp_path / "models")
    assert [(error.line, error.column) for error in caught.value.errors] == [(2, "label"), (3, "text")]
    assert not (tmp_path / "models").exists()


def test_a_missing_label_is_named(tmp_path: Path, corpus_rows: list[Row]) -> None:
    data = tmp_path / "rows.jsonl"
    write_rows(data, [row for row in corpus_rows if row.label != "sympathy"][:300])
    with pytest.raises(AsifError, match="sympathy"):
        fit(data, read_recipe("small"), tmp_path / "models")


def test_rows_linked_across_splits_are_refused(few: Path, tmp_path: Path, corpus_rows: list[Row]) -> None:
    rows = [row for row in corpus_rows if row.split == "train"][:1]
    with few.open("a") as file:
        file.write(json.dumps(rows[0].model_dump() | {"id": "other", "split": "test"}) + "\n")
    with pytest.raises(AsifError, match="linked rows"):
        fit(few, read_recipe("small"), tmp_path / "models")


def test_resume_without_a_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(AsifError, match="unfinished run"):
        fit("data/corpus", read_recipe("small"), tmp_path / "models", resume=True)


def test_command_line_prints_one_sentence_for_a_bad_recipe(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("epochs: many\n")
    done = subprocess.run(
        [*FIT[:-1], str(recipe), "--models", str(tmp_path / "models")], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert "epochs" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_same_rows_recipe_and_seed_give_the_same_weights(few: Path, tmp_path: Path, small_model: Path) -> None:
    recipe = read_recipe("small", rows=12, batch_size=4, epochs=1, seed=7)
    once, again = (fit(few, recipe, tmp_path / name, tell=lambda line: None) for name in ("once", "again"))
    found = [model_dir.sha256(model / model_dir.WEIGHTS) for model in (once, again)]
    assert found[0] == found[1]
    assert found[0] != model_dir.sha256(small_model / model_dir.WEIGHTS)
    assert model_dir.load(once).manifest.training[-1]["step"] == 3


def test_two_processes_train_one_model(few: Path, tmp_path: Path) -> None:
    launch = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--cpu",
        "--num_processes",
        "2",
        "--num_machines",
        "1",
    ]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no", "--num_cpu_threads_per_process", "1"]
    models = tmp_path / "models"
    done = subprocess.run(
        [*launch, "-m", *FIT[2:], "--data", str(few), "--models", str(models), "--epochs", "1"],
        capture_output=True, text=True, timeout=500, env=os.environ | {"MASTER_PORT": "29511"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    published = [p for p in models.iterdir() if (p / "manifest.json").is_file() and not p.is_symlink()]
    assert len(published) == 1
    assert done.stdout.count("Published") == 1
    manifest = model_dir.load(published[0]).manifest
    assert manifest.training[-1]["step"] == 3  # 48 rows in batches of 16 over both processes


def _kill_when(process: subprocess.Popen[bytes], ready: Path, pattern: str) -> None:
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and process.poll() is None:
        if any(ready.glob(pattern)):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return
        time.sleep(0.02)
    pytest.fail(f"expected {pattern} to appear before the run ended")


COUNTED = ("epoch", "step", "eval_loss", "eval_macro_f1")


def _found(model: Path) -> dict[str, Any]:
    """What two runs of the same recipe must have in common to the last bit."""
    manifest = model_dir.load(model).manifest
    training = [{name: record[name] for name in COUNTED} for record in manifest.training]
    return {"training": training, "calibration": manifest.calibration, "sha256": manifest.sha256}


def _published(models: Path) -> list[Path]:
    return [path for path in models.glob("2*") if not path.is_symlink()]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a run that nobody stops comes to, by its rows."""
    return {}


@pytest.mark.parametrize(
    "moment",
    [
        "checkpoints/checkpoint-3/trainer_state.json",
        "checkpoints/checkpoint-9/trainer_state.json",
        "model/onnx/scratch.onnx",
    ],
    ids=["training", "last epoch", "export"],
)
def test_a_killed_run_leaves_the_published_model_and_resumes_to_the_same_bits(
    few: Path, tmp_path: Path, small_model: Path, unbroken: dict[str, Any], moment: str
) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (models / small_model.name).symlink_to(small_model)
    model_dir.promote(models, small_model.name, "test")
    before = model_dir.load(models / "current").manifest_sha256
    one_core = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [*FIT, "--data", str(few), "--epochs", "3", "--models"]
    process = subprocess.Popen(
        [*command, str(models)], start_new_session=True, env=one_core,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    _kill_when(process, models / ".runs", f"*/{moment}")
    assert model_dir.load(models / "current").manifest_sha256 == before
    assert _published(models) == []
    # As a kill amid writing would leave it: the newest checkpoint, without its state.
    next((models / ".runs").glob("*/checkpoints")).joinpath("checkpoint-99999").mkdir()
    done = subprocess.run(
        [*command, str(models), "--resume"], capture_output=True, text=True, timeout=300, env=one_core
    )
    assert done.returncode == 0, done.stderr[-2000:]
    [resumed] = _published(models)
    assert model_dir.load(models / "current").manifest_sha256 == before
    if not unbroken:
        whole = tmp_path / "whole"
        subprocess.run([*command, str(whole)], check=True, capture_output=True, timeout=300, env=one_core)
        unbroken.update(_found(_published(whole)[0]))
    assert _found(resumed) == unbroken
    assert [record["epoch"] for record in unbroken["training"]] == [1.0, 2.0, 3.0]


class _Killed(BaseException):
    """Ends a run where it is raised, as a kill would."""


def _killed(*args: Any, **kwargs: Any) -> Any:
    raise _Killed


def silent(line: str) -> None: ...


def test_a_run_that_had_stopped_early_does_not_train_on_when_resumed(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = checked_recipe(read_recipe("small").model_dump() | {"epochs": 9, "patience": 1, "learning_rate": 1e-9}, "")
    models = tmp_path / "models"
    monkeypatch.setattr(fitting, "export", _killed)
    with pytest.raises(_Killed):
        fit(few, recipe, models, tell=silent)
    monkeypatch.undo()
    steps = max(int(path.name.rpartition("-")[2]) for path in (models / ".runs").glob("*/checkpoints/checkpoint-*"))
    assert steps < 27  # three an epoch: it stopped early
    found = model_dir.load(fit(few, recipe, models, resume=True, tell=silent)).manifest
    assert [record["step"] for record in found.training] == list(range(3, steps + 1, 3))


def test_a_run_killed_after_publishing_is_promoted_and_tidied_up_when_resumed(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, models = read_recipe("small", epochs=1), tmp_path / "models"
    monkeypatch.setattr(model_dir, "promote", _killed)
    with pytest.raises(_Killed):
        fit(few, recipe, models, tell=silent)
    monkeypatch.undo()
    [published] = _published(models)
    before = (published / "manifest.json").read_bytes()
    assert fit(few, recipe, models, resume=True, tell=silent) == published
    assert (published / "manifest.json").read_bytes() == before
    assert model_dir.current(models) == published.resolve()
    assert list((models / ".runs").iterdir()) == []


def test_a_run_of_other_labels_is_not_resumed(few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, models = read_recipe("small", epochs=1), tmp_path / "models"
    monkeypatch.setattr(fitting, "train", _killed)
    with pytest.raises(_Killed):
        fit(few, recipe, models, tell=silent)
    with pytest.raises(AsifError, match="same recipe, labels and rows, found 1 of others"):
        fit(few, recipe, models, labels=LabelSet(LABELS[::-1], {}), resume=True, tell=silent)


# Other labels, and as few rows as there may be


@pytest.fixture
def eight(tmp_path: Path, corpus_rows: list[Row]) -> Callable[[Sequence[str]], Path]:
    """Write a table of eight rows of each of these labels and of none, without groups and splits."""

    def write(labels: Sequence[str]) -> Path:
        path = tmp_path / "eight.csv"
        with path.open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["text", "label", "context"])
            for label, mark in zip([*labels, "none"], [*MARKS[: len(labels)], "none"], strict=True):
                rows = [row for row in corpus_rows if row.label == mark]
                skipped = 100 * (label == "none")
                table.writerows([row.text, label, row.context] for row in rows[skipped : skipped + 8])
        return path

    return write


@pytest.mark.parametrize("names", [("warm", "cold"), ("with", "beside", "Me too", "asks")], ids=len)
def test_eight_rows_of_each_of_other_labels_make_a_model_that_is_judged_and_serves(
    eight: Callable[[Sequence[str]], Path], tmp_path: Path, names: tuple[str, ...]
) -> None:
    labels = LabelSet(names, {name: f"What {name} means." for name in names[1:]})
    data = eight(names)
    model = fit(data, read_recipe("small", epochs=1), tmp_path / "models", labels=labels, tell=silent)
    manifest = model_dir.load(model).manifest
    assert manifest.label_set == labels
    corpus = read_corpus(data, manifest.label_set)
    assert sum(corpus.sizes().values()) == 8 * (len(names) + 1)
    report = evaluate(model, corpus.test, train_rows=corpus.train, resamples=20, full=True)
    report.save(model_dir.load(model))
    assert list(report.values["per_label"]) == [*names, "none"]
    assert "robustness" not in report.values
    assert "keyword rules" not in [baseline["name"] for baseline in report.values["baselines"]]
    card = (model / "README.md").read_text()
    assert f"- **{names[1]}**: What {names[1]} means." in card
    assert f"- **{names[0]}**: without a line" in card
    assert "machine-written" not in card
    console = Console(width=250, record=True, file=StringIO())
    console.print(report.table(), *report.tables())
    told = card + console.export_text() + json.dumps(report.values)
    assert "macro-F1 incl. none" in told
    assert not re.search(r"(three|four)[ -]way", told, re.IGNORECASE)
    with TestClient(create_app(Settings(), load_predictor(model))) as client:
        described = [{"label": name, "codebook": labels.codebook.get(name)} for name in names]
        assert client.get("/v1/model").json()["labels"] == described
        [result] = client.post("/v1/classify", json={"utterances": [{"text": "You feel lost."}]}).json()["results"]
        assert list(result["scores"]) == list(names)
        assert set(result["prediction_set"]) <= set(names)
