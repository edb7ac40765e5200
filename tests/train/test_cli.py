"""The commands that put a model to the test: what they print, and what they say of a wrong flag."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.table import Table
from typer.testing import CliRunner

from asif_data.errors import AsifError
from asif_data.labels import CODEBOOK
from asif_train import cli
from asif_train.bench import DEFAULTS, OURS, Speed
from asif_train.verify import Verification

RUNNER = CliRunner()


def report(values: dict[str, Any]) -> SimpleNamespace:
    return SimpleNamespace(values=values, table=lambda: Table("told as a table"))


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model is loaded: a command asks for its report, which says what it was asked of."""
    monkeypatch.setattr(cli, "load_predictor", lambda path: path)
    monkeypatch.setattr(cli, "labels_of", lambda path: CODEBOOK)
    monkeypatch.setattr(cli, "put_suite", lambda predictor: report({"model": str(predictor)}))
    monkeypatch.setattr(cli, "delete_words", lambda predictor, rows: report({"rows": len(rows)}))
    monkeypatch.setattr(cli.benching, "bench", lambda data, recipe: [Speed(DEFAULTS, 60, 1, 0), Speed(OURS, 20, 1, 0)])


def test_robustness_prints_a_table_or_json(served: None) -> None:
    assert "told as a table" in RUNNER.invoke(cli.app, ["robustness", "some/model"]).output
    found = RUNNER.invoke(cli.app, ["robustness", "some/model", "--json"])
    assert json.loads(found.output) == {"model": "some/model"}


def test_faithfulness_takes_the_texts_of_a_split(served: None, few: Path) -> None:
    found = RUNNER.invoke(cli.app, ["faithfulness", "some/model", "--data", str(few), "--split", "test", "--json"])
    assert json.loads(found.output) == {"rows": 48}


def test_an_unknown_split_is_named(served: None, few: Path) -> None:
    found = RUNNER.invoke(cli.app, ["faithfulness", "some/model", "--data", str(few), "--split", "tests"])
    assert isinstance(found.exception, AsifError)
    assert "split: expected one of train, validation, test, found 'tests'" in str(found.exception)


def test_bench_prints_both_ways(served: None) -> None:
    assert "3.00" in RUNNER.invoke(cli.app, ["bench"]).output
    found = RUNNER.invoke(cli.app, ["bench", "--json"])
    assert [speed["name"] for speed in json.loads(found.output)] == [DEFAULTS, OURS]


def test_verify_exits_with_one_where_a_headline_differs(few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(figure: str) -> Verification:
        differing = [{"figure": figure, "report": 0.5, "now": 0.6}]
        return Verification({"figures": 9, "largest": 0.1, "differing": differing})

    monkeypatch.setattr(cli, "labels_of", lambda path: CODEBOOK)
    for figure, status in (("headline.accuracy.value", 1), ("confusion.0.0", 0)):
        monkeypatch.setattr(cli, "evaluate_again", lambda model, corpus, baselines, figure=figure: found(figure))
        told = RUNNER.invoke(cli.app, ["verify", "some/model", "--data", str(few)])
        assert told.exit_code == status
        assert figure in told.output
        told = RUNNER.invoke(cli.app, ["verify", "some/model", "--data", str(few), "--json"])
        assert (json.loads(told.output)["figures"], told.exit_code) == (9, status)
