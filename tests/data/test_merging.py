"""What an import takes back of earlier ones."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asif_data.importing import Imported, Settings, import_rows
from asif_data.label_names import LabelNames
from asif_data.labels import MARKS
from asif_data.rows import Row, Vote

Import = Callable[..., Imported]


@pytest.fixture
def imported(tmp_path: Path) -> Import:
    """Import records as one JSON file, into what an earlier import gave."""

    def of(records: Any, before: Imported | None = None, name: str = "a.json", **options: Any) -> Imported:
        (tmp_path / name).write_text(json.dumps(records) if name.endswith(".json") else records)
        columns = {"settings": options.pop("settings", None)}
        return import_rows([tmp_path / name], existing=before.rows if before else (), **columns, **options)

    return of


def task(number: int, **labels: str | None) -> dict[str, Any]:
    """A Label Studio task with an annotation by each annotator; None for one who skipped it."""
    annotations = [
        {
            "completed_by": who,
            "was_cancelled": label is None,
            "result": [{"from_name": "label", "value": {"choices": [label]}}] if label else [],
        }
        for who, label in labels.items()
    ]
    return {"id": number, "data": {"text": f"Text {number}."}, "annotations": annotations}


def votes(found: Imported) -> list[dict[str, str]]:
    return [{vote.annotator: vote.label for vote in row.votes or []} for row in found.rows]


def counts(found: Imported) -> tuple[int, int, int, int]:
    return found.changed, found.withdrawn, found.absent, found.ties


BEFORE = [task(1, ann="none", bob="empathy", cy="none"), task(2, ann="none", bob="none")]


def test_who_skips_now_takes_the_earlier_vote_back(imported: Import) -> None:
    found = imported([task(1, ann=None, bob="empathy", cy="none"), BEFORE[1]], imported(BEFORE))
    assert votes(found) == [{"bob": "empathy", "cy": "none"}, {"ann": "none", "bob": "none"}]
    assert [row.label for row in found.rows] == [None, "none"]
    assert counts(found) == (1, 1, 0, 1)


def test_an_answer_left_empty_counts_as_skipped(imported: Import) -> None:
    empty = {"completed_by": "ann", "was_cancelled": False, "result": []}
    now = BEFORE[1] | {"annotations": [empty, *BEFORE[1]["annotations"][1:]]}
    assert votes(imported([now], imported([BEFORE[1]]))) == [{"bob": "none"}]


def test_who_is_unsure_now_takes_the_earlier_vote_back(imported: Import) -> None:
    names = Settings(names=LabelNames({"Unsure": ""}))
    found = imported([task(1, ann="Unsure", bob="empathy", cy="none")], imported(BEFORE), settings=names)
    assert votes(found)[0] == {"bob": "empathy", "cy": "none"}


def prodigy(answer: str, who: str = "ann", text: str = "Hm.") -> dict[str, Any]:
    about = {"_input_hash": 1, "_task_hash": 2, "_annotator_id": who}
    return {"text": text, "answer": answer, "label": "none"} | about


@pytest.mark.parametrize("answer", ["ignore", "reject"])
def test_a_prodigy_answer_that_is_ignored_or_rejected_is_taken_back(imported: Import, answer: str) -> None:
    before = imported([prodigy("accept"), prodigy("accept", "bob")])
    found = imported([prodigy(answer), prodigy("accept", "bob")], before)
    assert (votes(found), found.withdrawn) == ([{"bob": "none"}], 1)


def test_of_two_rows_in_the_same_words_the_one_that_is_skipped_hides_no_vote(imported: Import) -> None:
    found = imported([prodigy("ignore"), prodigy("accept")], imported([prodigy("accept")]))
    assert (votes(found), found.added, found.withdrawn) == ([{"ann": "none"}], 0, 0)


def argilla(status: str, who: str = "ann") -> dict[str, Any]:
    values = None if status == "discarded" else {"label": {"value": "none"}}
    responses = [{"user_id": who, "values": values, "status": status}]
    return {"fields": {"text": "Hm."}, "responses": responses, "external_id": f"r-{who}"}


@pytest.mark.parametrize(("status", "left"), [("discarded", {}), ("draft", {"ann": "none"})])
def test_an_argilla_answer_that_is_discarded_is_taken_back(imported: Import, status: str, left: dict[str, str]) -> None:
    before = imported([argilla("submitted"), argilla("submitted", "bob")])
    found = imported([argilla(status), argilla("submitted", "bob")], before)
    assert votes(found) == [left, {"bob": "none"}]


def test_argilla_columns_tell_what_is_discarded(imported: Import) -> None:
    def record(status: str) -> dict[str, Any]:
        users = {"label.responses.users": ["ann", "bob"], "label.responses.status": [status, "submitted"]}
        return {"id": "r1", "text": "Hm.", "label.responses": ["none", "none"], **users}

    assert votes(imported([record("discarded")], imported([record("submitted")]))) == [{"bob": "none"}]


def test_an_annotation_that_is_gone_is_told_and_kept_until_asked(imported: Import) -> None:
    now = [task(1, bob="empathy", cy="none"), BEFORE[1]]
    kept = imported(now, imported(BEFORE))
    assert (votes(kept), counts(kept)) == (votes(imported(BEFORE)), (0, 0, 1, 0))
    gone = imported(now, imported(BEFORE), withdraw=True)
    assert votes(gone)[0] == {"bob": "empathy", "cy": "none"}
    assert counts(gone) == (1, 1, 0, 1)


def test_a_task_without_annotations_any_more_is_held_by_the_file(imported: Import) -> None:
    found = imported([task(1), BEFORE[1]], imported(BEFORE), withdraw=True)
    assert (votes(found)[0], found.withdrawn) == ({"cy": "none"}, 2)  # nothing in the file is by cy


def test_votes_given_elsewhere_stay(imported: Import) -> None:
    """Of another annotator, and on rows that the file does not hold."""
    again = imported([task(1, dan="empathy")], imported(BEFORE), withdraw=True)
    assert votes(again)[0] == {"ann": "none", "bob": "empathy", "cy": "none", "dan": "empathy"}
    assert (votes(again)[1], again.withdrawn) == ({"ann": "none", "bob": "none"}, 0)


def test_a_cell_emptied_since_is_told_and_taken_back_when_asked(imported: Import) -> None:
    before = imported("id,text,label\n1,Hm.,none\n2,Oh.,none\n", name="ann.csv")
    now = "id,text,label\n1,Hm.,\n2,Oh.,none\n"
    assert (votes(imported(now, before, name="ann.csv"))[0], imported(now, before, name="ann.csv").absent) == (
        {"ann": "none"},
        1,
    )
    found = imported(now, before, name="ann.csv", withdraw=True)
    assert (votes(found)[0], [row.label for row in found.rows], found.withdrawn) == ({}, [None, "none"], 1)
    assert votes(imported(now, found, name="ann.csv", withdraw=True)) == votes(found)


def test_a_sheet_still_empty_takes_nothing_back(imported: Import) -> None:
    """Last week's sheet by mistake as it was before anyone labelled it."""
    before = imported("id,text,label\n1,Hm.,none\n", name="ann.csv")
    found = imported("id,text,label\n1,Hm.,\n", before, name="ann.csv")
    assert (votes(found), found.absent) == ([{"ann": "none"}], 1)


def test_a_row_that_lost_its_votes_is_labelled_by_the_next(imported: Import) -> None:
    before = imported([task(1, ann="none")])
    lost = imported([task(1, ann=None)], before)
    assert (votes(lost), counts(lost)) == ([{}], (1, 1, 0, 1))
    found = imported([task(1, ann="empathy")], lost)
    assert (votes(found), [row.label for row in found.rows], found.added) == ([{"ann": "empathy"}], ["empathy"], 0)


def test_a_label_without_votes_is_nobodys_to_take_back(imported: Import) -> None:
    before = Imported(imported([task(1, ann="none")]).rows)
    before.rows.put(0, Row(text="Text 1.", label="none", id="label-studio-1"))
    found = imported([task(1, ann=None)], before, withdraw=True)
    assert ([row.label for row in found.rows], found.withdrawn) == (["none"], 0)


ANSWERS = st.dictionaries(st.sampled_from(["ann", "bob", "cy"]), st.none() | st.sampled_from(MARKS))


@settings(deadline=None, max_examples=60)
@given(st.lists(ANSWERS, min_size=1, max_size=4), st.lists(ANSWERS, min_size=1, max_size=4))
def test_with_withdraw_the_newest_files_are_what_their_annotators_say(
    tmp_path_factory: pytest.TempPathFactory, earlier: list[dict[str, str | None]], now: list[dict[str, str | None]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "merging.json"
    started = [Row(text=f"Text {n}.", id=f"label-studio-{n}", label="none", votes=[Vote(annotator="old", label="none")])
               for n in range(4)]  # fmt: skip

    def imported(rows: Any, answers: list[dict[str, str | None]]) -> Imported:
        path.write_text(json.dumps([task(n, **labels) for n, labels in enumerate(answers)]))
        return import_rows([path], existing=rows, withdraw=True)

    found = imported(imported(started, earlier).rows, now)
    named = {who for labels in now for who in labels}
    for n, row in enumerate(found.rows):
        given = now[n] if n < len(now) else {}
        said = {who: label for who, label in given.items() if label}
        before = earlier[n] if n < len(earlier) else {}
        kept = {who: label for who, label in before.items() if label and (n >= len(now) or who not in named)}
        assert {v.annotator: v.label for v in row.votes or []} == {"old": "none"} | kept | said
    again = imported(found.rows, now)
    assert again.rows == found.rows
    assert (again.changed, again.withdrawn, again.absent) == (0, 0, 0)
