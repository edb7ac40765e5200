"""Whether what comes in still looks like what the model was judged on, without keeping a word of it."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from asif_data.model_dir import Reference
from asif_serve.decision import Decision

WINDOW = 1_000
_KEPT = 1 - 1 / WINDOW


def outcome(decision: Decision) -> str:
    """What an answer comes to: its label, or why there is none."""
    return decision.reason or decision.best


def reference(decisions: Sequence[Decision]) -> Reference:
    """What answers look like: at least one decision, each counting the same."""
    found = recent(_sums(decisions))
    if found is None:
        raise ValueError("expected at least one decision, found none")
    return found


def _sums(decisions: Sequence[Decision]) -> dict[tuple[str, str], float]:
    counts = Counter(map(outcome, decisions))
    sums: dict[tuple[str, str], float] = {("outcome", name): count for name, count in counts.items()}
    sums["sum", "confidence"] = sum(max(decision.scores) for decision in decisions)
    sums["sum", "in_scope"] = sum(decision.in_scope for decision in decisions)
    return sums


class Window:
    """Sums over about the last 1,000 answers: each counts a thousandth less for every one after it.

    Sums rather than means, so that those of several processes can be added up. `sums` has the weight of each outcome,
    which all together grow towards 1,000, and the weighted sums of the highest score and of `in_scope`.
    """

    def __init__(self) -> None:
        self.sums: dict[tuple[str, str], float] = {}

    def add(self, decisions: Sequence[Decision]) -> None:
        """Count answers. Those of one call count the same."""
        if not decisions:
            return
        now = _sums(decisions)
        kept = _KEPT ** len(decisions)
        each = (1 - kept) * WINDOW / len(decisions)
        for key in self.sums.keys() | now.keys():
            self.sums[key] = kept * self.sums.get(key, 0.0) + each * now.get(key, 0.0)


def recent(sums: Mapping[tuple[str, str], float]) -> Reference | None:
    """What the answers of a window, or of several added up, look like; None before the first one."""
    weights = {name: value for (kind, name), value in sums.items() if kind == "outcome"}
    total = sum(weights.values())
    if not total:
        return None
    return Reference(
        rows=round(total),
        outcomes={name: weight / total for name, weight in sorted(weights.items())},
        confidence=sums["sum", "confidence"] / total,
        in_scope=sums["sum", "in_scope"] / total,
    )


def divergence(one: Reference, other: Reference) -> float:
    """How far apart the shares of outcomes are: 0 where they are the same, 1 where they have none in common.

    The Jensen-Shannon divergence in bits (Lin 1991, Divergence measures based on the Shannon entropy). A full window of
    rows like those of the reference stays below 0.004; another mix of outcomes (whole sessions, say, where three turns in
    four are none of the labels) is 0.1 away by that alone: watch for a change, not for a level.
    """
    names = sorted(one.outcomes.keys() | other.outcomes.keys())
    p, q = (np.array([found.outcomes.get(name, 0.0) for name in names]) for found in (one, other))
    middle = (p + q) / 2
    return (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2


def _relative_entropy(p: np.ndarray, q: np.ndarray) -> float:
    """Kullback-Leibler divergence in bits; q is above 0 wherever p is."""
    some = p > 0
    return float((p[some] * np.log2(p[some] / q[some])).sum())
