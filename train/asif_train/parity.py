"""Parity: does the served form answer as the fine-tuned network itself does in float32?"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from transformers import AutoModelForSequenceClassification

from asif_data.rows import Row
from asif_serve.decision import decide
from asif_serve.predictor import Predictor
from asif_train.finetune import torch_logits
from asif_train.judged import Judged
from asif_train.metrics import macro_f1

MAX_DIFFERENCE = 0.005


def parity(predictor: Predictor, rows: Sequence[Row], served: Judged) -> dict[str, Any]:
    """How far the `served` answers to labelled rows are from those of torch in float32 on the same weights.

    `macro_f1` and `macro_f1_incl_none`: served less torch, in -1..1. `decisions_changed`: share of rows with another
    answer, in 0..1. `largest_change`: of any score, in 0..1.
    """
    network = AutoModelForSequenceClassification.from_pretrained(predictor.model.path)
    logits = torch_logits(network, predictor.encoder, rows).numpy()
    own = decide(logits, predictor.labels, predictor.model.manifest.calibration)
    expected = Judged.of(rows, own, predictor.labels)
    changed = (expected.answers != served.answers) | (expected.uncertain != served.uncertain)
    return {
        "form": predictor.form.file,
        "rows": len(rows),
        "macro_f1": _in_scope(served) - _in_scope(expected),
        "macro_f1_incl_none": _incl_none(served) - _incl_none(expected),
        "decisions_changed": float(changed.mean()),
        "largest_change": float(np.abs(expected.scores - served.scores).max()),
    }


def _in_scope(judged: Judged) -> float:
    inside = judged.inside
    return macro_f1(judged.gold[inside], judged.scores[inside].argmax(1), len(judged.labels))


def _incl_none(judged: Judged) -> float:
    return macro_f1(judged.gold, judged.answers, len(judged.labels) + 1)
