"""Export: the shapes that tools take in, and the way back."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asif_data.errors import AsifError
from asif_data.exporting import SHAPES, export_rows, label_studio_view
from asif_data.importing import import_rows
from asif_data.labels import MARKS
from asif_data.rows import Row, Vote

ROW = Row.model_validate(
    {"text": "You miss her.", "label": "empathy", "context": "She left.", "id": "r1", "group": "g1", "topic": "grief"}
)


def test_label_studio_gets_tasks() -> None:
    data = {"text": "You miss her.", "context": "She left.", "group": "g1", "row_id": "r1"}
    assert list(export_rows([ROW], "label-studio")) == [{"data": data}]


def test_argilla_gets_records() -> None:
    [record] = export_rows([ROW], "argilla")
    assert (record["id"], record["fields"]) == ("r1", {"text": "You miss her.", "context": "She left."})
    assert (record["metadata"], record["responses"], record["suggestions"]) == ({"group": "g1"}, {}, {})


@pytest.mark.parametrize("shape", SHAPES)
def test_what_others_said_stays_home(shape: str) -> None:
    row = ROW.model_copy(update={"votes": [Vote(annotator="ann", label="sympathy")]})
    assert not any(
        word in json.dumps(list(export_rows([row], shape))) for word in ("empathy", "sympathy", "ann", "grief")
    )


def test_an_unknown_tool_is_one_sentence() -> None:
    with pytest.raises(AsifError, match="to: expected one of label-studio, argilla, found 'prodigy'"):
        list(export_rows([ROW], "prodigy"))


def test_the_view_asks_for_every_label_and_shows_every_field() -> None:
    view = ElementTree.fromstring(label_studio_view(("a", 'b & "c"')))
    assert [choice.get("value") for choice in view.iter("Choice")] == ["a", 'b & "c"']
    assert [text.get("value") for text in view.iter("Text")] == ["$context", "$text"]


def filled(shape: str, records: list[dict[str, Any]], answers: dict[str, str]) -> list[dict[str, Any]]:
    """The records as the tool exports them once every annotator has answered all of them."""
    if shape == "argilla":
        given = {"label": [{"value": label, "user_id": who} for who, label in answers.items()]}
        return [record | {"responses": given, "status": "completed"} for record in records]
    results = [
        {"completed_by": who, "was_cancelled": False, "result": [{"from_name": "label", "value": {"choices": [label]}}]}
        for who, label in answers.items()
    ]
    return [record | {"id": n, "annotations": results, "predictions": []} for n, record in enumerate(records, 1)]


def label_studio_min(records: list[dict[str, Any]], answers: dict[str, str]) -> list[dict[str, Any]]:
    about = {"annotation_id": 1, "created_at": "", "updated_at": "", "lead_time": 1.0}
    return [
        record["data"] | about | {"id": n, "label": label, "annotator": who}
        for n, record in enumerate(records, 1)
        for who, label in answers.items()
    ]


WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
GIVEN = st.lists(
    st.builds(
        Row,
        text=WORDS.filter(str.strip),
        context=st.none() | WORDS.filter(bool),
        id=st.none() | WORDS.filter(bool),
        group=st.none() | WORDS.filter(bool),
        label=st.none() | st.sampled_from(MARKS),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda row: row.id or id(row),
)


@pytest.mark.parametrize("shape", ["label-studio", "label-studio-min", "argilla"])
@settings(deadline=None, max_examples=60)
@given(rows=GIVEN, answers=st.dictionaries(st.sampled_from(["u1", "u2", "u3"]), st.sampled_from(MARKS), min_size=1))
def test_a_filled_export_gives_the_rows_back(
    tmp_path_factory: pytest.TempPathFactory, shape: str, rows: list[Row], answers: dict[str, str]
) -> None:
    path: Path = tmp_path_factory.getbasetemp() / f"{shape}.json"
    records = list(export_rows(rows, shape.removesuffix("-min")))
    path.write_text(
        json.dumps(label_studio_min(records, answers) if "min" in shape else filled(shape, records, answers))
    )
    back = import_rows([path]).rows
    assert [(r.text, r.context, r.group) for r in back] == [(r.text, r.context, r.group) for r in rows]
    assert all(before.id in (None, after.id) for before, after in zip(rows, back, strict=True))
    assert all({v.annotator: v.label for v in row.votes or []} == answers for row in back)
    into = import_rows([path], existing=rows)
    assert (len(into.rows), into.added) == (len(rows), 0)
