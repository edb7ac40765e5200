"""The figures as tables, for the terminal and as Markdown."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from serve.bench import engine
from serve.bench.found import Found
from serve.bench.goals import GOALS, Results, overhead, unfairness, verdict
from serve.bench.servers import ASIF, ASIF_TWO

_NONE = "-"
_HOW = f"""\
`make bench-serve` measures these servers beside each other, each in processes of its own, on the same requests and with the same
model directory. In each round a server is started and timed until its first answer (the port is asked every 10 ms), answers every row once, and is then asked
by 1, 8 and 64 callers, each on a connection of its own, each asking again as soon as it is answered. Every round takes the servers in the opposite
order of the one before; figures are over all rounds. In brackets: the figure as a multiple of the first server's, `{ASIF.name}`. The client runs on the same processors, in a
process of its own. Memory is what is resident in all processes of a server after the loads; what they share is counted in each.
"""


@dataclass(frozen=True)
class Sheet:
    """A table; the first column names the rows."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def rich(self) -> Table:
        """For the terminal."""
        table = Table(title=self.title, title_justify="left")
        for i, column in enumerate(self.columns):
            table.add_column(column, justify="right" if i else "left")
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        """For a file."""
        lines = [self.columns, ["---", *["---:"] * (len(self.columns) - 1)], *self.rows]
        return f"## {self.title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def markdown(results: Results, callers: Sequence[int], facts: Iterable[tuple[str, str]], unfinished: str = "") -> str:
    """The whole page. `facts` are what the figures depend on, by name; `unfinished` says what is still missing."""
    parts = ["# How fast the server answers, beside others\n", _HOW]
    if unfinished:
        parts.append(f"**{unfinished}**\n")
    parts.append("\n".join(f"- {name}: {fact}" for name, fact in (*facts, ("client", _client(results)))) + "\n")
    parts += [sheet.markdown() for sheet in sheets(results, callers)]
    parts.append(
        "## What was measured\n\n" + "\n".join(f"- {name}: {one.about}" for name, one in results.items()) + "\n"
    )
    failed = [f"- {name}: {one.failed}" for name, one in results.items() if one.failed]
    if failed:
        parts.append("## What could not be measured\n\n" + "\n".join(failed) + "\n")
    return "\n".join(parts)


def sheets(results: Results, callers: Sequence[int]) -> list[Sheet]:
    """All tables: goals, each concurrency, what else was seen of each server, and this server beside its engine."""
    return [_goals(results), *(_speed(results, count) for count in callers), _rest(results), _own(results)]


def _goals(results: Results) -> Sheet:
    ours = _ours(results)
    rows = [[goal.text, *(verdict(goal, one, results) for one in ours)] for goal in GOALS]
    return Sheet("Goals", ["goal", *(one.name for one in ours)], rows)


def _speed(results: Results, callers: int) -> Sheet:
    """Throughput and latency with so many callers."""

    def row(found: Found) -> list[str]:
        def cell(form: str, value: Callable[[Found], float]) -> str:
            return _beside(form, value, found, results)

        return [
            found.name,
            cell("{:.1f}", lambda one: one.rate(callers)),
            _or_none(lambda: " to ".join(f"{rate:.1f}" for rate in _ends(found.rates(callers)))),
            *(cell("{:.1f}", lambda one, share=share: one.ms(callers, share)) for share in (0.5, 0.95, 0.99)),
            _or_none(lambda: str(found.unanswered(callers))),
        ]

    columns = ["server", "requests/s", "by round", "p50, ms", "p95, ms", "p99, ms", "not answered"]
    return Sheet(f"{callers} {'caller' if callers == 1 else 'callers'}", columns, [*map(row, results.values())])


def _rest(results: Results) -> Sheet:
    def row(found: Found) -> list[str]:
        return [
            found.name,
            _beside("{:.0f}", lambda one: one.mean(lambda r: r.memory), found, results),
            _beside("{:.2f}", lambda one: one.mean(lambda r: r.start), found, results),
            _or_none(lambda: f"{100 * found.mean(lambda r: r.other):.1f}"),
        ]

    columns = ["server", "resident, MB", "start to first answer, s", "rows with another best label than float32, %"]
    return Sheet("Memory, start, answers", columns, [*map(row, results.values())])


def _own(results: Results) -> Sheet:
    """This server beside the engine, and single requests beside batches."""

    def row(found: Found) -> list[str]:
        return [
            found.name,
            _or_none(lambda: f"{found.ms(1, 0.5):.2f}"),
            _or_none(lambda: f"{results[engine.NAME].ms(1, 0.5):.2f}"),
            _or_none(lambda: f"{overhead(found, results):.2f}"),
            _or_none(lambda: f"{found.ms(1, 0.99):.1f}"),
            _or_none(lambda: f"{found.beside(0.99):.1f}"),
            _or_none(lambda: f"{unfairness(found, results):.1f}"),
        ]

    columns = ["server", "p50, ms", "engine's", "over it", "p99, ms", "beside batches of 256", "ratio"]
    return Sheet("One caller: over the engine, and beside batches", columns, [*map(row, _ours(results))])


def _client(results: Results) -> str:
    """What the client took of the processors that the servers run on."""
    loads = [load for found in results.values() for one in found.rounds for load in one.loads.values()]
    each = sorted(1000 * load.client / load.answered for load in loads if load.client and load.answered)
    return f"{each[0]:.2f} to {each[-1]:.2f} ms of processor time a request" if each else "not measured"


def _ours(results: Results) -> list[Found]:
    return [results[server.name] for server in (ASIF, ASIF_TWO) if server.name in results]


def _beside(form: str, value: Callable[[Found], float], found: Found, results: Results) -> str:
    """A figure, and as a multiple of this server's."""
    shown = _or_none(lambda: form.format(value(found)))
    ratio = _or_none(lambda: f"{value(found) / value(results[ASIF.name]):.2f}")
    return shown if _NONE in {shown, ratio} else f"{shown} ({ratio})"


def _or_none(show: Callable[[], str]) -> str:
    try:
        return show()
    except LookupError:
        return _NONE


def _ends(values: Sequence[float]) -> list[float]:
    """The lowest and the highest of several; one alone."""
    return sorted({min(values), max(values)})


def summary(results: Results, callers: Sequence[int]) -> list[dict[str, Any]]:
    """The figures for a script: one entry a server, None where there is no figure."""

    def number(value: Callable[[], float]) -> float | None:
        try:
            return value()
        except LookupError:
            return None

    def at(found: Found, count: int) -> dict[str, float | None]:
        shares = {f"p{100 * share:.0f}_ms": number(lambda s=share: found.ms(count, s)) for share in (0.5, 0.95, 0.99)}
        return {"requests_per_second": number(lambda: found.rate(count))} | shares

    return [
        {
            "server": found.name,
            "failed": found.failed,
            "callers": {str(count): at(found, count) for count in callers},
            "resident_mb": number(lambda found=found: found.mean(lambda one: one.memory)),
            "seconds_to_first_answer": number(lambda found=found: found.mean(lambda one: one.start)),
            "other_than_float32": number(lambda found=found: found.mean(lambda one: one.other)),
        }
        for found in results.values()
    ]
