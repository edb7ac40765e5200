"""What a server needs before it can start: an environment of its own, and the model in int8."""

import hashlib
import subprocess
import sys
import tempfile
import venv
import warnings
from pathlib import Path

from asif_data.errors import AsifError
from asif_data.model_dir import WEIGHTS, sha256


def environment(requirements: Path, cache: Path) -> Path:
    """The `bin` of an environment with exactly these packages, made under `cache` if it is not there yet.

    `requirements` lists every package with its version, so that pip has nothing to decide. Raises AsifError with what
    pip said if that cannot be.
    """
    folder = cache / requirements.stem
    ready = folder / ".ready"
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    if not (ready.is_file() and ready.read_text() == wanted):
        venv.create(folder, clear=True, symlinks=True)
        pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python"]
        command = [*pip, "install", "--quiet", "--no-deps", "-r", requirements]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            said = done.stderr.strip().splitlines() or ["nothing"]
            raise AsifError(f"{requirements}: expected packages that can be installed; pip said: {said[-1]}")
        ready.write_text(wanted)
    return folder / "bin"


def dynamic_int8(model: Path, cache: Path) -> Path:
    """The model as anyone would make it int8: torch's ONNX export, then ONNX Runtime's quantize_dynamic; kept in `cache`."""
    from onnxruntime.quantization import quantize_dynamic

    file = cache / f"dynamic-int8-{sha256(model / WEIGHTS)[:16]}.onnx"
    if not file.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            float32, partial = Path(folder) / "float32.onnx", Path(folder) / "int8.onnx"
            _export(model, float32)
            quantize_dynamic(float32, partial)
            partial.replace(file)
    return file


def _export(model: Path, file: Path) -> None:
    import torch  # here, or the engine that is measured alone would have it in memory
    from transformers import AutoModelForSequenceClassification

    network = AutoModelForSequenceClassification.from_pretrained(model, attn_implementation="eager", return_dict=False)
    names = ["input_ids", "attention_mask", "token_type_ids"]
    axes = {name: {0: "rows", 1: "tokens"} for name in names} | {"logits": {0: "rows"}}
    example = tuple(torch.ones(2, 16, dtype=torch.long) for _ in names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter is deprecated
        torch.onnx.export(
            network.eval(),
            example,
            str(file),
            input_names=names,
            output_names=["logits"],
            dynamic_axes=axes,
            opset_version=17,
            dynamo=False,
        )
