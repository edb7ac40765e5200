"""Transforms: the same words to a reader, written another way, the same way every time."""

import re
from random import Random

import pytest
from pydantic import ValidationError

from asif_train import transforms
from asif_train.robustness import read_suite
from asif_train.transforms import NAMES, TRANSFORMS, Item, transformed

TEXT = "[tearful] You felt small, {name}, as if you were twelve again. And nobody came, did they?"
CONTEXT = "He read my letter out loud at 7.30 and laughed, {name}."
ITEMS = [
    Item(
        id=f"item-{i}", border="plain", label="empathy", text=TEXT, context=CONTEXT, context_paraphrase="He mocked me."
    )
    for i in range(40)
]


def changed(name: str) -> list[tuple[str, str]]:
    found = [transformed(item, name) for item in ITEMS]
    assert all(found)
    return [(one.text, one.context or "") for one in found if one]


def letters(text: str) -> str:
    return re.sub(r"\W", "", text).lower()


def plain(item: Item) -> str:
    return item.utterance().text


@pytest.mark.parametrize("name", TRANSFORMS)
def test_every_transform_changes_an_item_and_always_in_the_same_way(name: str) -> None:
    for item in ITEMS:
        found = transformed(item, name)
        assert found is not None
        assert found == transformed(item, name) != item.utterance()


def test_the_draws_stay_as_they_were_when_the_suite_was_frozen() -> None:
    assert [ITEMS[0].name, ITEMS[1].name] == ["Deniz", "Guadalupe"]
    found = transformed(ITEMS[0], "typos")
    assert found is not None
    assert found.text == "[tearful] You flet small, Deniz, as if you were twelve again. And nobody came, did they?"
    assert found.context == "He rad my letter out loud at 7.30 and laughed, Deniz."


@pytest.mark.parametrize("name", [name for name in TRANSFORMS if name != "names"])
def test_a_name_stands_in_both_turns_and_no_placeholder_is_left(name: str) -> None:
    for item, (text, context) in zip(ITEMS, changed(name), strict=True):
        assert "{" not in text + context
        if name != "typos":
            assert letters(item.name) in letters(text)


def test_another_name_takes_the_place_of_the_first_in_both_turns() -> None:
    for item, (text, context) in zip(ITEMS, changed("names"), strict=True):
        other = next(name for name in NAMES if TEXT.format(name=name) == text)
        assert other != item.name
        assert context == CONTEXT.format(name=other)
    assert len({item.name for item in ITEMS}) > 15


def test_names_are_about_forty_and_each_stands_once() -> None:
    assert len(NAMES) == len(set(NAMES)) == 40


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lower case", "so you left, and came back at 7.30. why?"),
        ("punctuation dropped", "So you left and came back at 7.30 Why"),
        ("punctuation doubled", "So you left,, and came back at 7.30.. Why??"),
        ("punctuation dots", "So you left... and came back at 7.30... Why?"),
    ],
)
def test_case_and_punctuation(name: str, expected: str) -> None:
    item = Item(id="a", border="plain", label="none", text="So you left, and came back at 7.30. Why?")
    assert transformed(item, name) == (expected, None)


def test_fillers_stand_between_words_of_a_clause_and_outside_brackets() -> None:
    seen = set()
    for item, (text, context) in zip(ITEMS, changed("fillers"), strict=True):
        found = re.findall(r", (um|uh|you know|I mean), ", text)
        assert len(found) == 1
        assert letters(re.sub(r",? (um|uh|you know|I mean),", "", text, count=1)) == letters(plain(item))
        assert text.startswith("[tearful] You")
        assert not re.search(r"[.?] (um|uh|you know|I mean),", text)
        assert ",," not in text
        assert context == item.utterance().context
        seen.add(found[0])
    assert seen == {"um", "uh", "you know", "I mean"}


def test_typos_change_one_long_word_in_twelve_and_never_its_first_letter() -> None:
    for item, (text, _) in zip(ITEMS, changed("typos"), strict=True):
        pairs = [(a, b) for a, b in zip(plain(item).split(), text.split(), strict=True) if a != b]
        assert len(pairs) == 1
        [(before, after)] = pairs
        assert len(letters(before)) >= 4
        assert before[0] == after[0] != "["
        swapped = sorted(before) == sorted(after)
        assert swapped or len(after) == len(before) - 1


def test_a_recogniser_writes_no_capitals_marks_or_brackets() -> None:
    for item, (text, context) in zip(ITEMS, changed("speech recognition"), strict=True):
        assert re.fullmatch(r"[\w '\u2019-]+", text + context)
        assert text == text.lower()
        assert " uh " in text
        expected = letters(plain(item).removeprefix("[tearful]"))
        assert letters(text.replace(" uh ", " ")) == expected


def test_apostrophes_inside_words_are_spoken() -> None:
    item = Item(id="a", border="plain", label="none", text="Don't say \u201cI'm fine\u201d \u2014 it isn't.")
    found = transformed(item, "speech recognition")
    assert found is not None
    assert found.text.replace(" uh", "") == "don't say i'm fine it isn't"


def test_brackets_stand_before_a_clause_and_leave_the_words() -> None:
    starts = set()
    for item, (text, context) in zip(ITEMS, changed("brackets"), strict=True):
        [(start, bracket)] = [(m.start(), m.group()) for m in re.finditer(r"\[(?!tearful)[^\]]+\] ", text)]
        assert text[:start] + text[start + len(bracket) :] == plain(item)
        assert start == 0 or text[start - 2] in ",.?"
        assert context == item.utterance().context
        starts.add(start)
    assert len(starts) > 2


def test_a_paraphrased_context_takes_the_place_of_the_first() -> None:
    assert set(changed("context paraphrase")) == {(item.utterance().text, "He mocked me.") for item in ITEMS}


@pytest.mark.parametrize("name", ["names", "context paraphrase", "punctuation doubled", "punctuation dots", "fillers"])
def test_an_item_that_a_transform_cannot_change_is_left_out(name: str) -> None:
    assert transformed(Item(id="a", border="plain", label="none", text="okay"), name) is None


def test_a_text_of_marks_alone_is_not_emptied() -> None:
    item = Item(id="a", border="plain", label="none", text="...")
    assert transformed(item, "punctuation dropped") is None
    assert transforms.speech_recognition("...", Random(0)) == ""


def test_an_unknown_label_is_named() -> None:
    with pytest.raises(ValidationError, match=r"expected one of empathy, .*found 'pity'"):
        Item(id="a", border="plain", label="pity", text="Poor you.")


@pytest.mark.parametrize("name", TRANSFORMS)
def test_every_transform_changes_at_least_a_hundred_items_of_the_suite(name: str) -> None:
    assert sum(transformed(item, name) is not None for item in read_suite().items) >= 100
