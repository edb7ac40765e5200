"""Keyword rules: cue phrases from the codebook, the baseline that a reader could apply with a pencil."""

import re
from collections.abc import Sequence

import numpy as np

# Written from the codebook's rules, examples and borders, and not fitted to any rows.
CUES = {
    "empathy": (
        "sounds like",
        "feels like",
        "felt like",
        "as if",
        "i imagine you",
        "i wonder if",
        "part of you",
        "matters to you",
        "matters more to you",
        "for you",
        "you sound",
        "you feel",
        "you felt",
        "youre feeling",
        "you want",
        "you wanted",
        "youre scared",
        "youre afraid",
        "you never got to",
        "abandoned",
        "lost",
        "alone",
        "torn",
    ),
    "sympathy": (
        "sorry",
        "poor thing",
        "awful",
        "terrible",
        "horrible",
        "so hard",
        "sounds hard",
        "tough",
        "stressful",
        "must be",
        "youll be fine",
        "it will get better",
        "stay strong",
        "hang in there",
        "stronger than you think",
        "dont worry",
        "at least",
        "everyone goes through",
        "we all go through",
        "i understand",
        "i hear you",
        "i hope",
        "i wish",
        "im worried",
        "im here if you need",
        "makes me so sad",
    ),
    "over-identification": (
        "me too",
        "happened to me",
        "i went through",
        "ive been there",
        "been there too",
        "i lost",
        "i felt",
        "i feel",
        "i was",
        "i had",
        "exactly how you feel",
        "the very same",
        "the same thing",
        "just like",
        "my own",
        "my mother",
        "my mom",
        "my father",
        "my dad",
        "my brother",
        "my sister",
        "my husband",
        "my wife",
        "my ex",
        "my divorce",
        "when i",
        "i cant stop",
        "i couldnt sleep",
        "i hate",
        "both of us",
        "you and i",
        "call me any",
    ),
}
_SMOOTHING = 0.5


def keyword_scores(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Scores (texts, 3) in the order of `CUES`, each row summing to 1, and in_scope (texts,), 0..1.

    A score is the label's share of the cue phrases that occur, with half a phrase added to each label; in_scope is
    n / (n + 1) of n phrases found. Case and apostrophes do not count.
    """
    rules = [[re.compile(rf"\b{re.escape(cue)}\b") for cue in cues] for cues in CUES.values()]
    plain = [re.sub("['\u2019]", "", text.lower()) for text in texts]
    hits = np.array([[sum(bool(rule.search(text)) for rule in label) for label in rules] for text in plain])
    smoothed = hits + _SMOOTHING
    found = hits.sum(1)
    return smoothed / smoothed.sum(1, keepdims=True), found / (found + 1)
