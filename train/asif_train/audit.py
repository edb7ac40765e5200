"""Audit: labels and annotators to look at again before anything trains."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.markup import escape
from rich.table import Table

from asif_data.duplicates import near_duplicates
from asif_data.errors import AsifError
from asif_data.ids import same_words
from asif_data.rows import Placed
from asif_data.splits import Pairs, linked_groups
from asif_train.annotators import annotators
from asif_train.label_errors import FOLDS, can_cross_validate, label_errors

SHOWN = 30


@dataclass(frozen=True)
class Audit:
    """What was found; `values` is what --json prints.

    `label_errors` is None where the rows are too few to cross-validate. Rows are told by id, file and line; their texts
    are there only if they were asked for.
    """

    values: dict[str, Any]

    def tables(self) -> list[Table]:
        """Label errors, annotators and near-duplicates, for a terminal, each with the first rows; none is empty."""
        found = (
            _errors_table(self.values["label_errors"] or []),
            _annotators_table(self.values["annotators"]),
            _duplicates_table(self.values["near_duplicates"]),
        )
        return [table for table in found if table.row_count]

    def summary(self) -> str:
        """One line on each part."""
        values = self.values
        errors = values["label_errors"]
        flagged = sum(one["differs"] for one in values["annotators"])
        told = (
            f"expected two labels in at least {FOLDS} groups each to look for label errors, found fewer"
            if errors is None
            else f"{len(errors)} of {values['labelled']} labels look wrong"
        )
        return (
            f"{told}\n{flagged} of {len(values['annotators'])} annotators differ from the rest\n"
            f"{len(values['near_duplicates'])} pairs of near-duplicates with different labels"
        )


def audit(rows: Sequence[Placed], *, texts: bool = False) -> Audit:
    """Look for likely label errors, annotators who differ from the rest, and near-duplicates with different labels.

    See `label_errors` and `annotators` for the methods. Rows of one contrast set are alike and differ in their labels by
    design: they are no such near-duplicates. With `texts`, the words of the rows found are in the values. Raises AsifError if
    no row has a label.
    """
    labelled = [placed for placed in rows if placed.row.label is not None]
    if not labelled:
        raise AsifError(f"expected rows with a label, found none in {len(rows)} rows.")
    plain = [placed.row for placed in labelled]
    near = near_duplicates([row.text for row in plain])
    groups = linked_groups(plain, near)
    errors = None
    if can_cross_validate([str(row.label) for row in plain], groups):
        errors = [
            _told(labelled[e.row], texts) | {k: v for k, v in asdict(e).items() if k != "row"} | _votes(labelled[e.row])
            for e in label_errors(plain, groups)
        ]
    found = annotators([placed.row for placed in rows])
    return Audit(
        {
            "rows": len(rows),
            "labelled": len(labelled),
            "label_errors": errors,
            "annotators": [asdict(one) | {"differs": one.differs} for one in found],
            "near_duplicates": _different(labelled, near, texts),
        }
    )


def _told(placed: Placed, texts: bool) -> dict[str, Any]:
    row = placed.row
    where = {"id": row.id, "file": str(placed.path), "line": placed.line}
    return where | ({"text": row.text, "context": row.context} if texts else {})


def _votes(placed: Placed) -> dict[str, Any]:
    votes = Counter(vote.label for vote in placed.row.votes or [])
    return {"votes": dict(votes.most_common())} if len(votes) > 1 else {}


def _different(rows: Sequence[Placed], near: Pairs, texts: bool) -> list[dict[str, Any]]:
    found = []
    for pair in near:
        a, b = (rows[i] for i in pair)
        sets = [getattr(placed.row, "contrast_set", None) for placed in (a, b)]
        if a.row.label != b.row.label and (sets[0] is None or sets[0] != sets[1]):
            found.append(
                {
                    "rows": [_told(placed, texts) | {"label": placed.row.label} for placed in (a, b)],
                    "same_client_turn": same_words(a.row.context).lower() == same_words(b.row.context).lower(),
                }
            )
    return found


# Tables


def _errors_table(errors: Sequence[dict[str, Any]]) -> Table:
    title = f"Labels that look wrong{_first(len(errors))}"
    table = Table("row", "at", *_words(errors[:1]), "given", "suggested", "votes", "similar rows", title=title)
    for e in errors[:SHOWN]:
        given, suggested = (f"{e[name]} {e[f'{name}_probability']:.2f}" for name in ("given", "suggested"))
        table.add_row(*map(escape, [*_row(e), given, suggested, _counts(e.get("votes")), _counts(e["neighbours"])]))
    return table


def _first(count: int) -> str:
    return f": the first {SHOWN} of {count}" if count > SHOWN else ""


def _words(found: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    return ("utterance", "client's turn") if found and "text" in found[0] else ()


def _row(found: dict[str, Any]) -> list[str]:
    words = [found["text"], found["context"] or ""] if "text" in found else []
    return [found["id"] or "", f"{found['file']}:{found['line']}", *words]


def _counts(counts: dict[str, int] | None) -> str:
    return ", ".join(f"{count} {label}" for label, count in (counts or {}).items())


def _annotators_table(found: Sequence[dict[str, Any]]) -> Table:
    table = Table(
        "annotator", "rows", "agrees with the majority of the others", "all others do", "", title="Annotators"
    )
    for one in found:
        agreement = f"{one['agreement']:.3f} [{one['low']:.3f}, {one['high']:.3f}]"
        rest = f"{one['rest']:.3f}" if one["rest"] == one["rest"] else "-"
        table.add_row(
            escape(one["name"]), str(one["rows"]), agreement, rest, "[red]differs[/]" if one["differs"] else ""
        )
    return table


def _duplicates_table(found: Sequence[dict[str, Any]]) -> Table:
    title = f"Near-duplicates with different labels{_first(len(found))}"
    table = Table("row", "at", *_words(found[0]["rows"] if found else ()), "label", "client's turns", title=title)
    for pair in found[:SHOWN]:
        for n, row in enumerate(pair["rows"]):
            same = ("the same" if pair["same_client_turn"] else "differ") if n else ""
            table.add_row(*map(escape, [*_row(row), row["label"], same]), end_section=n == 1)
    return table
