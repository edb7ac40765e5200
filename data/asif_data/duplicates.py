"""Near-duplicates: utterances that share most of their character five-grams."""

import re
from collections.abc import Sequence

from datasketch import MinHash, MinHashLSH

THRESHOLD = 0.7
_PERMUTATIONS = 128


def shingles(text: str) -> frozenset[str]:
    """The character five-grams of a text after lower-casing and dropping punctuation."""
    plain = " ".join(re.findall(r"\w+", text.lower())) or text.strip()
    return frozenset(plain[i : i + 5] for i in range(max(1, len(plain) - 4)))


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    """Shared share of two sets, 0..1."""
    return len(a & b) / len(a | b)


class NearDuplicates:
    """Texts in the order that they were added, to find those whose five-grams overlap by a Jaccard of at least `threshold`.

    MinHash with locality-sensitive hashing proposes them (Broder 1997; Leskovec et al., Mining of Massive Datasets,
    chapter 3), at a lower threshold so that few are missed; each is then verified.
    """

    def __init__(self, threshold: float = THRESHOLD) -> None:
        self._threshold = threshold
        self._index = MinHashLSH(threshold=max(0.1, threshold - 0.2), num_perm=_PERMUTATIONS)
        self._empty = MinHash(num_perm=_PERMUTATIONS, seed=0)
        self._sets: list[frozenset[str]] = []

    def of(self, text: str) -> list[int]:
        """The places, from 0, of the texts that are like this one."""
        grams = shingles(text)
        return self._like(grams, self._sketch(grams))

    def add(self, text: str) -> list[int]:
        """Add a text; the places of the earlier ones that are like it."""
        grams = shingles(text)
        sketch = self._sketch(grams)
        found = self._like(grams, sketch)
        self._index.insert(len(self._sets), sketch)
        self._sets.append(grams)
        return found

    def _sketch(self, grams: frozenset[str]) -> MinHash:
        sketch = self._empty.copy()
        sketch.update_batch([gram.encode() for gram in sorted(grams)])
        return sketch

    def _like(self, grams: frozenset[str], sketch: MinHash) -> list[int]:
        proposed = sorted(map(int, self._index.query(sketch)))  # pyright: ignore[reportArgumentType]
        return [i for i in proposed if jaccard(self._sets[i], grams) >= self._threshold]


def near_duplicates(texts: Sequence[str], threshold: float = THRESHOLD) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, of texts that are near-duplicates of each other; see `NearDuplicates`."""
    index = NearDuplicates(threshold)
    return sorted((i, j) for j, text in enumerate(texts) for i in index.add(text))
