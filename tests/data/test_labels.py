"""The labels, their order, and what is said of each."""

from asif_data.labels import CODEBOOK_LINES, LABELS, MARKS, NONE


def test_the_labels_keep_the_order_of_the_outputs() -> None:
    assert LABELS == ("empathy", "sympathy", "over-identification")


def test_none_is_a_mark_and_not_a_label() -> None:
    assert NONE not in LABELS
    assert (*LABELS, NONE) == MARKS


def test_every_mark_has_its_line_of_the_codebook() -> None:
    assert set(CODEBOOK_LINES) == set(MARKS)
    assert all(line.endswith(".") for line in CODEBOOK_LINES.values())
