"""What all tests share: one small model, made once, rows to make others from, and directories that verify."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from asif_data.encoding import ENCODING_VERSION
from asif_data.labels import LABELS, MARKS
from asif_data.model_dir import (
    CONFIG,
    ONNX_FP32,
    ONNX_INT8,
    TOKENIZER,
    WEIGHTS,
    Calibration,
    Form,
    Manifest,
    ScopeCalibration,
    hash_files,
    write_manifest,
)
from asif_data.rows import SPLITS, Row, write_rows

ROOT = Path(__file__).parents[1]
CORPUS = ROOT / "data" / "corpus"


@pytest.fixture(scope="session")
def fill() -> Callable[..., Path]:
    """Fills a folder with a model directory that verifies, of a few small files that no runtime could load."""
    return _fill


def _fill(folder: Path, version: str = "v1") -> Path:
    for name in (CONFIG, WEIGHTS, TOKENIZER, ONNX_FP32):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{name} of {version}")
    calibration = Calibration(
        temperature=1.2,
        scope=ScopeCalibration(slope=1.0, intercept=-0.5),
        scope_threshold=0.5,
        confidence_threshold=0.6,
        set_coverage=0.95,
        set_threshold=0.1,
    )
    numbers = {"rows": 10, "macro_f1_loss": 0.0, "decisions_changed": 0.0, "rows_per_second": 100.0}
    manifest = Manifest(
        name="tiny",
        version=version,
        created=datetime(2025, 1, 31, 12, tzinfo=UTC),
        labels=list(LABELS),
        encoding_version=ENCODING_VERSION,
        max_tokens=64,
        calibration=calibration,
        forms=[Form.model_validate({"file": ONNX_FP32, "precision": "fp32"} | numbers)],
        refused_forms=[Form.model_validate({"file": ONNX_INT8, "precision": "int8"} | numbers)],
        base_model="base",
        base_model_sha256="00",
        recipe={"seed": 0},
        corpus_sha256="00",
        corpus_rows={"train": 8, "validation": 1, "test": 1},
        training=[{"epoch": 1, "loss": 0.5}],
        libraries={"python": "3.11"},
        git_commit=None,
        sha256=hash_files(folder),
    )
    write_manifest(folder, manifest)
    return folder


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
