"""Label errors: rows whose label a learner that has not seen them disbelieves."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from cleanlab.filter import find_label_issues
from scipy.sparse import hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_limits

from asif_data.rows import Row
from asif_train.progress import progress

FOLDS = 5
NEIGHBOURS = 5
_WORDS = r"\w+|[^\w\s]+"  # with "I" and "?", which tell labels apart
_CHUNK = 256


@dataclass(frozen=True)
class LabelError:
    """A label that is likely wrong: the row's place, the label given and the one suggested, each with its probability 0..1.

    `neighbours` counts the labels of the most similar rows of other groups, the commonest first.
    """

    row: int
    given: str
    given_probability: float
    suggested: str
    suggested_probability: float
    neighbours: dict[str, int]


def can_cross_validate(labels: Sequence[str], groups: Sequence[int]) -> bool:
    """Whether there are two labels at least, each in so many groups that every fold can hold one out."""
    found = _groups_of(labels, groups)
    return len(found) > 1 and min(map(len, found.values())) >= FOLDS


def _groups_of(labels: Sequence[str], groups: Sequence[int]) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for label, group in zip(labels, groups, strict=True):
        found.setdefault(label, set()).add(group)
    return found


def label_errors(rows: Sequence[Row], groups: Sequence[int]) -> list[LabelError]:
    """Labelled rows whose label is likely wrong, the likeliest first.

    Confident learning (Northcutt, Jiang & Chuang 2021), as implemented by cleanlab, on probabilities from outside of each
    row's group: five folds, TF-IDF of utterance and client's turn with logistic regression. Rows of one of `groups` lie
    in one fold. `none` is a label like the others. Needs rows for which `can_cross_validate` holds.
    """
    labels = [str(row.label) for row in rows]
    names, given = np.unique(labels, return_inverse=True)
    probabilities = held_out_probabilities(rows, given, groups)
    suspects = np.asarray(
        find_label_issues(given, probabilities, return_indices_ranked_by="normalized_margin", n_jobs=1), dtype=int
    )
    suggested = probabilities.argmax(1)
    neighbours = _neighbours(_features(rows, rows)[0], suspects, np.asarray(groups))
    return [
        LabelError(
            int(i),
            str(names[given[i]]),
            float(probabilities[i, given[i]]),
            str(names[suggested[i]]),
            float(probabilities[i, suggested[i]]),
            dict(Counter(labels[j] for j in near).most_common()),
        )
        for i, near in zip(suspects, neighbours, strict=True)
    ]


def held_out_probabilities(rows: Sequence[Row], given: np.ndarray, groups: Sequence[int]) -> np.ndarray:
    """Probabilities of the labels 0.. in `given`, (rows, labels), each row's from a learner that saw none of its group.

    Where the other folds hold no row with a row's label, nothing can be said against it: it gets probability 1.
    """
    found = np.zeros((len(rows), given.max() + 1))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    for seen, new in progress(list(folds.split(given, given, groups)), "Cross-validating"):
        known, asked = _features([rows[i] for i in seen], [rows[i] for i in new])
        with threadpool_limits(1):  # the problems are small: more threads only wait for each other
            learner = LogisticRegression(C=10.0, max_iter=2000).fit(known, given[seen])
        found[np.ix_(new, learner.classes_)] = learner.predict_proba(asked)
        alone = new[~np.isin(given[new], learner.classes_)]
        found[alone] = np.eye(found.shape[1])[given[alone]]
    return found


def _features(seen: Sequence[Row], new: Sequence[Row]) -> tuple[Any, Any]:
    """Sparse vectors of rows, (rows, features), in the words of the rows seen."""
    sides: tuple[list[Any], list[Any]] = ([], [])
    for texts in (lambda row: row.text, lambda row: row.context or ""):
        known = [texts(row) for row in seen]
        if any(map(str.strip, known)):
            words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=_WORDS)
            sides[0].append(words.fit_transform(known))
            sides[1].append(words.transform([texts(row) for row in new]))
    return hstack(sides[0]).tocsr(), hstack(sides[1]).tocsr()


def _neighbours(features: Any, asked: np.ndarray, groups: np.ndarray) -> list[np.ndarray]:
    """The rows most similar (cosine) to each row asked for, of other groups, the nearest first; what shares no word is none."""
    found = []
    for start in range(0, len(asked), _CHUNK):
        part = asked[start : start + _CHUNK]
        likeness = (features[part] @ features.T).toarray()
        likeness[groups[part][:, None] == groups[None, :]] = 0
        for line in likeness:
            nearest = np.argsort(-line, kind="stable")[:NEIGHBOURS]
            found.append(nearest[line[nearest] > 0])
    return found
