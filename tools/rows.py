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

# A kernel is compiled for each new shape of a product, which takes longer than the product. So rows
# are filled up with zeros to few different numbers of them.
WINDOW_STEP = 32
ROWS_STEP = 256

# input_ids, token_type_ids, attention_mask, (B, T) each: what the model's `forward` takes.
Inputs = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def last_hidden(model: QuestionAnsweringModel, inputs: Inputs) -> torch.Tensor:
    """
    Take windows through all layers.

    Returns:
        (N, hidden), the last layer's outputs for the N tokens that aren't padding, window by
        window.
    """
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
    rooms = _round_up(lengths, WINDOW_STEP)
    begins = rooms.cumsum(0) - rooms
    places = (begins[:, None] + torch.arange(mask.shape[1]))[mask]  # (N,)
    n_rows = int(_round_up(rooms.sum(), ROWS_STEP))
    rows = embedded.new_zeros(n_rows, embedded.shape[2]).index_copy(0, places, embedded[mask])
    bias = model.position_bias(int(rooms.max()))
    attend = RowAttention(lengths.tolist(), rooms.tolist(), model.config, bias)
    return model.encode(rows, attend)[places]


def _round_up(numbers: torch.Tensor, step: int) -> torch.Tensor:
    return -(-numbers // step) * step


def read(model: QuestionAnsweringModel, inputs: Inputs) -> tuple[torch.Tensor, torch.Tensor]:
    """Start and end logits, (B, T) float32 each, as `model(*inputs)`; 0 on padding."""
    mask = inputs[2]
    padded = []
    for logits in model.score(last_hidden(model, inputs)):
        part = logits.new_zeros(mask.shape)
        part[mask] = logits
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
        lengths: of the windows, in tokens.
        rooms: rows that each window takes, at least its length; rows behind the last are left over.
        config: of the model.
        bias: (heads, T, T) with T the most rooms, added to scores; None: nothing is.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        rooms: Sequence[int],
        config: ModelConfig,
        bias: torch.Tensor | None = None,
    ) -> None:
        self._lengths, self._rooms = lengths, rooms
        self._num_heads = config.num_heads
        self._bias = bias

    def __call__(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """See `squadlite.model.Attend`."""
        gathered: torch.Tensor = _RowAttention.apply(  # type: ignore[no-untyped-call]
            query, key, value, self._bias, self._lengths, self._rooms, self._num_heads
        )
        return gathered


class _RowAttention(torch.autograd.Function):
    # Shapes: T rows of a window, `heads` heads of width `width`.

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        bias: torch.Tensor | None,
        lengths: Sequence[int],
        rooms: Sequence[int],
        heads: int,
    ) -> torch.Tensor:
        gathered = torch.zeros_like(query)
        kept = []
        with torch.autocast(query.device.type, enabled=False):
            windows = _windows(rooms, heads, query, key, value, gathered)
            for length, (q, k, v, out) in zip(lengths, windows, strict=True):
                scores = torch.bmm(q * _scale(q), k.mT)  # (heads, T, T)
                if bias is not None:
                    scores += bias[:, : len(q[0]), : len(q[0])]
                scores[:, :, length:] = -torch.inf
                weights = scores.softmax(dim=-1)
                out.copy_(torch.bmm(weights, v))
                kept.append(weights)
        ctx.save_for_backward(query, key, value, bias, *kept)
        ctx.rooms, ctx.heads = rooms, heads
        return gathered

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        query, key, value, bias, *kept = ctx.saved_tensors
        to_bias = None if bias is None else torch.zeros_like(bias)
        to_query, to_key, to_value = map(torch.zeros_like, (query, key, value))
        windows = _windows(
            ctx.rooms, ctx.heads, query, key, value, gradients[0], to_query, to_key, to_value
        )
        for weights, (q, k, v, to_gathered, dq, dk, dv) in zip(kept, windows, strict=True):
            gradient = to_gathered.contiguous()  # (heads, T, width)
            dv.copy_(torch.bmm(weights.mT, gradient))
            to_weights = torch.bmm(gradient, v.mT)  # (heads, T, T)
            to_scores = torch._softmax_backward_data(to_weights, weights, -1, weights.dtype)
            if to_bias is not None:
                to_bias[:, : len(q[0]), : len(q[0])] += to_scores
            dq.copy_(torch.bmm(to_scores, k).mul_(_scale(q)))
            dk.copy_(torch.bmm(to_scores.mT, q).mul_(_scale(q)))
        return to_query, to_key, to_value, to_bias, None, None, None


def _windows(rooms: Sequence[int], heads: int, *rows: torch.Tensor) -> Iterator[list[torch.Tensor]]:
    # For each window the (heads, T, width) views of these (rows, hidden) tensors.
    split = [
        part[: sum(rooms)].view(sum(rooms), heads, -1).split_with_sizes(list(rooms))
        for part in rows
    ]
    for parts in zip(*split, strict=True):
        yield [part.transpose(0, 1) for part in parts]


def _scale(query: torch.Tensor) -> float:
    return 1 / math.sqrt(query.shape[-1])
