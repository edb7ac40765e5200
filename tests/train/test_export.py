"""Export and the parity gate."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoModelForSequenceClassification

from asif_data import model_dir
from asif_data.encoding import InputEncoder
from asif_data.errors import AsifError
from asif_data.rows import Row
from asif_train.dataset import targets
from asif_train.export import gate
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
