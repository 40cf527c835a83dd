"""Linear maps ready to run: one class for each kind of numbers to compute in."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Literal, Protocol

import torch
from torch.nn import functional

Precision = Literal["f32", "bf16", "int8"]

# What oneDNN packs a weight for: about the rows of a batch.
_TYPICAL_ROWS = 512
# Codes of activations are unsigned, for that is what the CPU's instructions multiply with signed
# weights; this one stands for zero.
_ZERO_CODE = 128
_TOP_CODE = 127
_TINY = torch.finfo(torch.float32).tiny


class LinearKernel(Protocol):
    """y = x W^T + b, prepared once and then run on many x."""

    def __call__(self, x: torch.Tensor, *, spoil: bool = False) -> torch.Tensor:
        """
        Map (rows, inputs) float32 to (rows, outputs) float32.

        Args:
            x: the rows.
            spoil: `x` isn't needed any more, and its memory may be computed in.
        """


class FloatLinear:
    """
    Computes in float32 or bfloat16.

    Args:
        weight: (outputs, inputs).
        bias: (outputs,).
        dtype: to compute in.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, dtype: torch.dtype) -> None:
        self._weight, self._bias = weight.to(dtype), bias.to(dtype)

    def __call__(self, x: torch.Tensor, *, spoil: bool = False) -> torch.Tensor:
        """See `LinearKernel`."""
        return functional.linear(x.to(self._weight.dtype), self._weight, self._bias).float()


class Int8Linear:
    """
    Multiplies 8-bit codes: of the weights one scale per output, of x one scale per row.

    A scale per row costs two passes over x more than one for all of it, and keeps the few tokens
    with large values, separators above all, from coarsening the others.

    Args:
        weight: (outputs, inputs) float32.
        bias: (outputs,) float32.

    Raises:
        AttributeError, RuntimeError: torch has no such kernel here.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        outputs, inputs = weight.shape
        scales = weight.abs().amax(dim=1).clamp_min_(_TINY) / _TOP_CODE  # (outputs,)
        codes = (weight / scales[:, None]).round_().to(torch.int8)
        self._weight = torch.ops.onednn.qlinear_prepack(codes, [_TYPICAL_ROWS, inputs])
        self._scales = scales
        self._zero_points = torch.zeros(outputs, dtype=torch.int32)
        self._bias = bias

    def __call__(self, x: torch.Tensor, *, spoil: bool = False) -> torch.Tensor:
        """See `LinearKernel`."""
        codes, row_scales = quantize_rows(x, spoil=spoil)
        product = torch.ops.onednn.qlinear_pointwise(
            codes,
            1.0,  # the rows' scales come after
            _ZERO_CODE,
            self._weight,
            self._scales,
            self._zero_points,
            None,
            1.0,
            0,
            torch.float32,
            "none",
            [],
            "",
        )
        return torch.addcmul(self._bias, product, row_scales, out=product)


def quantize_rows(x: torch.Tensor, *, spoil: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Turn each row into codes 1..255 around 128, its largest magnitude being 127 away.

    Args:
        x: (rows, n) float32.
        spoil: see `LinearKernel`.

    Returns:
        (rows, n) uint8 codes and (rows, 1) float32 scales: x is about (code - 128) * scale.
    """
    tops = torch.maximum(x.amax(dim=1, keepdim=True), -x.amin(dim=1, keepdim=True))
    tops.clamp_min_(_TINY * _TOP_CODE)
    steps = torch.mul(x, _TOP_CODE / tops, out=x if spoil else None).round_()
    # To int8 and a flipped sign bit: torch converts floats to uint8 five times as slowly.
    codes = steps.to(torch.int8).view(torch.uint8).bitwise_xor_(_ZERO_CODE)
    return codes, tops / _TOP_CODE


# Precision -> a kernel for weight and bias.
MAKE_LINEAR: Mapping[Precision, Callable[[torch.Tensor, torch.Tensor], LinearKernel]] = (
    MappingProxyType(
        {
            "f32": partial(FloatLinear, dtype=torch.float32),
            "bf16": partial(FloatLinear, dtype=torch.bfloat16),
            "int8": Int8Linear,
        }
    )
)
