"""What this server is meant to reach, beside what was found."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from serve.bench import engine
from serve.bench.found import Found
from serve.bench.servers import INFINITY, LITSERVE, NAIVE, PLAIN

_MANY = 64
Results = Mapping[str, Found]


class Goal(NamedTuple):
    """One figure, how it is shown, and whether a value reaches it."""

    text: str
    value: Callable[[Found, Results], float]
    reached: Callable[[float], bool]
    shown: str


def _times(*names: str) -> Callable[[Found, Results], float]:
    """Answers a second, as a multiple of the fastest of these servers' that was measured."""
    return lambda ours, results: ours.rate(_MANY) / max(_of(results, names, lambda found: found.rate(_MANY)))


def _slowest(ours: Found, results: Results) -> float:
    others = _of(results, [server.name for server in (NAIVE, PLAIN, INFINITY, LITSERVE)], lambda f: f.ms(_MANY, 0.99))
    return ours.ms(_MANY, 0.99) / min(others)


def _of(results: Results, names: Sequence[str], value: Callable[[Found], float]) -> list[float]:
    """A figure of each of these servers that has one. Raises LookupError if none has."""
    found = []
    for name in names:
        with contextlib.suppress(LookupError):
            found.append(value(results[name]))
    if not found:
        raise LookupError(names)
    return found


def overhead(ours: Found, results: Results) -> float:
    """Median milliseconds of one caller's requests, less the engine's on the same rows."""
    return ours.ms(1, 0.5) - results[engine.NAME].ms(1, 0.5)


def unfairness(ours: Found, _: Results) -> float:
    """p99 of single requests beside batches, as a multiple of that without them."""
    return ours.beside(0.99) / ours.ms(1, 0.99)


GOALS = (
    Goal(
        "at least 85 % of the engine's throughput, 64 callers",
        lambda ours, results: 100 * ours.rate(_MANY) / results[engine.NAME].rate(_MANY),
        lambda value: value >= 85,
        "{:.0f} %",
    ),
    Goal(
        "at least 15 times the naive server's throughput, 64 callers", _times(NAIVE.name), lambda v: v >= 15, "{:.1f}"
    ),
    Goal(
        "at least 5 times the throughput of the better of infinity and LitServe, 64 callers",
        _times(INFINITY.name, LITSERVE.name),
        lambda value: value >= 5,
        "{:.1f}",
    ),
    Goal(
        "at least 1.3 times the plain ONNX Runtime int8 server's throughput, 64 callers",
        _times(PLAIN.name),
        lambda value: value >= 1.3,
        "{:.2f}",
    ),
    Goal("a lower p99 than each of them, 64 callers: ratio to the lowest", _slowest, lambda v: v < 1, "{:.2f}"),
    Goal("under 0.5 ms over the engine at the median, 1 caller", overhead, lambda value: value < 0.5, "{:.2f} ms"),
    Goal(
        "under 250 MB resident (the goal with ONNX Runtime)",
        lambda ours, _: ours.mean(lambda one: one.memory),
        lambda value: value < 250,
        "{:.0f} MB",
    ),
    Goal(
        "under 2 s from start to first answer",
        lambda ours, _: ours.mean(lambda one: one.start),
        lambda value: value < 2,
        "{:.2f} s",
    ),
    Goal(
        "p99 of single requests beside batches of 256 at most 3 times the quiet one",
        unfairness,
        lambda v: v <= 3,
        "{:.1f}",
    ),
)


def verdict(goal: Goal, ours: Found, results: Results) -> str:
    """What was found, and whether it reaches the goal."""
    try:
        value = goal.value(ours, results)
    except LookupError:
        return "not measured"
    return f"{goal.shown.format(value)}: {'met' if goal.reached(value) else 'not met'}"
