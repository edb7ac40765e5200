"""Annotators who differ from the rest."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import binomtest, fisher_exact

from asif_data.rows import Row

_RARE = 0.025  # one side of a 95 % interval


@dataclass(frozen=True)
class Annotator:
    """One annotator beside the others.

    Of the `rows` where the others' votes have a majority, the share on which this annotator says the same, 0..1, with its
    95 % interval. `rest` is that share for all other annotators together, nan if they have no such rows. `p_value` is the
    chance, 0..1, of agreeing as seldom as this or less often if all agreed equally.
    """

    name: str
    rows: int
    agreement: float
    low: float
    high: float
    rest: float
    p_value: float

    @property
    def differs(self) -> bool:
        """Whether it is less than chance explains. One slip beside others who made none is no proof."""
        return self.p_value < _RARE


def annotators(rows: Sequence[Row]) -> list[Annotator]:
    """Every annotator who has rows with votes of others, the least agreeing first.

    The majority of the others leaves the annotator's own vote out, so that nobody agrees with themselves; where it ties,
    the row says nothing of them. Wilson interval (Wilson 1927), as if rows were independent: with few long conversations it
    is too narrow. Fisher's exact test, one-sided, tells who differs. Of two annotators alone none can be told to be the one
    who errs: they agree equally.
    """
    rows_of, agreed = Counter[str](), Counter[str]()
    for row in rows:
        votes = row.votes or []
        for n, vote in enumerate(votes):
            others = Counter(v.label for v in [*votes[:n], *votes[n + 1 :]]).most_common(2)
            if others and (len(others) == 1 or others[0][1] > others[1][1]):
                rows_of[vote.annotator] += 1
                agreed[vote.annotator] += vote.label == others[0][0]
    everyone, all_agreed = rows_of.total(), agreed.total()
    found = []
    for name, count in rows_of.items():
        interval = binomtest(agreed[name], count).proportion_ci(0.95, "wilson")
        left = everyone - count
        left_agreed = all_agreed - agreed[name]
        rest = left_agreed / left if left else float("nan")
        counts = [[agreed[name], count - agreed[name]], [left_agreed, left - left_agreed]]
        p_value = float(fisher_exact(counts, alternative="less").pvalue)  # pyright: ignore[reportAttributeAccessIssue]
        low, high = float(interval.low), float(interval.high)
        found.append(Annotator(name, count, agreed[name] / count, low, high, rest, p_value))
    return sorted(found, key=lambda one: (one.agreement, one.name))
