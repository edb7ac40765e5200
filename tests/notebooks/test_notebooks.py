"""The notebooks: as they are committed, and run from top to bottom on the small model."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from typer.testing import CliRunner

from asif_train.cli import app

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path: Path, kind: str) -> list[Any]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def outputs(path: Path) -> list[Any]:
    return [output for cell in cells(path, "code") for output in cell.outputs]


def test_there_are_six() -> None:
    assert [path.stem[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05", "06"]


@each
def test_it_is_committed_as_it_ran_from_top_to_bottom(path: Path) -> None:
    ran = [cell.execution_count for cell in cells(path, "code")]
    assert ran == list(range(1, len(ran) + 1))
    assert any("image/png" in output.get("data", {}) for output in outputs(path))
    assert {output.output_type for output in outputs(path)} <= {"display_data", "execute_result", "stream"}
    assert not [output for output in outputs(path) if output.get("name") == "stderr"]


@each
def test_it_begins_with_what_it_answers_and_ends_with_what_was_found(path: Path) -> None:
    first, *_, last = nbformat.read(path, as_version=4).cells
    assert "**What this answers.**" in first.source
    assert last.source.startswith("## What was found\n")
    assert len(last.source.split()) > 40


@each
def test_it_says_nothing_of_the_machine(path: Path) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    assert all(cell["metadata"] == {} for cell in notebook["cells"])
    text = json.dumps([cell.get("outputs", []) for cell in notebook["cells"]])
    for trace in ("/home/", "/root/", "/tmp/", "/Users/", " at 0x"):
        assert trace not in text


@each
def test_it_defines_no_functions(path: Path) -> None:
    for cell in cells(path, "code"):
        code = "\n".join(line for line in cell.source.splitlines() if not line.startswith("%"))
        assert not [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.FunctionDef | ast.ClassDef)]


@pytest.mark.notebooks
@each
def test_it_runs(path: Path, small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASIF_REAL", raising=False)
    result = CliRunner().invoke(
        app, ["notebooks", str(path), "--fast", "--model", str(small_model), "--out", str(tmp_path)]
    )
    assert result.exit_code == 0, result.output + str(result.exception)
    assert all(cell.execution_count for cell in cells(tmp_path / path.name, "code"))


def test_figures_of_real_replies_are_not_overwritten_by_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASIF_REAL", raising=False)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print('as bench.real says')")])
    path = tmp_path / "real.ipynb"
    nbformat.write(notebook, path)
    before = path.read_bytes()
    result = CliRunner().invoke(app, ["notebooks", str(path)])
    assert result.exit_code == 0, result.output + str(result.exception)
    assert "keeps its figures" in result.output
    assert path.read_bytes() == before
    monkeypatch.setenv("ASIF_REAL", str(tmp_path / "rows.jsonl"))
    assert CliRunner().invoke(app, ["notebooks", str(path)]).exit_code == 0
    assert path.read_bytes() != before


@pytest.mark.notebooks
def test_real_replies_are_judged_and_never_shown(
    small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tmp_path / "canaryfile.jsonl"
    marks = ("empathy", "sympathy", "over-identification", "none")
    rows = [
        {"text": f"canarytext {i} you feel", "context": "canarycontext", "label": marks[i % 4], "source": "esconv-dev"}
        for i in range(24)
    ]
    real.write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setenv("ASIF_REAL", str(real))
    path = ROOT / "notebooks" / "05_real_conversations.ipynb"
    result = CliRunner().invoke(
        app, ["notebooks", str(path), "--fast", "--model", str(small_model), "--out", str(tmp_path)]
    )
    assert result.exit_code == 0, result.output + str(result.exception)
    written = (tmp_path / path.name).read_text(encoding="utf-8")
    assert "on 24 real replies" in written
    assert "canary" not in written


@pytest.mark.notebooks
def test_what_the_readme_shows_in_python_runs(
    small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (ROOT / "README.md").read_text(encoding="utf-8").split("```py\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    code = code.replace("data/corpus", str(ROOT / "data" / "corpus")).replace("models/current", str(small_model))
    done = subprocess.run([sys.executable, "-"], input=code, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "'value':" in done.stdout
    assert (tmp_path / "confusion.pdf").is_file()
