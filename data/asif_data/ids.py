"""Ids for rows that come without: fixed by the words, so that the same row gets the same id every time."""

import hashlib
from collections import Counter


def same_words(text: str | None) -> str:
    """A text without what tools change on the way: line ends and other white space."""
    return " ".join((text or "").split())


class ContentIds:
    """Gives ids fixed by group, context and text. What recurs (a second "Mm-hmm.") gets an id of its own."""

    def __init__(self) -> None:
        self._seen: Counter[tuple[str, str]] = Counter()

    def of(self, text: str, context: str | None, group: str | None, annotator: str = "") -> str:
        """The id of the next row of these words; each annotator's rows are counted by themselves."""
        words = "\0".join([group or "", same_words(context), same_words(text)])
        number = self._seen[words, annotator]
        self._seen[words, annotator] += 1
        return "row-" + hashlib.sha256(f"{words}\0{number}".encode(errors="replace")).hexdigest()[:12]
