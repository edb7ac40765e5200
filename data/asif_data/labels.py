"""The labels of the codebook, in the order of the model's outputs, and label sets of other data."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from asif_data.errors import AsifError
from asif_data.yaml_file import read_yaml

LABELS = ("empathy", "sympathy", "over-identification")
NONE = "none"
MARKS = (*LABELS, NONE)

CODEBOOK_VERSION = "1.1"
CODEBOOK_LINES = {
    "empathy": "Speaks from the client's experience, as if from inside, and leaves it with the client.",
    "sympathy": "Speaks from the counselor's own reaction to the client's situation: pity, consolation, reassurance.",
    "over-identification": "Speaks from the counselor's own experience, merged with the client's.",
    "none": "Answers no inner experience: questions, facts, advice, small talk, backchannels.",
}
_LONGEST_NAME = 40


@dataclass(frozen=True)
class LabelSet:
    """Labels in the order of the model's outputs, and the codebook's line on each that has one."""

    names: tuple[str, ...]
    codebook: Mapping[str, str]

    @property
    def marks(self) -> tuple[str, ...]:
        """What a row may be labelled with: a label, or none."""
        return (*self.names, NONE)


CODEBOOK = LabelSet(LABELS, {label: CODEBOOK_LINES[label] for label in LABELS})


@lru_cache(maxsize=4096)
def plain(name: str) -> str:
    """A name without case, and spaces, underscores and hyphens inside: names that differ in nothing else are the same."""
    return re.sub(r"(?<=\w)[\s_-]+(?=\w)|_", "", name.strip()).casefold()  # the sign of -1 stays


def distinct(names: list[str]) -> list[str]:
    """The names, if they can be told apart from each other and from none. Raises ValueError."""
    known = {plain(NONE)}
    for name in names:
        if plain(name) == plain(NONE):
            raise ValueError("expected labels other than none, which is always there, found it in the list")
        if plain(name) in known:
            raise ValueError(f"expected names that differ in more than case and hyphens, found {name!r} again")
        known.add(plain(name))
    return names


def _is_name(value: str) -> str:
    if value != value.strip() or not value.isprintable():
        raise ValueError("expected a name in one line, without space around it")
    return value


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(min_length=1, max_length=_LONGEST_NAME), AfterValidator(_is_name)]
    codebook: Annotated[str, Field(min_length=1)] | None = None


_ENTRIES = TypeAdapter(Annotated[list[_Entry], Field(min_length=2)])


def read_labels(path: str | Path | None) -> LabelSet:
    """A label set from a YAML or JSON file: a list of at least two {name, codebook}; that of the codebook if None.

    The order is that of the model's outputs. `codebook` is one line on what the label means, and may be left out.
    Rows that no label applies to are `none`, which stands in no file. Raises AsifError that names the entry.
    """
    if path is None:
        return CODEBOOK
    try:
        entries = _ENTRIES.validate_python(read_yaml(path))
        names = distinct([entry.name for entry in entries])
    except ValidationError as error:
        raise AsifError(f"{path}: {_sentence(error.errors()[0])}.") from None
    except ValueError as error:
        raise AsifError(f"{path}: {error}.") from None
    return LabelSet(tuple(names), {entry.name: entry.codebook for entry in entries if entry.codebook})


def _sentence(error: Any) -> str:
    """What is wrong, without what was found: it may be a file of rows."""
    if not error["loc"]:
        return f"expected a list of labels, each `name` and `codebook`; {error['msg'].lower()}"
    entry, *field = error["loc"]
    where = f"label {entry + 1}" + (f", {field[0]}" if field and error["type"] != "extra_forbidden" else "")
    if error["type"] == "extra_forbidden":
        return f"{where}: expected only `name` and `codebook`, found another field"
    return f"{where}: {error['msg'].removeprefix('Value error, ').lower()}, found {type(error['input']).__name__}"
