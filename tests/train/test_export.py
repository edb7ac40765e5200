"""Export and the parity gate."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoModelForSequenceClassification

from asif_data import model_dir
from asif_data.encoding import InputEncoder, Utterance
from asif_data.errors import AsifError
from asif_data.model_dir import ONNX_FP32, ONNX_INT8
from asif_data.rows import Row
from asif_serve.predictor import open_session, run_session
from asif_train.dataset import targets
from asif_train.export import export, gate
from asif_train.finetune import torch_logits


@pytest.fixture
def parts(small_model: Path, corpus_rows: list[Row], tmp_path: Path):
    """A copy of the small model's folder with both forms, validation rows, and torch's logits for them."""
    folder = tmp_path / "model"
    shutil.copytree(small_model, folder)
    model = model_dir.load(small_model)
    shutil.copy(folder / "onnx/model.onnx", folder / "onnx/model_int8.onnx")
    rows = [row for row in corpus_rows if row.split == "validation"][:60]
    encoder = InputEncoder(folder / "tokenizer.json", model.manifest.max_tokens)
    network = AutoModelForSequenceClassification.from_pretrained(folder)
    logits = torch_logits(network, encoder, rows).numpy()
    labels = tuple(model.manifest.labels)
    return folder, encoder, rows, np.array(targets(rows, labels)), logits, labels, model.manifest.calibration


def test_the_served_model_answers_as_torch_does(parts) -> None:
    kept, refused = gate(*parts)
    assert [form.file for form in kept] == ["onnx/model.onnx", "onnx/model_int8.onnx"]
    assert refused == []
    assert kept[0].decisions_changed == 0.0
    assert kept[0].rows == 60


def test_both_forms_of_an_export_answer_as_torch_does(parts, corpus_rows: list[Row], tmp_path: Path) -> None:
    folder, encoder, rows, _, expected, *_ = parts
    network = AutoModelForSequenceClassification.from_pretrained(folder)
    export(network, tmp_path / "fresh", encoder, [row for row in corpus_rows if row.split == "train"][:60])
    assert sorted(file.name for file in (tmp_path / "fresh/onnx").iterdir()) == ["model.onnx", "model_int8.onnx"]
    encoded = encoder([Utterance(row.text, row.context) for row in rows])
    fp32, int8 = (run_session(open_session(tmp_path / "fresh" / form, 1), encoded) for form in (ONNX_FP32, ONNX_INT8))
    np.testing.assert_allclose(fp32, expected, atol=1e-4)
    assert 0 < np.sqrt(((int8 - expected) ** 2).mean()) < 0.1 * expected.std()


def test_a_form_that_changes_decisions_is_refused_and_deleted(parts) -> None:
    folder = parts[0]
    _negate(folder / "onnx/model_int8.onnx")
    kept, refused = gate(*parts)
    assert [form.precision for form in kept] == ["fp32"]
    assert [form.precision for form in refused] == ["int8"]
    assert refused[0].decisions_changed > 0.005
    assert not (folder / "onnx/model_int8.onnx").exists()


def test_a_wrong_export_publishes_nothing(parts) -> None:
    _negate(parts[0] / "onnx/model.onnx")
    with pytest.raises(AsifError, match="nothing was published"):
        gate(*parts)


def _negate(file: Path) -> None:
    """Make a graph answer the opposite: its last node's result is negated."""
    import onnx

    model = onnx.load(str(file))
    producer = next(node for node in model.graph.node if "logits" in node.output)
    producer.output[0] = "kept"
    model.graph.node.append(onnx.helper.make_node("Neg", ["kept"], ["logits"]))
    onnx.save(model, str(file))
