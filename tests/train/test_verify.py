"""Verification: a report is what its evaluation finds again, or the figures that differ are named."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from asif_data import model_dir
from asif_data.errors import AsifError
from asif_data.rows import read_rows, write_rows
from asif_train.corpus import Corpus, read_corpus
from asif_train.evaluate import evaluate
from asif_train.verify import Verification, compared, figures, verify


@pytest.fixture(scope="module")
def published(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the small model; its tests put a report beside it."""
    model = tmp_path_factory.mktemp("verified") / small_model.name
    shutil.copytree(small_model, model)
    return model


@pytest.fixture
def corpus(few: Path) -> Corpus:
    return read_corpus(few)


@pytest.fixture
def evaluated(published: Path, corpus: Corpus) -> Path:
    evaluate(published, corpus.test, resamples=20).save(model_dir.load(published))
    return published


def change(model: Path, edit: Any) -> None:
    report = json.loads((model / model_dir.REPORT).read_text())
    edit(report)
    (model / model_dir.REPORT).write_text(json.dumps(report))


def test_an_evaluation_finds_the_same_again_and_writes_nothing(evaluated: Path, corpus: Corpus) -> None:
    before = (evaluated / model_dir.REPORT).read_bytes(), (evaluated / model_dir.CARD).read_bytes()
    found = verify(evaluated, corpus)
    assert found.passed
    assert found.values["differing"] == []
    assert found.values["largest"] == 0
    assert found.values["figures"] > 100
    assert ((evaluated / model_dir.REPORT).read_bytes(), (evaluated / model_dir.CARD).read_bytes()) == before


def test_a_headline_that_differs_is_named_and_fails(evaluated: Path, corpus: Corpus) -> None:
    def better(report: dict[str, Any]) -> None:
        report["headline"]["accuracy"]["value"] += 0.001

    change(evaluated, better)
    found = verify(evaluated, corpus)
    assert not found.passed
    [differing] = found.values["differing"]
    assert differing["figure"] == "headline.accuracy.value"
    assert differing["report"] - differing["now"] == pytest.approx(0.001)
    assert found.values["largest"] == pytest.approx(0.001)
    assert found.table().title == f"1 of {found.values['figures']} figures differ"


def test_another_figure_that_differs_is_told_and_passes(evaluated: Path, corpus: Corpus) -> None:
    change(evaluated, lambda report: report["confusion"][0].__setitem__(0, 99))
    found = verify(evaluated, corpus)
    assert [differing["figure"] for differing in found.values["differing"]] == ["confusion.0.0"]
    assert found.passed


def test_other_rows_are_refused_in_one_sentence(evaluated: Path, few: Path) -> None:
    rows = read_rows([few])
    last = rows[-1].model_copy(update={"label": "empathy" if rows[-1].label != "empathy" else "none"})
    write_rows(few, [*rows[:-1], last])
    with pytest.raises(
        AsifError, match=r"expected the 48 test rows that it judged .*, found 48 rows with another hash"
    ):
        verify(evaluated, read_corpus(few))


def test_a_model_without_a_report_says_what_to_do(evaluated: Path, corpus: Corpus) -> None:
    (evaluated / model_dir.REPORT).unlink()
    with pytest.raises(AsifError, match=r"found none; run `asif-train evaluate`"):
        verify(evaluated, corpus)


def test_a_report_of_another_manifest_is_none(evaluated: Path, corpus: Corpus) -> None:
    change(evaluated, lambda report: report.update(manifest_sha256="0" * 64))
    with pytest.raises(AsifError, match="found none"):
        verify(evaluated, corpus)


def test_an_older_report_is_refused(evaluated: Path, corpus: Corpus) -> None:
    change(evaluated, lambda report: report.update(schema_version=2))
    with pytest.raises(AsifError, match="found schema_version 2"):
        verify(evaluated, corpus)


def test_a_broken_model_is_refused(evaluated: Path, corpus: Corpus, tmp_path: Path) -> None:
    broken = tmp_path / evaluated.name
    shutil.copytree(evaluated, broken)
    (broken / model_dir.CONFIG).write_text("{}")
    with pytest.raises(AsifError, match=r"config\.json: expected SHA-256"):
        verify(broken, corpus)


def test_every_figure_has_a_place() -> None:
    report = {"headline": {"accuracy": {"value": 0.5, "low": None}}, "confusion": [[1, 2]], "errors": [{"id": "a"}]}
    assert dict(figures(report)) == {
        "headline.accuracy.value": 0.5,
        "headline.accuracy.low": None,
        "confusion.0.0": 1,
        "confusion.0.1": 2,
        "errors.0.id": "a",
    }


def test_numbers_differ_by_more_than_the_tolerance_and_words_at_all() -> None:
    report = {"a": 0.5, "b": 0.5, "headline.c": 1, "d": "x", "e": None, "only_here": None}
    found = compared(report, {"a": 0.5 + 1e-9, "b": 0.51, "headline.c": 2, "d": "y", "e": 0.1, "only_now": 1})
    assert [differing["figure"] for differing in found["differing"]] == [
        "b",
        "headline.c",
        "d",
        "e",
        "only_here",
        "only_now",
    ]
    assert (found["figures"], found["largest"]) == (7, 1)
    assert not Verification(found).passed
    assert Verification(compared(report, report)).passed
    assert Verification(compared({}, {})).values["largest"] == 0
