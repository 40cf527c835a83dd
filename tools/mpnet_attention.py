"""The attention of transformers' MPNet, fused."""

import threading
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional


def fuse_attention(model: nn.Module) -> None:
    """
    Let a model of transformers compute MPNet's attention in one operation, as torch has it.

    transformers has none for attention with a bias for distance: it writes all weights out, in
    float32 under autocast.
    """
    biases = _Biases()
    for module in model.modules():
        if all(hasattr(module, part) for part in ("q", "k", "v", "o", "num_attention_heads")):
            module.forward = partial(_attend, module, biases)


class _Biases(threading.local):
    # What is added to attention's products, the same for all layers of a pass.

    def __init__(self) -> None:
        self._of: tuple[torch.Tensor | None, torch.Tensor | None] = (None, None)
        self._bias: torch.Tensor | None = None

    def join(
        self, position_bias: torch.Tensor, mask: torch.Tensor | None, dtype: torch.dtype
    ) -> torch.Tensor:
        # (B, heads, T, T) float32 and a mask for it, bool or to be added -> both in one.
        if self._bias is None or self._of[0] is not position_bias or self._of[1] is not mask:
            bias = position_bias[:1].to(dtype)  # the same for all windows
            if mask is not None and mask.dtype == torch.bool:
                bias = bias.masked_fill(~mask, torch.finfo(dtype).min)
            elif mask is not None:
                bias = bias + mask.to(dtype)
            self._of, self._bias = (position_bias, mask), bias
        return self._bias


def _attend(
    attention: Any,
    biases: _Biases,
    hidden: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
    position_bias: torch.Tensor | None = None,
    **_: Any,
) -> tuple[torch.Tensor]:
    # (B, T, hidden) -> the same.
    query, key, value = (
        part(hidden).unflatten(-1, (attention.num_attention_heads, -1)).transpose(1, 2)
        for part in (attention.q, attention.k, attention.v)
    )
    gathered = functional.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=attention_mask
        if position_bias is None
        else biases.join(position_bias, attention_mask, query.dtype),
        dropout_p=attention.dropout.p if attention.training else 0.0,
    )
    return (attention.o(gathered.transpose(1, 2).flatten(2)),)
