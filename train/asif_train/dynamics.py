"""Training dynamics: how sure of each training row's own label a fine-tuning was, epoch after epoch.

Rows that are learnt at once, rows that are never learnt, and rows between the two lie apart on a data map: Swayamdipta
et al. (2020), Dataset Cartography: Mapping and Diagnosing Datasets with Training Dynamics. Rows that are never learnt
are where wrong labels are to be looked for.
"""

import csv
import io
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, TrainerCallback

from asif_data.encoding import InputEncoder
from asif_data.errors import AsifError
from asif_data.files import write_atomically
from asif_data.labels import CODEBOOK, LabelSet
from asif_data.rows import Row
from asif_train.base_model import locate
from asif_train.corpus import read_corpus
from asif_train.dataset import PairDataset
from asif_train.finetune import batches, load_network, save_tokenizer, train
from asif_train.provenance import git_commit
from asif_train.recipe import Recipe

ROWS, RUN = "rows.csv", "run.json"
_BATCH = 32
_VALIDATED = 200  # the Trainer judges every epoch; nothing here hangs on it


@dataclass(frozen=True)
class Dynamics:
    """Training rows by `ids` and `labels`, and what each epoch gave to a row's own label: `probability` (rows, epochs), 0..1."""

    ids: tuple[str, ...]
    labels: tuple[str, ...]
    probability: np.ndarray

    @property
    def confidence(self) -> np.ndarray:
        """Mean over the epochs, 0..1, (rows,)."""
        return self.probability.mean(1)

    @property
    def variability(self) -> np.ndarray:
        """Standard deviation over the epochs, 0..0.5, (rows,)."""
        return self.probability.std(1)


def dynamics(data: str | Path, recipe: Recipe, out: Path, labels: LabelSet = CODEBOOK) -> Dynamics:
    """Fine-tune on the recipe's rows of `data`, keep what every epoch made of them, and throw the model away.

    All epochs are run. Probabilities are over the labels and none, before calibration, from text and context, without
    dropout. Written to `out`: rows.csv and run.json, which says how they were made. Raises AsifError.
    """
    corpus = read_corpus(data, labels)
    rows = corpus.sample(recipe.rows)
    if not all(row.id for row in rows):
        raise AsifError(f"{data}: expected rows with ids to tell of, found some without.")
    # It is the rows' own labels that are looked at here.
    recipe = recipe.model_copy(update={"patience": recipe.epochs, "soft_labels": None})
    with tempfile.TemporaryDirectory() as folder:
        base = locate(recipe.base_model)
        encoder = save_tokenizer(base, Path(folder) / "tokenizer", recipe.max_tokens)
        network = load_network(base, corpus.labels, recipe.seed)
        watch = _Watch(rows, corpus.labels, encoder)
        short = replace(corpus, validation=corpus.validation[:_VALIDATED])
        train(network, short, encoder, recipe, Path(folder) / "checkpoints", resume=False, callbacks=[watch])
    found = Dynamics(
        tuple(str(row.id) for row in rows), tuple(str(row.label) for row in rows), np.stack(watch.epochs, axis=1)
    )
    run = {"recipe": recipe.model_dump(), "corpus_sha256": corpus.sha256, "git_commit": git_commit()}
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / ROWS, _table(found))
    write_atomically(out / RUN, json.dumps(run, indent=2) + "\n")
    return found


def read_dynamics(folder: str | Path) -> Dynamics:
    """What `dynamics` wrote to a folder. Raises AsifError if it is not there, or is something else."""
    path = Path(folder) / ROWS
    try:
        with path.open(encoding="utf-8", newline="") as file:
            (_, *lines) = csv.reader(file)
        ids, names, *epochs = zip(*lines, strict=True)
        return Dynamics(ids, names, np.array(epochs, dtype=float).T)
    except (OSError, ValueError):
        raise AsifError(
            f"{path}: expected rows with their probabilities, as `asif-train dynamics` writes them."
        ) from None


def _table(found: Dynamics) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "label", *(f"epoch {i + 1}" for i in range(found.probability.shape[1]))])
    for name, label, row in zip(found.ids, found.labels, found.probability, strict=True):
        writer.writerow([name, label, *(f"{value:.4f}" for value in row)])
    return text.getvalue()


class _Watch(TrainerCallback):
    """Asks the network after every epoch for the probability of each row's own label."""

    def __init__(self, rows: Sequence[Row], labels: Sequence[str], encoder: InputEncoder) -> None:
        self._data = PairDataset(rows, labels, encoder)
        self.epochs: list[np.ndarray] = []

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called by the Trainer after the last update of an epoch, before it judges."""
        model: PreTrainedModel = kwargs["model"]
        model.eval()
        parts = []
        with torch.inference_mode():
            for batch in DataLoader(self._data, batch_size=_BATCH, collate_fn=batches(model)):
                gold = batch.pop("labels")
                on_device = {k: v.to(model.device) if isinstance(v, torch.Tensor) else v for k, v in batch.items()}
                logits = model(**on_device).logits.float().cpu()
                joint = torch.cat([logits, logits.new_zeros(len(logits), 1)], dim=1).softmax(1)
                parts.append(joint[torch.arange(len(gold)), gold])
        model.train()
        self.epochs.append(torch.cat(parts).numpy())
