"""What teachers say of a corpus: soft labels that a small model learns beside the rows' own.

Knowledge distillation (Hinton et al. 2015, Distilling the Knowledge in a Neural Network): what a larger model, or
several, say is taught to the one that is served. They are asked about the training rows with and without the
client's turn, and about readings that no one has labelled: clauses of replies put together anew.
"""

import hashlib
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from asif_data.encoding import Utterance
from asif_data.errors import AsifError
from asif_data.files import write_atomically
from asif_data.labels import NONE
from asif_data.rows import Row
from asif_serve.explain import clauses

DRAWS = 3
_PACKAGED = Path(__file__).parent / "teachers"
_SUFFIX = ".txt"
_CLAUSES = 3
_DECIMALS = 3


def key(utterance: Utterance) -> str:
    """What a soft label is found by: 16 hex digits of the hash of what was read. Texts themselves are not kept."""
    return hashlib.sha256(f"{utterance.context or ''}\x1f{utterance.text}".encode()).hexdigest()[:16]


def known(rows: Iterable[Row]) -> Iterator[Utterance]:
    """Each row as it is read in training: with its client turn, and alone."""
    for row in rows:
        yield Utterance(row.text, row.context)
        if row.context:
            yield Utterance(row.text)


def recombined(rows: Sequence[Row]) -> list[Utterance]:
    """New readings, about DRAWS a row, draw after draw: some of its clauses and some of a reply of the same group, beside the
    client turn of either.

    A function of each group alone: rows of other groups change nothing.
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.group or row.text, []).append(row)
    draws = range(1, DRAWS + 1)
    found = (_recombined(row, group, draw) for draw in draws for group in groups.values() for row in group)
    new = {key(one): one for one in found}
    for old in known(rows):
        new.pop(key(old), None)
    return list(new.values())


def _recombined(row: Row, group: Sequence[Row], draw: int) -> Utterance:
    rng = random.Random(f"{draw}:{key(Utterance(row.text, row.context))}")  # noqa: S311
    other = rng.choice(group)
    parts = [_clauses(part, rng) for part in ([row] if other is row else [row, other])]
    rng.shuffle(parts)
    return Utterance(" ".join(parts), rng.choice([row.context, other.context]))


def _clauses(row: Row, rng: random.Random) -> str:
    """One to three clauses of a reply, as they follow each other."""
    spans = clauses(row.text)
    first = rng.randrange(len(spans))
    last = min(first + rng.randrange(_CLAUSES), len(spans) - 1)
    return row.text[spans[first].start : spans[last].end].strip()


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Shares of the labels and none, shape (rows, labels + 1), from logits (rows, labels); none's logit is zero."""
    return softmax(np.hstack([logits, np.zeros((len(logits), 1))]), axis=1)


def find_soft_labels(name_or_path: str | Path) -> Path:
    """The file that a recipe's `soft_labels` means: a packaged one by its name, else the path itself."""
    packaged = _PACKAGED / f"{name_or_path}{_SUFFIX}"
    return packaged if packaged.is_file() else Path(name_or_path)


class SoftLabels:
    """Shares of the labels and none by reading. `labels` are the names in the order of the shares, none last."""

    def __init__(self, labels: Sequence[str], shares: Mapping[str, Sequence[float]]) -> None:
        self.labels = tuple(labels)
        self._shares = dict(shares)

    def __len__(self) -> int:
        return len(self._shares)

    def of(self, utterance: Utterance) -> NDArray[np.float32] | None:
        """The shares of a reading, shape (labels + 1,); None where no teacher was asked."""
        shares = self._shares.get(key(utterance))
        return None if shares is None else np.asarray(shares, np.float32)

    def save(self, path: Path) -> None:
        """Write a file: a line of names, then a line a reading, its key and its shares."""
        lines = (f"{name} {' '.join(f'{p:.{_DECIMALS}f}' for p in shares)}" for name, shares in self._shares.items())
        write_atomically(path, "\n".join(chain([" ".join(["key", *self.labels])], lines)) + "\n")


def read_soft_labels(name_or_path: str | Path) -> SoftLabels:
    """Read what `SoftLabels.save` wrote: the packaged ones by name, or a file. Raises AsifError that names the line."""
    path = find_soft_labels(name_or_path)
    try:
        first, *lines = path.read_text(encoding="utf-8").splitlines() or [""]
    except (OSError, ValueError) as error:
        raise AsifError(f"{path}: expected a file of soft labels, found none that can be read: {error}") from None
    head, *labels = first.split() or [""]
    if head != "key" or len(labels) < 2 or labels[-1] != NONE:
        raise AsifError(
            f"{path}:1: expected `key`, the labels and {NONE}, found something else; write it with `asif-train teach`."
        )
    shares = {}
    for number, line in enumerate(lines, 2):
        name, *values = line.split() or [""]
        try:
            shares[name] = [float(value) for value in values]
        except ValueError:
            shares[name] = []
        if len(shares[name]) != len(labels) or not 0.99 < sum(shares[name]) < 1.01 or min(shares[name]) < 0:
            raise AsifError(
                f"{path}:{number}: expected a key and {len(labels)} shares that sum to 1, found something else; "
                "write the file with `asif-train teach`."
            )
    return SoftLabels(labels, shares)
