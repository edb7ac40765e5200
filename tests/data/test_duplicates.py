"""Near-duplicates: which texts count as one."""

import random
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asif_data.duplicates import THRESHOLD, jaccard, near_duplicates, shingles
from asif_data.rows import Row

TEXTS = st.text(max_size=60)


def test_shingles_are_the_five_grams_of_the_words_in_lower_case() -> None:
    assert shingles("So, I see!") == {"so i ", "o i s", " i se", "i see"}


def test_a_text_shorter_than_a_shingle_is_its_own() -> None:
    assert shingles("Ok.") == {"ok"}


def test_jaccard_is_the_shared_share() -> None:
    assert jaccard(frozenset("abc"), frozenset("bcd")) == 0.5
    assert jaccard(frozenset("a"), frozenset("b")) == 0.0


@pytest.mark.parametrize(
    "other",
    [
        "you feel alone even with everyone there",
        "You feel alone... even with EVERYONE there!",
        "You feel alone,  even with\neveryone there?",
        "You feel so alone, even with everyone there.",
    ],
)
def test_case_punctuation_spacing_and_a_word_make_no_new_text(other: str) -> None:
    assert near_duplicates(["You feel alone, even with everyone there.", "Hm.", other]) == [(0, 2)]


def test_another_client_experience_is_another_text() -> None:
    assert near_duplicates(["It sounds like you felt abandoned.", "It sounds like you felt ashamed of him."]) == []


def test_pairs_are_ordered_and_each_copy_pairs_with_the_first() -> None:
    text = "Part of you wants to leave."
    assert near_duplicates([text, "Hm.", text, text.upper()]) == [(0, 2), (0, 3)]


def test_a_lower_threshold_finds_more() -> None:
    texts = ["You miss your sister every morning.", "You miss your brother every morning."]
    assert near_duplicates(texts) == []
    assert near_duplicates(texts, 0.4) == [(0, 1)]


def test_no_texts_have_no_pairs() -> None:
    assert near_duplicates([]) == []


def test_the_pairs_found_are_those_of_comparing_all(corpus_rows: list[Row]) -> None:
    """Sketches only propose: every pair found is right, and few are missed."""
    rng = random.Random(0)
    texts = [row.text for row in corpus_rows if len(row.text.split()) > 8][:60]
    for text in list(texts):
        words = text.split()
        for _ in range(3):
            words[rng.randrange(len(words))] = rng.choice(["perhaps", "it", "sorrow"])
            texts.append(" ".join(words))
    sets = [shingles(text) for text in texts]
    truth = {(i, j) for i, j in combinations(range(len(texts)), 2) if jaccard(sets[i], sets[j]) >= THRESHOLD}
    found = set(near_duplicates(texts))
    assert len(truth) > 100
    assert found <= truth
    assert len(found) >= 0.97 * len(truth)


@settings(deadline=None)
@given(TEXTS, TEXTS)
def test_likeness_of_any_two_texts_is_a_share_and_has_no_direction(a: str, b: str) -> None:
    share = jaccard(shingles(a), shingles(b))
    assert 0 <= share <= 1
    assert share == jaccard(shingles(b), shingles(a))
    assert jaccard(shingles(a), shingles(a)) == 1


@settings(deadline=None, max_examples=50)
@given(TEXTS, st.lists(TEXTS, max_size=8))
def test_a_copy_of_any_text_is_found(text: str, others: list[str]) -> None:
    assert (0, len(others) + 1) in near_duplicates([text, *others, text])


def test_what_recurs_all_the_time_makes_one_pair_a_time() -> None:
    texts = ["Mm-hmm.", "I felt it too, all of that spring."] * 3000
    pairs = near_duplicates(texts)
    assert len(pairs) == 5998
    assert {i for i, _ in pairs} == {0, 1}
