"""Checks that rows pass or fail by their columns alone."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from asif_data.checks import Check, check_against, check_rows
from asif_data.labels import MARKS
from asif_data.rows import SPLITS, Placed, Row
from asif_data.splits import whole_groups


def rows(**counts: int) -> list[Row]:
    """Rows of unlike texts, so many a label."""
    labels = [label.replace("_", "-") for label, count in counts.items() for _ in range(count)]
    rng = random.Random(0)
    return [Row(text=" ".join("".join(rng.choices("abcdefgh", k=6)) for _ in range(5)), label=name) for name in labels]


def check(name: str, made: list[Row], marks: Sequence[str] = ()) -> Check:
    return {found.name: found for found in check_rows(made, marks)}[name]


def with_columns(made: list[Row], at: int, **columns: object) -> None:
    made[at] = Row.model_validate(made[at].model_dump() | columns)


def test_balanced_unlike_rows_pass() -> None:
    found = check_rows(rows(empathy=10, sympathy=10, none=10))
    assert [one.name for one in found] == ["label balance", "near-duplicates", "groups to split"]
    assert all(one.passed and one.advice == "" for one in found)
    assert found[0].found == "empathy 10, none 10, sympathy 10"


@pytest.mark.parametrize(("rarest", "most", "passed"), [(8, 8, True), (7, 8, False), (8, 160, True), (8, 161, False)])
def test_a_label_may_be_neither_rare_nor_swamped(rarest: int, most: int, passed: bool) -> None:
    assert check("label balance", rows(empathy=rarest, none=most)).passed == passed


def test_what_is_too_few_is_told_by_label_with_how_many_are_missing() -> None:
    found = check("label balance", rows(empathy=6, none=7, sympathy=9), MARKS)
    assert found.found == "empathy 6 (2 missing), none 7 (1 missing), over-identification 0 (8 missing), sympathy 9"
    assert found.advice == "label more rows: 2 of empathy, 1 of none, 8 of over-identification"


def test_a_swamped_label_misses_as_many_as_make_it_a_twentieth() -> None:
    assert check("label balance", rows(empathy=8, none=161)).found == "empathy 8 (1 missing), none 161"


def test_each_label_needs_groups_for_three_splits() -> None:
    made = rows(empathy=9, none=9)
    for at in range(9):
        with_columns(made, at, group=f"session {at % 2}")
    found = check("groups to split", made)
    assert (found.passed, found.found) == (False, "empathy 2 (1 missing), none 9")
    assert found.advice == "label rows of other conversations: 1 with empathy"
    with_columns(made, 0, group="session 2")
    assert check("groups to split", made).passed


@pytest.mark.parametrize(("copies", "passed"), [(2, True), (3, False)])
def test_near_duplicates_over_two_percent_fail_and_are_named(copies: int, passed: bool) -> None:
    made = rows(empathy=50, sympathy=50)
    with_columns(made, 0, id="first")
    for at in range(1, copies + 1):
        with_columns(made, 99 - at, text=made[at].text.upper())
    with_columns(made, 98, text=made[0].text + "!")
    found = check("near-duplicates", made)
    assert found.passed == passed
    assert found.found == f"{copies}.0% of rows"
    assert "first ~ row 99" in found.rows
    assert len(found.rows) == copies


def test_rows_of_one_contrast_set_may_be_alike() -> None:
    made = rows(empathy=10, sympathy=10)
    for at in (0, 10):
        with_columns(made, at, text="You feel alone, even with everyone there.", contrast_set="c1")
    assert check("near-duplicates", made).rows == ()
    for at in (9, 10):
        with_columns(made, at, contrast_set="c2")
    with_columns(made, 11, contrast_set="c1")
    assert check("near-duplicates", made).rows == ("row 1 ~ row 11",)


@pytest.mark.parametrize(
    ("label", "text", "named"),
    [("none", "Okay, go on.", 0), ("none", "So that was on Monday.", 1), ("empathy", "Okay, go on.", 1)],
)
def test_only_short_rows_of_none_may_recur(label: str, text: str, named: int) -> None:
    made = [*rows(empathy=10, none=10), Row(text=text, label=label), Row(text=text, label=label)]
    assert len(check("near-duplicates", made).rows) == named


def split_rows() -> list[Row]:
    made = rows(**{mark.replace("-", "_"): 12 for mark in MARKS})
    return [row.model_copy(update={"split": SPLITS[i % 3]}) for i, row in enumerate(made)]


def test_splits_are_checked_where_rows_carry_them() -> None:
    found = check_rows(split_rows())
    assert [one.name for one in found] == ["label balance", "near-duplicates", "splits", "leaks between splits"]
    assert all(one.passed for one in found)


def test_an_empty_split_fails() -> None:
    made = [row.model_copy(update={"split": "train"}) if row.split == "test" else row for row in split_rows()]
    found = check("splits", made)
    assert (found.passed, found.found) == (False, "train 32, validation 16")


def test_a_row_without_a_split_among_rows_with_one_fails() -> None:
    made = split_rows()
    with_columns(made, 0, split=None)
    found = check("splits", made)
    assert not found.passed
    assert "no split 1" in found.found


def test_a_leak_is_named() -> None:
    made = split_rows()
    for at in (3, 7):
        with_columns(made, at, group="session 1", id=f"id-{at}")
    found = check("leaks between splits", made)
    assert (found.passed, found.found, found.rows) == (False, "1 pairs", ("id-3 ~ id-7",))


def test_every_check_that_fails_says_what_to_do_in_one_line() -> None:
    made = [*split_rows(), *rows(none=1)]
    for at in (3, 7):
        with_columns(made, at, group="session 1", text="Tell me more about him.", contrast_set="c1", register="chat")
    failed = [one for one in check_rows(made) if not one.passed]
    assert {one.name for one in failed} >= {"splits", "leaks between splits", "registers", "contrast sets"}
    assert all(one.advice and "\n" not in one.advice for one in failed)


# Against a corpus


def placed(name: str, *made: Row) -> list[Placed]:
    return [Placed(row, Path(name), line) for line, row in enumerate(made, 1)]


TURN = "My sister has not called me since the funeral."
HELD_OUT = placed(
    "test.jsonl",
    Row(text="You feel alone, even with everyone there.", label="empathy", split="test"),
    Row(text="That is a lot to carry at work.", label="sympathy", split="validation", context=TURN),
    Row(text="You are torn between the two of them.", label="empathy", split="train"),
    Row(text="Okay, go on.", label="none", split="test"),
)


@pytest.mark.parametrize(
    ("row", "pair"),
    [
        (Row(text="You feel alone,  even with everyone there."), "mine.csv:1 ~ test.jsonl:1 (same text)"),
        (Row(text="you feel so alone, even with everyone there"), "mine.csv:1 ~ test.jsonl:1 (near-duplicate)"),
        (Row(text="Shall we say Tuesday?", context=TURN.upper()), "mine.csv:1 ~ test.jsonl:2 (same client turn)"),
        (Row(text="That is a lot to carry at work.", split="test"), "mine.csv:1 ~ test.jsonl:2 (same text)"),
        (Row(text="Okay, go on.", label="empathy"), "mine.csv:1 ~ test.jsonl:4 (same text)"),
    ],
)
def test_a_row_that_says_what_a_held_out_row_says_is_named_by_file_and_line(row: Row, pair: str) -> None:
    other = Row(text="Nothing of this is said anywhere else.", label="none")
    found = check_against(placed("mine.csv", row, other), HELD_OUT)
    assert (found.passed, found.found, found.rows) == (False, "1 of 2 rows", (pair,))
    assert found.advice.startswith("leave these rows out of training")


@pytest.mark.parametrize(
    "row",
    [
        Row(text="You are torn between the two of them."),  # of the training split there
        Row(text="Okay, go on.", label="none"),
        Row(text="You feel alone, even with everyone there.", split="test"),  # the same row, on the same side
        Row(text="Shall we say Tuesday?", context="Yes."),
    ],
)
def test_rows_that_give_nothing_away_pass(row: Row) -> None:
    found = check_against(placed("mine.csv", row), HELD_OUT)
    assert (found.passed, found.rows, found.advice) == (True, (), "")


def test_a_row_like_several_counts_once() -> None:
    twins = placed("test.jsonl", *[HELD_OUT[0].row] * 2)
    found = check_against(placed("mine.csv", Row(text=HELD_OUT[0].row.text)), twins)
    assert (found.found, len(found.rows)) == ("1 of 1 rows", 2)


def test_a_mark_that_must_occur_and_does_not_fails() -> None:
    made = rows(warm=10, cold=10)
    assert {one.name: one for one in check_rows(made)}["label balance"].passed
    found = {one.name: one for one in check_rows(made, ("warm", "cold", "none"))}["label balance"]
    assert (found.passed, found.found) == (False, "cold 10, none 0 (8 missing), warm 10")


def test_artefacts_of_very_many_rows_are_looked_for_in_a_part_that_is_told(
    corpus_rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asif_data.checks._PLENTY", 550)
    named = {check.name: check.found for check in check_rows(corpus_rows[:700])}
    kept = len(whole_groups(corpus_rows[:700], 550))
    assert 400 < kept <= 550
    assert named["labels from the client's turn alone"].endswith(f"(TF-IDF, groups held out), on {kept} of the rows")
    assert named["topic and label"].endswith(f", on {kept} of the rows")
    assert "of the rows" not in named["label balance"]
