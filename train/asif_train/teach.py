"""`teach`: ask fine-tuned models about a corpus, and keep what they say for a small model to learn."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForSequenceClassification

from asif_data.encoding import MAX_TOKENS, InputEncoder, Utterance
from asif_data.errors import AsifError
from asif_data.labels import NONE
from asif_data.model_dir import CONFIG, TOKENIZER
from asif_data.rows import Row
from asif_train.finetune import has_bfloat16, torch_logits
from asif_train.progress import progress
from asif_train.soft_labels import SoftLabels, key, known, probabilities, recombined

_AT_ONCE = 2048


def teach(models: Sequence[Path], rows: Sequence[Row], labels: Sequence[str]) -> SoftLabels:
    """The mean of what `models` say of every reading of `rows`; see `soft_labels`.

    `models` are folders that transformers can load, each with a tokenizer.json and an output for each of `labels`, in that
    order: published ones, or of a larger base model. Raises AsifError.
    """
    asked = [*known(rows), *recombined(rows)]
    shares = np.zeros((len(asked), len(labels) + 1))
    for model in models:
        shares += probabilities(_logits(model, asked, labels)) / len(models)
    return SoftLabels([*labels, NONE], {key(one): share.tolist() for one, share in zip(asked, shares, strict=True)})


def _logits(folder: Path, asked: Sequence[Utterance], labels: Sequence[str]) -> NDArray[np.float32]:
    """Shape (readings, labels); the shortest readings first, so that many are of one length and run together."""
    if not (folder / CONFIG).is_file():
        raise AsifError(f"{folder}: expected a folder of a fine-tuned model with {CONFIG}, found none there.")
    network = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    found = [network.config.id2label[i] for i in range(network.config.num_labels)]
    if found != list(labels):
        raise AsifError(f"{folder}: expected a model of {', '.join(labels)}, found one of {', '.join(found)}.")
    encoder = InputEncoder(folder / TOKENIZER, MAX_TOKENS)
    order = np.argsort([len(one.text) + len(one.context or "") for one in asked], kind="stable")
    logits = np.zeros((len(asked), len(labels)), np.float32)
    parts = np.array_split(order, -(-len(asked) // _AT_ONCE))
    with torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16()):
        for part in progress(parts, f"Asking {folder.name}"):
            logits[part] = torch_logits(network, encoder, [asked[i] for i in part]).float().numpy()
    return logits
