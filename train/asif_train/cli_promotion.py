"""`asif-train compare`, `promote`, `rollback`, `history` and `current`: which model is in service, and why."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from asif_data import model_dir
from asif_data.errors import AsifError
from asif_train import promotion
from asif_train.cli_options import AsJson, Data, Models, Split, labels_of, out, quiet, wide
from asif_train.compare import compare as compare_models
from asif_train.corpus import DEFAULT, read_corpus
from asif_train.fit import MODELS
from asif_train.report import jsonable

app = typer.Typer()


@app.command()
def compare(
    new: Annotated[Path, typer.Argument(help="Model directory.")],
    current: Annotated[Path, typer.Option(help="Model directory to compare with.")] = MODELS / model_dir.CURRENT,
    data: Data = DEFAULT,
    split: Split = promotion.SPLIT,
    texts: Annotated[
        bool, typer.Option("--texts", help="Show the words of changed rows: they may be private.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put held-out rows to a new model and to the one in service: figures, changed answers, slices, and the gate."""
    quiet()
    corpus = read_corpus(data, labels_of(new))
    found = compare_models(new, current, corpus.split(split), split=split, corpus_sha256=corpus.sha256, texts=texts)
    gate = promotion.gate(found)
    if as_json:
        typer.echo(json.dumps(jsonable(found.values | {"gate": gate.values}), indent=2, allow_nan=False))
        return
    for table in (*found.tables(), gate.table()):
        wide(110).print(table)
    _tell_notes(found.values["notes"])


def _tell_notes(notes: Sequence[str]) -> None:
    for note in notes:
        out.print(f"Note: {note}")


@app.command()
def promote(
    version: Annotated[str, typer.Argument(help="Version to put in service.")],
    models: Models = MODELS,
    data: Data = DEFAULT,
    force: Annotated[bool, typer.Option("--force", help="Also where the gate does not hold; needs --reason.")] = False,
    reason: Annotated[str | None, typer.Option(help="For the promotion log.")] = None,
) -> None:
    """Move `models/current` to a version that is not worse than the one in service on the test split of DATA.

    It is refused where the 95 % interval of the difference in macro-F1 incl. none does not exclude a loss of more than
    0.01, or a slice of 50 rows or more loses more than 0.05 in accuracy incl. none. The first model is not compared.
    """
    quiet()
    in_service = model_dir.current(models)
    if in_service and in_service.name == version:
        out.print(f"{models / model_dir.CURRENT} is {version} already.")
        return
    gate = promotion.promote(
        models, version, data, reason=reason, force=force, tell=lambda line: out.print(escape(line))
    )
    if gate:
        wide(110).print(gate.table())
        _tell_notes(gate.judged.get("notes", ()))
    out.print(f"{models / model_dir.CURRENT} is now {version}.")


@app.command()
def rollback(
    models: Models = MODELS,
    reason: Annotated[str, typer.Option(help="For the promotion log.")] = "rollback",
) -> None:
    """Move `models/current` back to the version before; again, and it goes one further back, like undo."""
    version = promotion.rollback(models, reason)
    out.print(f"{models / model_dir.CURRENT} is now {version}.")


@app.command()
def history(models: Models = MODELS, as_json: AsJson = False) -> None:
    """Print the promotion log, oldest first."""
    if as_json:
        typer.echo(json.dumps([entry.model_dump() for entry in model_dir.promotions(models)], indent=2))
    else:
        wide(130).print(promotion.history(models))


@app.command("current")
def show_current(models: Models = MODELS) -> None:
    """Print the version in service; exit status 1 if there is none."""
    found = model_dir.current(models)
    if found is None:
        raise AsifError(f"{models}: expected a model in service, found none; train one with `make train`.")
    typer.echo(json.dumps({"version": found.name, "path": str(found)}))
