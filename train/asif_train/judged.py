"""Labelled rows with what a model answered, as arrays: what every part of a report is computed from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asif_data.rows import Row, row_groups
from asif_serve.decision import Decision
from asif_train.dataset import targets


@dataclass(frozen=True)
class Judged:
    """Rows and answers, in the order of the rows.

    `gold` and `answers` are 0..L-1 in the order of `labels`, or L for none: an answer withheld as out of scope counts
    as none, one withheld as uncertain as the best label, and `uncertain` says where. `scores` have shape (rows, L), the
    others (rows,).
    """

    labels: tuple[str, ...]
    gold: np.ndarray
    scores: np.ndarray
    in_scope: np.ndarray
    answers: np.ndarray
    uncertain: np.ndarray
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
            groups=np.array(row_groups(rows)),
        )

    @property
    def inside(self) -> np.ndarray:
        """Where a label applies, bool (rows,)."""
        return self.gold < len(self.labels)

    def part(self, rows: np.ndarray) -> "Judged":
        """The rows at these indices, or where this is true."""
        return Judged(
            self.labels,
            self.gold[rows],
            self.scores[rows],
            self.in_scope[rows],
            self.answers[rows],
            self.uncertain[rows],
            self.groups[rows],
        )
