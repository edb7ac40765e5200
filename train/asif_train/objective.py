"""What fine-tuning minimises: the likelihood of each row's label or none, and how far apart the labels' features lie."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional
from transformers import PreTrainedModel

from asif_data.errors import AsifError

TEMPERATURE = 0.1

Loss = Callable[..., torch.Tensor]


def pinned_loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
    """Cross-entropy over the labels and "none", whose logit is pinned at zero.

    A softmax ignores a shift of all its logits, so a head of three outputs beside a constant zero can say
    everything that a head of four can: softmax(logits) says which label, logsumexp(logits) whether any.
    This is classification with energy as the score of being in scope (Liu et al. 2020, Energy-based
    Out-of-distribution Detection), fitted as one likelihood. Takes logits (rows, labels) and targets (rows,);
    returns the mean over the rows of the step.
    """
    logits = outputs.logits.float()
    pinned = torch.cat([logits, logits.new_zeros(len(logits), 1)], dim=1)
    if num_items_in_batch is None:
        return functional.cross_entropy(pinned, labels)
    return functional.cross_entropy(pinned, labels, reduction="sum") / num_items_in_batch


def contrastive_loss(features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Supervised contrastive loss (Khosla et al. 2020, equation 2), summed over rows that share a label with another.

    Takes `features` (rows, width) of any length, of which only the direction counts, and `labels` (rows,); none is a
    label like the others. Cosines are divided by a temperature of 0.1.
    """
    directions = functional.normalize(features.float(), dim=1)
    own = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    logits = (directions @ directions.T / TEMPERATURE).masked_fill(own, torch.finfo(torch.float32).min)
    same = (labels[:, None] == labels) & ~own
    log_shares = functional.log_softmax(logits, dim=1).masked_fill(own, 0.0)  # not huge beside the zeros of `same`
    return -((log_shares * same).sum(1) / same.sum(1).clamp(min=1)).sum()


@contextmanager
def objective(network: PreTrainedModel, contrast: float) -> Iterator[Loss]:
    """Inside the block, the loss of `network`'s outputs as the Trainer asks for it.

    It is the pinned loss, and while training `contrast` (0 or more) times the contrastive loss of what the head reads of
    the first token, both per row. Raises AsifError for a head by another name, unless `contrast` is 0.
    """
    if not contrast:
        yield pinned_loss
        return
    head = getattr(network, "classifier", None)
    if head is None:
        raise AsifError(
            f"expected a network with a head named classifier, found {type(network).__name__} without; "
            "set contrast to 0 in the recipe, or choose another base model."
        )
    read: list[torch.Tensor] = []

    def remember(_: Any, args: tuple[torch.Tensor, ...]) -> None:
        states = args[0]
        read[:] = [states[:, 0] if states.ndim == 3 else states]

    def loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
        found = pinned_loss(outputs, labels, num_items_in_batch)
        if not network.training:  # what is judged on validation is the likelihood alone
            return found
        rows = len(labels) if num_items_in_batch is None else num_items_in_batch
        return found + contrast * contrastive_loss(read.pop(), labels) / rows

    hook = head.register_forward_pre_hook(remember)
    try:
        yield loss
    finally:
        hook.remove()
