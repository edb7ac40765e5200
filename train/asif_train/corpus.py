"""The three splits for training and judging, read once and validated first."""

import hashlib
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets

from asif_data.checks import MIN_ROWS_PER_LABEL
from asif_data.errors import AsifError
from asif_data.labels import CODEBOOK, NONE, LabelSet
from asif_data.rows import SPLITS, Row, read_rows, row_files, row_groups
from asif_data.splits import assign_splits, leaks

DEFAULT = Path("data/corpus")


@dataclass(frozen=True)
class Corpus:
    """Rows by split, the labels in the order of the model's outputs, a hash of all that was read, and the codebook's lines."""

    train: list[Row]
    validation: list[Row]
    test: list[Row]
    labels: tuple[str, ...]
    sha256: str
    codebook: Mapping[str, str] = field(default_factory=dict)

    def sizes(self) -> dict[str, int]:
        """Rows in each split."""
        return {"train": len(self.train), "validation": len(self.validation), "test": len(self.test)}

    def split(self, name: str) -> list[Row]:
        """The rows of a split. Raises AsifError for an unknown one."""
        if name not in SPLITS:
            raise AsifError(f"split: expected one of {', '.join(SPLITS)}, found {name!r}.")
        return getattr(self, name)

    def sample(self, rows: int | None) -> list[Row]:
        """About `rows` training rows, all of them if None.

        Whole groups, in an order drawn once from their names, until the next would exceed `rows`: a smaller sample is
        part of a larger one. Rows come in the order of the corpus.
        """
        return whole_groups(self.train, rows)


def whole_groups(rows: Sequence[Row], most: int | None) -> list[Row]:
    """About `most` of the rows, in whole groups; see `Corpus.sample`."""
    if most is None or most >= len(rows):
        return list(rows)
    groups = row_groups(rows)
    sizes = Counter(groups)
    drawn: set[str] = set()
    for group in sorted(sizes, key=lambda name: hashlib.sha256(name.encode()).digest()):
        if drawn and sizes[group] > most:
            break
        drawn.add(group)
        most -= sizes[group]
    return [row for row, group in zip(rows, groups, strict=True) if group in drawn]


def read_corpus(path: str | Path = DEFAULT, labels: LabelSet = CODEBOOK) -> Corpus:
    """Validate the row files at `path`, labelled with `labels` or none, and return the splits.

    A folder is then read as `datasets.load_dataset` reads it; one file is split by group unless its rows carry a
    `split`. Raises BadRows that names every bad row, and AsifError for rows linked across splits.
    """
    files = row_files(path)
    rows = _rows(Path(path), files, labels)
    _has_every_mark(path, rows, labels)
    given = any(row.split for row in rows)
    for row, split in zip(rows, assign_splits(rows), strict=True):
        row.split = split
    if given and (leaking := leaks(rows)):
        first = " and ".join(repr(rows[i].id or rows[i].group) for i in leaking[0])
        raise AsifError(
            f"{path}: expected linked rows on one side of the split, found {len(leaking)} pairs on two, first {first}; "
            "`asif-data check` lists them, `asif-data split` splits anew."
        )
    parts = {name: [row for row in rows if row.split == name] for name in SPLITS}
    for name, part in parts.items():
        _covers_labels(path, name, part, labels)
    return Corpus(parts["train"], parts["validation"], parts["test"], labels.names, _digest(files), labels.codebook)


def _rows(path: Path, files: Sequence[Path], labels: LabelSet) -> list[Row]:
    rows = read_rows(files, marks=labels.marks)
    if path.is_dir():
        del rows  # only one copy at a time: there may be a million
        return _from_folder(path)
    return rows


def _from_folder(folder: Path) -> list[Row]:
    # A cache of its own: the shared one may answer with the rows that the folder held before they were edited.
    with tempfile.TemporaryDirectory() as cache:
        loaded: Any = datasets.load_dataset(str(folder), cache_dir=cache)
        return [Row.model_validate({**record, "split": split}) for split, part in loaded.items() for record in part]


def _has_every_mark(path: str | Path, rows: Sequence[Row], labels: LabelSet) -> None:
    missing = _missing(rows, labels)
    if NONE in missing:
        raise AsifError(
            f"{path}: expected rows labelled {NONE}, to which no label applies and which teach the model to withhold, "
            f"found no such row; add at least {MIN_ROWS_PER_LABEL}."
        )
    if missing:
        raise AsifError(
            f"{path}: expected rows of every label, found no row with {', '.join(missing)}; "
            f"add at least {MIN_ROWS_PER_LABEL} of each."
        )


def _covers_labels(path: str | Path, split: str, rows: Sequence[Row], labels: LabelSet) -> None:
    missing = _missing(rows, labels)
    if missing:
        raise AsifError(
            f"{path}: expected every label in the {split} split, found no row with {', '.join(missing)}; add some."
        )


def _missing(rows: Sequence[Row], labels: LabelSet) -> list[str]:
    found = {row.label for row in rows}
    return [mark for mark in labels.marks if mark not in found]


def _digest(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0")
        with file.open("rb") as content:
            while part := content.read(2**20):
                digest.update(part)
        digest.update(b"\0")
    return digest.hexdigest()
