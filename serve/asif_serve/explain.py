"""Why: each clause judged by itself, and the words that moved the decision."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from asif_data.encoding import Utterance
from asif_serve.decision import Decision

MAX_WORDS = 120
TOP_WORDS = 5
# A clause ends at punctuation followed by space, or before a conjunction that turns the sentence.
_BREAK = re.compile(r"(?<=[.!?;:,])\s+|\s+(?=(?:but|because|though|although|so that)\b)", re.IGNORECASE)
_WORD = re.compile(r"\w+(?:['\u2019-]\w+)*")

Judge = Callable[[Sequence[Utterance]], list[Decision]]


@dataclass(frozen=True)
class Span:
    """A piece of a text: character offsets, the end excluded."""

    start: int
    end: int


@dataclass(frozen=True)
class Explanation:
    """Clauses with their own decisions, and words with their weights, heaviest first."""

    clauses: list[tuple[Span, Decision]]
    highlights: list[tuple[Span, float]]


def clauses(text: str) -> list[Span]:
    """Split a text into clauses of at least two words, in order; shorter pieces join the next one."""
    spans, start = [], 0
    ends = [match.span() for match in _BREAK.finditer(text)] + [(len(text), len(text))]
    for end, following in ends:
        last = end == len(text)
        if len(_WORD.findall(text[start:end])) >= 2 or (last and not spans):
            spans.append(Span(start, end))
        elif last and spans and text[start:end].strip():
            spans[-1] = Span(spans[-1].start, end)
        elif not last:
            continue
        start = following
    return spans


def words(text: str) -> list[Span]:
    """The first 120 words of a text."""
    return [Span(*match.span()) for match in _WORD.finditer(text)][:MAX_WORDS]


def cost(text: str) -> int:
    """Model runs that explaining this text takes, beyond the answer itself."""
    return len(clauses(text)) + len(words(text))


def explain(utterance: Utterance, decision: Decision, judge: Judge) -> Explanation:
    """
    Explain a decision with the model itself.

    A word's weight is the drop in the decision's probability when the word is taken out (occlusion: Li et al.
    2016, Understanding Neural Networks through Representation Erasure); only drops count.
    """
    text = utterance.text
    pieces, spans = clauses(text), words(text)
    without = [text[: s.start] + text[s.end :] for s in spans]
    # A text of one word without it is nothing to read, so nothing can be said of that word.
    spans, without = ([], []) if len(spans) == 1 else (spans, without)
    judged = judge(
        [Utterance(text[p.start : p.end], utterance.context) for p in pieces]
        + [Utterance(w, utterance.context) for w in without]
    )
    drops = [_strength(decision, decision) - _strength(decision, d) for d in judged[len(pieces) :]]
    ranked = sorted(zip(spans, drops, strict=True), key=lambda pair: -pair[1])
    return Explanation(
        list(zip(pieces, judged[: len(pieces)], strict=True)),
        [(span, drop) for span, drop in ranked[:TOP_WORDS] if drop > 0],
    )


def _strength(decision: Decision, other: Decision) -> float:
    """The probability that `other` gives to what `decision` says."""
    if decision.reason == "out_of_scope":
        return 1 - other.in_scope
    return other.in_scope * other.scores[decision.labels.index(decision.best)]
