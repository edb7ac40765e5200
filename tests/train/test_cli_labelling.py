"""`asif-train select` and `asif-train audit` as their users see them."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from asif_data.errors import AsifError
from asif_data.importing import import_rows
from asif_data.rows import Row, Vote, read_rows, write_rows
from asif_train import cli

RUNNER = CliRunner()


def run(*arguments: str | Path) -> Result:
    return RUNNER.invoke(cli.app, [*map(str, arguments)], env={"COLUMNS": "200"})


def message(*arguments: str | Path) -> str:
    found = run(*arguments)
    assert isinstance(found.exception, AsifError)
    return str(found.exception)


# select


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory, corpus_rows: list[Row]) -> Path:
    """Thirty rows, the first labelled, the second a tie, the others without a label."""
    path = tmp_path_factory.mktemp("rows") / "unlabelled.jsonl"
    rows = [row for row in corpus_rows if row.split == "test"][:30]
    tie = [Vote(annotator="a", label="none"), Vote(annotator="b", label="empathy")]
    bare = [row.model_copy(update={"label": None, "votes": None, "contrast_set": None}) for row in rows[2:]]
    write_rows(path, [rows[0], rows[1].model_copy(update={"label": None, "votes": tie}), *bare])
    return path


@pytest.mark.parametrize("to", ["label-studio", "argilla"])
def test_select_writes_tasks_that_import_takes_back(
    small_model: Path, unlabelled: Path, tmp_path: Path, to: str
) -> None:
    out = tmp_path / "round.json"
    found = run("select", unlabelled, "--model", small_model, "--rows", "4", "--out", out, "--to", to)
    assert found.exit_code == 0
    assert f"{out}: 4 of 29 rows without a label; " in found.output
    assert ("<Choice" in found.stderr) == (to == "label-studio")
    records = json.loads(out.read_text())
    known = {row.id: row for row in read_rows([unlabelled], labelled=False)}
    for record in records:
        if to == "label-studio":
            result = [{"from_name": "label", "value": {"choices": ["none"]}}]
            record |= {"id": 1, "annotations": [{"completed_by": "cy", "result": result}]}
        else:
            record |= {"responses": {"label": [{"user_id": "cy", "value": "none"}]}, "status": "completed"}
    out.write_text(json.dumps(records))
    back = import_rows([out], existing=known.values())
    assert (len(back.rows), back.added, back.changed) == (30, 0, 4)


def test_select_prints_why_without_texts_and_the_same_again(
    small_model: Path, unlabelled: Path, tmp_path: Path
) -> None:
    command: list[Any] = ["select", unlabelled, "--model", small_model, "--rows", "5", "--out", tmp_path / "a.json"]
    found, again = run(*command, "--json"), run(*command, "--json")
    assert found.stdout == again.stdout
    values = json.loads(found.stdout)
    assert (values["candidates"], len(values["picked"])) == (29, 5)
    rows = read_rows([unlabelled], labelled=False)
    for pick in values["picked"]:
        assert rows[pick["line"] - 1].id == pick["id"]
    assert not any(row.text in found.stdout or (row.context or "nothing") in found.stdout for row in rows)


def test_select_passes_over_what_is_labelled_elsewhere(small_model: Path, unlabelled: Path, tmp_path: Path) -> None:
    rows = read_rows([unlabelled], labelled=False)
    labelled = tmp_path / "labelled.jsonl"
    votes = [Vote(annotator="a", label="none"), Vote(annotator="b", label="empathy")]
    tie = Row(text=rows[29].text, id="tie", votes=votes)
    write_rows(labelled, [*(Row(text=row.text.upper(), label="none") for row in rows[:28]), tie])
    command: list[Any] = ["select", unlabelled, "--model", small_model, "--rows", "9", "--out", tmp_path / "a.json"]
    values = json.loads(run(*command, "--labelled", labelled, "--json").stdout)
    assert {pick["line"] for pick in values["picked"]} == {29, 30}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"--out": "a.jsonl"}, "--out: expected a .json file in a folder that exists"),
        ({"--to": "csv"}, "to: expected one of label-studio, argilla, found 'csv'"),
        ({"--model": "gone"}, "expected a model directory with manifest.json"),
        ({"--labelled": "gone"}, "gone: expected a file or folder of rows"),
    ],
)
def test_select_refuses_a_wrong_flag_and_writes_nothing(
    small_model: Path,
    unlabelled: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    flags = {"--model": str(small_model), "--rows": "3", "--out": "a.json"} | change
    assert said in message("select", unlabelled, *(word for flag in flags.items() for word in flag))
    assert list(tmp_path.iterdir()) == []


def test_select_names_bad_rows_and_writes_nothing(small_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text,label\nHm.,maybe\n")
    said = message("select", path, "--model", small_model, "--rows", "3", "--out", tmp_path / "a.json")
    assert said.startswith(f"{path}:2: label: expected one of empathy,")
    assert list(tmp_path.iterdir()) == [path]


def test_select_of_no_rows_is_wrong_usage(unlabelled: Path, tmp_path: Path) -> None:
    assert run("select", unlabelled, "--rows", "0", "--out", tmp_path / "a.json").exit_code == 2


# audit


@pytest.fixture
def votes_file(few: Path) -> Path:
    """The few rows, of which one has a wrong label; three annotators, one of whom differs."""
    rows = read_rows([few])
    voted = []
    for n, row in enumerate(rows):
        label = str(row.label)
        odd = "none" if label != "none" and n % 2 else label
        votes = {"ann": label, "bob": label, "cy": odd}
        voted.append(row.model_copy(update={"votes": [Vote(annotator=k, label=v) for k, v in votes.items()]}))
    write_rows(few, voted)
    return few


def test_audit_prints_tables_and_exits_with_0(votes_file: Path) -> None:
    found = run("audit", votes_file)
    assert found.exit_code == 0
    assert "1 of 3 annotators differ from the rest" in found.stdout
    assert "labels look wrong" in found.stdout
    assert not any(row.text in found.output for row in read_rows([votes_file]))


def test_audit_prints_json_for_scripts_and_texts_when_asked(votes_file: Path) -> None:
    found = json.loads(run("audit", votes_file, "--json").stdout)
    rows = read_rows([votes_file])
    assert (found["rows"], found["labelled"]) == (len(rows), len(rows))
    assert [one["name"] for one in found["annotators"]] == ["cy", "ann", "bob"]
    assert found["label_errors"]
    for error in found["label_errors"]:
        assert rows[error["line"] - 1].label == error["given"] != error["suggested"]
    told = json.loads(run("audit", votes_file, "--json", "--texts").stdout)
    assert [error["text"] for error in told["label_errors"]] == [
        rows[error["line"] - 1].text for error in found["label_errors"]
    ]


def test_audit_takes_a_folder(votes_file: Path) -> None:
    assert json.loads(run("audit", votes_file.parent, "--json").stdout)["rows"] == len(read_rows([votes_file]))


def test_audit_of_nothing_or_of_bad_rows_is_named(tmp_path: Path) -> None:
    assert message("audit", tmp_path / "gone").endswith("expected a file or folder of rows, found nothing there.")
    path = tmp_path / "rows.csv"
    path.write_text("text,label\nHm.,maybe\n")
    assert message("audit", path).startswith(f"{path}:2: label: expected one of ")
    path.write_text("text,label\nHm.,\n")
    assert message("audit", path) == "expected rows with a label, found none in 1 rows."
