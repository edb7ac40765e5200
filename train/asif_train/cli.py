"""`asif-train`: fit, judge, test and promote models; learning curves; speed of fine-tuning."""

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from accelerate import PartialState
from rich.markup import escape

from asif_data import model_dir
from asif_data.errors import AsifError
from asif_data.files import check_writable
from asif_data.labels import LabelSet, read_labels
from asif_data.rows import Row, read_rows, row_files
from asif_serve.predictor import load_predictor
from asif_train import bench as benching
from asif_train import cli_labelling, cli_promotion, workbench
from asif_train import curve as curves
from asif_train import fit as fitting
from asif_train.cli_options import AsJson, Data, Labels, Models, On, Split, err, labels_of, out, quiet, wide
from asif_train.corpus import DEFAULT, read_corpus
from asif_train.dynamics import dynamics as watch
from asif_train.evaluate import evaluate as judge
from asif_train.faithfulness import faithfulness as delete_words
from asif_train.recipe import read_recipe
from asif_train.report import jsonable
from asif_train.robustness import robustness as put_suite
from asif_train.teach import teach as ask
from asif_train.verify import TOLERANCE
from asif_train.verify import verify as evaluate_again
from asif_train.withholding import withholding as compare_scores

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Models: fit, judge, test, promote.")
app.add_typer(cli_promotion.app)
app.add_typer(cli_labelling.app)


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
    labels: Labels = None,
    report_to: Annotated[
        str | None, typer.Option(help="Send the curves to a tracker that is installed, such as tensorboard.")
    ] = None,
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
    quiet()
    chosen = read_recipe(recipe, **flags)
    fitting.fit(
        data,
        chosen,
        models,
        labels=read_labels(labels),
        resume=resume,
        report_to=report_to,
        tell=lambda line: out.print(escape(line)),
    )


@app.command()
def teach(
    models: Annotated[list[Path], typer.Argument(help="Fine-tuned models whose mean answer is taught.")],
    out_file: Annotated[
        Path, typer.Option("--out", help="File of soft labels to write, for a recipe's `soft_labels`.")
    ],
    data: Data = DEFAULT,
    labels: Labels = None,
) -> None:
    """Ask models about the training rows, so that a small one learns from what they say (knowledge distillation)."""
    quiet()
    check_writable(out_file, ".txt")
    corpus = read_corpus(data, read_labels(labels))
    soft = ask(models, corpus.train, corpus.labels)
    soft.save(out_file)
    out.print(f"{out_file}: what {len(models)} models say of {len(soft)} readings", markup=False, soft_wrap=True)


@app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(help="Model directory.")] = fitting.MODELS / model_dir.CURRENT,
    data: Data = DEFAULT,
    split: Split = "test",
    on: On = None,
    no_baselines: Annotated[bool, typer.Option("--no-baselines", help="Leave the baselines out.")] = False,
    as_json: AsJson = False,
) -> None:
    """Judge a model on held-out rows; writes report.json, figures and the model card beside it."""
    quiet()
    labels = labels_of(model)
    corpus = read_corpus(data, labels)
    report = judge(
        model,
        corpus.split(split),
        train_rows=() if no_baselines else corpus.train,
        split=split,
        elsewhere=_named_rows(on, labels),
        full=True,
    )
    report.save(model_dir.load(model))
    if as_json:
        typer.echo((model / model_dir.REPORT).read_text(encoding="utf-8"))
    else:
        for table in (report.table(), *report.tables()):
            wide(150).print(table)
        out.print(f"Written to {model.resolve()}: {model_dir.REPORT}, {model_dir.CARD}, figures.")


@app.command()
def verify(
    model: Annotated[Path, typer.Argument(help="Model directory.")] = fitting.MODELS / model_dir.CURRENT,
    data: Data = DEFAULT,
    no_baselines: Annotated[bool, typer.Option("--no-baselines", help="Leave the baselines out.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a model's evaluation again and compare with its report.json; exit status 1 if a headline differs."""
    quiet()
    found = evaluate_again(model, read_corpus(data, labels_of(model)), baselines=not no_baselines)
    if as_json:
        typer.echo(json.dumps(found.values, indent=2, allow_nan=False))
    else:
        wide(110).print(found.table())
        out.print(f"The largest difference is {found.values['largest']:.3g}; more than {TOLERANCE:.0e} differs.")
    raise typer.Exit(0 if found.passed else 1)


@app.command()
def robustness(
    model: Annotated[Path, typer.Argument(help="Model directory.")] = fitting.MODELS / model_dir.CURRENT,
    as_json: AsJson = False,
) -> None:
    """Put the robustness suite to a model: what it must do, what must not change its answer, what must move it."""
    report = put_suite(load_predictor(model))
    if as_json:
        typer.echo(json.dumps(report.values, indent=2))
    else:
        wide(110).print(report.table())


@app.command()
def faithfulness(
    model: Annotated[Path, typer.Argument(help="Model directory.")] = fitting.MODELS / model_dir.CURRENT,
    data: Data = DEFAULT,
    split: Split = "test",
    figure: Annotated[Path | None, typer.Option(help="PNG file for the figure.")] = None,
    as_json: AsJson = False,
) -> None:
    """Take the highlighted words out, and as many random ones: does the decision go by them? Takes minutes."""
    quiet()
    if figure and not (figure.suffix == ".png" and figure.parent.is_dir()):
        raise AsifError(f"--figure: expected a .png file in a folder that exists, found {str(figure)!r}.")
    report = delete_words(load_predictor(model), read_corpus(data, labels_of(model)).split(split))
    if figure:
        report.figure().savefig(figure, dpi=150)
    if as_json:
        typer.echo(json.dumps(jsonable(report.values), indent=2, allow_nan=False))
    else:
        wide(110).print(report.table())


@app.command()
def withholding(
    model: Annotated[Path, typer.Argument(help="Model directory.")] = fitting.MODELS / model_dir.CURRENT,
    data: Data = DEFAULT,
    on: On = None,
    as_json: AsJson = False,
) -> None:
    """Compare scores that tell whether any label applies: was the choice of the served one right? Takes minutes."""
    quiet()
    labels = labels_of(model)
    corpus = read_corpus(data, labels)
    found = compare_scores(model, corpus.train, {"test": corpus.test, **_named_rows(on, labels)})
    if as_json:
        typer.echo(json.dumps(jsonable(found.values), indent=2, allow_nan=False))
    else:
        wide(120).print(found.table())


@app.command()
def curve(
    out_: Annotated[Path, typer.Option("--out", help="Folder for points.jsonl and curve.png.")],
    data: Data = DEFAULT,
    recipe: Annotated[str | None, typer.Option(help="Recipe: `default`, `small`, or a YAML file.")] = None,
    share: Annotated[list[float] | None, typer.Option(help="Share of the training rows; several times.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Seed; several times.")] = None,
    on: On = None,
    labels: Labels = None,
) -> None:
    """Train on shares of the rows, with as many updates each: would more rows help? Points reached are kept."""
    quiet()
    label_set = read_labels(labels)
    points = curves.curve(
        data,
        read_recipe(recipe),
        out_,
        shares=share or curves.SHARES,
        seeds=seed or (0,),
        others=_named_rows(on, label_set),
        labels=label_set,
        tell=lambda line: out.print(escape(line)),
    )
    wide(120).print(curves.table(points))
    out.print(f"Written to {out_}: {curves.POINTS}, {curves.FIGURE}.")


@app.command()
def dynamics(
    out_: Annotated[Path, typer.Option("--out", help="Folder for rows.csv and run.json.")],
    data: Data = DEFAULT,
    recipe: Annotated[str | None, typer.Option(help="Recipe: `default`, `small`, or a YAML file.")] = None,
    rows: Annotated[int, typer.Option(help="About so many training rows, in place of the recipe's.")] = 1000,
    epochs: Annotated[int, typer.Option(help="In place of the recipe's.")] = 5,
    labels: Labels = None,
) -> None:
    """Fine-tune and keep what every epoch makes of every training row: which are learnt at once, late or never?"""
    quiet()
    found = watch(data, read_recipe(recipe, rows=rows, epochs=epochs), out_, read_labels(labels))
    never = int((found.probability[:, -1] < 0.5).sum())
    out.print(f"Written to {out_}: {len(found.ids)} rows; the last epoch gives {never} of them less than 0.5.")


@app.command()
def bench(
    data: Data = DEFAULT,
    recipe: Annotated[str | None, typer.Option(help="Recipe: `default`, `small`, or a YAML file.")] = None,
    rows: Annotated[int, typer.Option(help="About so many training rows, in place of the recipe's.")] = 1000,
    epochs: Annotated[int | None, typer.Option(help="Overrides the recipe's.")] = None,
    as_json: AsJson = False,
) -> None:
    """Time fine-tuning beside the transformers Trainer's defaults, on the same rows."""
    speeds = benching.bench(data, read_recipe(recipe, rows=rows, epochs=epochs))
    if as_json:
        typer.echo(json.dumps([asdict(speed) for speed in speeds], indent=2))
    else:
        out.print(benching.table(speeds))


@app.command()
def sweep(
    out_: Annotated[
        Path, typer.Option("--out", help="Folder for the study, sweep.db, and the best recipe, best.yaml.")
    ],
    data: Data = DEFAULT,
    recipe: Annotated[
        str | None, typer.Option(help="Recipe to start from: `default`, `small`, or a YAML file.")
    ] = None,
    trials: Annotated[int, typer.Option(help="Trials in all, those of a stopped sweep counted.")] = 20,
    rows: Annotated[
        int | None, typer.Option(help="Train each on about so many rows, in place of the recipe's.")
    ] = None,
    labels: Labels = None,
    as_json: AsJson = False,
) -> None:
    """Try recipes and judge them on the validation split; `fit --recipe OUT/best.yaml` takes the best. Takes hours."""
    try:
        from asif_train import sweep as sweeping
    except ImportError:
        raise AsifError("expected Optuna to sweep with, found it missing; pip install 'asif[sweep]'.") from None
    quiet()
    tell = err.print if as_json else lambda line: out.print(escape(line))
    with redirect_stdout(sys.stderr) if as_json else nullcontext():  # the Trainer prints its log
        tried = sweeping.sweep(
            data, read_recipe(recipe), out_, trials=trials, rows=rows, labels=read_labels(labels), tell=tell
        )
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in tried], indent=2))
    else:
        wide(120).print(sweeping.table(tried))
        out.print(f"Written to {out_}: {sweeping.STUDY}, {sweeping.BEST}.")


@app.command()
def notebooks(
    paths: Annotated[list[Path] | None, typer.Argument(help="Notebooks; all of notebooks/ if none.")] = None,
    model: Annotated[Path, typer.Option(help="Model directory.")] = fitting.MODELS / model_dir.CURRENT,
    fast: Annotated[
        bool, typer.Option("--fast", help="Only try whether they run: few rows, figures thrown away.")
    ] = False,
    out_: Annotated[Path | None, typer.Option("--out", help="Folder to write to, in place of where they are.")] = None,
) -> None:
    """Run notebooks from top to bottom and keep their outputs; exit status 1 if a cell fails. Takes minutes."""
    try:
        from asif_train import notebooks as running
    except ImportError:
        raise AsifError(
            "expected nbclient to run notebooks with, found it missing; pip install 'asif[notebooks]'."
        ) from None
    chosen = paths or sorted(running.FOLDER.glob("*.ipynb"))
    environment = dict(os.environ) | {workbench.MODEL: str(model.resolve()), workbench.FAST: str(int(fast))}
    if missing := [path for path in chosen or [running.FOLDER] if not path.is_file()]:
        raise AsifError(f"expected notebooks, found none at {missing[0]}.")
    if out_:
        out_.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as thrown_away:
        for path in chosen:
            empty = not environment.get(workbench.REAL) and running.shows_real_replies(path)
            out.print(f"Running {path.name}{f'; it keeps its figures: {workbench.REAL} is not set' if empty else ''}.")
            folder = out_ or (Path(thrown_away) if fast or empty else path.parent)
            running.run(path, folder / path.name, environment)


def _named_rows(given: Sequence[str] | None, labels: LabelSet) -> dict[str, list[Row]]:
    named: dict[str, list[Row]] = {}
    for one in given or ():
        name, equals, path = one.partition("=")
        if not (name and equals and path) or name in named:
            raise AsifError(f"--on: expected NAME=ROWS with a name of its own, found {one!r}.")
        named[name] = read_rows(row_files(path), marks=labels.marks)
    return named


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
