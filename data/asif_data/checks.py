"""Checks of a set of rows that can be told by looking at the rows alone."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from asif_data.artefacts import can_hold_out, client_only_macro_f1, contrast_sets, cramers_v, lexical_contrast, overlap
from asif_data.duplicates import near_duplicates
from asif_data.labels import NONE
from asif_data.rows import SPLITS, Row
from asif_data.splits import Pairs, leaks

MIN_ROWS_PER_LABEL = 8
MAX_IMBALANCE = 20.0
MAX_NEAR_DUPLICATES = 0.02
MIN_REGISTER_SHARE = 0.10
MIN_OVERLAP = 0.5
MAX_V = {"topic": 0.05, "register": 0.10}
MAX_CLIENT_ONLY = 0.40
# Below this many rows a figure about artefacts is noise.
_ENOUGH = 500


@dataclass(frozen=True)
class Check:
    """One check: what was found against what is allowed, and the rows to look at if it failed."""

    name: str
    passed: bool
    found: str
    expected: str
    rows: tuple[str, ...] = ()


def check_rows(rows: Sequence[Row], marks: Sequence[str] = ()) -> list[Check]:
    """All checks that the rows' columns allow. A check whose columns are absent is left out.

    Each of `marks` must occur, and none is one of them: without rows that no label applies to, nothing teaches a model to withhold.
    """
    alike = near_duplicates([row.text for row in rows])
    checks = [_balance(rows, marks), _near_duplicates(rows, alike)]
    if any(row.split for row in rows):
        checks += [_splits(rows), _leaks(rows, alike)]
    if _has(rows, "register"):
        checks.append(_registers(rows))
    if any(len(members) > 1 for members in contrast_sets(rows).values()):
        checks.append(_contrast_sets(rows))
    if len(rows) >= _ENOUGH:
        checks += _artefacts(rows)
    return checks


def _has(rows: Sequence[Row], column: str) -> bool:
    return any(getattr(row, column, None) for row in rows)


def _artefacts(rows: Sequence[Row]) -> list[Check]:
    checks = [_client_only(rows)] if can_hold_out([row for row in rows if row.label != NONE and row.context]) else []
    for column, limit in MAX_V.items():
        if _has(rows, column):
            checks.append(_independent(rows, column, limit))
    if contrast_sets(rows) and can_hold_out(rows):
        checks.append(_lexical(rows))
    return checks


def _name(rows: Sequence[Row], index: int) -> str:
    return rows[index].id or f"row {index + 1}"


def _balance(rows: Sequence[Row], marks: Sequence[str]) -> Check:
    counts = Counter(dict.fromkeys(marks, 0))
    counts.update(row.label for row in rows if row.label)
    fewest, most = min(counts.values()), max(counts.values())
    return Check(
        "label balance",
        fewest >= MIN_ROWS_PER_LABEL and most <= MAX_IMBALANCE * fewest,
        ", ".join(f"{label} {count}" for label, count in sorted(counts.items())),
        f"at least {MIN_ROWS_PER_LABEL} rows a label, the commonest at most {MAX_IMBALANCE:g} times the rarest",
    )


def _near_duplicates(rows: Sequence[Row], alike: Pairs) -> Check:
    """Backchannels ("Okay.") recur in any session and contrast sets differ little by design: neither counts."""
    pairs = [
        (i, j)
        for i, j in alike
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


def _leaks(rows: Sequence[Row], alike: Pairs) -> Check:
    found = leaks(rows, alike)
    return Check(
        "leaks between splits",
        not found,
        f"{len(found)} pairs",
        "no group, client turn or near-duplicate on two sides",
        tuple(f"{_name(rows, i)} ~ {_name(rows, j)}" for i, j in found),
    )


def _registers(rows: Sequence[Row]) -> Check:
    counts = Counter(str(getattr(row, "register", None)) for row in rows)
    return Check(
        "registers",
        min(counts.values()) >= MIN_REGISTER_SHARE * len(rows),
        ", ".join(f"{name} {count / len(rows):.1%}" for name, count in counts.most_common()),
        f"each at least {MIN_REGISTER_SHARE:.0%}",
    )


def _contrast_sets(rows: Sequence[Row]) -> Check:
    sets = contrast_sets(rows)
    undone = [name for name, members in sets.items() if len({rows[i].label for i in members}) < 2]
    apart = [name for name, members in sets.items() if len({rows[i].split for i in members}) > 1]
    shared = median(overlap([rows[i].text for i in members]) for members in sets.values() if len(members) > 1)
    return Check(
        "contrast sets",
        not undone and not apart and shared >= MIN_OVERLAP,
        f"{len(sets)} sets, median word overlap {shared:.2f}, {len(undone)} of one label, {len(apart)} on several sides",
        f"two labels at least, one side of the split, median overlap at least {MIN_OVERLAP}",
        tuple(undone + apart),
    )


def _client_only(rows: Sequence[Row]) -> Check:
    found = client_only_macro_f1(rows)
    return Check(
        "labels from the client's turn alone",
        found <= MAX_CLIENT_ONLY,
        f"macro-F1 {found:.3f} (TF-IDF, groups held out)",
        f"at most {MAX_CLIENT_ONLY:.2f}",
    )


def _independent(rows: Sequence[Row], column: str, limit: float) -> Check:
    found = cramers_v([getattr(row, column, None) or "" for row in rows], [row.label or "" for row in rows])
    return Check(f"{column} and label", found <= limit, f"Cramér's V {found:.3f}", f"at most {limit:.2f}")


def _lexical(rows: Sequence[Row]) -> Check:
    members, sets = lexical_contrast(rows)
    return Check(
        "words alone on contrast sets",
        True,
        f"{members:.1%} of members, {sets:.1%} of whole sets right (TF-IDF, groups held out)",
        "told, not limited",
    )
