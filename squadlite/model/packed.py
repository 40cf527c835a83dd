"""The encoder as torch runs it when it answers: fused, packed without padding."""

import math
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Literal

import torch
from torch import nn
from torch.nn import functional

from squadlite.config import ModelConfig
from squadlite.model.encoder import ACTIVATIONS, Embeddings, Layer, Linear, QuestionAnsweringModel
from squadlite.model.sketched_linear import SketchedLinear

# Shapes in comments: N tokens of all windows, T tokens of one, `heads` attention heads of width
# `width` = hidden / heads.

Precision = Literal["f32", "bf16"]
_DTYPES: Mapping[Precision, torch.dtype] = MappingProxyType(
    {"f32": torch.float32, "bf16": torch.bfloat16}
)

# Of the widest tensors, so that the memory for a large batch stays small.
_ROWS_AT_A_TIME = 1024

# Softmax weights are made as powers of two in bfloat16, by writing their bits (see `_power_of_2`).
_STEPS_PER_OCTAVE = 32  # of the scores; int16 then holds 1024 octaves to either side
_BITS_PER_STEP = 4  # a step in units of bfloat16's last bit: it has 128 values to an octave
_ZERO_AT = -27  # octaves: weights that far below the average key's count as none
_BITS_AT_0 = torch.tensor(-_ZERO_AT * 128, dtype=torch.int16)  # of a weight at the average
_TOP_AT = 200  # octaves: 2^100 of what can be summed up to 2^127


class PackedModel:
    """
    A model's forward pass without the work that a trained model needn't do.

    Padding is left out before the first layer: rows of all windows stand one after another, and
    only attention knows where one ends. Query, key and value are one product. A stored layer is
    prepared once, however often it is executed. Sketched layers are multiplied out: on a CPU one
    product of W S^T S is faster than two thinner ones.

    Args:
        model: float32; of it the embeddings, norms and span head are used further, not copied.
        precision: of the products. "f32" gives the model's own logits up to rounding; with "bf16"
            attention weights are approximate too.
    """

    def __init__(self, model: QuestionAnsweringModel, precision: Precision) -> None:
        self.config = model.config
        self.precision = precision
        self.embeddings = model.embeddings
        self._span_head = model.span_head
        with torch.inference_mode():
            self._layers = [
                PackedLayer(layer, model.config, precision) for layer in model.stored_layers
            ]
            bias = model.position_bias(model.config.max_position_embeddings)
            self._bias = None if bias is None else _prepared_bias(bias, precision)

    def __call__(
        self,
        input_ids: torch.Tensor,
        token_type_ids: torch.Tensor,
        attention_mask: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Score every token: see `QuestionAnsweringModel.forward`.

        The logits of padding are 0.
        """
        with torch.inference_mode():
            hidden, _ = self._encode(input_ids, token_type_ids, attention_mask)
            logits = input_ids.new_zeros((*input_ids.shape, 2), dtype=torch.float32)  # (B, T, 2)
            logits[attention_mask] = self._span_head(hidden)
        start_logits, end_logits = logits.unbind(dim=-1)
        return start_logits, end_logits

    def embed(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """See `QuestionAnsweringModel.embed`."""
        with torch.inference_mode():
            types = torch.zeros_like(input_ids)
            hidden, lengths = self._encode(input_ids, types, attention_mask)
            return torch.stack([window.mean(dim=0) for window in hidden.split_with_sizes(lengths)])

    def _encode(
        self,
        input_ids: torch.Tensor,
        token_type_ids: torch.Tensor,
        attention_mask: torch.Tensor,
    ) -> tuple[torch.Tensor, list[int]]:
        # (N, hidden) float32, and how many rows each window has.
        lengths = attention_mask.sum(dim=1).tolist()
        hidden = _look_up(self.embeddings, input_ids, token_type_ids, attention_mask)
        for stored in self.config.layer_map:
            hidden = self._layers[stored](hidden, lengths, self._bias)
        return hidden, lengths


def _look_up(
    embeddings: Embeddings,
    input_ids: torch.Tensor,
    token_type_ids: torch.Tensor,
    mask: torch.Tensor,
) -> torch.Tensor:
    # (B, T) -> (N, hidden)
    hidden: torch.Tensor = embeddings(input_ids, token_type_ids)
    return hidden.flatten(end_dim=1) if mask.all() else hidden[mask]


class PackedLayer:
    """
    One stored layer, prepared.

    Args:
        layer: float32.
        config: its model's.
        precision: see `PackedModel`.
    """

    def __init__(self, layer: Layer, config: ModelConfig, precision: Precision) -> None:
        attention, feed_forward = layer.attention, layer.feed_forward
        self._heads = config.num_heads
        self._exact = precision == "f32"
        self._activation = ACTIVATIONS[config.hidden_act]
        make = partial(PackedLinear, dtype=_DTYPES[precision])
        query, key, value = map(_dense, (attention.query, attention.key, attention.value))
        scale = _score_scale(config, exact=self._exact)
        self._query_key_value = make(
            torch.cat([query[0] * scale, key[0], value[0]]),
            torch.cat([query[1] * scale, key[1], value[1]]),
        )
        self._attention_output = make(*_dense(attention.output))
        self._attention_norm = attention.norm
        self._intermediate = make(*_dense(feed_forward.intermediate))
        self._output = make(*_dense(feed_forward.output))
        self._output_norm = feed_forward.norm

    def __call__(
        self, hidden: torch.Tensor, lengths: list[int], bias: torch.Tensor | None = None
    ) -> torch.Tensor:
        """
        Map (N, hidden) float32 to the same shape.

        Args:
            hidden: the rows of windows, one after another.
            lengths: of the windows.
            bias: of scores, (heads, T, T) with T at least the longest window's; None: none.
        """
        gathered = self._gather(self._query_key_value(hidden), lengths, bias)
        hidden = _add(hidden, self._attention_output(gathered), self._attention_norm)
        n_parts = math.ceil(len(hidden) / _ROWS_AT_A_TIME)
        parts = [self._widen(part) for part in hidden.chunk(n_parts)]
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def _gather(
        self, query_key_value: torch.Tensor, lengths: list[int], bias: torch.Tensor | None
    ) -> torch.Tensor:
        # (N, 3 hidden) -> (N, hidden) float32
        tokens, width = len(query_key_value), query_key_value.shape[1] // 3 // self._heads
        gathered = torch.empty(tokens, self._heads, width)
        attend = _attend if self._exact else _attend_approximately
        for length, window, place in zip(
            lengths,
            query_key_value.view(tokens, 3, self._heads, width).split_with_sizes(lengths),
            gathered.split_with_sizes(lengths),
            strict=True,
        ):
            of_window = None if bias is None else bias[:, :length, :length]
            attend(window, of_window, out=place.transpose(0, 1))
        return gathered.view(tokens, -1)

    def _widen(self, hidden: torch.Tensor) -> torch.Tensor:
        widened = self._activation(self._intermediate(hidden))  # (rows, intermediate)
        return _add(hidden, self._output(widened), self._output_norm)


class PackedLinear:
    """
    y = x W^T + b.

    Args:
        weight: (outputs, inputs).
        bias: (outputs,).
        dtype: to compute in.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, dtype: torch.dtype) -> None:
        self._weight, self._bias = weight.to(dtype), bias.to(dtype)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Map (rows, inputs) float32 to (rows, outputs) float32."""
        return functional.linear(x.to(self._weight.dtype), self._weight, self._bias).float()


def _dense(linear: Linear) -> tuple[torch.Tensor, torch.Tensor]:
    # weight (outputs, inputs) and bias (outputs,)
    if isinstance(linear, SketchedLinear):
        return linear.sketched_weight @ linear.sketch, linear.bias
    return linear.weight, linear.bias


def _score_scale(config: ModelConfig, *, exact: bool) -> float:
    # What queries are multiplied by, once and for all.
    to_unit = 1 / math.sqrt(config.hidden_size // config.num_heads)
    return to_unit if exact else to_unit * math.log2(math.e) * _STEPS_PER_OCTAVE


def _prepared_bias(bias: torch.Tensor, precision: Precision) -> torch.Tensor:
    # Of scores as `_attend` and `_attend_approximately` have them.
    if precision == "f32":
        return bias.contiguous()
    # What is the same for all keys changes no weight; it could only take scores out of their range.
    centred = bias - bias.mean(dim=(1, 2), keepdim=True)
    return (centred * (math.log2(math.e) * _STEPS_PER_OCTAVE)).bfloat16()


def _add(hidden: torch.Tensor, change: torch.Tensor, norm: nn.LayerNorm) -> torch.Tensor:
    normed: torch.Tensor = norm(change.add_(hidden))
    return normed


def _attend(window: torch.Tensor, bias: torch.Tensor | None = None, *, out: torch.Tensor) -> None:
    # As `_attend_approximately`, up to rounding; scores are in nats.
    query, key, value = window.permute(1, 2, 0, 3).unsqueeze(1)  # (1, heads, T, width) each
    mask = None if bias is None else bias.unsqueeze(0)
    attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=1.0)
    out.copy_(attended.squeeze(0))


def _attend_approximately(
    window: torch.Tensor, bias: torch.Tensor | None = None, *, out: torch.Tensor
) -> None:
    """
    Softmax attention of one window without a pass to find each row's largest score.

    Taking the average key from all of them changes no weight, and puts the average score at 0: no
    row can vanish, and none but those far out of the ordinary can overflow.

    Args:
        window: (T, 3, heads, width) float32: queries, such that scores count steps of an octave,
            keys, which are spoiled, and values.
        bias: (heads, T, T) bfloat16, in the same steps, added to scores; None: nothing is.
        out: (heads, T, width) float32.
    """
    keys = window[:, 1]
    keys.sub_(keys.mean(dim=0))
    query, key, value = window.bfloat16().permute(1, 2, 0, 3).contiguous()  # (heads, T, width) each
    scores = torch.bmm(query, key.mT)  # (heads, T, T)
    weights = _power_of_2(scores if bias is None else scores.add_(bias))
    sums = weights.sum(dim=2, keepdim=True)  # (heads, T, 1)
    torch.div(torch.bmm(weights, value), sums, out=out)


def _power_of_2(steps: torch.Tensor) -> torch.Tensor:
    """
    Raise 2 to steps / 32, times a constant that softmax divides out, within 3%.

    The bits of a bfloat16, read as an integer, count octaves in their upper part and go through
    each in equal steps in their lower part: a line from 1 to 2 in place of the curve. Three passes
    over integers take a fifth of the time of an exponential.

    Args:
        steps: bfloat16; they are spoiled.

    Source: Schraudolph 1999, A Fast, Compact Approximation of the Exponential Function.
    """
    # In the steps' own memory: fresh memory isn't in the cache, and takes ten times as long.
    counts = steps.view(torch.int16).copy_(steps)
    counts.clamp_(_ZERO_AT * _STEPS_PER_OCTAVE, _TOP_AT * _STEPS_PER_OCTAVE)
    bits = torch.add(_BITS_AT_0, counts, alpha=_BITS_PER_STEP, out=counts)
    return bits.view(torch.bfloat16)
