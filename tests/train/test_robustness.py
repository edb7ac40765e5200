"""The robustness suite: its arithmetic on tiny items, and, marked `robustness`, the whole of it on a trained model."""

import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from asif_data.encoding import Utterance
from asif_data.errors import AsifError
from asif_data.labels import LABELS, MARKS
from asif_data.model_dir import CURRENT
from asif_serve.decision import Decision
from asif_serve.predictor import load_predictor
from asif_train.fit import MODELS
from asif_train.robustness import DIRECTION, FUNCTIONALITY, INVARIANCE, Pair, Suite, read_suite, robustness
from asif_train.transforms import TRANSFORMS, Item

CUES = {"you felt": "empathy", "poor": "sympathy", "me too": "over-identification"}
MODEL_VARIABLE = "ASIF_ROBUSTNESS_MODEL"


class Fake:
    """Goes by three cues in the text; where `cased`, capitals count."""

    def __init__(self, labels: tuple[str, ...] = LABELS, cased: bool = False) -> None:
        self.labels = labels
        self.cased = cased
        manifest = SimpleNamespace(name="fake", version="1")
        self.model = SimpleNamespace(path=Path("models/1"), manifest=manifest, manifest_sha256="a" * 64)
        self.form = SimpleNamespace(file="onnx/fake.onnx")

    def __call__(self, utterances: Sequence[Utterance]) -> list[Decision]:
        return [self._decide(utterance.text if self.cased else utterance.text.lower()) for utterance in utterances]

    def _decide(self, text: str) -> Decision:
        found = next((label for cue, label in CUES.items() if cue in text), None)
        scores = tuple(0.8 if label == found else 0.1 for label in self.labels)
        return Decision(self.labels, scores, 0.9 if found else 0.2, None if found else "out_of_scope", ())


ITEMS = (
    Item(id="right", border="a", label="empathy", text="Then you felt small, {name}.", context="He laughed."),
    Item(id="wrong", border="a", label="over-identification", text="Well, you felt sad, and so did I."),
    Item(id="withheld", border="b", label="none", text="When did it end, {name}?", context_paraphrase="It ended."),
)
PAIRS = (
    Pair(id="up", kind="pity", toward="sympathy", context="He left.", before="He left.", after="Poor you, he left."),
    Pair(id="level", kind="pity", toward="sympathy", before="Poor you.", after="Poor, poor you."),
    Pair(id="down", kind="own-experience", toward="over-identification", before="Me too.", after="You felt left."),
)


def run(predictor: Any, items: tuple[Item, ...] = ITEMS, pairs: tuple[Pair, ...] = PAIRS) -> dict[tuple[str, str], Any]:
    found = robustness(predictor, Suite(items, pairs)).values["tests"]
    return {(test["kind"], test["name"]): test for test in found}


def test_functionality_counts_right_answers_in_all_by_label_and_by_border() -> None:
    found = run(Fake())
    counts = {name: (test["passed"], test["total"]) for (kind, name), test in found.items() if kind == FUNCTIONALITY}
    assert counts == {
        "all": (2, 3),
        "label: empathy": (1, 1),
        "label: over-identification": (0, 1),
        "label: none": (1, 1),
        "border: a": (1, 2),
        "border: b": (1, 1),
    }
    assert found[FUNCTIONALITY, "all"]["failures"] == found[FUNCTIONALITY, "border: a"]["failures"] == ["wrong"]


def test_invariance_asks_for_the_same_answer_be_it_right_or_wrong() -> None:
    found = {name: test for (kind, name), test in run(Fake()).items() if kind == INVARIANCE}
    assert list(found) == list(TRANSFORMS)
    assert found["lower case"]["share"] == 1
    assert (found["names"]["total"], found["context paraphrase"]["total"]) == (2, 1)


def test_an_answer_that_goes_by_capitals_fails_in_lower_case() -> None:
    items = (ITEMS[2], Item(id="shouted", border="a", label="empathy", text="So you felt It."))

    class Shouted(Fake):
        def _decide(self, text: str) -> Decision:
            return super()._decide(text if text != text.lower() else "")

    found = run(Shouted(cased=True), items)
    assert found[INVARIANCE, "lower case"]["failures"] == ["shouted"]
    assert found[INVARIANCE, "lower case"]["met"] is False
    assert found[INVARIANCE, "punctuation dropped"]["share"] == 1


def test_direction_passes_only_where_the_probability_rises() -> None:
    found = run(Fake())
    assert found[DIRECTION, "all"]["failures"] == ["level", "down"]
    assert (found[DIRECTION, "pity"]["passed"], found[DIRECTION, "own-experience"]["passed"]) == (1, 0)


@pytest.mark.parametrize(("rise", "passed"), [(0.04, 0), (0.06, 1), (-0.06, 0)])
def test_a_rise_below_five_hundredths_does_not_count(rise: float, passed: int) -> None:
    class Rising(Fake):
        def _decide(self, text: str) -> Decision:
            return Decision(LABELS, (0.5, 0.5, 0.0), 0.5 + (2 * rise if text == "after" else 0), None, ())

    pairs = (Pair(id="a", kind="pity", toward="sympathy", before="before", after="after"),)
    assert run(Rising(), pairs=pairs)[DIRECTION, "pity"]["passed"] == passed


def test_every_share_has_its_wilson_interval_goal_and_number() -> None:
    test = run(Fake())[FUNCTIONALITY, "all"]
    assert test["share"] == pytest.approx(2 / 3)
    assert test["interval"] == pytest.approx([0.2077, 0.9385], abs=1e-4)
    assert test["goal"] == 0.85
    assert test["met"] is False


def test_the_report_says_what_was_asked_and_json_holds_it() -> None:
    found = robustness(Fake(), Suite(ITEMS, PAIRS))  # pyright: ignore[reportArgumentType]
    assert found.values["model"] == {"name": "fake", "version": "1"}
    assert found.values["manifest_sha256"] == "a" * 64
    assert json.loads(json.dumps(found.values)) == found.values


def test_the_table_shows_every_test_and_what_was_missed() -> None:
    found = robustness(Fake(), Suite(ITEMS, PAIRS))  # pyright: ignore[reportArgumentType]
    console = Console(width=150, file=io.StringIO(), record=True)
    console.print(found.table())
    text = console.export_text()
    assert all(test["name"] in text for test in found.values["tests"])
    assert "0.667 [0.208, 0.939]" in text
    assert "MISSED" in text


def test_a_model_of_other_labels_is_refused_by_name() -> None:
    with pytest.raises(AsifError, match=r"1: expected a model of empathy, .*found warm, cold"):
        run(Fake(labels=("warm", "cold")))


def test_no_item_of_a_transform_leaves_that_test_out() -> None:
    assert (INVARIANCE, "context paraphrase") not in run(Fake(), ITEMS[:2])


def write(folder: Path, items: Sequence[Any], pairs: Sequence[Any] = PAIRS) -> Path:
    for name, records in (("functionality", items), ("direction", pairs)):
        (folder / f"{name}.jsonl").write_text("".join(record.model_dump_json() + "\n" for record in records))
    return folder


def test_a_suite_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_suite(write(tmp_path, ITEMS)) == Suite(ITEMS, PAIRS)


@pytest.mark.parametrize(
    ("items", "pairs", "message"),
    [
        ([*ITEMS, ITEMS[0]], PAIRS, r"functionality\.jsonl:4: id: .*'right' again"),
        ([ITEMS[0].model_copy(update={"label": "pity"})], PAIRS, r"functionality\.jsonl:1: label: expected one of"),
        (ITEMS, [PAIRS[0].model_copy(update={"toward": "none"})], r"direction\.jsonl:1: toward: .*found 'none'"),
        (ITEMS, [ITEMS[0]], r"direction\.jsonl:1: kind: "),
    ],
)
def test_a_wrong_line_of_a_suite_is_named(tmp_path: Path, items: Any, pairs: Any, message: str) -> None:
    with pytest.raises(AsifError, match=message):
        read_suite(write(tmp_path, items, pairs))


def test_a_missing_suite_is_named(tmp_path: Path) -> None:
    with pytest.raises(AsifError, match=r"functionality\.jsonl: expected the items"):
        read_suite(tmp_path)


def borders() -> list[str]:
    return sorted({item.border for item in read_suite().items})


@pytest.fixture(scope="module")
def trained() -> dict[tuple[str, str], Any]:
    """The whole suite, put once to the model of ASIF_ROBUSTNESS_MODEL or to the one in service."""
    model = Path(os.environ.get(MODEL_VARIABLE) or MODELS / CURRENT)
    if not model.exists():
        pytest.fail(f"no model at {model}: train one with `make train`, or name one in {MODEL_VARIABLE}")
    found = robustness(load_predictor(model)).values["tests"]
    return {(test["kind"], test["name"]): test for test in found}


def goal_is_met(test: dict[str, Any]) -> None:
    low, high = test["interval"]
    assert test["met"], (
        f"{test['name']}: {test['passed']} of {test['total']} passed, {test['share']:.3f} [{low:.3f}, {high:.3f}], "
        f"goal {test['goal']}; failed: {', '.join(test['failures'])}"
    )


@pytest.mark.robustness
@pytest.mark.parametrize("name", ["all", *(f"label: {mark}" for mark in MARKS)])
def test_the_model_gives_each_label(trained: dict[tuple[str, str], Any], name: str) -> None:
    goal_is_met(trained[FUNCTIONALITY, name])


@pytest.mark.robustness
@pytest.mark.parametrize("border", borders())
def test_the_model_keeps_each_border(trained: dict[tuple[str, str], Any], border: str) -> None:
    goal_is_met(trained[FUNCTIONALITY, f"border: {border}"])


@pytest.mark.robustness
@pytest.mark.parametrize("name", TRANSFORMS)
def test_the_model_answers_the_same_under_each_transform(trained: dict[tuple[str, str], Any], name: str) -> None:
    goal_is_met(trained[INVARIANCE, name])


@pytest.mark.robustness
@pytest.mark.parametrize("kind", ["all", "own-experience", "pity", "verdict-to-feeling"])
def test_the_model_moves_the_right_way(trained: dict[tuple[str, str], Any], kind: str) -> None:
    goal_is_met(trained[DIRECTION, kind])
