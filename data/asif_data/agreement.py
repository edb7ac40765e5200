"""Agreement between annotators: Krippendorff's alpha, overall, per label and per border."""

from collections.abc import Sequence

from nltk.metrics.agreement import AnnotationTask

from asif_data.rows import Row


def alpha(rows: Sequence[Row], label: str | None = None) -> float | None:
    """Krippendorff's alpha (nominal) over the rows with at least two votes.

    With `label`, every vote is reduced to "this label or another" first. 1 is perfect agreement, 0 is
    chance. None where it is not defined: fewer than two rows, or no disagreement possible.
    Source: Krippendorff, Content Analysis (2004), chapter 11, as implemented by nltk.
    """
    triples = [
        (vote.annotator, number, vote.label if label is None else str(vote.label == label))
        for number, row in enumerate(rows)
        for vote in row.votes or []
        if len(row.votes or []) > 1
    ]
    if len({t[1] for t in triples}) < 2 or len({t[2] for t in triples}) < 2:
        return None
    return float(AnnotationTask(triples).alpha())
