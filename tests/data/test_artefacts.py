"""Artefacts: associations and baselines whose value is known."""

import pytest

from asif_data.artefacts import (
    can_hold_out,
    client_only_macro_f1,
    cramers_v,
    length_macro_f1,
    lexical_contrast,
    overlap,
)
from asif_data.rows import Row


def test_independent_columns_have_no_association() -> None:
    assert cramers_v(["a", "b"] * 50, ["x", "x", "y", "y"] * 25) == 0.0


def test_columns_that_say_the_same_are_fully_associated() -> None:
    assert cramers_v(["a", "b", "c"] * 40, ["x", "y", "z"] * 40) == pytest.approx(1.0, abs=0.01)


def test_association_by_hand() -> None:
    # 2 x 2 counts 30, 10, 10, 30: phi squared 0.25; corrected by 1 / 79 above and in the table's sides below.
    left = ["a"] * 40 + ["b"] * 40
    right = ["x"] * 30 + ["y"] * 10 + ["x"] * 10 + ["y"] * 30
    assert cramers_v(left, right) == pytest.approx(((0.25 - 1 / 79) / (1 - 1 / 79)) ** 0.5)


def test_overlap_is_the_mean_over_pairs() -> None:
    assert overlap(["you felt small", "You felt tall"]) == pytest.approx(2 / 4)
    assert overlap(["a b", "a b", "c d"]) == pytest.approx(1 / 3)


def rows(telling: bool) -> list[Row]:
    words = {"empathy": "alone", "sympathy": "fired", "over-identification": "ill"}
    return [
        Row(
            text=f"reply {i}",
            context=f"today i am {word if telling else 'here'} again",
            label=label,
            group=f"{label} {i}",
        )
        for label, word in words.items()
        for i in range(10)
    ]


def test_length_gives_a_label_away_where_labels_differ_in_it() -> None:
    words = {"empathy": 4, "sympathy": 8, "over-identification": 16, "none": 40}
    told = [
        Row(text="word " * count, label=label, group=f"{label} {i}")
        for label, count in words.items()
        for i in range(10)
    ]
    assert length_macro_f1(told) == 1.0
    alike = [row.model_copy(update={"text": "word " * 5}) for row in told]
    assert length_macro_f1(alike) < 0.4


def test_a_client_turn_that_gives_the_label_away_is_found_out() -> None:
    assert client_only_macro_f1(rows(telling=True)) == 1.0
    assert client_only_macro_f1(rows(telling=False)) < 0.40


def test_few_groups_cannot_be_held_out() -> None:
    assert can_hold_out(rows(telling=True))
    assert not can_hold_out(rows(telling=True)[:20:5])
    assert not can_hold_out([row for row in rows(telling=True) if row.label == "empathy"])


def test_words_that_tell_the_label_win_the_contrast_sets() -> None:
    made = []
    for i in range(12):
        for label, word in (("empathy", "hurt"), ("none", "when")):
            made.append(Row(text=f"so it was {word}", label=label, group=f"g{i}", contrast_set=f"s{i}"))
    assert lexical_contrast(made) == (1.0, 1.0)
