"""Splits: rows that belong together stay on one side."""

from collections.abc import Sequence

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from asif_data.duplicates import near_duplicates
from asif_data.errors import AsifError
from asif_data.rows import Row

# A client turn this short ("Yeah.", "I guess so.") says nothing about whose conversation it is from.
_TELLING_WORDS = 6
_FOLDS = 10


def linked_groups(rows: Sequence[Row]) -> list[int]:
    """
    A number for each row; rows with one number must share a split.

    Linked are rows of one `group`, rows that answer the same telling client turn, and rows whose
    texts are near-duplicates.
    """
    parent = list(range(len(rows)))

    def find(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[tuple[str, str], int] = {}
    for i, row in enumerate(rows):
        keys = [("group", row.group)] if row.group else []
        context = " ".join((row.context or "").lower().split())
        if len(context.split()) >= _TELLING_WORDS:
            keys.append(("context", context))
        for key in keys:
            parent[find(i)] = find(first.setdefault(key, i))
    for i, j in near_duplicates([row.text for row in rows]):
        parent[find(j)] = find(i)
    return [find(i) for i in range(len(rows))]


def assign_splits(rows: Sequence[Row], seed: int = 0) -> list[str]:
    """
    A split for each row: about 80 % train, 10 % validation, 10 % test, stratified by label.

    Where a label has fewer than ten groups, validation and test get one group of it each. Rows that carry a `split` all keep theirs; giving one to some rows only is an error. Uses
    scikit-learn's StratifiedGroupKFold over `linked_groups`.
    """
    given = [row.split for row in rows if row.split]
    if given:
        if len(given) < len(rows):
            raise AsifError(
                f"expected a split for every row or for none, found {len(given)} of {len(rows)} rows with one."
            )
        return given
    groups = linked_groups(rows)
    labels = [str(row.label) for row in rows]
    groups_with = {label: len({g for g, name in zip(groups, labels, strict=True) if name == label}) for label in labels}
    rarest = min(groups_with, key=lambda label: groups_with[label])
    if groups_with[rarest] < 3:
        raise AsifError(
            f"expected at least 3 groups of rows with label {rarest!r} to split, found {groups_with[rarest]}; "
            "add rows or give each row a split."
        )
    folds = StratifiedGroupKFold(min(_FOLDS, groups_with[rarest]), shuffle=True, random_state=seed)
    names = np.full(len(rows), "train", dtype=object)
    parts = [part for _, part in folds.split(labels, labels, groups)]
    names[parts[0]] = "test"
    names[parts[1]] = "validation"
    return [str(name) for name in names]


def leaks(rows: Sequence[Row]) -> list[tuple[int, int]]:
    """Pairs of rows that are linked (see `linked_groups`) but lie on two sides of the split."""
    groups = linked_groups(rows)
    seen: dict[int, dict[str, int]] = {}
    found = []
    for i, (row, group) in enumerate(zip(rows, groups, strict=True)):
        sides = seen.setdefault(group, {})
        if row.split is None:
            continue
        found += [(j, i) for split, j in sides.items() if split != row.split]
        sides.setdefault(row.split, i)
    return found
