"""Ids for rows that come without: fixed by the words, so that the same row gets the same id every time."""

import hashlib
from collections import Counter


def same_words(text: str | None) -> str:
    """A text without what tools change on the way: line ends and other white space."""
    return " ".join((text or "").split())


class ContentIds:
    """Gives ids fixed by group, context and text. What recurs (a second "Mm-hmm.") gets an id of its own."""

    def __init__(self) -> None:
        self._seen: Counter[bytes] = Counter()  # by hash: the words of a million rows would fill the memory

    def of(self, text: str, context: str | None, group: str | None, annotator: str = "") -> str:
        """The id of the next row of these words; each annotator's rows are counted by themselves."""
        name = self.next(text, context, group, annotator)
        self._seen[_key(text, context, group, annotator)] += 1
        return name

    def next(self, text: str, context: str | None, group: str | None, annotator: str = "") -> str:
        """The id that `of` would give, without counting the row."""
        number = self._seen[_key(text, context, group, annotator)]
        words = _words(text, context, group)
        return "row-" + hashlib.sha256(f"{words}\0{number}".encode(errors="replace")).hexdigest()[:12]


def _words(text: str, context: str | None, group: str | None) -> str:
    return "\0".join([group or "", same_words(context), same_words(text)])


def _key(text: str, context: str | None, group: str | None, annotator: str) -> bytes:
    words = f"{_words(text, context, group)}\0{annotator}".encode(errors="replace")
    return hashlib.blake2b(words, digest_size=16).digest()
