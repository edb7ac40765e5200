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
# A channel that reaches further than this many times the median channel is left out of the integers.
_OUTLIER = 5.0
_LEVELS = 127
_TINY = 1e-6


@dataclass
class _Channels:
    """Of each channel of an activation over all tokens seen: the largest magnitude, and the mean."""

    largest: np.ndarray
    mean: np.ndarray


def quantize(model: onnx.ModelProto, rows: Sequence[Encoded], scratch: Path) -> None:
    """Make each product of an activation with a weight matrix one of integers, in place.

    - The few channels that are outliers stay in float32, with their weights (LLM.int8, Dettmers et al. 2022).
    - Of the rest, those that reach far are scaled down and their weights up (SmoothQuant, Xiao et al. 2023).
    - Weights have a scale for each column, symmetric; activations one for what is run together: one row.
    - What rounding the weights adds to a product on average is taken off again (Nagel et al. 2019).

    `rows` show how far activations reach; `scratch` is a file that may be written meanwhile.
    """
    graph = Graph(model)
    products = [node for node in graph.nodes if _is_product(node, graph)]
    seen = _observe(model, list(dict.fromkeys(node.input[0] for node in products)), rows, scratch)
    biases = _take_biases(graph, {node.output[0] for node in products})
    readers: dict[str, list[NodeProto]] = {}
    for node in products:
        readers.setdefault(node.input[0], []).append(node)
    nodes: list[NodeProto] = []
    for node in graph.nodes:
        name = node.input[0] if node.input else ""
        if node in readers.get(name, ()):
            if node is readers[name][0]:
                nodes += _replacement(graph, name, readers[name], seen[name], biases)
        else:
            nodes.append(node)
    graph.replace(nodes)


def _is_product(node: NodeProto, graph: Graph) -> bool:
    return (
        node.op_type == "MatMul"
        and node.input[0] in graph.producer
        and node.input[1] in graph.constants
        and graph.constants[node.input[1]].ndim == 2
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
    return {name: _Channels(np.asarray(largest[name]), np.asarray(total[name] / tokens[name])) for name in names}


def _replacement(
    graph: Graph, name: str, products: Sequence[NodeProto], channels: _Channels, biases: dict[str, np.ndarray]
) -> Iterator[NodeProto]:
    """What stands for the products that read the activation `name`: it is quantised once for all of them."""
    weights = [graph.constants[node.input[1]] for node in products]
    heaviest = np.max([np.abs(weight).max(axis=1) for weight in weights], axis=0)
    smooth = np.maximum(channels.largest, _TINY) ** _SMOOTHING / np.maximum(heaviest, _TINY) ** (1 - _SMOOTHING)
    outliers = np.flatnonzero(channels.largest > _OUTLIER * np.median(channels.largest))
    inside = np.ones(len(smooth))
    inside[outliers] = 0
    scaled, apart = f"{name}_scaled", f"{name}_outliers" if len(outliers) else None
    yield helper.make_node("Mul", [name, graph.constant(f"{name}_per_channel", inside / smooth)], [scaled])
    if apart:
        yield helper.make_node("Gather", [name, graph.constant(f"{apart}_at", outliers, np.int64)], [apart], axis=-1)
    parts = [f"{name}_{part}" for part in ("uint8", "scale", "zero")]
    yield helper.make_node("DynamicQuantizeLinear", [scaled], parts)
    for node, weight in zip(products, weights, strict=True):
        [out] = node.output
        integers = f"{out}_integers" if apart else out
        rest = weight * (inside * smooth)[:, None]
        yield _product(graph, parts, rest, channels.mean / smooth, integers, biases.get(out, 0.0))
        if apart:
            yield helper.make_node(
                "MatMul", [apart, graph.constant(f"{out}_apart_w", weight[outliers])], [f"{out}_apart"]
            )
            yield helper.make_node("Add", [integers, f"{out}_apart"], [out])


def _product(
    graph: Graph, activation: Sequence[str], weight: np.ndarray, mean: np.ndarray, out: str, bias: np.ndarray | float
) -> NodeProto:
    """The product, called `out`, of a quantised activation, given by its values, scale and zero, with a weight matrix."""
    values, scale, zero = activation
    step = np.maximum(np.abs(weight).max(axis=0), _TINY) / _LEVELS
    rounded = np.rint(weight / step)
    inputs = [
        values,
        graph.constant(f"{out}_weight", rounded, np.int8),
        scale,
        graph.constant(f"{out}_step", step),
        zero,
        graph.constant(f"{out}_zeros", np.zeros(len(step)), np.int8),
        graph.constant(f"{out}_bias", bias + mean @ (weight - rounded * step)),
    ]
    return helper.make_node("MatMulIntegerToFloat", inputs, [out], domain=CONTRIB)


def _take_biases(graph: Graph, products: set[str]) -> dict[str, np.ndarray]:
    """The biases that readers of `products` add to them; they no longer do."""
    taken: dict[str, np.ndarray] = {}
    for reader in graph.nodes:
        own = [name for name in reader.input[:3] if name in products]
        if reader.op_type == "BiasGelu" and own:
            reader.op_type = "Gelu"
            taken[own[0]] = graph.constants[reader.input.pop(1)]
        elif reader.op_type == "SkipLayerNormalization" and own and len(reader.input) == 5:
            taken[own[0]] = graph.constants[reader.input.pop(4)]
        elif reader.op_type == "MultiHeadAttention" and len(own) == 3 and reader.input[3] in graph.constants:
            taken |= zip(own, np.split(graph.constants[reader.input[3]], 3), strict=True)
            reader.input[3] = ""
    return taken
