"""The predictor: a verified model directory in, decisions out. Evaluation and the server both use it."""

import platform
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from asif_data.encoding import Encoded, InputEncoder, Utterance
from asif_data.errors import AsifError
from asif_data.model_dir import TOKENIZER, Form, ModelDirectory, load
from asif_serve.decision import Decision, decide

_PROCESSOR = Path("/proc/cpuinfo")


class Predictor:
    """Answers utterances with one model. Safe to call from several threads at once.

    Rows run one at a time: an answer then never depends on what stands beside it, and on a CPU padding
    costs more than batching gains. `batch` is the number of rows that one call to `decide` should hold at most.
    """

    batch = 1

    def __init__(self, model: ModelDirectory, *, form: Form | None = None, threads: int = 1) -> None:
        self.model = model
        self.form = form or fastest(model)
        self.labels = tuple(model.manifest.labels)
        self.encoder = InputEncoder(model.file(TOKENIZER), model.manifest.max_tokens)
        self._session = open_session(model.file(self.form.file), threads)
        if self.logits([Utterance("warm-up")]).shape != (1, len(self.labels)):
            raise AsifError(
                f"{model.path}: expected one logit for each of {len(self.labels)} labels, found another number."
            )

    def __call__(self, utterances: Sequence[Utterance]) -> list[Decision]:
        """One decision for each utterance, in their order."""
        return self.decide(self.encoder(utterances))

    def decide(self, encoded: Sequence[Encoded]) -> list[Decision]:
        """Decisions for rows that are encoded already."""
        return decide(self._run(encoded), self.labels, self.model.manifest.calibration)

    def logits(self, utterances: Sequence[Utterance]) -> np.ndarray:
        """Raw logits, float32 of shape (utterances, labels)."""
        return self._run(self.encoder(utterances))

    def _run(self, encoded: Sequence[Encoded]) -> np.ndarray:
        if not encoded:
            return np.empty((0, len(self.labels)), dtype=np.float32)
        return run_session(self._session, encoded)


def open_session(file: Path, threads: int) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session on the CPU with `threads` threads inside one run.

    Raises AsifError if the file is not a model that ONNX Runtime can run.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # made for inputs of one shape; rows of many lengths are slower with it
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own errors share no base class but Exception
        raise AsifError(f"{file}: expected an ONNX model that can run here, found: {str(error)[:200]}") from None


def run_session(session: onnxruntime.InferenceSession, encoded: Sequence[Encoded]) -> np.ndarray:
    """Logits of rows run one at a time, float32 of shape (rows, labels); needs at least one row."""
    names = {node.name for node in session.get_inputs()}
    return np.concatenate([np.asarray(session.run(["logits"], feed(row, names))[0]) for row in encoded])


def feed(row: Encoded, names: set[str]) -> dict[str, np.ndarray]:
    """A row as a model's inputs: those called `names`, int64 of shape (1, tokens)."""
    inputs = {
        "input_ids": np.array([row.input_ids], dtype=np.int64),
        "attention_mask": np.ones((1, len(row)), dtype=np.int64),
        "token_type_ids": np.array([row.token_type_ids], dtype=np.int64),
    }
    return {name: value for name, value in inputs.items() if name in names}


def fastest(model: ModelDirectory) -> Form:
    """The published form that was fastest when it was exported, among those that this processor computes exactly.

    On x86 without VNNI, ONNX Runtime's products of eight-bit integers saturate (its documentation of quantization,
    "When and why do I need to try U8U8?"), so that float32 serves there.
    """
    forms = model.manifest.forms
    exact = forms if _multiplies_integers() else [form for form in forms if form.precision == "fp32"]
    return max(exact or forms, key=lambda form: form.rows_per_second)


def _multiplies_integers() -> bool:
    if platform.machine() not in {"x86_64", "AMD64"}:
        return True
    try:
        return "vnni" in _PROCESSOR.read_text()
    except OSError:
        return False


def load_predictor(path: str | Path, threads: int = 1) -> Predictor:
    """Verify the model directory at `path` and open its fastest form."""
    return Predictor(load(path), threads=threads)
