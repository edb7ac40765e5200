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


def near_duplicates(texts: Sequence[str], threshold: float = THRESHOLD) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, whose five-grams overlap by a Jaccard of at least `threshold`.

    MinHash with locality-sensitive hashing proposes the pairs (Broder 1997; Leskovec et al., Mining
    of Massive Datasets, chapter 3), at a lower threshold so that few are missed; each is then verified.
    """
    sets = [shingles(text) for text in texts]
    index = MinHashLSH(threshold=max(0.1, threshold - 0.2), num_perm=_PERMUTATIONS)
    pairs = []
    for i, grams in enumerate(sets):
        sketch = MinHash(num_perm=_PERMUTATIONS, seed=0)
        sketch.update_batch([g.encode() for g in sorted(grams)])
        for j in map(int, index.query(sketch)):  # pyright: ignore[reportArgumentType]
            if jaccard(sets[j], grams) >= threshold:
                pairs.append((j, i))
        index.insert(i, sketch)
    return sorted(pairs)
