"""Krippendorff's alpha against values worked out by hand and published ones."""

import pytest

from asif_data.agreement import alpha
from asif_data.rows import Row, Vote


def voted(*units: str) -> list[Row]:
    """One row a unit; its letters are the votes of annotators 0, 1, ... and a dot is a vote not given."""
    return [
        Row(text="Hm.", votes=[Vote(annotator=str(n), label=label) for n, label in enumerate(unit) if label != "."])
        for unit in units
    ]


def test_alpha_is_the_value_worked_out_by_hand() -> None:
    # 8 votes: e 3, s 3, n 2. Observed disagreement 2/8; expected (64 - 9 - 9 - 4) / (8 x 7) = 3/4.
    assert alpha(voted("ee", "es", "ss", "nn")) == pytest.approx(1 - (2 / 8) / (3 / 4))


def test_alpha_of_one_label_puts_the_others_together() -> None:
    units = voted("ee", "es", "ss", "nn")
    # e 3, others 5. Observed 2/8; expected (64 - 9 - 25) / (8 x 7) = 30/56.
    assert alpha(units, "e") == pytest.approx(1 - (2 / 8) / (30 / 56))
    assert alpha(units, "n") == 1.0


def test_alpha_is_the_published_value_with_votes_missing() -> None:
    # Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section C: four observers, nominal.
    observers = ("123321412...", "1233224125.3", ".3332342251.", "12332441251.")
    units = ["".join(votes) for votes in zip(*observers, strict=True)]
    assert alpha(voted(*units)) == pytest.approx(0.743, abs=0.0005)


def test_full_agreement_is_one() -> None:
    assert alpha(voted("eee", "sss", "nn.")) == 1.0


def test_full_disagreement_is_below_chance() -> None:
    assert (alpha(voted("es", "se", "en")) or 0) < 0


def test_a_row_with_one_vote_or_none_does_not_count() -> None:
    units = voted("ee", "es", "ss", "nn")
    assert alpha([*units, *voted("e", "s"), Row(text="Hm.")]) == alpha(units)


@pytest.mark.parametrize("units", [(), ("es",), ("ee", "ee"), ("e", "s", "n")])
def test_alpha_is_not_defined_without_two_rows_and_two_labels(units: tuple[str, ...]) -> None:
    assert alpha(voted(*units)) is None


def test_alpha_of_a_label_that_nobody_gave_is_not_defined() -> None:
    assert alpha(voted("ee", "ss"), "n") is None
