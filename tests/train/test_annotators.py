"""Annotators beside each other."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from asif_data.labels import MARKS
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
    assert (found["ann"].rest, found["cy"].rest) == (pytest.approx(2 / 3), 1.0)


def test_rows_of_one_vote_or_none_say_nothing() -> None:
    assert annotators([Row(text="Hm."), row(ann="none"), Row(text="Hm.", votes=[])]) == []


def test_who_differs_beyond_chance_is_flagged_and_comes_first() -> None:
    rows = [row(ann="none", bob="none", cy="none", dan="empathy" if n % 3 else "none") for n in range(60)]
    found = annotators(rows)
    assert [(one.name, one.differs) for one in found] == [("dan", True), ("ann", False), ("bob", False), ("cy", False)]


def test_the_same_share_of_few_rows_is_no_proof() -> None:
    rows = [row(ann="none", bob="none", cy="none", dan="empathy" if n else "none") for n in range(3)]
    assert not by_name(rows)["dan"].differs


def test_of_two_annotators_none_differs() -> None:
    found = by_name([row(ann="none", bob="empathy" if n else "none") for n in range(100)])
    assert found["ann"].agreement == found["bob"].agreement == found["ann"].rest == 0.01
    assert not any(one.differs for one in found.values())


def test_the_only_one_with_rows_has_no_rest() -> None:
    rows = [row(ann="none", bob="none", cy="empathy")]
    [one] = annotators(rows)
    assert (one.name, math.isnan(one.rest), one.differs) == ("cy", True, False)


@given(st.lists(st.dictionaries(st.sampled_from("abcd"), st.sampled_from(MARKS)), max_size=12))
def test_intervals_are_wilsons(votes: list[dict[str, str]]) -> None:
    for one in annotators([row(**labels) for labels in votes]):
        low, high = proportion_confint(round(one.agreement * one.rows), one.rows, method="wilson")
        assert (one.low, one.high) == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))
        assert one.low <= one.agreement + 1e-9
        assert one.agreement <= one.high + 1e-9
