"""Attention for training on a CPU: two plain matrix products in the precision of their inputs."""

from typing import Any

import torch
from torch.nn import functional
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

CPU_ATTENTION = "asif_cpu"
# Others may add positions, causal masks or shared keys to their attention: they keep their own.
PLAIN_ARCHITECTURES = ("bert", "roberta")


def cpu_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Scaled dot-product attention (Vaswani et al. 2017, equation 1), (rows, tokens, heads, width of a head).

    `query`, `key` and `value` have shape (rows, heads, tokens, width); `attention_mask` is true where a token may look.
    Short rows do not pay for torch's fused kernel, and autocast would take the softmax to float32 and back.
    """
    with torch.autocast(query.device.type, enabled=False):
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        weights = torch.matmul(query * scale, key.transpose(2, 3))
        if attention_mask is not None:
            weights = weights.masked_fill(~attention_mask, torch.finfo(weights.dtype).min)
        weights = functional.dropout(weights.softmax(-1), dropout, module.training)
        return torch.matmul(weights, value).transpose(1, 2).contiguous(), None


AttentionInterface.register(CPU_ATTENTION, cpu_attention)
AttentionMaskInterface.register(CPU_ATTENTION, sdpa_mask)
