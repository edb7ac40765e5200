"""What the commands of `asif-train` share: options, the terminal, and how much is said while they run."""

from pathlib import Path
from typing import Annotated

import datasets
import transformers
import typer
from rich.console import Console

out = Console()
err = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)

Data = Annotated[Path, typer.Option(help="Corpus folder, or a row file (JSONL, CSV, TSV, Parquet).")]
Models = Annotated[Path, typer.Option(help="Folder of model directories.")]
Split = Annotated[str, typer.Option(help="Split to take the rows from.")]
On = Annotated[list[str] | None, typer.Option(help="NAME=ROWS: judge on these labelled rows as well.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def wide(least: int) -> Console:
    """A terminal of at least so many columns."""
    return Console(width=max(out.width, least))


def quiet() -> None:
    """Leave the progress of training and evaluation on the screen, and little else."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    datasets.disable_progress_bars()
