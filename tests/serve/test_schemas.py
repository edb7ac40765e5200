import time

import pytest
from pydantic import ValidationError

from asif_data.encoding import Utterance
from asif_serve.decision import Decision
from asif_serve.schemas import MOST_ROWS, ClassifyIn, PredictIn, UtteranceIn, scores_out


def test_an_utterance_is_read_as_it_came():
    row = UtteranceIn(text=" You are  lost. ", context="", id="7")
    assert row.utterance() == Utterance(" You are  lost. ", "")


@pytest.mark.parametrize("text", ["", " ", "\t\n", "\u2003\u3000\xa0"])
def test_white_space_is_no_text(text):
    with pytest.raises(ValidationError, match="expected words, found only white space"):
        UtteranceIn(text=text)


def test_a_batch_holds_at_least_one_utterance():
    with pytest.raises(ValidationError):
        ClassifyIn(utterances=[])


@pytest.mark.parametrize(
    ("inputs", "utterances"),
    [
        ("a", [Utterance("a")]),
        (["a", "b"], [Utterance("a"), Utterance("b")]),
        ({"text": "a", "text_pair": "b"}, [Utterance("a", "b")]),
        ({"text": "a"}, [Utterance("a")]),
        ([{"text": "a", "text_pair": "b"}, "c"], [Utterance("a", "b"), Utterance("c")]),
    ],
)
def test_predict_takes_four_forms(inputs, utterances):
    assert PredictIn.model_validate({"inputs": inputs}).utterances() == utterances


@pytest.mark.parametrize("row", [{"text": "a"}, {}, 1, "a", None])
@pytest.mark.parametrize(("model", "field"), [(ClassifyIn, "utterances"), (PredictIn, "inputs")])
def test_a_list_past_all_bounds_is_refused_without_a_look_at_each_row(model, field, row):
    start = time.process_time()
    with pytest.raises(ValidationError) as caught:
        model.model_validate({field: [row] * 500_000})
    assert time.process_time() - start < 1
    assert "too_long" in [error["type"] for error in caught.value.errors()]
    assert caught.value.error_count() < 10


def test_the_longest_list_is_read():
    assert len(ClassifyIn.model_validate({"utterances": [{"text": "a"}] * MOST_ROWS}).utterances) == MOST_ROWS


def test_of_many_unknown_fields_one_is_told_beside_what_else_is_wrong():
    with pytest.raises(ValidationError) as caught:
        UtteranceIn.model_validate({"text": "", "id": 7} | {f"unknown {i}": i for i in range(1000)})
    assert [error["type"] for error in caught.value.errors()] == ["value_error", "string_type", "extra_forbidden"]


@pytest.mark.parametrize("text", ["\ud800", "a\udfff", "😀\udc00"])
@pytest.mark.parametrize("field", ["text", "context", "id"])
def test_half_a_surrogate_pair_is_no_text(field, text):
    with pytest.raises(ValidationError, match=r"half of a surrogate pair|unicode"):
        UtteranceIn.model_validate({"text": "fine", field: text})


def test_scores_go_by_label():
    decision = Decision(("a", "b"), (0.25, 0.75), 1.0, None, ("b",))
    assert scores_out(decision) == {"a": 0.25, "b": 0.75}
