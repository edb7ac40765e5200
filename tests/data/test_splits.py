"""Splits: what belongs together stays together, and the shares come out right."""

import random
from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from asif_data.duplicates import near_duplicates
from asif_data.errors import AsifError
from asif_data.labels import MARKS
from asif_data.rows import SPLITS, Row
from asif_data.splits import assign_splits, fill_splits, leaks, linked_groups, whole_groups

TURN = "He just packs his bag and goes."


def text(number: int) -> str:
    """A text like no other."""
    return " ".join("".join(random.Random(100 * number + word).choices("abcdefghij", k=6)) for word in range(5))


def rows(per_label: int, **columns: object) -> list[Row]:
    marks = [mark for mark in MARKS for _ in range(per_label)]
    return [Row.model_validate({"text": text(i), "label": mark} | columns) for i, mark in enumerate(marks)]


def linked(a: dict[str, str], b: dict[str, str]) -> bool:
    first, second = linked_groups([Row.model_validate({"text": text(i)} | part) for i, part in enumerate([a, b])])
    return first == second


def test_rows_of_one_group_are_linked() -> None:
    assert linked({"group": "session 1"}, {"group": "session 1"})
    assert not linked({"group": "session 1"}, {"group": "session 2"})


def test_rows_without_group_or_context_are_not_linked() -> None:
    assert not linked({}, {})


def test_rows_that_answer_one_client_turn_are_linked() -> None:
    assert linked({"context": TURN}, {"context": TURN})


def test_case_and_spacing_make_no_new_client_turn() -> None:
    assert linked({"context": TURN}, {"context": f"  {TURN.upper()}\n"})


def test_a_short_client_turn_links_nothing() -> None:
    assert not linked({"context": "Yeah, I guess so."}, {"context": "Yeah, I guess so."})


def test_near_duplicate_texts_are_linked() -> None:
    assert linked(
        {"text": "You feel alone, even with everyone there."}, {"text": "you feel alone even with everyone there"}
    )


def test_a_group_and_a_client_turn_of_one_name_are_not_linked() -> None:
    assert not linked({"group": TURN.lower()}, {"context": TURN})


def test_what_recurs_in_any_conversation_ties_none_together() -> None:
    okay = {"text": "Mm-hmm, okay.", "label": "none"}
    assert not linked(okay | {"group": "session 1"}, okay | {"group": "session 2"})
    assert linked(okay, okay)
    felt = {"text": "You felt alone.", "label": "empathy"}
    assert linked(felt | {"group": "session 1"}, felt | {"group": "session 2"})


def test_sessions_with_the_same_backchannels_are_split_by_session() -> None:
    made = [
        row.model_copy(update={"group": f"session {i // 4}"})
        for i, row in enumerate(row for n in range(40) for row in (*rows(1)[:3], Row(text="Okay.", label="none")))
    ]
    made = [row if row.text == "Okay." else row.model_copy(update={"text": text(i)}) for i, row in enumerate(made)]
    assert Counter(assign_splits(made)) == {"train": 128, "validation": 16, "test": 16}
    assert assign_splits(made)[:4] in [[split] * 4 for split in SPLITS]


def test_links_chain() -> None:
    chain = [
        Row(text=text(0), group="a"),
        Row(text=text(1), group="a", context=TURN),
        Row(text=text(2), context=TURN),
        Row(text=text(2) + "!", group="b"),
        Row(text=text(3), group="b"),
        Row(text=text(4), group="c"),
    ]
    groups = linked_groups(chain)
    assert len(set(groups[:5])) == 1
    assert groups[5] != groups[0]


def test_the_shares_are_80_10_10_within_each_label() -> None:
    made = rows(50)
    shares = Counter((row.label, split) for row, split in zip(made, assign_splits(made), strict=True))
    assert shares == {(mark, split): 40 if split == "train" else 5 for mark in MARKS for split in SPLITS}


def test_one_seed_gives_one_split_and_another_seed_another() -> None:
    made = rows(20)
    assert assign_splits(made, 1) == assign_splits(made, 1)
    assert assign_splits(made, 1) != assign_splits(made, 2)


def test_three_groups_of_a_label_reach_all_three_splits() -> None:
    made = rows(3)
    found = {(row.label, split) for row, split in zip(made, assign_splits(made), strict=True)}
    assert found == {(mark, split) for mark in MARKS for split in SPLITS}


def test_splits_that_every_row_carries_are_kept() -> None:
    made = [row.model_copy(update={"split": "test" if i else "train"}) for i, row in enumerate(rows(1))]
    assert assign_splits(made) == ["train", "test", "test", "test"]


def test_splits_that_some_rows_carry_are_refused() -> None:
    made = [*rows(3, split="train"), *rows(3)]
    with pytest.raises(AsifError, match="for every row or for none, found 12 of 24 rows with one"):
        assign_splits(made)


def test_a_label_with_too_few_groups_is_named_with_what_to_do() -> None:
    made = [*rows(5), *(Row(text=text(100 + i), label="rare", group="one session") for i in range(9))]
    with pytest.raises(AsifError, match="found 1 groups with 'rare'; add rows"):
        assign_splits(made)


@st.composite
def linked_rows(draw: st.DrawFn) -> list[Row]:
    def maybe(values: list[str]) -> str | None:
        return draw(st.sampled_from(values)) if draw(st.booleans()) else None

    made = []
    for row in rows(draw(st.integers(5, 10))):
        copied = draw(st.none() | st.integers(0, len(made) - 1)) if made and draw(st.integers(0, 4)) == 0 else None
        columns = {
            "text": row.text if copied is None else made[copied].text.upper() + "!",
            "group": maybe([f"session {n}" for n in range(12)]),
            "context": maybe([f"{TURN} For the {n}th time." for n in range(12)] + ["Yeah."]),
        }
        made.append(row.model_copy(update=columns))
    return made


@settings(deadline=None, max_examples=20)
@given(linked_rows(), st.integers(0, 2**32 - 1))
def test_what_is_linked_is_never_split(made: list[Row], seed: int) -> None:
    try:
        splits = assign_splits(made, seed)
    except AsifError:  # the links left a label with fewer than three groups
        reject()
    assert set(splits) <= set(SPLITS)
    alike = set(near_duplicates([row.text for row in made]))
    for (i, a), (j, b) in combinations(enumerate(made), 2):
        same_turn = a.context == b.context and a.context not in (None, "Yeah.")
        if (a.group and a.group == b.group) or same_turn or (i, j) in alike:
            assert splits[i] == splits[j]
    assert leaks([row.model_copy(update={"split": split}) for row, split in zip(made, splits, strict=True)]) == []


def test_a_sample_is_of_whole_groups_and_part_of_a_larger_one() -> None:
    made = [Row(text=text(i), group=f"session {i % 20}") for i in range(100)]
    small, large = whole_groups(made, 17), whole_groups(made, 50)
    assert (len(small), len(large)) == (15, 50)
    assert set(small) < set(large)
    assert {made[i].group for i in small}.isdisjoint(made[i].group for i in range(100) if i not in small)
    assert small == sorted(small)
    assert len(whole_groups(made, 1)) == 5


def test_linked_rows_on_two_sides_leak() -> None:
    made = [
        Row(text=text(0), group="a", split="train"),
        Row(text=text(1), group="b", split="test"),
        Row(text=text(2), group="a", split="test"),
        Row(text=text(1).upper(), group="c", split="validation"),
    ]
    assert leaks(made) == [(0, 2), (1, 3)]


def test_linked_rows_on_one_side_do_not_leak() -> None:
    assert leaks([Row(text=text(i), group="a", split="test") for i in range(3)]) == []


def test_a_row_without_a_split_does_not_leak() -> None:
    assert leaks([Row(text=text(0), group="a", split="train"), Row(text=text(1), group="a")]) == []


def test_rows_without_a_split_are_added_to_those_that_have_one() -> None:
    placed = [row.model_copy(update={"split": "test", "group": f"old {i}"}) for i, row in enumerate(rows(3))]
    copy = Row(text=placed[0].text.upper(), label="empathy")
    fresh = [Row(text=text(1000 + i), label=MARKS[i % 4]) for i in range(80)]
    found = fill_splits([*placed, copy, *fresh])
    assert set(found[: len(placed) + 1]) == {"test"}
    assert Counter(found[len(placed) + 1 :]) == {"train": 64, "validation": 8, "test": 8}
    whole = [row.model_copy(update={"split": split}) for row, split in zip([*placed, copy, *fresh], found, strict=True)]
    assert not leaks(whole)


def test_where_no_row_has_a_split_filling_is_assigning() -> None:
    assert fill_splits(rows(10), 3) == assign_splits(rows(10), 3)


def test_a_row_between_two_splits_is_named() -> None:
    placed = [
        Row(text=text(1), label="empathy", group="a", split="train"),
        Row(text=text(2), label="empathy", group="b", context=TURN, split="test"),
    ]
    between = Row(id="mine-7", text=text(1), label="empathy", context=TURN)
    with pytest.raises(AsifError, match="found mine-7 between two; leave them out"):
        fill_splits([*placed, between])
