"""Rows for a new round of labelling, in the shapes that annotation tools take in."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from asif_data.errors import AsifError
from asif_data.files import write_atomically
from asif_data.ids import ContentIds
from asif_data.labels import MARKS
from asif_data.rows import Row

Shape = Callable[[str, Row], dict[str, Any]]


def _label_studio(name: str, row: Row) -> dict[str, Any]:
    # Its view wants every field in every task. The tool's CSV overwrites `id`, so ours has a name of its own.
    return {"data": {"text": row.text, "context": row.context or "", "group": row.group or "", "row_id": name}}


def _argilla(name: str, row: Row) -> dict[str, Any]:
    fields = {"text": row.text} | ({"context": row.context} if row.context else {})
    meta = {"group": row.group} if row.group else {}
    return {"id": name, "fields": fields, "metadata": meta, "suggestions": {}, "responses": {}, "vectors": {}}


SHAPES: dict[str, Shape] = {"label-studio": _label_studio, "argilla": _argilla}


def check_shape(shape: str) -> None:
    """Raise AsifError, for the flag --to, unless it is the shape of a tool."""
    if shape not in SHAPES:
        raise AsifError(f"to: expected one of {', '.join(SHAPES)}, found {shape!r}.")


def export_rows(rows: Iterable[Row], shape: str) -> Iterator[dict[str, Any]]:
    """One record a row in the shape of "label-studio" (tasks) or "argilla" (records, for `records.from_json`).

    Text, context, group and id go out, so that an import gives the same rows back. Labels and votes stay: who labels
    next should not see what others said. A row without an id gets the one that an import would give it.
    """
    check_shape(shape)
    ids = ContentIds()
    for row in rows:
        yield SHAPES[shape](row.id or ids.of(row.text, row.context, row.group), row)


def write_export(path: Path, rows: Iterable[Row], shape: str, labels: Sequence[str] = MARKS) -> str | None:
    """Write rows to a JSON file in the shape of a tool; what is left for the user to do in the tool, if anything."""
    write_atomically(path, json.dumps(list(export_rows(rows, shape)), ensure_ascii=False, indent=1) + "\n")
    if shape != "label-studio":
        return None
    return f"Labeling interface to paste into Label Studio (Settings, Code):\n{label_studio_view(labels)}"


def label_studio_view(labels: Sequence[str] = MARKS) -> str:
    """The labelling interface (XML) that shows such tasks and asks for one of the labels."""
    choices = "\n".join(f"    <Choice value={quoteattr(label)}/>" for label in labels)
    return f"""<View>
  <Header value="The client"/>
  <Text name="context" value="$context"/>
  <Header value="The counselor"/>
  <Text name="text" value="$text"/>
  <Choices name="label" toName="text" choice="single" required="true">
{choices}
  </Choices>
</View>"""
