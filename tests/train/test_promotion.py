"""Promotion: what the gate lets through, by hand; what force overrides; and the way back through the log."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from asif_data import model_dir
from asif_data.errors import AsifError
from asif_data.labels import LABELS
from asif_data.model_dir import Promotion
from asif_data.rows import Row
from asif_train import promotion
from asif_train.compare import Comparison, compare_judged
from asif_train.judged import Judged
from asif_train.promotion import gate, history, promote, rollback, standing

RUN: dict[str, Any] = {"split": "test", "rows_sha256": "0" * 64, "notes": []}


def compared(low: float, slices: dict[str, tuple[int, float]] | None = None, value: float = 0.0) -> Comparison:
    """A comparison: the lower end of the difference in macro-F1 incl. none, and each topic's rows and difference."""
    difference = {"value": value, "low": low, "high": 0.02, "rows": 100}
    parts = [
        {"column": "topic", "value": name, "rows": rows, "difference": {"value": change}}
        for name, (rows, change) in (slices or {}).items()
    ]
    return Comparison(
        {"rows": 100, **RUN, "headline": {"macro-F1 incl. none": {"difference": difference}}, "slices": parts}
    )


def answered(wrong: int, rows: int) -> Judged:
    """Rows of empathy; the first so many are answered as sympathy."""
    return Judged(
        LABELS,
        gold=np.zeros(rows, dtype=int),
        scores=np.full((rows, 3), 1 / 3),
        in_scope=np.ones(rows),
        answers=np.where(np.arange(rows) < wrong, 1, 0),
        uncertain=np.zeros(rows, dtype=bool),
        sets=np.ones((rows, 3), dtype=bool),
        groups=np.arange(rows),
    )


@pytest.mark.parametrize(("low", "holds"), [(0.001, True), (-0.0099, True), (-0.01, False), (-0.02, False)])
def test_the_interval_must_exclude_a_loss_of_more_than_a_hundredth(low: float, holds: bool) -> None:
    found = gate(compared(low))
    assert (not found.failures) == holds
    if not holds:
        assert f"changed by +0.0000 [{low:+.4f}, +0.0200], expected the lower end above -0.01" in found.failures[0]


def test_an_interval_that_is_not_defined_fails() -> None:
    assert gate(compared(float("nan"))).failures


@pytest.mark.parametrize(
    ("rows", "change", "holds"), [(50, -0.06, False), (49, -0.06, True), (60, -0.05, True), (60, 0.2, True)]
)
def test_no_slice_of_fifty_rows_may_lose_more_than_a_twentieth(rows: int, change: float, holds: bool) -> None:
    found = gate(compared(0.0, {"work": (rows, change), "home": (400, 0.0)}))
    assert (not found.failures) == holds
    if not holds:
        assert found.failures == [
            f"accuracy incl. none of topic: work (50 rows) changed by {change:+.4f}, expected no loss over 0.05"
        ]


@pytest.mark.parametrize(("wrong", "fails"), [(3, False), (4, True)])
def test_the_gate_by_hand_from_answers(wrong: int, fails: bool) -> None:
    # All 60 replies have three words: of the slice "up to 10 words", 3 of 60 is exactly a twentieth.
    rows = [Row(text=f"I hear {i}", label="empathy") for i in range(60)]
    values = compare_judged(answered(wrong, 60), answered(0, 60), rows, resamples=50)
    found = gate(Comparison(values | RUN))
    assert found.lowest is not None
    assert (found.lowest.name, found.lowest.rows) == ("length: up to 10 words", 60)
    assert found.lowest.difference == -wrong / 60
    assert any("length: up to 10 words" in failure for failure in found.failures) == fails


def test_all_that_failed_is_told_and_the_slice_that_lost_most_is_shown() -> None:
    found = gate(compared(-0.5, {"work": (80, -0.06), "home": (90, -0.09), "few": (9, -0.5)}))
    assert len(found.failures) == 3
    assert found.values["lowest_slice"] == {"name": "topic: home", "rows": 90, "difference": -0.09}
    console = Console(width=150)
    with console.capture() as capture:
        console.print(found.table())
    assert "The gate does not hold" in capture.get()
    assert "-0.0900 (topic: home, 90 rows)" in capture.get()


# Promotion


@pytest.fixture
def models(tmp_path: Path, fill: Callable[..., Path]) -> Path:
    """A models folder with versions v1 to v4, v1 in service."""
    for version in ("v1", "v2", "v3", "v4"):
        fill(tmp_path / "models" / version, version)
    model_dir.promote(tmp_path / "models", "v1", "first model")
    return tmp_path / "models"


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> dict[str, Comparison]:
    """What a comparison of each new version with the one in service would find."""
    found = {"good": compared(-0.005), "bad": compared(-0.02)}
    by_version = {"v2": found["good"], "v3": found["good"], "v4": found["bad"]}
    corpus = SimpleNamespace(test=[], sha256="c1")
    monkeypatch.setattr(promotion, "read_corpus", lambda data, labels: corpus)
    monkeypatch.setattr(promotion, "compare", lambda new, old, rows, **rest: by_version[new.name])
    return by_version


def in_service(models: Path) -> str | None:
    found = model_dir.current(models)
    return found.name if found else None


def put(models: Path, version: str) -> None:
    promote(models, version, "rows.jsonl")


def log(models: Path) -> list[Promotion]:
    return model_dir.promotions(models)


def test_a_model_that_is_no_worse_goes_into_service_and_its_figures_into_the_log(
    models: Path, measured: dict[str, Comparison]
) -> None:
    found = promote(models, "v2", "rows.jsonl")
    assert found is not None
    assert in_service(models) == "v2"
    entry = log(models)[-1]
    assert (entry.version, entry.previous, entry.forced, entry.reason) == ("v2", "v1", False, "the gate holds")
    assert entry.gate is not None
    assert entry.gate["macro-F1 incl. none"] == {"value": 0.0, "low": -0.005, "high": 0.02, "rows": 100}
    assert (entry.gate["rows"], entry.gate["failures"]) == (100, [])


def test_a_worse_model_stays_out_and_the_figure_is_named(models: Path, measured: dict[str, Comparison]) -> None:
    before = (models / model_dir.PROMOTIONS).read_text()
    with pytest.raises(AsifError, match=r"v4 stays out of service: macro-F1 incl. none changed by .*-0\.0200"):
        put(models, "v4")
    assert in_service(models) == "v1"
    assert (models / model_dir.PROMOTIONS).read_text() == before


def test_force_needs_a_reason(models: Path, measured: dict[str, Comparison]) -> None:
    with pytest.raises(AsifError, match="expected --reason"):
        promote(models, "v4", "rows.jsonl", force=True)
    assert in_service(models) == "v1"


def test_a_forced_promotion_is_logged_with_its_reason_and_what_failed(
    models: Path, measured: dict[str, Comparison]
) -> None:
    promote(models, "v4", "rows.jsonl", force=True, reason="v1 has a licence that ends today")
    entry = log(models)[-1]
    assert (in_service(models), entry.forced, entry.reason) == ("v4", True, "v1 has a licence that ends today")
    assert entry.gate is not None
    assert "-0.0200" in entry.gate["failures"][0]


def test_force_where_the_gate_holds_anyway_is_no_forced_promotion(
    models: Path, measured: dict[str, Comparison]
) -> None:
    promote(models, "v2", "rows.jsonl", force=True, reason="to be sure")
    assert (log(models)[-1].forced, log(models)[-1].reason) == (False, "to be sure")


def test_where_nothing_can_be_measured_only_force_promotes_and_the_log_holds_no_words(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(data: object, labels: object) -> None:
        raise AsifError("rows.jsonl:3: label: expected a label, found 'canary'")

    monkeypatch.setattr(promotion, "read_corpus", broken)
    with pytest.raises(AsifError, match="expected a label"):
        put(models, "v2")
    assert in_service(models) == "v1"
    told: list[str] = []
    promote(models, "v2", "rows.jsonl", force=True, reason="no rows here", tell=told.append)
    assert in_service(models) == "v2"
    assert "could not be measured: rows.jsonl:3" in told[0]
    entry = log(models)[-1]
    assert entry.forced
    assert entry.gate is not None
    assert (entry.gate["macro-F1 incl. none"], entry.gate["failures"]) == (None, ["not measured"])
    assert "canary" not in (models / model_dir.PROMOTIONS).read_text()


def test_the_first_model_passes_no_gate(models: Path) -> None:
    (models / "current").unlink()
    assert promote(models, "v4", "nowhere") is None
    assert in_service(models) == "v4"
    assert log(models)[-1].reason == "no model was in service"


@pytest.mark.parametrize("version", ["", "current", "../v2", "/tmp"])
def test_what_is_no_version_is_refused_before_anything_is_measured(models: Path, version: str) -> None:
    with pytest.raises(AsifError, match="expected the name of a version"):
        promote(models, version, "nowhere", force=True, reason="why not")


def test_a_broken_version_does_not_go_into_service_even_by_force(models: Path, measured: dict[str, Comparison]) -> None:
    (models / "v2" / model_dir.WEIGHTS).write_text("changed")
    for version in ("v2", "v9"):
        measured[version] = compared(0.0)
        with pytest.raises(AsifError, match=version):
            promote(models, version, "rows.jsonl", force=True, reason="why not")
    assert in_service(models) == "v1"


def test_other_labels_are_refused_in_one_sentence_and_can_be_forced(
    models: Path, measured: dict[str, Comparison], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: object, **rest: object) -> None:
        raise AsifError("expected two models of the same labels")

    monkeypatch.setattr(promotion, "compare", refuse)
    with pytest.raises(AsifError, match="same labels"):
        put(models, "v2")
    promote(models, "v2", "rows.jsonl", force=True, reason="new codebook", tell=lambda line: None)
    assert in_service(models) == "v2"


# The way back


def test_rollback_goes_back_through_the_history_and_does_not_toggle(
    models: Path, measured: dict[str, Comparison]
) -> None:
    put(models, "v2")
    put(models, "v3")
    assert rollback(models, "errors at night") == "v2" == in_service(models)
    entry = log(models)[-1]
    assert (entry.rollback, entry.version, entry.previous, entry.reason) == (True, "v2", "v3", "errors at night")
    assert rollback(models) == "v1" == in_service(models)
    before = (models / model_dir.PROMOTIONS).read_text()
    with pytest.raises(AsifError, match="expected a version before v1, found none"):
        rollback(models)
    assert in_service(models) == "v1"
    assert (models / model_dir.PROMOTIONS).read_text() == before


def test_a_version_that_was_rolled_back_from_is_not_returned_to(models: Path, measured: dict[str, Comparison]) -> None:
    put(models, "v2")
    rollback(models)
    put(models, "v3")
    assert rollback(models) == "v1"


def test_rollback_refuses_a_version_that_is_broken_gone_or_another(
    models: Path, measured: dict[str, Comparison], fill: Callable[..., Path]
) -> None:
    put(models, "v2")
    shutil.rmtree(models / "v1")
    with pytest.raises(AsifError, match="v1: expected a model directory"):
        rollback(models)
    fill(models / "v1", "another")
    with pytest.raises(AsifError, match=r"v1: expected the model that was promoted on .*, found another manifest"):
        rollback(models)
    shutil.rmtree(models / "v1")
    fill(models / "v1", "v1")
    (models / "v1" / model_dir.TOKENIZER).write_text("changed")
    with pytest.raises(AsifError, match=model_dir.TOKENIZER):
        rollback(models)
    assert in_service(models) == "v2"


def test_rollback_without_a_log_says_so(tmp_path: Path) -> None:
    with pytest.raises(AsifError, match=r"promotions\.jsonl: expected a version before any, found none"):
        rollback(tmp_path)


def test_rollback_from_a_version_that_was_removed(models: Path, measured: dict[str, Comparison]) -> None:
    put(models, "v2")
    shutil.rmtree(models / "v2")
    assert rollback(models) == "v1" == in_service(models)


def test_rollback_goes_by_the_link_where_it_was_moved_by_hand(models: Path, measured: dict[str, Comparison]) -> None:
    put(models, "v2")
    put(models, "v3")
    (models / "current").unlink()
    (models / "current").symlink_to("v2")
    assert rollback(models) == "v1"
    (models / "current").unlink()
    (models / "current").symlink_to("v4")  # which no promotion put there
    assert rollback(models) == "v1"


def entry(version: str, back: bool) -> Promotion:
    return Promotion(time="now", version=version, previous=None, manifest_sha256="", reason="", rollback=back)


@given(st.lists(st.sampled_from(["a", "b", "c", None]), max_size=20))
def test_promotions_and_rollbacks_are_a_history_of_undo(moves: list[str | None]) -> None:
    """None is a rollback; kept beside it is the history that an operator has in mind."""
    kept: list[str] = []
    written: list[Promotion] = []
    for version in moves:
        if version is None and len(kept) > 1:
            kept.pop()
            written.append(entry(kept[-1], back=True))
        elif version is not None and version not in kept[-1:]:
            kept.append(version)
            written.append(entry(version, back=False))
        assert [found.version for found in standing(written)] == kept


def test_the_history_tells_how_and_why(models: Path, measured: dict[str, Comparison]) -> None:
    put(models, "v2")
    promote(models, "v4", "rows.jsonl", force=True, reason="we [must]")
    rollback(models)
    console = Console(width=160)
    with console.capture() as capture:
        console.print(history(models))
    told = capture.get()
    assert "v2 is in service" in told
    lines = [line for line in told.splitlines() if "│" in line]
    assert [line.split("│")[4].strip() for line in lines] == ["promoted", "promoted", "forced", "rolled back"]
    assert "+0.000 [-0.005, +0.020]" in lines[1]
    assert "we [must]" in lines[2]


def test_the_history_reads_what_the_figure_was_called_before(models: Path, measured: dict[str, Comparison]) -> None:
    put(models, "v2")
    log = models / model_dir.PROMOTIONS
    log.write_text(log.read_text().replace("macro-F1 incl. none", "four-way macro-F1"))
    console = Console(width=160)
    with console.capture() as capture:
        console.print(history(models))
    assert "+0.000 [-0.005, +0.020]" in capture.get()


def test_a_gate_without_an_interval_is_kept_as_json_and_told(models: Path, measured: dict[str, Comparison]) -> None:
    measured["v2"] = compared(float("nan"))
    promote(models, "v2", "rows.jsonl", force=True, reason="one group only")
    kept = json.loads((models / model_dir.PROMOTIONS).read_text().splitlines()[-1])
    assert kept["gate"]["macro-F1 incl. none"]["low"] is None
    console = Console(width=160)
    with console.capture() as capture:
        console.print(history(models))
    assert "│ +0.000 " in capture.get()
