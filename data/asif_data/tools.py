"""What annotation tools export, and how to read one record of each.

Every reader takes a record as the tool wrote it and returns an `Item`; it raises AttributeError, KeyError or
TypeError where the record has another shape. Only answers that an annotator gave count: skipped and cancelled ones,
drafts, and what a model proposed do not.

Sources: the task format and the converter of Label Studio, the task formats of Prodigy's choice and classification
interfaces, doccano's data_export, and the exporters of argilla 1 (FeedbackDataset) and 2 (records.to_json, to_datasets).
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """One annotator's answer: the label names ticked (none if skipped) and the place to name in errors."""

    annotator: str | None
    names: list[str]
    place: str


class Item(NamedTuple):
    """One utterance as a tool tells of it.

    `fields` are the columns that the user gave the tool. `answers` are lists of answers by question; None where the
    label is a column among the fields. `number` is the tool's id, for want of one among the fields. `skipped` are
    annotators who saw it and gave no answer on purpose.
    """

    fields: dict[str, Any]
    answers: dict[str, list[Answer]] | None = None
    number: str | None = None
    skipped: Sequence[str | None] = ()


def ticked(value: Any) -> list[str]:
    """The label names in an answer: a name, a list of names, or Label Studio's {"choices": [...]}, also as JSON."""
    if isinstance(value, str) and value.startswith(("{", "[")):
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    if isinstance(value, dict):
        value = value["choices"] if "choices" in value else str(value)
    if isinstance(value, list):
        parts = [part for part in value if part is not None]
        return [name for part in parts for name in (ticked(part) if isinstance(part, dict) else [str(part)])]
    return [] if value is None or value == "" or value != value else [str(value)]


def _label_studio(record: dict[str, Any]) -> Item:
    if "annotation_id" in record:  # JSON-MIN and CSV: a record for each annotation
        own = {"id", "annotation_id", "created_at", "updated_at", "lead_time", "agreement"}
        answers = None if record["annotation_id"] else {}  # a task that nobody annotated may have a column of labels
        return Item(_without(record, own), answers, f"label-studio-{record['id']}")
    answers = {}
    skipped = []
    for n, annotation in enumerate(record["annotations"]):
        who = annotation.get("completed_by")
        who = who.get("email", who.get("id")) if isinstance(who, dict) else who  # as in JSON-MIN and CSV
        results = [] if annotation.get("was_cancelled") else annotation["result"] or []
        given = [(m, r) for m, r in enumerate(results) if "choices" in (r.get("value") or {})]  # relations have none
        if not given:
            skipped.append(_text(who))
        for m, result in given:
            answer = Answer(_text(who), ticked(result["value"]), f"annotations.{n}.result.{m}")
            answers.setdefault(result["from_name"], []).append(answer)
    return Item({**record["data"]}, answers, f"label-studio-{record['id']}", skipped)


def _prodigy(record: dict[str, Any]) -> Item:
    own = {"answer", "accept", "options", "label", "meta", "config", "spans", "tokens"}
    fields = {**(record.get("meta") or {}), **_without(record, own)}
    fields = {key: value for key, value in fields.items() if not key.startswith("_")}
    who = _text(record.get("_annotator_id") or record.get("_session_id"))
    if record["answer"] != "accept":  # "reject" of a single label says what it is not, and no more
        return Item(fields, {"label": []}, skipped=[who])
    # An option whose id is a mere number is told by its text.
    texts = {option["id"]: option["text"] for option in record.get("options") or [] if isinstance(option["id"], int)}
    chosen = [name for name in (record["accept"] if "accept" in record else [record["label"]]) if name is not None]
    if not chosen:
        return Item(fields, {"label": []}, skipped=[who])
    place = "accept" if "accept" in record else "label"
    return Item(fields, {"label": [Answer(who, [str(texts.get(name, name)) for name in chosen], place)]})


def _doccano(record: dict[str, Any]) -> Item:
    own = {"id", "label", "labels", "annotations", "meta", "Comments"}
    fields = {**(record.get("meta") or {}), **_without(record, own)}
    if "annotations" in record:
        answers = [
            Answer(_text(a.get("user")), ticked(a["label"]), f"annotations.{n}")
            for n, a in enumerate(record["annotations"])
        ]
    else:  # one file for each annotator, under their name
        place = "label" if "label" in record else "labels"
        answers = [Answer(None, ticked(record[place]), place)]
    return Item(fields, {"label": answers}, f"doccano-{record['id']}" if "id" in record else None)


def _argilla(record: dict[str, Any]) -> Item:
    meta = record.get("metadata") or {}
    meta = json.loads(meta) if isinstance(meta, str) else meta
    number = _text(record.get("external_id") or record.get("id"))
    answers: dict[str, list[Answer]] = {}
    skipped: list[str | None] = []
    for question, who, value, status, place in _argilla_responses(record):
        given = answers.setdefault(question, []) if question else []
        if status == "submitted":
            given.append(Answer(_text(who), ticked(value), place))
        elif status == "discarded":
            skipped.append(_text(who))
    if "fields" in record:
        return Item({**meta, **record["fields"]}, answers, number, skipped)
    own = {"id", "external_id", "status", "_server_id", "metadata", "vectors", *answers}
    columns = {k: v for k, v in _without(record, own).items() if not any(mark in k for mark in _ARGILLA_COLUMNS)}
    return Item({**meta, **columns}, answers, number, skipped)


_ARGILLA_COLUMNS = (".responses", ".suggestion", "-suggestion")
_Response = tuple[str | None, Any, Any, str | None, str]


def _argilla_responses(record: dict[str, Any]) -> Iterator[_Response]:
    """Question (None if the response is to none), annotator, answer, status and place of every response."""
    if "fields" not in record:
        return _argilla_columns(record)
    responses = record["responses"] or []
    return _argilla_1(responses) if isinstance(responses, list) else _argilla_2(responses, record.get("status"))


def _argilla_1(responses: list[dict[str, Any]]) -> Iterator[_Response]:
    for n, response in enumerate(responses):
        for question, answer in (response["values"] or {None: {"value": None}}).items():
            place = f"responses.{n}.values.{question}"
            yield question, response["user_id"], answer["value"], response["status"], place


def _argilla_2(responses: dict[str, Any], status: str | None) -> Iterator[_Response]:
    # to_json keeps no response's status, so those of a pending record may be drafts.
    default = None if status == "pending" else "submitted"
    for question, given in responses.items():
        for n, r in enumerate(given):
            yield question, r["user_id"], r["value"], r.get("status", default), f"responses.{question}.{n}"


def _argilla_columns(record: dict[str, Any]) -> Iterator[_Response]:
    """Of a data set as `to_datasets` writes it: version 2's columns, or version 1's list of structs."""
    for key, value in record.items():
        if key.endswith(".responses"):
            question = key.removesuffix(".responses")
            parts = (record[f"{key}.users"] or [], value or [], record[f"{key}.status"] or [])
            yield question, None, None, None, key  # the question is there, also if nobody answered it
            yield from ((question, who, given, status, key) for who, given, status in zip(*parts, strict=True))
        elif f"{key}-suggestion" in record:
            yield key, None, None, None, key
            yield from ((key, r["user_id"], r["value"], r["status"], key) for r in value or [])


def _rows(record: dict[str, Any]) -> Item:
    return Item(record)


def _without(record: dict[str, Any], own: set[str]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in own}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


TOOLS: dict[str, Callable[[dict[str, Any]], Item]] = {
    "label-studio": _label_studio,
    "prodigy": _prodigy,
    "doccano": _doccano,
    "argilla": _argilla,
    "rows": _rows,
}


def recognise(record: dict[str, Any]) -> str:
    """The tool (a key of `TOOLS`) that wrote a record, told by its keys; "rows" for a plain table."""
    keys = set(record)
    if {"data", "annotations"} <= keys or {"annotation_id", "annotator"} <= keys:
        return "label-studio"
    if "answer" in keys and keys & {"_task_hash", "_input_hash"}:
        return "prodigy"
    if {"fields", "responses"} <= keys or any(key.endswith((".responses", "-suggestion")) for key in keys):
        return "argilla"
    if any(isinstance(record.get(key), list) for key in ("label", "labels", "annotations")):
        return "doccano"
    return "rows"
