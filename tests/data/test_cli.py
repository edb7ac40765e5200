"""`asif-data` as its users see it: what is printed, what is written, and the exit status."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from asif_data.cli import main
from asif_data.labels import MARKS
from asif_data.rows import Row, Vote, read_rows, write_rows


class Ended(NamedTuple):
    status: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("COLUMNS", "300")

    def command(*arguments: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["asif-data", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code in (None, 0, 1, 2)
        return Ended(int(end.value.code or 0), *capsys.readouterr())

    return command


@pytest.fixture
def rows() -> list[Row]:
    marks = [mark for mark in MARKS for _ in range(10)]
    votes = [{"annotator": "a", "label": "none"}, {"annotator": "b", "label": "none"}]
    return [
        Row.model_validate(
            {
                "text": f"{n * 7919 % 997} {mark} {n * n * 104729}",
                "label": mark,
                "id": f"r{n}",
                "votes": votes,
                "turn": n,
            }
        )
        for n, mark in enumerate(marks)
    ]


@pytest.fixture
def file(tmp_path: Path, rows: list[Row]) -> Path:
    write_rows(tmp_path / "rows.jsonl", rows)
    return tmp_path / "rows.jsonl"


@pytest.mark.parametrize(
    "command",
    [[], ["import"], ["export"], ["check"], ["split"], ["agreement"], ["standoff"], ["detach"], ["croissant"]],
)
def test_every_command_has_help(run: Run, command: list[str]) -> None:
    ended = run(*command, "--help")
    assert ended.status == 0
    assert "Usage: " in ended.out


@pytest.mark.parametrize(
    "arguments", [["chekc"], ["check"], ["split", "rows.jsonl"], ["check", "--jsno", "rows.jsonl"]]
)
def test_wrong_usage_exits_with_2(run: Run, arguments: list[str]) -> None:
    ended = run(*arguments)
    assert ended.status == 2
    assert "Usage: " in ended.err


# Other labels


@pytest.fixture
def other(tmp_path: Path) -> tuple[Path, Path]:
    """Rows of two labels of their own and none, with votes, and the file of those labels."""
    labels = tmp_path / "labels.yaml"
    labels.write_text("- {name: warm, codebook: Is warm.}\n- name: cold\n")
    rows = [
        Row(text=f"{n * 7919 % 997} {n * n * 104729}", label=label, votes=votes_for(label, n))
        for n, label in enumerate(["warm", "cold", "none"] * 10)
    ]
    write_rows(tmp_path / "other.jsonl", rows)
    return tmp_path / "other.jsonl", labels


def votes_for(label: str, n: int) -> list[Vote]:
    return [Vote(annotator="a", label=label), Vote(annotator="b", label=label if n % 5 else "none")]


def test_other_labels_are_taken_from_a_file_by_every_command(run: Run, other: tuple[Path, Path]) -> None:
    rows, labels = other
    out = rows.with_name("out.jsonl")
    for command in (
        ["check", rows],
        ["split", rows, "--out", out],
        ["agreement", rows],
        ["import", rows, "--out", out],
    ):
        assert run(*command, "--labels", labels).status == 0
    assert read_rows([out], marks=["warm", "cold", "none"])[0].label == "warm"
    ended = run("export", rows, "--out", rows.with_name("tasks.json"), "--labels", labels)
    assert '<Choice value="warm"/>' in ended.err
    assert "empathy" not in ended.err


def test_without_the_file_other_labels_are_errors_that_name_it(run: Run, other: tuple[Path, Path]) -> None:
    ended = run("check", other[0])
    assert ended.status == 1
    assert "1: label: expected one of empathy, sympathy, over-identification, none, found 'warm'; other" in ended.err
    assert "named with --labels" in ended.err


def test_a_typo_of_another_label_is_no_label(run: Run, other: tuple[Path, Path]) -> None:
    rows, labels = other
    with rows.open("a") as file:
        file.write('{"text": "Hm.", "label": "wram"}\n')
    ended = run("check", rows, "--labels", labels)
    assert ended.status == 1
    assert "31: label: expected one of warm, cold, none, found 'wram' (did you mean 'warm'?)" in ended.err


def test_names_of_other_labels_are_mapped_on_import(run: Run, other: tuple[Path, Path]) -> None:
    rows, labels = other
    table = rows.with_name("ann.csv")
    table.write_text("text,label\nYou miss her.,WARM\nHm.,Frosty\n")
    out = rows.with_name("out.jsonl")
    assert run("import", table, "--out", out, "--labels", labels, "--label-map", "frosty=Cold").status == 0
    assert [row.label for row in read_rows([out], marks=["warm", "cold", "none"])] == ["warm", "cold"]


def test_check_tells_that_there_are_no_rows_of_none(run: Run, other: tuple[Path, Path]) -> None:
    rows, labels = other
    write_rows(rows, [row for row in read_rows([rows], marks=["warm", "cold", "none"]) if row.label != "none"])
    ended = run("check", rows, "--labels", labels)
    assert ended.status == 1
    assert "none 0" in ended.out


# import and export


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    path = tmp_path / "ann.csv"
    path.write_text("utterance,client,label\nYou miss her.,She left.,Empathy\nHm.,,\n")
    return path


def test_import_writes_rows_and_adds_nothing_twice(run: Run, labelled: Path) -> None:
    out = labelled.with_name("rows.jsonl")
    ended = run("import", labelled, "--out", out)
    assert (ended.status, ended.err) == (0, "")
    assert ended.out == f"{out}: 1 rows, 1 added, 0 changed\n1 without a label left out\n"
    [row] = read_rows([out])
    assert (row.text, row.context, row.label) == ("You miss her.", "She left.", "empathy")
    before = out.read_bytes()
    counts = {"rows": 1, "added": 0, "changed": 0, "unlabelled": 1, "ties": 0, "withdrawn": 0, "absent": 0, "bad": 0}
    assert json.loads(run("import", labelled, "--out", out, "--json").out) == counts
    assert out.read_bytes() == before


def test_import_tells_ties(run: Run, labelled: Path) -> None:
    other = labelled.with_name("bob.csv")
    other.write_text(labelled.read_text().replace("Empathy", "none"))
    ended = run("import", labelled, other, "--out", labelled.with_name("rows.jsonl"))
    assert "1 rows have no label, for their votes tie" in ended.out


def test_import_names_who_labelled(run: Run, labelled: Path) -> None:
    out = labelled.with_name("rows.jsonl")
    assert run("import", labelled, "--out", out, "--voter", "Ann B.").status == 0
    assert [vote.annotator for vote in read_rows([out])[0].votes or []] == ["Ann B."]


def test_import_tells_of_votes_that_are_gone_and_takes_them_back_when_asked(run: Run, labelled: Path) -> None:
    out = labelled.with_name("rows.jsonl")
    labelled.write_text("id,text,label\n1,Hm.,none\n2,Oh.,none\n")
    run("import", labelled, "--out", out)
    before = out.read_bytes()
    labelled.write_text("id,text,label\n1,Hm.,\n2,Oh.,none\n")
    assert "1 earlier votes are by annotators of these files" in run("import", labelled, "--out", out).out
    assert out.read_bytes() == before
    ended = run("import", labelled, "--out", out, "--withdraw")
    assert "1 earlier votes taken back" in ended.out
    assert [row.label for row in read_rows([out], labelled=False)] == [None, "none"]


def test_import_takes_columns_names_and_encoding_from_flags(run: Run, labelled: Path) -> None:
    labelled.write_text("said;code;where\nÇa va.;2;x\nHm.;?;y\n", encoding="latin-1")
    out = labelled.with_name("rows.jsonl")
    flags = ["--text", "said", "--label", "code", "--group", "where", "--label-map", "2=none", "--label-map", "?="]
    ended = run("import", labelled, "--out", out, "--encoding", "latin-1", "--format", "rows", *flags)
    assert ended.status == 0
    [row] = read_rows([out])
    assert (row.text, row.label, row.group) == ("Ça va.", "none", "x")


def test_bad_rows_stop_an_import_or_are_kept_beside(run: Run, labelled: Path) -> None:
    labelled.write_text("text,label\nHm.,none\nOh.,nonee\n,none\n")
    out = labelled.with_name("rows.jsonl")
    ended = run("import", labelled, "--out", out)
    assert (ended.status, ended.out, len(ended.err.splitlines())) == (1, "", 3)
    assert [path.name for path in labelled.parent.iterdir()] == ["ann.csv"]
    ended = run("import", labelled, "--out", out, "--on-error", "skip")
    assert ended.status == 0
    assert ended.err.splitlines()[-1] == f"2 bad rows left out; they are in {out}.bad."
    assert ended.err.startswith(f"{labelled}:3: label: expected one of ")
    bad = [json.loads(line) for line in Path(f"{out}.bad").read_text().splitlines()]
    assert [(b["line"], b["row"]["label"]) for b in bad] == [(3, "nonee"), (4, "none")]
    assert len(read_rows([out])) == 1


def test_what_is_exported_and_labelled_comes_back_to_its_row(run: Run, file: Path, rows: list[Row]) -> None:
    tasks_file = file.with_name("tasks.json")
    ended = run("export", file, "--out", tasks_file)
    assert (ended.status, ended.out) == (0, f"{tasks_file}: 40 rows\n")
    assert '<Choice value="over-identification"/>' in ended.err
    tasks = json.loads(tasks_file.read_text())
    answer = {"from_name": "label", "value": {"choices": ["none"]}}
    tasks[0] |= {"id": 1, "annotations": [{"completed_by": 7, "was_cancelled": False, "result": [answer]}]}
    for number, task in enumerate(tasks[1:], 2):
        task |= {"id": number, "annotations": []}
    tasks_file.write_text(json.dumps(tasks))
    found = json.loads(run("import", tasks_file, "--out", file, "--json").out)
    assert found == {
        "rows": 40,
        "added": 0,
        "changed": 1,
        "unlabelled": 39,
        "ties": 0,
        "withdrawn": 0,
        "absent": 0,
        "bad": 0,
    }
    assert [len(row.votes or []) for row in read_rows([file], labelled=False)] == [3] + [2] * 39


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import", "rows.jsonl", "--out", "x.csv"], "--out: expected a .jsonl file"),
        (["export", "rows.jsonl", "--out", "x.jsonl"], "--out: expected a .json file"),
        (["import", "gone", "--out", "x.jsonl"], "gone: expected a file or folder"),
        (["import", "rows.jsonl", "--out", "x.jsonl", "--format", "csv"], "format: expected one of label-studio"),
        (["import", "rows.jsonl", "--out", "x.jsonl", "--label-map", "a=b"], "label map: 'a': expected one of"),
        (["export", "rows.jsonl", "--out", "x.json", "--to", "csv"], "to: expected one of label-studio, argilla"),
    ],
)
def test_a_wrong_flag_is_one_sentence_and_writes_nothing(
    run: Run, file: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(file.parent)
    ended = run(*arguments)
    assert (ended.status, ended.out) == (1, "")
    assert ended.err.startswith(message)
    assert [path.name for path in file.parent.iterdir()] == ["rows.jsonl"]


# check


def test_check_of_good_rows_prints_a_table_and_exits_with_0(run: Run, file: Path) -> None:
    ended = run("check", file)
    assert ended.status == 0
    assert "40 rows, every one valid" in ended.out
    assert "label balance" in ended.out
    assert "failed" not in ended.out


def test_check_names_the_rows_that_fail_and_exits_with_1(run: Run, file: Path, rows: list[Row]) -> None:
    write_rows(file, [*rows, rows[3].model_copy(update={"id": "copy"})])
    ended = run("check", file)
    assert ended.status == 1
    assert "failed" in ended.out
    assert "near-duplicates: r3 ~ copy" in ended.out


@pytest.mark.parametrize("copies", [0, 1])
def test_check_prints_json_for_scripts(run: Run, file: Path, rows: list[Row], copies: int) -> None:
    write_rows(file, rows + [rows[3].model_copy(update={"id": "copy"})] * copies)
    ended = run("check", file, "--json")
    found = json.loads(ended.out)
    assert found["rows"] == 40 + copies
    checks = {check["name"]: check for check in found["checks"]}
    assert checks["near-duplicates"]["passed"] == (copies == 0)
    assert checks["near-duplicates"]["rows"] == ["r3 ~ copy"] * copies
    assert ended.status == copies


def test_check_says_in_one_line_what_to_do(run: Run, file: Path, rows: list[Row]) -> None:
    write_rows(file, rows[5:])
    ended = run("check", file)
    assert ended.status == 1
    assert "empathy 5 (3 missing)" in ended.out
    assert "label balance: to do: label more rows: 3 of empathy\n" in ended.out


def test_check_against_a_corpus_names_what_was_held_out_there(run: Run, file: Path, rows: list[Row]) -> None:
    corpus = file.with_name("corpus.jsonl")
    splits = ["test"] + ["train"] * 39
    write_rows(corpus, [row.model_copy(update={"split": split}) for row, split in zip(rows, splits, strict=True)])
    ended = run("check", file, "--against", corpus)
    assert ended.status == 1
    assert f"leaks from held-out rows: {file}:1 ~ {corpus}:1 (same text)" in ended.out
    assert ended.out.count("(same text)") == 1
    write_rows(file, [*rows[1:], Row(text="One more of its own kind.", label="empathy")])
    assert run("check", file, "--against", corpus).status == 0


def test_a_corpus_without_splits_is_held_out_as_training_would(run: Run, file: Path, rows: list[Row]) -> None:
    found = json.loads(run("check", file, "--against", file, "--json").out)["checks"][-1]
    assert (found["name"], found["found"], len(found["rows"])) == (
        "leaks from held-out rows",
        "6 of 40 rows",
        6,
    )  # two of the eight are backchannels


def test_check_against_nothing_is_one_sentence(run: Run, file: Path) -> None:
    ended = run("check", file, "--against", "gone")
    assert (ended.status, ended.out, ended.err) == (
        1,
        "",
        "gone: expected a file or folder of rows, found nothing there.\n",
    )


def test_a_folder_stands_for_its_files(run: Run, file: Path, rows: list[Row]) -> None:
    write_rows(file.with_name("more.jsonl"), [Row(text="One more of its own kind.", label="none")])
    assert json.loads(run("check", file.parent, "--json").out)["rows"] == 41


def test_bad_rows_are_named_on_stderr_without_a_traceback(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a [draft].csv"
    path.write_text("text,label\nHm.,nonee\n,none\n")
    ended = run("check", path)
    assert (ended.status, ended.out) == (1, "")
    assert ended.err.splitlines() == [
        f"{path}:2: label: expected one of {', '.join(MARKS)}, found 'nonee' (did you mean 'none'?)",
        f"{path}:3: text: expected the counselor's words, found only white space",
        "2 problems in the rows; nothing was used.",
    ]


def test_a_missing_path_is_one_sentence(run: Run, tmp_path: Path) -> None:
    ended = run("check", tmp_path / "gone")
    assert (ended.status, ended.out) == (1, "")
    assert ended.err == f"{tmp_path / 'gone'}: expected a file or folder of rows, found nothing there.\n"


# split


def test_split_writes_every_row_with_a_split_and_its_own_columns(run: Run, file: Path, rows: list[Row]) -> None:
    out = file.with_name("split.jsonl")
    ended = run("split", file, "--out", out)
    assert ended.status == 0
    assert "test 4, train 32, validation 4" in ended.out
    written = read_rows([out])
    assert {row.split for row in written} == {"train", "validation", "test"}
    assert [row.model_copy(update={"split": None}) for row in written] == rows


def test_split_may_write_over_what_it_read(run: Run, file: Path) -> None:
    assert run("split", file, "--out", file).status == 0
    assert all(row.split for row in read_rows([file]))


def test_the_seed_decides_the_split(run: Run, file: Path) -> None:
    written = []
    for name, seed in (("a.jsonl", 1), ("b.jsonl", 1), ("c.jsonl", 2)):
        run("split", file, "--seed", str(seed), "--out", file.with_name(name))
        written.append(file.with_name(name).read_text())
    assert written[0] == written[1] != written[2]


def test_split_writes_nothing_where_it_cannot_split(run: Run, file: Path) -> None:
    write_rows(file, [Row(text="Hm.", label="none")])
    out = file.with_name("split.jsonl")
    ended = run("split", file, "--out", out)
    assert ended.status == 1
    assert ended.err.startswith(
        "expected groups of every label for each of the three splits, found 1 groups with 'none'"
    )
    assert not out.exists()


# agreement


@pytest.fixture
def voted(tmp_path: Path) -> Path:
    """Four rows by two annotators; see test_agreement for the values."""
    votes = [("empathy", "empathy"), ("empathy", "sympathy"), ("sympathy", "sympathy"), ("none", "none")]
    rows = [
        Row.model_validate(
            {
                "text": "Hm.",
                "label": a,
                "votes": [{"annotator": "a", "label": a}, {"annotator": "b", "label": b}],
                "border": "plain" if a == b else "questions",
            }
        )
        for a, b in votes
    ]
    write_rows(tmp_path / "voted.jsonl", [*rows, Row(text="Hm.", label="none")])
    return tmp_path / "voted.jsonl"


def test_agreement_is_told_overall_by_label_and_by_border(run: Run, voted: Path) -> None:
    found = {line["over"]: (line["rows"], line["alpha"]) for line in json.loads(run("agreement", voted, "--json").out)}
    assert found == {
        "all": (4, pytest.approx(2 / 3)),
        "label empathy": (4, pytest.approx(8 / 15)),
        "label none": (4, 1.0),
        "label sympathy": (4, pytest.approx(8 / 15)),
        "border plain": (3, 1.0),
        "border questions": (1, None),
    }


def test_a_tie_counts_though_it_has_no_label(run: Run, tmp_path: Path) -> None:
    marks = ("none", "none"), ("empathy", "empathy"), ("none", "empathy")
    votes = [[Vote(annotator=who, label=mark) for who, mark in zip("ab", pair, strict=True)] for pair in marks]
    rows = [Row(text=f"Hm {n}.", label=v[0].label if n < 2 else None, votes=v) for n, v in enumerate(votes)]
    write_rows(tmp_path / "rows.jsonl", rows)
    ended = run("agreement", tmp_path / "rows.jsonl", "--json")
    assert json.loads(ended.out)[0]["rows"] == 3


def test_agreement_prints_a_table(run: Run, voted: Path) -> None:
    ended = run("agreement", voted)
    assert ended.status == 0
    assert "0.667" in ended.out
    assert "not defined" in ended.out


def test_agreement_without_votes_is_one_sentence(run: Run, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [Row(text="Hm.", label="none")])
    ended = run("agreement", tmp_path / "rows.jsonl")
    assert (ended.status, ended.out) == (1, "")
    assert ended.err == "expected rows with at least two votes, found none in 1 rows.\n"


# standoff and detach


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """Labels of three replies, and copies of two corpora, one of which has but one of its two."""
    votes = [Vote(annotator="blind-1", label="empathy")]
    said = [("You miss her.", "annomi-even"), ("You are worn out.", "annomi-even"), ("I lost mine too.", "epitome-a")]
    rows = [Row(text=text, context="She left.", label="empathy", votes=votes, source=source) for text, source in said]
    write_rows(tmp_path / "labelled.jsonl", rows)
    (tmp_path / "AnnoMI-simple.csv").write_text(
        "transcript_id,utterance_id,interlocutor,utterance_text\n8,0,client,SHE LEFT\n8,1,therapist,You miss  her.\n"
    )
    (tmp_path / "explorations-reddit.csv").write_text(
        "sp_id,rp_id,seeker_post,response_post\ns1,r1,She left.,I lost mine too.\n"
    )
    return tmp_path


def test_labels_stand_off_from_rows_and_join_other_copies_of_their_texts(run: Run, copies: Path) -> None:
    labels, out = copies / "labels.jsonl", copies / "real.jsonl"
    ended = run("detach", copies / "labelled.jsonl", "--out", labels)
    assert (ended.status, ended.out, ended.err) == (0, f"{labels}: 3 labels, 3 added, 0 changed\n", "")
    assert "miss" not in labels.read_text()
    ended = run("standoff", "--annomi", copies, "--epitome", copies, "--labels", labels, "--out", out)
    assert (ended.status, ended.err) == (0, "")
    [lost] = [line for line in ended.out.splitlines() if "not found: " in line]
    assert lost.startswith("annomi-even: not found: ")
    assert [(row.text, row.context, row.label, row.group) for row in read_rows([out])] == [
        ("You miss her.", "SHE LEFT", "empathy", "annomi-8"),
        ("I lost mine too.", "She left.", "empathy", "epitome-s1"),
    ]
    told = json.loads(run("standoff", "--annomi", copies, "--labels", labels, "--out", out, "--json").out)
    missing = lost.rpartition(" ")[2]
    assert told == {
        "rows": 1,
        "sources": [{"source": "annomi-even", "labels": 2, "found": 1, "not_found": [missing]}],
    }


def test_detach_adds_to_the_labels_that_are_there(run: Run, copies: Path) -> None:
    labels = copies / "labels.jsonl"
    run("detach", copies / "labelled.jsonl", "--out", labels)
    votes = [Vote(annotator="blind-1", label="none")]
    said = ["you miss her", "What else?"]
    new = [Row(text=text, context="She left.", label="none", votes=votes, source="annomi-even") for text in said]
    write_rows(copies / "new.jsonl", new)
    counts = {"labels": 4, "added": 1, "changed": 1}
    assert json.loads(run("detach", copies / "new.jsonl", "--out", labels, "--json").out) == counts
    assert sum('"label": "none", "votes"' in line for line in labels.read_text().splitlines()) == 2
    assert run("detach", copies / "new.jsonl", "--out", labels).out == f"{labels}: 4 labels, 0 added, 0 changed\n"


def test_nothing_is_written_where_no_label_finds_its_text(run: Run, copies: Path) -> None:
    labels, out = copies / "labels.jsonl", copies / "real.jsonl"
    ended = run("standoff", "--annomi", copies, "--labels", labels, "--out", out)
    assert (ended.status, ended.out) == (1, "")
    assert (
        ended.err == f"{labels}: expected a file of stand-off labels, found nothing there; say where with --labels.\n"
    )
    run("detach", copies / "labelled.jsonl", "--out", labels)
    ended = run("standoff", "--labels", labels, "--out", out)
    assert ended.err == "expected the path of at least one corpus (--annomi, --esconv, --epitome), found none.\n"
    copies.joinpath("AnnoMI-simple.csv").write_text(
        "transcript_id,utterance_id,interlocutor,utterance_text\n8,1,therapist,Something else.\n"
    )
    ended = run("standoff", "--annomi", copies, "--labels", labels, "--out", out)
    assert ended.err == f"expected replies that {labels} has labels for, found none among 1; nothing was written.\n"
    assert ended.status == 1
    assert not out.exists()


def test_croissant_tells_what_it_renewed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{}")
    entry = {"@type": "cr:FileObject", "contentUrl": "a.jsonl", "sha256": "", "contentSize": "1 B"}
    (tmp_path / "croissant.json").write_text(json.dumps({"distribution": [entry]}))
    assert run("croissant", tmp_path).out == f"{tmp_path / 'croissant.json'}: a.jsonl renewed\n"
    assert run("croissant", tmp_path).out == f"{tmp_path / 'croissant.json'}: nothing renewed\n"
