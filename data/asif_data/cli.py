"""`asif-data`: import, export, check, split and agreement of row files, and labels that stand off from their texts."""

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from asif_data.agreement import alpha
from asif_data.checks import check_rows
from asif_data.croissant import METADATA, renew
from asif_data.errors import AsifError
from asif_data.exporting import SHAPES, export_rows, label_studio_view
from asif_data.importing import USUAL, Imported, Settings, import_rows
from asif_data.label_names import LabelNames, read_table
from asif_data.model_dir import write_atomically
from asif_data.rows import Row, read_rows, row_files, write_rows
from asif_data.source_corpora import CORPORA, read_replies
from asif_data.splits import assign_splits
from asif_data.standoff import StandoffLabel, detach, join, read_labels, write_labels
from asif_data.tools import TOOLS

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    help="Rows of counselor utterances: import, export, check, split, agreement, stand-off labels.",
)
STANDOFF_LABELS = Path("data/standoff/labels.jsonl")
_TOLD_KEYS = 3
out = Console()
err = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)

Paths = Annotated[list[Path], typer.Argument(help="Row files (JSONL, CSV, TSV, Parquet), or folders of them.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


class OnError(StrEnum):
    """What to do about bad rows."""

    stop = "stop"
    skip = "skip"


def _read(paths: list[Path], labelled: bool = True) -> list[Row]:
    return read_rows([file for path in paths for file in row_files(path)], labelled=labelled)


def _writable(out_file: Path, ending: str) -> None:
    if out_file.suffix != ending or not out_file.parent.is_dir():
        raise AsifError(f"--out: expected a {ending} file in a folder that exists, found {str(out_file)!r}.")


def _column(role: str) -> Any:
    return typer.Option(f"--{role}", metavar="COLUMN", help=f"Column of the {role}; found by itself if it is one of {', '.join(USUAL[role])}.")  # fmt: skip


@app.command("import")
def import_(
    files: Annotated[
        list[Path],
        typer.Argument(help="Exports (JSON, JSONL, CSV, TSV, Parquet), folders of them, or saved `datasets` folders."),
    ],
    out_file: Annotated[
        Path,
        typer.Option("--out", help="JSONL file of rows to write; rows that it holds already stay, and get new votes."),
    ],
    tool: Annotated[
        str | None, typer.Option("--format", help=f"What wrote the files, if it isn't recognised: {', '.join(TOOLS)}.")
    ] = None,
    text: Annotated[str | None, _column("text")] = None,
    context: Annotated[str | None, _column("context")] = None,
    id_: Annotated[str | None, _column("id")] = None,
    group: Annotated[str | None, _column("group")] = None,
    label: Annotated[str | None, _column("label")] = None,
    annotator: Annotated[str | None, _column("annotator")] = None,
    label_map: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=LABEL",
            help='Which label a name stands for ("Unsure=": none), or a JSON file of such pairs; repeatable.',
        ),
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="Encoding of text files that are not UTF-8, such as cp1252.")
    ] = None,
    on_error: Annotated[
        OnError, typer.Option(help="With bad rows, stop with nothing written, or skip them into a file beside.")
    ] = OnError.stop,
    as_json: AsJson = False,
) -> None:
    """Bring labels from Label Studio, Prodigy, doccano, Argilla or tables into rows.

    All votes are kept, the majority gives the label, a tie gives none. Importing a file again adds nothing twice.
    """
    _writable(out_file, ".jsonl")
    given = {"text": text, "context": context, "id": id_, "group": group, "label": label, "annotator": annotator}
    settings = Settings(
        tool=tool,
        columns={role: column for role, column in given.items() if column},
        names=LabelNames(read_table(label_map or [])),
        encoding=encoding,
    )
    existing = read_rows([out_file], labelled=False) if out_file.exists() else []
    found = import_rows(files, settings, existing=existing, voter=out_file.stem, skip=on_error is OnError.skip)
    if found.bad:
        bad_file = out_file.with_name(f"{out_file.name}.bad")
        write_atomically(bad_file, "".join(json.dumps(bad, default=str) + "\n" for bad in found.bad))
        for bad in found.bad:
            for message in bad["errors"]:
                err.print(f"{bad['file']}:{bad['line']}: {message}")
        err.print(f"{len(found.bad)} bad rows left out; they are in {bad_file}.")
    write_rows(out_file, found.rows)
    _tell_import(out_file, found, as_json)


def _tell_import(out_file: Path, found: Imported, as_json: bool) -> None:
    counts = {
        "rows": len(found.rows),
        "added": found.added,
        "changed": found.changed,
        "unlabelled": found.unlabelled,
        "ties": found.ties,
        "bad": len(found.bad),
    }
    if as_json:
        typer.echo(json.dumps(counts))
        return
    out.print(f"{out_file}: {len(found.rows)} rows, {found.added} added, {found.changed} changed", markup=False)
    if found.unlabelled:
        out.print(f"{found.unlabelled} without a label left out")
    if found.ties:
        out.print(f"{found.ties} rows have no label, for their votes tie: one more vote settles each")


@app.command()
def export(
    paths: Paths,
    out_file: Annotated[Path, typer.Option("--out", help="JSON file to write.")],
    to: Annotated[str, typer.Option(help=f"The tool to label in: {' or '.join(SHAPES)}.")] = "label-studio",
) -> None:
    """Write rows for a new round of labelling, without their labels; `import` takes the answers back."""
    _writable(out_file, ".json")
    records = list(export_rows(_read(paths, labelled=False), to))
    write_atomically(out_file, json.dumps(records, ensure_ascii=False, indent=1) + "\n")
    out.print(f"{out_file}: {len(records)} rows", markup=False)
    if to == "label-studio":
        err.print(f"Labeling interface to paste into Label Studio (Settings, Code):\n{label_studio_view()}")


@app.command()
def check(paths: Paths, as_json: AsJson = False) -> None:
    """Validate every row, then balance, near-duplicates, splits and leaks. Exit status 1 if any fails."""
    rows = _read(paths)
    checks = check_rows(rows)
    if as_json:
        typer.echo(json.dumps({"rows": len(rows), "checks": [asdict(c) for c in checks]}, indent=2))
    else:
        table = Table("check", "found", "expected", "", title=f"{len(rows)} rows, every one valid")
        for c in checks:
            table.add_row(c.name, escape(c.found), c.expected, "[green]ok[/]" if c.passed else "[red]failed[/]")
        out.print(table)
        for c in checks:
            for pair in () if c.passed else c.rows:
                out.print(f"{c.name}: {pair}", markup=False)
    raise typer.Exit(0 if all(c.passed for c in checks) else 1)


@app.command()
def split(
    paths: Paths,
    out_file: Annotated[Path, typer.Option("--out", help="JSONL file to write, with `split` filled in.")],
    seed: Annotated[int, typer.Option(help="Seed of the shuffle.")] = 0,
) -> None:
    """Give each row a split: 80/10/10, by label, with groups and near-duplicates kept together."""
    _writable(out_file, ".jsonl")
    rows = _read(paths)
    names = assign_splits(rows, seed)
    write_rows(out_file, [row.model_copy(update={"split": name}) for row, name in zip(rows, names, strict=True)])
    counts = ", ".join(f"{name} {names.count(name)}" for name in sorted(set(names)))
    out.print(f"{out_file}: {counts}", markup=False)


@app.command()
def agreement(paths: Paths, as_json: AsJson = False) -> None:
    """Krippendorff's alpha over the votes: overall, per label, and per border where rows have one."""
    rows = _read(paths, labelled=False)  # a tie has votes and no label
    voted = [row for row in rows if len(row.votes or []) > 1]
    if not voted:
        raise AsifError(f"expected rows with at least two votes, found none in {len(rows)} rows.")
    labels = sorted({vote.label for row in voted for vote in row.votes or []})
    borders = sorted({str(b) for row in voted if (b := getattr(row, "border", None))})
    lines = [("all", len(voted), alpha(voted))]
    lines += [(f"label {label}", len(voted), alpha(voted, label)) for label in labels]
    for border in borders:
        part = [row for row in voted if getattr(row, "border", None) == border]
        lines.append((f"border {border}", len(part), alpha(part)))
    if as_json:
        typer.echo(json.dumps([{"over": name, "rows": n, "alpha": value} for name, n, value in lines], indent=2))
        return
    table = Table("over", "rows", "alpha", title="Agreement (Krippendorff's alpha, nominal)")
    for name, n, value in lines:
        table.add_row(escape(name), str(n), "not defined" if value is None else f"{value:.3f}")
    out.print(table)


def _copy(corpus: str) -> Any:
    name, home, files, _ = CORPORA[corpus]
    return typer.Option(f"--{corpus}", help=f"Your copy of {name}: {files} of github.com/{home}, or its folder.")


@app.command()
def standoff(
    out_file: Annotated[Path, typer.Option("--out", help="JSONL file of rows to write.")],
    annomi: Annotated[Path | None, _copy("annomi")] = None,
    esconv: Annotated[Path | None, _copy("esconv")] = None,
    epitome: Annotated[Path | None, _copy("epitome")] = None,
    labels_file: Annotated[
        Path, typer.Option("--labels", help="The labels and the keys of their texts.")
    ] = STANDOFF_LABELS,
    as_json: AsJson = False,
) -> None:
    """Put the project's labels of published corpora and your own copies of these together into rows."""
    _writable(out_file, ".jsonl")
    copies = {"annomi": annomi, "esconv": esconv, "epitome": epitome}
    labels = read_labels(labels_file)
    replies = {corpus: read_replies(corpus, path) for corpus, path in copies.items() if path}
    if not replies:
        raise AsifError(f"expected the path of at least one corpus (--{', --'.join(copies)}), found none.")
    rows = join(labels, replies)
    if not rows:
        count = sum(map(len, replies.values()))
        raise AsifError(
            f"expected replies that {labels_file} has labels for, found none among {count}; nothing was written."
        )
    write_rows(out_file, rows)
    _tell_standoff(out_file, [label for label in labels if label.corpus in replies], rows, as_json)


def _tell_standoff(out_file: Path, labels: list[StandoffLabel], rows: list[Row], as_json: bool) -> None:
    ids = {row.id for row in rows}
    sources = [
        {
            "source": source,
            "labels": len(own := [label for label in labels if label.source == source]),
            "found": sum(label.id in ids for label in own),
            "not_found": [label.key for label in own if label.id not in ids],
        }
        for source in sorted({label.source for label in labels})
    ]
    if as_json:
        typer.echo(json.dumps({"rows": len(rows), "sources": sources}, indent=2))
        return
    table = Table("source", "labels", "found", "not found", title=f"{out_file}: {len(rows)} rows")
    for s in sources:
        table.add_row(s["source"], str(s["labels"]), str(s["found"]), str(len(s["not_found"])))
    out.print(table)
    for s in sources:
        keys = s["not_found"]
        more = f" and {len(keys) - _TOLD_KEYS} more (--json names all)" if len(keys) > _TOLD_KEYS else ""
        if keys:
            out.print(f"{s['source']}: not found: {', '.join(keys[:_TOLD_KEYS])}{more}", markup=False)


@app.command("detach")
def detach_(
    paths: Paths,
    out_file: Annotated[
        Path, typer.Option("--out", help="JSONL file of labels; those that it holds already stay, unless given anew.")
    ] = STANDOFF_LABELS,
    as_json: AsJson = False,
) -> None:
    """Keep the labels and votes of rows without their texts, for `standoff` to put together again.

    `source` must begin with the corpus: annomi, esconv or epitome, and more after a hyphen.
    """
    _writable(out_file, ".jsonl")
    before = {label.id: label for label in read_labels(out_file)} if out_file.exists() else {}
    given = {label.id: label for label in detach(_read(paths))}
    write_labels(out_file, (before | given).values())
    counts = {
        "labels": len(before | given),
        "added": len(given.keys() - before.keys()),
        "changed": sum(before[name] != given[name] for name in before.keys() & given.keys()),
    }
    if as_json:
        typer.echo(json.dumps(counts))
    else:
        out.print(
            f"{out_file}: {counts['labels']} labels, {counts['added']} added, {counts['changed']} changed", markup=False
        )


@app.command()
def croissant(
    folder: Annotated[Path, typer.Argument(help=f"Folder of row files and their {METADATA}.")] = Path("data/corpus"),
) -> None:
    """Renew the sizes and hashes of the row files in the Croissant metadata beside them."""
    renewed = renew(folder)
    out.print(f"{folder / METADATA}: {', '.join(renewed) or 'nothing'} renewed", markup=False)


def main() -> None:
    """The console script: a user's mistake is one message and exit status 1, never a traceback."""
    try:
        app()
    except AsifError as error:
        err.print(str(error))
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
