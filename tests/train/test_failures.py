"""Where it fails: the most confident errors, without their words."""

import numpy as np
import pytest

from asif_data.labels import LABELS
from asif_data.rows import Row
from asif_train.failures import confident_errors, quotes, shipped_id
from asif_train.judged import Judged

ROWS = [
    Row(text="right", label="empathy", id="a", source="asif"),
    Row(text="private words", label="none", id="b", source="asif"),
    Row(text="shipped words", label="sympathy", context="I lost him.", id="asif-ae935920681f"),
    Row(text="withheld", label="empathy", id="d", source="asif"),
]
JUDGED = Judged(
    LABELS,
    gold=np.array([0, 3, 1, 0]),
    scores=np.array([[0.9, 0.05, 0.05], [0.1, 0.8, 0.1], [0.2, 0.7, 0.1], [0.3, 0.4, 0.3]]),
    in_scope=np.array([0.9, 0.5, 0.1, 0.9]),
    answers=np.array([0, 1, 3, 1]),
    uncertain=np.array([False, False, False, True]),
    sets=np.ones((4, 3), dtype=bool),
    groups=np.arange(4),
)


def test_errors_come_by_the_probability_of_what_was_answered() -> None:
    first, second = confident_errors(JUDGED, ROWS)
    assert (first["row"], first["id"], first["true"], first["answer"]) == (3, ROWS[2].id, "sympathy", "none")
    assert first["confidence"] == pytest.approx(0.9)
    assert (second["row"], second["id"], second["true"], second["answer"]) == (2, "b", "none", "sympathy")
    assert second["confidence"] == pytest.approx(0.5 * 0.8)
    assert second["scores"] == pytest.approx({"empathy": 0.1, "sympathy": 0.8, "over-identification": 0.1})
    assert confident_errors(JUDGED, ROWS, 1) == [first]


def test_words_of_the_shipped_corpus_alone_are_quoted() -> None:
    found = confident_errors(JUDGED, ROWS)
    assert "words" not in str(found)
    assert quotes(found, ROWS) == {3: "Client: I lost him. Counselor: shipped words"}


def test_every_row_of_the_corpus_has_the_id_of_its_words(corpus_rows: list[Row]) -> None:
    assert [row.id for row in corpus_rows if row.id != shipped_id(row)] == []
