"""Stand-off labels: the label is ours to ship, the text that it belongs to is not; a key finds it in a user's own copy."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from asif_data.errors import AsifError
from asif_data.files import write_atomically
from asif_data.ids import same_words
from asif_data.labels import MARKS
from asif_data.rows import READERS, BadRows, Row, RowError, Vote, quoted, records, sentence
from asif_data.source_corpora import CORPORA, Reply

KEY_DIGITS = 24
# A joined row has the client's turn as it was labelled: its end.
MAX_CONTEXT_WORDS = 90
# A key reads no more of it, so that it makes no difference where a longer turn was cut.
_KEY_CONTEXT_WORDS = 30
# Letters and digits; not the marks at U+02B0 to U+02FF, one of which is an apostrophe.
_WORD = re.compile(r"[^\W_\u02b0-\u02ff]+")


def normal_form(text: str) -> str:
    """A text's words alone, so that copies which differ in case, white space, punctuation or Unicode form are the same.

    Compatibility forms are composed (NFKC) and case is folded; what cannot be seen (format characters) is dropped. A
    text without any word stays as it is.
    """
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    text = "".join(c for c in text if unicodedata.category(c) != "Cf")
    return " ".join(_WORD.findall(text)) or same_words(text)


def key(text: str, context: str | None = None) -> str:
    """What finds a reply again: the first 24 hex digits of SHA-256 over context, U+001F and text.

    Both are in their normal form, and of the context no more than its last 30 words are read.
    """
    before = " ".join(normal_form(context or "").split()[-_KEY_CONTEXT_WORDS:])
    return hashlib.sha256(f"{before}\x1f{normal_form(text)}".encode(errors="replace")).hexdigest()[:KEY_DIGITS]


class StandoffLabel(BaseModel):
    """A label and its votes for the reply that `key` finds. `source` begins with a key of `CORPORA`, up to a hyphen."""

    model_config = ConfigDict(extra="forbid")
    key: str = Field(pattern=rf"^[0-9a-f]{{{KEY_DIGITS}}}$")
    source: str
    label: str
    votes: list[Vote] = []

    @field_validator("source")
    @classmethod
    def _known_corpus(cls, value: str) -> str:
        if _corpus(value) not in CORPORA:
            raise ValueError(f"expected a name that begins with {', '.join(CORPORA)}, found {quoted(value)}")
        return value

    @field_validator("label")
    @classmethod
    def _known_label(cls, value: str) -> str:
        if value not in MARKS:
            raise ValueError(f"expected one of {', '.join(MARKS)}, found {quoted(value)}")
        return value

    @field_validator("votes")
    @classmethod
    def _known_votes(cls, value: list[Vote]) -> list[Vote]:
        for vote in value:
            cls._known_label(vote.label)
        return value

    @property
    def corpus(self) -> str:
        """The corpus, a key of `CORPORA`."""
        return _corpus(self.source)

    @property
    def id(self) -> str:
        """The id of the row that it becomes."""
        return f"{self.source}-{self.key}"


def _corpus(source: str) -> str:
    return source.partition("-")[0]


def detach(rows: Iterable[Row]) -> list[StandoffLabel]:
    """The labels and votes of rows, without their texts, in the order of their keys.

    Raises AsifError that names all rows whose source is no corpus that can be read, and those of the same words with
    different labels.
    """
    found: dict[str, StandoffLabel] = {}
    problems: list[str] = []
    for n, row in enumerate(rows, 1):
        name = row.id or f"row {n}"
        values = {"key": key(row.text, row.context), "source": row.source or "", "label": row.label}
        try:
            label = StandoffLabel.model_validate({**values, "votes": row.votes or []})
        except ValidationError as error:
            problems += [f"{name}: {e['loc'][0]}: {sentence(e)}" for e in error.errors()]
            continue
        if found.setdefault(label.id, label).label != label.label:
            problems.append(f"{name}: label: expected that of the row with the same words, found another")
    if problems:
        raise AsifError("\n".join([*problems, "Nothing was written."]))
    return [found[name] for name in sorted(found)]


def read_standoff(path: str | Path) -> list[StandoffLabel]:
    """The stand-off labels of a JSONL file. Raises BadRows that names all bad ones, AsifError if there are none."""
    path = Path(path)
    if not path.is_file():
        raise AsifError(f"{path}: expected a file of stand-off labels, found nothing there; say where with --labels.")
    labels: dict[str, StandoffLabel] = {}
    errors: list[RowError] = []
    for line, record in records(path, errors, {".jsonl": READERS[".jsonl"]}):
        try:
            label = StandoffLabel.model_validate(record)
        except ValidationError as error:
            errors += [RowError(path, line, ".".join(map(str, e["loc"])), sentence(e)) for e in error.errors()]
            continue
        if label.id in labels:
            errors.append(RowError(path, line, "key", "expected each key of a source once, found it again"))
        labels[label.id] = label
    if errors:
        raise BadRows(errors)
    if not labels:
        raise AsifError(f"{path}: expected at least one label, found none.")
    return list(labels.values())


def write_standoff(path: str | Path, labels: Iterable[StandoffLabel]) -> None:
    """Write labels as JSONL in the order of source and key, so that a file tells nothing by its order."""
    lines = [json.dumps(label.model_dump()) + "\n" for label in sorted(labels, key=lambda label: label.id)]
    write_atomically(Path(path), "".join(lines))


def join(labels: Sequence[StandoffLabel], replies: Mapping[str, Sequence[Reply]]) -> list[Row]:
    """The labelled rows whose texts are among the replies (by key of `CORPORA`), in the order of the labels.

    Text and context stand as they were labelled: white space squeezed, of the context the last 90 words. A label that
    was given without context stands for the first reply of these words.
    """
    with_context: dict[str, Reply] = {}
    alone: dict[str, Reply] = {}
    for corpus, found in replies.items():
        for reply in found:
            with_context.setdefault(corpus + key(reply.text, reply.context), reply)
            alone.setdefault(corpus + key(reply.text), reply._replace(context=None))
    rows = []
    for label in labels:
        place = label.corpus + label.key
        if reply := with_context.get(place) or alone.get(place):
            rows.append(_row(label, reply))
    return rows


def _row(label: StandoffLabel, reply: Reply) -> Row:
    context = " ".join((reply.context or "").split()[-MAX_CONTEXT_WORDS:]) or None
    return Row(
        id=label.id,
        text=same_words(reply.text),
        context=context,
        label=label.label,
        votes=label.votes or None,
        source=label.source,
        group=reply.group,
    )
