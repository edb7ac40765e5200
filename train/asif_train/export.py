"""Export to ONNX, and the gate that decides which forms are published."""

import logging
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import torch
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.optimizer import optimize_model
from transformers import PreTrainedModel

from asif_data.encoding import Encoded, InputEncoder, Utterance
from asif_data.errors import AsifError
from asif_data.model_dir import ONNX_FP32, ONNX_INT8, Calibration, Form
from asif_data.rows import Row
from asif_serve.decision import decide
from asif_serve.predictor import open_session, run_session
from asif_train.finetune import input_names, to_cpu
from asif_train.graph import first_token_only, spell_out_norms
from asif_train.metrics import macro_f1
from asif_train.quantization import quantize

MAX_F1_LOSS = 0.005
MAX_CHANGED = 0.005
_FORMS: tuple[tuple[str, Literal["fp32", "int8"]], ...] = ((ONNX_FP32, "fp32"), (ONNX_INT8, "int8"))
_OPSET = 17
_CALIBRATION_ROWS = 128


class _Logits(torch.nn.Module):
    """The network as a function of its inputs in order, returning the logits alone."""

    def __init__(self, network: PreTrainedModel, names: Sequence[str]) -> None:
        super().__init__()
        self.network = network
        self.names = names

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Logits, shape (rows, labels)."""
        return self.network(**dict(zip(self.names, inputs, strict=True))).logits


def export(network: PreTrainedModel, folder: Path, encoder: InputEncoder, rows: Sequence[Row]) -> None:
    """Write the fp32 and int8 forms of `network` to `folder`/onnx.

    Attention, layer norms and activations are fused by ONNX Runtime's optimizer. Of `rows`, which training has seen,
    up to 128 at even distances show the int8 form how large activations become.
    """
    fp32, int8 = folder / ONNX_FP32, folder / ONNX_INT8
    fp32.parent.mkdir(parents=True)
    scratch = fp32.with_name("scratch.onnx")
    model = fused(network, scratch)
    first_token_only(model)
    shown = rows[:: -(-len(rows) // _CALIBRATION_ROWS)]
    quantised = onnx.ModelProto()
    quantised.CopyFrom(model)
    quantize(quantised, encoder([Utterance(row.text, row.context) for row in shown]), scratch)
    for form, file in ((model, fp32), (quantised, int8)):
        spell_out_norms(form)
        onnx.save(form, str(file))


def fused(network: PreTrainedModel, scratch: Path) -> onnx.ModelProto:
    """`network` as an ONNX graph, optimized as a BERT one, which every BERT-like encoder is; what does not match stays as traced.

    `scratch` is a file that may be written meanwhile.
    """
    _trace(network, scratch)
    with _quiet():
        options = FusionOptions("bert")
        options.use_multi_head_attention = True  # keeps query, key and value as products that can be quantised
        model = optimize_model(
            str(scratch),
            "bert",
            num_heads=network.config.num_attention_heads,
            hidden_size=network.config.hidden_size,
            opt_level=0,
            optimization_options=options,
        )
        model.topological_sort()
    scratch.unlink()
    return model.model


def _trace(network: PreTrainedModel, file: Path) -> None:
    network = to_cpu(network)
    network.set_attn_implementation("eager")  # the form that the optimizer knows how to fuse
    names = input_names(network)
    example = tuple(torch.ones(2, 16, dtype=torch.long) for _ in names)
    axes = {name: {0: "rows", 1: "tokens"} for name in names} | {"logits": {0: "rows"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter is deprecated, but its graphs are the ones that fuse
        torch.onnx.export(
            _Logits(network, names),
            example,
            str(file),
            input_names=names,
            output_names=["logits"],
            dynamic_axes=axes,
            opset_version=_OPSET,
            dynamo=False,
        )


class _quiet:
    """ONNX Runtime's tools log each fused node at level INFO through the root logger."""

    def __enter__(self) -> None:
        self._before = logging.root.manager.disable
        logging.disable(logging.WARNING)

    def __exit__(self, *_: object) -> None:
        logging.disable(self._before)


def gate(
    folder: Path,
    encoder: InputEncoder,
    rows: Sequence[Row],
    gold: np.ndarray,
    reference: np.ndarray,
    labels: tuple[str, ...],
    calibration: Calibration,
) -> tuple[list[Form], list[Form]]:
    """Hold every exported form against torch on `rows`; return the forms that pass and those refused.

    A form is refused if it loses more than 0.005 macro-F1 over the labels and none, or changes more than 0.5 % of
    decisions; its file is deleted. `reference` has torch's logits, shape (rows, labels). Raises AsifError if fp32
    itself fails, because then the export is wrong.
    """
    encoded = encoder([Utterance(row.text, row.context) for row in rows])
    expected = _answers(reference, labels, calibration)
    kept, refused = [], []
    for file, precision in _FORMS:
        logits, speed = _run_form(folder / file, encoded)
        found = _answers(logits, labels, calibration)
        loss = macro_f1(gold, expected[0], len(labels) + 1) - macro_f1(gold, found[0], len(labels) + 1)
        changed = float(np.any([e != f for e, f in zip(expected, found, strict=True)], axis=0).mean())
        form = Form(
            file=file,
            precision=precision,
            rows=len(rows),
            macro_f1_loss=loss,
            decisions_changed=changed,
            rows_per_second=speed,
        )
        passes = loss <= MAX_F1_LOSS and changed <= MAX_CHANGED
        (kept if passes else refused).append(form)
        if not passes and precision == "fp32":
            raise AsifError(
                f"{folder / file}: expected the exported model to answer as torch does, found {changed:.1%} of decisions "
                f"changed and {loss:.4f} macro-F1 lost on {len(rows)} validation rows; nothing was published."
            )
        if not passes:
            (folder / file).unlink()
    return kept, refused


def _answers(logits: np.ndarray, labels: tuple[str, ...], calibration: Calibration) -> tuple[np.ndarray, np.ndarray]:
    """What is answered, as an index with none last, and whether it is withheld as uncertain."""
    decisions = decide(logits, labels, calibration)
    index = [len(labels) if d.reason == "out_of_scope" else labels.index(d.best) for d in decisions]
    return np.array(index), np.array([d.reason == "uncertain" for d in decisions])


def _run_form(file: Path, encoded: Sequence[Encoded]) -> tuple[np.ndarray, float]:
    session = open_session(file, threads=1)
    run_session(session, encoded[:8])
    start = time.perf_counter()
    logits = run_session(session, encoded)
    return logits, len(encoded) / (time.perf_counter() - start)
