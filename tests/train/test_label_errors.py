"""Label errors: wrong labels put into right ones are found, and only by learners that did not see them."""

import numpy as np
import pytest

from asif_data.rows import Row
from asif_train.label_errors import FOLDS, can_cross_validate, held_out_probabilities, label_errors

CUES = {"empathy": "you feel left out of it", "sympathy": "poor thing how awful", "none": "shall we say monday"}
FILLERS = [
    "his mother",
    "the office",
    "your week",
    "that letter",
    "the long drive",
    "her birthday",
    "an exam",
    "the cat",
]


def rows(count: int = 96) -> list[Row]:
    labels = list(CUES)
    return [
        Row(
            text=f"{CUES[labels[n % 3]]} with {FILLERS[n % 8]} and {FILLERS[n * 5 % 7]} {n}",
            label=labels[n % 3],
            id=f"r{n}",
        )
        for n in range(count)
    ]


def with_label(made: list[Row], at: int, label: str) -> None:
    made[at] = made[at].model_copy(update={"label": label})


def test_wrong_labels_are_found_with_the_right_ones_suggested() -> None:
    made = rows()
    with_label(made, 10, "none")
    with_label(made, 30, "sympathy")
    found = label_errors(made, range(len(made)))
    assert {e.row: (e.given, e.suggested) for e in found} == {10: ("none", "sympathy"), 30: ("sympathy", "empathy")}
    for e in found:
        assert e.given_probability < 0.5 < e.suggested_probability <= 1
        assert next(iter(e.neighbours)) == e.suggested
        assert sum(e.neighbours.values()) == 5


def test_right_labels_are_left_alone() -> None:
    assert label_errors(rows(), range(96)) == []


def test_a_row_learns_nothing_from_its_own_group() -> None:
    """Two words that only ever stand in one group tell nothing of it."""
    made = rows(60)
    groups = list(range(60))
    for n in range(6):
        made.append(Row(text=f"zebra quagga {n}", label="empathy" if n % 2 else "none"))
        groups.append(60)
    given = np.unique([str(row.label) for row in made], return_inverse=True)[1]
    found = held_out_probabilities(made, given, groups)
    assert found[60:] == pytest.approx(np.repeat(found[60:61], 6, axis=0), abs=0.05)
    assert found.sum(1) == pytest.approx(1)


def test_neighbours_are_of_other_groups() -> None:
    made = rows()
    with_label(made, 10, "none")
    groups = [0 if row.label == "sympathy" or n == 10 else n + 1 for n, row in enumerate(made)]
    others = groups.copy()
    for n in range(1, 90, 9):
        others[n] = 200 + n  # the label stands in enough groups to be held out
    [found] = [e for e in label_errors(made, others) if e.row == 10]
    near = {made[n].label for n in range(len(made)) if others[n] != others[10]}
    assert set(found.neighbours) <= near


def test_a_label_that_no_other_fold_has_cannot_be_called_wrong() -> None:
    made = rows(30)
    made += [Row(text=f"something else altogether {n}", label="other") for n in range(3)]
    given = np.unique([str(row.label) for row in made], return_inverse=True)[1]
    groups = [*range(30), 30, 30, 30]
    with pytest.warns(UserWarning, match="least populated class"):
        found = held_out_probabilities(made, given, groups)
    assert found[30:, given[30]].tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(("groups", "enough"), [(FOLDS, True), (FOLDS - 1, False)])
def test_every_label_needs_a_group_for_each_fold(groups: int, enough: bool) -> None:
    labels = ["none"] * groups + ["empathy"] * FOLDS
    assert can_cross_validate(labels, range(len(labels))) == enough
    assert not can_cross_validate(["none"] * 20, range(20))


@pytest.mark.parametrize("text", ["😢", "…", "I"])
def test_texts_without_a_word_of_two_letters_are_no_obstacle(text: str) -> None:
    made = [Row(text=text * (n + 1), label="none" if n % 2 else "empathy") for n in range(20)]
    assert all(e.row < 20 for e in label_errors(made, range(20)))
