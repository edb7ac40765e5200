"""What all tests share: one small model, made once, and rows to make others from."""

from pathlib import Path

import pytest

from asif_data.labels import MARKS
from asif_data.rows import SPLITS, Row, write_rows

ROOT = Path(__file__).parents[1]
CORPUS = ROOT / "data" / "corpus"


@pytest.fixture(scope="session")
def small_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with one small model, promoted. Made by the same `fit` that users call."""
    from asif_train.fit import fit
    from asif_train.recipe import read_recipe

    models = tmp_path_factory.mktemp("models")
    fit(CORPUS, read_recipe("small"), models, tell=lambda line: None)
    return models


@pytest.fixture(scope="session")
def small_model(small_models: Path) -> Path:
    """The small model's directory. Do not change it: copy it first."""
    return (small_models / "current").resolve()


@pytest.fixture(scope="session")
def corpus_rows() -> list[Row]:
    """All rows of the corpus."""
    from asif_data.rows import read_rows, row_files

    return read_rows(row_files(CORPUS))


@pytest.fixture
def few(tmp_path: Path, corpus_rows: list[Row]) -> Path:
    """A row file: twelve rows of each label in each split, in groups of two, without client turns."""
    kept = []
    for split in SPLITS:
        for label in MARKS:
            rows = [row for row in corpus_rows if (row.split, row.label) == (split, label)][:12]
            alone = {"context": None, "contrast_set": None}
            kept += [
                row.model_copy(update=alone | {"group": f"{split} {label} {i // 2}"}) for i, row in enumerate(rows)
            ]
    write_rows(tmp_path / "few.jsonl", kept)
    return tmp_path / "few.jsonl"
