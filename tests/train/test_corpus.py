"""What training reads."""

import shutil
from pathlib import Path

import pytest

from asif_data.errors import AsifError
from asif_data.labels import LABELS, LabelSet
from asif_data.rows import Row, read_rows, write_rows
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


def test_other_labels_keep_the_order_of_their_file(few: Path) -> None:
    names = {"sympathy": "pity", "empathy": "with", "over-identification": "me too", "none": "none"}
    rows = [row.model_copy(update={"label": names[str(row.label)], "votes": None}) for row in read_rows([few])]
    write_rows(few, rows)
    corpus = read_corpus(few, LabelSet(("pity", "me too", "with"), {"pity": "Beside the client."}))
    assert corpus.labels == ("pity", "me too", "with")
    assert corpus.codebook == {"pity": "Beside the client."}
    with pytest.raises(AsifError, match=r"expected one of empathy, .* found 'pity'"):
        read_corpus(few)


def test_rows_without_none_cannot_teach_to_withhold(few: Path) -> None:
    write_rows(few, [row for row in read_rows([few]) if row.label != "none"])
    with pytest.raises(
        AsifError, match=r"expected rows labelled none, .* found no such row; add at least 8\."
    ) as caught:
        read_corpus(few)
    assert "\n" not in str(caught.value)


def test_a_label_without_rows_is_named(few: Path) -> None:
    with pytest.raises(
        AsifError, match=r"expected rows of every label, found no row with pity; add at least 8 of each"
    ):
        read_corpus(few, LabelSet((*LABELS, "pity"), {}))


@pytest.mark.parametrize("missing", ["train", "validation", "test"])
def test_a_label_that_a_split_lacks_is_named(few: Path, missing: str) -> None:
    write_rows(few, [row for row in read_rows([few]) if (row.split, row.label) != (missing, "empathy")])
    with pytest.raises(AsifError, match=f"expected every label in the {missing} split, found no row with empathy"):
        read_corpus(few)


def test_two_rows_of_a_label_are_too_few_to_split(few: Path) -> None:
    rows = [row.model_copy(update={"split": None, "group": None}) for row in read_rows([few])]
    rare = [row for row in rows if row.label == "sympathy"][:2]
    write_rows(few, [row for row in rows if row.label != "sympathy"] + rare)
    with pytest.raises(
        AsifError, match=r"expected every label in the train split, found no row with sympathy; add some\."
    ):
        read_corpus(few)
