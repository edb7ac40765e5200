"""What a notebook begins with: the rows and the model, how much of them, how figures look, and how an answer is shown."""

import os
from dataclasses import dataclass
from html import escape
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from cycler import cycler

from asif_data.errors import AsifError
from asif_data.model_dir import CURRENT
from asif_data.rows import Row, read_rows, row_files
from asif_data.splits import whole_groups
from asif_serve.decision import Decision
from asif_serve.explain import Explanation
from asif_train import metrics
from asif_train.cli_options import quiet
from asif_train.corpus import DEFAULT
from asif_train.figures import COLORS
from asif_train.fit import MODELS

FAST, MODEL, REAL = "ASIF_NOTEBOOK_FAST", "ASIF_NOTEBOOK_MODEL", "ASIF_REAL"
_FAST_ROWS = 240
_FAST_RESAMPLES = 50


@dataclass(frozen=True)
class Workbench:
    """Where the model is, where labelled real replies are if the reader has any, and how much to do.

    `fast` is for trying the notebooks out: few rows, few resamples, figures that mean nothing.
    """

    model: Path
    real: Path | None
    fast: bool

    @property
    def resamples(self) -> int:
        """Resamples of groups for an interval."""
        return _FAST_RESAMPLES if self.fast else metrics.RESAMPLES

    def rows(self, split: str | None = None, most: int | None = None) -> list[Row]:
        """Rows of the shipped corpus, of one split or all, in whole groups of about `most` in all; fast, never more than 240."""
        found = [row for row in read_rows(row_files(DEFAULT)) if split in (None, row.split)]
        most = min(most or len(found), _FAST_ROWS if self.fast else len(found))
        return [found[i] for i in whole_groups(found, most)]


def begin() -> Workbench:
    """Go to the root of the repository, so that a notebook runs wherever it was opened, and set the style of figures.

    Read from the environment: ASIF_NOTEBOOK_MODEL (models/current), ASIF_REAL (a file of labelled real replies), ASIF_NOTEBOOK_FAST
    (1 to try the notebooks out). Raises AsifError outside of the repository.
    """
    here = Path.cwd()
    root = next((folder for folder in (here, *here.parents) if (folder / DEFAULT).is_dir()), None)
    if root is None:
        raise AsifError(
            f"expected a notebook to run inside of the repository, which has {DEFAULT}, found no such folder."
        )
    os.chdir(root)
    quiet()
    mpl.rcParams.update(
        {
            "axes.prop_cycle": cycler(color=COLORS),
            "axes.spines.right": False,
            "axes.spines.top": False,
            "figure.dpi": 100,
            "figure.constrained_layout.use": True,
        }
    )
    pd.set_option("display.max_colwidth", None)  # a reply is shown whole
    pd.set_option("display.float_format", "{:.3f}".format)
    real = os.environ.get(REAL)
    return Workbench(
        model=Path(os.environ.get(MODEL) or MODELS / CURRENT),
        real=Path(real) if real else None,
        fast=os.environ.get(FAST, "") not in ("", "0"),
    )


def explained(row: Row, decision: Decision, explanation: Explanation) -> str:
    """A row and its answer as HTML: the words that moved the answer in bold, and each clause's own label.

    For rows of the shipped corpus: it shows what they say.
    """
    client = f"<i>Client: {escape(row.context)}</i><br>" if row.context else ""
    answer = decision.label or f"withheld, {(decision.reason or '').replace('_', ' ')}"
    scores = ", ".join(f"{label} {score:.2f}" for label, score in zip(decision.labels, decision.scores, strict=True))
    parts = "; ".join(
        f"“{escape(row.text[span.start : span.end])}” → {judged.label or 'none'}"
        for span, judged in explanation.clauses
    )
    return (
        f"<p>{client}Counselor: {_highlighted(row.text, explanation)}<br>"
        f"labelled <b>{escape(str(row.label))}</b>, answered <b>{answer}</b> ({scores}; in scope {decision.in_scope:.2f})<br>"
        f"<small>{parts}</small></p>"
    )


def _highlighted(text: str, explanation: Explanation) -> str:
    shown, end = "", 0
    for span, _ in sorted(explanation.highlights, key=lambda highlight: highlight[0].start):
        shown += f"{escape(text[end : span.start])}<b><u>{escape(text[span.start : span.end])}</u></b>"
        end = span.end
    return shown + escape(text[end:])
