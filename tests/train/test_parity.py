"""Parity: the served form against the network in float32."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

from asif_data.encoding import Utterance
from asif_data.model_dir import ONNX_FP32, load
from asif_data.rows import Row
from asif_serve.decision import decide
from asif_serve.predictor import Predictor
from asif_train.judged import Judged, judge
from asif_train.parity import parity


@pytest.fixture(scope="module")
def rows(corpus_rows: list[Row]) -> list[Row]:
    return [row for row in corpus_rows if row.split == "test"][:60]


@pytest.fixture(scope="module")
def fp32(small_model: Path) -> Predictor:
    model = load(small_model)
    [form] = [form for form in model.manifest.forms if form.file == ONNX_FP32]
    return Predictor(model, form=form)


def test_the_exported_network_answers_as_the_network_itself(fp32: Predictor, rows: list[Row]) -> None:
    found = parity(fp32, rows, judge(fp32, rows))
    assert (found["form"], found["rows"]) == (ONNX_FP32, 60)
    assert (found["macro_f1"], found["macro_f1_incl_none"], found["decisions_changed"]) == (0, 0, 0)
    assert 0 <= found["largest_change"] < 1e-4


def test_a_form_that_answers_otherwise_is_told(fp32: Predictor, rows: list[Row]) -> None:
    utterances = [Utterance(row.text, row.context) for row in rows]
    logits = fp32.logits(utterances)
    calibration = fp32.model.manifest.calibration
    turned = decide(np.roll(logits, 1, axis=1), fp32.labels, calibration)
    found = parity(fp32, rows, Judged.of(rows, turned, fp32.labels))
    gold = [fp32.labels.index(str(row.label)) for row in rows if row.label != "none"]
    inside = np.array([row.label != "none" for row in rows])
    own, other = logits[inside].argmax(1), (logits[inside].argmax(1) + 1) % 3
    expected = f1_score(gold, other, average="macro") - f1_score(gold, own, average="macro")
    assert found["macro_f1"] == pytest.approx(expected)
    answered = [d.reason != "out_of_scope" for d in turned]
    assert found["decisions_changed"] == pytest.approx(np.mean(answered))
    assert found["largest_change"] > 0.1
