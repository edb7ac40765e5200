"""Vocabulary: which words one label uses more than the others."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer

PRIOR_WORDS = 1000.0
_WORD = r"(?u)\b\w+(?:['\u2019]\w+)?"


def distinctive_words(
    texts: Sequence[str], labels: Sequence[str], count: int = 10, prior_words: float = PRIOR_WORDS
) -> dict[str, list[tuple[str, float]]]:
    """For each label the `count` words that set it apart most from all other labels, each with its z-score, highest first.

    Log-odds ratios with an informative Dirichlet prior, which is the words of all texts scaled to `prior_words`: Monroe,
    Colaresi & Quinn (2008), Fightin' Words, equations 16, 20 and 22. A z-score above 1.96 is not chance, for one word.
    Words are counted once for each time that they occur, in lower case.
    """
    vectorizer = CountVectorizer(token_pattern=_WORD)
    counts: Any = vectorizer.fit_transform(texts)  # a sparse matrix; the types of scikit-learn say more than it gives
    words = vectorizer.get_feature_names_out()
    total = np.asarray(counts.sum(0), dtype=float).ravel()
    prior = prior_words * total / total.sum()
    found = {}
    for label in dict.fromkeys(labels):
        here = np.array([name == label for name in labels])
        inside = np.asarray(counts[here].sum(0), dtype=float).ravel()
        a, b = inside + prior, total - inside + prior
        odds = np.log(a / (a.sum() - a)) - np.log(b / (b.sum() - b))
        z = odds / np.sqrt(1 / a + 1 / b)
        found[label] = [(str(words[i]), float(z[i])) for i in np.argsort(-z, kind="stable")[:count]]
    return found
