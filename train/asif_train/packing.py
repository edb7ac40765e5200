"""Training on a CPU without padding: the rows of a batch packed end to end, each attending to itself alone."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional
from transformers import AttentionInterface, PreTrainedModel

PACKED = "asif_packed"
# The module that reads the first token of a row. Other architectures may add positions, causal masks or shared keys to
# their attention: they are given padded rows.
_POOLERS = {"bert": "bert.pooler", "roberta": "classifier"}


def can_pack(network: PreTrainedModel) -> bool:
    """Whether to pack: for plain encoders on a CPU; a GPU has kernels of its own."""
    plain = network.config.model_type in _POOLERS and not network.config.is_decoder
    return plain and not torch.accelerator.is_available()


class PackedCollator:
    """Packs the rows of a batch end to end: as many tokens are computed as there are, in whatever order rows come."""

    def __init__(self, network: PreTrainedModel) -> None:
        config = network.config
        self._first = config.pad_token_id + 1 if config.model_type == "roberta" else 0

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """A batch: `labels` (rows,), `lengths`, and int64 tensors of shape (1, tokens of all rows)."""
        lengths = [len(row["input_ids"]) for row in rows]
        return {
            "labels": torch.tensor([row["labels"] for row in rows]),
            "lengths": lengths,
            "input_ids": torch.tensor([[token for row in rows for token in row["input_ids"]]]),
            "token_type_ids": torch.tensor([[kind for row in rows for kind in row["token_type_ids"]]]),
            "position_ids": torch.cat([torch.arange(self._first, self._first + n) for n in lengths])[None],
        }


@contextmanager
def packed(network: PreTrainedModel) -> Iterator[None]:
    """Inside the block, `network` takes what PackedCollator gives; dropout aside, its logits are those of the rows one by one."""
    pooler = network.get_submodule(_POOLERS[network.config.model_type])
    starts = torch.zeros(0, dtype=torch.int64)

    def remember(_: Any, args: Any, given: dict[str, Any]) -> None:
        nonlocal starts
        starts = torch.tensor([0, *given["lengths"][:-1]]).cumsum(0)

    def first_tokens(_: Any, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return args[0][0, starts, None], *args[1:]

    own = network.config._attn_implementation or "eager"
    hooks = [
        network.register_forward_pre_hook(remember, with_kwargs=True),
        pooler.register_forward_pre_hook(first_tokens),
    ]
    network.set_attn_implementation(PACKED)
    try:
        yield
    finally:
        network.set_attn_implementation(own)
        for hook in hooks:
            hook.remove()


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    lengths: Sequence[int],
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Scaled dot-product attention (Vaswani et al. 2017, equation 1) inside of each row.

    `query`, `key` and `value` have shape (1, heads, tokens of all rows, width of a head), the answer
    (1, tokens of all rows, heads, width of a head). Two plain products in the precision of the inputs: rows this short do not pay
    for torch's fused kernel, and autocast would take the softmax to float32 and back.
    """
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    parts = []
    with torch.autocast(query.device.type, enabled=False):
        for q, k, v in zip(*(x[0].split(list(lengths), 1) for x in (query * scale, key, value)), strict=True):
            weights = torch.matmul(q, k.transpose(1, 2)).softmax(-1)
            parts.append(torch.matmul(functional.dropout(weights, dropout, module.training), v))
    return torch.cat(parts, 1).transpose(0, 1)[None], None


AttentionInterface.register(PACKED, packed_attention)
