"""Running notebooks: what is kept, and what stops them."""

import base64
import io
from pathlib import Path

import nbformat
import pytest
from matplotlib.figure import Figure
from PIL import Image, ImageChops
from typer.testing import CliRunner

from asif_data.errors import AsifError
from asif_train.cli import app
from asif_train.notebooks import clean, run

v4 = nbformat.v4


def write(path: Path, *sources: str) -> Path:
    cells = [v4.new_code_cell(source) for source in sources]
    nbformat.write(
        v4.new_notebook(cells=cells, metadata={"kernelspec": {"name": "mine", "display_name": "at /opt"}}), path
    )
    return path


def test_it_runs_in_order_with_what_the_environment_says_and_keeps_outputs(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ipynb", "import os\nx = os.environ['ASIF_TRIED']", "print(x)")
    run(path, tmp_path / "out.ipynb", {"ASIF_TRIED": "yes", "PATH": "/usr/bin"})
    found = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    assert [cell.execution_count for cell in found.cells] == [1, 2]
    assert found.cells[1].outputs[0].text == "yes\n"
    assert found.metadata.kernelspec.name == "python3"


def test_a_cell_that_fails_is_told_and_leaves_what_was_there(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ipynb", "print('fine')", "1 / 0")
    before = path.read_text()
    result = CliRunner().invoke(app, ["notebooks", str(path)])
    assert result.exit_code == 1
    assert isinstance(result.exception, AsifError)
    assert "ZeroDivisionError" in str(result.exception)
    assert path.read_text() == before


def executed(**output: object) -> nbformat.NotebookNode:
    cell = v4.new_code_cell("x", execution_count=1, outputs=[v4.new_output(**output)])  # pyright: ignore[reportArgumentType]
    cell.metadata = nbformat.from_dict({"execution": {"iopub.execute_input": "2026-01-01T00:00:00Z"}})
    return v4.new_notebook(cells=[cell], metadata={"language_info": {"name": "python", "version": "3.11.9"}})


def test_times_and_versions_are_taken_out() -> None:
    notebook = executed(output_type="stream", name="stdout", text="found\n")
    clean(notebook, Path("a.ipynb"))
    assert notebook.metadata.language_info == {"name": "python"}
    assert notebook.cells[0].metadata == {}
    assert notebook.cells[0].outputs[0].text == "found\n"


def test_figures_take_less_room_and_look_the_same() -> None:
    figure = Figure(figsize=(3, 2))
    figure.subplots().plot([0, 1, 0, 2], lw=8)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    drawn = Image.open(file)
    png = base64.b64encode(file.getvalue()).decode()
    notebook = executed(output_type="display_data", data={"image/png": png, "text/plain": "<Figure>"})
    clean(notebook, Path("a.ipynb"))
    kept = notebook.cells[0].outputs[0].data["image/png"]
    assert len(kept) < len(png)
    with Image.open(io.BytesIO(base64.b64decode(kept))) as image:
        assert (image.format, image.size) == ("PNG", drawn.size)
        change = ImageChops.difference(image.convert("RGB"), drawn.convert("RGB"))
        assert all(most <= 16 for _, most in change.getextrema())


def test_warnings_stop_it() -> None:
    notebook = executed(output_type="stream", name="stderr", text="FutureWarning: soon")
    with pytest.raises(AsifError, match=r"a\.ipynb, cell 1: expected nothing on standard error, found: FutureWarning"):
        clean(notebook, Path("a.ipynb"))


def test_folders_of_this_machine_stop_it() -> None:
    notebook = executed(output_type="execute_result", data={"text/plain": f"'{Path.cwd()}/models'"}, execution_count=1)
    with pytest.raises(AsifError, match="do not name this machine"):
        clean(notebook, Path("a.ipynb"))


def test_what_is_no_notebook_is_told(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["notebooks", str(tmp_path / "missing.ipynb")])
    assert isinstance(result.exception, AsifError)
    assert "missing.ipynb" in str(result.exception)
