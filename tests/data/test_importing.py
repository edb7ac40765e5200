"""Import: what each tool exports, how votes meet, and how all that is wrong is told at once."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from asif_data.errors import AsifError
from asif_data.importing import FILE_READERS, Imported, Settings, import_rows
from asif_data.label_names import LabelNames
from asif_data.rows import BadRows, Row, RowError, read_rows, records, write_rows

Write = Callable[[str, Any], Path]
TEXT, CONTEXT = "You felt left out.", "They all went without me."


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to(name: str, content: Any) -> Path:
        path = tmp_path / name
        if name.endswith(".jsonl") and isinstance(content, list):
            content = "".join(json.dumps(record) + "\n" for record in content)
        elif not isinstance(content, str | bytes):
            content = json.dumps(content)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return to


def choices(*names: str, question: str = "label") -> dict[str, Any]:
    value = {"choices": list(names)}
    return {"value": value, "id": "x", "from_name": question, "to_name": "text", "type": "choices"}


def annotation(who: object, *results: dict[str, Any], cancelled: bool = False) -> dict[str, Any]:
    return {"id": 5, "completed_by": who, "was_cancelled": cancelled, "result": list(results), "lead_time": 3.5}


def task(number: int, *annotations: dict[str, Any], **data: object) -> dict[str, Any]:
    guess = {"result": [choices("none")], "model_version": "m", "score": 0.9}
    data = {"text": TEXT, "context": CONTEXT} | data
    return {"id": number, "data": data, "annotations": list(annotations), "predictions": [guess], "project": 1}


def votes(row: Row) -> list[tuple[str, str]]:
    return [(vote.annotator, vote.label) for vote in row.votes or []]


def only(found: Imported) -> Row:
    [row] = found.rows
    return row


def problems(*paths: Path, **options: Any) -> list[tuple[int, str, str]]:
    with pytest.raises(BadRows) as caught:
        import_rows(paths, Settings(**options))
    return [(error.line, error.column, error.message) for error in caught.value.errors]


# Tools


def test_label_studio_json_gives_every_annotators_vote(write: Write) -> None:
    people = annotation(7, choices("Empathy")), annotation({"id": 8, "email": "b@example.org"}, choices("empathy"))
    found = import_rows([write("a.json", [task(1, *people, group="g", topic="school")])])
    row = only(found)
    assert (row.id, row.text, row.context, row.group, row.label) == ("label-studio-1", TEXT, CONTEXT, "g", "empathy")
    assert votes(row) == [("7", "empathy"), ("b@example.org", "empathy")]
    assert row.model_extra == {"topic": "school", "contested": False}


def test_skipped_and_empty_annotations_and_predictions_are_no_votes(write: Write) -> None:
    tasks = [
        task(1, annotation(7, choices("none"), cancelled=True), annotation(8, choices("sympathy"))),
        task(2, annotation(7)),
        task(3, annotation(7, choices("none"), cancelled=True)),
        task(4),
    ]
    found = import_rows([write("a.json", tasks)])
    assert (votes(only(found)), found.unlabelled) == ([("8", "sympathy")], 3)


def test_a_relation_between_regions_is_no_answer(write: Write) -> None:
    asked = annotation(7, {"type": "relation", "from_id": "a", "to_id": "b"}, choices("none"))
    assert votes(only(import_rows([write("a.json", [task(1, asked)])]))) == [("7", "none")]


def test_a_name_that_no_label_has_is_told_where_it_was_given(write: Write) -> None:
    people = annotation(7, choices("Unsure")), annotation(8, choices("Wrong"))
    settings = Settings(names=LabelNames({"Unsure": ""}))
    with pytest.raises(BadRows, match=r"annotations\.1\.result\.0: expected one of .*found 'Wrong'"):
        import_rows([write("a.json", [task(1, *people)])], settings)


def test_of_several_questions_the_one_called_label_counts(write: Write) -> None:
    asked = annotation(7, choices("good", question="quality"), choices("none"))
    assert only(import_rows([write("a.json", [task(1, asked)])])).label == "none"


def test_of_several_questions_one_must_be_named(write: Write) -> None:
    path = write(
        "a.json", [task(1, annotation(7, choices("good", question="quality"), choices("none", question="kind")))]
    )
    assert problems(path) == [(1, "label", "expected one question, found 'quality', 'kind'; say which with --label")]
    assert only(import_rows([path], Settings(columns={"label": "kind"}))).label == "none"


def test_two_labels_in_one_answer_are_bad(write: Write) -> None:
    path = write("a.json", [task(1, annotation(7, choices("none", "empathy")))])
    assert problems(path) == [(1, "annotations.0.result.0", "expected one label, found 2")]


MIN = {
    "id": 9, "text": TEXT, "context": CONTEXT, "sentiment": "Empathy", "annotator": 7,
    "annotation_id": 70, "created_at": "2026-01-01", "updated_at": "2026-01-01", "lead_time": 3.5,
}  # fmt: skip


def test_label_studio_json_min_has_a_record_for_each_annotation(write: Write) -> None:
    row = only(import_rows([write("a.json", [MIN, MIN | {"annotator": 8, "sentiment": {"choices": ["none"]}}])]))
    assert (row.id, row.label, votes(row)) == ("label-studio-9", None, [("7", "empathy"), ("8", "none")])
    assert row.model_extra == {"contested": True}


def test_an_annotation_without_an_answer_lacks_the_column_in_json_min(write: Write) -> None:
    empty = {key: value for key, value in MIN.items() if key != "sentiment"} | {"id": 8}
    found = import_rows([write("a.json", [empty, MIN])])
    assert (only(found).id, found.unlabelled) == ("label-studio-9", 1)


def test_label_studio_csv_is_the_same_row(write: Write) -> None:
    path = write("a.csv", "")
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(MIN))
        writer.writeheader()
        writer.writerows([MIN, MIN | {"annotator": 8, "sentiment": '{"choices": ["none"]}'}])
    assert (
        import_rows([path]).rows
        == import_rows([write("a.json", [MIN, MIN | {"annotator": 8, "sentiment": "none"}])]).rows
    )


def prodigy(**own: object) -> dict[str, Any]:
    return {"text": TEXT, "meta": {"context": CONTEXT, "session": 3}, "_input_hash": 1, "_task_hash": 2, "_view_id": "choice",
            "_annotator_id": "set-ann", "answer": "accept"} | own  # fmt: skip


def test_prodigy_choices_are_votes(write: Write) -> None:
    options = [{"id": "EMPATHY", "text": "Empathy (with)"}, {"id": 2, "text": "Sympathy"}]
    path = write(
        "a.jsonl",
        [
            prodigy(options=options, accept=["EMPATHY"]),
            prodigy(options=options, accept=[2], _annotator_id="set-bob"),
            prodigy(options=options, accept=["EMPATHY"], answer="ignore", text="Hm."),
            prodigy(options=options, accept=["EMPATHY"], answer="reject", text="Hm?"),
            prodigy(options=options, accept=[], text="Hm!"),
        ],
    )
    found = import_rows([path])
    row = only(found)
    assert (row.text, row.context, row.group, found.unlabelled) == (TEXT, CONTEXT, "3", 3)
    assert votes(row) == [("set-ann", "empathy"), ("set-bob", "sympathy")]
    assert row.model_extra == {"contested": True}


def test_prodigy_classification_accepts_a_label(write: Write) -> None:
    path = write(
        "a.jsonl", [prodigy(label="NONE", _view_id="classification"), prodigy(label="EMPATHY", answer="reject")]
    )
    assert votes(only(import_rows([path]))) == [("set-ann", "none")]


@pytest.mark.parametrize(
    "answer",
    [{"label": ["empathy"]}, {"labels": ["Empathy"], "Comments": []}, {"annotations": [{"label": "empathy", "user": "ann"}], "meta": {}}],
)  # fmt: skip
def test_doccano_names_the_annotator_by_the_file(write: Write, answer: dict[str, Any]) -> None:
    row = only(import_rows([write("ann.jsonl", [{"id": 4, "text": TEXT, "context": CONTEXT, **answer}])]))
    assert (row.id, row.context, votes(row)) == ("doccano-4", CONTEXT, [("ann", "empathy")])


def test_doccano_label_numbers_are_named_by_the_map(write: Write) -> None:
    path = write("ann.jsonl", [{"id": 4, "text": TEXT, "annotations": [{"label": 11, "user": 2}]}])
    found = import_rows([path], Settings(names=LabelNames({"11": "none"})))
    assert votes(only(found)) == [("2", "none")]


def test_doccano_files_of_two_annotators_meet_in_one_row(write: Write) -> None:
    record = {"id": 4, "text": TEXT, "label": ["none"]}
    paths = [write("ann.jsonl", [record]), write("bob.jsonl", [record | {"label": []}]), write("cy.jsonl", [record])]
    assert votes(only(import_rows(paths))) == [("ann", "none"), ("cy", "none")]


def test_argilla_1_counts_submitted_responses(write: Write) -> None:
    given = [
        {"user_id": user, "values": {"label": {"value": label}}, "status": status}
        for user, label, status in [
            ("u1", "empathy", "submitted"),
            ("u2", "none", "draft"),
            ("u3", "none", "discarded"),
        ]
    ] + [{"user_id": "u4", "values": None, "status": "discarded"}]
    fields = {"text": TEXT, "context": CONTEXT}
    record = {"fields": fields, "responses": given, "suggestions": [], "metadata": {"group": "g"}, "external_id": "r1"}
    row = only(import_rows([write("a.json", [record])]))
    assert (row.id, row.group, row.context, votes(row)) == ("r1", "g", CONTEXT, [("u1", "empathy")])


def argilla_2(**own: object) -> dict[str, Any]:
    given = {"label": [{"value": "sympathy", "user_id": "u1"}]}
    return {"id": "r1", "fields": {"text": TEXT, "context": CONTEXT}, "metadata": {"group": "g"}, "vectors": {},
            "suggestions": {"label": {"value": "none", "score": 0.9, "agent": "m"}}, "responses": given,
            "status": "completed", "_server_id": "s"} | own  # fmt: skip


def test_argilla_2_json(write: Write) -> None:
    row = only(import_rows([write("a.json", [argilla_2()])]))
    assert (row.id, row.group, row.context, votes(row)) == ("r1", "g", CONTEXT, [("u1", "sympathy")])
    assert row.model_extra == {"contested": False}


def test_argilla_2_json_of_a_pending_record_may_hold_drafts(write: Write) -> None:
    pending = argilla_2(id="r2", status="pending")
    assert import_rows([write("a.json", [argilla_2(), pending])]).unlabelled == 1


FLAT_2 = {
    "id": "r1", "status": "completed", "_server_id": "s", "text": TEXT, "context": CONTEXT, "group": "g",
    "label.responses": ["empathy", "none"], "label.responses.users": ["u1", "u2"],
    "label.responses.status": ["submitted", "draft"], "label.suggestion": "none", "label.suggestion.score": 0.5,
}  # fmt: skip
FLAT_1 = {
    "text": TEXT, "context": CONTEXT, "external_id": "r1", "metadata": '{"group": "g"}', "label-suggestion": "none",
    "label": [{"user_id": "u1", "value": "empathy", "status": "submitted"}, {"user_id": "u2", "value": "none", "status": "draft"}],
}  # fmt: skip


@pytest.mark.parametrize("record", [FLAT_1, FLAT_2])
def test_argilla_data_sets(tmp_path: Path, record: dict[str, Any]) -> None:
    pq.write_table(pa.Table.from_pylist([record]), tmp_path / "a.parquet")
    row = only(import_rows([tmp_path / "a.parquet"]))
    assert (row.id, row.group, row.context, votes(row)) == ("r1", "g", CONTEXT, [("u1", "empathy")])
    assert row.model_extra == {"contested": False}


def test_a_saved_datasets_folder_keeps_its_splits_and_class_names(tmp_path: Path) -> None:
    features = {"label": {"names": ["Empathy", "none"], "_type": "ClassLabel"}}
    about = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "dataset_dict.json").write_text("{}")
    for split, label in (("train", [0, -1]), ("test", [1, 1])):
        (tmp_path / "saved" / split).mkdir()
        table = pa.table({"text": [f"{split} a", f"{split} b"], "label": label}).replace_schema_metadata(about)
        file = tmp_path / "saved" / split / "data-00000-of-00001.arrow"
        with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    found = import_rows([tmp_path / "saved"])
    assert [(r.text, r.split, votes(r)) for r in found.rows] == [
        ("test a", "test", [("saved", "none")]),
        ("test b", "test", [("saved", "none")]),
        ("train a", "train", [("saved", "empathy")]),
    ]


@pytest.mark.parametrize("ending", [".jsonl", ".json", ".csv", ".tsv", ".parquet"])
def test_tables_are_read_by_the_usual_column_names(write: Write, ending: str) -> None:
    record = {
        "Counselor": TEXT,
        "Client_Utterance": CONTEXT,
        "Session ID": 3,
        "Label": "Over identification",
        "Coder": "ann",
        "site": "x",
    }
    path = write(f"a{ending}", [record])
    if ending == ".parquet":
        pq.write_table(pa.Table.from_pylist([record]), path)
    elif ending in (".csv", ".tsv"):
        with path.open("w", newline="") as file:
            csv.writer(file, delimiter="\t" if ending == ".tsv" else ",").writerows([record.keys(), record.values()])
    row = only(import_rows([path]))
    assert (row.text, row.context, row.group) == (TEXT, CONTEXT, "3")
    assert (row.label, votes(row), row.model_extra) == (
        "over-identification", [("ann", "over-identification")], {"site": "x", "contested": False},
    )  # fmt: skip


def test_columns_and_tool_may_be_named(write: Write) -> None:
    path = write("a.csv", "said,before,text,code\nA.,B.,C.,none\n")
    columns = {"text": "said", "context": "before", "label": "code", "id": "text"}
    row = only(import_rows([path], Settings(tool="rows", columns=columns)))
    assert (row.text, row.context, row.id, row.label) == ("A.", "B.", "C.", "none")


def test_who_labelled_may_be_named_where_the_files_do_not_say(write: Write) -> None:
    weeks = [write(f"week-{n}.csv", f"id,text,label,annotator\n{n},Hm.,none,\n0,Oh.,none,bob\n") for n in (1, 2)]
    found = import_rows(weeks, Settings(voter="ann"))
    assert [votes(row) for row in found.rows] == [[("ann", "none")], [("bob", "none")], [("ann", "none")]]


def test_a_folder_stands_for_its_files(write: Write, tmp_path: Path) -> None:
    write("ann.csv", "id,text,label\n1,Hm.,none\n")
    write("bob.json", [{"id": "1", "text": "Hm.", "label": "none"}])
    assert votes(only(import_rows([tmp_path]))) == [("ann", "none"), ("bob", "none")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".json"])
def test_byte_order_marks_tell_the_encoding(write: Write, ending: str, encoding: str) -> None:
    content = "text,label\nÇa va.,none\n" if ending == ".csv" else '{"text": "Ça va.", "label": "none"}\n'
    assert only(import_rows([write(f"a{ending}", content.encode(encoding))])).text == "Ça va."


def test_other_encodings_must_be_named(write: Write) -> None:
    path = write("a.csv", "text;label\nIt is “fine”.;none\n".encode("cp1252"))
    with pytest.raises(AsifError, match=r"expected UTF-8, found byte 0x93; .* `asif-data import --encoding`"):
        import_rows([path])
    assert only(import_rows([path], Settings(encoding="cp1252"))).text == "It is “fine”."
    with pytest.raises(AsifError, match="expected UTF-16, found something else"):
        import_rows([path], Settings(encoding="utf-16"))


# Votes


@pytest.mark.parametrize(
    ("labels", "label", "contested"),
    [
        (["none"], "none", False),
        (["none", "none"], "none", False),
        (["none", "empathy", "none"], "none", True),
        (["none", "empathy"], None, True),
        (["none", "empathy", "empathy", "none", "sympathy"], None, True),
    ],
)
def test_the_majority_gives_the_label_and_a_tie_none(
    write: Write, labels: list[str], label: str | None, contested: bool
) -> None:
    path = write("a.json", [task(1, *(annotation(n, choices(name)) for n, name in enumerate(labels)))])
    found = import_rows([path])
    assert (only(found).label, only(found).model_extra) == (label, {"contested": contested})
    assert found.ties == (label is None)


def test_a_third_vote_settles_a_tie(write: Write) -> None:
    paths = [
        write(f"{who}.csv", f"id,text,label\n1,Hm.,{label}\n")
        for who, label in [("a", "none"), ("b", "empathy"), ("c", "none")]
    ]
    tie = import_rows(paths[:2]).rows
    found = import_rows(paths[2:], existing=tie)
    assert (only(found).label, len(votes(only(found))), found.added, found.changed) == ("none", 3, 0, 1)


@pytest.mark.parametrize("name", ["Empathy", "EMPATHY", " empathy "])
def test_case_and_spaces_are_no_difference(write: Write, name: str) -> None:
    assert only(import_rows([write("a.jsonl", [{"text": "Hm.", "label": name}])])).label == "empathy"


def test_an_unknown_label_name_is_an_error_with_the_one_it_is_near(write: Write) -> None:
    path = write("a.json", [task(1, annotation(7, choices("none")), annotation(8, choices("Empathetic")))])
    message = "expected one of empathy, sympathy, over-identification, none, found 'Empathetic' (did you mean 'empathy'?); say which with --label-map NAME=LABEL"
    assert problems(path) == [(1, "annotations.1.result.0", message)]
    assert only(import_rows([path], Settings(names=LabelNames({"empathetic": "Empathy"})))).label is None


def test_a_name_mapped_to_nothing_is_no_vote(write: Write) -> None:
    path = write("a.json", [task(1, annotation(7, choices("Unsure")), annotation(8, choices("none")))])
    assert votes(only(import_rows([path], Settings(names=LabelNames({"unsure": ""}))))) == [("8", "none")]


def test_another_label_set_serves_too(write: Write) -> None:
    path = write("a.jsonl", [{"text": "Hm?", "label": "Open_question"}])
    names = LabelNames(marks=("open question", "closed question"))
    assert only(import_rows([path], Settings(names=names))).label == "open question"


def test_rows_with_votes_keep_them_and_their_label(write: Write) -> None:
    given = [{"annotator": "a", "label": "Empathy"}, {"annotator": "b", "label": "none"}]
    row = only(import_rows([write("a.jsonl", [{"text": "Hm.", "label": "none", "votes": given, "split": "train"}])]))
    assert (row.label, row.split, votes(row)) == ("none", "train", [("a", "empathy"), ("b", "none")])


# Importing again


def everything(write: Write) -> list[Path]:
    return [
        write("ls.json", [task(1, annotation(7, choices("none")), annotation(8, choices("empathy")))]),
        write("prodigy.jsonl", [prodigy(options=[], accept=["none"])]),
        write("ann.jsonl", [{"id": 4, "text": TEXT, "label": ["none"]}]),
        write("argilla.json", [argilla_2()]),
        write("table.csv", "text,label\nMm-hmm.,none\nMm-hmm.,none\nI see.,none\n"),
    ]


def test_importing_again_adds_nothing(write: Write, tmp_path: Path) -> None:
    paths = everything(write)
    first = import_rows(paths)
    write_rows(tmp_path / "rows.jsonl", first.rows)
    again = import_rows([*paths, *paths], existing=read_rows([tmp_path / "rows.jsonl"], labelled=False))
    assert len(first.rows) == first.added == 7
    assert (again.added, again.changed) == (0, 0)
    assert again.rows == first.rows


def test_what_recurs_in_a_session_stays(write: Write) -> None:
    rows = import_rows([write("a.csv", "text,label\nMm-hmm.,none\nMm-hmm.,none\n")]).rows
    assert [row.text for row in rows] == ["Mm-hmm.", "Mm-hmm."]
    assert rows[0].id != rows[1].id


def test_a_changed_mind_replaces_the_earlier_vote(write: Write) -> None:
    first = import_rows([write("ann.csv", "id,text,label\n1,Hm.,none\n")])
    found = import_rows([write("ann.csv", "id,text,label\n1,Hm.,empathy\n")], existing=first.rows)
    assert (only(found).label, votes(only(found)), found.changed) == ("empathy", [("ann", "empathy")], 1)


def test_an_earlier_label_without_votes_is_a_vote(write: Write) -> None:
    earlier = Row(text="Hm.", label="none", id="1", split="test")
    found = import_rows(
        [write("ann.csv", "id,text,label,group\n1,Hm.,empathy,g\n")], existing=[earlier], earlier="rows"
    )
    row = only(found)
    assert (row.label, row.split, row.group, votes(row)) == (None, "test", "g", [("rows", "none"), ("ann", "empathy")])


def test_earlier_rows_that_nothing_is_said_of_stay_as_they_are(write: Write) -> None:
    earlier = Row(text="Other.", label="none", id="1")
    found = import_rows([write("ann.csv", "text,label\nHm.,empathy\n")], existing=[earlier])
    assert (found.rows[0], found.added, found.changed) == (earlier, 1, 0)


# What is bad


def test_all_bad_rows_of_all_files_are_named_at_once_by_the_files_own_columns(write: Write) -> None:
    a = write("a.csv", "utterance,category,when\n ,none,\nHm.,nonee,\nHm.\nHm.,none,\n")
    b = write(
        "b.json",
        [task(1, annotation(7, choices("none"))), {"id": 2}, "x", task(3, annotation(7, choices("none")), text=5)],
    )
    with pytest.raises(BadRows) as caught:
        import_rows([b, a])
    assert [(e.path.name, e.line, e.column) for e in caught.value.errors] == [
        ("b.json", 2, "row"), ("b.json", 3, "row"), ("b.json", 4, "text"),
        ("a.csv", 2, "utterance"), ("a.csv", 3, "category"), ("a.csv", 4, "row"),
    ]  # fmt: skip


def test_bad_rows_may_be_skipped_and_are_kept_beside(write: Write) -> None:
    path = write("a.jsonl", '{"text": "Hm.", "label": "none"}\n{"text": "Hm.", "label": "nope"}\n{"text"\n')
    found = import_rows([path], skip=True)
    assert len(found.rows) == 1
    assert [(bad["line"], bad["row"]) for bad in found.bad] == [(2, {"text": "Hm.", "label": "nope"}), (3, None)]
    assert found.bad[0]["errors"][0].startswith("label: expected one of ")


@pytest.mark.parametrize(
    ("name", "content", "line", "why"),
    [
        ("a.csv", 'text,label\nHm.,none\nOh.,none\n"I see.,none\nNo.,none\n', 4, "expected CSV, found a broken row (unexpected end of data); "),
        ("a.tsv", 'text\tlabel\nHm.\tnone\nOh.\tnone\n"No" she said\tnone\nNo.\tnone\n', 4, "expected TSV, found a broken row ('\t' expected after '\"'); "),
        ("a.json", '[{"text": "Hm.", "label": "none"},\n{"text": "Oh.", "label": "none"},\n{"text": "CANARY, "label": "none"},\n{"text": "No.", "label": "none"}]',
         3, "expected a JSON object, found broken JSON (Expecting ',' delimiter) at line 3; "),
        ("a.json", '[{"text": "Hm.", "label": "none"},{"text": "Oh.", "label": "none"}', 3, "expected a JSON object, found broken JSON (Expecting ',' delimiter) at line 1; "),
        ("a.json", '[{"text": "Hm.", "label": "none"},{"text": "Oh.", "label": "none"}] CANARY', 3, "expected a JSON object, found broken JSON (Extra data) at line 1; "),
    ],
)  # fmt: skip
def test_a_break_that_hides_the_rest_tells_how_far_it_got(
    write: Write, name: str, content: str, line: int, why: str
) -> None:
    message = f"{why}the 2 rows before it can be read, what comes after it cannot"
    path = write(name, content)
    assert problems(path) == [(line, "row", message)]
    found = import_rows([path], skip=True)
    assert [row.text for row in found.rows] == ["Hm.", "Oh."]
    assert [bad["errors"] for bad in found.bad] == [[f"row: {message}"]]


def test_one_annotators_two_labels_for_one_row_are_bad(write: Write) -> None:
    path = write("a.csv", "id,text,label\n1,Hm.,none\n1,Hm.,none\n1,Hm.,empathy\n")
    message = f"expected one label by one annotator, found 'empathy' here and 'none' at {path}:2"
    assert problems(path) == [(4, "label", message)]
    path = write("a.json", [task(1, annotation(7, choices("none")), annotation(7, choices("empathy")))])
    assert [column for _, column, _ in problems(path)] == ["label"]


@pytest.mark.parametrize("column", ["text", "context"])
def test_one_id_for_two_utterances_is_bad(write: Write, column: str) -> None:
    rows = [{"id": 1, "text": "A.", "context": "B.", "label": "none"} for _ in range(2)]
    [(line, where, message)] = problems(write("a.jsonl", [rows[0], rows[1] | {column: "Other."}]))
    assert (line, where) == (2, column)
    assert message.endswith("say which column identifies a row with --id")


def test_a_missing_column_is_told_with_those_there(write: Write) -> None:
    path = write("a.csv", "said,code\nHm.,none\n")
    with pytest.raises(
        AsifError,
        match=r"a\.csv: text: expected the column text or .*, found the columns 'said', 'code'; say which with --text\.",
    ):
        import_rows([path])
    with pytest.raises(AsifError, match=r"label: expected the column label or .* say which with --label"):
        import_rows([path], Settings(columns={"text": "said"}))
    with pytest.raises(AsifError, match="context: expected the column before, found"):
        import_rows([path], Settings(columns={"text": "said", "label": "code", "context": "before"}))


def test_a_file_where_nobody_labelled_anything_is_refused(write: Write) -> None:
    with pytest.raises(AsifError, match="expected at least one labelled row, found none and 2 without a label"):
        import_rows([write("a.json", [task(1), task(2)])])


@pytest.mark.parametrize("wrong", [{"tool": "labelstudio"}, {"encoding": "utf-9"}, {"encoding": "rot13"}])
def test_settings_are_checked_first(wrong: dict[str, str]) -> None:
    with pytest.raises(AsifError, match="expected "):
        Settings(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "CANARY said all of this,and CANARY said that too\nx,y\n"),
        ("a.csv", "CANARY,none\nCANARY too,empathy\n"),
        ("a.csv", "CANARY,2\nCANARY too,1\n"),
        ("a.csv", "CANARY.,Okay.\nx,y\n"),
        ("a.csv", "oh no CANARY,and then\nx,y\n"),
        ("a.csv", "CANARY,CANARY,none\nx,y,z\n"),
        ("a.csv", "text,label\nCANARY,CANARY\n"),
        ("a.csv", "text,label\nOh  CANARY,Oh CANARY \n"),
        ("a.csv", "text,context,label\nHm.,CANARY,CANARY\n"),
        ("a.csv", "label,text\nCANARY,none\n"),
        ("a.csv", "label,text,split\nnone,CANARY,CANARY\n"),
        ("a.csv", "text,label\nCANARY,CANARY was here all day\n"),
        ("a.json", "CANARY"),
        ("a.json", [task(1, annotation(7, choices("nope")), text="CANARY", context="CANARY")]),
        ("a.json", [task(1, annotation(7, choices("none")), text=["CANARY"])]),
        ("a.jsonl", [{"id": 1, "text": "CANARY", "label": "none"}, {"id": 1, "text": "CANARY!", "label": "none"}]),
    ],
)
def test_no_error_repeats_an_utterance(write: Write, name: str, content: Any) -> None:
    with pytest.raises(AsifError) as caught:
        import_rows([write(name, content)])
    assert "CANARY" not in str(caught.value)


@hypothesis_settings(deadline=None, max_examples=200)
@given(
    st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=5) | st.none(), max_size=3), max_size=4), st.data()
)
def test_a_json_list_is_read_as_json_reads_it_up_to_where_it_breaks(
    tmp_path_factory: pytest.TempPathFactory, values: list[dict[str, str | None]], data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "list.json"
    text = json.dumps(values, indent=data.draw(st.sampled_from([None, 1])), ensure_ascii=False)
    path.write_text(text + data.draw(st.sampled_from(["", "\n", " \n "])), newline="")
    errors: list[RowError] = []
    assert [value for _, value in records(path, errors, FILE_READERS)] == values
    assert errors == []
    cut = data.draw(st.integers(1, len(text) - 1))
    path.write_text(text[:cut], newline="")
    read = [value for _, value in records(path, errors, FILE_READERS)]
    assert read == values[: len(read)]
    assert [(error.line, error.column) for error in errors] == [(len(read) + 1, "row")]


KEYS = ["text", "label", "labels", "votes", "data", "annotations", "result", "value", "choices", "fields", "responses", "answer",
        "accept", "options", "meta", "metadata", "id", "annotation_id", "annotator", "_task_hash", "label.responses"]  # fmt: skip
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["none", "Hm.", "", "{", "submitted"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=15,
)


@hypothesis_settings(deadline=None, max_examples=150)
@given(values=st.lists(st.dictionaries(st.sampled_from(KEYS), ANY, max_size=6) | ANY, max_size=3), skip=st.booleans())
def test_any_json_is_rows_or_a_named_mistake(
    tmp_path_factory: pytest.TempPathFactory, values: list[Any], skip: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(values))
    try:
        found = import_rows([path], skip=skip)
    except AsifError as error:
        assert "found" in str(error)
    else:
        assert all(row.id and row.votes for row in found.rows)
