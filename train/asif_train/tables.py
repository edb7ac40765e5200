"""The tables of a report, each made once and shown in a terminal and in the model card."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.markup import escape
from rich.table import Table

from asif_data.labels import NONE
from asif_train.baselines import BOTH
from asif_train.metrics import HEADLINES, Estimate, Yardstick
from asif_train.parity import MAX_DIFFERENCE
from asif_train.practice import LOAD
from asif_train.slices import LENGTH, MEASURES, REGISTER, TOPIC

Values = dict[str, Any]
COMPARED = ("macro-F1", "in-scope AUROC")
FEWEST_OF_A_TOPIC = 10
_MEASURED = ("rows", "in scope", *MEASURES)
_LOAD = {"labelled": "get a label", "wrong": "get a wrong label", "uncertain": "are withheld as uncertain"}


@dataclass(frozen=True)
class Grid:
    """A table: a title, column heads, and rows of cells."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def rich(self) -> Table:
        """For a terminal."""
        table = Table(*map(escape, self.head), title=self.title)
        for row in self.rows:
            table.add_row(*map(escape, row))
        return table

    def markdown(self) -> str:
        """For the model card, without the title."""
        lines = [self.head, ["---"] * len(self.head), *self.rows]
        return "\n".join("| " + " | ".join(map(plain, line)) + " |" for line in lines)


def headlines(values: Values) -> Grid:
    """The metrics that model and baselines share, beside each other."""
    rows = [
        (name, *(_estimate(found[metric]).replace(" ", "\n", 1) for metric in HEADLINES))
        for name, found in [("asif", values["headline"]), *((baseline_name(b), b) for b in values["baselines"])]
    ]
    title = f"{values['model']['version']} on {values['rows']} {values['split']} rows"
    return Grid(title, ("model", *HEADLINES), rows)


def metrics(values: Values) -> Grid:
    """Every headline metric of the model."""
    return Grid("Headline", ("metric", "value"), [(name, _estimate(v)) for name, v in values["headline"].items()])


def per_label(values: Values) -> Grid:
    """Precision, recall and F1 of each label and none."""
    rows = [
        (label, *(f"{v[name]:.3f}" for name in ("precision", "recall", "f1")), str(v["rows"]))
        for label, v in values["per_label"].items()
    ]
    return Grid("Per label", ("label", "precision", "recall", "F1", "rows"), rows)


def differences(values: Values) -> Grid:
    """What the baselines reach, and how far the model is ahead of each on the same resamples."""
    rows = [
        (baseline_name(b), *(_estimate(found[name]) for name in COMPARED for found in (b, b["difference"])))
        for b in values["baselines"]
    ]
    return Grid(
        "Ahead of the baselines", ("baseline", *(head for name in COMPARED for head in (name, "model ahead by"))), rows
    )


def baseline_name(baseline: Values) -> str:
    """A baseline's name, with what it sees where that is not all."""
    view = baseline["view"]
    return baseline["name"] + (f", {view}" if view and view != BOTH else "")


def calibration(values: Values) -> Grid:
    """ECE and Brier score beside the limits that chance alone sets, over all rows and per register and length."""
    named = list(values["calibration"].items())
    for column in (REGISTER, LENGTH):
        for value, measured in values["slices"].get(column, {}).items():
            if "calibration" in measured:
                named.append((f"scores, {column}: {value}", measured["calibration"]))
    rows = [
        (name, *(str(Yardstick(**found[metric])) for metric in ("ECE", "Brier")), str(found["ECE"]["rows"]))
        for name, found in named
    ]
    return Grid("Calibration", ("of", "ECE", "Brier", "rows"), rows)


def slices(values: Values) -> Grid:
    """Measures of each register, length and border, below those of all rows."""
    whole = values["headline"] | {"rows": values["rows"], "in_scope_rows": values["in_scope_rows"]}
    rows = [("all rows", *_measures(whole))]
    rows += [
        (f"{column}: {value}", *_measures(measured))
        for column, found in values["slices"].items()
        if column != TOPIC
        for value, measured in found.items()
    ]
    return Grid("Slices", ("slice", *_MEASURED), rows)


def lowest_topics(values: Values, count: int = 8) -> Grid:
    """The topics of at least ten rows with the lowest accuracy incl. none."""
    topics = values["slices"].get(TOPIC, {}).items()
    known = [(name, measured) for name, measured in topics if measured["rows"] >= FEWEST_OF_A_TOPIC]
    lowest = sorted(known, key=lambda topic: topic[1]["accuracy incl. none"]["value"])[:count]
    return Grid("Lowest topics", ("topic", *_MEASURED), [(name, *_measures(measured)) for name, measured in lowest])


def _measures(measured: Values) -> tuple[str, ...]:
    return (str(measured["rows"]), str(measured["in_scope_rows"]), *(_estimate(measured[name]) for name in MEASURES))


def practice(values: Values) -> Grid:
    """Precision and review load in whole sessions; without rows if the report has none."""
    found = values.get("in_practice")
    rows = []
    if found:
        rows += [(f"precision of {label}", _estimate(value)) for label, value in found["precision"].items()]
        rows += [(f"of 100 turns {_LOAD[name]}", _estimate(found["of_100_turns"][name], 1)) for name in LOAD]
    return Grid("In practice", ("in whole sessions", "value"), rows)


def elsewhere(values: Values) -> Grid:
    """The headlines on rows of another making; without rows if there are none."""
    found = values["elsewhere"]
    metrics_ = [name for name in values["headline"] if any(name in other["headline"] for other in found.values())]
    rows = [
        (name, *(_estimate(other["headline"][name]) if name in other["headline"] else "" for other in found.values()))
        for name in metrics_
    ]
    head = [f"{name} ({other['rows']} rows, {other['in_scope_rows']} in scope)" for name, other in found.items()]
    return Grid("Elsewhere", ("metric", *head), rows)


def parity(values: Values) -> Grid:
    """How far the served form is from the network in float32; without rows if it was not held against it."""
    found = {values["split"]: values, **values["elsewhere"]}
    rows = [
        (
            f"{name}, {p['rows']} rows",
            f"{p['macro_f1']:+.4f}",
            f"{p['macro_f1_incl_none']:+.4f}",
            f"{p['decisions_changed']:.2%}",
            f"{p['largest_change']:.3f}",
            "met" if max(abs(p["macro_f1"]), abs(p["macro_f1_incl_none"])) <= MAX_DIFFERENCE else "MISSED",
        )
        for name, judged in found.items()
        if (p := judged.get("parity"))
    ]
    head = (
        "rows",
        "macro-F1",
        "macro-F1 incl. none",
        "decisions changed",
        "largest change of a score",
        f"within {MAX_DIFFERENCE}",
    )
    return Grid("Served, less the network in float32", head, rows)


def robustness(values: Values) -> Grid:
    """Each test of the robustness suite with its share and goal; without rows if the suite was not put."""
    rows = []
    for test in values.get("robustness", ()):
        low, high = test["interval"]
        share = f"{test['share']:.3f} [{low:.3f}, {high:.3f}]"
        met = "met" if test["met"] else "MISSED"
        rows.append(
            (test["kind"], test["name"], f"{test['passed']}/{test['total']}", share, f"{test['goal']:.2f}", met)
        )
    return Grid("Robustness", ("kind", "test", "passed", "share", "goal", ""), rows)


def errors(values: Values, quotes: Mapping[int, str] | None = None) -> Grid:
    """The most confident errors; `quotes` gives the words of rows, by their place, that may be quoted."""
    labels = [name for name in values["per_label"] if name != NONE]
    head = ["row", "true label", "answer", f"scores of {', '.join(labels)}; in_scope"]
    rows = [[e["id"] or f"row {e['row']}", e["true"], e["answer"], _scores(e)] for e in values["errors"]]
    if quotes is not None:
        head.append("words")
        for row, e in zip(rows, values["errors"], strict=True):
            row.append(quotes.get(e["row"], "not shown"))
    return Grid("Most confident errors", head, rows)


def _scores(error: Values) -> str:
    return " ".join(f"{score:.2f}" for score in error["scores"].values()) + f"; {error['in_scope']:.2f}"


def _estimate(value: Values, digits: int = 3) -> str:
    return Estimate(**value).text(digits)


def plain(cell: str) -> str:
    """Words as they are in Markdown, also in a cell of a table."""
    return " ".join(cell.replace("|", "\\|").replace("<", "&lt;").split())
