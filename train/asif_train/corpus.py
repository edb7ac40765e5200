"""The three splits for training and judging, read once and validated first."""

import hashlib
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets

from asif_data.errors import AsifError
from asif_data.labels import LABELS, NONE
from asif_data.rows import SPLITS, Row, read_rows, row_files, row_groups
from asif_data.splits import assign_splits, leaks

DEFAULT = Path("data/corpus")


@dataclass(frozen=True)
class Corpus:
    """Rows by split, the labels in the order of the model's outputs, and a hash of all that was read."""

    train: list[Row]
    validation: list[Row]
    test: list[Row]
    labels: tuple[str, ...]
    sha256: str

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
        if rows is None or rows >= len(self.train):
            return self.train
        groups = row_groups(self.train)
        sizes = Counter(groups)
        drawn: set[str] = set()
        for group in sorted(sizes, key=lambda name: hashlib.sha256(name.encode()).digest()):
            if drawn and sizes[group] > rows:
                break
            drawn.add(group)
            rows -= sizes[group]
        return [row for row, group in zip(self.train, groups, strict=True) if group in drawn]


def read_corpus(path: str | Path = DEFAULT) -> Corpus:
    """Validate the row files at `path` and return the splits.

    A folder is then read as `datasets.load_dataset` reads it; one file is split by group unless its rows carry a
    `split`. Raises BadRows that names every bad row, and AsifError for rows linked across splits.
    """
    files = row_files(path)
    rows = read_rows(files)
    rows = _from_folder(Path(path)) if Path(path).is_dir() else rows
    splits = assign_splits(rows)
    rows = [row.model_copy(update={"split": split}) for row, split in zip(rows, splits, strict=True)]
    if leaking := leaks(rows):
        first = " and ".join(repr(rows[i].id or rows[i].group) for i in leaking[0])
        raise AsifError(
            f"{path}: expected linked rows on one side of the split, found {len(leaking)} pairs on two, first {first}; "
            "`asif-data check` lists them, `asif-data split` splits anew."
        )
    parts = {name: [row for row in rows if row.split == name] for name in SPLITS}
    for name, part in parts.items():
        _covers_labels(path, name, part)
    return Corpus(parts["train"], parts["validation"], parts["test"], LABELS, _digest(files))


def _from_folder(folder: Path) -> list[Row]:
    # A cache of its own: the shared one may answer with the rows that the folder held before they were edited.
    with tempfile.TemporaryDirectory() as cache:
        loaded: Any = datasets.load_dataset(str(folder), cache_dir=cache)
        return [Row.model_validate({**record, "split": split}) for split, part in loaded.items() for record in part]


def _covers_labels(path: str | Path, split: str, rows: Sequence[Row]) -> None:
    missing = [label for label in (*LABELS, NONE) if label not in {row.label for row in rows}]
    if missing:
        raise AsifError(
            f"{path}: expected every label in the {split} split, found no row with {', '.join(missing)}; add some."
        )


def _digest(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()
