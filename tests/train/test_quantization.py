"""Products of integers: near float32, outliers included."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from asif_data.encoding import Encoded
from asif_serve.predictor import open_session, run_session
from asif_train import quantization
from asif_train.quantization import quantize

CHANNELS = 64


def some_rows(seed: int) -> list[Encoded]:
    numbers = np.random.default_rng(seed)
    return [Encoded(numbers.integers(0, 50, n).tolist(), [0] * n, False) for n in numbers.integers(4, 30, 40)]


@pytest.fixture
def model() -> onnx.ModelProto:
    """Embeddings, two products that read them, and the mean of each; as in trained networks, one channel reaches far."""
    numbers = np.random.default_rng(0)
    table = numbers.normal(size=(50, CHANNELS))
    table[:, 7] *= 30
    constants = {"table": table, "one": numbers.normal(size=(CHANNELS, 2)), "other": numbers.normal(size=(CHANNELS, 3))}
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["embedded"]),
        helper.make_node("MatMul", ["embedded", "one"], ["one_out"]),
        helper.make_node("MatMul", ["embedded", "other"], ["other_out"]),
        helper.make_node("Concat", ["one_out", "other_out"], ["both"], axis=-1),
        helper.make_node("ReduceMean", ["both"], ["logits"], axes=[1], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["rows", "tokens"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def integers(model: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    quantised = onnx.ModelProto()
    quantised.CopyFrom(model)
    quantize(quantised, some_rows(0), folder / "scratch.onnx")
    assert not (folder / "scratch.onnx").exists()
    return quantised


def answers(model: onnx.ModelProto, folder: Path) -> np.ndarray:
    onnx.save(model, str(folder / "model.onnx"))
    return run_session(open_session(folder / "model.onnx", 1), some_rows(1))


def error(model: onnx.ModelProto, folder: Path) -> float:
    """Root mean square of what integers change."""
    return float(np.sqrt(((answers(integers(model, folder), folder) - answers(model, folder)) ** 2).mean()))


def test_answers_stay_near(model: onnx.ModelProto, tmp_path: Path) -> None:
    assert error(model, tmp_path) < 0.01 * answers(model, tmp_path).std()


def test_outliers_kept_apart_are_what_keeps_them_near(
    model: onnx.ModelProto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_apart = error(model, tmp_path)
    monkeypatch.setattr(quantization, "_OUTLIER", np.inf)
    smoothed = error(model, tmp_path)
    monkeypatch.setattr(quantization, "_SMOOTHING", 0.0)
    plain = error(model, tmp_path)
    assert plain > 1.5 * smoothed > 3 * kept_apart


def test_every_product_with_weights_is_of_integers(model: onnx.ModelProto, tmp_path: Path) -> None:
    graph = integers(model, tmp_path).graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("DynamicQuantizeLinear") == 1  # both products read the same activation
    assert kinds.count("MatMulIntegerToFloat") == 2
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    apart = [shapes[node.input[1]] for node in graph.node if node.op_type == "MatMul"]
    assert apart == [(1, 2), (1, 3)]  # the one channel that is an outlier


def test_the_same_rows_give_the_same_file(model: onnx.ModelProto, tmp_path: Path) -> None:
    one, other = (integers(model, tmp_path).SerializeToString() for _ in range(2))
    assert one == other


def test_channels_that_are_never_used_are_no_trouble(model: onnx.ModelProto, tmp_path: Path) -> None:
    [table] = [tensor for tensor in model.graph.initializer if tensor.name == "table"]
    values = numpy_helper.to_array(table).copy()
    values[:, :10] = 0
    table.CopyFrom(numpy_helper.from_array(values, "table"))
    assert np.isfinite(answers(integers(model, tmp_path), tmp_path)).all()
    assert error(model, tmp_path) < 0.01 * answers(model, tmp_path).std()
