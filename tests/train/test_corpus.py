"""What training reads."""

import shutil
from pathlib import Path

import pytest

from asif_data.errors import AsifError
from asif_data.rows import Row, write_rows
from asif_train.corpus import read_corpus

ROOT = Path(__file__).parents[2]


def test_the_corpus_is_read_as_datasets_loads_it(corpus_rows: list[Row]) -> None:
    corpus = read_corpus(ROOT / "data" / "corpus")
    assert sum(corpus.sizes().values()) == len(corpus_rows)
    assert {row.id for row in corpus.test} == {row.id for row in corpus_rows if row.split == "test"}


def test_a_single_file_is_split_by_group(tmp_path: Path, corpus_rows: list[Row]) -> None:
    file = tmp_path / "mine.jsonl"
    write_rows(file, [row.model_copy(update={"split": None}) for row in corpus_rows[:300]])
    corpus = read_corpus(file)
    groups = [{row.group for row in part} for part in (corpus.train, corpus.validation, corpus.test)]
    assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])
    assert sum(corpus.sizes().values()) == 300


def test_the_hash_follows_the_rows(tmp_path: Path, corpus_rows: list[Row]) -> None:
    file = tmp_path / "mine.jsonl"
    write_rows(file, corpus_rows[::5])
    before = read_corpus(file).sha256
    write_rows(file, [*corpus_rows[::5], corpus_rows[1]])
    assert read_corpus(file).sha256 != before


def test_edited_rows_are_read_anew(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    shutil.copytree(ROOT / "data" / "corpus", folder)
    before = read_corpus(folder).sizes()
    lines = (folder / "train.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "train.jsonl").write_text("".join(lines[1:]), encoding="utf-8")
    assert read_corpus(folder).sizes() == before | {"train": before["train"] - 1}


def test_nothing_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(AsifError, match="found nothing there"):
        read_corpus(tmp_path / "absent")
    with pytest.raises(AsifError, match="found none in the folder"):
        read_corpus(tmp_path)
