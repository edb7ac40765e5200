"""Rows: reading them from files, and naming every bad one before anything else happens."""

import codecs
import contextlib
import csv
import difflib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import pyarrow.parquet
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from asif_data.errors import AsifError
from asif_data.labels import MARKS

SPLITS = ("train", "validation", "test")
MAX_CHARACTERS = 20_000
FORMATS = (".jsonl", ".csv", ".tsv", ".parquet")
_TELLABLE = 32
_BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


class Vote(BaseModel):
    """One annotator's label for a row."""

    model_config = ConfigDict(extra="forbid")
    annotator: str
    label: str


class Row(BaseModel):
    """One counselor utterance with what is known of it. Unknown columns are kept.

    `text` is the counselor's utterance and `context` the client's utterance before it. Rows of one
    `group` share a split. `votes` holds every annotator's label; `contested` says that they differ.
    """

    model_config = ConfigDict(extra="allow")
    text: str
    label: str | None = None
    context: str | None = None
    id: str | None = None
    group: str | None = None
    votes: list[Vote] | None = None
    split: str | None = None
    source: str | None = None

    def model_post_init(self, _: Any) -> None:
        """Forget which fields were given: of a million rows those names would take a third of the memory."""
        self.model_fields_set.clear()

    @field_validator("text")
    @classmethod
    def _has_words(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("expected the counselor's words, found only white space")
        return value

    @field_validator("text", "context")
    @classmethod
    def _can_be_stored(cls, value: str | None) -> str | None:
        if value and len(value) > MAX_CHARACTERS:
            raise ValueError(f"expected at most {MAX_CHARACTERS:,} characters, found {len(value):,}")
        if value and any("\ud800" <= c <= "\udfff" for c in value):
            raise ValueError("expected text that UTF-8 can hold, found half of a surrogate pair")
        return value

    @field_validator("split")
    @classmethod
    def _known_split(cls, value: str | None) -> str | None:
        if value is not None and value not in SPLITS:
            raise ValueError(f"expected one of {', '.join(SPLITS)}, found {quoted(value)}")
        return value


@dataclass(frozen=True)
class RowError:
    """Where a row is wrong: `line` counts from 1; in Parquet, Arrow and JSON lists it is the row's number."""

    path: Path
    line: int
    column: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.column}: {self.message}"


class BadRows(AsifError):
    """Every bad row of the files read. `errors` lists them in file order."""

    def __init__(self, errors: Sequence[RowError]) -> None:
        self.errors = list(errors)
        noun = "problem" if len(errors) == 1 else "problems"
        super().__init__("\n".join([*map(str, errors), f"{len(errors)} {noun} in the rows; nothing was used."]))


def read_rows(paths: Iterable[str | Path], *, marks: Sequence[str] = MARKS, labelled: bool = True) -> list[Row]:
    """Read and validate rows from JSONL, CSV, TSV or Parquet files.

    `marks` are the labels that may occur. With `labelled`, a row without a label is bad.
    Raises BadRows that names all bad rows of all files, and AsifError for a file that cannot be
    read as rows at all.
    """
    rows: list[Row] = []
    errors: list[RowError] = []
    ids: dict[str, str] = {}
    for path in map(Path, paths):
        before = len(rows) + len(errors)
        for line, record in records(path, errors, READERS):
            row = validate(path, line, record, marks, labelled, errors)
            if isinstance(name := record.get("id"), str):
                if name in ids:
                    message = f"expected an id of its own, found {quoted(name)}, which {ids[name]} has already"
                    errors.append(RowError(path, line, "id", message))
                ids.setdefault(name, f"{path}:{line}")
            if row is not None:
                rows.append(row)
        if before == len(rows) + len(errors):
            raise AsifError(f"{path}: expected at least one row, found none.")
    if errors:
        raise BadRows(errors)
    return rows


def write_rows(path: str | Path, rows: Iterable[Row]) -> None:
    """Write rows as JSONL through a temporary file, so that `path` is whole or untouched."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            for row in rows:
                file.write(json.dumps(row.model_dump(), ensure_ascii=False, default=str) + "\n")
        partial.replace(path)
    except OSError as error:
        raise AsifError(f"{path}: expected a file that can be written, found: {error.strerror or error}.") from None
    finally:
        partial.unlink(missing_ok=True)


def row_groups(rows: Sequence[Row]) -> list[str]:
    """The group of each row; a row without one is a group of its own."""
    return [row.group or f"row {i}" for i, row in enumerate(rows)]


def row_files(path: str | Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """The row files that a path stands for: itself, or a folder's row files (those that end in `formats`) by name."""
    path = Path(path)
    if not path.exists():
        raise AsifError(f"{path}: expected a file or folder of rows, found nothing there.")
    if path.is_file():
        return [path]
    files = sorted(p for p in path.iterdir() if p.suffix.lower() in formats and not p.name.startswith("."))
    if not files:
        raise AsifError(f"{path}: expected files ending in {', '.join(formats)}, found none in the folder.")
    return files


def validate(
    path: Path, line: int, record: dict[str, Any], marks: Sequence[str], labelled: bool, errors: list[RowError]
) -> Row | None:
    """The row that a record holds, or None, with all that is wrong with it appended to `errors`."""
    found = len(errors)
    row = None
    for column, value in record.items():
        if column not in ("text", "context") and not _is_unicode(value):
            errors.append(
                RowError(path, line, column, "expected text that UTF-8 can hold, found half of a surrogate pair")
            )
    if "text" not in record:
        close = difflib.get_close_matches("text", [str(k) for k in record], 1, 0.5)
        hint = f" (did you mean {quoted(close[0])} to be text?)" if close else ""
        columns = ", ".join(quoted(str(k)) for k in record) or "none"
        errors.append(RowError(path, line, "text", f"expected this column, found the columns {columns}{hint}"))
    else:
        try:
            row = Row.model_validate(record)
        except ValidationError as error:
            for e in error.errors():
                column = ".".join(map(str, e["loc"])) or "row"
                errors.append(RowError(path, line, column, _sentence(e)))
    if record.get("label") is None:
        if labelled:
            errors.append(RowError(path, line, "label", f"expected one of {', '.join(marks)}, found no label"))
    elif isinstance(record["label"], str):
        _check_mark(path, line, "label", record["label"], marks, errors)
    for n, vote in enumerate(row.votes or [] if row else []):
        _check_mark(path, line, f"votes.{n}.label", vote.label, marks, errors)
    return row if len(errors) == found else None


def _check_mark(path: Path, line: int, column: str, value: str, marks: Sequence[str], errors: list[RowError]) -> None:
    if value not in marks:
        close = difflib.get_close_matches(value.lower(), marks, 1)
        hint = f" (did you mean {close[0]!r}?)" if close else "; other labels are named with --labels"
        errors.append(RowError(path, line, column, f"expected one of {', '.join(marks)}, found {quoted(value)}{hint}"))


def quoted(value: str) -> str:
    """A short value as it is. A long one may be an utterance in the wrong column: only its length is told."""
    return repr(value) if len(value) <= _TELLABLE and len(value.split()) <= 3 else f"a text of {len(value)} characters"


def _is_unicode(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        return False
    return True


def _sentence(error: Any) -> str:
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    return f"{error['msg'].lower()}, found {type(error['input']).__name__}"


def records(
    path: Path, errors: list[RowError], readers: Mapping[str, "Reader"], encoding: str | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The records of a file with the line that each starts on, one at a time; the file's ending picks the reader.

    Text is UTF-8, or UTF-16 with a byte order mark, unless `encoding` says otherwise. Lines that hold no record are
    appended to `errors`. Raises AsifError for a file that cannot be read at all.
    """
    if not path.is_file():
        raise AsifError(f"{path}: expected a file of rows, found nothing there.")
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise AsifError(
            f"{path}: expected a file ending in {', '.join(readers)}, found {repr(path.suffix) if path.suffix else 'no ending'}."
        )
    encoding = encoding or _encoding(path)
    try:
        yield from reader(path, errors, encoding)
    except UnicodeError as error:
        byte = f"byte {error.object[error.start]:#04x}" if isinstance(error, UnicodeDecodeError) else "something else"
        raise AsifError(
            f"{path}: expected {encoding.upper().removesuffix('-SIG')}, found {byte}; save the file as UTF-8, "
            "or name its encoding with `asif-data import --encoding`."
        ) from None


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(3)
    return next((name for mark, name in _BYTE_ORDER_MARKS.items() if start.startswith(mark)), "utf-8")


def _jsonl(path: Path, errors: list[RowError], encoding: str) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open(encoding=encoding) as file:
        for line, text in enumerate(file, 1):
            if not text.strip():
                continue
            try:
                record = json.loads(text)
            except (ValueError, RecursionError) as error:
                errors.append(RowError(path, line, "row", broken_json(error)))
                continue
            if isinstance(record, dict):
                yield line, record
            else:
                errors.append(RowError(path, line, "row", f"expected a JSON object, found {type(record).__name__}"))


def broken_json(error: Exception) -> str:
    """What to say of text that is no JSON."""
    reason = error.msg if isinstance(error, json.JSONDecodeError) else "too deep or too long a value"
    return f"expected a JSON object, found broken JSON ({reason})"


def _csv(path: Path, errors: list[RowError], encoding: str) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open(encoding=encoding, newline="") as file:
        delimiter = "\t" if path.suffix.lower() == ".tsv" else _delimiter(file)
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        header: list[str] | None = None
        while True:
            line = reader.line_num + 1
            try:
                values = next(reader, None)
            except csv.Error as error:
                errors.append(
                    RowError(path, line, "row", f"expected {path.suffix[1:].upper()}, found a broken row ({error})")
                )
                return
            if values is None:
                return
            if not values:
                continue
            if header is None:
                header = _unrepeated(path, [name.strip() for name in values])
            elif len(values) != len(header):
                errors.append(RowError(path, line, "row", f"expected {len(header)} values, found {len(values)}"))
            else:
                yield line, _from_cells(dict(zip(header, values, strict=True)))


def _delimiter(file: TextIO) -> str:
    """What parts the column names: spreadsheets write semicolons or tabs into .csv files in much of the world."""
    header = next((line for line in iter(file.readline, "") if line.strip()), "")
    file.seek(0)
    return max(",;\t", key=header.count)


def _from_cells(cells: dict[str, str]) -> dict[str, Any]:
    """An empty cell means no value; `votes` is JSON inside its cell."""
    record: dict[str, Any] = {k: v if v != "" else None for k, v in cells.items()}
    if isinstance(record.get("votes"), str):
        with contextlib.suppress(
            ValueError, RecursionError
        ):  # broken JSON stays text, which the row's own check then names
            record["votes"] = json.loads(record["votes"])
    if record.get("text", "") is None:
        record["text"] = ""
    return record


def _unrepeated(path: Path, names: list[str]) -> list[str]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise AsifError(f"{path}: expected each column once, found {', '.join(map(quoted, twice))} more than once.")
    return names


def _parquet(path: Path, errors: list[RowError], encoding: str) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        file = pyarrow.parquet.ParquetFile(path)
        yield from from_batches(path, file.schema_arrow, file.iter_batches())
    except (pyarrow.ArrowException, OSError):
        raise AsifError(
            f"{path}: expected a Parquet file, found a broken one or something else under that name."
        ) from None


def from_batches(
    path: Path, schema: pyarrow.Schema, batches: Iterable[pyarrow.RecordBatch]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The records of Arrow batches by number. A label stored by `datasets` as a number is given its name."""
    _unrepeated(path, schema.names)
    classes = _class_names(schema)
    number = 0
    for batch in batches:
        for record in batch.to_pylist():
            number += 1
            for column, names in classes.items():
                value = record[column]
                # `datasets` writes -1 where there is no label.
                record[column] = names[value] if isinstance(value, int) and 0 <= value < len(names) else None
            yield number, record


def _class_names(schema: pyarrow.Schema) -> dict[str, list[str]]:
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {
            column: list(feature["names"])
            for column, feature in features.items()
            if column in schema.names and isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (AttributeError, KeyError, TypeError, ValueError):
        return {}


Reader = Callable[[Path, list[RowError], str], Iterator[tuple[int, dict[str, Any]]]]
READERS: dict[str, Reader] = {".jsonl": _jsonl, ".csv": _csv, ".tsv": _csv, ".parquet": _parquet}
