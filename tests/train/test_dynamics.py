"""Training dynamics: what every epoch makes of every training row."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from asif_data.errors import AsifError
from asif_data.rows import read_rows, write_rows
from asif_train.cli import app
from asif_train.dynamics import Dynamics, dynamics, read_dynamics
from asif_train.recipe import read_recipe


def test_every_epoch_is_kept_for_every_training_row_and_read_again(few: Path, tmp_path: Path) -> None:
    recipe = read_recipe("small", epochs=3, patience=1, learning_rate=1e-3)
    found = dynamics(few, recipe, tmp_path / "out")
    train = [row for row in read_rows([few]) if row.split == "train"]
    assert found.ids == tuple(row.id for row in train)
    assert found.labels == tuple(row.label for row in train)
    assert found.probability.shape == (48, 3)
    assert ((found.probability > 0) & (found.probability < 1)).all()
    assert found.probability[:, -1].mean() > found.probability[:, 0].mean()  # it learns
    again = read_dynamics(tmp_path / "out")
    assert (again.ids, again.labels) == (found.ids, found.labels)
    assert again.probability == pytest.approx(found.probability, abs=1e-4)
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert run["recipe"]["epochs"] == 3
    assert run["corpus_sha256"]


def test_confidence_and_variability_are_mean_and_deviation_over_the_epochs() -> None:
    found = Dynamics(("a", "b"), ("empathy", "none"), np.array([[0.2, 0.4, 0.6], [0.5, 0.5, 0.5]]))
    assert found.confidence.tolist() == pytest.approx([0.4, 0.5])
    assert found.variability.tolist() == pytest.approx([np.sqrt(0.08 / 3), 0.0])


def test_rows_without_ids_cannot_be_told_of(few: Path, tmp_path: Path) -> None:
    rows = read_rows([few])
    write_rows(tmp_path / "bare.jsonl", [row.model_copy(update={"id": None}) for row in rows])
    with pytest.raises(AsifError, match="rows with ids"):
        dynamics(tmp_path / "bare.jsonl", read_recipe("small"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [None, "", "id,label,epoch 1\n", "id,label,epoch 1\na,none,high\n"])
def test_what_is_no_table_of_dynamics_is_told(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "rows.csv").write_text(content)
    with pytest.raises(AsifError, match="asif-train dynamics"):
        read_dynamics(tmp_path)


def test_the_command_says_where_it_wrote(few: Path, tmp_path: Path) -> None:
    arguments = ["dynamics", "--data", str(few), "--recipe", "small", "--rows", "16", "--epochs", "1"]
    result = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "rows; the last epoch gives" in result.output
    assert len(read_dynamics(tmp_path / "out").ids) <= 16
