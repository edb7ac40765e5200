"""Checks of a set of rows that can be told by looking at the rows alone, or at them and the rows to be judged on."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from asif_data.artefacts import can_hold_out, client_only_macro_f1, contrast_sets, cramers_v, lexical_contrast, overlap
from asif_data.duplicates import NearDuplicates, near_duplicates
from asif_data.ids import same_words
from asif_data.labels import NONE
from asif_data.rows import SPLITS, Placed, Row
from asif_data.splits import MIN_GROUPS_PER_LABEL, Pairs, backchannel, leaks, linked_groups, telling_turn, whole_groups

MIN_ROWS_PER_LABEL = 8
MAX_IMBALANCE = 20.0
MAX_NEAR_DUPLICATES = 0.02
MIN_REGISTER_SHARE = 0.10
MIN_OVERLAP = 0.5
MAX_V = {"topic": 0.05, "register": 0.10}
MAX_CLIENT_ONLY = 0.40
# Below this many rows a figure about artefacts is noise.
_ENOUGH = 500
# And above this many it no longer moves, while its learners would take hours and gigabytes.
_PLENTY = 30_000


@dataclass(frozen=True)
class Check:
    """One check: what was found against what is allowed, the rows to look at, and what to do if it failed."""

    name: str
    passed: bool
    found: str
    expected: str
    rows: tuple[str, ...] = ()
    advice: str = ""


def check_rows(rows: Sequence[Row], marks: Sequence[str] = (), names: Sequence[str] | None = None) -> list[Check]:
    """All checks that the rows' columns allow. A check whose columns are absent is left out.

    Each of `marks` must occur, and none is one of them: without rows that no label applies to, nothing teaches a model to
    withhold. `names` are what to call the rows; their ids or numbers if None.
    """
    names = names or [row.id or f"row {number}" for number, row in enumerate(rows, 1)]
    near = near_duplicates([row.text for row in rows])
    checks = [_balance(rows, marks), _near_duplicates(rows, near, names)]
    if any(row.split for row in rows):
        checks += [_splits(rows), _leaks(rows, near, names)]
    else:
        checks.append(_groups(rows, near))
    if _has(rows, "register"):
        checks.append(_registers(rows))
    if any(len(members) > 1 for members in contrast_sets(rows).values()):
        checks.append(_contrast_sets(rows))
    if len(rows) >= _ENOUGH:
        kept = rows if len(rows) <= _PLENTY else [rows[i] for i in whole_groups(rows, _PLENTY)]
        told = f", on {len(kept):,} of the rows" if len(kept) < len(rows) else ""
        checks += [replace(check, found=check.found + told) for check in _artefacts(kept)]
    return [replace(check, advice="") if check.passed else check for check in checks]


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


def _balance(rows: Sequence[Row], marks: Sequence[str]) -> Check:
    counts = Counter(dict.fromkeys(marks, 0))
    counts.update(row.label for row in rows if row.label)
    needed = max(MIN_ROWS_PER_LABEL, math.ceil(max(counts.values()) / MAX_IMBALANCE))
    missing = {label: needed - count for label, count in sorted(counts.items()) if count < needed}
    return Check(
        "label balance",
        not missing,
        ", ".join(_count(label, count, missing.get(label, 0)) for label, count in sorted(counts.items())),
        f"at least {MIN_ROWS_PER_LABEL} rows a label, the commonest at most {MAX_IMBALANCE:g} times the rarest",
        advice=f"label more rows: {', '.join(f'{count} of {label}' for label, count in missing.items())}",
    )


def _count(label: str, count: int, missing: int) -> str:
    return f"{label} {count}" + (f" ({missing} missing)" if missing else "")


def _groups(rows: Sequence[Row], near: Pairs) -> Check:
    """Rows without splits are split by group, and each split must hold every label."""
    groups: dict[str, set[int]] = {str(row.label): set() for row in rows}
    for row, group in zip(rows, linked_groups(rows, near), strict=True):
        groups[str(row.label)].add(group)
    counts = {label: len(found) for label, found in sorted(groups.items())}
    missing = {label: MIN_GROUPS_PER_LABEL - n for label, n in counts.items() if n < MIN_GROUPS_PER_LABEL}
    return Check(
        "groups to split",
        not missing,
        ", ".join(_count(label, count, missing.get(label, 0)) for label, count in counts.items()),
        f"rows of each label in at least {MIN_GROUPS_PER_LABEL} groups that share no client turn or near-duplicate",
        advice=f"label rows of other conversations: {', '.join(f'{n} with {label}' for label, n in missing.items())}",
    )


def _near_duplicates(rows: Sequence[Row], near: Pairs, names: Sequence[str]) -> Check:
    """Backchannels ("Okay.") recur in any session and contrast sets differ little by design: neither counts."""
    pairs = [
        (i, j)
        for i, j in near
        if not _same_contrast_set(rows[i], rows[j]) and not (backchannel(rows[i]) and backchannel(rows[j]))
    ]
    share = len({j for _, j in pairs}) / len(rows)
    return Check(
        "near-duplicates",
        share <= MAX_NEAR_DUPLICATES,
        f"{share:.1%} of rows",
        f"at most {MAX_NEAR_DUPLICATES:.0%}",
        tuple(f"{names[i]} ~ {names[j]}" for i, j in pairs),
        "leave one row of each pair out",
    )


def _same_contrast_set(a: Row, b: Row) -> bool:
    first, second = getattr(a, "contrast_set", None), getattr(b, "contrast_set", None)
    return first is not None and first == second


def _splits(rows: Sequence[Row]) -> Check:
    counts = Counter(row.split or "no split" for row in rows)
    return Check(
        "splits",
        set(counts) == set(SPLITS),
        ", ".join(f"{split} {count}" for split, count in counts.items()),
        f"every row in one of {', '.join(SPLITS)}, none of them empty",
        advice="take the column split out; training then splits by group, or `asif-data split` does it for good",
    )


def _leaks(rows: Sequence[Row], near: Pairs, names: Sequence[str]) -> Check:
    found = leaks(rows, near)
    return Check(
        "leaks between splits",
        not found,
        f"{len(found)} pairs",
        "no group, client turn or near-duplicate on two sides",
        tuple(f"{names[i]} ~ {names[j]}" for i, j in found),
        "take the column split out; `asif-data split` keeps linked rows on one side",
    )


def check_against(rows: Iterable[Placed], corpus: Iterable[Placed]) -> Check:
    """Whether rows say again what the validation or test rows of a corpus say: they would be judged on what they taught.

    A row leaks if its text is that of a held-out row or a near-duplicate of it, or if both answer the same telling client
    turn. Backchannels do not count, nor do rows that carry the same split as there. Corpus rows need a split.
    """
    held_out = [other for other in corpus if other.row.split in ("validation", "test")]
    index = NearDuplicates()
    turns: dict[str, list[int]] = {}
    for n, other in enumerate(held_out):
        index.add(other.row.text)
        if turn := telling_turn(other.row):
            turns.setdefault(turn, []).append(n)
    found = []
    count = 0
    for mine in rows:
        count += 1
        near = index.of(mine.row.text)
        for n in sorted({*near, *turns.get(telling_turn(mine.row) or "", ())}):
            other = held_out[n]
            if mine.row.split != other.row.split and not (backchannel(mine.row) and backchannel(other.row)):
                found.append(f"{mine.place} ~ {other.place} ({_likeness(mine.row, other.row, n in near)})")
    leaking = len({pair.split(" ~ ")[0] for pair in found})
    return Check(
        "leaks from held-out rows",
        not found,
        f"{leaking} of {count} rows",
        f"none that says what one of the {len(held_out)} validation and test rows says, or answers the same client turn",
        tuple(found),
        "leave these rows out of training, or figures on those held-out rows will be too good" if found else "",
    )


def _likeness(mine: Row, other: Row, near: bool) -> str:
    if same_words(mine.text) == same_words(other.text):
        return "same text"
    return "near-duplicate" if near else "same client turn"


def _registers(rows: Sequence[Row]) -> Check:
    counts = Counter(str(getattr(row, "register", None)) for row in rows)
    return Check(
        "registers",
        min(counts.values()) >= MIN_REGISTER_SHARE * len(rows),
        ", ".join(f"{name} {count / len(rows):.1%}" for name, count in counts.most_common()),
        f"each at least {MIN_REGISTER_SHARE:.0%}",
        advice=f"add rows of {min(counts, key=lambda name: counts[name])}",
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
        "give each set rows of nearly the same words, at least two labels, and one split",
    )


def _client_only(rows: Sequence[Row]) -> Check:
    found = client_only_macro_f1(rows)
    return Check(
        "labels from the client's turn alone",
        found <= MAX_CLIENT_ONLY,
        f"macro-F1 {found:.3f} (TF-IDF, groups held out)",
        f"at most {MAX_CLIENT_ONLY:.2f}",
        advice="add replies of other labels to the same client turns",
    )


def _independent(rows: Sequence[Row], column: str, limit: float) -> Check:
    found = cramers_v([getattr(row, column, None) or "" for row in rows], [row.label or "" for row in rows])
    return Check(
        f"{column} and label",
        found <= limit,
        f"Cramér's V {found:.3f}",
        f"at most {limit:.2f}",
        advice=f"add rows of the labels that are rare in a {column}",
    )


def _lexical(rows: Sequence[Row]) -> Check:
    members, sets = lexical_contrast(rows)
    return Check(
        "words alone on contrast sets",
        True,
        f"{members:.1%} of members, {sets:.1%} of whole sets right (TF-IDF, groups held out)",
        "told, not limited",
    )
