"""Merging: what an import says of rows, put into the rows that were there before."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from asif_data.ids import ContentIds, same_words
from asif_data.packed import PackedRows
from asif_data.rows import Row, RowError, Vote

_Place = tuple[Path, int]


class Merge:
    """Rows, those there before first, with what an import adds to them, changes in them and takes back.

    Rows are the same where their ids are. `earlier` is the annotator of existing rows that have a label but no votes.
    `changed` holds the places in `rows` of existing rows that are not as they were.
    """

    def __init__(self, existing: Iterable[Row], earlier: str) -> None:
        ids = ContentIds()
        self.rows = PackedRows()
        self._at: dict[str, int] = {}
        for row in existing:
            name = row.id or ids.of(row.text, row.context, row.group)
            self._put(name, row.model_copy(update={"id": name}))
        self._earlier = earlier
        self._old = len(self.rows)
        self.changed: set[int] = set()
        # What this import says, by place in `rows`: who voted where, who says there to give no label, and what it holds.
        self._voted: defaultdict[str, dict[int, _Place]] = defaultdict(dict)
        self._declined: defaultdict[str, set[int]] = defaultdict(set)
        self._held: set[int] = set()

    @property
    def added(self) -> int:
        """How many rows are new."""
        return len(self.rows) - self._old

    def _put(self, name: str, row: Row) -> int:
        at = self._at.setdefault(name, len(self.rows))
        if at == len(self.rows):
            self.rows.append(row)
        elif self.rows.put(at, row) and at < self._old:
            self.changed.add(at)
        return at

    def add(
        self, path: Path, line: int, row: Row, silent: Mapping[str, bool], ids: ContentIds, errors: list[RowError]
    ) -> None:
        """Merge what was read at a place, or say why it contradicts what was read before.

        `row` holds the votes given there, if any. `silent` are annotators without a vote there: True for those who say
        so (skipped, or unsure), False for an empty answer.
        """
        votes = {vote.annotator: vote for vote in row.votes or []}
        who = next(iter([*votes, *silent]), "")
        name = row.id or (ids.of if votes else ids.next)(row.text, row.context, row.group, who)
        at = self._at.get(name)
        known = None if at is None else self.rows[at]
        if votes:
            if problems := [*_other_words(known, row), *self._other_votes(at, row, f"{path}:{line}")]:
                errors += [RowError(path, line, column, message) for column, message in problems]
                return
            at = self._put(name, self._merged(known, name, row, votes))
            for annotator in votes:
                self._voted[annotator].setdefault(at, (path, line))
        for annotator, says_so in silent.items():
            self._declined[annotator].update({at} if says_so and at is not None else ())
        if at is not None and at < self._old:
            self._held.add(at)

    def _other_votes(self, at: int | None, row: Row, place: str) -> Iterator[tuple[str, str]]:
        """Where an annotator gives one row two labels, here or here and earlier in this import."""
        given: dict[str, str] = {}
        for vote in row.votes or []:
            known = self._voted[vote.annotator].get(at) if at is not None else None
            if known:
                label = next(v.label for v in self.rows[at or 0].votes or [] if v.annotator == vote.annotator)
                where = f"{known[0]}:{known[1]}"
            else:
                label, where = given.setdefault(vote.annotator, vote.label), place
            if label != vote.label:
                found = f"found {vote.label!r} here and {label!r} at {where}"
                yield "label", f"expected one label by one annotator, {found}"

    def _merged(self, known: Row | None, name: str, row: Row, votes: dict[str, Vote]) -> Row:
        if known is None:
            verdict = _verdict(list(votes.values())) | ({"label": row.label} if row.label else {})
            return row.model_copy(update={"id": name, "votes": list(votes.values()), **verdict})
        unnamed = [Vote(annotator=self._earlier, label=known.label)] if known.label else []
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

    def withdraw(self, absent: bool) -> tuple[int, int]:
        """Take back earlier votes whose annotators now say that they give none, and count them.

        The other number counts earlier votes that are merely absent: of annotators whom the files name, on rows that
        the files hold, without an answer there. With `absent` those are taken back too.
        """
        counts = Counter[bool]()
        named = self._voted.keys() | self._declined.keys()
        for at in sorted(self._held):
            row = self.rows[at]
            kept = []
            for vote in row.votes or []:
                gone = vote.annotator in named and at not in self._voted[vote.annotator]
                declined = gone and at in self._declined[vote.annotator]
                if gone:
                    counts[declined] += 1
                if not gone or not (declined or absent):
                    kept.append(vote)
            if len(kept) < len(row.votes or []):
                self._put(str(row.id), row.model_copy(update={"votes": kept, **_verdict(kept)}))
        return counts[True] + counts[False] * absent, counts[False] * (not absent)


def _other_words(known: Row | None, row: Row) -> Iterator[tuple[str, str]]:
    for column in ("text", "context") if known else ():
        before, now = same_words(getattr(known, column)), same_words(getattr(row, column))
        if before and now and before != now:
            message = f"expected the {column} that this id stood for before, found another; say which column identifies a row with --id"
            yield column, message


def _verdict(votes: Sequence[Vote]) -> dict[str, Any]:
    """The majority's label, or none for a tie or without votes, and whether the votes differ."""
    counts = Counter(vote.label for vote in votes).most_common(2)
    tie = len(counts) > 1 and counts[0][1] == counts[1][1]
    return {"label": None if tie or not counts else counts[0][0], "contested": len(counts) > 1}
