"""Artefacts: what a model could learn from rows without learning the distinction."""

import re
from collections.abc import Hashable, Sequence
from itertools import combinations
from statistics import mean
from typing import Any

import numpy as np
from scipy.stats import chi2_contingency
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits

from asif_data.labels import NONE
from asif_data.rows import Row, row_groups

_FOLDS = 5


def cramers_v(a: Sequence[Hashable], b: Sequence[Hashable]) -> float:
    """Association of two categorical columns, 0 (independent) to 1, corrected for the bias of small tables.

    Source: Bergsma (2013), A bias-correction for Cramér's V and Tschuprow's T.
    """
    left, i = np.unique(np.asarray(a, dtype=str), return_inverse=True)
    right, j = np.unique(np.asarray(b, dtype=str), return_inverse=True)
    if len(left) < 2 or len(right) < 2:
        return 0.0
    counts = np.zeros((len(left), len(right)))
    np.add.at(counts, (i, j), 1)
    n = counts.sum()
    rows, columns = counts.shape
    squared = float(chi2_contingency(counts, correction=False)[0]) / n  # pyright: ignore[reportArgumentType]
    squared = max(0.0, squared - (rows - 1) * (columns - 1) / (n - 1))
    rows -= (rows - 1) ** 2 / (n - 1)
    columns -= (columns - 1) ** 2 / (n - 1)
    return float(np.sqrt(squared / (min(rows, columns) - 1)))


def lexical_predictions(texts: Sequence[str], labels: Sequence[str], groups: Sequence[str]) -> np.ndarray:
    """What TF-IDF with logistic regression says of each row when its group is held out, labels of shape (rows,).

    Five folds, stratified by label. Needs at least five groups of each label.
    """
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2), LogisticRegression(C=10.0, max_iter=2000)
    )
    return _held_out(model, list(texts), labels, groups)


def _held_out(model: Any, features: Any, labels: Sequence[str], groups: Sequence[str]) -> np.ndarray:
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=0)
    with threadpool_limits(1):  # the problems are small: more threads only wait for each other
        return np.asarray(cross_val_predict(model, features, list(labels), groups=list(groups), cv=folds))


def can_hold_out(rows: Sequence[Row]) -> bool:
    """Whether there are labels to tell apart and enough groups of each to hold some out."""
    groups: dict[str, set[str]] = {}
    for row, group in zip(rows, row_groups(rows), strict=True):
        groups.setdefault(str(row.label), set()).add(group)
    return len(groups) > 1 and min(map(len, groups.values())) >= _FOLDS


def client_only_macro_f1(rows: Sequence[Row]) -> float:
    """Macro-F1 of the labels from the client's turn alone, over rows in scope that have one.

    About one over the number of labels if the client's turn gives nothing away.
    """
    kept = [row for row in rows if row.label != NONE and (row.context or "").strip()]
    labels = [str(row.label) for row in kept]
    found = lexical_predictions([row.context or "" for row in kept], labels, row_groups(kept))
    return float(f1_score(labels, found, average="macro"))


def length_macro_f1(rows: Sequence[Row]) -> float:
    """Macro-F1 of the labels from the number of words alone, over rows in scope, each group held out.

    From a decision tree of eight leaves. About one over the number of labels if length gives nothing away.
    """
    kept = [row for row in rows if row.label != NONE]
    labels = [str(row.label) for row in kept]
    tree = DecisionTreeClassifier(max_leaf_nodes=8, random_state=0)
    found = _held_out(tree, [[len(row.text.split())] for row in kept], labels, row_groups(kept))
    return float(f1_score(labels, found, average="macro"))


def contrast_sets(rows: Sequence[Row]) -> dict[str, list[int]]:
    """Indices of the rows of each contrast set."""
    sets: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        if name := getattr(row, "contrast_set", None):
            sets.setdefault(str(name), []).append(i)
    return sets


def overlap(texts: Sequence[str]) -> float:
    """Mean share of words that two of these texts have in common (Jaccard of their word sets), 0..1."""
    words = [set(re.findall(r"[\w']+", text.lower())) for text in texts]
    return mean(len(a & b) / max(1, len(a | b)) for a, b in combinations(words, 2))


def lexical_contrast(rows: Sequence[Row]) -> tuple[float, float]:
    """How far words alone go on contrast sets: share of members right, and of sets with every member right.

    From TF-IDF over utterance and context with each group held out; both 0..1.
    """
    texts = [f"{row.text}\n{row.context or ''}" for row in rows]
    labels = [str(row.label) for row in rows]
    right = lexical_predictions(texts, labels, row_groups(rows)) == np.array(labels)
    sets = contrast_sets(rows).values()
    return mean(float(right[i]) for members in sets for i in members), mean(
        float(all(right[members])) for members in sets
    )
