"""What the commands of `asif-train` share: options, the terminal, and how much is said while they run."""

from pathlib import Path
from typing import Annotated

import datasets
import transformers
import typer
from rich.console import Console

from asif_data import model_dir
from asif_data.labels import LabelSet

out = Console()
err = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)

Data = Annotated[Path, typer.Option(help="Corpus folder, or a row file (JSONL, CSV, TSV, Parquet).")]
Labels = Annotated[
    Path | None,
    typer.Option(
        help="Labels of your own: a YAML or JSON list of {name, codebook}. Without it, those of the codebook."
    ),
]
Models = Annotated[Path, typer.Option(help="Folder of model directories.")]
Split = Annotated[str, typer.Option(help="Split to take the rows from.")]
On = Annotated[list[str] | None, typer.Option(help="NAME=ROWS: judge on these labelled rows as well.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def labels_of(model: Path) -> LabelSet:
    """The labels that rows to judge a model on may have. Raises AsifError if the directory does not verify."""
    return model_dir.load(model).manifest.label_set


def wide(least: int) -> Console:
    """A terminal of at least so many columns."""
    return Console(width=max(out.width, least))


def quiet() -> None:
    """Leave the progress of training and evaluation on the screen, and little else."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    datasets.disable_progress_bars()
