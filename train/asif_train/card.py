"""The model card: what the model is for and where it fails, after Mitchell et al. (2019)."""

from typing import Any

from huggingface_hub import ModelCardData

from asif_data.labels import CODEBOOK_LINES, CODEBOOK_VERSION
from asif_data.model_dir import ModelDirectory
from asif_train.base_model import PACKAGED, UPSTREAM
from asif_train.metrics import Estimate

_TEXT = """---
{data}
---

# {name} {version}

Tells apart, in one counselor utterance read after the client's: {labels}; and withholds where none applies.

## Limits first

- Trained on machine-written utterances, labelled by machines that read a codebook (version {codebook}). Agreement between such passes is
  consistency with the codebook, not human agreement.
- English only. One utterance with at most one client turn before it; longer inputs are cut at {max_tokens} tokens.
- It judges words. Tone, face and history, which decide much in a real session, are not in its input.
- Not for rating, hiring, paying or disciplining counselors, and not for decisions about clients. It is meant for a
  counselor's or supervisor's own second look at a transcript.
- The figures below are on held-out rows of the same corpus. Expect less on other conversations.

## What it answers

{codebook_lines}

`scores` are calibrated with temperature {temperature:.3f}. `in_scope` is sigmoid({slope:.3f} x logsumexp(logits) + {intercept:.3f}); below
{scope_threshold:.3f} the answer is withheld as `out_of_scope`. A highest score below {confidence_threshold:.3f} is withheld as `uncertain`.

## Evaluation

{rows} rows of the {split} split ({in_scope_rows} in scope, {groups} groups), through the served form `{form}`. Intervals: {interval}.
Command: `asif-train evaluate`, commit `{commit}`, manifest `{manifest}`.

| metric | value |
|---|---|
{headline}

| label | precision | recall | F1 | rows |
|---|---|---|---|---|
{per_label}

| macro-F1 on the same rows | value |
|---|---|
{baselines}

![Confusion](figures/confusion.png)
![Reliability](figures/reliability.png)
![Risk and coverage](figures/risk_coverage.png)

## Where it comes from

Base encoder {base_model} (SHA-256 `{base_sha}`), fine-tuned on {train_rows} rows of corpus `{corpus}`, recipe:

```yaml
{recipe}
```
"""


def card(model: ModelDirectory, report: dict[str, Any]) -> str:
    """The card's Markdown with Hugging Face metadata, from the manifest and the report's values."""
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
        labels=", ".join(m.labels),
        codebook=CODEBOOK_VERSION,
        max_tokens=m.max_tokens,
        codebook_lines="\n".join(
            f"- **{label}**: {CODEBOOK_LINES.get(label, 'a label of its own data.')}" for label in m.labels
        ),
        temperature=c.temperature,
        slope=c.scope.slope,
        intercept=c.scope.intercept,
        scope_threshold=c.scope_threshold,
        confidence_threshold=c.confidence_threshold,
        rows=report["rows"],
        split=report["split"],
        in_scope_rows=report["in_scope_rows"],
        groups=report["groups"],
        form=report["form"],
        interval=report["interval"],
        commit=report["git_commit"],
        manifest=model.manifest_sha256[:12],
        headline="\n".join(f"| {name} | {Estimate(**value)} |" for name, value in report["headline"].items()),
        per_label="\n".join(
            f"| {label} | {v['precision']:.3f} | {v['recall']:.3f} | {v['f1']:.3f} | {v['rows']} |"
            for label, v in report["per_label"].items()
        ),
        baselines="\n".join(
            f"| {b['name']}{', client turn alone' if b['client_only'] else ''} | {Estimate(**b['macro-F1'])} |"
            for b in report["baselines"]
        ),
        base_model=m.base_model,
        base_sha=m.base_model_sha256[:12],
        train_rows=min(m.corpus_rows["train"], m.recipe["rows"] or m.corpus_rows["train"]),
        corpus=m.corpus_sha256[:12],
        recipe="\n".join(f"{k}: {v}" for k, v in m.recipe.items()),
    )
