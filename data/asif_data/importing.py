"""Labels out of other tools: records become rows, votes on one utterance meet in one row, nothing is added twice."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.ipc

from asif_data.errors import AsifError
from asif_data.ids import ContentIds, same_words
from asif_data.label_names import LabelNames, plain
from asif_data.rows import (
    READERS,
    SPLITS,
    BadRows,
    Reader,
    Row,
    RowError,
    Vote,
    broken_json,
    from_batches,
    quoted,
    records,
    row_files,
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
    names are not the usual ones, label names, and the encoding. What is not said is recognised.
    """

    tool: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    names: LabelNames = field(default_factory=LabelNames)
    encoding: str | None = None

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

    `bad` holds a record for each bad row that was skipped: file, line, its errors, and the row as it stood.
    """

    rows: list[Row]
    added: int = 0
    changed: int = 0
    unlabelled: int = 0
    ties: int = 0
    bad: list[dict[str, Any]] = field(default_factory=list)


def import_rows(
    paths: Iterable[str | Path],
    settings: Settings | None = None,
    *,
    existing: Sequence[Row] = (),
    voter: str = "earlier",
    skip: bool = False,
) -> Imported:
    """Read what annotation tools exported, and merge it into the `existing` rows.

    Rows are the same where their ids are; a row without one gets an id fixed by its words. Every answer becomes a
    vote of its annotator, who is named by the file where it names none; `voter` is the annotator of existing rows that
    have a label but no votes. A vote given in an earlier import is replaced by the same annotator's new one. The
    majority gives the label; a tie gives none. Rows whose votes differ are `contested`. What nobody labelled is
    left out.

    Raises BadRows that names all bad rows of all files, unless `skip`; AsifError for a file that cannot be read.
    """
    settings = settings or Settings()
    errors: list[RowError] = []
    found: dict[tuple[Path, int], dict[str, Any]] = {}
    merge = _Merge(existing, voter)
    unlabelled = 0
    for path in map(Path, paths):
        ids = ContentIds()
        for file in _source_files(path):
            for line, record, item in _items(file, settings, errors):
                found[file, line] = record
                count = len(errors)
                row = _row(file, line, item, settings, _voter(path, file), errors)
                if row is not None:
                    merge.add(file, line, row, ids, errors)
                elif count == len(errors):
                    unlabelled += 1
                if count == len(errors):
                    del found[file, line]
    if errors and not skip:
        raise BadRows(errors)
    rows = list(merge.rows.values())
    if not rows:
        raise AsifError(f"expected at least one labelled row, found none and {unlabelled} without a label.")
    ties = sum(row.label is None for row in rows)
    return Imported(rows, merge.added, len(merge.changed), unlabelled, ties, _bad(errors, found))


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
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        if text.lstrip().startswith("{"):
            yield from READERS[".jsonl"](path, errors, encoding)
        else:
            errors.append(RowError(path, getattr(error, "lineno", 1), "row", broken_json(error)))
        return
    for number, value in enumerate(values if isinstance(values, list) else [values], 1):
        if isinstance(value, dict):
            yield number, value
        else:
            errors.append(RowError(path, number, "row", f"expected a JSON object, found {type(value).__name__}"))


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
        there = ", ".join(map(quoted, columns)) or "none"
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


def _row(file: Path, line: int, item: Item, settings: Settings, voter: str, errors: list[RowError]) -> Row | None:
    """The row that an item holds, with its votes; None if nobody labelled it, or if it is bad."""
    before = len(errors)
    columns = _columns(item.fields, settings.columns)
    cells = {role: item.fields[column] for role, column in columns.items()}
    values = {column: value for column, value in item.fields.items() if column not in columns.values()}
    label = None
    if item.answers is None and isinstance(given := values.get("votes"), list) and given:
        places = [f"votes.{n}.label" for n in range(len(given))]
        votes = [_mapped(vote, settings.names) for vote in given]
        label = next(iter(ticked(cells.get("label"))), None)
    else:
        answers = _answers(file, line, item, columns, settings.columns, errors)
        votes, places = _votes(file, line, answers, settings.names, voter, errors)
    if not votes or len(errors) > before:
        return None
    values |= {
        "text": "" if cells.get("text") is None else cells["text"],
        "context": None if cells.get("context") == "" else cells.get("context"),
        "id": _cell(cells.get("id")) or item.number,
        "group": _cell(cells.get("group")),
        "label": settings.names.label(label) if label else None,
        "votes": votes,
    }
    row = validate(file, line, values, settings.names.marks, False, errors)
    errors[before:] = [_told(error, columns, places) for error in errors[before:]]
    return row


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
    file: Path, line: int, answers: Sequence[Answer], table: LabelNames, voter: str, errors: list[RowError]
) -> tuple[list[dict[str, str]], list[str]]:
    """The votes in the answers, and the place of each."""
    votes: list[dict[str, str]] = []
    places: list[str] = []
    for answer in answers:
        labels = [label for label in map(table.label, answer.names) if label]
        if len(labels) > 1:
            errors.append(RowError(file, line, answer.place, f"expected one label, found {len(labels)}"))
        elif labels:
            votes.append({"annotator": answer.annotator or voter, "label": labels[0]})
            places.append(answer.place)
    return votes, places


def _verdict(votes: Sequence[Vote]) -> dict[str, Any]:
    """The majority's label, or none for a tie, and whether the votes differ."""
    counts = Counter(vote.label for vote in votes).most_common(2)
    tie = len(counts) > 1 and counts[0][1] == counts[1][1]
    return {"label": None if tie else counts[0][0], "contested": len(counts) > 1}


# Merging


class _Merge:
    """Rows by id, those there before first, and what this import has added to them."""

    def __init__(self, existing: Sequence[Row], voter: str) -> None:
        ids = ContentIds()
        self.rows: dict[str, Row] = {}
        for row in existing:
            name = row.id or ids.of(row.text, row.context, row.group)
            self.rows[name] = row.model_copy(update={"id": name})
        self.voter = voter
        self.added = 0
        self.changed: set[str] = set()
        self._old = set(self.rows)
        self._voted: dict[tuple[str, str], tuple[str, str]] = {}

    def add(self, path: Path, line: int, row: Row, ids: ContentIds, errors: list[RowError]) -> None:
        """Merge a row that has votes, or say why it contradicts what was read before."""
        votes = {vote.annotator: vote for vote in row.votes or []}
        name = row.id or ids.of(row.text, row.context, row.group, next(iter(votes)))
        known = self.rows.get(name)
        place = f"{path}:{line}"
        if problems := [*self._other_words(name, row), *self._other_votes(name, row, votes, place)]:
            errors += [RowError(path, line, column, message) for column, message in problems]
            return
        for annotator, vote in votes.items():
            self._voted.setdefault((name, annotator), (vote.label, place))
        if known is None:
            verdict = _verdict(list(votes.values())) | ({"label": row.label} if row.label else {})
            self.rows[name] = row.model_copy(update={"id": name, "votes": list(votes.values()), **verdict})
            self.added += 1
            return
        self.rows[name] = self._merged(known, row, votes)
        if name in self._old and self.rows[name] != known:
            self.changed.add(name)

    def _other_words(self, name: str, row: Row) -> Iterator[tuple[str, str]]:
        known = self.rows.get(name)
        for column in ("text", "context") if known else ():
            before, now = same_words(getattr(known, column)), same_words(getattr(row, column))
            if before and now and before != now:
                message = f"expected the {column} that this id stood for before, found another; say which column identifies a row with --id"
                yield column, message

    def _other_votes(self, name: str, row: Row, votes: Mapping[str, Vote], place: str) -> Iterator[tuple[str, str]]:
        for vote in row.votes or []:
            label, where = self._voted.get((name, vote.annotator), (votes[vote.annotator].label, place))
            if label != vote.label:
                yield (
                    "label",
                    f"expected one label by one annotator, found {vote.label!r} here and {label!r} at {where}",
                )

    def _merged(self, known: Row, row: Row, votes: dict[str, Vote]) -> Row:
        unnamed = [Vote(annotator=self.voter, label=known.label)] if known.label else []
        before = {vote.annotator: vote for vote in known.votes or unnamed}
        kept = ("label", "votes", "contested")
        update = {
            key: value
            for key, value in row.model_dump().items()
            if key not in kept and value is not None and getattr(known, key, None) is None
        }
        if before | votes != before:
            together = list((before | votes).values())
            update |= {"votes": together, **_verdict(together)}
        return known.model_copy(update=update)
