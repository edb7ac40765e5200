"""What a server needs before it can start: an environment of its own, and the model in int8."""

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

from asif_data.errors import AsifError
from asif_data.model_dir import ONNX_FP32, sha256


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
    """The model's ONNX file in float32 made int8 by ONNX Runtime's quantize_dynamic with its defaults; kept in `cache`."""
    from onnx import TensorProto
    from onnxruntime.quantization import quantize_dynamic

    source = model / ONNX_FP32
    file = cache / f"dynamic-int8-{sha256(source)[:16]}.onnx"
    if not file.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".partial")
        # The file has fused operators, whose types the quantizer cannot infer.
        quantize_dynamic(source, partial, extra_options={"DefaultTensorType": TensorProto.FLOAT})
        partial.replace(file)
    return file
