"""Scores of being in scope, side by side."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, RobertaConfig

from asif_data.encoding import InputEncoder
from asif_data.errors import AsifError
from asif_data.model_dir import TOKENIZER
from asif_data.rows import Row
from asif_serve.predictor import load_predictor
from asif_train.evaluate import evaluate
from asif_train.withholding import MEASURES, SERVED, Withholding, answers, withholding


@pytest.fixture(scope="module")
def rows(corpus_rows: list[Row]) -> list[Row]:
    return [row for row in corpus_rows if row.split == "test"][:80]


@pytest.fixture(scope="module")
def compared(small_model: Path, corpus_rows: list[Row], rows: list[Row]) -> Withholding:
    train = [row for row in corpus_rows if row.split == "train"][:300]
    return withholding(small_model, train, {"test": rows}, resamples=20)


def test_the_served_score_is_that_of_the_evaluation(small_model: Path, rows: list[Row], compared: Withholding) -> None:
    served = evaluate(small_model, rows, resamples=0).values["headline"]
    for measure in MEASURES:
        # Both see the same network, one in float32 by torch, the other in the form that is served.
        assert compared.values[SERVED]["test"][measure]["value"] == pytest.approx(served[measure]["value"], abs=0.03)


def test_every_score_beats_chance_and_has_its_line(compared: Withholding) -> None:
    table = compared.table()
    assert list(table.columns[0].cells) == list(compared.values)
    assert len(compared.values) == 5
    for found in compared.values.values():
        auroc = found["test"]["in-scope AUROC"]
        assert 0.5 < auroc["low"] < auroc["value"] < auroc["high"] <= 1


def test_the_head_reads_the_states_and_stands_afterwards(small_model: Path, rows: list[Row]) -> None:
    network = AutoModelForSequenceClassification.from_pretrained(small_model)
    encoder = InputEncoder(small_model / TOKENIZER, load_predictor(small_model).model.manifest.max_tokens)
    head = network.classifier
    told = answers(network, encoder, rows[:5])
    assert network.classifier is head
    with torch.inference_mode():
        assert np.allclose(head(torch.tensor(told.states)).numpy(), told.logits, atol=1e-5)


def test_states_of_a_head_that_reads_all_tokens_are_those_of_the_first(small_model: Path, rows: list[Row]) -> None:
    config = RobertaConfig(
        vocab_size=31000,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        type_vocab_size=2,
    )
    network = AutoModelForSequenceClassification.from_config(config)
    told = answers(network, InputEncoder(small_model / TOKENIZER, 64), rows[:4])
    assert told.states.shape == (4, 16)


@pytest.mark.parametrize("label", ["none", "empathy"])
def test_rows_of_one_side_are_refused(small_model: Path, corpus_rows: list[Row], label: str) -> None:
    some = [row for row in corpus_rows if row.label == label][:5]
    with pytest.raises(AsifError, match=r"real: .*found only one of the two"):
        withholding(small_model, corpus_rows[:50], {"real": some}, resamples=0)
    with pytest.raises(AsifError, match="to fit the distances on, found none of"):
        withholding(small_model, some, {"test": corpus_rows[:50]}, resamples=0)
