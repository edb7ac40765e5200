"""`asif-train`: fit, judge, test and promote models; learning curves; speed of fine-tuning."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import datasets
import transformers
import typer
from accelerate import PartialState
from rich.console import Console
from rich.markup import escape

from asif_data import model_dir
from asif_data.errors import AsifError
from asif_data.rows import Row, read_rows, row_files
from asif_serve.predictor import load_predictor
from asif_train import bench as benching
from asif_train import cli_labelling
from asif_train import curve as curves
from asif_train import fit as fitting
from asif_train.corpus import DEFAULT, Corpus, read_corpus
from asif_train.evaluate import evaluate as judge
from asif_train.faithfulness import faithfulness as delete_words
from asif_train.recipe import read_recipe
from asif_train.report import jsonable
from asif_train.robustness import robustness as put_suite
from asif_train.withholding import withholding as compare_scores

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Models: fit, judge, test, promote.")
app.add_typer(cli_labelling.app)
out = Console()
err = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)

Data = Annotated[Path, typer.Option(help="Corpus folder, or a row file (JSONL, CSV, TSV, Parquet).")]
Models = Annotated[Path, typer.Option(help="Folder of model directories.")]


@app.command()
def fit(
    data: Data = DEFAULT,
    models: Models = fitting.MODELS,
    recipe: Annotated[str | None, typer.Option(help="Recipe: `default`, `small`, or a YAML file.")] = None,
    base_model: Annotated[
        str | None, typer.Option(help="Base encoder: the packaged one, a folder, or a hub name.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Overrides the recipe's.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Overrides the recipe's.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Overrides the recipe's.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Overrides the recipe's.")] = None,
    context_dropout: Annotated[float | None, typer.Option(help="Overrides the recipe's.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the newest unfinished run of this recipe.")
    ] = False,
) -> None:
    """Fine-tune, calibrate, export, and publish a model directory. Also under `accelerate launch`."""
    flags: dict[str, Any] = {
        "base_model": base_model,
        "seed": seed,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "context_dropout": context_dropout,
    }
    _quiet()
    fitting.fit(data, read_recipe(recipe, **flags), models, resume=resume, tell=lambda line: out.print(escape(line)))


@app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(help="Model directory.")] = fitting.MODELS / model_dir.CURRENT,
    data: Data = DEFAULT,
    split: Annotated[str, typer.Option(help="Split to judge on.")] = "test",
    no_baselines: Annotated[bool, typer.Option("--no-baselines", help="Leave the baselines out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Judge a model on held-out rows; writes report.json, figures and the model card beside it."""
    _quiet()
    corpus = read_corpus(data)
    report = judge(
        model, _split(corpus, split), train_rows=() if no_baselines else corpus.train, split=split, suite=True
    )
    report.save(model_dir.load(model))
    if as_json:
        typer.echo((model / model_dir.REPORT).read_text(encoding="utf-8"))
    else:
        wide = Console(width=max(out.width, 150))
        for table in (report.table(), *report.tables()):
            wide.print(table)
        out.print(f"Written to {model.resolve()}: {model_dir.REPORT}, {model_dir.CARD}, figures.")


@app.command()
def robustness(
    model: Annotated[Path, typer.Argument(help="Model directory.")] = fitting.MODELS / model_dir.CURRENT,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Put the robustness suite to a model: what it must do, what must not change its answer, what must move it."""
    report = put_suite(load_predictor(model))
    if as_json:
        typer.echo(json.dumps(report.values, indent=2))
    else:
        Console(width=max(out.width, 110)).print(report.table())


@app.command()
def faithfulness(
    model: Annotated[Path, typer.Argument(help="Model directory.")] = fitting.MODELS / model_dir.CURRENT,
    data: Data = DEFAULT,
    split: Annotated[str, typer.Option(help="Split to take the texts from.")] = "test",
    figure: Annotated[Path | None, typer.Option(help="PNG file for the figure.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Take the highlighted words out, and as many random ones: does the decision go by them? Takes minutes."""
    _quiet()
    if figure and not (figure.suffix == ".png" and figure.parent.is_dir()):
        raise AsifError(f"--figure: expected a .png file in a folder that exists, found {str(figure)!r}.")
    report = delete_words(load_predictor(model), _split(read_corpus(data), split))
    if figure:
        report.figure().savefig(figure, dpi=150)
    if as_json:
        typer.echo(json.dumps(jsonable(report.values), indent=2, allow_nan=False))
    else:
        Console(width=max(out.width, 110)).print(report.table())


@app.command()
def withholding(
    model: Annotated[Path, typer.Argument(help="Model directory.")] = fitting.MODELS / model_dir.CURRENT,
    data: Data = DEFAULT,
    on: Annotated[list[str] | None, typer.Option(help="NAME=ROWS: judge on these labelled rows as well.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Compare scores that tell whether any label applies: was the choice of the served one right? Takes minutes."""
    _quiet()
    corpus = read_corpus(data)
    found = compare_scores(model, corpus.train, {"test": corpus.test, **_named_rows(on or ())})
    if as_json:
        typer.echo(json.dumps(jsonable(found.values), indent=2, allow_nan=False))
    else:
        Console(width=max(out.width, 120)).print(found.table())


def _split(corpus: Corpus, name: str) -> list[Row]:
    if name not in corpus.sizes():
        raise AsifError(f"--split: expected one of {', '.join(corpus.sizes())}, found {name!r}.")
    return getattr(corpus, name)


@app.command()
def curve(
    out_: Annotated[Path, typer.Option("--out", help="Folder for points.jsonl and curve.png.")],
    data: Data = DEFAULT,
    recipe: Annotated[str | None, typer.Option(help="Recipe: `default`, `small`, or a YAML file.")] = None,
    share: Annotated[list[float] | None, typer.Option(help="Share of the training rows; several times.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Seed; several times.")] = None,
    on: Annotated[list[str] | None, typer.Option(help="NAME=ROWS: judge on these labelled rows as well.")] = None,
) -> None:
    """Train on shares of the rows, with as many updates each: would more rows help? Points reached are kept."""
    _quiet()
    others = _named_rows(on or ())
    points = curves.curve(
        data,
        read_recipe(recipe),
        out_,
        shares=share or curves.SHARES,
        seeds=seed or (0,),
        others=others,
        tell=lambda line: out.print(escape(line)),
    )
    Console(width=max(out.width, 120)).print(curves.table(points))
    out.print(f"Written to {out_}: {curves.POINTS}, {curves.FIGURE}.")


@app.command()
def bench(
    data: Data = DEFAULT,
    recipe: Annotated[str | None, typer.Option(help="Recipe: `default`, `small`, or a YAML file.")] = None,
    rows: Annotated[int, typer.Option(help="About so many training rows, in place of the recipe's.")] = 1000,
    epochs: Annotated[int | None, typer.Option(help="Overrides the recipe's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Time fine-tuning beside the transformers Trainer's defaults, on the same rows."""
    speeds = benching.bench(data, read_recipe(recipe, rows=rows, epochs=epochs))
    if as_json:
        typer.echo(json.dumps([asdict(speed) for speed in speeds], indent=2))
    else:
        out.print(benching.table(speeds))


def _named_rows(given: Sequence[str]) -> dict[str, list[Row]]:
    named: dict[str, list[Row]] = {}
    for one in given:
        name, equals, path = one.partition("=")
        if not (name and equals and path) or name in named:
            raise AsifError(f"--on: expected NAME=ROWS with a name of its own, found {one!r}.")
        named[name] = read_rows(row_files(path))
    return named


@app.command()
def promote(
    version: Annotated[str, typer.Argument(help="Version to put in service.")],
    models: Models = fitting.MODELS,
) -> None:
    """Verify a version and move `models/current` to it."""
    model_dir.promote(models, version, "by hand")
    out.print(f"{models / model_dir.CURRENT} is now {version}.")


@app.command("current")
def show_current(models: Models = fitting.MODELS) -> None:
    """Print the version in service; exit status 1 if there is none."""
    found = model_dir.current(models)
    if found is None:
        raise AsifError(f"{models}: expected a model in service, found none; train one with `make train`.")
    typer.echo(json.dumps({"version": found.name, "path": str(found)}))


def _quiet() -> None:
    """Leave the progress of training and evaluation on the screen, and little else."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    datasets.disable_progress_bars()


def main() -> None:
    """The console script: a user's mistake is one message and exit status 1, never a traceback."""
    try:
        app()
    except AsifError as error:
        if PartialState().is_main_process:
            err.print(str(error))
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
