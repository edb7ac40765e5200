"""Labels out of other tools: records become rows, votes on one utterance meet in one row, nothing is added twice."""

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.ipc

from asif_data.errors import AsifError
from asif_data.ids import ContentIds
from asif_data.label_names import LabelNames
from asif_data.labels import plain
from asif_data.merging import Merge
from asif_data.packed import PackedRows
from asif_data.rows import (
    READERS,
    SPLITS,
    BadRows,
    Reader,
    Row,
    RowError,
    broken_json,
    from_batches,
    lost_after,
    quoted,
    records,
    row_files,
    told_columns,
    validate,
)
from asif_data.tools import TOOLS, Answer, Item, recognise, ticked

# The names under which columns usually come, the likeliest first. Case, spaces, underscores and hyphens don't matter.
USUAL = {
    "text": ("text", "utterance", "counselor", "counsellor", "therapist", "response", "reply", "sentence"),
    "context": ("context", "client", "client utterance", "patient", "previous", "prompt"),
    "id": ("row id", "id", "utterance id"),
    "group": ("group", "conversation", "conversation id", "dialogue id", "session", "session id", "transcript id"),
    "label": ("label", "labels", "choice", "category", "annotation", "class", "sentiment"),
    "annotator": ("annotator", "annotator id", "coder", "rater", "worker id", "user"),
}


@dataclass(frozen=True)
class Settings:
    """How files are read: the tool that wrote them (a key of `TOOLS`), columns by role (a key of `USUAL`) where their
    names are not the usual ones, label names, the encoding, and who labelled where the tool names nobody (`voter`; the
    file's name if None). What is not said is recognised.
    """

    tool: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    names: LabelNames = field(default_factory=LabelNames)
    encoding: str | None = None
    voter: str | None = None

    def __post_init__(self) -> None:
        if self.tool is not None and self.tool not in TOOLS:
            raise AsifError(f"format: expected one of {', '.join(TOOLS)}, found {self.tool!r}.")
        try:
            "".encode(self.encoding or "utf-8")
        except LookupError:
            raise AsifError(
                f"encoding: expected a name that Python knows, such as cp1252, found {self.encoding!r}."
            ) from None


@dataclass
class Imported:
    """What an import gave: all rows, those that were there before first, and how many are new, changed or left out.

    `ties` counts rows without a label, `withdrawn` votes taken back, `absent` earlier votes that the files should hold
    and do not (see `import_rows`). `bad` holds a record for each bad row that was skipped: file, line, its errors, and
    the row as it stood.
    """

    rows: PackedRows
    added: int = 0
    changed: int = 0
    unlabelled: int = 0
    ties: int = 0
    withdrawn: int = 0
    absent: int = 0
    bad: list[dict[str, Any]] = field(default_factory=list)


def import_rows(
    paths: Iterable[str | Path],
    settings: Settings | None = None,
    *,
    existing: Iterable[Row] = (),
    earlier: str = "earlier",
    skip: bool = False,
    withdraw: bool = False,
) -> Imported:
    """Read what annotation tools exported, and merge it into the `existing` rows.

    Rows are the same where their ids are; a row without one gets an id fixed by its words. Every answer becomes a
    vote of its annotator; `earlier` is the annotator of existing rows that have a label but no votes. The majority
    gives the label; a tie gives none. Rows whose votes differ are `contested`. What nobody labelled is left out.

    The newest word of an annotator on a row counts: a vote replaces their earlier one, and to skip, discard or answer
    with a name that stands for no label takes it back. A vote may also be missing: its annotator is in the files and so
    is the row, but no longer with an answer of theirs. It may have been deleted there, or given elsewhere, so that it
    stays unless `withdraw` says that the files hold all that their annotators said of their rows.

    Raises BadRows that names all bad rows of all files, unless `skip`; AsifError for a file that cannot be read.
    """
    settings = settings or Settings()
    errors: list[RowError] = []
    found: dict[tuple[Path, int], dict[str, Any]] = {}
    merge = Merge(existing, earlier)
    unlabelled = 0
    for path in map(Path, paths):
        ids = ContentIds()
        for file in _source_files(path):
            for line, record, item in _items(file, settings, errors):
                found[file, line] = record
                count = len(errors)
                voter = settings.voter or _voter(path, file)
                row, silent = _row(file, line, item, settings, voter, errors)
                if row is not None:
                    merge.add(file, line, row, silent, ids, errors)
                if count == len(errors):
                    unlabelled += not (row and row.votes)
                    del found[file, line]
    if errors and not skip:
        raise BadRows(errors)
    if not len(merge.rows):
        raise AsifError(f"expected at least one labelled row, found none and {unlabelled} without a label.")
    withdrawn, absent = merge.withdraw(withdraw)
    ties = sum(row.label is None for row in merge.rows)
    return Imported(
        merge.rows, merge.added, len(merge.changed), unlabelled, ties, withdrawn, absent, _bad(errors, found)
    )


def _bad(errors: list[RowError], found: dict[tuple[Path, int], dict[str, Any]]) -> list[dict[str, Any]]:
    told: dict[tuple[Path, int], list[str]] = {}
    for error in errors:
        told.setdefault((error.path, error.line), []).append(f"{error.column}: {error.message}")
    return [
        {"file": str(path), "line": line, "errors": messages, "row": found.get((path, line))}
        for (path, line), messages in told.items()
    ]


# Files


def _json(path: Path, errors: list[RowError], encoding: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The records of a JSON list, by number. A file of one record a line under this ending is read as JSONL."""
    text = path.read_text(encoding=encoding)
    number = 0
    try:
        for number, value in enumerate(_values(text), 1):
            if isinstance(value, dict):
                yield number, value
            else:
                errors.append(RowError(path, number, "row", f"expected a JSON object, found {type(value).__name__}"))
    except (ValueError, RecursionError) as error:
        if text.lstrip().startswith("{"):
            yield from READERS[".jsonl"](path, errors, encoding)
            return
        where = f" at line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        message = f"{broken_json(error)}{where}; {lost_after(number)}"
        errors.append(RowError(path, number + 1, "row", message))


_SPACE = re.compile(r"[ \t\n\r]*")


def _values(text: str) -> Iterator[Any]:
    """The values of a JSON list one at a time, or the one value of other JSON. Raises as json.loads, where it breaks."""
    at = _after_space(text, 0)
    if not text.startswith("[", at):
        yield json.loads(text)
        return
    decoder = json.JSONDecoder()
    at = _after_space(text, at + 1)
    if not text.startswith("]", at):
        while True:
            value, at = decoder.raw_decode(text, at)
            yield value
            at = _after_space(text, at)
            if not text.startswith(",", at):
                break
            at = _after_space(text, at + 1)
    if not text.startswith("]", at):
        raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
    if (end := _after_space(text, at + 1)) < len(text):
        raise json.JSONDecodeError("Extra data", text, end)


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _arrow(path: Path, errors: list[RowError], encoding: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The records of an Arrow stream, as `Dataset.save_to_disk` writes it."""
    try:
        with pyarrow.memory_map(str(path)) as source, pyarrow.ipc.open_stream(source) as stream:
            yield from from_batches(path, stream.schema, stream)
    except (pyarrow.ArrowException, OSError):
        raise AsifError(f"{path}: expected an Arrow file written by `datasets`, found a broken one.") from None


FILE_READERS: dict[str, Reader] = {**READERS, ".json": _json, ".arrow": _arrow}
_SAVED = ("state.json", "dataset_dict.json")


def _source_files(path: Path) -> list[Path]:
    """The files that a path stands for: itself, a folder's files, or the shards of a saved `datasets` folder."""
    if any((path / name).is_file() for name in _SAVED):
        return sorted([*path.glob("data-*.arrow"), *path.glob("*/data-*.arrow")])
    return row_files(path, [ending for ending in FILE_READERS if ending != ".arrow"])


def _voter(path: Path, file: Path) -> str:
    return path.name if file.suffix == ".arrow" else file.stem


def _items(file: Path, settings: Settings, errors: list[RowError]) -> Iterator[tuple[int, dict[str, Any], Item]]:
    """The records of a file as items; the first one tells which tool wrote it. A column that none has is an error."""
    read = None
    lacking: list[str] | None = None
    columns: list[str] = []
    for line, record in records(file, errors, FILE_READERS, settings.encoding):
        read = read or TOOLS[settings.tool or recognise(record)]
        try:
            item = read(record)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
            tool = next(name for name, reader in TOOLS.items() if reader is read)
            errors.append(RowError(file, line, "row", f"expected a record as {tool} exports it, found another shape"))
            continue
        if lacking is None or lacking:
            columns = [*item.fields, *(item.answers or ())]
            lacking = [role for role in _lacking(item, settings.columns) if lacking is None or role in lacking]
        if file.suffix == ".arrow" and file.parent.name in SPLITS:
            item.fields.setdefault("split", file.parent.name)
        yield line, record, item
    for role in lacking or ():
        wanted = settings.columns.get(role) or " or ".join(USUAL[role][:3])
        there = told_columns(columns)
        raise AsifError(f"{file}: {role}: expected the column {wanted}, found {there}; say which with --{role}.")


# Columns


def _columns(fields: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    """The column of each role, as far as there is one: the one given, else the likeliest of the usual names."""
    there = {plain(column): column for column in reversed(list(fields))}
    wanted = {role: (given[role],) if role in given else usual for role, usual in USUAL.items()}
    found = {role: next((there[plain(n)] for n in usual if plain(n) in there), None) for role, usual in wanted.items()}
    return {role: column for role, column in found.items() if column is not None}


def _lacking(item: Item, given: Mapping[str, str]) -> list[str]:
    """The roles whose columns an item should have, but has not. Tools keep label and annotator out of the fields."""
    columns = _columns(item.fields, given)
    needed = ["text", *given] + ([] if "votes" in item.fields else ["label"])
    kept = ("label", "annotator") if item.answers is not None else ()
    return [role for role in needed if role not in columns and role not in kept]


def _cell(value: Any) -> str | None:
    """An id, group or annotator: numbers become text; empty cells, also those of spreadsheets and pandas, nothing."""
    return None if value is None or value != value or value == "" else str(value)


# Rows


def _row(
    file: Path, line: int, item: Item, settings: Settings, voter: str, errors: list[RowError]
) -> tuple[Row | None, dict[str, bool]]:
    """The row that an item holds, with its votes, and who gave none: True for those who say so.

    None for a bad row. What nobody labelled need not be a good one.
    """
    before = len(errors)
    columns = _columns(item.fields, settings.columns)
    cells = {role: item.fields[column] for role, column in columns.items()}
    values = {column: value for column, value in item.fields.items() if column not in columns.values()}
    label = None
    silent = {annotator or voter: True for annotator in item.skipped}
    if item.answers is None and isinstance(given := values.get("votes"), list) and given:
        places = [f"votes.{n}.label" for n in range(len(given))]
        votes = [_mapped(vote, settings.names) for vote in given]
        label = next(iter(ticked(cells.get("label"))), None)
    else:
        answers = _answers(file, line, item, columns, settings.columns, errors)
        votes, places = _votes(file, line, answers, settings.names, voter, silent, errors)
    if len(errors) > before:
        return None, silent
    values |= {
        "text": "" if cells.get("text") is None else cells["text"],
        "context": None if cells.get("context") == "" else cells.get("context"),
        "id": _cell(cells.get("id")) or item.number,
        "group": _cell(cells.get("group")),
        "label": settings.names.label(label) if label else None,
        "votes": votes,
    }
    row = validate(file, line, values, settings.names.marks, False, errors)
    errors[before:] = [_told(error, columns, places) for error in errors[before:]] if votes else []
    return row, silent


def _told(error: RowError, columns: Mapping[str, str], places: Sequence[str]) -> RowError:
    """An error by the file's own names, with what to do about an unknown label name."""
    names_of_votes = {f"votes.{n}.label": place for n, place in enumerate(places)}
    if error.column in names_of_votes:
        message = f"{error.message}; say which with --label-map NAME=LABEL"
        return replace(error, column=names_of_votes[error.column], message=message)
    return replace(error, column=columns.get(error.column, error.column))


def _mapped(vote: Any, table: LabelNames) -> Any:
    known = isinstance(vote, dict) and isinstance(vote.get("label"), str)
    return vote | {"label": table.label(vote["label"])} if known else vote


def _answers(
    file: Path, line: int, item: Item, columns: Mapping[str, str], given: Mapping[str, str], errors: list[RowError]
) -> list[Answer]:
    """The answers to the question that asks for the label."""
    if item.answers is None:
        cells = {role: item.fields[column] for role, column in columns.items()}
        return [Answer(_cell(cells.get("annotator")), ticked(cells.get("label")), columns.get("label", "label"))]
    wanted = _columns(item.answers, given).get("label")
    if wanted is None and "label" not in given and len(item.answers) == 1:
        wanted = next(iter(item.answers))
    if wanted is None and item.answers:
        there = ", ".join(map(quoted, item.answers))
        errors.append(RowError(file, line, "label", f"expected one question, found {there}; say which with --label"))
    return item.answers.get(wanted, []) if wanted else []


def _votes(
    file: Path,
    line: int,
    answers: Sequence[Answer],
    table: LabelNames,
    voter: str,
    silent: dict[str, bool],
    errors: list[RowError],
) -> tuple[list[dict[str, str]], list[str]]:
    """The votes in the answers, and the place of each. Who gave none is added to `silent`."""
    votes: list[dict[str, str]] = []
    places: list[str] = []
    for answer in answers:
        labels = [label for label in map(table.label, answer.names) if label]
        if len(labels) > 1:
            errors.append(RowError(file, line, answer.place, f"expected one label, found {len(labels)}"))
        elif labels:
            votes.append({"annotator": sys.intern(answer.annotator or voter), "label": labels[0]})
            places.append(answer.place)
        else:
            silent.setdefault(answer.annotator or voter, bool(answer.names))
    return votes, places
