"""What was found of a server: a few rounds, each with its loads."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

CALLERS = (1, 8, 64)


@dataclass(frozen=True)
class Load:
    """So many callers, each asking again once answered. Seconds: of each answer, of the whole, of the client's processor time.

    `unanswered` counts the requests that got anything but status 200. Without `seconds` only the rate is known.
    """

    answered: int
    elapsed: float
    seconds: list[float] = field(default_factory=list)
    unanswered: int = 0
    client: float = 0.0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answered / self.elapsed


@dataclass
class Round:
    """One start of a server and what followed, as far as it came.

    `start` is seconds from start to first answer, `memory` the MB resident in all its processes after the loads, `other`
    the share of rows (0..1) whose best label is not the float32 network's, `beside` the seconds of single requests
    while batches run.
    """

    start: float | None = None
    memory: float | None = None
    other: float | None = None
    loads: dict[int, Load] = field(default_factory=dict)
    beside: list[float] = field(default_factory=list)


@dataclass
class Found:
    """All rounds of a server. Where it could not be measured to the end, `failed` says why. A figure not there is a LookupError."""

    name: str
    about: str
    rounds: list[Round] = field(default_factory=list)
    failed: str | None = None

    def rate(self, callers: int) -> float:
        """Answers a second, over all rounds. Where nothing was answered there is no rate."""
        loads = self.loads(callers)
        answered = sum(load.answered for load in loads)
        if not answered:
            raise LookupError(self.name, callers)
        return answered / sum(load.elapsed for load in loads)

    def rates(self, callers: int) -> list[float]:
        """Answers a second, of each round."""
        return [load.rate for load in self.loads(callers)]

    def ms(self, callers: int, share: float) -> float:
        """Milliseconds within which this share (0..1) of all answers came."""
        return quantile([second for load in self.loads(callers) for second in load.seconds], share)

    def beside(self, share: float) -> float:
        """The same of single requests while batches run."""
        return quantile([second for one in self.rounds for second in one.beside], share)

    def mean(self, of: Callable[[Round], float | None]) -> float:
        """The mean of a figure over the rounds that have it."""
        values = [value for value in map(of, self.rounds) if value is not None]
        if not values:
            raise LookupError(self.name)
        return float(np.mean(values))

    def unanswered(self, callers: int) -> int:
        """Requests that got anything but status 200."""
        return sum(load.unanswered for load in self.loads(callers))

    def loads(self, callers: int) -> list[Load]:
        """The loads of so many callers, one a round. Raises LookupError if there are none."""
        found = [one.loads[callers] for one in self.rounds if callers in one.loads]
        if not found:
            raise LookupError(self.name, callers)
        return found


def quantile(seconds: list[float], share: float) -> float:
    """Milliseconds within which this share (0..1) of so many seconds lies. Raises LookupError if there are none."""
    if not seconds:
        raise LookupError(share)
    return float(1000 * np.quantile(seconds, share))
