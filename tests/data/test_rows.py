"""Rows from files: what is read, and how every bad row is named."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asif_data.errors import AsifError
from asif_data.labels import MARKS
from asif_data.rows import MAX_CHARACTERS, BadRows, Row, placed_rows, read_rows, row_files, write_rows

Write = Callable[[str, str | bytes], Path]
ROWS = [
    {"text": "It sounds lonely.", "label": "empathy", "context": "Nobody called.", "id": "1", "topic": "grief"},
    {"text": "See you, then; on “Monday”.", "label": "none", "context": None, "id": "2", "topic": None},
]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return to


def lines(*records: object) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def row(**columns: object) -> dict[str, object]:
    return {"text": "You miss her.", "label": "empathy"} | columns


def problems(*paths: Path, **options: Any) -> list[tuple[int, str, str]]:
    with pytest.raises(BadRows) as caught:
        read_rows(paths, **options)
    return [(error.line, error.column, error.message) for error in caught.value.errors]


def as_file(path: Path, records: list[dict[str, Any]]) -> Path:
    """The records in the format of the path's ending."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(records), path)
    elif path.suffix == ".jsonl":
        path.write_text(lines(*records), encoding="utf-8")
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(records[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(records)
    return path


# What is read


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".tsv", ".parquet"])
def test_every_format_gives_the_same_rows(tmp_path: Path, ending: str) -> None:
    rows = read_rows([as_file(tmp_path / f"rows{ending}", ROWS)])
    assert rows == [Row.model_validate(record) for record in ROWS]


def test_the_ending_may_be_in_capitals(write: Write) -> None:
    assert len(read_rows([write("ROWS.JSONL", lines(row()))])) == 1


def test_several_files_are_read_in_the_order_given(write: Write) -> None:
    b, a = write("b.jsonl", lines(row(id="b"))), write("a.csv", "text,label,id\nHm.,none,a\n")
    assert [r.id for r in read_rows([b, a])] == ["b", "a"]


@pytest.mark.parametrize(
    ("name", "content"),
    [("bom.csv", "text,label\nHm.,none\n"), ("bom.tsv", "text\tlabel\nHm.\tnone\n"), ("bom.jsonl", '{"text": "Hm.", "label": "none"}\n')],
)  # fmt: skip
def test_a_byte_order_mark_is_no_part_of_the_first_column(write: Write, name: str, content: str) -> None:
    assert read_rows([write(name, b"\xef\xbb\xbf" + content.encode())])[0].text == "Hm."


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
@pytest.mark.parametrize("separator", [";", "\t", ","])
def test_what_spreadsheets_write_is_read(write: Write, encoding: str, separator: str) -> None:
    content = "\r\ntext,label,topic\r\nÇa va; oui, ça va.,none,a\r\n"
    header, row = content.strip().split("\r\n")
    lines = [header.replace(",", separator), f'"{row[:-7]}"{separator}none{separator}a']
    path = write("a.csv", "\r\n".join(["", *lines]).encode(encoding))
    assert read_rows([path])[0].model_dump(include={"text", "label", "topic"}) == {
        "text": "Ça va; oui, ça va.",
        "label": "none",
        "topic": "a",
    }


def test_blank_lines_are_no_rows(write: Write) -> None:
    assert len(read_rows([write("a.jsonl", "\n" + lines(row()) + "  \n" + lines(row()))])) == 2
    assert len(read_rows([write("a.csv", "\ntext,label\n\nHm.,none\n\n")])) == 1


def test_windows_line_ends_are_read(write: Write) -> None:
    assert read_rows([write("a.csv", "text,label\r\nHm.,none\r\n")])[0].label == "none"
    assert read_rows([write("a.jsonl", lines(row()).replace("\n", "\r\n"))])[0].label == "empathy"


def test_the_last_line_needs_no_line_end(write: Write) -> None:
    assert len(read_rows([write("a.jsonl", lines(row(), row()).rstrip())])) == 2
    assert len(read_rows([write("a.csv", "text,label\nHm.,none")])) == 1


def test_a_csv_field_may_span_lines_and_hold_commas_and_quotes(write: Write) -> None:
    path = write("a.csv", 'text,label\n"You said ""no"",\nand left.",empathy\n')
    assert read_rows([path])[0].text == 'You said "no",\nand left.'


def test_an_empty_csv_cell_means_no_value(write: Write) -> None:
    found = read_rows([write("a.csv", "text,label,context,id,votes,topic\nHm.,none,,,,\n")])[0]
    assert (found.context, found.id, found.votes) == (None, None, None)


def test_white_space_around_csv_column_names_is_dropped(write: Write) -> None:
    assert read_rows([write("a.csv", "text, label\nHm.,none\n")])[0].label == "none"


def test_votes_in_a_csv_cell_are_json(write: Write) -> None:
    votes = [{"annotator": "a", "label": "none"}, {"annotator": "b", "label": "empathy"}]
    path = as_file(write("a.csv", ""), [row(votes=json.dumps(votes))])
    found = read_rows([path])[0].votes or []
    assert [vote.model_dump() for vote in found] == votes


def test_unknown_columns_are_kept(write: Write) -> None:
    found = read_rows([write("a.jsonl", lines(row(topic="grief", turn=3, tags=["a", {"b": None}])))])[0]
    assert found.model_extra == {"topic": "grief", "turn": 3, "tags": ["a", {"b": None}]}


def test_a_text_may_be_as_long_as_the_limit(write: Write) -> None:
    assert len(read_rows([write("a.jsonl", lines(row(text="a" * MAX_CHARACTERS)))])[0].text) == MAX_CHARACTERS


def test_a_label_may_be_absent_where_none_is_asked_for(write: Write) -> None:
    path = write("a.jsonl", lines({"text": "Hm."}))
    assert read_rows([path], labelled=False)[0].label is None
    assert problems(path) == [(1, "label", f"expected one of {', '.join(MARKS)}, found no label")]


def test_a_wrong_label_is_bad_even_where_none_is_asked_for(write: Write) -> None:
    assert problems(write("a.jsonl", lines(row(label="maybe"))), labelled=False)[0][1] == "label"


def test_marks_decide_which_labels_may_occur(write: Write) -> None:
    path = write("a.jsonl", lines(row(label="open question")))
    assert read_rows([path], marks=("open question", "closed question"))[0].label == "open question"
    assert problems(path)[0][1] == "label"


# What is bad


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("Empathy", "empathy"), ("empaty", "empathy"), ("SYMPATHY ", "sympathy"), ("overidentification", "over-identification"), ("nonee", "none")],
)  # fmt: skip
def test_a_misspelt_label_is_shown_with_the_one_meant(write: Write, wrong: str, meant: str) -> None:
    [(_, column, message)] = problems(write("a.jsonl", lines(row(label=wrong))))
    assert column == "label"
    assert message == f"expected one of {', '.join(MARKS)}, found {wrong!r} (did you mean {meant!r}?)"


def test_a_label_like_no_other_may_be_one_of_other_data(write: Write) -> None:
    [(_, _, message)] = problems(write("a.jsonl", lines(row(label="3"))))
    assert message.endswith("found '3'; other labels are named with --labels")


def test_all_bad_rows_of_all_files_are_named_at_once(write: Write) -> None:
    a = write("a.jsonl", lines(row(), row(label="empathi"), row(text=" "), {"label": "none"}))
    b = write("b.csv", "text,label,split\nHm.,none,dev\nHm.,none\nHm.,,train\n")
    with pytest.raises(BadRows) as caught:
        read_rows([a, b])
    found = [(error.path.name, error.line, error.column) for error in caught.value.errors]
    assert found == [
        ("a.jsonl", 2, "label"),
        ("a.jsonl", 3, "text"),
        ("a.jsonl", 4, "text"),
        ("b.csv", 2, "split"),
        ("b.csv", 3, "row"),
        ("b.csv", 4, "label"),
    ]
    message = str(caught.value).splitlines()
    assert message[0].startswith(f"{a}:2: label: expected one of ")
    assert message[-1] == "6 problems in the rows; nothing was used."


def test_all_bad_columns_of_a_row_are_named(write: Write) -> None:
    path = write("a.jsonl", lines({"text": 5, "label": "no", "context": 3, "split": "dev", "votes": [{"label": "x"}]}))
    assert [column for _, column, _ in problems(path)] == ["text", "context", "votes.0.annotator", "split", "label"]


def test_one_problem_is_counted_as_one(write: Write) -> None:
    with pytest.raises(BadRows, match=r"\n1 problem in the rows; nothing was used\.$"):
        read_rows([write("a.jsonl", lines(row(label="no")))])


def test_lines_count_the_line_breaks_inside_csv_fields(write: Write) -> None:
    path = write("a.csv", 'text,label\n"one\ntwo\n\nthree",none\n\n"four\nfive",nope\nsix,nope\n')
    assert [line for line, _, _ in problems(path)] == [7, 9]


def test_lines_of_jsonl_count_the_blank_ones(write: Write) -> None:
    assert [line for line, _, _ in problems(write("a.jsonl", "\n\n" + lines(row(label="no"))))] == [3]


def test_a_parquet_row_is_named_by_its_number(tmp_path: Path) -> None:
    path = as_file(tmp_path / "a.parquet", [row(), row(), row(label="nonee")])
    assert [line for line, _, _ in problems(path)] == [3]


def test_broken_json_is_named_and_the_rest_still_read(write: Write) -> None:
    path = write("a.jsonl", lines(row()) + '{"text": "Hm.", "label\n' + lines(row(label="no"), ["Hm."], "Hm.", None))
    found = problems(path)
    assert [(line, column) for line, column, _ in found] == [
        (2, "row"),
        (3, "label"),
        (4, "row"),
        (5, "row"),
        (6, "row"),
    ]
    assert found[0][2].startswith("expected a JSON object, found broken JSON (")
    assert [message.split(", ")[1] for _, _, message in found[2:]] == ["found list", "found str", "found NoneType"]


@pytest.mark.parametrize("line", ["[" * 100_000, '{"text": "Hm.", "label": "none", "turn": ' + "9" * 5000 + "}"])
def test_json_too_deep_or_too_long_is_a_bad_row(write: Write, line: str) -> None:
    [(number, column, message)] = problems(write("a.jsonl", line + "\n"))
    assert (number, column) == (1, "row")
    assert "too deep or too long" in message


def test_a_csv_row_of_the_wrong_length_is_named(write: Write) -> None:
    path = write("a.csv", "text,label\nOh, I see.,none\nHm.\n")
    assert problems(path) == [(2, "row", "expected 2 values, found 3"), (3, "row", "expected 2 values, found 1")]


def test_an_open_quote_is_named_by_the_line_it_opens_on(write: Write) -> None:
    [(line, column, message)] = problems(write("a.csv", 'text,label\nHm.,none\n"Hm.,none\nHm.,none\n'))
    assert (line, column) == (3, "row")
    assert message.startswith("expected CSV, found a broken row")


def test_a_broken_tsv_row_is_called_tsv(write: Write) -> None:
    [(_, _, message)] = problems(write("a.tsv", 'text\tlabel\n"no" she said\tnone\n'))
    assert message.startswith("expected TSV")


def test_a_missing_text_column_is_named_with_those_there(write: Write) -> None:
    [(line, column, message)] = problems(write("a.csv", "txt,label\nHm.,none\n"))
    assert (line, column) == (2, "text")
    assert message == "expected this column, found the columns 'txt', 'label' (did you mean 'txt' to be text?)"


@pytest.mark.parametrize("text", ["", " \t\n", "\u00a0\u2003"])
def test_white_space_is_no_utterance(write: Write, text: str) -> None:
    assert problems(write("a.jsonl", lines(row(text=text)))) == [
        (1, "text", "expected the counselor's words, found only white space")
    ]


def test_an_empty_csv_text_is_called_empty(write: Write) -> None:
    assert problems(write("a.csv", "text,label\n,none\n"))[0][2].endswith("found only white space")


@pytest.mark.parametrize("column", ["text", "context"])
def test_a_text_over_the_limit_is_bad(write: Write, column: str) -> None:
    [(_, where, message)] = problems(write("a.jsonl", lines(row(**{column: "a" * (MAX_CHARACTERS + 1)}))))
    assert (where, message) == (column, "expected at most 20,000 characters, found 20,001")


@pytest.mark.parametrize("column", ["text", "context"])
@pytest.mark.parametrize("half", ["\ud83d", "Oh \udc00 no"])
def test_half_a_surrogate_pair_is_bad(write: Write, column: str, half: str) -> None:
    [(_, where, message)] = problems(write("a.jsonl", lines(row(**{column: half}))))
    assert where == column
    assert "half of a surrogate pair" in message


def test_a_whole_surrogate_pair_is_its_character(write: Write) -> None:
    assert read_rows([write("a.jsonl", '{"text": "\\ud83d\\ude22", "label": "none"}')])[0].text == "\U0001f622"


@pytest.mark.parametrize("value", [5, True, ["Hm."], {"a": 1}, None])
def test_a_text_that_is_no_string_is_bad(write: Write, value: object) -> None:
    [(_, column, message)] = problems(write("a.jsonl", lines(row(text=value))))
    assert column == "text"
    assert message.endswith(f"found {type(value).__name__}")


def test_an_id_given_twice_names_the_first_place(write: Write) -> None:
    a, b = write("a.jsonl", lines(row(id="7"), row(id="8"))), write("b.jsonl", lines(row(), row(id="7")))
    assert problems(a, b) == [(2, "id", f"expected an id of its own, found '7', which {a}:1 has already")]


def test_rows_without_an_id_are_no_duplicates(write: Write) -> None:
    assert len(read_rows([write("a.jsonl", lines(row(), row()))])) == 2


@pytest.mark.parametrize("cell", ["empathy", "5", '{"annotator": "a"}', '"[{"'])
def test_a_votes_cell_that_is_no_list_is_bad(write: Write, cell: str) -> None:
    assert [column for _, column, _ in problems(as_file(write("a.csv", ""), [row(votes=cell)]))] == ["votes"]


def test_a_vote_with_a_misspelt_label_is_named(write: Write) -> None:
    votes = [{"annotator": "a", "label": "none"}, {"annotator": "b", "label": "simpathy"}]
    [(_, column, message)] = problems(write("a.jsonl", lines(row(votes=votes))))
    assert column == "votes.1.label"
    assert message.endswith("(did you mean 'sympathy'?)")


def test_a_vote_with_an_unknown_field_is_bad(write: Write) -> None:
    votes = [{"annotator": "a", "label": "none", "lable": "none"}]
    assert [column for _, column, _ in problems(write("a.jsonl", lines(row(votes=votes))))] == ["votes.0.lable"]


def test_an_unknown_split_is_named(write: Write) -> None:
    assert problems(write("a.jsonl", lines(row(split="dev")))) == [
        (1, "split", "expected one of train, validation, test, found 'dev'")
    ]


@pytest.mark.parametrize(
    "line",
    [
        '{"text": "CANARY", "label": "none"',
        '["CANARY"]',
        lines(row(text="CANARY" * 5000, context="CANARY" * 5000)),
        lines(row(text="CANARY\ud800", context="CANARY\udc00")),
        lines(row(text=["CANARY"], context={"CANARY": 1})),
        lines({"utterance": "CANARY", "label": "none"}),
        lines(row(text="CANARY", context="CANARY", label="x", split="x", votes=[{"annotator": "a", "label": "x"}])),
        lines(row(text="CANARY", label="CANARY", split="CANARY", votes=[{"annotator": "a", "label": "CANARY"}])),
        lines(row(text="Oh. CANARY", label=" Oh.  CANARY ", context="I am CANARY", split="I am CANARY")),
        lines(row(text="none", label="CANARY", split="CANARY")),
        lines(row(text="CANARY", id="CANARY"), row(text="CANARY", id="CANARY")),
        lines({"CANARY": 1, "none": 2}),
    ],
)
def test_no_error_repeats_an_utterance(write: Write, line: str) -> None:
    with pytest.raises(BadRows) as caught:
        read_rows([write("a.jsonl", line)])
    assert "CANARY" not in str(caught.value)


# Files that hold no rows


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.jsonl", ""), ("a.jsonl", "\n \n"), ("a.csv", ""), ("a.csv", "text,label\n"), ("a.tsv", "\n"), ("a.jsonl", "\ufeff")],
)  # fmt: skip
def test_a_file_without_rows_is_refused(write: Write, name: str, content: str) -> None:
    with pytest.raises(AsifError, match=rf"{name}: expected at least one row, found none\.$"):
        read_rows([write(name, content)])


def test_an_empty_file_beside_a_full_one_is_refused(write: Write) -> None:
    with pytest.raises(AsifError, match=r"empty\.jsonl: expected at least one row"):
        read_rows([write("full.jsonl", lines(row())), write("empty.jsonl", "")])


def test_a_parquet_file_without_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": pa.array([], pa.string()), "label": pa.array([], pa.string())}), path)
    with pytest.raises(AsifError, match="expected at least one row"):
        read_rows([path])


@pytest.mark.parametrize("content", [b"", b"text,label\nHm.,none\n", b"PAR1"])
def test_what_is_no_parquet_file_is_refused_by_name(write: Write, content: bytes) -> None:
    with pytest.raises(AsifError, match=r"a\.parquet: expected a Parquet file"):
        read_rows([write("a.parquet", content)])


@pytest.mark.parametrize(("name", "found"), [("a.txt", r"'\.txt'"), ("a.json", r"'\.json'"), ("rows", "no ending")])
def test_a_file_of_another_ending_is_refused(write: Write, name: str, found: str) -> None:
    with pytest.raises(AsifError, match=rf"\.jsonl, \.csv, \.tsv, \.parquet, found {found}"):
        read_rows([write(name, lines(row()))])


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(AsifError, match=r"gone\.csv: expected a file of rows, found nothing there"):
        read_rows([tmp_path / "gone.csv"])


@pytest.mark.parametrize(
    ("name", "content", "byte"),
    [
        ("a.csv", "text,label\nça va,none\n".encode("latin-1"), "0xe7"),
        ("a.jsonl", b'{"text": "\x80", "label": "none"}', "0x80"),
    ],
)
def test_a_file_that_is_not_utf8_says_which_byte_and_what_to_do(
    write: Write, name: str, content: bytes, byte: str
) -> None:
    with pytest.raises(AsifError, match=rf"{name}: expected UTF-8, found byte {byte}; save the file as UTF-8, or "):
        read_rows([write(name, content)])


# Folders


def test_a_folder_stands_for_its_row_files_by_name(write: Write, tmp_path: Path) -> None:
    for name in ("b.csv", "a.jsonl", "c.PARQUET", "notes.md", ".a.jsonl.partial", ".hidden.csv"):
        write(name, "")
    assert [path.name for path in row_files(tmp_path)] == ["a.jsonl", "b.csv", "c.PARQUET"]


def test_a_file_stands_for_itself(write: Write) -> None:
    path = write("a.jsonl", "")
    assert row_files(path) == [path]


def test_a_folder_without_row_files_is_refused(write: Write, tmp_path: Path) -> None:
    write("notes.md", "")
    with pytest.raises(AsifError, match="found none in the folder"):
        row_files(tmp_path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AsifError, match=re.escape(f"{tmp_path / 'gone'}: expected a file or folder of rows")):
        row_files(tmp_path / "gone")


# Writing


def test_written_rows_are_read_again_with_their_unknown_columns(tmp_path: Path) -> None:
    votes = [{"annotator": "a", "label": "none"}]
    rows = [Row.model_validate(row(id="1", votes=votes, topic="grief", turn=3)), Row.model_validate(row())]
    write_rows(tmp_path / "a.jsonl", rows)
    assert [r.model_dump(exclude_none=True) for r in read_rows([tmp_path / "a.jsonl"])] == [
        r.model_dump(exclude_none=True) for r in rows
    ]


def test_written_text_stays_readable(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.jsonl", [Row(text="Ça te pèse 😢", label="empathy")])
    assert "Ça te pèse 😢" in (tmp_path / "a.jsonl").read_text(encoding="utf-8")


def test_writing_replaces_the_file_and_leaves_nothing_beside_it(write: Write, tmp_path: Path) -> None:
    path = write("a.jsonl", "old")
    with path.open() as reader:
        write_rows(path, [Row(text="Hm.", label="none")])
        assert reader.read() == "old"
    assert len(read_rows([path])) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_file_as_it_was(write: Write, tmp_path: Path) -> None:
    path = write("a.jsonl", "old")

    def rows():
        yield Row(text="Hm.", label="none")
        raise OSError("disk full")

    with pytest.raises(AsifError, match="disk full"):
        write_rows(path, rows())
    assert path.read_text() == "old"
    assert row_files(tmp_path) == [path]


def test_a_text_in_the_wrong_column_is_not_repeated(write: Write) -> None:
    said = "I could not get out of bed for a week after she left"
    for content in (f"text,label\nnone,{said}\n", f"{said},label\nHm.,none\n"):
        with pytest.raises(BadRows) as caught:
            read_rows([write("a.csv", content)])
        assert said not in str(caught.value)
        assert f"a text of {len(said)} characters" in str(caught.value)


def test_a_column_that_comes_twice_is_refused(write: Write) -> None:
    with pytest.raises(AsifError, match="found the columns 'text' more than once"):
        read_rows([write("a.csv", "text,text,label\na,b,none\n")])


def test_a_first_line_without_column_names_is_not_repeated(write: Write) -> None:
    with pytest.raises(BadRows, match=r"2: text: expected this column, found what seems to be a row of 2 values\n"):
        read_rows([write("a.csv", "Yeah.,none\nOh.,none\n")])
    with pytest.raises(AsifError, match=r"expected each column once, found what seems to be a row of 1 values more"):
        read_rows([write("a.csv", "Yeah.,Yeah.,none\n")])


def test_rows_come_with_their_places(write: Write) -> None:
    a, b = write("a.csv", 'text,label\n"Hm,\nhm.",none\nOh.,none\n'), write("b.jsonl", "\n" + lines(row()))
    assert [placed.place for placed in placed_rows([a, b])] == [f"{a}:2", f"{a}:4", f"{b}:2"]
    with pytest.raises(BadRows):
        list(placed_rows([write("c.jsonl", lines(row(), row(label="no")))]))


def test_a_broken_parquet_file_is_refused(write: Write) -> None:
    with pytest.raises(AsifError, match="expected a Parquet file"):
        read_rows([write("a.parquet", b"PAR1" + b"\xff" * 20 + b"\x14\0\0\0PAR1")])


def test_half_a_surrogate_pair_is_named_in_any_column(write: Write) -> None:
    file = write("a.jsonl", '{"text": "Hm.", "label": "none", "note": "\\ud800"}\n')
    with pytest.raises(BadRows, match="note: expected text that UTF-8 can hold"):
        read_rows([file])


# Any text, any bytes

UTTERANCES = st.text(min_size=1, max_size=80).filter(str.strip)
CONTEXTS = st.none() | st.text(min_size=1, max_size=80)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rows")


@settings(deadline=None)
@given(st.lists(st.builds(Row, text=UTTERANCES, context=CONTEXTS, label=st.sampled_from(MARKS)), min_size=1))
def test_any_unicode_text_survives_writing_and_reading(folder: Path, rows: list[Row]) -> None:
    write_rows(folder / "written.jsonl", rows)
    assert read_rows([folder / "written.jsonl"]) == rows


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".tsv", ".parquet"])
@settings(deadline=None)
@given(text=UTTERANCES, context=CONTEXTS)
@example(text='"a"\r\n,\tb\r', context="\ufeff\u2028\x00\x85\x1c")
def test_any_unicode_text_is_read_from_every_format(folder: Path, ending: str, text: str, context: str | None) -> None:
    records = [{"text": text, "context": context, "label": "none"}, {"text": "Hm.", "context": "No.", "label": "none"}]
    found = read_rows([as_file(folder / f"any{ending}", records)])
    assert [(r.text, r.context) for r in found] == [(text, context), ("Hm.", "No.")]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.sampled_from(MARKS),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["text", "label", "context", "id", "votes", "split", "annotator"]) | st.text(max_size=5),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)
PIECES = st.sampled_from(
    ["text", "label", "votes", "none", ",", "\t", "\n", "\r", '"', "{", "}", "[", "]", ":", "\\u", "\x00"]
)
CONTENTS = (
    st.binary(max_size=200)
    | st.lists(PIECES | st.text(max_size=3), max_size=40).map(lambda parts: "".join(parts).encode())
    | st.lists(JSON, max_size=4).map(lambda values: lines(*values).encode())
    | st.lists(st.text(max_size=8), max_size=8).map(lambda cells: ("text,label,votes\n" + ",".join(cells)).encode())
)


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".tsv", ".parquet"])
@settings(deadline=None, max_examples=100)
@given(content=CONTENTS, labelled=st.booleans())
def test_any_bytes_are_rows_or_a_named_mistake(folder: Path, ending: str, content: bytes, labelled: bool) -> None:
    path = folder / f"bytes{ending}"
    path.write_bytes(content)
    try:
        rows = read_rows([path], labelled=labelled)
    except AsifError as error:
        assert str(path) in str(error)
    else:
        assert rows
