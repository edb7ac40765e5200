"""`python -m serve.bench`: this server beside others, on the same requests in one run."""

import json
import random
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from serve.bench import engine, machine, report
from serve.bench.environments import environment
from serve.bench.found import CALLERS, Found, Round
from serve.bench.measure import Plan, free_port, measure
from serve.bench.servers import SERVERS, Place, Server

from asif_data.encoding import InputEncoder, Utterance
from asif_data.errors import AsifError
from asif_data.files import write_atomically
from asif_data.model_dir import CURRENT, TOKENIZER, ModelDirectory, load
from asif_data.rows import read_rows, row_files
from asif_serve.predictor import fastest
from asif_train.progress import progress
from asif_train.provenance import git_commit

app = typer.Typer(add_completion=False)


@app.command()
def bench(
    model: Annotated[Path, typer.Option(help="Model directory that all servers answer with.")] = Path("models")
    / CURRENT,
    data: Annotated[Path, typer.Option(help="Rows; those of the test split are asked.")] = Path("data/corpus"),
    rows: Annotated[int, typer.Option(min=1, help="How many of them, drawn by a fixed seed.")] = 200,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long each load lasts.")] = 10,
    rounds: Annotated[int, typer.Option(min=1, help="How often every server is started and measured.")] = 2,
    only: Annotated[
        list[str] | None, typer.Option(help="Only servers whose name has this word in it; can be given again.")
    ] = None,
    cache: Annotated[Path, typer.Option(help="Folder for the other servers' environments.")] = Path(".bench"),
    out: Annotated[Path, typer.Option(help="Markdown file for the figures.")] = Path("serve/BENCHMARK.md"),
    as_json: Annotated[bool, typer.Option("--json", help="Print figures as JSON.")] = False,
) -> None:
    """Measure this server beside others; by itself that takes about 10 minutes, and the first time some more for their environments.

    OUT is written after each server, so that a run that is stopped leaves what it has found.
    """
    directory = load(model)
    utterances = sample(data, rows)
    plan = Plan(model.resolve(), utterances, engine.float32_labels(model, utterances), CALLERS, seconds)
    chosen = [server for server in SERVERS if not only or any(word in server.name for word in only)]
    if not chosen:
        raise AsifError(f"--only: expected a part of {', '.join(one.name for one in SERVERS)}; found {only}.")
    facts = _facts(directory, plan, rounds, chosen)

    def keep(results: dict[str, Found], unfinished: str) -> None:
        write_atomically(out, report.markdown(results, CALLERS, facts, unfinished))

    results = run(plan, chosen, rounds, cache, keep)
    if as_json:
        typer.echo(json.dumps(report.summary(results, CALLERS), indent=2))
        return
    terminal = Console()
    terminal.width = max(terminal.width, 140)  # narrower, the tables cannot be read
    for sheet in report.sheets(results, CALLERS):
        terminal.print(sheet.rich())
    for found in results.values():
        if found.failed:
            terminal.print(f"{found.name}: {escape(found.failed)}")
    terminal.print(f"Written to {out}.")


def sample(data: Path, rows: int) -> list[Utterance]:
    """So many rows of the test split, drawn by a fixed seed; all of them if there are fewer."""
    found = [Utterance(row.text, row.context) for row in read_rows(row_files(data)) if row.split == "test"]
    if not found:
        raise AsifError(f"{data}: expected rows of the test split, found none.")
    return random.Random(0).sample(found, min(rows, len(found)))  # noqa: S311


def run(
    plan: Plan,
    servers: Sequence[Server],
    rounds: int,
    cache: Path,
    keep: Callable[[dict[str, Found], str], None],
) -> dict[str, Found]:
    """Measure the servers and the engine; `keep` is called with all that was found after each, and what is missing.

    A server that fails before its first load is left out of the rounds that follow; the others go on.
    """
    cache.mkdir(parents=True, exist_ok=True)
    results = {server.name: Found(server.name, server.about) for server in servers}
    results[engine.NAME] = Found(engine.NAME, engine.ABOUT)
    bins = {server.name: _bin(server, cache, results[server.name]) for server in progress(servers, "Environments")}

    def once(server: Server, found: Round) -> None:
        place = Place(bins[server.name], plan.model, cache, free_port())
        measure(server, place, plan, cache / "server.log", found)

    ways: dict[str, Callable[[Round], None]] = {server.name: partial(once, server) for server in servers}
    ways[engine.NAME] = partial(engine.measure, plan)
    turns = [name for i in range(rounds) for name in (ways if i % 2 == 0 else reversed(ways))]
    for done, name in enumerate(progress(turns, "Servers"), 1):
        found = results[name]
        if not found.failed or any(one.loads for one in found.rounds):
            found.rounds.append(Round())
            with _told(found):
                ways[name](found.rounds[-1])
        missing = len(turns) - done
        keep(results, f"Not finished: {missing} of {len(turns)} measurements are missing." if missing else "")
    return results


def _bin(server: Server, cache: Path, found: Found) -> Path:
    """Where the commands of a server's environment are."""
    if server.requirements:
        with _told(found):
            return environment(server.requirements, cache)
    return Path(sys.executable).parent


@contextmanager
def _told(found: Found) -> Iterator[None]:
    """Whatever befalls one server is told in its place, and the others go on."""
    try:
        yield
    except AsifError as error:
        found.failed = found.failed or str(error)
    except Exception as error:
        found.failed = found.failed or f"{type(error).__name__}: {error}"


def _facts(directory: ModelDirectory, plan: Plan, rounds: int, servers: Sequence[Server]) -> list[tuple[str, str]]:
    manifest = directory.manifest
    encoder = InputEncoder(directory.file(TOKENIZER), manifest.max_tokens)
    lengths = [len(row) for row in encoder(plan.rows)]
    words = f"{len(plan.rows)} of the test split, mean {np.mean(lengths):.0f} tokens, 95 % within {np.quantile(lengths, 0.95):.0f}"
    versions = [machine.here(), *(machine.pinned(one.requirements) for one in servers if one.requirements)]
    return [
        ("command", f"`{shlex.join(['python', '-m', 'serve.bench', *sys.argv[1:]])}`"),
        ("when", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {git_commit() or 'unknown'}"),
        ("machine", machine.machine()),
        ("other work at the start", machine.busy()),
        ("model", f"{manifest.name} {manifest.version}; this server runs {fastest(directory).file}"),
        ("rows", words),
        ("loads", f"{plan.seconds:g} s each, {rounds} {'round' if rounds == 1 else 'rounds'}"),
        ("versions", "; ".join(versions)),
    ]


def main() -> None:
    """A user's mistake is one message and exit status 1, never a traceback."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no server is left behind
    try:
        app()
    except AsifError as error:
        typer.echo(str(error), err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
