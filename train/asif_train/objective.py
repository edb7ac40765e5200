"""What fine-tuning minimises, with the additions on trial."""

from typing import Any

import torch
from torch.nn import functional

from asif_train.recipe import Recipe


class Objective:
    """The loss of one batch: the likelihood, plus what the recipe adds."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe

    def __call__(self, model: Any, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, Any]:
        """The loss, a scalar, and the model's outputs for the batch."""
        r = self._recipe
        inputs = {k: v for k, v in batch.items() if not k.startswith(("labels", "second_", "soft", "sets"))}
        labels = batch["labels"]
        outputs = model(**inputs)
        first = log_probabilities(outputs.logits)
        loss = self._likelihood(first, labels, batch.get("soft"))
        if "second_input_ids" in batch:
            second_inputs = {k.removeprefix("second_"): v for k, v in batch.items() if k.startswith("second_")}
            second = log_probabilities(model(**second_inputs).logits)
            loss = (loss + self._likelihood(second, labels, batch.get("soft"))) / 2
            loss = loss + r.consistency * symmetric_kl(first, second)
        if r.contrast:
            loss = loss + r.contrast * contrast_margin(outputs.logits.float(), labels, batch["sets"])
        return loss, outputs

    def _likelihood(self, log_p: torch.Tensor, labels: torch.Tensor, soft: torch.Tensor | None) -> torch.Tensor:
        r = self._recipe
        hard = functional.one_hot(labels, log_p.shape[1]).float()
        target = hard * (1 - r.label_smoothing) + r.label_smoothing / log_p.shape[1]
        if soft is not None:
            target = (1 - r.teacher_weight) * target + r.teacher_weight * soft
        return -(target * log_p).sum(1).mean()


def log_probabilities(logits: torch.Tensor) -> torch.Tensor:
    """Log-softmax over the labels and "none", whose logit is pinned at zero: (rows, labels + 1)."""
    logits = logits.float()
    return functional.log_softmax(torch.cat([logits, logits.new_zeros(len(logits), 1)], dim=1), dim=1)


def symmetric_kl(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Mean of both Kullback-Leibler divergences (Liang et al. 2021, R-Drop)."""
    both = functional.kl_div(a, b, reduction="batchmean", log_target=True)
    return (both + functional.kl_div(b, a, reduction="batchmean", log_target=True)) / 2


def contrast_margin(logits: torch.Tensor, labels: torch.Tensor, sets: torch.Tensor, margin: float = 2.0) -> torch.Tensor:
    """Rows of one contrast set: each must score its own label higher than the other member does, by `margin`."""
    pinned = torch.cat([logits, logits.new_zeros(len(logits), 1)], dim=1)
    pinned = functional.log_softmax(pinned, 1)
    own = pinned.gather(1, labels[:, None])
    other = pinned[:, labels].T  # other[i, j]: what row j gives to the label of row i
    pairs = (sets[:, None] == sets[None, :]) & (sets[:, None] >= 0) & (labels[:, None] != labels[None, :])
    if not pairs.any():
        return logits.new_zeros(())
    return functional.relu(margin - own + other)[pairs].mean()
