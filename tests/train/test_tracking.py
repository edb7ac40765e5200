"""Tracking: what is refused, and what TensorBoard is given."""

import os
from pathlib import Path

import pytest

from asif_data.errors import AsifError
from asif_data.rows import read_rows
from asif_train import tracking
from asif_train.fit import fit
from asif_train.recipe import read_recipe
from asif_train.tracking import check_tracker, curves_in


def test_an_unknown_tracker_is_named_with_those_that_are_known(few: Path, tmp_path: Path) -> None:
    with pytest.raises(AsifError, match=r"--report-to: expected one of .*tensorboard.*, found 'tensorbord'"):
        fit(few, read_recipe("small"), tmp_path / "models", report_to="tensorbord")
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("name", "install"), [("tensorboard", r"pip install 'asif\[tracking\]'"), ("wandb", "its package")]
)
def test_a_tracker_that_is_not_installed_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, name: str, install: str
) -> None:
    monkeypatch.setattr(tracking, "get_available_reporting_integrations", list)
    with pytest.raises(AsifError, match=f"expected {name} to be installed, found it missing; .*{install}"):
        check_tracker(name)


def test_none_is_fine() -> None:
    check_tracker(None)


def test_a_folder_that_the_user_named_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", "mine")
    with curves_in(tmp_path):
        assert os.environ["TENSORBOARD_LOGGING_DIR"] == "mine"
    assert os.environ["TENSORBOARD_LOGGING_DIR"] == "mine"


def test_tensorboard_gets_the_curves_and_no_word_of_the_rows(few: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    models = tmp_path / "models"
    version = fit(few, read_recipe("small", epochs=2), models, report_to="tensorboard", tell=lambda line: None).name
    folder = models / ".tracking" / version
    found = EventAccumulator(str(folder)).Reload()
    assert [event.step for event in found.Scalars("eval/macro_f1")] == [3, 6]
    assert {"train/loss", "train/learning_rate", "eval/loss"} <= set(found.Tags()["scalars"])
    told = b"".join(file.read_bytes() for file in folder.iterdir())
    assert not [row.text for row in read_rows([few]) if row.text.encode() in told]
    assert "TENSORBOARD_LOGGING_DIR" not in os.environ
