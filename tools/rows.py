"""
The model as it is trained: without padding, each window's attention computed alone.

Rows of all windows stand one after another, and only attention knows where one ends. On a CPU a
window's attention weights then stay in the cache between the products that make them and those that
use them, and torch's own attention, whose backward pass there takes longer than all products of the
model, is left out: two processes of one thread each, side by side, train 1.45 times as fast as with
padded batches (6 layers of width 384 in bfloat16, 4 windows of 120 to 330 tokens a pass, gradients
included). On a GPU torch has attention of this kind for bfloat16; other numbers, and releases of
torch without it, are read in padded batches.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.nn import functional

from squadlite.config import ModelConfig
from squadlite.model import QuestionAnsweringModel

_flash_attention: Callable[..., Any] | None
try:
    from torch.nn.attention.varlen import varlen_attn as _flash_attention
except ImportError:  # before torch 2.10
    _flash_attention = None

# A kernel is compiled for each new shape of a product, which takes longer than the product and half
# a megabyte; and memory that was freed serves again where the same sizes come back. So rows are
# filled up with zeros to few numbers of them: a window's within attention alone, and those of all
# windows.
WINDOW_STEP = 32
ROWS_STEP = 64

# input_ids, token_type_ids, attention_mask, (B, T) each: what the model's `forward` takes.
Inputs = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def last_hidden(model: QuestionAnsweringModel, inputs: Inputs) -> torch.Tensor:
    """
    Take windows through all layers.

    Returns:
        (N, hidden), the last layer's outputs for the N tokens that aren't padding, window by
        window.
    """
    return _last_rows(model, inputs)[: int(inputs[2].sum())]


def _last_rows(model: QuestionAnsweringModel, inputs: Inputs) -> torch.Tensor:
    # (at least N, hidden): as `last_hidden`, and behind it what is left over.
    input_ids, token_type_ids, mask = inputs
    embedded = model.embeddings(input_ids, token_type_ids)  # (B, T, hidden)
    lengths = mask.sum(dim=1)
    if embedded.device.type != "cpu":
        # Flash attention knows no bias.
        flash_attention = _flash_attention if model.relative_position_bias is None else None
        if flash_attention is not None and torch.is_autocast_enabled(embedded.device.type):
            flash = FlashAttention(flash_attention, lengths, model.config)
            return model.encode(embedded[mask], flash)
        return model.encode(embedded, model.padded_attention(mask))[mask]
    rows = embedded[mask]  # (N, hidden)
    left_over = _round_up(len(rows), ROWS_STEP) - len(rows)
    bias = model.position_bias(_round_up(int(lengths.max()), WINDOW_STEP))
    attend = RowAttention(lengths.tolist(), model.config, bias)
    return model.encode(functional.pad(rows, (0, 0, 0, left_over)), attend)


def _round_up(number: int, step: int) -> int:
    return -(-number // step) * step


def read(model: QuestionAnsweringModel, inputs: Inputs) -> tuple[torch.Tensor, torch.Tensor]:
    """Start and end logits, (B, T) float32 each, as `model(*inputs)`; 0 on padding."""
    mask = inputs[2]
    count = int(mask.sum())
    padded = []
    for logits in model.score(_last_rows(model, inputs)):
        part = logits.new_zeros(mask.shape)
        part[mask] = logits[:count]
        padded.append(part)
    return padded[0], padded[1]


class FlashAttention:
    """
    Attention within windows whose rows stand one after another, (rows, hidden), on a GPU.

    Args:
        compute: torch's `varlen_attn`.
        lengths: (B,) of the windows, in tokens.
        config: of the model.
    """

    def __init__(
        self, compute: Callable[..., Any], lengths: torch.Tensor, config: ModelConfig
    ) -> None:
        self._compute = compute
        self._ends = functional.pad(lengths.cumsum(0, dtype=torch.int32), (1, 0))
        self._longest = int(lengths.max())
        self._num_heads = config.num_heads

    def __call__(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """See `squadlite.model.Attend`."""
        heads = (part.view(len(part), self._num_heads, -1) for part in (query, key, value))
        gathered: torch.Tensor = self._compute(
            *heads, self._ends, self._ends, self._longest, self._longest
        )
        return gathered.flatten(start_dim=1)


class RowAttention:
    """
    Attention within windows whose rows stand one after another, (rows, hidden).

    Args:
        lengths: of the windows, in tokens; rows behind the last are left over.
        config: of the model.
        bias: (heads, T, T), added to scores, T at least the longest window's tokens, rounded up to
            a multiple of WINDOW_STEP; None: nothing is.
    """

    def __init__(
        self, lengths: Sequence[int], config: ModelConfig, bias: torch.Tensor | None = None
    ) -> None:
        self._lengths = lengths
        self._num_heads = config.num_heads
        self._bias = bias

    def __call__(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """See `squadlite.model.Attend`."""
        gathered: torch.Tensor = _RowAttention.apply(  # type: ignore[no-untyped-call]
            query, key, value, self._bias, self._lengths, self._num_heads
        )
        return gathered


class _RowAttention(torch.autograd.Function):
    # Shapes: a window of `length` tokens takes T rows, `heads` heads of width `width`.

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        bias: torch.Tensor | None,
        lengths: Sequence[int],
        heads: int,
    ) -> torch.Tensor:
        gathered = torch.zeros_like(query)
        kept = []
        with torch.autocast(query.device.type, enabled=False):
            windows = _windows(lengths, heads, query, key, value, gathered)
            for length, (*parts, out) in zip(lengths, windows, strict=True):
                q, k, v = map(_with_room, parts)
                scores = torch.bmm(q.mul_(_scale(q)), k.mT)  # (heads, T, T)
                if bias is not None:
                    scores += bias[:, : len(q[0]), : len(q[0])]
                scores[:, :, length:] = -torch.inf
                weights = scores.softmax(dim=-1)
                out.copy_(torch.bmm(weights, v)[:, :length])
                kept.append(weights)
        ctx.save_for_backward(query, key, value, bias, *kept)
        ctx.lengths, ctx.heads = lengths, heads
        return gathered

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        query, key, value, bias, *kept = ctx.saved_tensors
        to_bias = None if bias is None else torch.zeros_like(bias)
        to_query, to_key, to_value = map(torch.zeros_like, (query, key, value))
        windows = _windows(
            ctx.lengths, ctx.heads, query, key, value, gradients[0], to_query, to_key, to_value
        )
        for length, weights, (*parts, dq, dk, dv) in zip(ctx.lengths, kept, windows, strict=True):
            q, k, v, gradient = map(_with_room, parts)  # (heads, T, width) each
            dv.copy_(torch.bmm(weights.mT, gradient)[:, :length])
            to_weights = torch.bmm(gradient, v.mT)  # (heads, T, T)
            to_scores = torch._softmax_backward_data(to_weights, weights, -1, weights.dtype)
            if to_bias is not None:
                to_bias[:, : len(q[0]), : len(q[0])] += to_scores
            dq.copy_(torch.bmm(to_scores, k)[:, :length].mul_(_scale(q)))
            dk.copy_(torch.bmm(to_scores.mT, q)[:, :length].mul_(_scale(q)))
        return to_query, to_key, to_value, to_bias, None, None


def _windows(
    lengths: Sequence[int], heads: int, *rows: torch.Tensor
) -> Iterator[list[torch.Tensor]]:
    # For each window the (heads, length, width) views of these (rows, hidden) tensors.
    split = [
        part[: sum(lengths)].view(sum(lengths), heads, -1).split_with_sizes(list(lengths))
        for part in rows
    ]
    for parts in zip(*split, strict=True):
        yield [part.transpose(0, 1) for part in parts]


def _with_room(part: torch.Tensor) -> torch.Tensor:
    # (heads, length, width) -> (heads, T, width), with zeros behind; products of what is contiguous
    # take two thirds of the time.
    length = part.shape[1]
    room = part.new_zeros(len(part), _round_up(length, WINDOW_STEP), part.shape[2])
    room[:, :length] = part
    return room


def _scale(query: torch.Tensor) -> float:
    return 1 / math.sqrt(query.shape[-1])
