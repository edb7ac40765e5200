"""`asif-train select` and `asif-train audit`: what to label next, and which labels to look at again."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from asif_data import model_dir
from asif_data.exporting import SHAPES, check_shape, write_export
from asif_data.files import check_writable
from asif_data.labels import NONE
from asif_data.rows import placed_rows, row_files
from asif_serve.predictor import load_predictor
from asif_train.audit import audit as look_again
from asif_train.fit import MODELS
from asif_train.report import jsonable
from asif_train.selection import SHOWN
from asif_train.selection import select as most_worth_a_label

app = typer.Typer()
out = Console()
err = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)

Rows = Annotated[list[Path], typer.Argument(help="Row files (JSONL, CSV, TSV, Parquet), or folders of them.")]


@app.command()
def select(
    paths: Rows,
    rows: Annotated[int, typer.Option(min=1, help="How many rows to pick.")],
    out_file: Annotated[Path, typer.Option("--out", help="JSON file to write, for the tool to label in.")],
    model: Annotated[Path, typer.Option(help="Model directory.")] = MODELS / model_dir.CURRENT,
    labelled: Annotated[
        list[Path] | None, typer.Option(help="Rows labelled already: what is like one of them is passed over; several times.")
    ] = None,
    to: Annotated[str, typer.Option(help=f"The tool to label in: {' or '.join(SHAPES)}.")] = "label-studio",
    seed: Annotated[int, typer.Option(help="Seed of the choice among unsure rows.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print why each row was picked, as JSON without texts.")] = False,
) -> None:  # fmt: skip
    """Pick the rows without a label (or with tied votes) that teach most, and write them for a round of labelling.

    The model is unsure of them, and they are unlike each other and what is labelled.
    """
    check_writable(out_file, ".json")
    check_shape(to)
    predictor = load_predictor(model, threads=os.cpu_count() or 1)
    marks = (*predictor.labels, NONE)
    found = most_worth_a_label(
        predictor,
        list(placed_rows(_files(paths), marks=marks, labelled=False)),
        rows,
        labelled=[p.row for p in placed_rows(_files(labelled or []), marks=marks, labelled=False) if p.row.label],
        seed=seed,
    )
    hint = write_export(out_file, found.rows, to, marks)
    if as_json:
        typer.echo(json.dumps(found.values(), indent=2, allow_nan=False))
        return
    Console(width=max(out.width, 110)).print(found.table())
    more = f" ({len(found.picks) - SHOWN} more than shown)" if len(found.picks) > SHOWN else ""
    out.print(
        f"{out_file}: {len(found.picks)} of {found.candidates} rows without a label{more}; "
        f"{found.repeats} passed over as near-duplicates",
        markup=False,
        soft_wrap=True,
    )
    if hint:
        err.print(hint)


@app.command()
def audit(
    paths: Rows,
    as_json: Annotated[bool, typer.Option("--json", help="Print all that was found as JSON.")] = False,
    texts: Annotated[bool, typer.Option("--texts", help="Show the words of the rows found, too.")] = False,
) -> None:
    """Find labels that look wrong, annotators who differ from the rest, and near-duplicates with different labels.

    It is advice: the exit status is 0 whatever is found. Nothing is changed.
    """
    found = look_again(list(placed_rows(_files(paths), labelled=False)), texts=texts)
    if as_json:
        typer.echo(json.dumps(jsonable(found.values), indent=2, ensure_ascii=False, allow_nan=False))
        return
    for table in found.tables():
        Console(width=max(out.width, 120)).print(table)
    out.print(found.summary(), markup=False, soft_wrap=True)


def _files(paths: list[Path]) -> list[Path]:
    return [file for path in paths for file in row_files(path)]
