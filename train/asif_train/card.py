"""The model card: what the model is for and where it fails, after Mitchell et al. (2019)."""

from collections.abc import Iterator, Mapping
from typing import Any

from huggingface_hub import ModelCardData

from asif_data.labels import CODEBOOK, CODEBOOK_VERSION
from asif_data.model_dir import Manifest, ModelDirectory
from asif_train import tables
from asif_train.base_model import PACKAGED, UPSTREAM
from asif_train.practice import SOURCE
from asif_train.slices import FEWEST_CALIBRATED

_TEXT = """---
{data}
---

# {name} {version}

Tells apart, in one counselor utterance read after the client's: {labels}; and withholds where none applies.

## Limits first

{origin}
- English only. One utterance with at most one client turn before it; longer inputs are cut at {max_tokens} tokens.
- It judges words. Tone, face and history, which decide much in a real session, are not in its input.
- Not for rating, hiring, paying or disciplining counselors, and not for decisions about clients. It is meant for a
  counselor's or supervisor's own second look at a transcript.
- The figures below are on held-out rows of the same corpus. Expect less on other conversations.{sessions}

## What it answers

{codebook_lines}

`scores` are calibrated with temperature {temperature:.3f}. `in_scope` is sigmoid({slope:.3f} x logsumexp(logits) {intercept}); below
{scope_threshold:.3f} the answer is withheld as `out_of_scope`. A highest score below {confidence_threshold:.3f} is withheld as `uncertain`.

## Evaluation

{rows} rows of the {split} split ({in_scope_rows} in scope, {groups} groups), through the served form `{form}`. Intervals: {interval}.
An interval of one point means that no resample saw another value, not that the score is certain.
Command: `asif-train evaluate{flags}` at commit `{commit}`, manifest `{manifest}`.

{sections}

## Where it comes from

Base encoder {base_model} (SHA-256 `{base_sha}`), fine-tuned at commit `{made_at}` on {train_rows} rows of corpus `{corpus}`.{taught} Recipe:

```yaml
{recipe}
```
"""

_TAUGHT = """
Where a teacher was asked about a row, {share:.0%} of its target is the teacher's answer: soft labels {name} (SHA-256 `{sha}`)."""

_SHIPPED = f"""- Trained for the codebook's labels (version {CODEBOOK_VERSION}). The corpus that comes with them is machine-written and labelled by machines that
  read the codebook: agreement between such passes is consistency with the codebook, not human agreement."""

_OWN = """- Trained for labels of its own data, not those of the codebook that asif comes with: what they mean is what those who
  labelled the rows were told. In `scores`, `in_scope` and withholding they work alike; the robustness suite and the figures for whole sessions are not for them."""

_SESSIONS = """
- Most counselor turns of a whole session are none of the labels. Of 100 turns {labelled:.0f} would get a label, {wrong:.0f} of these a wrong one
  (below, "In whole sessions")."""

_PRACTICE = """How often each mark occurs decides how many answers are right. This table weighs the same answers by how often it occurs in whole sessions:
{source}. It assumes that turns of one mark are as easy to tell there as here. The intervals take the mix as given; yet none in 263
is compatible with about 1 % of over-identification, at which its precision would be about twice as high."""

_ELSEWHERE = """The same headlines on labelled rows of another making, which no part of training or calibration saw. Whoever developed the model may
have looked at its errors there: then they are a development set, and fresh rows would score lower."""

_PARITY = """The served form against the fine-tuned network in float32, on the same rows: differences of the scores above, and how many answers differ."""

_CALIBRATION = """ECE and Brier score of a finite sample are above zero even where every score is true. The limit is what perfectly calibrated scores of as
many rows exceed one time in twenty, so of many rows of this table some exceed it by chance. Each cell is the value and whether it is within
that limit: for `scores` over all rows in scope, for `in_scope` over all rows, then for registers and lengths (words of the utterance) with at
least {fewest} rows in scope.

![Reliability](figures/reliability.png)"""

_SLICES = """Macro-F1 is over the labels that occur in a slice. Accuracy incl. none counts none as one more answer.

![Slices](figures/slices.png)"""

_TOPICS = """Of the topics with at least {fewest} rows, those with the lowest accuracy incl. none. The lowest of many are low partly by chance: read the intervals."""

_ROBUSTNESS = """Items that are in no corpus. Functionality: is the answer right? Invariance: does it stay where only spelling, fillers, names or the
client's wording change? Direction: does the label's probability rise by 0.05 where it must? Intervals: Wilson, over items."""

_BASELINES = """Each baseline on the same rows. How far the model is ahead is resampled in pairs; where the interval holds 0, it may not be."""

_ERRORS = """Not withheld, and wrong. Words are given for rows of the shipped corpus alone."""


def card(model: ModelDirectory, report: dict[str, Any], quotes: Mapping[int, str]) -> str:
    """The card's Markdown with Hugging Face metadata, from the manifest and the report's values.

    `quotes` holds the words of those errors that may be quoted, by the row's place.
    """
    m = model.manifest
    c = m.calibration
    data = ModelCardData(
        language="en",
        license="apache-2.0",
        library_name="transformers",
        pipeline_tag="text-classification",
        base_model=UPSTREAM if m.base_model == PACKAGED else m.base_model,
        tags=["counseling", "empathy"],
    )
    return _TEXT.format(
        data=data.to_yaml(),
        name=m.name,
        version=m.version,
        labels=", ".join(map(tables.plain, m.labels)),
        origin=_SHIPPED if m.label_set == CODEBOOK else _OWN,
        max_tokens=m.max_tokens,
        codebook_lines="\n".join(
            f"- **{tables.plain(label)}**: {tables.plain(m.codebook.get(label, 'without a line of its own.'))}"
            for label in m.labels
        ),
        temperature=c.temperature,
        slope=c.scope.slope,
        intercept=f"{'-' if c.scope.intercept < 0 else '+'} {abs(c.scope.intercept):.3f}",
        scope_threshold=c.scope_threshold,
        confidence_threshold=c.confidence_threshold,
        rows=report["rows"],
        split=report["split"],
        in_scope_rows=report["in_scope_rows"],
        groups=report["groups"],
        form=report["form"],
        interval=report["interval"],
        flags=_flags(report),
        commit=report["git_commit"],
        made_at=m.git_commit,
        manifest=model.manifest_sha256[:12],
        sessions=_sessions(report),
        sections="\n\n".join(_sections(report, quotes)),
        base_model=m.base_model,
        base_sha=m.base_model_sha256[:12],
        train_rows=min(m.corpus_rows["train"], m.recipe["rows"] or m.corpus_rows["train"]),
        corpus=m.corpus_sha256[:12],
        taught=_taught(m),
        recipe="\n".join(f"{k}: {'null' if v is None else v}" for k, v in m.recipe.items()),
    )


def _taught(manifest: Manifest) -> str:
    if manifest.soft_labels_sha256 is None:
        return ""
    recipe = manifest.recipe
    return _TAUGHT.format(
        share=recipe["soft_share"], name=tables.plain(recipe["soft_labels"]), sha=manifest.soft_labels_sha256[:12]
    )


def _flags(report: dict[str, Any]) -> str:
    split = "" if report["split"] == "test" else f" --split {report['split']}"
    return split + "".join(f" --on {name}=ROWS" for name in report.get("elsewhere", {}))


def _sessions(report: dict[str, Any]) -> str:
    if "in_practice" not in report:
        return ""
    load = report["in_practice"]["of_100_turns"]
    return _SESSIONS.format(labelled=load["labelled"]["value"], wrong=load["wrong"]["value"])


def _sections(report: dict[str, Any], quotes: Mapping[int, str]) -> Iterator[str]:
    """The parts of the evaluation that this report has: a heading, what the table tells, and the table."""
    yield tables.metrics(report).markdown()
    yield tables.per_label(report).markdown()
    yield "![Confusion](figures/confusion.png)\n![Risk and coverage](figures/risk_coverage.png)"
    parts = (
        ("Elsewhere", _ELSEWHERE, tables.elsewhere(report)),
        ("In whole sessions", _PRACTICE.format(source=SOURCE), tables.practice(report)),
        ("Calibration", _CALIBRATION.format(fewest=FEWEST_CALIBRATED), tables.calibration(report)),
        ("Where it does better and worse", _SLICES, tables.slices(report)),
        ("The topics it finds hardest", _TOPICS.format(fewest=tables.FEWEST_OF_A_TOPIC), tables.lowest_topics(report)),
        ("Robustness", _ROBUSTNESS, tables.robustness(report)),
        ("Served as trained", _PARITY, tables.parity(report)),
        ("Ahead of the baselines", _BASELINES, tables.differences(report)),
        ("Its most confident errors", _ERRORS, tables.errors(report, quotes)),
    )
    for heading, told, grid in parts:
        if grid.rows:
            yield f"### {heading}\n\n{told}\n\n{grid.markdown()}"
