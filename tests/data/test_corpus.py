"""The corpus: it loads, passes its own checks, and holds nothing that models are judged on elsewhere."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from asif_data.duplicates import jaccard, near_duplicates, shingles
from asif_data.rows import SPLITS, Row

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "data" / "corpus"
GAUGE = ROOT.parent / "shared" / "real" / "dev.jsonl"
# The examples that the codebook defines its labels by.
ANCHORS = (
    "It sounds like, in that moment, you felt utterly abandoned, lost and afraid.",
    "Oh, that's awful. You poor thing, how hard that must be.",
    "Yes, that happened to me too. It's the worst, isn't it?",
)


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_datasets_loads_the_rows_of_the_files(tmp_path: Path) -> None:
    import datasets

    loaded = datasets.load_dataset(str(CORPUS), cache_dir=str(tmp_path))
    assert set(loaded) == set(SPLITS)
    for split in SPLITS:
        rows = records(CORPUS / f"{split}.jsonl")
        assert loaded[split].column_names == list(rows[0])
        assert loaded[split].to_list() == rows
    assert loaded["train"].features == loaded["validation"].features == loaded["test"].features


def test_the_corpus_passes_its_checks() -> None:
    command = [sys.executable, "-m", "asif_data.cli", "check", str(CORPUS), "--json"]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}  # several slow each other down on a busy machine
    ended = subprocess.run(command, capture_output=True, text=True, env=one_thread)
    found = json.loads(ended.stdout)
    assert [check for check in found["checks"] if not check["passed"]] == []
    assert found["rows"] == sum(len(records(CORPUS / f"{split}.jsonl")) for split in SPLITS)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("split", SPLITS)
def test_a_file_holds_the_split_it_is_named_for(split: str) -> None:
    assert {row["split"] for row in records(CORPUS / f"{split}.jsonl")} == {split}


def test_every_row_has_an_id_a_group_and_a_vote_for_its_label(corpus_rows: list[Row]) -> None:
    for row in corpus_rows:
        assert row.id
        assert row.group
        assert row.label in {vote.label for vote in row.votes or []}


def test_contested_says_that_the_votes_differ(corpus_rows: list[Row]) -> None:
    for row in corpus_rows:
        assert getattr(row, "contested", None) == (len({vote.label for vote in row.votes or []}) > 1)


@pytest.mark.parametrize("anchor", ANCHORS)
def test_no_anchor_of_the_codebook_nor_one_like_it_is_a_row(corpus_rows: list[Row], anchor: str) -> None:
    assert [row.id for row in corpus_rows if jaccard(shingles(row.text), shingles(anchor)) >= 0.6] == []


@pytest.mark.skipif(not GAUGE.exists(), reason="the gauge of real replies is not here")
def test_no_row_of_the_gauge_nor_one_like_it_is_in_the_corpus(corpus_rows: list[Row]) -> None:
    gauge = [row for row in records(GAUGE) if len(row["text"].split()) >= 5]
    assert gauge
    texts = [row.text for row in corpus_rows] + [row["text"] for row in gauge]
    first = len(corpus_rows)
    pairs = [(i, j - first) for i, j in near_duplicates(texts) if i < first <= j]
    assert [(corpus_rows[i].id, gauge[j]["id"]) for i, j in pairs] == []


def test_the_corpus_is_as_large_and_as_varied_as_the_datasheet_says(corpus_rows: list[Row]) -> None:
    def counts(column: str) -> Counter[str]:
        return Counter(str(getattr(row, column)) for row in corpus_rows)

    assert len(corpus_rows) >= 4_500
    assert all(0.22 <= count / len(corpus_rows) <= 0.28 for count in counts("label").values())
    assert min(counts("border").values()) >= 60
    assert len(counts("topic")) >= 50
    assert len(counts("contrast_set")) - 1 >= 400
    assert sum(bool(row.context) for row in corpus_rows) >= 0.65 * len(corpus_rows)


def test_labels_are_the_majority_of_three_votes(corpus_rows: list[Row]) -> None:
    for row in corpus_rows:
        votes = [vote.label for vote in row.votes or []]
        assert [vote.annotator for vote in row.votes or []] == ["writer", "blind-1", "blind-2"]
        assert votes.count(str(row.label)) >= 2
        assert row.contested == (len(set(votes)) > 1)


def test_blind_votes_agree_where_models_are_judged(corpus_rows: list[Row]) -> None:
    for row in corpus_rows:
        if row.split != "train":
            assert row.votes is not None
            assert row.votes[1].label == row.votes[2].label
