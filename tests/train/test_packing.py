"""Packed rows give the logits and gradients of padded ones."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, MPNetConfig, PreTrainedModel, RobertaConfig

from asif_data.encoding import InputEncoder
from asif_train import finetune
from asif_train.base_model import locate
from asif_train.corpus import read_corpus
from asif_train.dataset import Collator
from asif_train.finetune import input_names, load_network, save_tokenizer, train
from asif_train.objective import pinned_loss
from asif_train.packing import PackedCollator, can_pack, packed
from asif_train.recipe import read_recipe

ROWS = [
    {"input_ids": [101, 2017, 2371, 2894, 102], "token_type_ids": [0, 0, 0, 1, 1], "labels": 1},
    {"input_ids": [101, 2017, 102], "token_type_ids": [0, 0, 0], "labels": 0},
    {"input_ids": [101, 2894, 2371, 2017, 2017, 2894, 102], "token_type_ids": [0] * 7, "labels": 2},
]


def bert() -> PreTrainedModel:
    return load_network(locate(), ("a", "b"), 0).eval()


def roberta() -> PreTrainedModel:
    config = RobertaConfig(
        vocab_size=3000,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        pad_token_id=1,
        type_vocab_size=2,
    )
    return AutoModelForSequenceClassification.from_config(config).eval()


def padded_loss(network: PreTrainedModel) -> torch.Tensor:
    batch = Collator(network.config.pad_token_id, input_names(network))(ROWS)
    labels = batch.pop("labels")
    return pinned_loss(network(**batch), labels)


@pytest.mark.parametrize("build", [bert, roberta])
def test_logits_and_gradients_are_those_of_padded_rows(build: Any) -> None:
    network = build()
    batch = PackedCollator(network)(ROWS)
    labels = batch.pop("labels")
    assert batch["input_ids"].shape == (1, 15)
    expected = padded_loss(network)
    expected.backward()
    gradients = {name: value.grad.clone() for name, value in network.named_parameters() if value.grad is not None}
    network.zero_grad()
    with packed(network):
        found = pinned_loss(network(**batch), labels)
    found.backward()
    assert found.item() == pytest.approx(expected.item(), abs=1e-6)
    for name, value in network.named_parameters():
        assert (value.grad is None) == (name not in gradients)
        assert value.grad is None or torch.allclose(value.grad, gradients[name], atol=1e-5)


def test_the_network_takes_padded_rows_again_afterwards() -> None:
    network = bert()
    before = padded_loss(network)
    with pytest.raises(ZeroDivisionError), packed(network):
        raise ZeroDivisionError
    assert torch.equal(padded_loss(network), before)


def test_only_plain_encoders_are_given_packed_rows() -> None:
    network = bert()
    assert can_pack(network) == (not torch.accelerator.is_available())
    config = MPNetConfig(vocab_size=50, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    assert not can_pack(AutoModelForSequenceClassification.from_config(config))


@pytest.mark.parametrize("build", [bert, roberta])
def test_attention_drops_what_the_network_would_drop(build: Any) -> None:
    network = build()
    for module in network.modules():
        if type(module).__name__.endswith("SelfAttention"):
            module.dropout.p = 1.0  # nothing of any other token gets through
            module.train()
    batch = PackedCollator(network)(ROWS[:1])
    batch.pop("labels")
    with torch.inference_mode(), packed(network):
        first = network(**batch).logits
        batch["input_ids"][0, 1:] = 7
        assert torch.equal(network(**batch).logits, first)
        network.eval()
        assert not torch.allclose(network(**batch).logits, first)


def test_in_bfloat16_packed_logits_are_near_those_of_float32() -> None:
    network = bert()
    batch = PackedCollator(network)(ROWS)
    batch.pop("labels")
    with torch.inference_mode(), packed(network):
        expected = network(**batch).logits
        with torch.autocast("cpu", torch.bfloat16):
            found = network(**batch).logits.float()
    assert torch.allclose(found, expected, atol=0.02)


@pytest.mark.skipif(torch.accelerator.is_available(), reason="rows are packed on a CPU")
def test_training_computes_no_more_tokens_than_there_are(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[dict[str, Any]] = []

    class Watched(PackedCollator):
        def __call__(self, rows: Any) -> dict[str, Any]:
            batch = super().__call__(rows)
            batches.append({"tokens": sum(len(row["input_ids"]) for row in rows), **batch})
            return batch

    monkeypatch.setattr(finetune, "PackedCollator", Watched)
    encoder: InputEncoder = save_tokenizer(locate(), tmp_path, 64)
    corpus, recipe = read_corpus(few), read_recipe("small", batch_size=4, epochs=1)
    network = load_network(locate(), corpus.labels, 0)
    train(network, corpus, encoder, recipe, tmp_path / "checkpoints", resume=False)
    trained = batches[:12]
    assert sum(len(batch["labels"]) for batch in trained) == len(corpus.train) == 48
    assert all(batch["input_ids"].numel() == batch["tokens"] == sum(batch["lengths"]) for batch in trained)
    # Rows come as they fall, long ones beside short ones.
    assert any(max(batch["lengths"]) > 2 * min(batch["lengths"]) for batch in trained)
