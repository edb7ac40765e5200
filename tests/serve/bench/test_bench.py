"""The harness itself, on a small model, for a fraction of a second."""

import re
import sys
from dataclasses import replace

import pytest
from serve.bench import __main__ as bench
from serve.bench import engine, measure, report
from serve.bench.measure import Plan
from serve.bench.servers import ASIF, NAIVE
from typer.testing import CliRunner

from asif_data.errors import AsifError

CALLERS = (1, 2)


@pytest.fixture
def plan(small_model, few):
    rows = bench.sample(few, 6)
    return Plan(small_model, rows, engine.float32_labels(small_model, rows), CALLERS, 0.3)


def test_servers_are_measured_beside_each_other(plan, tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "_BATCH", 8)
    broken = replace(NAIVE, command=lambda place: [sys.executable, "-c", "raise SystemExit('no such thing')"])
    pages = []
    results = bench.run(
        plan,
        [ASIF, broken],
        1,
        tmp_path,
        lambda found, missing: pages.append(report.markdown(found, CALLERS, [], missing)),
    )

    assert len(pages) == 3 and "2 of 3 measurements are missing" in pages[0] and "missing" not in pages[-1]
    [ours] = results[ASIF.name].rounds
    assert not results[ASIF.name].failed
    assert 0 < ours.start < 60 and ours.memory > 50 and ours.other == 0
    assert ours.beside and min(ours.beside) > 0
    for callers in CALLERS:
        load = ours.loads[callers]
        assert load.answered == len(load.seconds) >= callers and not load.unanswered
        assert 0.3 <= load.elapsed < 30 and sum(load.seconds) <= callers * load.elapsed
        assert load.rate == pytest.approx(load.answered / load.elapsed)
    [alone] = results[engine.NAME].rounds
    assert not results[engine.NAME].failed and alone.other == 0 and alone.loads[1].seconds
    assert results[broken.name].failed == "ended with status 1 before it answered; its last line: no such thing"
    for line in (ASIF.name, engine.NAME, broken.name):
        assert len(re.findall(rf"^\| {re.escape(line)} \|", pages[-1], re.MULTILINE)) >= len(CALLERS) + 1


def test_an_answer_that_is_none_is_told_and_what_came_before_is_kept(plan, tmp_path):
    def best(body):
        raise KeyError("scores")

    results = bench.run(plan, [replace(ASIF, best=best)], 2, tmp_path, lambda *_: None)
    found = results[ASIF.name]
    assert found.failed and found.failed.startswith("stopped answering as expected (KeyError)")
    assert len(found.rounds) == 1 and found.rounds[0].start and not found.rounds[0].loads


def test_a_server_that_fails_after_its_loads_is_measured_again(plan, tmp_path, monkeypatch):
    async def refused(*_):
        raise AsifError("refused")

    monkeypatch.setattr(measure, "_beside_batches", refused)
    found = bench.run(plan, [ASIF], 2, tmp_path, lambda *_: None)[ASIF.name]
    assert found.failed == "refused"
    assert [sorted(one.loads) for one in found.rounds] == [[1, 2], [1, 2]]


def test_the_sample_is_always_the_same_and_of_the_test_split(few, corpus_rows):
    rows = bench.sample(few, 10)
    assert rows == bench.sample(few, 10) and len(set(rows)) == 10
    assert {row.text for row in rows} <= {row.text for row in corpus_rows if row.split == "test"}
    assert len(bench.sample(few, 10_000)) == 48


def test_rows_without_a_test_split_are_one_sentence(tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "You feel lost.", "label": "empathy", "split": "train"}\n')
    with pytest.raises(AsifError, match="expected rows of the test split, found none"):
        bench.sample(rows, 5)


def test_a_server_that_is_none_of_them_is_one_sentence(small_model, few):
    command = ["--model", str(small_model), "--data", str(few), "--only", "nginx"]
    said = CliRunner().invoke(bench.app, command).exception
    assert isinstance(said, AsifError) and "expected a part of asif, 1 worker" in str(said) and "nginx" in str(said)


def test_help_says_how_long_it_takes():
    assert "about 10 minutes" in CliRunner().invoke(bench.app, ["--help"]).output
