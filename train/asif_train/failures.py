"""Where it fails: the errors that the model was most confident of."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from asif_data.rows import Row
from asif_train.judged import Judged

SHOWN = 10


def confident_errors(judged: Judged, rows: Sequence[Row], count: int = SHOWN) -> list[dict[str, Any]]:
    """The `count` errors with the highest probability of what was answered, by row: its place, counted from 1, and id.

    A label's probability is in_scope times its score, that of none 1 - in_scope. Answers withheld as uncertain are no
    errors. What the row says is left out: it may be private.
    """
    scores, in_scope = judged.scores, judged.in_scope
    joint = np.column_stack([scores * in_scope[:, None], 1 - in_scope])
    confidence = joint[np.arange(len(joint)), judged.answers]
    wrong = np.flatnonzero(~judged.right & ~judged.uncertain)
    return [
        {
            "row": int(i) + 1,
            "id": rows[i].id,
            "true": judged.marks[judged.gold[i]],
            "answer": judged.marks[judged.answers[i]],
            "confidence": float(confidence[i]),
            "scores": dict(zip(judged.labels, map(float, scores[i]), strict=True)),
            "in_scope": float(in_scope[i]),
        }
        for i in wrong[np.argsort(-confidence[wrong], kind="stable")][:count]
    ]


def quotes(errors: Sequence[dict[str, Any]], rows: Sequence[Row]) -> dict[int, str]:
    """The words of those errors that are rows of the shipped corpus, by the row's place; a user's own stay private.

    The id of a shipped row is made from its words, so that no other row can pass for one.
    """
    return {e["row"]: _quote(row) for e in errors if (row := rows[e["row"] - 1]).id == shipped_id(row)}


def shipped_id(row: Row) -> str:
    """The id that a row with these words has in the corpus of this repository."""
    return "asif-" + hashlib.sha256(f"{row.context or ''}\x1f{row.text}".encode()).hexdigest()[:12]


def _quote(row: Row) -> str:
    return (f"Client: {row.context} Counselor: " if row.context else "") + row.text
