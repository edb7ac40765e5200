"""Running notebooks from top to bottom, with outputs that say nothing of the machine that made them."""

import base64
import io
import json
import logging
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from PIL import Image

from asif_data.errors import AsifError
from asif_data.files import write_atomically

FOLDER = Path("notebooks")
_PNG = "image/png"
_SECONDS = 3600  # that one cell, or the start of a kernel, may take: a busy machine is no error
_LOG = logging.getLogger(__name__)
_LOG.setLevel(logging.WARNING)
_NO_WIDGETS = {"PYTHONWARNINGS": "ignore:IProgress not found"}  # what runs here shows no bars
_SHORTEST = 4  # a host name that is shorter may stand in any text
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def run(path: Path, out: Path, environment: Mapping[str, str]) -> None:
    """Run a notebook in a fresh kernel and write it, outputs and all, to `out`; what stood there stays if it fails.

    Raises AsifError for a cell that fails, that writes to standard error, such as a warning, or whose outputs name this
    machine or a folder of it.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as private:
        # Through socket files: over TCP anyone on this machine could listen to what goes to the kernel and back.
        kernel = AsyncKernelManager(kernel_name="python3", transport="ipc", ip=f"{private}/kernel")
        client = NotebookClient(
            notebook,
            kernel,
            timeout=_SECONDS,
            startup_timeout=_SECONDS,
            resources={"metadata": {"path": str(path.parent)}},
            record_timing=False,
            log=_LOG,
        )
        try:
            client.execute(env=dict(environment) | _NO_WIDGETS, cleanup_kc=True)
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            raise AsifError(f"{path}: expected every cell to run, found one that does not:\n{error}") from None
    clean(notebook, path)
    write_atomically(out, nbformat.writes(notebook) + "\n")


def shows_real_replies(path: Path) -> bool:
    """Whether the figures of a notebook are of the reader's own file of real replies, so that there are none without it."""
    return any("bench.real" in cell.source for cell in nbformat.read(path, as_version=4).cells)


def clean(notebook: Any, path: Path) -> None:
    """Take out of an executed notebook, in place, what a reader has no use for. Raises AsifError as `run` does."""
    notebook.metadata = nbformat.from_dict(_METADATA)
    for number, cell in enumerate(notebook.cells, 1):
        cell.metadata = nbformat.from_dict({})
        for output in cell.get("outputs", ()):
            where = f"{path}, cell {number}"
            if output.get("name") == "stderr":
                raise AsifError(f"{where}: expected nothing on standard error, found: {output.text.strip()[:200]}")
            if found := _of_this_machine(output):
                raise AsifError(f"{where}: expected outputs that do not name this machine, found {found!r}.")
            if _PNG in output.get("data", {}):
                output.data[_PNG] = _small(output.data[_PNG])


def _small(png: str) -> str:
    """A figure in base64 with a palette of 256 colours: it looks the same, and takes a third of the room."""
    file = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(png))) as image:
        image.convert("RGB").quantize(256).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def _of_this_machine(output: Any) -> str | None:
    text = json.dumps({name: value for name, value in output.get("data", output).items() if name != _PNG})
    names = [str(Path.cwd()), *([str(Path.home())] if len(Path.home().parts) > 1 else []), socket.gethostname()]
    return next((name for name in names if len(name) >= _SHORTEST and name in text), None)
