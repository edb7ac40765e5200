import re
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asif_data.encoding import Utterance
from asif_serve.decision import Decision
from asif_serve.explain import MAX_WORDS, TOP_WORDS, Span, clauses, cost, explain, words

PIECES = [
    "you",
    "it's",
    "but",
    "because",
    "so that",
    "though",
    "so",
    "...",
    ".",
    ",",
    ";",
    "!",
    " ",
    "  ",
    "\n",
    "\u3000",
    "😀",
]
TEXTS = st.one_of(
    st.text(min_size=1, max_size=80), st.lists(st.sampled_from(PIECES), min_size=1, max_size=30).map("".join)
)


def pieces(text):
    return [text[span.start : span.end] for span in clauses(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("You felt left.", ["You felt left."]),
        ("You felt left. I am sorry!", ["You felt left.", "I am sorry!"]),
        ("You felt left, and alone with it", ["You felt left,", "and alone with it"]),
        ("You felt left but you stayed", ["You felt left", "but you stayed"]),
        ("You felt left BECAUSE he went", ["You felt left", "BECAUSE he went"]),
        ("You stayed so that he could go", ["You stayed", "so that he could go"]),
        ("You stayed so long", ["You stayed so long"]),
        ("You stayed butterfly calm", ["You stayed butterfly calm"]),
        ("Oh, you felt left.", ["Oh, you felt left."]),
        ("You felt left. Yes.", ["You felt left. Yes."]),
        ("You felt left. ", ["You felt left."]),
        ("At 3.5 miles you stopped", ["At 3.5 miles you stopped"]),
        ("Yes", ["Yes"]),
        ("Oh. Yes. No.", ["Oh. Yes. No."]),
        ("...", ["..."]),
    ],
)
def test_clauses(text, expected):
    assert pieces(text) == expected


@given(TEXTS)
def test_clauses_stand_in_order_inside_the_text_and_apart(text):
    spans = clauses(text)
    assert spans
    assert all(0 <= span.start < span.end <= len(text) for span in spans)
    assert all(before.end <= after.start for before, after in pairwise(spans))


@given(TEXTS)
def test_only_white_space_is_left_out_of_clauses(text):
    ends = [0, *(span.end for span in clauses(text))]
    starts = [*(span.start for span in clauses(text)), len(text)]
    assert not "".join(text[end:start] for end, start in zip(ends, starts, strict=True)).strip()


@given(TEXTS)
def test_a_clause_has_two_words_unless_it_is_all_there_is(text):
    found = pieces(text)
    assert len(found) == 1 or all(len(words(piece)) >= 2 for piece in found)


@given(TEXTS)
def test_words_stand_in_order_inside_the_text_and_apart(text):
    spans = words(text)
    assert all(re.fullmatch(r"\w+(['\u2019-]\w+)*", text[span.start : span.end]) for span in spans)
    assert all(before.end <= after.start for before, after in pairwise(spans))


def test_words_hold_their_apostrophes_and_hyphens():
    text = "It's been well-known, don\u2019t you 'think'?"
    assert [text[s.start : s.end] for s in words(text)] == ["It's", "been", "well-known", "don\u2019t", "you", "think"]


def test_only_the_first_words_of_a_long_text_are_taken_out():
    assert len(words("word " * 500)) == MAX_WORDS


@pytest.mark.parametrize("text", [" " * 6000 + "you felt left", "you felt left" + "\n" * 6000 + "alone"])
def test_a_long_run_of_white_space_takes_no_time(text):
    start = time.perf_counter()
    cost(text)
    assert time.perf_counter() - start < 0.1


class Judge:
    """Gives "you" a probability of 0.9 and anything else 0.2; remembers what it was asked."""

    def __init__(self, in_scope=1.0, reason=None):
        self.in_scope, self.reason, self.asked = in_scope, reason, []

    def __call__(self, utterances):
        self.asked.append(list(utterances))
        return [self.one(utterance) for utterance in utterances]

    def one(self, utterance):
        first = 0.9 if "you" in utterance.text.lower().split() else 0.2
        return Decision(("a", "b"), (first, 1 - first), self.in_scope, self.reason, ("a",))


def test_an_explanation_in_full():
    judge, utterance = Judge(), Utterance("He went, and you stayed.", "He left.")
    found = explain(utterance, judge.one(utterance), judge)
    assert [span for span, _ in found.clauses] == [Span(0, 8), Span(9, 24)]
    assert [decision.best for _, decision in found.clauses] == ["b", "a"]
    assert found.highlights == [(Span(13, 16), pytest.approx(0.7))]


def test_clauses_and_words_are_judged_with_the_context_in_one_call():
    judge, utterance = Judge(), Utterance("You stayed.", "He left.")
    explain(utterance, judge.one(utterance), judge)
    assert judge.asked == [
        [Utterance("You stayed.", "He left."), Utterance(" stayed.", "He left."), Utterance("You .", "He left.")]
    ]


@pytest.mark.parametrize("text", ["You stayed.", "He went, and you stayed, so that I could go.", "word " * 300])
def test_the_cost_is_what_the_judge_is_asked(text):
    judge, utterance = Judge(), Utterance(text)
    explain(utterance, judge.one(utterance), judge)
    assert sum(map(len, judge.asked)) == cost(text)


@pytest.mark.parametrize("text", ["You", "...", "you?!"])
def test_a_text_of_one_word_or_none_has_a_clause_and_no_highlight(text):
    judge, utterance = Judge(), Utterance(text)
    found = explain(utterance, judge.one(utterance), judge)
    assert [span for span, _ in found.clauses] == [Span(0, len(text))]
    assert found.highlights == []


def test_only_the_heaviest_words_are_highlighted_heaviest_first():
    def judge(utterances):
        shares = [sum(map(len, u.text.split())) / 100 for u in utterances]
        return [Decision(("a", "b"), (share, 1 - share), 1.0, None, ("a",)) for share in shares]

    # The longer a word, the more goes with it: 1 to 7 letters.
    text = "aaaaaaa bb cccc d eeeee fff gggggg"
    decision = Decision(("a", "b"), (0.9, 0.1), 1.0, None, ("a",))
    found = explain(Utterance(text), decision, judge)
    assert len(found.highlights) == TOP_WORDS
    weights = [weight for _, weight in found.highlights]
    assert weights == sorted(weights, reverse=True)
    assert [text[s.start] for s, _ in found.highlights] == ["a", "g", "e", "c", "f"]


def test_words_that_spoke_against_the_decision_are_left_out():
    judge, text = Judge(), "you went there"
    against = Decision(("a", "b"), (0.4, 0.6), 1.0, None, ("b",))
    # Without "you" the probability of "b" rises to 0.8, without another word it falls to 0.1.
    found = explain(Utterance(text), against, judge)
    assert [text[s.start : s.end] for s, _ in found.highlights] == ["went", "there"]


def test_out_of_scope_is_explained_by_words_that_keep_it_out():
    def judge(utterances):
        return [
            Decision(("a", "b"), (0.9, 0.1), 0.1 if "weather" in u.text else 0.8, "out_of_scope", ("a",))
            for u in utterances
        ]

    utterance = Utterance("Nice weather today")
    found = explain(utterance, judge([utterance])[0], judge)
    assert found.highlights == [(Span(5, 12), pytest.approx(0.7))]


def test_uncertain_is_explained_by_words_for_its_best_label():
    judge, utterance = Judge(reason="uncertain"), Utterance("There you were")
    found = explain(utterance, judge.one(utterance), judge)
    assert [span for span, _ in found.highlights] == [Span(6, 9)]
