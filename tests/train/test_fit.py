"""Fitting: the whole way from rows to a published, promoted model, and what happens when it goes wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from asif_data import model_dir
from asif_data.errors import AsifError
from asif_data.rows import BadRows, Row, write_rows
from asif_train.fit import fit
from asif_train.recipe import read_recipe

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


@pytest.mark.parametrize(
    "moment", ["checkpoints/checkpoint-*/trainer_state.json", "model/onnx/raw.onnx"], ids=["training", "export"]
)
def test_a_killed_run_leaves_the_published_model_and_resumes(
    few: Path, tmp_path: Path, small_model: Path, moment: str
) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (models / small_model.name).symlink_to(small_model)
    model_dir.promote(models, small_model.name, "test")
    before = model_dir.load(models / "current").manifest_sha256
    command = [*FIT, "--data", str(few), "--models", str(models), "--epochs", "3"]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _kill_when(process, models / ".runs", f"*/{moment}")
    assert model_dir.load(models / "current").manifest_sha256 == before
    assert [p.name for p in models.glob("2*")] == [small_model.name]
    # As a kill amid writing would leave it: the newest checkpoint, without its state.
    next((models / ".runs").glob("*/checkpoints")).joinpath("checkpoint-99999").mkdir()
    done = subprocess.run([*command, "--resume"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    published = [p for p in models.glob("2*") if p.name != small_model.name]
    assert len(published) == 1
    assert [record["epoch"] for record in model_dir.load(published[0]).manifest.training] == [1.0, 2.0, 3.0]
    assert model_dir.load(models / "current").manifest_sha256 == before
