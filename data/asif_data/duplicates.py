"""Near-duplicates: utterances that share most of their character five-grams."""

import re
from array import array
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import combinations
from zlib import crc32

import numpy as np
from datasketch import MinHash, MinHashLSH

THRESHOLD = 0.7
_PERMUTATIONS = 128


def shingles(text: str) -> frozenset[str]:
    """The character five-grams of a text after lower-casing and dropping punctuation."""
    plain = _plain(text)
    return frozenset(plain[i : i + 5] for i in range(max(1, len(plain) - 4)))


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower())) or text.strip()


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
        sketch.update_batch([gram.encode(errors="surrogatepass") for gram in sorted(grams)])
        return sketch

    def _like(self, grams: frozenset[str], sketch: MinHash) -> list[int]:
        proposed = sorted(map(int, self._index.query(sketch)))  # pyright: ignore[reportArgumentType]
        return [i for i in proposed if jaccard(self._sets[i], grams) >= self._threshold]


def near_duplicates(texts: Sequence[str], threshold: float = THRESHOLD) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, in order, whose five-grams overlap by a Jaccard of at least `threshold`.

    Of texts that differ in case and punctuation alone, the first stands for all: each other is paired with it and with
    nothing else, so that a thousand times "Okay." give 999 pairs.
    MinHash with locality-sensitive hashing proposes the pairs (Broder 1997; Leskovec et al., Mining
    of Massive Datasets, chapter 3), at a lower threshold so that few are missed; each is then verified.
    It takes some 250 bytes a text: of a sketch only a number a band is kept.
    """
    firsts, pairs = _copies(texts)
    for i, j in _candidates(_bands([texts[i] for i in firsts], max(0.1, threshold - 0.2))):
        a, b = firsts[i], firsts[j]
        if jaccard(shingles(texts[a]), shingles(texts[b])) >= threshold:
            pairs.append((a, b))
    return sorted(pairs)


def _copies(texts: Sequence[str]) -> tuple[list[int], list[tuple[int, int]]]:
    """The first of each kind of text, and every other text of the kind paired with it."""
    seen: dict[bytes, int] = {}
    pairs = []
    for i, text in enumerate(texts):
        first = seen.setdefault(blake2b(_plain(text).encode(errors="surrogatepass"), digest_size=12).digest(), i)
        if first != i:
            pairs.append((first, i))
    return list(seen.values()), pairs


def _bands(texts: Sequence[str], threshold: float) -> np.ndarray:
    """A number for each band of each text's sketch, uint64 of shape (texts, bands); alike in one band is a candidate."""
    index = MinHashLSH(threshold=threshold, num_perm=_PERMUTATIONS)  # knows how many bands, of how many values
    mix = np.random.default_rng(0).integers(2**63, size=index.r, dtype=np.uint64) * 2 + 1
    grams = ([gram.encode(errors="surrogatepass") for gram in shingles(text)] for text in texts)
    sketches = MinHash.generator(grams, num_perm=_PERMUTATIONS, seed=0, hashfunc=crc32)
    bands = np.empty((len(texts), index.b), dtype=np.uint64)
    for row, sketch in zip(bands, sketches, strict=True):
        row[:] = sketch.hashvalues[: index.b * index.r].reshape(index.b, index.r) @ mix  # modulo 2**64
    return bands


def _candidates(bands: np.ndarray) -> Iterator[tuple[int, int]]:
    """The pairs of texts (i, j), i < j, that are alike in a band, each once and in order."""
    count = len(bands)
    found = array("q")  # i * count + j: eight bytes a pair
    for band in bands.T:
        order = np.argsort(band, kind="stable")
        alike = np.flatnonzero(np.diff(band[order]) == 0)  # the place of each that is as the next one
        for run in np.split(alike, np.flatnonzero(np.diff(alike) > 1) + 1):
            if len(run):
                members = order[run[0] : run[-1] + 2].tolist()
                found.extend(i * count + j for i, j in combinations(members, 2))
    for pair in np.unique(found):
        yield divmod(int(pair), count)
