"""
Quantization-aware training: gradients are taken at the weights as a .sqz file will hold them.

    python -m tools.finetune CHECKPOINT OUTPUT --data train.json --quantize-bits 6
    python -m tools.finetune CHECKPOINT OUTPUT --data train.json --quantize-like SMALL.sqz

Straight-through: the gradient at the quantized weights moves the weights themselves. With a file to
be like, each tensor is quantized as that file has it, steps and all; `squadlite convert --like`
writes what was trained in the same way.

Source: Bengio et al. 2013 (straight-through); format_spec.md, "linear".
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from squadlite.container import Linear, Uniform
from squadlite.model import QuestionAnsweringModel
from squadlite.quantization import Quantization, SameAs


class QuantizedWeights:
    """
    A model's weights on the grid that conversion will put them on.

    Ranges run from the smallest to the largest value; the narrower ranges that conversion may
    look for per row or group leave weights that are on their grid where they are.

    Args:
        model: the one in training.
        quantization: as `convert` will be told.
    """

    def __init__(self, model: QuestionAnsweringModel, quantization: Quantization | SameAs) -> None:
        self._codecs: list[tuple[torch.nn.Parameter, Linear | Uniform]] = []
        for name, parameter in model.named_parameters():
            values = parameter.detach().cpu().numpy()
            codec = quantization.codec(name, values)
            if isinstance(codec, Linear | Uniform):
                self._codecs.append((parameter, codec.fitted(values)))
        # What doesn't train needs to be quantized only once.
        self._frozen = {
            parameter: quantize(parameter.detach(), codec)
            for parameter, codec in self._codecs
            if not parameter.requires_grad
        }
        self._moving = [pair for pair in self._codecs if pair[0] not in self._frozen]

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Give the model its quantized weights while the block lasts."""
        own = [parameter.data for parameter, _ in self._codecs]
        try:
            for parameter, values in self._frozen.items():
                parameter.data = values
            self._quantize()
            yield
        finally:
            for (parameter, _), values in zip(self._codecs, own, strict=True):
                parameter.data = values

    def _quantize(self) -> None:
        # Parameters of whole groups of one size at once: for a GPU each alone is too little.
        together: dict[tuple[Linear, int], list[torch.nn.Parameter]] = {}
        for parameter, codec in self._moving:
            size = codec.group_size if isinstance(codec, Linear) else None
            if isinstance(codec, Linear) and size is not None and parameter.shape[-1] % size == 0:
                together.setdefault((codec, size), []).append(parameter)
            else:
                parameter.data = quantize(parameter.data, codec)
        for (codec, size), parameters in together.items():
            groups = torch.cat([part.data.view(-1, size) for part in parameters])
            counts = [part.numel() // size for part in parameters]
            parts = _on_grid(groups, codec).split_with_sizes(counts)
            for parameter, values in zip(parameters, parts, strict=True):
                parameter.data = values.view_as(parameter)


def quantize(values: torch.Tensor, codec: Linear | Uniform) -> torch.Tensor:
    """
    What `codec` gives back of `values`: min + round((x - min) / (max - min) * levels) * step, or
    round(x / spacing) * spacing.

    Args:
        values: float32, of any shape but a scalar's; finite.
        codec: a linear one's search for narrower ranges is not made, and a uniform one's codes
            are not clamped.

    Returns:
        float32 of the same shape.

    Source: Deng & Looi 2020, section 3.5; format_spec.md, "linear" and "uniform".
    """
    if isinstance(codec, Uniform):
        spacing = torch.as_tensor(codec.spacing, device=values.device)
        return (values.double() / spacing).round().float() * spacing
    if codec.per == "tensor":
        return _on_grid(values.reshape(1, -1), codec).view_as(values)
    rows = values.reshape(values.shape[0], -1)
    if codec.group_size is None:
        return _on_grid(rows, codec).view_as(values)
    # The last group of a row takes what remains.
    size = min(codec.group_size, values.shape[-1])
    rows = values.reshape(-1, values.shape[-1])
    whole = rows.shape[1] // size * size
    parts = [_on_grid(rows[:, :whole].reshape(-1, size), codec).view(len(rows), whole)]
    if whole < rows.shape[1]:
        parts.append(_on_grid(rows[:, whole:], codec))
    return torch.cat(parts, dim=1).view_as(values)


def _on_grid(groups: torch.Tensor, codec: Linear) -> torch.Tensor:
    # (n_groups, size) float32; in float64 like the codec, so that both round alike.
    values = groups.double()
    low, high = values.aminmax(dim=1, keepdim=True)
    if codec.range_dtype == "f16":
        low = _outward(low, -torch.inf)
        high = _outward(high, torch.inf)
    span = high - low
    levels = 2**codec.bits - 1
    codes = ((values - low) / torch.where(span > 0, span, 1.0) * levels).round().clamp(0, levels)
    on_grid: torch.Tensor = codes * (span / levels) + low
    return on_grid.float()


def _outward(edges: torch.Tensor, direction: float) -> torch.Tensor:
    # The nearest float16, or its neighbour where that would leave a value outside. On a GPU torch
    # has no nextafter of float16: there one step on is one more, or less, as a whole number.
    nearest = edges.half() + 0.0  # no -0
    bits = nearest.view(torch.int16)
    if direction < 0:
        short = nearest.double() > edges
        beyond = torch.where(bits > 0, bits - 1, torch.where(bits < 0, bits + 1, -32767))
    else:
        short = nearest.double() < edges
        beyond = torch.where(bits >= 0, bits + 1, bits - 1)
    rounded: torch.Tensor = torch.where(short, beyond.to(torch.int16), bits).view(torch.float16)
    return rounded.double()
