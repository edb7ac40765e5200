"""Counselor replies, read out of the files in which AnnoMI, ESConv and EPITOME are published.

Source of the formats: the READMEs and files of the GitHub repositories in `CORPORA`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from asif_data.errors import AsifError
from asif_data.importing import FILE_READERS
from asif_data.rows import READERS, BadRows, RowError, quoted, records


class Reply(NamedTuple):
    """A counselor's turn, the client's last turn before it, and a name that all replies of a conversation share."""

    text: str
    context: str | None
    group: str


class Corpus(NamedTuple):
    """A published corpus: name, GitHub repository, what its files are called (a glob pattern), and how one is read."""

    name: str
    home: str
    files: str
    read: Callable[[Path, list[RowError]], Iterator[Reply]]


def read_replies(corpus: str, path: str | Path) -> list[Reply]:
    """All replies of a corpus (a key of `CORPORA`), from one of its files or a folder that holds them at any depth.

    Raises AsifError where the path holds no such file or a file has another shape, BadRows for broken lines.
    """
    name, _, pattern, read = CORPORA[corpus]
    path = Path(path)
    files = sorted(path.rglob(pattern)) if path.is_dir() else [path]
    if not files:
        raise AsifError(f"{path}: expected {name}'s {pattern} in this folder, found no such file.")
    errors: list[RowError] = []
    replies = [reply for file in files for reply in read(file, errors) if reply.text.strip()]
    if errors:
        raise BadRows(errors)
    if not replies:
        raise AsifError(f"{path}: expected {name} with at least one reply, found none.")
    return replies


def _table(path: Path, errors: list[RowError], columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV file that has these columns; an empty cell is an empty text."""
    for line, record in records(path, errors, {".csv": READERS[".csv"]}):
        if missing := [column for column in columns if column not in record]:
            found = ", ".join(map(quoted, record))
            raise AsifError(f"{path}: expected the columns {', '.join(columns)}, found no {missing[0]} but {found}.")
        yield line, {column: record[column] or "" for column in columns}


def _replies(turns: Iterable[tuple[bool, str]], group: str) -> Iterator[Reply]:
    """The counselor's turns of a conversation, given as (is it the client's?, text)."""
    context = None
    for is_client, text in turns:
        if is_client:
            context = text
        else:
            yield Reply(text, context, group)


def _annomi(path: Path, errors: list[RowError]) -> Iterator[Reply]:
    """AnnoMI-full.csv has a row for each annotator of an utterance; AnnoMI-simple.csv has one row."""
    sessions: dict[str, dict[int, tuple[bool, str]]] = {}
    columns = ("transcript_id", "utterance_id", "interlocutor", "utterance_text")
    for line, row in _table(path, errors, columns):
        session, number, who, text = row.values()
        if not re.fullmatch("[0-9]+", number):
            raise AsifError(f"{path}:{line}: utterance_id: expected a whole number, found {quoted(number)}.")
        if who not in ("client", "therapist"):
            raise AsifError(f"{path}:{line}: interlocutor: expected client or therapist, found {quoted(who)}.")
        sessions.setdefault(session, {})[int(number)] = (who == "client", text)
    for session, turns in sessions.items():
        yield from _replies([turns[number] for number in sorted(turns)], f"annomi-{session}")


def _epitome(path: Path, errors: list[RowError]) -> Iterator[Reply]:
    """A row is a response with its post."""
    for _, row in _table(path, errors, ("sp_id", "seeker_post", "response_post")):
        post, context, text = row.values()
        yield Reply(text, context or None, f"epitome-{post}")


_IS_CLIENT = {"seeker": True, "usr": True, "supporter": False, "sys": False}


def _esconv(path: Path, errors: list[RowError]) -> Iterator[Reply]:
    """ESConv.json: a list of conversations. As .tsv, what the corpus' own code made of it for training."""
    if path.suffix.lower() == ".tsv":
        yield from _esconv_windows(path, errors)
        return
    for number, record in records(path, errors, _ESCONV_READERS):
        try:
            turns = [_turn(turn) for turn in record["dialog"]]
        except (AttributeError, KeyError, TypeError):
            raise AsifError(
                f"{path}: conversation {number}: expected `dialog`, a list of turns with a speaker ({', '.join(_IS_CLIENT)}) "
                "and their content, found another shape."
            ) from None
        yield from _replies(turns, f"esconv-{number}")


def _turn(turn: dict[str, Any]) -> tuple[bool, str]:
    text = turn["content"] if "content" in turn else turn["text"]
    return _IS_CLIENT[turn["speaker"]], text.strip()


_WINDOW_TURN = re.compile(r"\S+ (?P<who>[01]) (?P<number>\d+) ?(?P<text>.*)")
_STRATEGY = re.compile(r"^\[[^]]*\]")


def _esconv_windows(path: Path, errors: list[RowError]) -> Iterator[Reply]:
    """A line for each reply, in order; where its number falls, another conversation begins."""
    conversation, last = 0, -1
    for _, record in records(path, errors, _ESCONV_READERS):
        number = record["number"]
        conversation += number <= last
        last = number
        *_, reply = _replies(record["turns"], f"esconv-{path.stem}-{conversation}")
        yield reply


def _windows(path: Path, errors: list[RowError], encoding: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Some turns and the reply to them: `weight who number text`, parted by EOS; the counselor's have a [strategy]."""
    with path.open(encoding=encoding) as file:
        for line, text in enumerate(file, 1):
            parts = text.split(" EOS ")
            found = [match for part in parts if (match := _WINDOW_TURN.fullmatch(part.strip()))]
            if len(found) < len(parts) or found[-1]["who"] != "1":
                raise AsifError(
                    f"{path}:{line}: expected turns as in devWithStrategy_short.tsv, a supporter's the last, found others."
                )
            yield line, {"turns": [_window_turn(match) for match in found], "number": int(found[-1]["number"])}


def _window_turn(match: re.Match[str]) -> tuple[bool, str]:
    is_client = match["who"] == "0"
    return is_client, (match["text"] if is_client else _STRATEGY.sub("", match["text"], count=1)).strip()


_ESCONV_READERS = {".json": FILE_READERS[".json"], ".jsonl": FILE_READERS[".jsonl"], ".tsv": _windows}

CORPORA = {
    "annomi": Corpus("AnnoMI", "uccollab/AnnoMI", "AnnoMI-*.csv", _annomi),
    "esconv": Corpus("ESConv", "thu-coai/Emotional-Support-Conversation", "ESConv.json", _esconv),
    "epitome": Corpus("EPITOME-Reddit", "behavioral-data/Empathy-Mental-Health", "*-reddit.csv", _epitome),
}
