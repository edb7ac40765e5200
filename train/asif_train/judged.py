"""Labelled rows with what a model answered, as arrays: what every part of a report is computed from."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from asif_data.encoding import Utterance
from asif_data.errors import AsifError
from asif_data.labels import NONE
from asif_data.rows import Row, row_groups
from asif_serve.decision import Decision
from asif_serve.predictor import Predictor
from asif_train.dataset import targets
from asif_train.progress import progress

_PART = 64  # rows between two moves of the progress bar


@dataclass(frozen=True)
class Judged:
    """Rows and answers, in the order of the rows.

    `gold` and `answers` are 0..L-1 in the order of `labels`, or L for none: an answer withheld as out of scope counts
    as none, one withheld as uncertain as the best label, and `uncertain` says where. `scores` and `sets`, bool, which
    labels the prediction set holds, have shape (rows, L), the others (rows,).
    """

    labels: tuple[str, ...]
    gold: np.ndarray
    scores: np.ndarray
    in_scope: np.ndarray
    answers: np.ndarray
    uncertain: np.ndarray
    sets: np.ndarray
    groups: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[Row], decisions: Sequence[Decision], labels: tuple[str, ...]) -> "Judged":
        """Labelled rows beside the decisions on them."""
        withheld = len(labels)
        return cls(
            labels,
            gold=np.array(targets(rows, labels)),
            scores=np.array([d.scores for d in decisions]),
            in_scope=np.array([d.in_scope for d in decisions]),
            answers=np.array([withheld if d.reason == "out_of_scope" else labels.index(d.best) for d in decisions]),
            uncertain=np.array([d.reason == "uncertain" for d in decisions]),
            sets=np.array([[label in d.prediction_set for label in labels] for d in decisions]),
            groups=np.array(row_groups(rows)),
        )

    @property
    def inside(self) -> np.ndarray:
        """Where a label applies, bool (rows,)."""
        return self.gold < len(self.labels)

    @property
    def right(self) -> np.ndarray:
        """Where the answer, none included, is the true one, bool (rows,)."""
        return self.answers == self.gold

    @property
    def marks(self) -> tuple[str, ...]:
        """The labels and none: the names of 0..L."""
        return (*self.labels, NONE)

    def part(self, rows: np.ndarray) -> "Judged":
        """The rows at these indices, or where this is true."""
        arrays = [field.name for field in fields(self) if field.name != "labels"]
        return Judged(self.labels, **{name: getattr(self, name)[rows] for name in arrays})


def judge(predictor: Predictor, rows: Sequence[Row], doing: str = "Answering") -> Judged:
    """Put labelled rows to a model as it is served, with a progress bar that says what is being done.

    Raises AsifError if the model does not know a row's label, or a label applies to none of the rows.
    """
    check_known(predictor, rows)
    if all(row.label == NONE for row in rows):
        raise AsifError("expected rows that one of the labels applies to, found none.")
    parts = [rows[i : i + _PART] for i in range(0, len(rows), _PART)]
    decisions = [d for part in progress(parts, doing) for d in predictor([Utterance(r.text, r.context) for r in part])]
    return Judged.of(rows, decisions, predictor.labels)


def check_known(predictor: Predictor, rows: Sequence[Row]) -> None:
    """Raise AsifError that names the labels of rows which the model does not know."""
    unknown = sorted({str(row.label) for row in rows} - {*predictor.labels, NONE})
    if unknown:
        raise AsifError(
            f"expected rows labelled {', '.join(predictor.labels)} or none, which {predictor.model.path.name} knows, "
            f"found {', '.join(unknown)}."
        )
