"""Selection: unsure, unlike each other, and the same again for the same seed."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asif_data.encoding import Utterance
from asif_data.errors import AsifError
from asif_data.rows import Placed, Row, Vote
from asif_serve.decision import Decision
from asif_serve.predictor import Predictor, load_predictor
from asif_train.selection import LABELS, SCOPE, Selection, select, uncertainty

NAMES = ("empathy", "sympathy", "over-identification")
THRESHOLD = 0.4


class Fake:
    """A model that is as sure of a text as the text says: the score of its first label and in_scope."""

    labels = NAMES
    model = SimpleNamespace(manifest=SimpleNamespace(calibration=SimpleNamespace(scope_threshold=THRESHOLD)))

    def __call__(self, utterances: Sequence[Utterance]) -> list[Decision]:
        said = [utterance.text.split("|") for utterance in utterances]
        return [
            Decision(NAMES, (float(first), 1 - float(first), 0.0), float(scope), None, ()) for _, first, scope in said
        ]


FAKE = cast(Predictor, Fake())


def placed(*rows: Row) -> list[Placed]:
    return [Placed(row, Path("mine.jsonl"), line) for line, row in enumerate(rows, 1)]


def said(words: str, first: float = 0.5, scope: float = 1.0, **columns: Any) -> Row:
    return Row(text=f"{words}|{first}|{scope}", **columns)


def lines(found: Selection) -> list[int]:
    return [pick.placed.line for pick in found.picks]


# How unsure


@pytest.mark.parametrize(
    ("scores", "in_scope", "value", "because"),
    [
        ([1.0, 0.0, 0.0], 1.0, 0.0, LABELS),
        ([0.5, 0.5, 0.0], 1.0, 1.0, LABELS),
        ([0.2, 0.5, 0.3], 1.0, 0.8, LABELS),
        ([0.5, 0.5, 0.0], 0.9, 0.9, LABELS),
        ([1.0, 0.0, 0.0], THRESHOLD, 1.0, SCOPE),
        ([1.0, 0.0, 0.0], 0.7, 0.5, SCOPE),
        ([1.0, 0.0, 0.0], 0.2, 0.5, SCOPE),
        ([0.5, 0.5, 0.0], 0.0, 0.0, LABELS),
    ],
)
def test_the_larger_of_two_doubts_counts(scores: list[float], in_scope: float, value: float, because: str) -> None:
    found, why = uncertainty(np.array([scores]), np.array([in_scope]), THRESHOLD)
    assert (found.tolist(), why) == ([pytest.approx(value)], [because])


@given(st.lists(st.floats(0, 1), min_size=2, max_size=4), st.floats(0, 1), st.floats(0, 1))
def test_any_answer_and_threshold_give_a_share(scores: list[float], in_scope: float, threshold: float) -> None:
    total = sum(scores) or 1.0
    [value], _ = uncertainty(np.array([scores]) / total, np.array([in_scope]), threshold)
    assert 0 <= value <= 1


# Which rows


def test_the_most_uncertain_come_first_with_what_they_waver_between() -> None:
    rows = placed(said("Part of you wants out.", 0.9), said("He was gone.", 0.5), said("Monday, then.", 1, 0.5))
    found = select(FAKE, rows, 3)
    assert lines(found) == [2, 3, 1]
    assert [pick.between() for pick in found.picks][:2] == [("empathy", "sympathy"), ("empathy", "none")]
    assert (found.candidates, found.repeats) == (3, 0)


def test_labelled_rows_are_no_candidates_and_ties_are() -> None:
    tie = [Vote(annotator="a", label="none"), Vote(annotator="b", label="empathy")]
    rows = placed(
        said("You miss her every day.", label="empathy"),
        said("Nobody asked you that.", votes=tie),
        said("That was your week.", 0.8),
    )
    assert lines(select(FAKE, rows, 5)) == [2, 3]


def test_near_duplicates_are_picked_once_and_those_of_labelled_rows_never() -> None:
    text = "You feel alone, even with everyone there."
    rows = placed(
        said(text, 0.6), said(text.upper(), 0.5), said("It was a long drive home with him.", 0.7),
        said("Part of you would rather stay.", 0.9), said("Part of you would rather stay!", label="empathy"),
    )  # fmt: skip
    found = select(FAKE, rows, 5, labelled=[said("It was a long drive home with him.", 0.7)])
    assert (lines(found), found.repeats) == ([2], 3)


def test_of_unsure_rows_unlike_ones_are_taken() -> None:
    """Two themes, one of them a little more uncertain throughout: each has its row."""
    grief = [
        f"{who} died last {when} and the house is empty"
        for who in ("mother", "father")
        for when in ("May", "June", "July")
    ]
    work = [
        f"the boss gave your {what} to {who} at the office"
        for what in ("desk", "shift", "project")
        for who in ("Tom", "Ann")
    ]
    rows = placed(*(said(t, 0.5) for t in grief), *(said(t, 0.55) for t in work))  # fmt: skip
    found = select(FAKE, rows, 2)
    assert sorted(line <= len(grief) for line in lines(found)) == [False, True]
    assert sum(pick.stands_for for pick in found.picks) == found.candidates - found.repeats


def test_only_the_most_uncertain_are_clustered() -> None:
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefgh"), 6)) for _ in range(400)]
    rows = placed(*(said(" ".join(words[8 * n : 8 * n + 8]), 0.5 + 0.01 * n) for n in range(50)))
    assert max(lines(select(FAKE, rows, 3))) <= 30


def test_the_seed_decides_and_the_same_seed_gives_the_same() -> None:
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefgh"), 3)) for _ in range(60)]
    rows = placed(*(said(" ".join(rng.choice(words, 9)), 0.5) for _ in range(200)))
    first, again, other = (select(FAKE, rows, 20, seed=seed).values() for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert len({pick["line"] for pick in other["picked"]}) == 20


@pytest.mark.parametrize("texts", [["😢", "…", "?!"], ["ab c", "c ab", "x"], ["Oh", "Ah", "Hm"]])
def test_texts_without_a_word_or_in_the_same_words_are_no_obstacle(texts: list[str]) -> None:
    class Sure(Fake):
        def __call__(self, utterances: Sequence[Utterance]) -> list[Decision]:
            return [Decision(NAMES, (0.5, 0.5, 0.0), 1.0, None, ()) for _ in utterances]

    found = select(cast(Predictor, Sure()), placed(*(Row(text=text) for text in texts)), 2)
    assert len(found.picks) == 2


def test_rows_without_an_id_get_the_one_of_their_words() -> None:
    found = select(FAKE, placed(said("You miss her every day."), said("Nobody asked.", id="7")), 2)
    names = [pick.placed.row.id or "" for pick in found.picks]
    assert names[1] == "7"
    assert names[0].startswith("row-")


def test_without_a_row_to_label_it_says_so() -> None:
    with pytest.raises(
        AsifError, match="expected rows without a label to choose from, found a label in each of 1 rows"
    ):
        select(FAKE, placed(said("Hm.", label="none")), 1)


def test_values_hold_no_text() -> None:
    row = said("CANARY", context="CANARY too", group="g1", id="7")
    found = select(FAKE, placed(row), 1).values()
    assert "CANARY" not in str(found)
    assert found["picked"][0] == {
        "id": "7", "file": "mine.jsonl", "line": 1, "uncertainty": 1.0, "because": LABELS,
        "scores": {"empathy": 0.5, "sympathy": 0.5, "over-identification": 0.0}, "in_scope": 1.0, "stands_for": 1,
    }  # fmt: skip


def test_the_served_model_is_surer_of_what_is_left_than_of_what_is_picked(
    small_model: Path, corpus_rows: list[Row]
) -> None:
    rows = placed(*(row.model_copy(update={"label": None}) for row in corpus_rows if row.split == "test"))[:120]
    found = select(load_predictor(small_model), rows, 5)
    predictor = load_predictor(small_model)
    decisions = predictor([Utterance(p.row.text, p.row.context) for p in rows])
    scope = predictor.model.manifest.calibration.scope_threshold
    every, _ = uncertainty(np.array([d.scores for d in decisions]), np.array([d.in_scope for d in decisions]), scope)
    assert len(found.picks) == 5
    assert min(pick.uncertainty for pick in found.picks) >= np.median(every)
