import json
import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from asif_data.encoding import Utterance
from asif_data.errors import AsifError
from asif_data.model_dir import ONNX_FP32, load
from asif_serve.decision import decide
from asif_serve.predictor import Predictor, fastest, load_predictor, open_session

ROWS = [
    Utterance("It sounds like you felt utterly abandoned.", "He left without a word."),
    Utterance("I am so sorry for your loss, how terrible.", "My mother died last week."),
    Utterance("The same happened to me and I never got over it.", "They let me go after ten years."),
    Utterance("How many hours do you sleep?", "I am tired all the time."),
    Utterance("Part of you wants to leave, and part of you can't bear the thought."),
    Utterance("Don't worry, everything will be fine."),
    Utterance("When my father died I was just as angry as you are, we both know that rage.", "I hate him for dying."),
    Utterance("Mm-hm."),
    Utterance("Poor thing, that is heartbreaking to hear.", "Nobody came to my birthday."),
    Utterance("You kept smiling while inside you were falling apart.", "I told them I was okay."),
    Utterance("Let us meet again on Tuesday at three.", ""),
    Utterance("I know exactly how that feels, I was left at the altar too.", "He called the wedding off."),
]


def scores_of(decisions):
    return np.array([decision.scores for decision in decisions])


def test_every_row_gets_a_decision_over_the_manifest_s_labels(small_predictor):
    found = small_predictor(ROWS)
    assert len(found) == len(ROWS)
    for decision in found:
        assert decision.labels == tuple(small_predictor.model.manifest.labels)
        assert sum(decision.scores) == pytest.approx(1)


def test_no_rows_are_no_decisions(small_predictor):
    assert small_predictor([]) == []
    assert small_predictor.logits([]).shape == (0, 3)


def test_a_row_s_answer_does_not_depend_on_the_others(small_predictor):
    together = scores_of(small_predictor(ROWS))
    alone = scores_of([small_predictor([row])[0] for row in ROWS])
    backwards = scores_of(small_predictor(ROWS[::-1]))[::-1]
    beside_long_ones = scores_of(small_predictor([r for row in ROWS for r in (row, Utterance("word " * 300))]))[::2]
    for other in (alone, backwards, beside_long_ones):
        np.testing.assert_allclose(together, other, atol=1e-6)


def test_threads_may_ask_at_once(small_predictor):
    expected = small_predictor(ROWS)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(small_predictor, [ROWS] * 8)) == [expected] * 8


def test_threads_inside_a_run_change_nothing(small_model, small_predictor):
    wide = Predictor(load(small_model), threads=2)
    np.testing.assert_allclose(scores_of(wide(ROWS)), scores_of(small_predictor(ROWS)), atol=1e-6)


def test_a_call_encodes_runs_and_decides(small_predictor):
    manifest = small_predictor.model.manifest
    decisions = small_predictor(ROWS)
    assert small_predictor.decide(small_predictor.encoder(ROWS)) == decisions
    logits = small_predictor.logits(ROWS)
    assert (logits.dtype, logits.shape) == (np.float32, (len(ROWS), 3))
    assert decide(logits, small_predictor.labels, manifest.calibration) == decisions


def test_the_context_is_read(small_predictor):
    one, other = small_predictor([ROWS[0], Utterance(ROWS[0].text, "What a lovely day at the sea.")])
    assert one.scores != other.scores


def test_long_rows_are_cut_and_answered(small_predictor):
    long = Utterance("word " * 5000, "before " * 5000)
    [encoded] = small_predictor.encoder([long])
    assert encoded.truncated and len(encoded) == small_predictor.model.manifest.max_tokens
    assert len(small_predictor([long])) == 1


@pytest.fixture(scope="module")
def fp32(small_model):
    model = load(small_model)
    [form] = [form for form in model.manifest.forms if form.precision == "fp32"]
    assert form.file == ONNX_FP32
    return Predictor(model, form=form)


@pytest.fixture(scope="module")
def pipeline_scores(small_model):
    """What transformers says of the rows with the same directory, by label."""
    import transformers

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        classify = transformers.pipeline("text-classification", model=str(small_model), top_k=None, device="cpu")
        inputs = [{"text": row.text, "text_pair": row.context} if row.context else {"text": row.text} for row in ROWS]
        return [{one["label"]: one["score"] for one in classify(row)} for row in inputs]


def test_transformers_agrees_on_the_best_label(fp32, pipeline_scores):
    expected = [max(scores, key=scores.get) for scores in pipeline_scores]
    assert [decision.best for decision in fp32(ROWS)] == expected
    assert len(set(expected)) > 1


def test_transformers_agrees_on_probabilities_before_calibration(fp32, pipeline_scores):
    calibrated = scores_of(fp32(ROWS)) ** fp32.model.manifest.calibration.temperature
    found = calibrated / calibrated.sum(axis=1, keepdims=True)
    expected = [[scores[label] for label in fp32.labels] for scores in pipeline_scores]
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_the_fastest_form_is_served(small_model, small_predictor):
    model = load(small_model)
    assert small_predictor.form == fastest(model)
    form = model.manifest.forms[0]
    slow, fast = (form.model_copy(update={"rows_per_second": speed}) for speed in (1, 2))
    several = replace(model, manifest=model.manifest.model_copy(update={"forms": [slow, fast, slow]}))
    assert fastest(several) == fast


@pytest.mark.parametrize(
    ("machine", "processor", "served"),
    [
        ("x86_64", "flags : avx2 avx512_vnni", "int8"),
        ("x86_64", "flags : avx2 avx_vnni", "int8"),
        ("AMD64", None, "fp32"),
        ("x86_64", "flags : avx2 avx512f", "fp32"),
        ("aarch64", None, "int8"),
    ],
)
def test_float32_serves_where_integers_would_saturate(small_model, tmp_path, monkeypatch, machine, processor, served):
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("asif_serve.predictor._PROCESSOR", tmp_path / "cpuinfo")
    if processor:
        (tmp_path / "cpuinfo").write_text(processor)
    model = load(small_model)
    form = model.manifest.forms[0]
    slow = form.model_copy(update={"precision": "fp32", "rows_per_second": 1})
    fast = form.model_copy(update={"precision": "int8", "rows_per_second": 2})
    both, only = (
        replace(model, manifest=model.manifest.model_copy(update={"forms": forms})) for forms in ([slow, fast], [fast])
    )
    assert fastest(both).precision == served
    assert fastest(only).precision == "int8"  # better than nothing


def test_a_missing_directory_is_refused(tmp_path):
    with pytest.raises(AsifError, match=r"nowhere: expected a model directory"):
        load_predictor(tmp_path / "nowhere")


def test_a_file_that_is_no_onnx_model_is_named(tmp_path):
    file = tmp_path / "model.onnx"
    file.write_bytes(b"nothing of the kind")
    with pytest.raises(AsifError, match=r"model\.onnx: expected an ONNX model that can run here"):
        open_session(file, 1)


def test_a_model_with_another_number_of_labels_is_refused(small_model):
    model = load(small_model)
    fewer = replace(model, manifest=model.manifest.model_copy(update={"labels": ["a", "b"]}))
    with pytest.raises(AsifError, match="expected one logit for each of 2 labels"):
        Predictor(fewer)


WITHOUT = """
import json, sys

BLOCKED = {"torch", "transformers", "datasets", "accelerate"}

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"blocked: {name}", name=name)

sys.meta_path.insert(0, Blocker())

from asif_serve.app import create_app
from asif_serve.predictor import load_predictor
from asif_serve.settings import Settings
from fastapi.testclient import TestClient

with TestClient(create_app(Settings(), load_predictor(sys.argv[1]))) as client:
    answer = client.post("/v1/classify", json=json.loads(sys.argv[2]))
assert not BLOCKED & sys.modules.keys()
print(answer.text)
"""


def test_answering_needs_no_torch(small_model, small_client):
    body = {"utterances": [{"text": row.text, "context": row.context} for row in ROWS], "explain": True}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(small_model), json.dumps(body)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    found, expected = json.loads(done.stdout), small_client.post("/v1/classify", json=body).json()
    assert found["model"] == expected["model"]
    assert [r["label"] for r in found["results"]] == [r["label"] for r in expected["results"]]
    for one, other in zip(found["results"], expected["results"], strict=True):
        assert one["scores"] == pytest.approx(other["scores"], abs=1e-6)


@pytest.mark.parametrize("first", ["asif_serve", "asif_train"])
def test_onnx_runtime_reports_to_no_one(small_model, tmp_path, first):
    """Its wheels keep an id of the device and what they will send in the user's cache or among temporary files, unless told not to."""
    code = f"import {first}; from asif_serve.predictor import load_predictor; load_predictor({str(small_model)!r})"
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "TMPDIR": str(tmp_path)}
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run([sys.executable, "-c", code], env=environment | home, check=True, timeout=120)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
