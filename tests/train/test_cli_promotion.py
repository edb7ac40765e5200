"""The commands of what is in service: what they print, and how they end."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from asif_data import model_dir
from asif_data.labels import CODEBOOK
from asif_train import cli, cli_promotion, promotion
from asif_train.compare import TURNS, Comparison
from asif_train.metrics import Estimate
from asif_train.promotion import Gate

RUNNER = CliRunner()
DIFFERENCE = {"value": -0.02, "low": -0.03, "high": -0.01, "rows": 48}
COMPARISON = Comparison(
    {
        "new": {"model": {"version": "v2"}},
        "old": {"model": {"version": "v1"}},
        "rows": 48,
        "split": "test",
        "rows_sha256": "0" * 64,
        "notes": ["The two models are of different corpora."],
        "headline": {"macro-F1 incl. none": {"old": 0.9, "new": 0.88, "difference": DIFFERENCE}},
        "mcnemar": {"only_new_right": 1, "only_old_right": 5, "p_value": 0.21875},
        "changed": {"rows": 0, "turns": dict.fromkeys(TURNS, 0), "answers": [], "listed": []},
        "slices": [],
    }
)


@pytest.fixture
def models(tmp_path: Path, fill: Callable[..., Path]) -> Path:
    """A models folder with versions v1 and v2, v1 in service."""
    for version in ("v1", "v2"):
        fill(tmp_path / "models" / version, version)
    model_dir.promote(tmp_path / "models", "v1", "first model")
    return tmp_path / "models"


def test_compare_prints_tables_the_gate_and_notes_or_json(few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def compare(new: Path, old: Path, rows: list[Any], **rest: Any) -> Comparison:
        asked.update(rest, new=new, old=old, rows=len(rows))
        return COMPARISON

    monkeypatch.setattr(cli_promotion, "compare_models", compare)
    monkeypatch.setattr(cli_promotion, "labels_of", lambda path: CODEBOOK)
    command = ["compare", "models/v2", "--current", "models/v1", "--data", str(few)]
    told = RUNNER.invoke(cli.app, command).output
    assert "v2 beside v1 on 48 test rows" in told
    assert "-0.020 [-0.030, -0.010]" in told
    assert "The gate does not hold" in told
    assert "different corpora" in told
    assert (asked["new"], asked["old"], asked["rows"]) == (Path("models/v2"), Path("models/v1"), 48)
    assert (asked["split"], asked["texts"]) == ("test", False)
    values = json.loads(RUNNER.invoke(cli.app, [*command, "--json", "--texts"]).output)
    assert values["mcnemar"]["p_value"] == 0.21875
    assert "-0.0300" in values["gate"]["failures"][0]
    assert asked["texts"]


def test_promote_says_what_the_gate_found(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def promote(models: Path, version: str, *given: Any, **rest: Any) -> Gate:
        model_dir.promote(models, version, "the gate holds")
        return Gate(Estimate(0.001, -0.002, 0.004, 48), None, [], {"notes": ["Different corpora."]})

    monkeypatch.setattr(promotion, "promote", promote)
    told = RUNNER.invoke(cli.app, ["promote", "v2", "--models", str(models)])
    assert told.exit_code == 0
    assert "+0.0010 [-0.0020, +0.0040]" in told.output
    assert "Different corpora." in told.output
    assert "current is now v2" in " ".join(told.output.split())


def test_a_version_in_service_is_not_promoted_again(models: Path) -> None:
    before = (models / model_dir.PROMOTIONS).read_text()
    told = RUNNER.invoke(cli.app, ["promote", "v1", "--models", str(models), "--data", "nowhere"])
    assert (told.exit_code, "v1 already" in " ".join(told.output.split())) == (0, True)
    assert (models / model_dir.PROMOTIONS).read_text() == before


def test_rollback_history_and_current_tell_of_the_log(models: Path) -> None:
    model_dir.promote(models, "v2", "by hand")
    told = RUNNER.invoke(cli.app, ["rollback", "--models", str(models), "--reason", "slow"])
    assert "current is now v1" in " ".join(told.output.split())
    assert "rolled back" in RUNNER.invoke(cli.app, ["history", "--models", str(models)]).output
    entries = json.loads(RUNNER.invoke(cli.app, ["history", "--models", str(models), "--json"]).output)
    assert [(entry["version"], entry["rollback"], entry["reason"]) for entry in entries] == [
        ("v1", False, "first model"),
        ("v2", False, "by hand"),
        ("v1", True, "slow"),
    ]
    current = json.loads(RUNNER.invoke(cli.app, ["current", "--models", str(models)]).output)
    assert current == {"version": "v1", "path": str((models / "v1").resolve())}


def test_a_refusal_is_one_sentence_and_exit_status_one(
    models: Path, few: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(promotion, "compare", lambda new, old, rows, **rest: COMPARISON)
    for command, sentence in (
        (["promote", "v2", "--data", str(few)], "v2 stays out of service: macro-F1 incl. none changed by -0.0200"),
        (["promote", "v3", "--data", str(few), "--force", "--reason", "x"], "v3: expected a model directory"),
        (["rollback"], "expected a version before v1, found none"),
    ):
        monkeypatch.setattr(sys, "argv", ["asif-train", *command, "--models", str(models)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 1
        assert sentence in capsys.readouterr().err
    assert model_dir.current(models) == (models / "v1").resolve()
