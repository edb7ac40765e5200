"""Encoded rows for the Trainer: context dropout and order that a resumed run repeats, and padding per batch."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler
from transformers import TrainerCallback

from asif_data.encoding import Encoded, InputEncoder, Utterance
from asif_data.rows import Row

# Batches sorted by length together: more would tell a row's neighbours from its length, fewer would pad more.
_CHUNK = 50


class PairDataset(Dataset[dict[str, Any]]):
    """Rows as token ids. Setting `epoch` draws anew which rows lose their context.

    Labels are 0.. in the order of `labels`; a `none` row gets len(labels).
    """

    def __init__(
        self,
        rows: Sequence[Row],
        labels: Sequence[str],
        encoder: InputEncoder,
        *,
        context_dropout: float = 0.0,
        seed: int = 0,
        noise: float = 0.0,
        second: str | None = None,
        soft: np.ndarray | None = None,
        context_first: bool = False,
    ) -> None:
        self._encoder = encoder
        self._rows = rows
        swap = context_first
        self._paired = encoder([Utterance(row.context, row.text) if swap and row.context else Utterance(row.text, row.context) for row in rows])
        self._alone = encoder([Utterance(row.text) for row in rows])
        self._noise = noise
        self._second = second
        self._soft = soft
        names: dict[str, int] = {}
        found = [getattr(row, "contrast_set", None) for row in rows]
        self._sets = [names.setdefault(name, len(names)) if name else -1 for name in found]
        self._targets = targets(rows, labels)
        self._dropout = context_dropout
        self._seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self._paired)

    @property
    def lengths(self) -> list[int]:
        """Tokens of each row in this epoch."""
        return [len(self._drawn(index)) for index in range(len(self))]

    def _drawn(self, index: int) -> Encoded:
        alone = drops_context(self._seed, self.epoch, index, self._dropout)
        return (self._alone if alone else self._paired)[index]

    def __getitem__(self, index: int) -> dict[str, Any]:
        encoded = self._drawn(index)
        if self._noise and drops_context(self._seed + 1, self.epoch, index, self._noise):
            row, alone = self._rows[index], drops_context(self._seed, self.epoch, index, self._dropout)
            text = noisy(row.text, f"{self._seed}:{self.epoch}:{index}")
            [encoded] = self._encoder([Utterance(text, None if alone else row.context)])
        item = {
            "input_ids": encoded.input_ids,
            "token_type_ids": encoded.token_type_ids,
            "labels": self._targets[index],
            "sets": self._sets[index],
        }
        if self._soft is not None:
            item["soft"] = self._soft[index]
        if self._second:
            other = self._alone[index] if self._second == "alone" else encoded
            item |= {"second_input_ids": other.input_ids, "second_token_type_ids": other.token_type_ids}
        return item


def noisy(text: str, seed: str) -> str:
    """The text as typed or transcribed carelessly: case, punctuation, fillers, typos."""
    import random
    import re

    rng = random.Random(seed)  # noqa: S311
    kind = rng.randrange(4)
    if kind == 0:
        return text.lower()
    if kind == 1:
        return re.sub(r"[^\w\s']", "", text).lower()
    words = text.split()
    if kind == 2:
        for _ in range(max(1, len(words) // 10)):
            words.insert(rng.randrange(len(words) + 1), rng.choice(["um,", "uh", "you know,", "I mean,", "like", "well,"]))
    else:
        for _ in range(max(1, len(words) // 10)):
            i = rng.randrange(len(words))
            if len(words[i]) > 3:
                j = rng.randrange(1, len(words[i]) - 1)
                words[i] = words[i][:j] + rng.choice(["", words[i][j] * 2]) + words[i][j + 1 :]
    return " ".join(words)


def targets(rows: Sequence[Row], labels: Sequence[str]) -> list[int]:
    """Index of each row's label; len(labels) for `none`."""
    index = {label: i for i, label in enumerate(labels)}
    return [index.get(str(row.label), len(labels)) for row in rows]


def drops_context(seed: int, epoch: int, row: int, share: float) -> bool:
    """Whether this row goes without its context in this epoch: a function of its arguments, no state."""
    digest = hashlib.blake2b(f"{seed}:{epoch}:{row}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64 < share


class LengthSampler(Sampler[int]):
    """Rows in an order in which each `batch_size` of them are about equally long: next to no padding.

    Rows are shuffled, sorted by length in chunks of 50 batches, and the batches shuffled: a function of seed and
    epoch, no state. Lengths are those of the epoch, after context dropout.
    """

    def __init__(self, dataset: PairDataset, batch_size: int, seed: int) -> None:
        self._dataset = dataset
        self._batch_size = batch_size
        self._seed = seed

    def __len__(self) -> int:
        return len(self._dataset)

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng((self._seed, self._dataset.epoch))
        lengths = np.array(self._dataset.lengths)
        chunks = _parts(rng.permutation(len(lengths)), self._batch_size * _CHUNK)
        batches = [batch for chunk in chunks for batch in _parts(chunk[np.argsort(lengths[chunk])], self._batch_size)]
        # A short batch stays last: the loader cuts the order into batches by number.
        whole = len(lengths) // self._batch_size
        order = [*rng.permutation(whole), *range(whole, len(batches))]
        return iter([int(row) for i in order for row in batches[i]])


def _parts(values: np.ndarray, size: int) -> list[np.ndarray]:
    return [values[start : start + size] for start in range(0, len(values), size)]


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
        if "sets" in rows[0]:
            batch["sets"] = torch.tensor([row["sets"] for row in rows])
        if "soft" in rows[0]:
            batch["soft"] = torch.tensor(np.array([row["soft"] for row in rows]), dtype=torch.float32)
        if "second_input_ids" in rows[0]:
            second = [{k.removeprefix("second_"): v for k, v in row.items() if k.startswith("second_")} for row in rows]
            batch |= {f"second_{name}": value for name, value in self(second).items()}
        return batch

    def encoded(self, rows: Sequence[Encoded]) -> dict[str, torch.Tensor]:
        """A batch of rows that carry no label."""
        return self([{"input_ids": row.input_ids, "token_type_ids": row.token_type_ids} for row in rows])


def _padded(rows: Sequence[list[int]], width: int, value: int) -> torch.Tensor:
    return torch.tensor([row + [value] * (width - len(row)) for row in rows])
