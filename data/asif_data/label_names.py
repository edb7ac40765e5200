"""Label names as other tools and people write them, and the labels that they stand for."""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from asif_data.errors import AsifError
from asif_data.labels import MARKS, plain


class LabelNames:
    """Which label a name stands for: one of `marks`, in any case and hyphenation, or what `table` says of it.

    A name that the table maps to "" stands for no label: such answers ("Unsure") are left out. Raises AsifError
    for a table that points to an unknown label, or in two directions from one name.
    """

    def __init__(self, table: Mapping[str, str] | None = None, marks: Sequence[str] = MARKS) -> None:
        self.marks = marks
        known = {plain(mark): mark for mark in marks}
        said: dict[str, str] = {}
        for name, wanted in (table or {}).items():
            if plain(wanted) not in known and wanted:
                close = difflib.get_close_matches(plain(wanted), list(known), 1)
                hint = f" (did you mean {known[close[0]]!r}?)" if close else ""
                raise AsifError(
                    f"label map: {name!r}: expected one of {', '.join(marks)}, or nothing, found {wanted!r}{hint}."
                )
            label = known[plain(wanted)] if wanted else ""
            if said.setdefault(plain(name), label) != label:
                raise AsifError(
                    f"label map: expected one label for {name!r}, found {said[plain(name)]!r} and {label!r}."
                )
        self._labels = known | said

    def label(self, name: str) -> str:
        """The label that a name stands for, "" for none; an unknown name comes back as it is."""
        return self._labels.get(plain(name), name)


def read_table(entries: Iterable[str]) -> dict[str, str]:
    """A table from NAME=LABEL entries and JSON files of {"NAME": "LABEL"}; what comes later wins.

    Raises AsifError for anything else.
    """
    table: dict[str, str] = {}
    for entry in entries:
        name, equals, label = entry.partition("=")
        table |= {name: label} if equals else _from_file(Path(entry))
    return table


def _from_file(path: Path) -> dict[str, str]:
    try:
        table = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        table = None
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise AsifError(f'label map: expected NAME=LABEL or a JSON file of {{"NAME": "LABEL"}}, found {str(path)!r}.')
    return table
