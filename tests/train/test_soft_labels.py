"""Soft labels: what readings teachers are asked about, the file of their answers, and what a row's target becomes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asif_data.encoding import InputEncoder, Utterance
from asif_data.errors import AsifError
from asif_data.labels import LABELS, NONE
from asif_data.rows import Row
from asif_train.base_model import locate
from asif_train.dataset import PairDataset, TaughtDataset
from asif_train.finetune import save_tokenizer
from asif_train.soft_labels import DRAWS, SoftLabels, key, known, probabilities, read_soft_labels, recombined

ROWS = [
    Row(text="You felt alone there. Nobody came.", context="I waited.", label="empathy", group="a"),
    Row(text="How awful for you. I am so sorry.", context="I waited.", label="sympathy", group="a"),
    Row(text="That happened to me too, last year.", context="Then I left.", label="over-identification", group="b"),
    Row(text="See you on Monday.", label="none", group="c"),
]
MARKS = [*LABELS, NONE]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> InputEncoder:
    return save_tokenizer(locate(), tmp_path_factory.mktemp("tokenizer"), 64)


def taught(encoder: InputEncoder, soft: SoftLabels, **drawn: Any) -> TaughtDataset:
    return TaughtDataset(ROWS, LABELS, encoder, soft, 0.7, **drawn)


def test_a_row_is_read_with_its_client_turn_and_alone() -> None:
    assert list(known(ROWS[2:])) == [
        Utterance("That happened to me too, last year.", "Then I left."),
        Utterance("That happened to me too, last year."),
        Utterance("See you on Monday."),
    ]


def test_new_readings_are_clauses_of_one_group_beside_one_of_its_client_turns() -> None:
    found = recombined(ROWS)
    assert found
    of_group = {"I waited.": ROWS[0].text + ROWS[1].text, "Then I left.": ROWS[2].text, None: ROWS[3].text}
    for new in found:
        assert all(word in of_group[new.context] for word in new.text.split())
    assert not {key(new) for new in found} & {key(old) for old in known(ROWS)}


def test_rows_of_other_groups_change_no_new_reading_of_a_group(corpus_rows: list[Row]) -> None:
    some = [row for row in corpus_rows if row.group][:200]
    last = some[-1].group
    kept = [row for row in some if row.group != last]
    assert set(recombined(kept)) <= set(recombined(some))


def test_the_keys_tell_a_reply_with_a_client_turn_from_one_without() -> None:
    assert key(Utterance("b", "a")) != key(Utterance("ab")) != key(Utterance("a", "b"))
    assert key(Utterance("a")) == key(Utterance("a", ""))


def test_probabilities_are_those_of_the_labels_and_none() -> None:
    [found] = probabilities(np.array([[2.0, 0.0, -2.0]], np.float32))
    expected = np.exp([2.0, 0.0, -2.0, 0.0])
    assert found == pytest.approx(expected / expected.sum())


@given(st.lists(st.lists(st.floats(0.001, 1), min_size=4, max_size=4), min_size=1, max_size=5))
def test_a_file_gives_back_what_was_saved(tmp_path_factory: pytest.TempPathFactory, weights: list[list[float]]) -> None:
    path = tmp_path_factory.mktemp("soft") / "soft.txt"
    texts = [Utterance(f"reply {i}") for i in range(len(weights))]
    shares = {key(text): [w / sum(given) for w in given] for text, given in zip(texts, weights, strict=True)}
    SoftLabels(MARKS, shares).save(path)
    found = read_soft_labels(path)
    assert found.labels == tuple(MARKS)
    assert len(found) == len(texts)
    for text in texts:
        assert found.of(text) == pytest.approx(shares[key(text)], abs=5e-4)
    assert found.of(Utterance("never asked")) is None


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", ":1: expected `key`, the labels and none"),
        ("key empathy sympathy\n", ":1: expected `key`, the labels and none"),
        ("key empathy none\n0123 0.5 0.5\n4567 0.5\n", ":3: expected a key and 2 shares"),
        ("key empathy none\n0123 0.5 0.9\n", ":2: expected a key and 2 shares"),
        ("key empathy none\n0123 1.5 -0.5\n", ":2: expected a key and 2 shares"),
        ("key empathy none\n0123 nan 0.5\n", ":2: expected a key and 2 shares"),
        ("key empathy none\n0123 half half\n", ":2: expected a key and 2 shares"),
        ("key empathy none\n\n", ":2: expected a key and 2 shares"),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path: Path, text: str, place: str) -> None:
    path = tmp_path / "soft.txt"
    path.write_text(text)
    with pytest.raises(AsifError) as caught:
        read_soft_labels(path)
    assert str(caught.value).startswith(f"{path}{place}")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AsifError, match=r"nowhere\.txt: expected a file of soft labels"):
        read_soft_labels(tmp_path / "nowhere.txt")


def test_a_target_is_partly_the_rows_own_and_partly_the_teachers(encoder: InputEncoder) -> None:
    soft = SoftLabels(MARKS, {key(Utterance(ROWS[0].text, ROWS[0].context)): [0.6, 0.2, 0.1, 0.1]})
    data = taught(encoder, soft)
    assert data[0]["labels"] == pytest.approx([0.3 + 0.7 * 0.6, 0.14, 0.07, 0.07])
    assert data[1]["labels"] == [0, 1, 0, 0]
    assert data[3]["labels"] == [0, 0, 0, 1]


def test_a_row_without_its_client_turn_has_the_teachers_answer_to_that(encoder: InputEncoder) -> None:
    alone = Utterance(ROWS[0].text)
    data = taught(encoder, SoftLabels(MARKS, {key(alone): [0.0, 0.0, 0.0, 1.0]}), context_dropout=1.0)
    assert data[0]["labels"] == pytest.approx([0.3, 0, 0, 0.7])
    assert data[0]["input_ids"] == encoder([alone])[0].input_ids


def test_new_readings_follow_the_rows_with_the_teachers_answer_alone(encoder: InputEncoder) -> None:
    new = recombined(ROWS)[0]
    data = taught(encoder, SoftLabels(MARKS, {key(one): [0.25] * 4 for one in [*known(ROWS), new]}))
    assert len(data) == len(ROWS) + 1
    assert data[len(ROWS)] == {
        "input_ids": encoder([new])[0].input_ids,
        "token_type_ids": encoder([new])[0].token_type_ids,
        "labels": [0.25] * 4,
    }


def test_each_epoch_has_the_next_part_of_the_new_readings(encoder: InputEncoder) -> None:
    new = recombined(ROWS)
    data = taught(encoder, SoftLabels(MARKS, {key(one): [0.25] * 4 for one in [*known(ROWS), *new]}))
    part = len(data) - len(ROWS)
    assert part < len(new) <= part * DRAWS
    read = set()
    for data.epoch in range(DRAWS):
        read |= {tuple(data[i]["input_ids"]) for i in range(len(ROWS), len(data))}
    assert read == {tuple(row.input_ids) for row in encoder(new)}


def test_rows_no_teacher_was_asked_about_are_read_as_ever(encoder: InputEncoder) -> None:
    data = taught(encoder, SoftLabels(MARKS, {}), context_dropout=0.5, seed=3)
    plain = PairDataset(ROWS, LABELS, encoder, context_dropout=0.5, seed=3)
    assert len(data) == len(plain)
    for i in range(len(plain)):
        assert data[i]["input_ids"] == plain[i]["input_ids"]
        assert np.argmax(data[i]["labels"]) == plain[i]["labels"]
