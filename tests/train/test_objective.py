"""What fine-tuning minimises, against values computed one by one."""

from types import SimpleNamespace

import pytest
import torch

from asif_data.errors import AsifError
from asif_train.base_model import locate
from asif_train.finetune import load_network
from asif_train.objective import contrastive_loss, objective, pinned_loss


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


def test_the_contrastive_loss_is_that_of_each_pair() -> None:
    features = torch.tensor([[1.0, 0.0], [3.0, 4.0], [0.0, 2.0], [-1.0, 1.0]])
    labels = [0, 0, 1, 1]
    directions = features / features.norm(dim=1, keepdim=True)
    expected = 0.0
    for i, j in ((0, 1), (1, 0), (2, 3), (3, 2)):
        others = torch.stack([directions[i] @ directions[k] / 0.1 for k in range(4) if k != i])
        expected -= (directions[i] @ directions[j] / 0.1 - torch.logsumexp(others, 0)).item()
    assert contrastive_loss(features, torch.tensor(labels)).item() == pytest.approx(expected, rel=1e-5)


def test_rows_of_one_label_side_by_side_cost_less_than_rows_mixed() -> None:
    apart = torch.tensor([[1.0, 0.1], [1.0, 0.0], [0.0, 1.0], [0.1, 1.0]])
    assert contrastive_loss(apart, torch.tensor([0, 0, 1, 1])) < contrastive_loss(apart, torch.tensor([0, 1, 0, 1]))


@pytest.mark.parametrize("labels", [[0], [0, 1, 2]])
def test_rows_that_share_no_label_cost_nothing_and_give_no_gradient(labels: list[int]) -> None:
    features = torch.randn(len(labels), 4, requires_grad=True)
    loss = contrastive_loss(features, torch.tensor(labels))
    loss.backward()
    assert loss.item() == 0
    assert features.grad is not None
    assert torch.equal(features.grad, torch.zeros_like(features))


def test_while_training_features_count_and_on_validation_the_likelihood_alone() -> None:
    network = load_network(locate(), ["a", "b"], 0)
    labels = torch.tensor([0, 0, 1, 2])
    with objective(network, 0.5) as loss:
        found = network.train()(input_ids=torch.arange(100, 140).view(4, 10))
        trained = loss(found, labels)
        judged = loss(network.eval()(input_ids=torch.arange(100, 140).view(4, 10)), labels)
    assert trained > pinned_loss(found, labels) + 0.1
    assert trained.requires_grad
    assert judged < trained


def test_without_contrast_any_head_will_do() -> None:
    with objective(SimpleNamespace(), 0) as loss:  # pyright: ignore[reportArgumentType]
        assert loss is pinned_loss


def test_a_head_by_another_name_is_one_sentence() -> None:
    with pytest.raises(AsifError, match=r"classifier.*contrast to 0"), objective(SimpleNamespace(), 0.2):  # pyright: ignore[reportArgumentType]
        pass
