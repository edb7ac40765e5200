"""`asif-data`: check, split and agreement of row files."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from asif_data.agreement import alpha
from asif_data.checks import check_rows
from asif_data.errors import AsifError
from asif_data.rows import Row, read_rows, row_files, write_rows
from asif_data.splits import assign_splits

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Rows of counselor utterances: check, split, agreement."
)
out = Console()
err = Console(stderr=True, soft_wrap=True, markup=False, highlight=False)

Paths = Annotated[list[Path], typer.Argument(help="Row files (JSONL, CSV, TSV, Parquet), or folders of them.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def _read(paths: list[Path]) -> list[Row]:
    return read_rows([file for path in paths for file in row_files(path)])


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
    if out_file.suffix != ".jsonl" or not out_file.parent.is_dir():
        raise AsifError(f"--out: expected a .jsonl file in a folder that exists, found {str(out_file)!r}.")
    rows = _read(paths)
    names = assign_splits(rows, seed)
    write_rows(out_file, [row.model_copy(update={"split": name}) for row, name in zip(rows, names, strict=True)])
    counts = ", ".join(f"{name} {names.count(name)}" for name in sorted(set(names)))
    out.print(f"{out_file}: {counts}", markup=False)


@app.command()
def agreement(paths: Paths, as_json: AsJson = False) -> None:
    """Krippendorff's alpha over the votes: overall, per label, and per border where rows have one."""
    rows = _read(paths)
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


def main() -> None:
    """The console script: a user's mistake is one message and exit status 1, never a traceback."""
    try:
        app()
    except AsifError as error:
        err.print(str(error))
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
