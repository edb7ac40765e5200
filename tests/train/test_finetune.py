"""The loss, context dropout and batches."""

import shutil
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoTokenizer

from asif_data.encoding import InputEncoder, Utterance
from asif_data.errors import AsifError
from asif_data.rows import Row
from asif_train.base_model import BaseModel, locate
from asif_train.dataset import Collator, PairDataset, drops_context
from asif_train.finetune import keep_of_base, load_network, pinned_loss, rare_weights, save_tokenizer, torch_logits


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> InputEncoder:
    return save_tokenizer(locate(), tmp_path_factory.mktemp("tokenizer"), 64)


def test_the_loss_equals_cross_entropy_of_four_outputs_with_one_at_zero() -> None:
    logits = torch.tensor([[1.0, 2.0, 3.0], [0.5, -1.0, 0.0]])
    found = pinned_loss(SimpleNamespace(logits=logits), torch.tensor([2, 3]))
    first = torch.log(torch.exp(torch.tensor([1.0, 2.0, 3.0, 0.0])).sum()) - 3.0
    second = torch.log(torch.exp(torch.tensor([0.5, -1.0, 0.0, 0.0])).sum()) - 0.0
    assert found.item() == pytest.approx((first + second).item() / 2)


def test_a_none_row_pulls_every_logit_down() -> None:
    logits = torch.zeros(1, 3, requires_grad=True)
    pinned_loss(SimpleNamespace(logits=logits), torch.tensor([3])).backward()
    assert logits.grad is not None
    assert (logits.grad > 0).all()


def test_rows_count_alike_unless_one_label_has_less_than_half_of_its_share() -> None:
    assert rare_weights([0] * 10 + [1] * 8 + [2] * 6 + [3] * 8, 3) is None
    found = rare_weights([0] * 40 + [1] * 40 + [2] * 4 + [3] * 16, 3)
    assert found is not None
    assert found.tolist() == pytest.approx([1.0, 1.0, 12.5 / 4, 1.0])


def test_what_has_no_rows_asks_for_no_share() -> None:
    assert rare_weights([0] * 6 + [1] * 4, 2) is None
    found = rare_weights([0] * 18 + [1] * 2, 2)
    assert found is not None
    assert found.tolist() == pytest.approx([1.0, 2.5, 1.0])


def test_the_loss_counts_rows_by_their_weights() -> None:
    outputs, one = SimpleNamespace(logits=torch.tensor([[1.0, 2.0], [0.5, -1.0]])), torch.tensor([1.0, 1.0, 1.0])
    plain = pinned_loss(outputs, torch.tensor([0, 1]))
    assert pinned_loss(outputs, torch.tensor([0, 1]), weights=one).item() == pytest.approx(plain.item())
    first, second = (pinned_loss(SimpleNamespace(logits=outputs.logits[i : i + 1]), torch.tensor([i])) for i in (0, 1))
    found = pinned_loss(outputs, torch.tensor([0, 1]), weights=torch.tensor([1.0, 3.0, 1.0]))
    assert found.item() == pytest.approx((first + 3 * second).item() / 2)


def test_context_dropout_is_a_function_of_seed_epoch_and_row() -> None:
    def draw(seed: int, epoch: int) -> list[bool]:
        return [drops_context(seed, epoch, row, 0.3) for row in range(2000)]

    assert draw(0, 1) == draw(0, 1)
    assert draw(0, 1) != draw(0, 2)
    assert draw(0, 1) != draw(1, 1)
    assert 0.27 < sum(draw(0, 1)) / 2000 < 0.33
    assert not any(drops_context(0, 0, row, 0.0) for row in range(100))


def test_rows_lose_their_context_by_epoch(encoder: InputEncoder) -> None:
    rows = [Row(text="you felt alone", context="nobody called", label="empathy")] * 40
    data = PairDataset(rows, ["empathy"], encoder, context_dropout=0.5, seed=3)

    def lengths(epoch: int) -> list[int]:
        data.epoch = epoch
        return [len(data[i]["input_ids"]) for i in range(len(data))]

    assert len(set(lengths(0))) == 2
    assert lengths(0) != lengths(1)
    assert lengths(0) == lengths(0)


def test_rows_come_out_of_the_dataset_as_the_encoder_gives_them(encoder: InputEncoder) -> None:
    rows = [
        Row(text="you felt alone " * n, context="nobody called" if n % 2 else None, label="none") for n in range(1, 30)
    ]
    data = PairDataset(rows, ["empathy"], encoder)
    for i, encoded in enumerate(encoder([Utterance(row.text, row.context) for row in rows])):
        assert data[i] == {"input_ids": encoded.input_ids, "token_type_ids": encoded.token_type_ids, "labels": 1}


def test_a_token_takes_a_few_bytes(encoder: InputEncoder) -> None:
    rows = [Row(text="you felt utterly alone", context="nobody called me", label="none")] * 2000
    tracemalloc.start()
    data = PairDataset(rows, ["empathy"], encoder, context_dropout=0.3)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    tokens = len(rows) * (len(data[0]["input_ids"]) + len(encoder([Utterance(rows[0].text)])[0]))
    assert taken / tokens < 9


def test_a_batch_is_padded_to_its_own_longest_row() -> None:
    collate = Collator(9, ["input_ids", "attention_mask"])
    batch = collate(
        [
            {"input_ids": [1, 2, 3], "token_type_ids": [0, 0, 1], "labels": 0},
            {"input_ids": [1], "token_type_ids": [0], "labels": 3},
        ]
    )
    assert batch["input_ids"].tolist() == [[1, 2, 3], [1, 9, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["labels"].tolist() == [0, 3]
    assert "token_type_ids" not in batch


def test_the_packaged_tokenizer_loses_its_padding_and_truncation(encoder: InputEncoder, tmp_path) -> None:
    import json

    save_tokenizer(locate(), tmp_path, 64)
    saved = json.loads((tmp_path / "tokenizer.json").read_text())
    assert saved["padding"] is None
    assert saved["truncation"] is None


def test_the_head_alone_starts_at_random() -> None:
    base = locate()
    network, again, other = (load_network(base, ("a", "b"), seed) for seed in (0, 0, 1))
    assert network.config.id2label == {0: "a", 1: "b"}
    weights = [n.get_parameter("classifier.weight") for n in (network, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    key = "bert.encoder.layer.0.output.dense.weight"
    assert torch.equal(network.get_parameter(key), other.get_parameter(key))


def test_an_encoder_with_missing_weights_is_refused(tmp_path) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    folder = tmp_path / "base"
    shutil.copytree(locate().location, folder)
    tensors = load_file(folder / "model.safetensors")
    key = next(k for k in tensors if "layer.3.output.dense.weight" in k)
    del tensors[key]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(AsifError, match="whole encoder"):
        load_network(BaseModel("base", str(Path(folder)), "unknown"), ("a", "b"), 0)


def test_logits_are_those_of_each_row_alone(encoder: InputEncoder) -> None:
    network = load_network(locate(), ("a", "b"), 0)
    rows = [Row(text="so " * (i % 5 + 1), context="and " * (i % 3), label="empathy") for i in range(40)]
    together = torch_logits(network, encoder, rows)
    alone = torch.cat([torch_logits(network, encoder, [row]) for row in rows])
    assert together.shape == (40, 2)
    assert torch.allclose(together, alone, atol=1e-5)


def test_a_share_of_the_base_encoder_is_mixed_in_and_the_head_stays() -> None:
    network = load_network(locate(), ["empathy", "sympathy"], 0)
    base = {name: weights.detach().clone() for name, weights in network.base_model.named_parameters()}
    with torch.no_grad():
        for weights in network.parameters():
            weights.add_(1.0)
    head = network.classifier.weight.detach().clone()
    keep_of_base(network, base, 0.25)
    for name, weights in network.base_model.named_parameters():
        assert torch.allclose(weights, base[name] + 0.75, atol=1e-5)
    assert torch.equal(network.classifier.weight, head)


def test_trailing_dots_and_curly_quotes_are_read_as_plain_ones_by_every_tool(tmp_path: Path) -> None:
    base = locate()
    encoder = save_tokenizer(base, tmp_path, 64)
    shutil.copy(Path(base.location) / "config.json", tmp_path)
    typed, plain = (
        Utterance("I don\u2019t know... \u201cyes\u201d\u2026", "and then...."),
        Utterance('I don\'t know. "yes".', "and then."),
    )
    [found], [expected] = encoder([typed]), encoder([plain])
    assert found.input_ids == expected.input_ids
    theirs = AutoTokenizer.from_pretrained(tmp_path)(*typed)
    assert theirs["input_ids"] == found.input_ids
    assert theirs["token_type_ids"] == found.token_type_ids
