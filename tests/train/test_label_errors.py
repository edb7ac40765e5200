"""Label errors: wrong labels put among right ones are found first, by learners that did not see them."""

import random

import numpy as np
import pytest

from asif_data.rows import Row
from asif_train.label_errors import FOLDS, can_cross_validate, held_out_probabilities, label_errors

CUES = {"empathy": "you felt so alone and small", "sympathy": "oh poor thing how awful", "none": "shall we say tuesday"}
LABELS = list(CUES)


def rows(count: int = 96) -> list[Row]:
    """Rows that words alone tell apart; the labels take turns."""
    draw = random.Random(0)
    return [
        Row(
            text=" ".join([*draw.choices(CUES[LABELS[n % 3]].split(), k=8), f"word{n}"]),
            label=LABELS[n % 3],
            id=f"r{n}",
        )
        for n in range(count)
    ]


def turned(made: list[Row], places: list[int]) -> dict[int, tuple[str, str]]:
    """Give these rows another label, in place; row → (the label given, the right one)."""
    planted = {}
    for at in places:
        right = str(made[at].label)
        wrong = LABELS[(LABELS.index(right) + 1) % 3]
        made[at] = made[at].model_copy(update={"label": wrong})
        planted[at] = (wrong, right)
    return planted


def test_planted_errors_head_the_list_with_the_right_labels_suggested() -> None:
    made = rows()
    planted = turned(made, [10, 30, 47, 65, 80])
    found = label_errors(made, range(len(made)))
    first = found[: len(planted)]
    assert {e.row: (e.given, e.suggested) for e in first} == planted
    for e in first:
        assert e.given_probability < 0.5 < e.suggested_probability <= 1
        assert next(iter(e.neighbours)) == e.suggested
    margins = [e.given_probability - e.suggested_probability for e in found]
    assert margins == sorted(margins)


def test_the_same_rows_give_the_same_list() -> None:
    made = rows()
    turned(made, [10, 30])
    assert label_errors(made, range(96)) == label_errors(made, range(96))


def test_a_row_learns_nothing_from_its_own_group() -> None:
    """Words that stand in one group only tell nothing of it: all six rows get the same answer, whatever their labels."""
    made = [*rows(60), *(Row(text=f"zebra quagga {n}", label="empathy" if n % 2 else "none") for n in range(6))]
    given = np.unique([str(row.label) for row in made], return_inverse=True)[1]
    found = held_out_probabilities(made, given, [*range(60), *[60] * 6])
    assert found[60:] == pytest.approx(np.repeat(found[60:61], 6, axis=0))
    assert found.sum(1) == pytest.approx(1)


def test_neighbours_are_of_other_groups() -> None:
    """The most similar rows are of the wrong one's own group, and as wrong: they may not speak for it."""
    made = rows()
    turned(made, [10])
    made += [made[10].model_copy(update={"text": f"{made[10].text} again{n}"}) for n in range(3)]
    groups = [*range(96), 10, 10, 10]
    [found] = [e for e in label_errors(made, groups) if e.row == 10]
    assert found.neighbours == {"sympathy": 5}


@pytest.mark.parametrize(("groups", "enough"), [(FOLDS, True), (FOLDS - 1, False)])
def test_every_label_needs_a_group_for_each_fold(groups: int, enough: bool) -> None:
    labels = ["none"] * groups + ["empathy"] * FOLDS
    assert can_cross_validate(labels, range(len(labels))) == enough
    assert not can_cross_validate(["none"] * 20, range(20))


@pytest.mark.parametrize("text", ["😢", "…", "I"])
def test_texts_without_a_word_of_two_letters_are_no_obstacle(text: str) -> None:
    made = [Row(text=text * (n + 1), label="none" if n % 2 else "empathy") for n in range(20)]
    probabilities = held_out_probabilities(made, np.arange(20) % 2, range(20))
    assert probabilities.sum(1) == pytest.approx(1)
    assert len(label_errors(made, range(20))) <= 20
