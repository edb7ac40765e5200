"""Promotion: the gate that a new model must pass to replace the one in service, the way back, and the history."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from asif_data import model_dir
from asif_data.errors import AsifError
from asif_data.model_dir import Promotion
from asif_train.compare import Comparison, compare, slice_name
from asif_train.corpus import read_corpus
from asif_train.headlines import MACRO_F1_INCL_NONE
from asif_train.metrics import Estimate
from asif_train.report import jsonable
from asif_train.tables import Grid

SPLIT = "test"
MOST_LOSS = 0.01
MOST_SLICE_LOSS = 0.05
FEWEST_SLICE_ROWS = 50


@dataclass(frozen=True)
class LargeSlice:
    """A slice with enough rows for the gate, and the difference of its accuracy incl. none, new - old."""

    name: str
    rows: int
    difference: float


@dataclass(frozen=True)
class Gate:
    """What the gate measured, and `failures`, a clause for each figure that failed; without any, it holds.

    `overall` is the difference in macro-F1 incl. none, new - old, and `lowest` the slice that lost most, None if no slice
    is large enough. Both are None where nothing could be measured.
    """

    overall: Estimate | None
    lowest: LargeSlice | None
    failures: Sequence[str]
    judged: dict[str, Any]

    @property
    def values(self) -> dict[str, Any]:
        """What the promotion log keeps."""
        return {
            **self.judged,
            MACRO_F1_INCL_NONE: self.overall and asdict(self.overall),
            "lowest_slice": self.lowest and asdict(self.lowest),
            "failures": list(self.failures),
        }

    def table(self) -> Table:
        """Each rule beside what was found, for a terminal."""
        rows = []
        if self.overall:
            found = self.overall.text(4, signed=True)
            rows.append((f"{MACRO_F1_INCL_NONE}, new - old", found, f"its lower end above -{MOST_LOSS}"))
        if self.lowest:
            found = f"{self.lowest.difference:+.4f} ({self.lowest.name}, {self.lowest.rows} rows)"
            rows.append(("accuracy incl. none of the slice that lost most", found, f"not below -{MOST_SLICE_LOSS}"))
        title = "The gate does not hold" if self.failures else "The gate holds"
        return Grid(title, ("figure", "found", "expected"), rows).rich()


def gate(comparison: Comparison) -> Gate:
    """Whether a new model may replace the old one.

    The 95 % interval of the difference in macro-F1 incl. none must exclude a loss of more than 0.01, and no slice of 50
    rows or more may lose more than 0.05 in accuracy incl. none. Slices are held to accuracy and not to macro-F1: many
    lack a label or have it in a row or two, and one answer would then move the F1 of a quarter of the marks.
    """
    values = comparison.values
    overall = Estimate(**values["headline"][MACRO_F1_INCL_NONE]["difference"])
    large = [
        LargeSlice(slice_name(found), found["rows"], found["difference"]["value"])
        for found in values["slices"]
        if found["rows"] >= FEWEST_SLICE_ROWS
    ]
    failures = [
        f"accuracy incl. none of {part.name} ({part.rows} rows) changed by {part.difference:+.4f}, expected no loss over "
        f"{MOST_SLICE_LOSS}"
        for part in large
        if part.difference < -MOST_SLICE_LOSS
    ]
    if not overall.low > -MOST_LOSS:  # so that an interval that is not defined fails as well
        found = overall.text(4, signed=True)
        failures.insert(0, f"{MACRO_F1_INCL_NONE} changed by {found}, expected the lower end above -{MOST_LOSS}")
    judged = {name: values[name] for name in ("rows", "split", "rows_sha256", "notes")}
    return Gate(overall, min(large, key=lambda part: part.difference, default=None), failures, judged)


def promote(
    models: Path,
    version: str,
    data: str | Path,
    *,
    reason: str | None = None,
    force: bool = False,
    tell: Callable[[str], None] = print,
) -> Gate | None:
    """Put a version in service if the gate holds on the test split of `data`; None where no model is in service yet.

    With `force`, which takes a reason, it goes into service also where the gate does not hold or cannot be measured.
    The directory must verify all the same. The log keeps what the gate measured. Raises AsifError.
    """
    if force and not reason:
        raise AsifError("--force: expected --reason with it, for the promotion log, found none.")
    new, old = model_dir.version_path(models, version), model_dir.current(models)
    if old is None:
        model_dir.promote(models, version, reason or "no model was in service")
        return None
    found = _measured(new, old, data, force, tell)
    if found.failures and not force:
        raise AsifError(
            f"{version} stays out of service: {'; '.join(found.failures)}. "
            "`asif-train compare` shows the rows, --force --reason TEXT promotes it anyway."
        )
    model_dir.promote(
        models, version, reason or "the gate holds", forced=bool(found.failures), gate=jsonable(found.values)
    )
    return found


def _measured(new: Path, old: Path, data: str | Path, force: bool, tell: Callable[[str], None]) -> Gate:
    try:
        corpus = read_corpus(data, model_dir.load(new).manifest.label_set)
        return gate(compare(new, old, corpus.test, split=SPLIT, corpus_sha256=corpus.sha256))
    except AsifError as error:
        if not force:
            raise
        tell(f"The gate could not be measured: {error}")
        return Gate(None, None, ["not measured"], {})


def rollback(models: Path, reason: str = "rollback") -> str:
    """Put the version in service that was there before, and return it.

    Called again, it goes one further back, like undo: a version that was rolled back from is never returned to,
    only promoted anew. The directory must verify and be the one that was promoted. Raises AsifError.
    """
    link = models / model_dir.CURRENT
    now = link.readlink().name if link.is_symlink() else None
    before = standing(model_dir.promotions(models))
    versions = [entry.version for entry in before]
    if now in versions:
        before = before[: len(versions) - 1 - versions[::-1].index(now)]
    if not before:
        raise AsifError(f"{models / model_dir.PROMOTIONS}: expected a version before {now or 'any'}, found none.")
    target = before[-1]
    found = model_dir.load(model_dir.version_path(models, target.version))
    if found.manifest_sha256 != target.manifest_sha256:
        raise AsifError(
            f"{found.path}: expected the model that was promoted on {target.time}, found another manifest; "
            "promote a version by name."
        )
    model_dir.promote(models, target.version, reason, rollback=True)
    return target.version


def standing(log: Sequence[Promotion]) -> list[Promotion]:
    """The promotions that no rollback has undone, oldest first: the last is in service, the one before it comes next."""
    stack: list[Promotion] = []
    for entry in log:
        if entry.rollback:
            while stack and stack[-1].version != entry.version:
                stack.pop()
        if not stack or stack[-1].version != entry.version:
            stack.append(entry)
    return stack


def history(models: Path) -> Table:
    """The promotion log for a terminal, oldest first."""
    in_service = model_dir.current(models)
    rows = [
        (entry.time, entry.version, entry.previous or "", _how(entry), _overall(entry.gate), entry.reason)
        for entry in model_dir.promotions(models)
    ]
    title = f"{in_service.name if in_service else 'No model'} is in service"
    return Grid(title, ("time", "version", "after", "", f"{MACRO_F1_INCL_NONE}, new - old", "reason"), rows).rich()


def _how(entry: Promotion) -> str:
    return "rolled back" if entry.rollback else "forced" if entry.forced else "promoted"


def _overall(found: dict[str, Any] | None) -> str:
    if found is None:
        return ""
    known = found.get(MACRO_F1_INCL_NONE, found.get("four-way macro-F1"))  # its name in older logs
    if not isinstance(known, dict):
        return "not measured"
    numbers: dict[str, Any] = {name: float("nan") if value is None else value for name, value in known.items()}
    return Estimate(**numbers).text(signed=True)
