"""Rows held in little memory."""

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from asif_data.packed import PackedRows
from asif_data.rows import Row, Vote

EXTRA = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
ROWS = st.builds(
    lambda text, votes, extra: Row.model_validate({"text": text, "votes": votes, "extra": extra}),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip),
    st.none() | st.lists(st.builds(Vote, annotator=st.text(st.characters(exclude_categories=["Cs"])), label=st.just("none"))),
    EXTRA | st.lists(EXTRA, max_size=2),
)  # fmt: skip


@given(st.lists(ROWS, max_size=5))
def test_rows_come_back_as_they_were(rows: list[Row]) -> None:
    packed = PackedRows(rows)
    assert list(packed) == rows
    assert [packed[i] for i in range(len(packed))] == rows
    assert packed == PackedRows(rows)


def test_a_row_may_take_the_place_of_another() -> None:
    packed = PackedRows()
    packed.append(Row(text="Hm."))
    assert packed.put(0, Row(text="Hm.")) is False
    assert packed.put(0, Row(text="Oh.")) is True
    assert [row.text for row in packed] == ["Oh."]
    assert packed != PackedRows([Row(text="Hm.")])


def test_parts_and_slices_hold_the_rows_asked_for() -> None:
    packed = PackedRows(Row(text=word) for word in ("a", "b", "c", "d"))
    assert [row.text for row in packed.part([3, 0])] == ["d", "a"]
    assert [row.text for row in packed[1:3]] == ["b", "c"]
    assert packed[-1].text == "d"
    assert packed.part([]) == PackedRows()


def test_what_json_cannot_hold_comes_back_as_text() -> None:
    [row] = PackedRows([Row.model_validate({"text": "Hm.", "when": date(2026, 1, 2), "mean": float("nan")})])
    assert row.model_extra is not None
    assert row.model_extra["when"] == "2026-01-02"
    assert row.model_extra["mean"] != row.model_extra["mean"]
