import pytest
from pydantic import ValidationError

from asif_data.encoding import Utterance
from asif_serve.decision import Decision
from asif_serve.schemas import ClassifyIn, PredictIn, UtteranceIn, scores_out


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


def test_scores_go_by_label():
    decision = Decision(("a", "b"), (0.25, 0.75), 1.0, None, ("b",))
    assert scores_out(decision) == {"a": 0.25, "b": 0.75}
