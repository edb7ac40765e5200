"""Deletion tests of the highlights: a model that goes by some words is told from one whose words are wrongly named."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from asif_data.encoding import Utterance
from asif_data.errors import AsifError
from asif_data.labels import LABELS
from asif_data.rows import Row
from asif_serve.decision import Decision
from asif_serve.explain import explain
from asif_serve.predictor import load_predictor
from asif_train.faithfulness import DRAWS, faithfulness

TEXTS = [
    "one two felt alone three four lost five six seven",
    "eight felt nine ten alone eleven lost twelve more words",
    "felt lost alone and then a few other words here",
]


class Fake:
    """Each of three words adds a quarter to the probability of empathy; nothing else counts. Keeps what it was asked."""

    def __init__(self, cues: Sequence[str] = ("felt", "alone", "lost")) -> None:
        self.labels = LABELS
        self.cues = cues
        self.asked: list[str] = []
        self.model = SimpleNamespace(manifest=SimpleNamespace(name="fake", version="1"), manifest_sha256="a" * 64)
        self.form = SimpleNamespace(file="onnx/fake.onnx")

    def __call__(self, utterances: Sequence[Utterance]) -> list[Decision]:
        self.asked += [utterance.text for utterance in utterances]
        return [self._decide(set(re.findall(r"\w+", utterance.text))) for utterance in utterances]

    def _decide(self, found: set[str]) -> Decision:
        return Decision(LABELS, (1.0, 0.0, 0.0), 0.2 + 0.25 * len(found & set(self.cues)), None, ())


def run(texts: Sequence[str], predictor: Fake | None = None) -> dict[int, Any]:
    rows = [Row(text=text, group=f"group {i}") for i, text in enumerate(texts)]
    asked: Any = predictor or Fake()
    found = faithfulness(asked, rows, resamples=20)
    return {size["words"]: size for size in found.values["sizes"]}


def test_words_that_decide_lower_the_probability_more_than_random_ones() -> None:
    found = run(TEXTS)
    assert found[1]["comprehensiveness"]["top"]["value"] == pytest.approx(0.25)
    assert found[3]["comprehensiveness"]["top"]["value"] == pytest.approx(0.75)
    assert found[3]["sufficiency"]["top"]["value"] == pytest.approx(0.95)
    for size in found.values():
        for measure in ("comprehensiveness", "sufficiency"):
            top, random, difference = (size[measure][name] for name in ("top", "random", "difference"))
            assert difference["value"] == pytest.approx(top["value"] - random["value"])
            assert 0 < difference["low"] <= difference["value"] <= difference["high"]


def test_the_words_taken_out_are_those_that_an_explanation_highlights() -> None:
    fake, utterance = Fake(), Utterance(TEXTS[0])
    spans = [span for span, _ in explain(utterance, fake([utterance])[0], fake).highlights]
    run(TEXTS[:1], fake)
    assert {TEXTS[0][span.start : span.end] for span in spans} == set(fake.cues)
    assert "one two   three four  five six seven" in fake.asked


def test_random_words_do_what_chance_would() -> None:
    found = run(TEXTS * 40)
    # Three of ten words count a quarter each, so a random one takes 0.075, and three take 0.225.
    assert found[1]["comprehensiveness"]["random"]["value"] == pytest.approx(0.075, abs=0.01)
    assert found[3]["comprehensiveness"]["random"]["value"] == pytest.approx(0.225, abs=0.01)
    assert found[3]["sufficiency"]["random"]["value"] == pytest.approx(0.2 + 0.225, abs=0.01)


def test_where_no_word_counts_nothing_differs() -> None:
    for size in run(TEXTS, Fake(cues=())).values():
        assert size["comprehensiveness"]["difference"]["value"] == size["sufficiency"]["difference"]["value"] == 0


def test_one_word_is_marked_as_circular() -> None:
    assert {k: size["circular"] for k, size in run(TEXTS).items()} == {1: True, 3: False, 5: False}


def test_texts_too_short_for_twice_the_words_are_left_out() -> None:
    texts = ["felt", "felt alone", "one two three felt alone lost", " ".join(TEXTS[0].split()), "word " * 130]
    assert {k: size["texts"] for k, size in run(texts).items()} == {1: 3, 3: 2, 5: 1}


def test_the_same_words_are_drawn_every_time() -> None:
    first, second = Fake(), Fake()
    run(TEXTS, first)
    run(TEXTS, second)
    assert first.asked == second.asked


def test_the_context_stays() -> None:
    class Contexts(Fake):
        def __call__(self, utterances: Sequence[Utterance]) -> list[Decision]:
            assert {utterance.context for utterance in utterances} <= {"He left."}
            return super().__call__(utterances)

    found = faithfulness(Contexts(), [Row(text=TEXTS[0], context="He left.")], resamples=0)  # pyright: ignore[reportArgumentType]
    assert found.values["sizes"][0]["texts"] == 1


def test_no_text_of_two_words_is_an_error() -> None:
    with pytest.raises(AsifError, match=r"at least two words.* none in 2 rows"):
        run(["felt", "alone"])


@pytest.fixture(scope="module")
def judged() -> Any:
    return faithfulness(Fake(), [Row(text=text, group=text) for text in TEXTS], resamples=20)  # pyright: ignore[reportArgumentType]


def test_the_report_tells_cost_and_caution_and_json_holds_it(judged: Any) -> None:
    assert json.loads(json.dumps(judged.values)) == judged.values
    assert "circular" in judged.values["caution"]
    cost = judged.values["cost"]
    assert (cost["answer"]["model_runs"], cost["explained"]["model_runs"]) == (1, 12)
    assert 0 < cost["answer"]["milliseconds"] < cost["explained"]["milliseconds"]


def test_the_figure_sets_highlighted_beside_random_words(judged: Any) -> None:
    figure = judged.figure()
    assert [axes.get_title() for axes in figure.axes] == ["comprehensiveness", "sufficiency"]
    top, random = (container.lines[0].get_ydata() for container in figure.axes[0].containers)
    assert list(figure.axes[0].containers[0].lines[0].get_xdata()) == [1, 3, 5]
    assert all(np.greater(top, random))
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [
        "highest weight",
        f"random, mean of {DRAWS} draws",
    ]


def test_the_table_has_a_row_for_each_number_of_words(judged: Any) -> None:
    assert list(judged.table().columns[0].cells) == ["1 (circular)", "3", "5"]
    assert "12 model runs" in judged.table().caption


def test_highlights_of_a_trained_model_beat_random_words(small_model: Path, corpus_rows: list[Row]) -> None:
    rows = [row for row in corpus_rows if row.split == "test"][:40]
    sizes = faithfulness(load_predictor(small_model), rows, resamples=100).values["sizes"]
    three = next(size for size in sizes if size["words"] == 3)
    assert three["comprehensiveness"]["difference"]["low"] > 0
