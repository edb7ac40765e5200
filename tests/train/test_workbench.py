"""What a notebook begins with."""

from pathlib import Path

import pytest

from asif_data.errors import AsifError
from asif_data.rows import Row
from asif_serve.decision import Decision
from asif_serve.explain import Explanation, Span
from asif_train import workbench
from asif_train.workbench import begin, explained

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (workbench.FAST, workbench.MODEL, workbench.REAL):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(ROOT / "tests")


def test_it_goes_to_the_root_and_takes_the_model_in_service() -> None:
    bench = begin()
    assert Path.cwd() == ROOT
    assert (bench.model, bench.real, bench.fast, bench.resamples) == (Path("models/current"), None, False, 1000)


def test_fast_is_few_rows_in_whole_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(workbench.FAST, "1")
    bench = begin()
    rows = bench.rows("test")
    assert 150 < len(rows) <= 240
    assert {row.split for row in rows} == {"test"}
    assert {row.label for row in rows} == {"empathy", "sympathy", "over-identification", "none"}
    assert len(bench.rows("test", 30)) <= 30
    every = [row for row in begin().rows("test", 10_000) if row.group in {row.group for row in rows}]
    assert len(every) == len(rows)
    assert bench.resamples == 50


def test_outside_of_the_repository_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AsifError, match="data/corpus"):
        begin()


def test_an_answer_is_shown_with_its_words_and_clauses_and_no_markup_of_theirs() -> None:
    row = Row(text="You <b>felt</b> alone, & small", context="<i>He left</i>", label="empathy")
    decision = Decision(("empathy", "sympathy"), (0.75, 0.25), 0.9, "out_of_scope", ("empathy",))
    clause = Decision(("empathy", "sympathy"), (0.1, 0.9), 0.9, None, ("sympathy",))
    start = row.text.index("alone")
    explanation = Explanation(
        [(Span(start, len(row.text)), clause)], [(Span(start, start + 5), 0.4), (Span(0, 3), 0.1)]
    )
    shown = explained(row, decision, explanation)
    assert "<b><u>You</u></b> &lt;b&gt;felt&lt;/b&gt; <b><u>alone</u></b>, &amp; small" in shown
    assert "Client: &lt;i&gt;He left&lt;/i&gt;" in shown
    assert "“alone, &amp; small” → sympathy" in shown
    assert (
        "labelled <b>empathy</b>, answered <b>withheld, out of scope</b> (empathy 0.75, sympathy 0.25; in scope 0.90)"
        in shown
    )
