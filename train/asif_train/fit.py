"""`fit`: from rows to a published model directory, resumable at every point."""

import json
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import PartialState
from accelerate.utils import broadcast_object_list

from asif_data import model_dir
from asif_data.encoding import ENCODING_VERSION, InputEncoder
from asif_data.errors import AsifError
from asif_data.files import write_atomically
from asif_data.labels import CODEBOOK, LabelSet
from asif_data.model_dir import Manifest
from asif_serve.decision import decide
from asif_serve.drift import reference
from asif_train.base_model import BaseModel, locate
from asif_train.calibrate import calibrate
from asif_train.corpus import Corpus, read_corpus
from asif_train.dataset import targets
from asif_train.export import export, gate
from asif_train.finetune import load_network, save_tokenizer, torch_logits, train
from asif_train.provenance import git_commit
from asif_train.recipe import Recipe
from asif_train.soft_labels import find_soft_labels, read_soft_labels
from asif_train.tracking import check_tracker, curves_in

MODELS = Path("models")
TRACKED = ".tracking"
NAME = "asif"
_LIBRARIES = (
    "asif",
    "torch",
    "transformers",
    "accelerate",
    "datasets",
    "tokenizers",
    "onnxruntime",
    "scikit-learn",
    "numpy",
)


@dataclass(frozen=True)
class Run:
    """An unfinished fine-tuning: its folder under `models/.runs`, named like the version it will publish."""

    folder: Path

    @property
    def version(self) -> str:
        """The version that this run will publish."""
        return self.folder.name

    @property
    def checkpoints(self) -> Path:
        """Where the Trainer keeps its checkpoints."""
        return self.folder / "checkpoints"

    @property
    def staging(self) -> Path:
        """Where the model directory is built before it is renamed into place."""
        return self.folder / "model"


def fit(
    data: str | Path,
    recipe: Recipe,
    models: Path = MODELS,
    *,
    labels: LabelSet = CODEBOOK,
    resume: bool = False,
    report_to: str | None = None,
    tell: Callable[[str], None] = print,
) -> Path:
    """Fine-tune on `data`, labelled with `labels` or none, and publish a model directory; return its path.

    Everything is checked before anything trains. With `resume`, the newest unfinished run of the same recipe, labels
    and rows goes on where it was. A run that is killed leaves published models as they were. The first model
    published is promoted. The same rows, recipe and seed give the same weights on one machine. `report_to` is a tracker, such as "tensorboard",
    whose files stay under `models`/.tracking. Under `accelerate launch` every process calls this; the first one writes.
    Raises AsifError.
    """
    check_tracker(report_to)
    state = PartialState()
    corpus = read_corpus(data, labels)
    if recipe.soft_labels:
        read_soft_labels(recipe.soft_labels)
    base = locate(recipe.base_model)
    run = _agreed_run(state, models, recipe, corpus, resume)
    final = models / run.version
    if not final.exists():  # else it was killed after publishing, and nothing but tidying up is left
        with curves_in(models / TRACKED / run.version):
            _publish(run, final, corpus, recipe, base, resume, report_to, tell)
    if state.is_main_process:
        tell(f"Published {final}.")
        if model_dir.current(models) is None:
            model_dir.promote(models, run.version, "first model")
            tell(f"Promoted {run.version}: it is the first model.")
        # What says that this run is to be resumed goes last.
        shutil.rmtree(run.checkpoints, ignore_errors=True)
        shutil.rmtree(run.folder, ignore_errors=True)
    state.wait_for_everyone()
    return final


def _publish(
    run: Run,
    final: Path,
    corpus: Corpus,
    recipe: Recipe,
    base: BaseModel,
    resume: bool,
    report_to: str | None,
    tell: Callable[[str], None],
) -> None:
    """Train, and build the model directory in the run's folder before it is renamed to `final`."""
    state = PartialState()
    if state.is_main_process:
        tell(
            f"Run {run.version}: {len(corpus.sample(recipe.rows))} rows to train on, {len(corpus.validation)} to validate."
        )
        shutil.rmtree(run.staging, ignore_errors=True)
    state.wait_for_everyone()
    tokenizer = run.folder / "tokenizer"
    if state.is_main_process:
        save_tokenizer(base, tokenizer, recipe.max_tokens)
    state.wait_for_everyone()
    encoder = InputEncoder(tokenizer / model_dir.TOKENIZER, recipe.max_tokens)
    network = load_network(base, corpus.labels, recipe.seed)
    history = train(network, corpus, encoder, recipe, run.checkpoints, resume, report_to=report_to)
    if state.is_main_process:
        tell("Calibrating, exporting, and comparing every form with torch on the validation split.")
        with model_dir.staged(run.staging, final) as folder:
            _build(folder, run.version, network, corpus, encoder, recipe, base, tokenizer, history)


def _build(
    folder: Path,
    version: str,
    network: Any,
    corpus: Corpus,
    encoder: InputEncoder,
    recipe: Recipe,
    base: BaseModel,
    tokenizer: Path,
    history: list[dict[str, float]],
) -> None:
    """Fill a model directory: weights, tokenizer, calibration, gated forms, and the manifest last."""
    gold = np.array(targets(corpus.validation, corpus.labels))
    logits = torch_logits(network, encoder, corpus.validation).numpy()
    calibration = calibrate(logits, gold)
    network.save_pretrained(folder)
    # safetensors closes the weights to other users; a server often runs as one.
    (folder / model_dir.WEIGHTS).chmod((folder / model_dir.CONFIG).stat().st_mode)
    shutil.copytree(tokenizer, folder, dirs_exist_ok=True)
    export(network, folder, encoder, corpus.train)
    forms, refused = gate(folder, encoder, corpus.validation, gold, logits, corpus.labels, calibration)
    manifest = Manifest(
        name=NAME,
        version=version,
        created=datetime.now(UTC).replace(microsecond=0),
        labels=list(corpus.labels),
        codebook=dict(corpus.codebook),
        encoding_version=ENCODING_VERSION,
        max_tokens=recipe.max_tokens,
        calibration=calibration,
        forms=forms,
        refused_forms=refused,
        reference=reference(decide(logits, tuple(corpus.labels), calibration)),
        base_model=base.name,
        base_model_sha256=base.sha256,
        recipe=recipe.model_dump(),
        corpus_sha256=corpus.sha256,
        corpus_rows=corpus.sizes(),
        soft_labels_sha256=_soft_labels_sha256(recipe.soft_labels),
        training=history,
        libraries={"python": platform.python_version()} | {name: installed(name) for name in _LIBRARIES},
        git_commit=git_commit(),
        sha256=model_dir.hash_files(folder),
    )
    model_dir.write_manifest(folder, manifest)


def _agreed_run(state: PartialState, models: Path, recipe: Recipe, corpus: Corpus, resume: bool) -> Run:
    """The run that all processes work on: the first one finds or makes it, the others are told, errors too."""
    answer: list[Any] = [None]
    if state.is_main_process:
        try:
            answer[0] = _resumed(models, recipe, corpus) if resume else _new_run(models, recipe, corpus)
        except AsifError as error:
            answer[0] = error
    if state.num_processes > 1:
        broadcast_object_list(answer)
    if isinstance(answer[0], AsifError):
        raise answer[0]
    return answer[0]


def _settings(recipe: Recipe, corpus: Corpus) -> dict[str, Any]:
    labels = {"labels": list(corpus.labels), "codebook": dict(corpus.codebook)}
    hashes = {"corpus_sha256": corpus.sha256, "soft_labels_sha256": _soft_labels_sha256(recipe.soft_labels)}
    return {"recipe": recipe.model_dump()} | hashes | labels


def _soft_labels_sha256(name_or_path: str | None) -> str | None:
    return model_dir.sha256(find_soft_labels(name_or_path)) if name_or_path else None


def _new_run(models: Path, recipe: Recipe, corpus: Corpus) -> Run:
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    names = (stamp if n == 0 else f"{stamp}-{n}" for n in range(1000))
    runs = models / ".runs"
    runs.mkdir(parents=True, exist_ok=True)
    for name in names:
        if (models / name).exists():
            continue
        try:
            (runs / name).mkdir()
        except FileExistsError:
            continue
        write_atomically(runs / name / "run.json", json.dumps(_settings(recipe, corpus), indent=2) + "\n")
        return Run(runs / name)
    raise AsifError(f"{runs}: expected room for a new run, found a thousand of this second.")


def _resumed(models: Path, recipe: Recipe, corpus: Corpus) -> Run:
    unfinished = sorted((models / ".runs").glob("*/run.json"), reverse=True)
    if not unfinished:
        raise AsifError(f"{models / '.runs'}: expected an unfinished run to resume, found none; leave --resume out.")
    wanted = _settings(recipe, corpus)
    for file in unfinished:
        if json.loads(file.read_text(encoding="utf-8")) == wanted:
            return Run(file.parent)
    raise AsifError(
        f"{models / '.runs'}: expected an unfinished run of the same recipe, labels and rows, found {len(unfinished)} of others; "
        "go back to what was run, or leave --resume out."
    )
