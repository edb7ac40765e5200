"""Whether the highlighted words are the ones that the model goes by, and what it costs to find them.

Deletion tests: taking out the k heaviest words must lower the decision's probability more than taking out k random
words of the same text (comprehensiveness), and keeping nothing but them must leave more of it than keeping k random
words (sufficiency). DeYoung et al. (2020), ERASER: A Benchmark to Evaluate Rationalized NLP Models; against random
deletion: Samek et al. (2017), Evaluating the Visualization of What a Deep Neural Network Has Learned.

The words are ranked by occlusion of one word at a time. For k = 1, comprehensiveness then measures what the word was
chosen by, and cannot come out below random: it is circular. For k > 1 it is so in part; sufficiency is not, since no
word was chosen by what it keeps alone.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.table import Table

from asif_data.encoding import Utterance
from asif_data.errors import AsifError
from asif_data.rows import Row, row_groups
from asif_serve.decision import Decision
from asif_serve.explain import MAX_WORDS, Judge, Span, cost, explain, rank, strength, words
from asif_serve.predictor import Predictor
from asif_train import metrics
from asif_train.figures import BLUE, ORANGE
from asif_train.metrics import Estimate, estimate_weighted
from asif_train.progress import progress
from asif_train.provenance import report_head

REPORT_VERSION = 1
SIZES = (1, 3, 5)
DRAWS = 10
TIMED = 100
_CAUTION = (
    "Words are ranked by the fall that each makes alone: comprehensiveness is circular for 1 word and partly so for "
    "more; sufficiency is not."
)
_MEASURES = {  # what the axes of each measure's figure say
    "comprehensiveness": ("words removed", "fall of the decision's probability"),
    "sufficiency": ("words kept", "probability of the decision left"),
}


@dataclass(frozen=True)
class Faithfulness:
    """Deletion tests of a model's highlights. `values` is the report, which JSON can hold.

    `values["sizes"]` has one entry for each k: the texts judged, and for comprehensiveness and sufficiency the means
    `top` and `random` and of their `difference`, in probability (-1..1), each with its 95 % interval. Positive
    differences speak for the highlights. `values["cost"]` holds medians: milliseconds and model runs for one answer
    and for one explained answer.
    """

    values: dict[str, Any]

    def table(self) -> Table:
        """The differences from random words, and what explaining costs, for a terminal."""
        answer, explained = self.values["cost"]["answer"], self.values["cost"]["explained"]
        table = Table(
            *("words", "texts", *_MEASURES),
            title="Highlights against random words: difference in probability",
            caption=f"One answer: {answer['milliseconds']:.1f} ms. Explained: {explained['milliseconds']:.1f} ms, "
            f"{explained['model_runs']:.0f} model runs (medians).",
        )
        for size in self.values["sizes"]:
            shown = [str(Estimate(**size[measure]["difference"])) for measure in _MEASURES]
            table.add_row(f"{size['words']}{' (circular)' if size['circular'] else ''}", str(size["texts"]), *shown)
        return table

    def figure(self) -> Figure:
        """Both tests against the number of words, highlighted and random, with 95 % intervals."""
        figure = Figure(figsize=(8.8, 3.8), layout="constrained")
        for axes, (measure, (x, y)) in zip(figure.subplots(1, 2), _MEASURES.items(), strict=True):
            self._lines(axes, measure)
            axes.set(title=measure, xlabel=x, ylabel=y, ylim=(min(0, axes.get_ylim()[0]), None))
            axes.set_xticks([size["words"] for size in self.values["sizes"]])
            axes.grid(alpha=0.25)
        figure.axes[0].legend(frameon=False)
        return figure

    def _lines(self, axes: Any, measure: str) -> None:
        sizes = self.values["sizes"]
        shown = {"top": ("highest weight", BLUE, "o-"), "random": (f"random, mean of {DRAWS} draws", ORANGE, "s--")}
        for choice, (label, color, style) in shown.items():
            found = [Estimate(**size[measure][choice]) for size in sizes]
            # A percentile interval of few groups can lie beside its value; an error bar cannot.
            error = np.maximum([[e.value - e.low for e in found], [e.high - e.value for e in found]], 0)
            at = [size["words"] for size in sizes]
            axes.errorbar(at, [e.value for e in found], error, fmt=style, color=color, capsize=3, label=label)


@dataclass(frozen=True)
class _Deletion:
    """What k words did in one text: probabilities of the full text's decision; `random` ones are means over draws."""

    row: int
    fall_top: float
    fall_random: float
    kept_top: float
    kept_random: float


def faithfulness(predictor: Predictor, rows: Sequence[Row], *, resamples: int = metrics.RESAMPLES) -> Faithfulness:
    """Run the deletion tests on rows, whose labels are not asked: the decision is the model's own.

    For k of 1, 3 and 5, over texts of at least 2k words and fewer than 120, beyond which no word is ranked. Random
    words are 10 draws with a fixed seed. Intervals are over groups, from `resamples` resamples. DeYoung et al. define
    sufficiency as a fall; here it is the probability left, so that more is better in both. Costs are timed on up to 100
    rows, one model run at a time.

    Raises AsifError if no text has two words.
    """
    utterances = [Utterance(row.text, row.context) for row in rows]
    deletions = _deletions(predictor, utterances)
    if not deletions:
        raise AsifError(f"expected texts of at least two words to take words from, found none in {len(rows)} rows.")
    groups = row_groups(rows)
    return Faithfulness(
        {
            **report_head(predictor, REPORT_VERSION),
            "rows": len(rows),
            "interval": f"95 % percentile bootstrap over groups, {resamples} resamples",
            "caution": _CAUTION,
            "sizes": [_size(k, found, groups, resamples) for k, found in deletions.items()],
            "cost": _cost(predictor, utterances),
        }
    )


def _deletions(judge: Judge, utterances: Sequence[Utterance]) -> dict[int, list[_Deletion]]:
    """The deletions of each size that some text is long enough for."""
    rng = np.random.default_rng(0)
    found: dict[int, list[_Deletion]] = {}
    for row, utterance in enumerate(progress(utterances, "Taking words out")):
        count = len(words(utterance.text))
        sizes = [k for k in SIZES if 2 * k <= count < MAX_WORDS]
        if sizes:
            decision = judge([utterance])[0]
            ranked = [span for span, _ in _occlusion(utterance, decision, judge)]
            for k in sizes:
                drawn = [[ranked[i] for i in rng.choice(count, k, replace=False)] for _ in range(DRAWS)]
                found.setdefault(k, []).append(_delete(row, utterance, decision, judge, [ranked[:k], *drawn], ranked))
    return dict(sorted(found.items()))


def _occlusion(utterance: Utterance, decision: Decision, judge: Judge) -> list[tuple[Span, float]]:
    spans = words(utterance.text)
    return rank(decision, spans, judge([_without(utterance, [span]) for span in spans]))


def _delete(
    row: int,
    utterance: Utterance,
    decision: Decision,
    judge: Judge,
    choices: Sequence[Sequence[Span]],
    every: Sequence[Span],
) -> _Deletion:
    """`choices` are the words of highest weight, then each random draw, out of `every` word."""
    out = judge([_without(utterance, chosen) for chosen in choices])
    kept = judge([_without(utterance, [span for span in every if span not in chosen]) for chosen in choices])
    fall_top, *falls = [strength(decision, decision) - strength(decision, other) for other in out]
    kept_top, *keeps = [strength(decision, other) for other in kept]
    return _Deletion(row, fall_top, float(np.mean(falls)), kept_top, float(np.mean(keeps)))


def _without(utterance: Utterance, spans: Sequence[Span]) -> Utterance:
    text = utterance.text
    for span in sorted(spans, key=lambda span: -span.start):
        text = text[: span.start] + text[span.end :]
    return utterance._replace(text=text)


def _size(k: int, found: Sequence[_Deletion], groups: Sequence[str], resamples: int) -> dict[str, Any]:
    own = [groups[one.row] for one in found]

    def compared(top: Sequence[float], random: Sequence[float]) -> dict[str, Any]:
        columns = {"top": np.array(top), "random": np.array(random), "difference": np.subtract(top, random)}
        return {
            name: asdict(estimate_weighted(partial(metrics.weighted_mean, values), own, resamples))
            for name, values in columns.items()
        }

    return {
        "words": k,
        "texts": len(found),
        "circular": k == 1,
        "comprehensiveness": compared([one.fall_top for one in found], [one.fall_random for one in found]),
        "sufficiency": compared([one.kept_top for one in found], [one.kept_random for one in found]),
    }


def _cost(predictor: Predictor, utterances: Sequence[Utterance]) -> dict[str, Any]:
    timed = utterances[:: -(-len(utterances) // TIMED)]
    answers, explanations = [], []
    for utterance in timed:
        start = time.perf_counter()
        decision = predictor([utterance])[0]
        answered = time.perf_counter()
        explain(utterance, decision, predictor)
        answers.append(answered - start)
        explanations.append(time.perf_counter() - start)
    return {
        "rows": len(timed),
        "answer": {"milliseconds": 1000 * float(np.median(answers)), "model_runs": 1},
        "explained": {
            "milliseconds": 1000 * float(np.median(explanations)),
            "model_runs": float(np.median([1 + cost(utterance.text) for utterance in timed])),
        },
    }
