"""The model card: limits first, then what was measured, in tables that Markdown can read."""

from dataclasses import replace
from pathlib import Path

import pytest

from asif_data import model_dir
from asif_data.rows import Row
from asif_train.card import card
from asif_train.evaluate import evaluate
from asif_train.report import Report


@pytest.fixture(scope="module")
def report(small_model: Path, corpus_rows: list[Row]) -> Report:
    return evaluate(small_model, [row for row in corpus_rows if row.split == "test"][:300], resamples=20)


@pytest.fixture(scope="module")
def text(small_model: Path, report: Report) -> str:
    return card(model_dir.load(small_model), report.values, report.quotes)


def test_it_tells_limits_before_figures(text: str) -> None:
    assert text.index("Limits first") < text.index("## Evaluation")
    assert "machine-written" in text
    assert "base_model: sentence-transformers/all-MiniLM-L6-v2" in text


def test_the_load_in_whole_sessions_is_among_the_limits(text: str, report: Report) -> None:
    wrong = report.values["in_practice"]["of_100_turns"]["wrong"]["value"]
    limits = text[text.index("Limits first") : text.index("## What it answers")]
    assert f"{wrong:.0f} of these a wrong one" in limits
    assert "263 counselor turns" in text


def test_its_command_makes_its_figures_again(small_model: Path, corpus_rows: list[Row], text: str) -> None:
    assert "Command: `asif-train evaluate` at commit" in text
    rows = [row for row in corpus_rows if row.split == "validation"][:60]
    other = evaluate(small_model, rows, split="validation", elsewhere={"mine": rows[:30]}, resamples=0)
    told = card(model_dir.load(small_model), other.values, {})
    assert "Command: `asif-train evaluate --split validation --on mine=ROWS` at commit" in told


def test_it_says_what_teachers_had_a_part_in_it(small_model: Path, report: Report, text: str) -> None:
    assert "soft labels" not in text
    model = model_dir.load(small_model)
    recipe = model.manifest.recipe | {"soft_labels": "larger", "soft_share": 0.7}
    taught = model.manifest.model_copy(update={"recipe": recipe, "soft_labels_sha256": "0123456789abcdef"})
    told = card(replace(model, manifest=taught), report.values, report.quotes)
    assert "70% of its target is the teacher's answer: soft labels larger (SHA-256 `0123456789ab`)." in told


def test_every_table_has_as_many_cells_in_each_line_as_its_head(text: str) -> None:
    tables = [[line for line in block.splitlines() if line.startswith("|")] for block in text.split("\n\n")]
    found = [table for table in tables if table]
    assert len(found) == 7  # headline, labels, sessions, calibration, slices, topics, errors
    for table in found:
        cells = [line.replace("\\|", "").count("|") for line in table]
        assert len(table) > 2
        assert len(set(cells)) == 1


def test_it_quotes_the_shipped_corpus(text: str, report: Report, corpus_rows: list[Row]) -> None:
    first = report.values["errors"][0]
    row = next(row for row in corpus_rows if row.id == first["id"])
    assert " ".join(row.text.split()) in text


def test_words_that_may_not_be_quoted_are_not_shown(small_model: Path, report: Report) -> None:
    text = card(model_dir.load(small_model), report.values, {})
    assert text.count("| not shown |") == len(report.values["errors"])
