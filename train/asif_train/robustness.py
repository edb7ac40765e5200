"""Robustness: what the model must be able to do, what must not change its answer, and what must move it.

Functionality, invariance and directional tests in the manner of Ribeiro et al. (2020), Beyond Accuracy: Behavioral
Testing of NLP Models with CheckList. They are asked through the serving predictor: what is tested is what is served.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from rich.table import Table
from scipy.stats import binomtest

from asif_data.encoding import Utterance
from asif_data.errors import AsifError
from asif_data.labels import LABELS, NONE
from asif_serve.decision import Decision
from asif_serve.predictor import Predictor
from asif_train import tables
from asif_train.progress import progress
from asif_train.provenance import report_head
from asif_train.transforms import TRANSFORMS, Item, one_of, transformed

SUITE = Path(__file__).parent / "suite"
FUNCTIONALITY, INVARIANCE, DIRECTION = "functionality", "invariance", "direction"
GOALS = {FUNCTIONALITY: 0.85, INVARIANCE: 0.97, DIRECTION: 0.95}  # 0.85: of a border's nine items one may be wrong
ALL = "all"
LEAST_RISE = 0.05
REPORT_VERSION = 1

_Result = tuple[str, str, bool]  # name of the test, id of the item, whether it passed


class Pair(BaseModel):
    """A reply before and after a change, `kind`, that must move the model toward a label."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: str
    kind: str
    toward: Annotated[str, one_of(LABELS)]
    context: str | None = None
    before: str
    after: str


_Record = TypeVar("_Record", Item, Pair)


@dataclass(frozen=True)
class Suite:
    """Items for functionality and invariance, pairs for direction; ids are unique in each."""

    items: tuple[Item, ...]
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class Robustness:
    """A run of the suite. `values` is the report, which JSON can hold.

    `values["tests"]` has one entry a test: kind, name, passed, total, share (0..1), its 95 % interval, goal (0..1),
    whether it is met, and the ids of what failed.
    """

    values: dict[str, Any]

    def table(self) -> Table:
        """Each test with its share, for a terminal."""
        return tables.robustness({"robustness": self.values["tests"]}).rich()


def read_suite(folder: str | Path = SUITE) -> Suite:
    """The suite in `folder`: functionality.jsonl and direction.jsonl.

    Raises AsifError that names the file, and the line that is not an item or repeats an id.
    """
    return Suite(
        tuple(_read(Path(folder) / f"{FUNCTIONALITY}.jsonl", Item)),
        tuple(_read(Path(folder) / f"{DIRECTION}.jsonl", Pair)),
    )


def _read(file: Path, record: type[_Record]) -> Iterator[_Record]:
    if not file.is_file():
        raise AsifError(f"{file}: expected the items of the robustness suite, found no file.")
    seen: set[str] = set()
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                found = record.model_validate_json(line)
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(map(str, first["loc"])) or "row"
                message = first["msg"].removeprefix("Value error, ")
                raise AsifError(f"{file}:{number}: {where}: {message}.") from None
            if found.id in seen:
                raise AsifError(f"{file}:{number}: id: expected an id of its own, found {found.id!r} again.")
            seen.add(found.id)
            yield found


def robustness(predictor: Predictor, suite: Suite | None = None) -> Robustness:
    """Put the suite, the packaged one if None, to a model.

    An answer is the best label, or none where the model withholds as out of scope, as in the evaluation. Functionality
    passes where the answer is the item's label; invariance where a transform leaves the answer as it was, right or
    wrong, over the items that the transform changes; direction where the probability of the label, in_scope times its
    score, rises by 0.05 or more. Intervals: Wilson (1927), Probable Inference, the Law of Succession.

    Raises AsifError for a model whose labels are not those of the codebook.
    """
    if set(predictor.labels) != set(LABELS):
        raise AsifError(
            f"{predictor.model.path.name}: expected a model of {', '.join(LABELS)}, which the robustness suite is "
            f"written for, found {', '.join(predictor.labels)}."
        )
    suite = suite or read_suite()
    answers = _answers(predictor, [item.utterance() for item in suite.items], "Functionality")
    tests = [
        *_tests(FUNCTIONALITY, _functionality(suite.items, answers)),
        *_tests(INVARIANCE, _invariance(predictor, suite.items, answers)),
        *_tests(DIRECTION, _direction(predictor, suite.pairs)),
    ]
    return Robustness(
        {
            **report_head(predictor, REPORT_VERSION),
            "interval": "95 % Wilson interval over items",
            "tests": tests,
        }
    )


def _answers(predictor: Predictor, utterances: Sequence[Utterance], doing: str) -> list[str]:
    return [NONE if d.reason == "out_of_scope" else d.best for d in _decisions(predictor, utterances, doing)]


def _decisions(predictor: Predictor, utterances: Sequence[Utterance], doing: str) -> list[Decision]:
    return [predictor([utterance])[0] for utterance in progress(utterances, doing)]


def _functionality(items: Sequence[Item], answers: Sequence[str]) -> list[_Result]:
    right = [(item, answer == item.label) for item, answer in zip(items, answers, strict=True)]
    return [
        *((ALL, item.id, passed) for item, passed in right),
        *((f"label: {item.label}", item.id, passed) for item, passed in right),
        *((f"border: {item.border}", item.id, passed) for item, passed in right),
    ]


def _invariance(predictor: Predictor, items: Sequence[Item], answers: Sequence[str]) -> list[_Result]:
    asked = [
        (name, item.id, answer, changed)
        for name in TRANSFORMS
        for item, answer in zip(items, answers, strict=True)
        if (changed := transformed(item, name))
    ]
    found = _answers(predictor, [changed for *_, changed in asked], "Invariance")
    return [(name, item_id, now == before) for (name, item_id, before, _), now in zip(asked, found, strict=True)]


def _direction(predictor: Predictor, pairs: Sequence[Pair]) -> list[_Result]:
    before = _decisions(predictor, [Utterance(pair.before, pair.context) for pair in pairs], "Direction: before")
    after = _decisions(predictor, [Utterance(pair.after, pair.context) for pair in pairs], "Direction: after")
    passes = [
        (pair, _probability(now, pair.toward) - _probability(then, pair.toward) >= LEAST_RISE)
        for pair, then, now in zip(pairs, before, after, strict=True)
    ]
    return [*((ALL, pair.id, up) for pair, up in passes), *((pair.kind, pair.id, up) for pair, up in passes)]


def _probability(decision: Decision, label: str) -> float:
    return decision.in_scope * decision.scores[decision.labels.index(label)]


def _tests(kind: str, results: Sequence[_Result]) -> Iterator[dict[str, Any]]:
    """One entry a test, in the order in which they come up."""
    tests: dict[str, dict[str, bool]] = {}
    for name, item_id, passed in results:
        tests.setdefault(name, {})[item_id] = passed
    for name, passes in tests.items():
        passed, total = sum(passes.values()), len(passes)
        interval = binomtest(passed, total).proportion_ci(method="wilson")
        yield {
            "kind": kind,
            "name": name,
            "passed": passed,
            "total": total,
            "share": passed / total,
            "interval": [float(interval.low), float(interval.high)],
            "goal": GOALS[kind],
            "met": passed / total >= GOALS[kind],
            "failures": [item_id for item_id, right in passes.items() if not right],
        }
