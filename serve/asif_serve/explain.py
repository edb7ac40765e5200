"""Why: each clause judged by itself, and the words that moved the decision."""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from asif_data.encoding import Utterance
from asif_serve.decision import Decision

MAX_WORDS = 120
MAX_CLAUSES = 40
TOP_WORDS = 5
# A clause ends at punctuation followed by space, or before a conjunction that turns the sentence.
_BREAK = re.compile(r"(?<=[.!?;:,])\s++|(?<!\s)\s++(?=(?:but|because|though|although|so that)\b)", re.IGNORECASE)
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
    """Split a text into clauses of at least two words, in order; shorter pieces join the next one, the last the one before.

    A text has 40 clauses at most: the last takes all that follows.
    """
    starts = [match.start() for match in _WORD.finditer(text)]
    spans: list[Span] = []
    start, seen = 0, 0
    for match in _BREAK.finditer(text):
        words_so_far = bisect_left(starts, match.start())
        if words_so_far - seen >= 2 and len(spans) < MAX_CLAUSES - 1:
            spans.append(Span(start, match.start()))
            start, seen = match.end(), words_so_far
    if len(starts) - seen >= 2 or not spans:
        spans.append(Span(start, len(text)))
    elif text[start:].strip():
        spans[-1] = Span(spans[-1].start, len(text))
    return spans


def words(text: str) -> list[Span]:
    """The first 120 words of a text."""
    return [Span(*match.span()) for match in _WORD.finditer(text)][:MAX_WORDS]


def cost(text: str) -> int:
    """Model runs that explaining this text takes, beyond the answer itself."""
    return len(Probes(Utterance(text)))


class Probes:
    """What the model must judge to explain an utterance: each clause by itself, then the text without each word.

    Each is cut out of the text when it is asked for, so that a hundred copies of a long text are never held at once.
    """

    def __init__(self, utterance: Utterance) -> None:
        self.clauses = clauses(utterance.text)
        spans = words(utterance.text)
        # A text of one word without it is nothing to read, so nothing can be said of that word.
        self.words = [] if len(spans) == 1 else spans
        self._text, self._context = utterance

    def __len__(self) -> int:
        return len(self.clauses) + len(self.words)

    def __iter__(self) -> Iterator[Utterance]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, index: int) -> Utterance:
        if index < len(self.clauses):
            span = self.clauses[index]
            return Utterance(self._text[span.start : span.end], self._context)
        span = self.words[index - len(self.clauses)]
        return Utterance(self._text[: span.start] + self._text[span.end :], self._context)

    def lengths(self) -> list[int]:
        """Characters of each, the context included."""
        whole, context = len(self._text), len(self._context or "")
        alone = [span.end - span.start for span in self.clauses]
        return [context + length for length in alone + [whole] * len(self.words)]

    def explanation(self, decision: Decision, judged: Sequence[Decision]) -> Explanation:
        """Explain `decision`, given the decisions on all of these, in their order.

        A word's weight is the drop in the decision's probability when the word is taken out (occlusion: Li et al.
        2016, Understanding Neural Networks through Representation Erasure); only drops count.
        """
        count = len(self.clauses)
        ranked = rank(decision, self.words, judged[count:])
        return Explanation(
            list(zip(self.clauses, judged[:count], strict=True)),
            [(span, drop) for span, drop in ranked[:TOP_WORDS] if drop > 0],
        )


def explain(utterance: Utterance, decision: Decision, judge: Judge) -> Explanation:
    """Explain a decision with the model itself."""
    probes = Probes(utterance)
    return probes.explanation(decision, judge(list(probes)))


def rank(decision: Decision, spans: Sequence[Span], judged: Sequence[Decision]) -> list[tuple[Span, float]]:
    """Words with their weights, heaviest first; `judged` are the decisions without each word."""
    drops = [strength(decision, decision) - strength(decision, other) for other in judged]
    return sorted(zip(spans, drops, strict=True), key=lambda pair: -pair[1])


def strength(decision: Decision, other: Decision) -> float:
    """The probability that `other` gives to what `decision` says."""
    if decision.reason == "out_of_scope":
        return 1 - other.in_scope
    return other.in_scope * other.scores[decision.labels.index(decision.best)]
