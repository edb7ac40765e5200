"""Scores of being in scope, side by side."""

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from sklearn.covariance import LedoitWolf
from torch import nn
from transformers import AutoModelForSequenceClassification, RobertaConfig, XLNetConfig

from asif_data.encoding import InputEncoder, Utterance
from asif_data.errors import AsifError
from asif_data.model_dir import TOKENIZER
from asif_data.rows import Row
from asif_train.evaluate import evaluate
from asif_train.withholding import DIFFERENCE, MEASURES, SERVED, Outputs, Withholding, outputs, scores_of, withholding


@pytest.fixture(scope="module")
def rows(corpus_rows: list[Row]) -> list[Row]:
    return [row for row in corpus_rows if row.split == "test"][:80]


@pytest.fixture(scope="module")
def compared(small_model: Path, corpus_rows: list[Row], rows: list[Row]) -> Withholding:
    train = [row for row in corpus_rows if row.split == "train"][:300]
    return withholding(small_model, train, {"test": rows}, resamples=20)


def test_scores_are_what_their_sources_define() -> None:
    rng = np.random.default_rng(0)
    gold = np.repeat([0, 1, 2], 40)
    known = Outputs(np.zeros((120, 2)), rng.normal(size=(120, 3)) + np.eye(3)[gold] * 4)
    given = Outputs(np.array([[1.0, 2.0], [-3.0, -1.0]]), np.array([[4.0, 0.0, 0.0], [0.0, 0.0, 4.0]]))
    found = {name: score(given) for name, score in scores_of(known, gold).items()}
    assert found[SERVED] == pytest.approx(np.log(np.exp(given.logits).sum(1)))
    assert found["maximum logit"].tolist() == [2.0, -1.0]
    assert found["maximum softmax probability"] == pytest.approx([1 / (1 + np.exp(-1)), 1 / (1 + np.exp(-2))])
    means = [known.features[gold == label].mean(0) for label in range(3)]
    within = np.concatenate([known.features[gold == label] - means[label] for label in range(2)])
    inverse = np.linalg.inv(LedoitWolf(assume_centered=True).fit(within).covariance_)
    squared = np.array([[(x - m) @ inverse @ (x - m) for m in means] for x in given.features])
    assert found["Mahalanobis"] == pytest.approx(-squared[:, :2].min(1))
    assert found["relative Mahalanobis"] == pytest.approx(squared[:, 2] - squared[:, :2].min(1))
    assert found["Mahalanobis"][0] > found["Mahalanobis"][1]


def test_the_served_score_is_that_of_the_evaluation(small_model: Path, rows: list[Row], compared: Withholding) -> None:
    served = evaluate(small_model, rows, resamples=0).values["headline"]
    for measure in MEASURES:
        # Both see the same network, one in float32 by torch, the other in the form that is served.
        assert compared.values[SERVED]["test"][measure]["value"] == pytest.approx(served[measure]["value"], abs=0.03)


def test_every_score_has_its_line_and_its_difference_from_the_served(compared: Withholding) -> None:
    assert list(compared.table().columns[0].cells) == list(compared.values)
    assert len(compared.values) == 5
    served = compared.values[SERVED]["test"]
    assert (served[DIFFERENCE]["low"], served[DIFFERENCE]["high"]) == (0, 0)
    for found in compared.values.values():
        auroc, difference = (found["test"][name]["value"] for name in (MEASURES[0], DIFFERENCE))
        assert auroc - served[MEASURES[0]]["value"] == pytest.approx(difference)


def test_the_head_reads_the_features_and_stands_afterwards(small_model: Path, rows: list[Row]) -> None:
    network = AutoModelForSequenceClassification.from_pretrained(small_model)
    head = cast(nn.Linear, network.classifier)
    found = outputs(network, InputEncoder(small_model / TOKENIZER, 256), rows[:5])
    assert network.classifier is head
    with torch.inference_mode():
        assert np.allclose(head(torch.tensor(found.features)).numpy(), found.logits, atol=1e-5)


def test_features_of_a_head_that_reads_all_tokens_are_those_of_the_first(small_model: Path, rows: list[Row]) -> None:
    config = RobertaConfig(
        vocab_size=31000,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        type_vocab_size=2,
    )
    network = AutoModelForSequenceClassification.from_config(config)
    encoder = InputEncoder(small_model / TOKENIZER, 64)
    found = outputs(network, encoder, rows[:1])
    [encoded] = encoder([Utterance(rows[0].text, rows[0].context)])
    inputs = {"input_ids": torch.tensor([encoded.input_ids]), "token_type_ids": torch.tensor([encoded.token_type_ids])}
    with torch.inference_mode():
        states = network.base_model(**inputs).last_hidden_state
    assert np.allclose(found.features, states[:, 0].numpy(), atol=1e-5)


def test_a_head_by_another_name_is_refused(small_model: Path, rows: list[Row]) -> None:
    config = XLNetConfig(vocab_size=50, d_model=8, n_layer=1, n_head=1, d_inner=8)
    network = AutoModelForSequenceClassification.from_config(config)
    with pytest.raises(AsifError, match="head named classifier"):
        outputs(network, InputEncoder(small_model / TOKENIZER, 64), rows[:1])


@pytest.mark.parametrize("label", ["none", "empathy"])
def test_rows_of_one_side_are_refused(small_model: Path, corpus_rows: list[Row], label: str) -> None:
    some = [row for row in corpus_rows if row.label == label][:5]
    with pytest.raises(AsifError, match=r"real: .*found only one of the two"):
        withholding(small_model, corpus_rows[:50], {"real": some}, resamples=0)
    with pytest.raises(AsifError, match="to fit the distances on, found none of"):
        withholding(small_model, some, {"test": corpus_rows[:50]}, resamples=0)
