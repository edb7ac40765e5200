"""Products of integers: near float32, outliers included."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from transformers import AutoModelForSequenceClassification, BertConfig

from asif_data.encoding import Encoded
from asif_serve.predictor import open_session, run_session
from asif_train import quantization
from asif_train.export import fused
from asif_train.graph import first_token_only, spell_out_norms
from asif_train.quantization import quantize


def some_rows(seed: int) -> list[Encoded]:
    numbers = np.random.default_rng(seed)
    lengths = numbers.integers(4, 30, 40)
    return [Encoded([2, *numbers.integers(5, 50, n).tolist(), 3], [0] * (n + 2), False) for n in lengths]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    """A small network in which, as in trained ones, single channels reach far further than the others."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50, hidden_size=64, num_attention_heads=4, num_hidden_layers=2, intermediate_size=128, num_labels=3
    )
    network = AutoModelForSequenceClassification.from_config(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
        for layer in network.bert.encoder.layer:
            layer.attention.output.LayerNorm.weight[7] = 40.0
    made = fused(network, tmp_path_factory.mktemp("graph") / "scratch.onnx")
    first_token_only(made)
    return made


def error(model: onnx.ModelProto, folder: Path) -> float:
    """The root mean square by which the integers move logits, in their own standard deviations."""
    integers = onnx.ModelProto()
    integers.CopyFrom(model)
    quantize(integers, some_rows(0), folder / "scratch.onnx")
    assert not (folder / "scratch.onnx").exists()
    logits = []
    for form in (model, integers):
        spelled = onnx.ModelProto()
        spelled.CopyFrom(form)
        spell_out_norms(spelled)
        onnx.save(spelled, str(folder / "model.onnx"))
        logits.append(run_session(open_session(folder / "model.onnx", 1), some_rows(1)))
    expected, found = logits
    assert expected.std(axis=0).min() > 0.01
    return float(np.sqrt(((found - expected) ** 2).mean()) / expected.std(axis=0).mean())


def test_answers_stay_near(model: onnx.ModelProto, tmp_path: Path) -> None:
    assert error(model, tmp_path) < 0.05


def test_outliers_kept_apart_are_what_keeps_them_near(
    model: onnx.ModelProto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_apart = error(model, tmp_path)
    monkeypatch.setattr(quantization, "_OUTLIER", np.inf)
    monkeypatch.setattr(quantization, "_SMOOTHING", 0.0)
    assert error(model, tmp_path) > 2 * kept_apart


def test_every_product_with_weights_is_of_integers(model: onnx.ModelProto, tmp_path: Path) -> None:
    integers = onnx.ModelProto()
    integers.CopyFrom(model)
    quantize(integers, some_rows(0), tmp_path / "scratch.onnx")
    operators = [node.op_type for node in integers.graph.node]
    assert operators.count("MatMulIntegerToFloat") == 12
    weights = {tensor.name: tensor for tensor in integers.graph.initializer}
    wide = [
        weights[node.input[1]].dims
        for node in integers.graph.node
        if node.op_type == "MatMul" and node.input[1] in weights
    ]
    assert wide and all(rows <= 8 for rows, _ in wide)  # what is left are the few channels kept apart


def test_the_same_rows_give_the_same_file(model: onnx.ModelProto, tmp_path: Path) -> None:
    files = []
    for _ in range(2):
        integers = onnx.ModelProto()
        integers.CopyFrom(model)
        quantize(integers, some_rows(0), tmp_path / "scratch.onnx")
        files.append(integers.SerializeToString())
    assert files[0] == files[1]
