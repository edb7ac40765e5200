"""Eight-bit integers for the weights and activations of an ONNX graph, so that decisions stay."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper

from asif_data.encoding import Encoded
from asif_serve.predictor import feed, open_session
from asif_train.graph import CONTRIB, Graph

# How much of the spread between channels moves from activations to weights, 0..1 (the paper's alpha).
_SMOOTHING = 0.75
_LEVELS = 127
_TINY = 1e-6
# Behind these every token has much the same range; elsewhere each is scaled by its own.
_NORMED = {"EmbedLayerNormalization", "LayerNormalization", "SkipLayerNormalization", "Slice"}


@dataclass
class _Channels:
    """Of each channel of an activation over all tokens seen: the largest magnitude, and the mean."""

    largest: np.ndarray
    mean: np.ndarray


def quantize(model: onnx.ModelProto, rows: Sequence[Encoded], scratch: Path) -> None:
    """Make each product of an activation with a weight matrix one of integers, in place.

    - Channels with outliers are scaled down and their weights up (SmoothQuant, Xiao et al. 2023).
    - Weights have a scale for each column, symmetric; activations one for the row at hand, found while it runs.
    - Behind attention and activation functions, where tokens differ most, each token is first scaled by its maximum.
    - What rounding the weights adds to a product on average is taken off again (Nagel et al. 2019).

    `rows` show how large activations become; `scratch` is a file that may be written meanwhile.
    """
    graph = Graph(model)
    products = [node for node in graph.nodes if _is_product(node, graph)]
    seen = _observe(model, list(dict.fromkeys(node.input[0] for node in products)), rows, scratch)
    readers: dict[str, list[NodeProto]] = {}
    for node in products:
        readers.setdefault(node.input[0], []).append(node)
    nodes: list[NodeProto] = []
    for node in graph.nodes:
        name = node.input[0] if node.input else ""
        if node in readers.get(name, ()):
            if node is readers[name][0]:
                nodes += _replacement(graph, name, readers[name], seen[name])
        else:
            nodes.append(node)
    graph.replace(nodes)


def _is_product(node: NodeProto, graph: Graph) -> bool:
    return (
        node.op_type == "MatMul" and node.input[0] in graph.producer and np.ndim(graph.constants.get(node.input[1])) == 2
    )


def _observe(
    model: onnx.ModelProto, names: Sequence[str], rows: Sequence[Encoded], scratch: Path
) -> dict[str, _Channels]:
    """Run the model on `rows` and watch the activations called `names`."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    onnx.save(watched, str(scratch))
    session = open_session(scratch, threads=1)
    scratch.unlink()
    inputs = {node.name for node in session.get_inputs()}
    largest, total, tokens = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0), dict.fromkeys(names, 0)
    for row in rows:
        for name, found in zip(names, session.run(names, feed(row, inputs)), strict=True):
            values = np.asarray(found)[0]
            largest[name] = np.maximum(largest[name], np.abs(values).max(axis=0))
            total[name] += values.sum(axis=0)
            tokens[name] += len(values)
    return {name: _Channels(np.asarray(largest[name]), total[name] / tokens[name]) for name in names}


def _replacement(graph: Graph, name: str, products: Sequence[NodeProto], channels: _Channels) -> Iterator[NodeProto]:
    """What stands for the products that read the activation `name`: it is quantised once for all of them."""
    weights = [graph.constants[node.input[1]] for node in products]
    heaviest = np.max([np.abs(weight).max(axis=1) for weight in weights], axis=0)
    smooth = np.maximum(channels.largest, _TINY) ** _SMOOTHING / np.maximum(heaviest, _TINY) ** (1 - _SMOOTHING)
    scaled = f"{name}_smooth"
    yield helper.make_node("Mul", [name, graph.constant(f"{name}_per_channel", 1 / smooth)], [scaled])
    token = None
    if graph.producer[name].op_type not in _NORMED:
        token = f"{name}_token"
        yield from _by_token(graph, scaled, token)
        scaled = f"{token}_scaled"
    parts = tuple(f"{name}_{part}" for part in ("int8", "scale", "zero"))
    yield helper.make_node("DynamicQuantizeLinear", [scaled], parts)
    for node, weight in zip(products, weights, strict=True):
        yield from _product(graph, node, weight * smooth[:, None], channels.mean / smooth, parts, token)


def _by_token(graph: Graph, name: str, token: str) -> Iterator[NodeProto]:
    """Divide each token by its largest magnitude, which is called `token`."""
    yield helper.make_node("Abs", [name], [f"{token}_abs"])
    yield helper.make_node("ReduceMax", [f"{token}_abs"], [f"{token}_max"], axes=[-1])
    yield helper.make_node("Max", [f"{token}_max", graph.constant(f"{token}_tiny", _TINY)], [token])
    yield helper.make_node("Div", [name, token], [f"{token}_scaled"])


def _product(
    graph: Graph, node: NodeProto, weight: np.ndarray, mean: np.ndarray, parts: tuple[str, ...], token: str | None
) -> Iterator[NodeProto]:
    [out] = node.output
    scale = np.maximum(np.abs(weight).max(axis=0), _TINY) / _LEVELS
    rounded = np.rint(weight / scale)
    quantised, activation_scale, activation_zero = parts
    zeros = graph.constant(f"{out}_zeros", np.zeros(len(scale)), np.int8)
    bias = graph.constant(f"{out}_bias", mean @ (weight - rounded * scale))
    inputs = [
        quantised,
        graph.constant(f"{out}_weight", rounded, np.int8),
        activation_scale,
        graph.constant(f"{out}_scales", scale),
        activation_zero,
        zeros,
    ]
    if token is None:
        yield helper.make_node("MatMulIntegerToFloat", [*inputs, bias], [out], domain=CONTRIB)
    else:
        yield helper.make_node("MatMulIntegerToFloat", inputs, [f"{out}_scaled"], domain=CONTRIB)
        yield helper.make_node("Mul", [f"{out}_scaled", token], [f"{out}_unbiased"])
        yield helper.make_node("Add", [f"{out}_unbiased", bias], [out])
