"""Annotators beside each other."""

import math

from asif_data.rows import Row, Vote
from asif_train.annotators import Annotator, annotators


def row(**votes: str) -> Row:
    return Row(text="Hm.", votes=[Vote(annotator=who, label=label) for who, label in votes.items()])


def by_name(rows: list[Row]) -> dict[str, Annotator]:
    return {one.name: one for one in annotators(rows)}


def test_each_is_held_against_the_majority_of_the_others() -> None:
    found = by_name([row(ann="none", bob="none", cy="empathy"), row(ann="none", bob="none", cy="none")])
    assert {name: (one.rows, one.agreement) for name, one in found.items()} == {
        "ann": (1, 1.0),  # of the first row bob and cy say two things
        "bob": (1, 1.0),
        "cy": (2, 0.5),
    }
    assert found["cy"].rest == 1.0
    assert math.isclose(found["ann"].rest, 2 / 3)


def test_rows_of_one_vote_or_none_say_nothing() -> None:
    assert annotators([Row(text="Hm."), row(ann="none"), Row(text="Hm.", votes=[])]) == []


def test_who_differs_beyond_chance_comes_first_and_alone_is_flagged() -> None:
    rows = [row(ann="none", bob="none", cy="none", dan="empathy" if n % 3 else "none") for n in range(60)]
    found = annotators(rows)
    assert [(one.name, one.differs) for one in found] == [("dan", True), ("ann", False), ("bob", False), ("cy", False)]


def test_one_slip_beside_others_who_made_none_is_no_proof() -> None:
    for count in (1, 3, 100):
        slip = [row(ann="none", bob="none", cy="none", dan="none" if n else "empathy") for n in range(count)]
        assert not by_name(slip)["dan"].differs, count


def test_chance_is_told_by_fishers_exact_test() -> None:
    """Of four rows dan agrees on one; the others agree on all they are asked for."""
    rows = [row(ann="none", bob="none", cy="none", dan="empathy" if n else "none") for n in range(4)]
    found = by_name(rows)["dan"]
    assert (found.rows, found.agreement, found.rest) == (4, 0.25, 1.0)
    # 16 votes, 13 of which agree: all three that do not are among dan's four with chance C(4, 3) / C(16, 3).
    assert math.isclose(found.p_value, 4 / 560)
    assert found.differs


def test_of_two_annotators_none_differs() -> None:
    found = by_name([row(ann="none", bob="empathy" if n else "none") for n in range(100)])
    assert found["ann"].agreement == found["bob"].agreement == found["ann"].rest == 0.01
    assert not any(one.differs for one in found.values())


def test_the_only_one_with_rows_has_no_rest() -> None:
    [one] = annotators([row(ann="none", bob="none", cy="empathy")])
    assert (one.name, math.isnan(one.rest), one.differs) == ("cy", True, False)
