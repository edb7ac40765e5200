"""`asif-data`: import, export, check, split and agreement of row files, and labels that stand off from their texts."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from asif_data.agreement import alpha
from asif_data.checks import check_against, check_rows
from asif_data.croissant import METADATA, renew
from asif_data.errors import AsifError
from asif_data.exporting import SHAPES, check_shape, write_export
from asif_data.files import check_writable, write_atomically
from asif_data.importing import USUAL, Imported, Settings, import_rows
from asif_data.label_names import LabelNames, read_table
from asif_data.labels import CODEBOOK, LabelSet, read_labels
from asif_data.packed import PackedRows
from asif_data.rows import Placed, Row, placed_rows, row_files, write_rows
from asif_data.source_corpora import CORPORA, read_replies
from asif_data.splits import assign_splits, fill_splits
from asif_data.standoff import StandoffLabel, detach, join, read_standoff, write_standoff
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
Labels = Annotated[
    Path | None,
    typer.Option(
        help="Labels of your own: a YAML or JSON list of {name, codebook}. Without it, those of the codebook."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


class OnError(StrEnum):
    """What to do about bad rows."""

    stop = "stop"
    skip = "skip"


def _read(paths: list[Path], labels: LabelSet, labelled: bool = True) -> PackedRows:
    return PackedRows(placed.row for placed in _placed(paths, labels, labelled))


def _placed(paths: list[Path], labels: LabelSet, labelled: bool = True) -> Iterator[Placed]:
    files = [file for path in paths for file in row_files(path)]
    return placed_rows(files, marks=labels.marks, labelled=labelled)


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
    voter: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Who labelled, where the files don't say; the file's name if not given."),
    ] = None,
    label_map: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=LABEL",
            help='Which label a name stands for ("Unsure=": none), or a JSON file of such pairs; repeatable.',
        ),
    ] = None,
    labels: Labels = None,
    encoding: Annotated[
        str | None, typer.Option(help="Encoding of text files that are not UTF-8, such as cp1252.")
    ] = None,
    on_error: Annotated[
        OnError, typer.Option(help="With bad rows, stop with nothing written, or skip them into a file beside.")
    ] = OnError.stop,
    withdraw: Annotated[
        bool,
        typer.Option(
            "--withdraw",
            help="The files hold all that their annotators said of their rows: take earlier votes back that are no longer there.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring labels from Label Studio, Prodigy, doccano, Argilla or tables into rows.

    All votes are kept, the majority gives the label, a tie gives none. Importing a file again adds nothing twice; who
    changed their mind, or skips now, has one vote or none.
    """
    check_writable(out_file, ".jsonl")
    marks = read_labels(labels).marks
    given = {"text": text, "context": context, "id": id_, "group": group, "label": label, "annotator": annotator}
    settings = Settings(
        tool=tool,
        columns={role: column for role, column in given.items() if column},
        names=LabelNames(read_table(label_map or []), marks),
        encoding=encoding,
        voter=voter,
    )
    found = import_rows(
        files,
        settings,
        existing=(p.row for p in placed_rows([out_file] if out_file.exists() else [], marks=marks, labelled=False)),
        earlier=out_file.stem,
        skip=on_error is OnError.skip,
        withdraw=withdraw,
    )
    if found.bad:
        bad_file = out_file.with_name(f"{out_file.name}.bad")
        write_atomically(bad_file, (json.dumps(bad, default=str) + "\n" for bad in found.bad))
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
        "withdrawn": found.withdrawn,
        "absent": found.absent,
        "bad": len(found.bad),
    }
    if as_json:
        typer.echo(json.dumps(counts))
        return
    out.print(f"{out_file}: {len(found.rows)} rows, {found.added} added, {found.changed} changed", markup=False)
    if found.unlabelled:
        out.print(f"{found.unlabelled} without a label left out")
    if found.ties:
        out.print(f"{found.ties} rows have no label, for their votes tie or are gone: one more vote settles each")
    if found.withdrawn:
        out.print(f"{found.withdrawn} earlier votes taken back")
    if found.absent:
        out.print(
            f"{found.absent} earlier votes are by annotators of these files, on rows of these files, but not in them: kept; "
            "--withdraw takes them back"
        )


@app.command()
def export(
    paths: Paths,
    out_file: Annotated[Path, typer.Option("--out", help="JSON file to write.")],
    to: Annotated[str, typer.Option(help=f"The tool to label in: {' or '.join(SHAPES)}.")] = "label-studio",
    labels: Labels = None,
) -> None:
    """Write rows for a new round of labelling, without their labels; `import` takes the answers back."""
    check_writable(out_file, ".json")
    check_shape(to)
    label_set = read_labels(labels)
    rows = _read(paths, label_set, labelled=False)
    hint = write_export(out_file, rows, to, label_set.marks)
    out.print(f"{out_file}: {len(rows)} rows", markup=False)
    if hint:
        err.print(hint)


@app.command()
def check(
    paths: Paths,
    against: Annotated[
        Path | None,
        typer.Option(metavar="ROWS", help="A corpus whose validation and test rows these rows must not repeat."),
    ] = None,
    labels: Labels = None,
    as_json: AsJson = False,
) -> None:
    """Validate every row, then balance, near-duplicates, splits and leaks. Exit status 1 if any fails."""
    label_set = read_labels(labels)
    rows, names = PackedRows(), []
    for placed in _placed(paths, label_set):
        rows.append(placed.row)
        names.append(placed.row.id or placed.place)
    checks = check_rows(rows, label_set.marks, names)
    if against:
        checks.append(check_against(_placed(paths, label_set), _split_corpus(against, label_set)))
    if as_json:
        typer.echo(json.dumps({"rows": len(rows), "checks": [asdict(c) for c in checks]}, indent=2))
    else:
        table = Table("check", "found", "expected", "", title=f"{len(rows)} rows, every one valid")
        for c in checks:
            table.add_row(c.name, escape(c.found), c.expected, "[green]ok[/]" if c.passed else "[red]failed[/]")
        out.print(table)
        for c in checks:
            for line in () if c.passed else (f"to do: {c.advice}", *c.rows):
                out.print(f"{c.name}: {line}", markup=False, soft_wrap=True)
    raise typer.Exit(0 if all(c.passed for c in checks) else 1)


def _split_corpus(path: Path, labels: LabelSet) -> Iterator[Placed]:
    """A corpus with the splits that training on it would use."""
    splits = assign_splits(_read([path], labels))
    for placed, split in zip(_placed([path], labels), splits, strict=True):
        yield placed._replace(row=placed.row.model_copy(update={"split": split}))


@app.command()
def split(
    paths: Paths,
    out_file: Annotated[Path, typer.Option("--out", help="JSONL file to write, with `split` filled in.")],
    seed: Annotated[int, typer.Option(help="Seed of the shuffle.")] = 0,
    labels: Labels = None,
) -> None:
    """Give each row a split: 80/10/10, by label, with groups and near-duplicates kept together.

    Rows that have a split keep it: so new rows are added to a corpus.
    """
    check_writable(out_file, ".jsonl")
    rows = _read(paths, read_labels(labels))
    names = fill_splits(rows, seed)
    write_rows(out_file, (row.model_copy(update={"split": name}) for row, name in zip(rows, names, strict=True)))
    counts = ", ".join(f"{name} {names.count(name)}" for name in sorted(set(names)))
    out.print(f"{out_file}: {counts}", markup=False)


@app.command()
def agreement(paths: Paths, labels: Labels = None, as_json: AsJson = False) -> None:
    """Krippendorff's alpha over the votes: overall, per label, and per border where rows have one."""
    rows = _read(paths, read_labels(labels), labelled=False)  # a tie has votes and no label
    voted = [row for row in rows if len(row.votes or []) > 1]
    if not voted:
        raise AsifError(f"expected rows with at least two votes, found none in {len(rows)} rows.")
    names = sorted({vote.label for row in voted for vote in row.votes or []})
    borders = sorted({str(b) for row in voted if (b := getattr(row, "border", None))})
    lines = [("all", len(voted), alpha(voted))]
    lines += [(f"label {name}", len(voted), alpha(voted, name)) for name in names]
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
    check_writable(out_file, ".jsonl")
    copies = {"annomi": annomi, "esconv": esconv, "epitome": epitome}
    labels = read_standoff(labels_file)
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
    check_writable(out_file, ".jsonl")
    before = {label.id: label for label in read_standoff(out_file)} if out_file.exists() else {}
    given = {label.id: label for label in detach(_read(paths, CODEBOOK))}
    write_standoff(out_file, (before | given).values())
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
