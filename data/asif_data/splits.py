"""Splits: rows that belong together stay on one side."""

import hashlib
import warnings
from collections import Counter
from collections.abc import Sequence

from sklearn.model_selection import StratifiedGroupKFold

from asif_data.duplicates import near_duplicates
from asif_data.errors import AsifError
from asif_data.labels import NONE
from asif_data.rows import SPLITS, Row, row_groups

# A client turn this short ("Yeah.", "I guess so.") says nothing about whose conversation it is from.
_TELLING_WORDS = 6
# Nor does a reply this short with no label ("Mm-hmm.").
_BACKCHANNEL_WORDS = 3
# Tenths where every tenth can hold every label, else larger parts.
_FOLDS = (10, 8, 6, 5, 4, 3)
# So many groups of a label, one for each split, are the least.
MIN_GROUPS_PER_LABEL = len(SPLITS)


Pairs = Sequence[tuple[int, int]]


def telling_turn(row: Row) -> str | None:
    """The client's turn that a row answers, in lower case, if it says enough to tell whose conversation it is from."""
    words = (row.context or "").lower().split()
    return " ".join(words) if len(words) >= _TELLING_WORDS else None


def backchannel(row: Row) -> bool:
    """Whether a row is one of the few words that recur in any conversation ("Okay.")."""
    return row.label == NONE and len(row.text.split()) <= _BACKCHANNEL_WORDS


def linked_groups(rows: Sequence[Row], near: Pairs | None = None) -> list[int]:
    """A number for each row; rows with one number must share a split.

    Linked are rows of one `group` or one `contrast_set`, rows that answer the same telling client turn, and rows
    whose texts are near-duplicates: `near`, if these pairs are known already. Backchannels of two groups do not tie
    these together: else all conversations would be one.
    """
    parent = list(range(len(rows)))

    def find(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[bytes, int] = {}  # by hash: the turns of a million rows would fill the memory
    loose: set[int] = set()
    for i, row in enumerate(rows):
        keys = [(name, str(value)) for name in ("group", "contrast_set") if (value := getattr(row, name, None))]
        if turn := telling_turn(row):
            keys.append(("context", turn))
        for key in keys:
            words = "\0".join(key).encode(errors="surrogatepass")
            parent[find(i)] = find(first.setdefault(hashlib.blake2b(words, digest_size=16).digest(), i))
        if row.group and backchannel(row):
            loose.add(i)
    for i, j in near_duplicates([row.text for row in rows]) if near is None else near:
        if i not in loose or j not in loose:
            parent[find(j)] = find(i)
    return [find(i) for i in range(len(rows))]


def whole_groups(rows: Sequence[Row], count: int) -> list[int]:
    """The places of about `count` rows: whole groups, in an order drawn once from their names.

    Groups are taken until the next would exceed `count`, one at least: a smaller sample is part of a larger one.
    """
    groups = row_groups(rows)
    sizes = Counter(groups)
    drawn: set[str] = set()
    for group in sorted(sizes, key=lambda name: hashlib.sha256(name.encode()).digest()):
        if drawn and sizes[group] > count:
            break
        drawn.add(group)
        count -= sizes[group]
    return [i for i, group in enumerate(groups) if group in drawn]


def assign_splits(rows: Sequence[Row], seed: int = 0) -> list[str]:
    """A split for each row: about 80 % train, 10 % validation, 10 % test, stratified by label.

    Where labels are rare, validation and test are made larger until each holds every label. Rows that carry a `split` all keep theirs; giving one to some rows only is an error. Uses
    scikit-learn's StratifiedGroupKFold over `linked_groups`.
    """
    given = [row.split for row in rows if row.split]
    if given:
        if len(given) < len(rows):
            raise AsifError(
                f"expected a split for every row or for none, found {len(given)} of {len(rows)} rows with one; "
                "`asif-data split` fills them in."
            )
        return given
    groups = linked_groups(rows)
    labels = [str(row.label) for row in rows]
    for count in _FOLDS:
        whole = [part for part in _folds(labels, groups, count, seed) if {labels[i] for i in part} == set(labels)]
        if len(whole) > 2 or (len(whole) == 2 and count == 3):
            test, validation = set(whole[0]), set(whole[1])  # once: for each of a million rows it would take hours
            return [_side(i, test, validation) for i in range(len(rows))]
    counts = {label: len({g for g, name in zip(groups, labels, strict=True) if name == label}) for label in labels}
    rarest = min(counts, key=lambda label: counts[label])
    raise AsifError(
        f"expected groups of every label for each of the three splits, found {counts[rarest]} groups with {rarest!r}; "
        "add rows or give each row a split."
    )


def fill_splits(rows: Sequence[Row], seed: int = 0) -> list[str]:
    """A split for each row, as `assign_splits`; but where some rows carry one, they keep it and the others are added to them.

    A row without a split goes where the rows are that it is linked to (see `linked_groups`); those linked to none are
    split among themselves. Raises AsifError that names the rows which are linked to two sides.
    """
    if not any(row.split for row in rows):
        return assign_splits(rows, seed)
    groups = linked_groups(rows)
    sides: dict[int, set[str]] = {group: set() for group in groups}
    for row, group in zip(rows, groups, strict=True):
        if row.split:
            sides[group].add(row.split)
    torn = [i for i, group in enumerate(groups) if not rows[i].split and len(sides[group]) > 1]
    if torn:
        names = ", ".join(rows[i].id or f"row {i + 1}" for i in torn)
        raise AsifError(f"expected rows linked to one split at most, found {names} between two; leave them out.")
    new = [i for i, group in enumerate(groups) if not sides[group]]
    drawn = dict(zip(new, assign_splits([rows[i] for i in new], seed), strict=True)) if new else {}
    return [drawn.get(i) or rows[i].split or next(iter(sides[group])) for i, group in enumerate(groups)]


def _folds(labels: Sequence[str], groups: Sequence[int], count: int, seed: int) -> list[list[int]]:
    if len(set(groups)) < count or len(labels) < count:
        return []
    folds = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a label is rarer than the folds is dealt with by the caller
        try:
            return [part.tolist() for _, part in folds.split(labels, labels, groups)]
        except ValueError:  # every label is rarer than the folds
            return []


def _side(row: int, test: set[int], validation: set[int]) -> str:
    return "test" if row in test else "validation" if row in validation else "train"


def leaks(rows: Sequence[Row], near: Pairs | None = None) -> list[tuple[int, int]]:
    """Pairs of rows that are linked (see `linked_groups`) but lie on two sides of the split."""
    groups = linked_groups(rows, near)
    seen: dict[int, dict[str, int]] = {}
    found = []
    for i, (row, group) in enumerate(zip(rows, groups, strict=True)):
        sides = seen.setdefault(group, {})
        if row.split is None:
            continue
        found += [(j, i) for split, j in sides.items() if split != row.split]
        sides.setdefault(row.split, i)
    return found
