"""Teaching: what models say of a corpus, and a fine-tuning that learns from it."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from asif_data import model_dir
from asif_data.errors import AsifError
from asif_data.labels import LABELS
from asif_data.rows import Row
from asif_serve.predictor import Predictor
from asif_train.cli import app
from asif_train.fit import fit
from asif_train.recipe import read_recipe
from asif_train.soft_labels import known, probabilities, read_soft_labels, recombined
from asif_train.teach import teach


def test_every_reading_has_the_mean_of_what_the_models_say(small_model: Path, corpus_rows: list[Row]) -> None:
    rows = corpus_rows[:12]
    soft = teach([small_model, small_model], rows, LABELS)
    asked = [*known(rows), *recombined(rows)]
    assert len(soft) == len(set(asked))
    model = model_dir.load(small_model)
    expected = probabilities(Predictor(model, form=model.manifest.forms[0]).logits(asked))
    found = np.array([soft.of(one) for one in asked])
    assert np.abs(found - expected).max() < 0.02  # bfloat16 where the processor has it


def test_models_of_other_labels_are_refused(small_model: Path, corpus_rows: list[Row]) -> None:
    with pytest.raises(AsifError, match="expected a model of yes, no, found one of empathy"):
        teach([small_model], corpus_rows[:2], ["yes", "no"])


def test_a_folder_without_a_model_is_named(tmp_path: Path, corpus_rows: list[Row]) -> None:
    with pytest.raises(AsifError, match="expected a folder of a fine-tuned model"):
        teach([tmp_path], corpus_rows[:2], LABELS)


def test_what_is_taught_changes_the_model_and_stands_in_its_manifest(
    few: Path, small_model: Path, tmp_path: Path
) -> None:
    file = tmp_path / "soft.txt"
    ran = CliRunner().invoke(app, ["teach", str(small_model), "--data", str(few), "--out", str(file)])
    assert ran.exit_code == 0, ran.output
    assert len(read_soft_labels(file)) > 0
    recipe = read_recipe("small", epochs=1, rows=64)
    models = [
        model_dir.load(fit(few, recipe.model_copy(update=own), tmp_path / name, tell=lambda line: None))
        for name, own in {"plain": {}, "taught": {"soft_labels": str(file), "soft_share": 1.0}}.items()
    ]
    plain, learned = (model.manifest for model in models)
    assert plain.soft_labels_sha256 is None
    assert learned.soft_labels_sha256 == model_dir.sha256(file)
    assert plain.sha256["model.safetensors"] != learned.sha256["model.safetensors"]


def test_soft_labels_that_cannot_be_read_stop_a_fine_tuning_before_it_begins(few: Path, tmp_path: Path) -> None:
    recipe = read_recipe("small").model_copy(update={"soft_labels": str(tmp_path / "none.txt")})
    with pytest.raises(AsifError, match=r"none\.txt: expected a file of soft labels"):
        fit(few, recipe, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_a_recipe_names_a_packaged_file() -> None:
    soft = read_soft_labels(read_recipe().soft_labels or "")
    assert soft.labels == (*LABELS, "none")
