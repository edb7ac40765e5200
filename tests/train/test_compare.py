"""Comparison: by hand, through fake models, and without anybody's words."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from asif_data.encoding import Utterance
from asif_data.errors import AsifError
from asif_data.labels import LABELS, MARKS, NONE
from asif_data.rows import Row
from asif_serve.decision import Decision
from asif_train.compare import TURNS, Comparison, compare, compare_judged, mcnemar
from asif_train.judged import Judged
from asif_train.report import jsonable

# Three rows of each mark, two of them a contrast set, in two topics; what each model answers to them.
GOLD = [mark for mark in MARKS for _ in range(3)]
OLD = [*["empathy"] * 3, "sympathy", "empathy", NONE, *["over-identification"] * 2, "sympathy", *[NONE] * 3]
NEW = [*["empathy"] * 2, NONE, *["sympathy"] * 2, "empathy", *["over-identification"] * 3, *[NONE] * 2, "empathy"]
ROWS = [
    Row.model_validate(
        {
            "text": f"canary reply {i}",
            "context": "canary client" if i % 2 else None,
            "label": label,
            "id": f"r{i}",
            "group": f"g{i}",
            "topic": "work" if i < 6 else "home",
            "contrast_set": label if i % 3 < 2 else None,
        }
    )
    for i, label in enumerate(GOLD)
]


class Fake:
    """A model that answers each row of ROWS with the answer given for it."""

    def __init__(self, name: str, answers: list[str], *, labels: tuple[str, ...] = LABELS, corpus: str = "c1") -> None:
        manifest = SimpleNamespace(name="fake", version=name, corpus_sha256=corpus)
        self.model = SimpleNamespace(path=Path(name), manifest=manifest, manifest_sha256=f"hash of {name}")
        self.form, self.labels = SimpleNamespace(file="onnx/fake.onnx"), labels
        self.answers = {row.text: answer for row, answer in zip(ROWS, answers, strict=True)}

    def __call__(self, utterances: Sequence[Utterance]) -> list[Decision]:
        return [self._decision(self.answers[utterance.text]) for utterance in utterances]

    def _decision(self, answer: str) -> Decision:
        best = self.labels[0] if answer == NONE else answer
        scores = tuple(0.8 if label == best else 0.1 for label in self.labels)
        withheld = answer == NONE
        return Decision(self.labels, scores, 0.2 if withheld else 0.9, "out_of_scope" if withheld else None, (best,))


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> dict[str, Fake]:
    """The models by the directory that they would be loaded from."""
    models = {"old": Fake("old", OLD), "new": Fake("new", NEW)}
    monkeypatch.setattr("asif_train.compare.load_predictor", models.__getitem__)
    return models


def judged(answers: Sequence[str]) -> Judged:
    return Judged.of(ROWS, Fake("any", list(answers))([Utterance(row.text) for row in ROWS]), LABELS)


def shown(found: Comparison) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        for table in found.tables():
            console.print(table)
    return capture.get()


def test_mcnemar_by_hand() -> None:
    # The new model alone has 1 row right, the old alone 5: P(at most 1 of 6 heads) is (1 + 6) / 64, twice for both sides.
    new = np.array([True, *[False] * 5, True, True, False])
    old = np.array([False, *[True] * 5, True, True, False])
    assert mcnemar(new, old) == {"only_new_right": 1, "only_old_right": 5, "p_value": pytest.approx(14 / 64)}
    assert mcnemar(old, new)["p_value"] == pytest.approx(14 / 64)


def test_mcnemar_of_models_that_are_right_on_the_same_rows_is_one() -> None:
    right = np.array([True, False])
    assert mcnemar(right, right) == {"only_new_right": 0, "only_old_right": 0, "p_value": 1.0}


def test_headlines_of_both_and_their_difference_by_hand(served: dict[str, Fake]) -> None:
    headline = compare("new", "old", ROWS, resamples=50).values["headline"]
    # Old: rows 4, 5 and 8 are wrong; new: rows 2, 5 and 11.
    accuracy = headline["accuracy incl. none"]
    assert (accuracy["old"], accuracy["new"], accuracy["difference"]["value"]) == (0.75, 0.75, 0)
    # F1 of empathy, sympathy, over-identification and none.
    old = np.mean([6 / 7, 2 / 5, 4 / 5, 6 / 7])
    new = np.mean([2 * 2 / 7, 4 / 5, 1, 2 * 2 / 6])
    incl_none = headline["macro-F1 incl. none"]
    assert (incl_none["old"], incl_none["new"]) == (pytest.approx(old), pytest.approx(new))
    assert incl_none["difference"]["value"] == pytest.approx(new - old)
    assert incl_none["difference"]["low"] < incl_none["difference"]["value"] < incl_none["difference"]["high"]
    # Of the contrast sets, the old model errs in that of sympathy and the new one in none.
    contrast = headline["contrast consistency"]
    assert (contrast["old"], contrast["new"], contrast["difference"]["rows"]) == (0.75, 1.0, 4)
    for found in headline.values():
        assert found["difference"]["value"] == pytest.approx(found["new"] - found["old"])


def test_every_headline_of_an_evaluation_is_compared(served: dict[str, Fake]) -> None:
    assert list(compare("new", "old", ROWS, resamples=0).values["headline"]) == [
        "macro-F1",
        "accuracy",
        "ECE",
        "Brier",
        "AURC",
        "in-scope AUROC",
        "FPR at 95 % TPR",
        "macro-F1 incl. none",
        "accuracy incl. none",
        "set coverage",
        "set size",
        "contrast consistency",
    ]


def test_two_labels_are_not_told_as_three_or_four(monkeypatch: pytest.MonkeyPatch) -> None:
    two = {"empathy": "warm", "sympathy": "cold", "over-identification": "warm", NONE: NONE}
    rows = [row.model_copy(update={"label": two[str(row.label)]}) for row in ROWS]
    old, new = (Fake(name, [two[a] for a in answers], labels=("warm", "cold")) for name, answers in (("old", OLD), ("new", NEW)))  # fmt: skip
    monkeypatch.setattr("asif_train.compare.load_predictor", {"old": old, "new": new}.__getitem__)
    found = compare("new", "old", rows, resamples=50)
    told = (shown(found) + json.dumps(found.values)).lower()
    assert "macro-f1 incl. none" in told
    assert not re.search(r"(three|four)[ -](way|label)", told)


def test_changed_answers_are_counted_by_what_they_turned_into(served: dict[str, Fake]) -> None:
    changed = compare("new", "old", ROWS, resamples=0).values["changed"]
    assert changed["rows"] == 5
    assert changed["turns"] == {"right to wrong": 2, "wrong to wrong": 1, "wrong to right": 2}
    assert {(found["old"], found["new"]): found["rows"] for found in changed["answers"]} == {
        ("empathy", NONE): 1,
        ("empathy", "sympathy"): 1,
        (NONE, "empathy"): 2,
        ("sympathy", "over-identification"): 1,
    }
    most = changed["answers"][0]
    assert (most["old"], most["new"]) == (NONE, "empathy")
    assert most["turns"] == {"right to wrong": 1, "wrong to wrong": 1, "wrong to right": 0}
    assert [(found["row"], found["id"], found["turn"]) for found in changed["listed"]] == [
        (3, "r2", "right to wrong"),
        (12, "r11", "right to wrong"),
        (6, "r5", "wrong to wrong"),
        (5, "r4", "wrong to right"),
        (9, "r8", "wrong to right"),
    ]


def test_at_most_some_tens_of_rows_are_listed(served: dict[str, Fake]) -> None:
    many = np.zeros(200, dtype=int)
    old = replace(judged(OLD), gold=many, answers=many, groups=np.arange(200))
    old = replace(old, scores=np.full((200, 3), 1 / 3), in_scope=np.ones(200))
    old = replace(old, sets=np.ones((200, 3), dtype=bool), uncertain=np.zeros(200, dtype=bool))
    new = replace(old, answers=np.repeat([1, 0], 100))
    rows = [Row(text=f"reply {i}", label="empathy") for i in range(200)]
    changed = compare_judged(new, old, rows, resamples=0)["changed"]
    assert changed["rows"] == changed["turns"]["right to wrong"] == 100
    assert 0 < len(changed["listed"]) <= 45


def test_slices_tell_the_accuracy_incl_none_of_both(served: dict[str, Fake]) -> None:
    found = {
        (part["column"], part["value"]): part for part in compare("new", "old", ROWS, resamples=50).values["slices"]
    }
    work, home = found["topic", "work"], found["topic", "home"]
    assert (work["rows"], work["old"], work["new"]) == (6, pytest.approx(4 / 6), pytest.approx(4 / 6))
    assert (home["rows"], home["old"], home["new"]) == (6, pytest.approx(5 / 6), pytest.approx(5 / 6))
    assert work["difference"]["value"] == 0


def test_slices_that_got_worse_come_by_the_rows_they_lost(served: dict[str, Fake]) -> None:
    served["new"] = Fake("new", [*OLD[:6], *["empathy"] * 3, *OLD[9:]])
    told = shown(compare("new", "old", ROWS, resamples=20))
    table = told[told.index("slices that got worse") :]
    assert "topic: home" in table
    assert "-0.333" in table
    assert "topic: work" not in table


def test_a_model_beside_itself_changed_in_nothing(served: dict[str, Fake]) -> None:
    found = compare("old", "old", ROWS, resamples=20)
    assert found.values["changed"]["rows"] == 0
    assert {(one["difference"]["low"], one["difference"]["high"]) for one in found.values["headline"].values()} == {
        (0, 0)
    }
    assert "answers changed" not in shown(found)
    assert "got worse" not in shown(found)


def test_the_tables_say_what_is_better_and_what_is_worse(served: dict[str, Fake]) -> None:
    served["old"], served["new"] = Fake("old", [*GOLD[3:], *GOLD[:3]]), Fake("new", GOLD)
    lines = [line for line in shown(compare("new", "old", ROWS, resamples=200)).splitlines() if " │ " in line]
    verdicts = {cells[0].strip(" │"): cells[4].strip(" │") for line in lines if len(cells := line.split(" │ ")) == 5}
    assert verdicts["accuracy incl. none"] == "better"
    assert verdicts["set coverage"] == ""
    served["old"], served["new"] = served["new"], served["old"]
    told = shown(compare("new", "old", ROWS, resamples=200))
    assert "worse" in next(line for line in told.splitlines() if "accuracy incl. none" in line)


def test_words_are_shown_only_where_they_are_asked_for(served: dict[str, Fake]) -> None:
    found = compare("new", "old", ROWS, resamples=0)
    for told in (shown(found), str(found), json.dumps(jsonable(found.values))):
        assert "canary" not in told
    asked = compare("new", "old", ROWS, resamples=0, texts=True)
    assert "Client: canary client Counselor: canary reply 5" in shown(asked)
    assert asked.values["changed"]["listed"][0]["text"] == "canary reply 2"


def test_models_are_named_by_their_manifests(served: dict[str, Fake]) -> None:
    values = compare("new", "old", ROWS, resamples=0).values
    assert values["new"]["manifest_sha256"] == "hash of new"
    assert values["old"]["model"] == {"name": "fake", "version": "old"}
    assert values["notes"] == []
    assert list(values["changed"]["turns"]) == list(TURNS)


def test_other_corpora_are_noted(served: dict[str, Fake]) -> None:
    served["new"] = Fake("new", NEW, corpus="c2")
    [note] = compare("new", "old", ROWS, resamples=0, corpus_sha256="c2").values["notes"]
    assert "different corpora" in note
    served["old"] = Fake("old", OLD, corpus="c2")
    assert compare("new", "old", ROWS, resamples=0, corpus_sha256="c2").values["notes"] == []
    [note] = compare("new", "old", ROWS, resamples=0, corpus_sha256="c3").values["notes"]
    assert "neither model" in note


def test_models_of_other_labels_cannot_be_compared(served: dict[str, Fake]) -> None:
    served["new"] = Fake("new", NEW, labels=("warm", "cool"))
    with pytest.raises(
        AsifError, match="same labels in the same order, found new with warm, cool and old with empathy"
    ):
        compare("new", "old", ROWS)


def test_labels_that_the_models_do_not_know_are_named(served: dict[str, Fake]) -> None:
    with pytest.raises(AsifError, match="which old knows, found advice"):
        compare("new", "old", [Row(text="Try a walk.", label="advice")])


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(AsifError, match="new: expected a model directory"):
        compare(tmp_path / "new", tmp_path / "old", ROWS)
