"""Selection: which rows are most worth a label, for the served model is unsure of them and they are unlike each other."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.markup import escape
from rich.table import Table
from scipy.sparse import hstack
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import randomized_svd
from threadpoolctl import threadpool_limits

from asif_data.duplicates import NearDuplicates
from asif_data.encoding import Utterance
from asif_data.errors import AsifError
from asif_data.ids import ContentIds
from asif_data.labels import NONE
from asif_data.rows import Placed, Row
from asif_serve.decision import Decision
from asif_serve.predictor import Predictor
from asif_train.progress import progress

SHOWN = 20
POOL = 10  # unsure rows, for each that is asked for, among which to look for unlike ones
LABELS, SCOPE = "labels", "scope"
_WORDS = r"\w+|[^\w\s]+"  # any utterance has one
_WIDTH = 64
_STEPS = 50


@dataclass(frozen=True)
class Pick:
    """A row worth a label: what the model says of it, how unsure it is (0..1) and of what, and for how many it stands."""

    placed: Placed
    decision: Decision
    uncertainty: float
    because: str
    stands_for: int

    def values(self) -> dict[str, Any]:
        """For scripts; without texts."""
        return {
            "id": self.placed.row.id,
            "file": str(self.placed.path),
            "line": self.placed.line,
            "uncertainty": self.uncertainty,
            "because": self.because,
            "scores": dict(zip(self.decision.labels, self.decision.scores, strict=True)),
            "in_scope": self.decision.in_scope,
            "stands_for": self.stands_for,
        }

    def between(self) -> tuple[str, str]:
        """The two answers that the model wavers between, the likelier label first."""
        ranked = np.argsort(-np.array(self.decision.scores), kind="stable")
        best, second = (self.decision.labels[i] for i in ranked[:2])
        return best, second if self.because == LABELS else NONE


@dataclass(frozen=True)
class Selection:
    """Rows worth a label, the most uncertain first, out of so many `candidates`.

    `repeats` counts the candidates that were passed over: near-duplicates of a labelled row or of one chosen already.
    """

    picks: list[Pick]
    candidates: int
    repeats: int

    @property
    def rows(self) -> list[Row]:
        """The rows to label."""
        return [pick.placed.row for pick in self.picks]

    def values(self) -> dict[str, Any]:
        """For scripts; without texts."""
        counts = {"candidates": self.candidates, "near_duplicates": self.repeats}
        return counts | {"picked": [pick.values() for pick in self.picks]}

    def table(self) -> Table:
        """The first rows, for a terminal."""
        table = Table("row", "at", "uncertainty", "wavers between", "in_scope", "stands for", title="Worth a label")
        for pick in self.picks[:SHOWN]:
            cells = (
                str(pick.placed.row.id),
                pick.placed.place,
                f"{pick.uncertainty:.2f}",
                " and ".join(pick.between()),
                f"{pick.decision.in_scope:.2f}",
                str(pick.stands_for),
            )
            table.add_row(*map(escape, cells))
        return table


def select(
    predictor: Predictor, rows: Sequence[Placed], count: int, *, labelled: Sequence[Row] = (), seed: int = 0
) -> Selection:
    """Pick the `count` rows without a label that are most worth one.

    Diverse mini-batch active learning (Zhdanov 2019): the rows that the model is most unsure of (see `uncertainty`), ten
    for each that is asked for, are clustered by k-means, weighted by uncertainty, into `count` clusters, of each of which
    the row nearest to the mean is taken. Features are the TF-IDF of utterance and client's turn, reduced to 64 columns
    (Deerwester et al. 1990). Near-duplicates of a row chosen already, of `labelled` and of the labelled ones among
    `rows` are passed over. A row without an id gets the one that an export gives it. The same rows and seed give the
    same picks. Raises AsifError if no row is without a label.
    """
    ids = ContentIds()
    open_rows = [_named(placed, ids) for placed in rows if placed.row.label is None]
    if not open_rows:
        raise AsifError(f"expected rows without a label to choose from, found a label in each of {len(rows)} rows.")
    decisions = _answers(predictor, [placed.row for placed in open_rows])
    scores, in_scope = np.array([d.scores for d in decisions]), np.array([d.in_scope for d in decisions])
    unsure, because = uncertainty(scores, in_scope, predictor.model.manifest.calibration.scope_threshold)
    known = [row.text for row in labelled] + [placed.row.text for placed in rows if placed.row.label is not None]
    order = np.argsort(-unsure, kind="stable")
    pool, repeats = _unlike([open_rows[i].row.text for i in order], known, POOL * count)
    pool = order[pool]
    sizes = _spread([open_rows[i].row for i in pool], unsure[pool], count, seed)
    picks = [Pick(open_rows[i], decisions[i], float(unsure[i]), because[i], sizes[n])
             for n, i in enumerate(pool) if n in sizes]  # fmt: skip
    return Selection(picks, len(open_rows), repeats)


def uncertainty(scores: np.ndarray, in_scope: np.ndarray, threshold: float) -> tuple[np.ndarray, list[str]]:
    """How unsure a model is of each row, 0..1, of shape (rows,), and whether of the label or of the scope.

    The larger of two: `in_scope` x (1 - (first score - second score)), the margin between the two likeliest labels
    (Scheffer et al. 2001; Settles 2009, Active learning literature survey, 3.1) as far as any label applies; and how near
    `in_scope` is to the threshold below which the model withholds: 1 on it, falling to 0 at 0 and 1 (uncertainty sampling,
    Lewis & Gale 1994). `scores` have shape (rows, labels) and sum to 1.
    """
    ranked = -np.sort(-scores, axis=1)
    of_labels = in_scope * (1 - (ranked[:, 0] - ranked[:, 1]))
    room = np.where(in_scope >= threshold, 1 - threshold, threshold)
    of_scope = 1 - np.abs(in_scope - threshold) / np.maximum(room, 1e-12)
    because = [LABELS if wavers else SCOPE for wavers in of_labels >= of_scope]
    return np.maximum(of_labels, of_scope), because


def _named(placed: Placed, ids: ContentIds) -> Placed:
    row = placed.row
    name = row.id or ids.of(row.text, row.context, row.group)
    return placed._replace(row=row.model_copy(update={"id": name}))


def _answers(predictor: Predictor, rows: Sequence[Row]) -> list[Decision]:
    parts = [rows[i : i + 64] for i in range(0, len(rows), 64)]
    return [d for part in progress(parts, "Answering") for d in predictor([Utterance(r.text, r.context) for r in part])]


def _unlike(texts: Sequence[str], known: Sequence[str], most: int) -> tuple[list[int], int]:
    """The places of the first texts that are like none before and none that is known, and how many were passed over."""
    index = NearDuplicates()
    for text in progress(known, "Reading what is labelled") if known else ():
        index.add(text)
    kept: list[int] = []
    for n, text in enumerate(texts):
        if len(kept) == most:
            return kept, n - len(kept)
        if not index.of(text):
            index.add(text)
            kept.append(n)
    return kept, len(texts) - len(kept)


def _spread(rows: Sequence[Row], weights: np.ndarray, count: int, seed: int) -> dict[int, int]:
    """The places of `count` unlike rows, and for how many rows each stands, itself among them."""
    if len(rows) <= count:
        return dict.fromkeys(range(len(rows)), 1)
    features = _features(rows, seed)
    with threadpool_limits(1), warnings.catch_warnings():  # sums in one order, for one seed to give one answer
        warnings.simplefilter("ignore", ConvergenceWarning)  # of rows in the same words there may be fewer clusters
        means = KMeans(count, n_init="auto", max_iter=_STEPS, random_state=seed).fit(
            features, sample_weight=weights + 1e-6
        )
    distances = np.linalg.norm(features - means.cluster_centers_[means.labels_], axis=1)
    members = [np.flatnonzero(means.labels_ == cluster) for cluster in range(count)]
    sizes = {int(part[distances[part].argmin()]): len(part) for part in members if len(part)}
    for n in range(len(rows)):
        if len(sizes) == count:
            break
        sizes.setdefault(n, 1)
    return sizes


def _features(rows: Sequence[Row], seed: int) -> np.ndarray:
    """Unit vectors of rows, (rows, at most 64)."""
    columns = [[row.text for row in rows], [row.context or "" for row in rows]]
    parts = [
        TfidfVectorizer(sublinear_tf=True, token_pattern=_WORDS).fit_transform(column)
        for column in columns
        if any(map(str.strip, column))
    ]
    found: Any = hstack(parts).tocsr()
    with threadpool_limits(1):
        svd: Any = randomized_svd(found, min(_WIDTH, *found.shape), random_state=seed)
    return np.asarray(normalize(svd[0] * svd[1]))
