"""Memory: what a row adds to import, check and the tokens to train on, so that a million of them fit."""

import json
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.made_up import peak_of, write_made_up
from typer.testing import CliRunner

from asif_data.cli import app

# Of which the words of both turns are about 210. As Python's own objects a row takes some 2,000 bytes.
MOST_PER_ROW = 1200
MILLION = 1_000_000


def traced(work: Callable[[], object]) -> int:
    """The most memory that Python held beyond what was there before, in bytes."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def run(*arguments: object) -> None:
    done = CliRunner().invoke(app, [*map(str, arguments)])
    assert done.exit_code in (0, 1), done.output  # 1: a check has something to say


def tokenize(rows: Path) -> None:
    """What `asif-train fit` does with rows before the first step."""
    from asif_train.base_model import PACKAGED, locate
    from asif_train.corpus import read_corpus
    from asif_train.dataset import PairDataset
    from asif_train.finetune import save_tokenizer

    corpus = read_corpus(rows)
    with tempfile.TemporaryDirectory() as folder:
        encoder = save_tokenizer(locate(PACKAGED), Path(folder), 256)
        PairDataset(corpus.train, corpus.labels, encoder, context_dropout=0.3)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    folder = tmp_path_factory.mktemp("made up")
    return {count: write_made_up(folder / f"{count}.csv", count) for count in (500, 1500)}


@pytest.mark.parametrize("step", ["import", "check", "tokenize"])
def test_a_row_adds_little(files: dict[int, Path], tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "asif_data.checks._PLENTY", 1
    )  # the learners' share is bounded: that it stays out of the figure

    def work(count: int) -> int:
        if step == "import":
            return traced(lambda: run("import", files[count], "--out", tmp_path / f"{count}.jsonl"))
        if step == "check":
            return traced(lambda: run("check", files[count], "--json"))
        return traced(lambda: tokenize(files[count]))

    work(500)  # what is imported and made once does not count
    assert 0 < (added := (work(1500) - work(500)) / 1000) < MOST_PER_ROW, added


@pytest.mark.million
@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_million_rows_are_imported_checked_and_tokenized(tmp_path: Path, ending: str) -> None:
    source, rows = write_made_up(tmp_path / f"source.{ending}", MILLION), tmp_path / "rows.jsonl"
    mib = {
        "import": peak_of("asif_data.cli", "import", source, "--out", rows),
        "import again": peak_of("asif_data.cli", "import", source, "--out", rows),
        "check": peak_of("asif_data.cli", "check", rows, "--json"),
        "tokenize": peak_of("tests.test_memory", rows),
    }
    print(json.dumps(mib))  # noqa: T201
    assert max(mib.values()) < 2000, mib


if __name__ == "__main__":
    tokenize(Path(sys.argv[1]))
