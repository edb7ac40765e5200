"""The audit: what it tells of rows, and what it keeps to itself."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from asif_data.errors import AsifError
from asif_data.rows import Placed, Row, Vote
from asif_train.audit import SHOWN, Audit, audit

CUES = {"empathy": "you feel left out of it", "sympathy": "poor thing how awful", "none": "shall we say monday"}
THINGS = [
    "his mother",
    "the office",
    "your week",
    "that letter",
    "the long drive",
    "her birthday",
    "an exam",
    "the cat",
]


def placed(*rows: Row) -> list[Placed]:
    return [Placed(row, Path("mine.jsonl"), line) for line, row in enumerate(rows, 1)]


@pytest.fixture
def rows() -> list[Row]:
    """Unlike rows with three votes each; dan votes at random, and one label is wrong."""
    made = []
    for n in range(96):
        label = list(CUES)[n % 3]
        words = " ".join(f"{n * 7919 * k % 9973}" for k in range(1, 9))
        votes = {"ann": label, "bob": label, "dan": "none" if n % 2 else label}
        made.append(
            Row.model_validate(
                {
                    "text": f"{CUES[label]} {THINGS[n % 8]} {words}",
                    "label": label,
                    "id": f"r{n}",
                    "context": "CANARY",
                    "votes": [Vote(annotator=who, label=given) for who, given in votes.items()],
                }
            )
        )
    made[11] = made[11].model_copy(update={"label": "sympathy"})
    return made


def printed(found: Audit) -> str:
    console = Console(width=250, record=True, file=StringIO())
    for table in found.tables():
        console.print(table)
    return console.export_text() + found.summary()


def test_a_wrong_label_is_told_by_id_file_and_line_with_reasons(rows: list[Row]) -> None:
    [error] = audit(placed(*rows)).values["label_errors"]
    place = {key: error[key] for key in ("id", "file", "line", "given", "suggested")}
    assert place == {"id": "r11", "file": "mine.jsonl", "line": 12, "given": "sympathy", "suggested": "none"}
    assert error["votes"] == {"none": 3} if len(set(error.get("votes", {}))) > 1 else "votes" not in error
    assert next(iter(error["neighbours"])) == "none"


def test_the_annotator_who_differs_is_told(rows: list[Row]) -> None:
    found = audit(placed(*rows))
    assert [one["name"] for one in found.values["annotators"] if one["differs"]] == ["dan"]
    assert "1 of 3 annotators differ from the rest" in found.summary()
    assert "differs" in printed(found)


def test_texts_are_told_only_when_asked_for(rows: list[Row]) -> None:
    twin = rows[0].model_copy(update={"label": "sympathy", "id": "twin"})
    quiet, told = (audit(placed(*rows, twin), texts=texts) for texts in (False, True))
    for words in ("CANARY", CUES["empathy"], CUES["none"]):
        assert words not in json.dumps(quiet.values) + printed(quiet)
        assert words in json.dumps(told.values)
        assert words in printed(told)


def pairs(*rows: Row) -> list[dict[str, Any]]:
    return audit(placed(*rows)).values["near_duplicates"]


def twins(**columns: Any) -> tuple[Row, Row]:
    text = "You feel alone, even with everyone there."
    first = Row.model_validate({"text": text, "label": "empathy", "context": "Yes."} | columns)
    return first, Row.model_validate({"text": text.upper(), "label": "none", "context": "yes."} | columns)


def test_near_duplicates_with_different_labels_are_told() -> None:
    [pair] = pairs(*twins())
    assert [(row["line"], row["label"]) for row in pair["rows"]] == [(1, "empathy"), (2, "none")]
    assert pair["same_client_turn"] is True
    a, b = twins()
    assert pairs(a, b.model_copy(update={"context": "No."}))[0]["same_client_turn"] is False


def test_near_duplicates_of_one_label_or_one_contrast_set_are_as_they_should_be() -> None:
    a, b = twins()
    assert pairs(a, a.model_copy()) == []
    assert pairs(*twins(contrast_set="c1")) == []
    assert pairs(a, b.model_copy(update={"label": None})) == []


def test_of_too_few_rows_the_rest_is_told(rows: list[Row]) -> None:
    found = audit(placed(*rows[:6]))
    assert found.values["label_errors"] is None
    assert "expected two labels in at least 5 groups each" in found.summary()
    assert len(found.values["annotators"]) == 3


def test_ties_count_for_annotators_alone(rows: list[Row]) -> None:
    tie = Row(text="A tie.", votes=[Vote(annotator="eve", label="none"), Vote(annotator="ann", label="empathy")])
    values = audit(placed(*rows, tie)).values
    assert (values["rows"], values["labelled"]) == (97, 96)
    assert {one["name"] for one in values["annotators"]} == {"ann", "bob", "dan", "eve"}


def test_without_a_label_it_says_so() -> None:
    with pytest.raises(AsifError, match="expected rows with a label, found none in 1 rows"):
        audit(placed(Row(text="Hm.")))


def test_long_tables_show_their_start_and_say_so() -> None:
    error = {"id": "a", "file": "f", "line": 1, "given": "none", "given_probability": 0.1, "suggested": "empathy"}
    errors = [error | {"suggested_probability": 0.9, "neighbours": {"empathy": 5}}] * (SHOWN + 1)
    found = Audit({"rows": 99, "labelled": 99, "label_errors": errors, "annotators": [], "near_duplicates": []})
    [table] = found.tables()
    assert table.row_count == SHOWN
    assert table.title == f"Labels that look wrong: the first {SHOWN} of {SHOWN + 1}"
