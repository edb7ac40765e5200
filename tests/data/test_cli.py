"""`asif-data` as its users see it: what is printed, what is written, and the exit status."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from asif_data.cli import main
from asif_data.labels import MARKS
from asif_data.rows import Row, read_rows, write_rows


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


@pytest.mark.parametrize("command", [[], ["check"], ["split"], ["agreement"]])
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
