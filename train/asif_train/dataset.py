"""Encoded rows for the Trainer: context dropout that a resumed run repeats, and padding per batch."""

import hashlib
from array import array
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset
from transformers import TrainerCallback

from asif_data.encoding import Encoded, InputEncoder, Utterance
from asif_data.rows import Row
from asif_train.soft_labels import DRAWS, SoftLabels, recombined


class PairDataset(Dataset[dict[str, Any]]):
    """Rows as token ids. Setting `epoch` draws anew which rows lose their context.

    `targets` has a number for each row: 0.. in the order of `labels`, len(labels) for `none`.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        labels: Sequence[str],
        encoder: InputEncoder,
        *,
        context_dropout: float = 0.0,
        seed: int = 0,
    ) -> None:
        self._paired = _Tokens(encoder, (Utterance(row.text, row.context) for row in rows))
        self._alone = _Tokens(encoder, (Utterance(row.text) for row in rows)) if context_dropout else self._paired
        self.targets = targets(rows, labels)
        self._dropout = context_dropout
        self._seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self._paired)

    def __getitem__(self, index: int) -> dict[str, Any]:
        alone = drops_context(self._seed, self.epoch, index, self._dropout)
        return {**(self._alone if alone else self._paired)[index], "labels": self.targets[index]}


class TaughtDataset(PairDataset):
    """Rows whose targets are shares of the labels and none: partly their own label, partly what teachers say.

    `share` (0..1) of a target is the teachers', where they were asked. What they say of `recombined` readings of those rows
    follows the rows, as their answer alone: in each epoch the next of DRAWS equal parts.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        labels: Sequence[str],
        encoder: InputEncoder,
        soft: SoftLabels,
        share: float,
        *,
        context_dropout: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__(rows, labels, encoder, context_dropout=context_dropout, seed=seed)
        self._own = np.eye(len(labels) + 1, dtype=np.float32)
        self._share = share
        self._told = _told(soft, (Utterance(row.text, row.context) for row in rows))
        self._told_alone = _told(soft, (Utterance(row.text) for row in rows))
        new = [one for one in recombined([rows[i] for i in self._told]) if soft.of(one) is not None]
        self._new = _Tokens(encoder, new)
        self._new_told = _told(soft, new)
        self._part = -(-len(new) // DRAWS)

    def __len__(self) -> int:
        return super().__len__() + self._part

    def __getitem__(self, index: int) -> dict[str, Any]:
        rows = super().__len__()
        if index >= rows:
            new = (self.epoch * self._part + index - rows) % len(self._new)
            return {**self._new[new], "labels": self._new_told[new].tolist()}
        alone = drops_context(self._seed, self.epoch, index, self._dropout)
        told = (self._told_alone if alone else self._told).get(index)
        own = self._own[self.targets[index]]
        target = own if told is None else (1 - self._share) * own + self._share * told
        return {**super().__getitem__(index), "labels": target.tolist()}


def _told(soft: SoftLabels, utterances: Iterable[Utterance]) -> dict[int, NDArray[np.float32]]:
    """What teachers say of the utterances that they were asked about, by place."""
    answers = ((i, soft.of(utterance)) for i, utterance in enumerate(utterances))
    return {i: answer for i, answer in answers if answer is not None}


class _Tokens:
    """Encoded rows end to end in plain arrays, five bytes a token; as Python's own numbers they would take fifty."""

    def __init__(self, encoder: InputEncoder, utterances: Iterable[Utterance]) -> None:
        self._ids, self._types, self._ends = array("i"), array("B"), array("q", [0])
        for utterance in utterances:
            [row] = encoder([utterance])
            self._ids.extend(row.input_ids)
            self._types.extend(row.token_type_ids)
            self._ends.append(len(self._ids))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        own = slice(self._ends[index], self._ends[index + 1])
        return {"input_ids": self._ids[own].tolist(), "token_type_ids": self._types[own].tolist()}


def targets(rows: Sequence[Row], labels: Sequence[str]) -> list[int]:
    """Index of each row's label; len(labels) for `none`."""
    index = {label: i for i, label in enumerate(labels)}
    return [index.get(str(row.label), len(labels)) for row in rows]


def drops_context(seed: int, epoch: int, row: int, share: float) -> bool:
    """Whether this row goes without its context in this epoch: a function of its arguments, no state."""
    digest = hashlib.blake2b(f"{seed}:{epoch}:{row}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64 < share


class EpochCallback(TrainerCallback):
    """Tells the dataset which epoch begins, also after a resume."""

    def __init__(self, dataset: PairDataset) -> None:
        self._dataset = dataset

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called by the Trainer before the first batch of an epoch is drawn."""
        self._dataset.epoch = round(state.epoch or 0)


class Collator:
    """Pads a batch to its own longest row. `inputs` are the names that the model takes."""

    def __init__(self, pad_id: int, inputs: Sequence[str]) -> None:
        self._pad_id = pad_id
        self._inputs = set(inputs)

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """A batch: int64 tensors of shape (rows, longest), and `labels` (rows,) where the rows have them."""
        width = max(len(row["input_ids"]) for row in rows)
        batch = {
            "input_ids": _padded([row["input_ids"] for row in rows], width, self._pad_id),
            "token_type_ids": _padded([row["token_type_ids"] for row in rows], width, 0),
            "attention_mask": _padded([[1] * len(row["input_ids"]) for row in rows], width, 0),
        }
        batch = {name: value for name, value in batch.items() if name in self._inputs}
        if "labels" in rows[0]:
            batch["labels"] = torch.tensor([row["labels"] for row in rows])
        return batch

    def encoded(self, rows: Sequence[Encoded]) -> dict[str, torch.Tensor]:
        """A batch of rows that carry no label."""
        return self([{"input_ids": row.input_ids, "token_type_ids": row.token_type_ids} for row in rows])


def _padded(rows: Sequence[list[int]], width: int, value: int) -> torch.Tensor:
    return torch.tensor([row + [value] * (width - len(row)) for row in rows])
