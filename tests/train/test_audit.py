"""Audit: what looks wrong in labelled rows, and who differs from the rest."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest
from typer.testing import CliRunner

from asif_data.errors import AsifError
from asif_data.rows import Placed, Row, Vote, write_rows
from asif_train.annotators import annotators
from asif_train.audit import SHOWN, Audit, audit
from asif_train.cli import app
from asif_train.label_errors import can_cross_validate, held_out_probabilities

WORDS = {"empathy": "you felt so alone and small", "sympathy": "oh poor thing how awful", "none": "shall we say tuesday at ten"}  # fmt: skip


def rows(per_label: int = 30) -> list[Row]:
    """Rows that words alone tell apart, each a group of its own."""
    draw = random.Random(0)
    made = []
    for label, words in WORDS.items():
        for n in range(per_label):
            text = " ".join([*draw.choices(words.split(), k=8), f"{label}{n}"])
            made.append(Row(text=text, label=label, id=f"{label}-{n}", group=f"{label} {n}"))
    return made


def placed(made: list[Row]) -> list[Placed]:
    return [Placed(row, Path("rows.jsonl"), line) for line, row in enumerate(made, 1)]


def votes(**labels: str) -> list[Vote]:
    return [Vote(annotator=name, label=label) for name, label in labels.items()]


def test_a_turned_label_is_found_first_with_what_it_should_be() -> None:
    made = rows()
    made[4] = made[4].model_copy(update={"label": "sympathy"})
    found = audit(placed(made)).values["label_errors"]
    assert (found[0]["id"], found[0]["line"], found[0]["given"]) == ("empathy-4", 5, "sympathy")
    assert found[0]["suggested"] == "empathy"
    assert found[0]["suggested_probability"] > 0.5 > found[0]["given_probability"]
    assert set(found[0]["neighbours"]) == {"empathy"}
    assert "text" not in found[0]
    assert audit(placed(made), texts=True).values["label_errors"][0]["text"] == made[4].text


def test_clean_labels_are_left_alone() -> None:
    assert audit(placed(rows())).values["label_errors"] == []


def test_probabilities_come_from_learners_that_saw_nothing_of_the_group() -> None:
    made = rows(10)
    given = np.repeat([0, 1, 2], 10)
    found = held_out_probabilities(made, given, list(range(30)))
    assert found.shape == (30, 3)
    assert found.sum(1) == pytest.approx(np.ones(30))
    # One label that lies in one group alone: no other fold has a row of it, so nothing is said against it.
    whole = held_out_probabilities(made, given, [0] * 10 + list(range(1, 21)))
    assert whole[:10, 0] == pytest.approx(np.ones(10))


def test_too_few_groups_are_told_and_nothing_is_guessed() -> None:
    made = rows(4)
    assert not can_cross_validate([str(row.label) for row in made], list(range(12)))
    found = audit(placed(made))
    assert found.values["label_errors"] is None
    assert "found fewer" in found.summary()


def test_an_annotator_who_differs_is_told_by_an_interval_below_the_rest() -> None:
    made = [
        Row(text=f"row {n}", label="none", votes=votes(a="none", b="none", c="empathy" if n % 2 else "none"))
        for n in range(40)
    ]
    found = {one.name: one for one in annotators(made)}
    # Of c's 40 rows the others agree among themselves on all; c says the same on 20.
    interval = binomtest(20, 40).proportion_ci(0.95, "wilson")
    assert (found["c"].rows, found["c"].agreement, found["c"].low, found["c"].high) == (
        40, 0.5, float(interval.low), float(interval.high))  # fmt: skip
    # Where c differs, the votes of the others of a and of b tie: only the 20 other rows say something of them.
    assert (found["a"].rows, found["a"].agreement) == (20, 1.0)
    assert [name for name, one in found.items() if one.differs] == ["c"]


def test_near_duplicates_with_different_labels_are_told_but_not_those_of_a_contrast_set() -> None:
    text = "You felt that nobody in the room had even seen you come in."
    made = [
        *rows(5),
        Row(text=text, label="empathy", id="a"),
        Row(text=text.upper(), label="none", id="b"),
        Row(text="Poor you, what an awful thing to have to sit through.", label="sympathy", contrast_set="s"),
        Row(text="Poor you, what an awful thing to have to sit through!", label="none", contrast_set="s"),
    ]
    [pair] = audit(placed(made)).values["near_duplicates"]
    assert [row["id"] for row in pair["rows"]] == ["a", "b"]


def test_twins_tell_whether_they_answer_the_same_client_turn() -> None:
    text = "You felt that nobody in the room had even seen you come in."
    first = Row(text=text, label="empathy", context="Yes.")
    for context, same in (("yes.", True), ("No.", False)):
        second = Row(text=text, label="none", context=context)
        [pair] = audit(placed([first, second])).values["near_duplicates"]
        assert pair["same_client_turn"] is same
    assert audit(placed([first, first])).values["near_duplicates"] == []


def test_ties_count_for_annotators_alone() -> None:
    values = audit(placed([*rows(2), Row(text="A tie.", votes=votes(eve="none", ann="empathy"))])).values
    assert (values["rows"], values["labelled"]) == (7, 6)
    assert {one["name"] for one in values["annotators"]} == {"ann", "eve"}


def test_contexts_are_told_only_when_asked_for() -> None:
    made = [row.model_copy(update={"context": "CANARY"}) for row in rows(8)]
    made[4] = made[4].model_copy(update={"label": "sympathy"})
    made.append(made[0].model_copy(update={"label": "none", "id": "twin"}))
    quiet, told = (json.dumps(audit(placed(made), texts=texts).values) for texts in (False, True))
    assert "CANARY" not in quiet
    assert "CANARY" in told


def test_long_tables_show_their_start_and_say_so() -> None:
    error = {"id": "a", "file": "f", "line": 1, "given": "none", "given_probability": 0.1, "suggested": "empathy"}
    errors = [error | {"suggested_probability": 0.9, "neighbours": {"empathy": 5}}] * (SHOWN + 1)
    [table] = Audit({"rows": 99, "labelled": 99, "label_errors": errors, "annotators": [], "near_duplicates": []}).tables()  # fmt: skip
    assert table.row_count == SHOWN
    assert table.title == f"Labels that look wrong: the first {SHOWN} of {SHOWN + 1}"


def test_the_command_names_bad_rows_by_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("text,label\nHm.,maybe\n")
    found = CliRunner().invoke(app, ["audit", str(file)])
    assert isinstance(found.exception, AsifError)
    assert str(found.exception).startswith(f"{file}:2: label: expected one of empathy,")


def test_rows_without_a_label_are_refused() -> None:
    with pytest.raises(AsifError, match="expected rows with a label, found none in 1 rows"):
        audit(placed([Row(text="hello")]))


def test_the_command_prints_advice_without_texts(tmp_path: Path) -> None:
    made = rows()
    made[4] = made[4].model_copy(update={"label": "sympathy"})
    file = tmp_path / "rows.jsonl"
    write_rows(file, made)
    told = CliRunner().invoke(app, ["audit", str(file)])
    assert told.exit_code == 0
    assert "1 of 90 labels look wrong" in told.output
    assert made[4].text not in told.output
    found = json.loads(CliRunner().invoke(app, ["audit", str(file), "--json"]).stdout)
    assert found["label_errors"][0]["id"] == "empathy-4"
