"""The model directory: its files, its manifest, and which one is in service.

A directory is whole or it is not there. Its files are written first, the manifest that names and hashes
them last, and the finished directory is renamed into place. Loading verifies every hash.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from asif_data.encoding import ENCODING_VERSION
from asif_data.errors import AsifError
from asif_data.files import write_atomically
from asif_data.labels import CODEBOOK_LINES, LabelSet, distinct

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
REPORT = "report.json"
CARD = "README.md"
WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
CONFIG = "config.json"
ONNX_FP32 = "onnx/model.onnx"
ONNX_INT8 = "onnx/model_int8.onnx"
CURRENT = "current"
PROMOTIONS = "promotions.jsonl"
FIGURES = "figures"
# Evaluation adds these beside the manifest, after it.
_LATER = {MANIFEST, REPORT, CARD}


class ScopeCalibration(BaseModel):
    """`in_scope` = sigmoid(slope x logsumexp(logits) + intercept), 0..1."""

    model_config = ConfigDict(extra="forbid")
    slope: float
    intercept: float


class Calibration(BaseModel):
    """What turns logits into `scores`, `in_scope`, abstention and prediction sets."""

    model_config = ConfigDict(extra="forbid")
    temperature: float = Field(gt=0)
    scope: ScopeCalibration
    scope_threshold: float = Field(ge=0, le=1)
    confidence_threshold: float = Field(ge=0, le=1)
    set_coverage: float = Field(gt=0, lt=1)
    set_threshold: float = Field(ge=0, le=1)


class Form(BaseModel):
    """A served form of the model and how it compared with torch on the whole validation split."""

    model_config = ConfigDict(extra="forbid")
    file: str
    precision: Literal["fp32", "int8"]
    rows: int
    macro_f1_loss: float
    decisions_changed: float = Field(ge=0, le=1)
    rows_per_second: float = Field(gt=0)


class Reference(BaseModel):
    """What a model's answers to a set of rows look like. A server that drifts away from it says so."""

    model_config = ConfigDict(extra="forbid")
    rows: int = Field(ge=0)
    outcomes: dict[str, float] = Field(description="shares of the labels and of the reasons to abstain; they sum to 1")
    confidence: float = Field(description="mean of the highest score, 0..1")
    in_scope: float = Field(description="mean of in_scope, 0..1")


def _codebook_lines(given: dict[str, Any]) -> dict[str, str]:
    return {label: CODEBOOK_LINES[label] for label in given.get("labels", ()) if label in CODEBOOK_LINES}


class Manifest(BaseModel):
    """Everything that must be known to serve a model and to say where it came from."""

    model_config = ConfigDict(extra="forbid")
    schema_version: Literal[1] = SCHEMA_VERSION
    name: str
    version: str
    created: datetime
    labels: list[str] = Field(min_length=2)
    encoding_version: int
    max_tokens: int = Field(ge=8)
    # Models from before there were other label sets have the codebook's own lines.
    codebook: dict[str, str] = Field(default_factory=_codebook_lines)
    calibration: Calibration
    forms: list[Form] = Field(min_length=1)
    refused_forms: list[Form] = []
    # Of the answers to the validation split; None in the manifests of models made before there was one.
    reference: Reference | None = None
    base_model: str
    base_model_sha256: str
    recipe: dict[str, Any]
    corpus_sha256: str
    corpus_rows: dict[str, int]
    # Of the file with what teachers say of the rows; None where the rows' own labels alone were learned.
    soft_labels_sha256: str | None = None
    training: list[dict[str, float]]
    libraries: dict[str, str]
    git_commit: str | None
    sha256: dict[str, str]

    @property
    def label_set(self) -> LabelSet:
        """The labels with what the codebook says of them."""
        return LabelSet(tuple(self.labels), self.codebook)

    @field_validator("labels")
    @classmethod
    def _labels_differ(cls, value: list[str]) -> list[str]:
        return distinct(value)

    @model_validator(mode="after")
    def _lines_are_of_labels(self) -> "Manifest":
        strange = sorted(set(self.codebook) - set(self.labels))
        if strange:
            raise ValueError(f"expected codebook lines of the labels, found one of {', '.join(strange)}")
        return self

    @model_validator(mode="after")
    def _forms_are_hashed(self) -> "Manifest":
        needed = [CONFIG, WEIGHTS, TOKENIZER, *(form.file for form in self.forms)]
        missing = [name for name in needed if name not in self.sha256]
        if missing:
            raise ValueError(f"expected a hash for {', '.join(missing)}, found none")
        return self


class Promotion(BaseModel):
    """One line of the promotion log: which version went into service, after which, when (UTC, ISO 8601) and why.

    `rollback` says that it went back to an earlier version, `forced` that the gate did not hold, and `gate` what the
    gate measured, if it was asked.
    """

    model_config = ConfigDict(extra="forbid")
    time: str
    version: str
    previous: str | None
    manifest_sha256: str
    reason: str
    rollback: bool = False
    forced: bool = False
    gate: dict[str, Any] | None = None


@dataclass(frozen=True)
class ModelDirectory:
    """A verified model directory."""

    path: Path
    manifest: Manifest
    manifest_sha256: str

    def file(self, name: str) -> Path:
        """The path of a file that the manifest names."""
        return self.path / name

    def report(self) -> dict[str, Any] | None:
        """The evaluation report, if there is one and it tells of this very manifest."""
        try:
            report = json.loads((self.path / REPORT).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        told = report.get("manifest_sha256") if isinstance(report, dict) else None
        return report if told == self.manifest_sha256 else None


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, in hex."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_files(directory: Path) -> dict[str, str]:
    """SHA-256 of every file in a directory, by its path inside, the manifest and later files left out."""
    files = sorted(p for p in directory.rglob("*") if p.is_file())
    names = {p.relative_to(directory).as_posix(): p for p in files}
    return {name: sha256(p) for name, p in names.items() if not _comes_later(name)}


def _comes_later(name: str) -> bool:
    """Whether a file may lie in a model directory without standing in the manifest."""
    return name in _LATER or name.startswith((f"{FIGURES}/", "."))


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write the manifest, the last file of a model directory."""
    write_atomically(directory / MANIFEST, manifest.model_dump_json(indent=2) + "\n")


def load(path: str | Path) -> ModelDirectory:
    """Verify a model directory and return it.

    Raises AsifError that names the file which is missing, changed, not in the manifest, of an
    unknown version, or closed to this user.
    """
    path = Path(path).resolve()
    try:
        return _load(path)
    except PermissionError as error:
        raise AsifError(f"{error.filename}: expected a file that this user may read; change its mode.") from None


def _load(path: Path) -> ModelDirectory:
    file = path / MANIFEST
    if not file.is_file():
        raise AsifError(f"{path}: expected a model directory with {MANIFEST}, found none; train one with `make train`.")
    text = file.read_bytes()
    manifest = _parse(file, text)
    _verify(path, manifest)
    return ModelDirectory(path, manifest, hashlib.sha256(text).hexdigest())


def _verify(path: Path, manifest: Manifest) -> None:
    """Hold every file against the manifest, and the manifest against every file."""
    file = path / MANIFEST
    for name, expected in manifest.sha256.items():
        target = path / name
        if "\0" in name or not target.resolve().is_relative_to(path):
            raise AsifError(f"{file}: expected files inside the model directory, found {name!r}.")
        if not target.is_file():
            raise AsifError(f"{target}: expected this file of the model, found it missing; publish the model again.")
        if sha256(target) != expected:
            raise AsifError(
                f"{target}: expected SHA-256 {expected[:12]}..., found a changed file; publish the model again."
            )
    for target in path.rglob("*"):
        name = target.relative_to(path).as_posix()
        if target.is_file() and name not in manifest.sha256 and not _comes_later(name):
            raise AsifError(f"{target}: expected only files that {MANIFEST} names, found this one; remove it.")


def _parse(file: Path, text: bytes) -> Manifest:
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        raise AsifError(f"{file}: expected JSON, found a broken file; publish the model again.") from None
    if not isinstance(raw, dict) or raw.get("schema_version") != SCHEMA_VERSION:
        found = raw.get("schema_version") if isinstance(raw, dict) else type(raw).__name__
        raise AsifError(
            f"{file}: expected schema_version {SCHEMA_VERSION}, found {found!r}; use the asif that wrote it."
        )
    try:
        manifest = Manifest.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "manifest"
        raise AsifError(f"{file}: {field}: {first['msg']}; publish the model again.") from None
    if manifest.encoding_version != ENCODING_VERSION:
        raise AsifError(
            f"{file}: expected encoding_version {ENCODING_VERSION}, found {manifest.encoding_version}; use the asif that wrote it."
        )
    return manifest


def current(models: str | Path) -> Path | None:
    """The directory that `models/current` points to, or None."""
    link = Path(models) / CURRENT
    return link.resolve() if link.is_symlink() and link.exists() else None


def version_path(models: str | Path, version: str) -> Path:
    """Where a version lies. Raises AsifError for what is not the name of a version, such as a path."""
    if not version or Path(version).name != version or version == CURRENT:
        raise AsifError(f"{models}: expected the name of a version in this folder, found {version!r}.")
    return Path(models) / version


def promote(models: str | Path, version: str, reason: str, **details: Any) -> ModelDirectory:
    """Verify `models/version`, move `models/current` to it atomically, and append to the promotion log.

    `details` are further fields of the log's `Promotion`. Raises AsifError, with the link untouched, if the directory
    does not verify.
    """
    models = Path(models)
    model = load(version_path(models, version))
    before = current(models)
    entry = Promotion(
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        version=version,
        previous=before.name if before else None,
        manifest_sha256=model.manifest_sha256,
        reason=reason,
        **details,
    )
    link = models / f".{CURRENT}.{os.getpid()}"
    link.unlink(missing_ok=True)
    link.symlink_to(version)
    link.replace(models / CURRENT)
    with (models / PROMOTIONS).open("a", encoding="utf-8") as log:
        log.write(entry.model_dump_json(exclude_defaults=True) + "\n")
    return model


def promotions(models: str | Path) -> list[Promotion]:
    """The promotion log, oldest first; empty if there is none. Raises AsifError that names a broken line."""
    file = Path(models) / PROMOTIONS
    found = []
    for number, line in enumerate(file.read_bytes().splitlines() if file.is_file() else (), 1):
        try:
            found.append(Promotion.model_validate_json(line))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"])) or "line"
            raise AsifError(f"{file}:{number}: {field}: {first['msg']}; mend or delete the line.") from None
    return found


@contextmanager
def staged(directory: Path, final: Path) -> Iterator[Path]:
    """A fresh folder to build a model in; renamed to `final` if the block ends well, else left unseen."""
    if final.exists():
        raise AsifError(f"{final}: expected no model of this version, found one; a version is never overwritten.")
    directory.mkdir(parents=True)
    yield directory
    directory.rename(final)
