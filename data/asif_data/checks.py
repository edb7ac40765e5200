"""Checks of a set of rows that can be told by looking at the rows alone."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from asif_data.duplicates import near_duplicates
from asif_data.labels import NONE
from asif_data.rows import SPLITS, Row
from asif_data.splits import leaks

MIN_ROWS_PER_LABEL = 8
MAX_IMBALANCE = 20.0
MAX_NEAR_DUPLICATES = 0.02


@dataclass(frozen=True)
class Check:
    """One check: what was found against what is allowed, and the rows to look at if it failed."""

    name: str
    passed: bool
    found: str
    expected: str
    rows: tuple[str, ...] = ()


def check_rows(rows: Sequence[Row]) -> list[Check]:
    """All checks that the rows' columns allow. A check whose columns are absent is left out."""
    checks = [_balance(rows), _near_duplicates(rows)]
    if any(row.split for row in rows):
        checks += [_splits(rows), _leaks(rows)]
    return checks


def _name(rows: Sequence[Row], index: int) -> str:
    return rows[index].id or f"row {index + 1}"


def _balance(rows: Sequence[Row]) -> Check:
    counts = Counter(row.label for row in rows if row.label)
    fewest, most = min(counts.values()), max(counts.values())
    return Check(
        "label balance",
        fewest >= MIN_ROWS_PER_LABEL and most <= MAX_IMBALANCE * fewest,
        ", ".join(f"{label} {count}" for label, count in sorted(counts.items())),
        f"at least {MIN_ROWS_PER_LABEL} rows a label, the commonest at most {MAX_IMBALANCE:g} times the rarest",
    )


def _near_duplicates(rows: Sequence[Row]) -> Check:
    """Backchannels ("Okay.") recur in any session and contrast sets differ little by design: neither counts."""
    pairs = [
        (i, j)
        for i, j in near_duplicates([row.text for row in rows])
        if not _same_contrast_set(rows[i], rows[j]) and not (rows[i].label == rows[j].label == NONE and _short(rows[i]))
    ]
    share = len({j for _, j in pairs}) / len(rows)
    return Check(
        "near-duplicates",
        share <= MAX_NEAR_DUPLICATES,
        f"{share:.1%} of rows",
        f"at most {MAX_NEAR_DUPLICATES:.0%}",
        tuple(f"{_name(rows, i)} ~ {_name(rows, j)}" for i, j in pairs),
    )


def _same_contrast_set(a: Row, b: Row) -> bool:
    first, second = getattr(a, "contrast_set", None), getattr(b, "contrast_set", None)
    return first is not None and first == second


def _short(row: Row) -> bool:
    return len(row.text.split()) <= 3


def _splits(rows: Sequence[Row]) -> Check:
    counts = Counter(row.split or "no split" for row in rows)
    return Check(
        "splits",
        set(counts) == set(SPLITS),
        ", ".join(f"{split} {count}" for split, count in counts.items()),
        f"every row in one of {', '.join(SPLITS)}, none of them empty",
    )


def _leaks(rows: Sequence[Row]) -> Check:
    found = leaks(rows)
    return Check(
        "leaks between splits",
        not found,
        f"{len(found)} pairs",
        "no group, client turn or near-duplicate on two sides",
        tuple(f"{_name(rows, i)} ~ {_name(rows, j)}" for i, j in found),
    )
