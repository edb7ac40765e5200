"""Rewritten graphs answer as before."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
    MPNetConfig,
    PreTrainedConfig,
    RobertaConfig,
)

from asif_data.encoding import Encoded
from asif_serve.predictor import open_session, run_session
from asif_train.export import fused
from asif_train.graph import first_token_only, spell_out_norms

SMALL = {"vocab_size": 50, "hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2, "num_labels": 3}
ROWS = [Encoded([2, *range(5, 5 + n), 3], [0] * (n + 2), False) for n in (1, 7, 20)]
CONFIGS = {
    "bert": BertConfig(**SMALL, intermediate_size=64),
    "roberta": RobertaConfig(**SMALL, intermediate_size=64),
    "mpnet": MPNetConfig(**SMALL, intermediate_size=64),
    "distilbert": DistilBertConfig(vocab_size=50, dim=32, hidden_dim=64, n_heads=4, n_layers=2, num_labels=3),
}


def network(config: PreTrainedConfig):
    torch.manual_seed(0)
    made = AutoModelForSequenceClassification.from_config(config).eval()
    with torch.no_grad():  # random heads answer all rows alike; wider weights tell them apart
        for parameter in made.parameters():
            parameter.copy_(parameter + torch.randn_like(parameter) * 0.1)
    return made


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def answers(model: onnx.ModelProto, folder: Path) -> np.ndarray:
    file = folder / "model.onnx"
    onnx.save(model, str(file))
    return run_session(open_session(file, 1), ROWS)


@pytest.mark.parametrize("name", CONFIGS)
def test_answers_stay_those_of_torch(name: str, tmp_path: Path) -> None:
    made = network(CONFIGS[name])
    with torch.no_grad():
        expected = np.concatenate([made(input_ids=torch.tensor([row.input_ids])).logits for row in ROWS])
    model = fused(made, tmp_path / "scratch.onnx")
    first_token_only(model)
    spell_out_norms(model)
    assert np.ptp(expected, axis=0).max() > 0.01
    np.testing.assert_allclose(answers(model, tmp_path), expected, atol=1e-4)
    assert not (tmp_path / "scratch.onnx").exists()


def test_padding_is_still_masked(tmp_path: Path) -> None:
    model = fused(network(CONFIGS["bert"]), tmp_path / "scratch.onnx")
    first_token_only(model)
    spell_out_norms(model)
    alone = answers(model, tmp_path)
    short = ROWS[0].input_ids
    ids = np.array([[*short, *[0] * 19], ROWS[2].input_ids])
    feed = {"input_ids": ids, "attention_mask": (ids > 0).astype(np.int64), "token_type_ids": np.zeros_like(ids)}
    [together] = open_session(tmp_path / "model.onnx", 1).run(["logits"], feed)
    np.testing.assert_allclose(np.asarray(together), alone[[0, 2]], atol=1e-5)


def test_the_last_layer_s_products_are_of_one_token(tmp_path: Path) -> None:
    model = fused(network(CONFIGS["bert"]), tmp_path / "scratch.onnx")
    first_token_only(model)
    products = [node.output[0] for node in model.graph.node if node.op_type == "MatMul"]
    for name in products:
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    onnx.save(model, str(tmp_path / "model.onnx"))
    ids = np.array([ROWS[2].input_ids])
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    found = open_session(tmp_path / "model.onnx", 1).run(products, feed)
    tokens = [np.asarray(product).shape[1] for product in found]
    assert tokens == [22] * 6 + [1, 22, 22, 1, 1, 1]


def test_a_head_that_reads_all_tokens_keeps_them(tmp_path: Path) -> None:
    model = fused(network(CONFIGS["bert"]), tmp_path / "scratch.onnx")
    last = [node.output[0] for node in model.graph.node if node.op_type == "SkipLayerNormalization"][-1]
    model.graph.node.append(onnx.helper.make_node("ReduceMean", [last], ["mean"], axes=[1]))
    model.graph.output.append(onnx.helper.make_tensor_value_info("mean", onnx.TensorProto.FLOAT, None))
    before = model.graph.SerializeToString()
    first_token_only(model)
    assert model.graph.SerializeToString() == before


def test_norms_are_spelled_out(tmp_path: Path) -> None:
    model = fused(network(CONFIGS["bert"]), tmp_path / "scratch.onnx")
    expected = answers(model, tmp_path)
    assert operators(model).count("SkipLayerNormalization") == 4
    spell_out_norms(model)
    assert "SkipLayerNormalization" not in operators(model)
    np.testing.assert_allclose(answers(model, tmp_path), expected, atol=1e-5)
