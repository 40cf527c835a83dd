"""
Which codes and scales stand for a matrix, once its step is given.

A value is code * step * 2^(e / 8) with an exponent e for each row or column. Where errors cost much
the scale is small; where the same error can be made good by the columns that are still to be
rounded, it is.

Source: Frantar et al. 2022 (GPTQ); format_spec.md, "uniform".
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

# The codes of a tensor span at most 256 integers.
LOWEST_CODE, HIGHEST_CODE = -128, 127
EXPONENTS_PER_OCTAVE = 8
_LARGEST_EXPONENT = 127

# Added to the moments' diagonal, as a share of its mean: directions that the calibration text
# doesn't use are not free in other texts.
_DAMPING = 0.01
# Columns whose errors are handed on to the others together, by one product.
_BLOCK = 128

Floats = NDArray[np.float32]
Exponents = NDArray[np.int8]


def scales_of(exponents: Exponents) -> NDArray[np.float64]:
    """2^(e / 8) of each exponent."""
    scales: NDArray[np.float64] = np.exp2(exponents / EXPONENTS_PER_OCTAVE)
    return scales


def nearest_exponents(scales: NDArray[np.float64]) -> Exponents:
    """The exponents next to scales in proportion, about a geometric mean of 1."""
    logs = np.log2(scales)
    rounded = np.rint(EXPONENTS_PER_OCTAVE * (logs - logs.mean()))
    return rounded.clip(-_LARGEST_EXPONENT, _LARGEST_EXPONENT).astype(np.int8)


def row_exponents(counts: NDArray[np.int64]) -> Exponents:
    """
    Exponents for rows of which some are used more than others.

    The squared error of a text is the sum over rows of count * scale^2. Bits are spent best where
    all rows have an equal share in it, at scales in proportion to count^-1/2. How often a row will
    be used in other texts is uncertain, and a rare word may be what a question is about, so the
    exponent is half that.

    Args:
        counts: (rows,), how often each is used.

    Returns:
        (rows,) int8; rows with the same count have the same.
    """
    return nearest_exponents((counts + 1.0) ** -0.25)


def nearest_codes(weights: Floats, scales: NDArray[np.float64]) -> NDArray[np.int64]:
    """
    The codes next to weights.

    Args:
        weights: (rows, columns).
        scales: step times 2^(e / 8), broadcast against weights.
    """
    return np.rint(weights / scales).clip(LOWEST_CODE, HIGHEST_CODE).astype(np.int64)


@dataclass(frozen=True)
class ErrorFeedback:
    """
    Rounding of a linear map's weights, column after column, each error made good by the next ones.

    Args:
        moments: (inputs, inputs) float32, of what the map is fed; see `input_moments`.
    """

    moments: torch.Tensor

    @cached_property
    def exponents(self) -> Exponents:
        """
        (inputs,) int8, of the columns.

        What is left of a column's error, once the columns after it have made it good, has the
        weight u^-2, with u the diagonal of the Cholesky factor. Scales in proportion to u would
        spread the error evenly; u^1/2 costs fewer bits where codes are few, and proved better.
        """
        exponents = np.empty(len(self._order), np.int8)
        left = torch.diagonal(self._factor).double().numpy()
        exponents[self._order.numpy()] = nearest_exponents(np.sqrt(left))
        return exponents

    def codes(self, weights: Floats, step: float) -> NDArray[np.int64]:
        """
        Round a map's weights.

        Args:
            weights: (outputs, inputs).
            step: above 0.

        Returns:
            (outputs, inputs): codes whose errors E make the trace of E M E^T small.
        """
        order, factor = self._order, self._factor
        scales = torch.from_numpy(step * scales_of(self.exponents)).float()[order]
        # Transposed, so that a column's values lie side by side.
        left = torch.from_numpy(weights).T[order].contiguous()  # (inputs, outputs)
        codes = torch.empty_like(left)
        for start in range(0, len(left), _BLOCK):
            stop = min(start + _BLOCK, len(left))
            block, handed_on = left[start:stop], factor[start:stop, start:stop]
            errors = torch.empty_like(block)
            for i, column in enumerate(block):
                scale = scales[start + i]
                code = torch.round(column / scale).clamp_(LOWEST_CODE, HIGHEST_CODE)
                codes[start + i] = code
                errors[i] = (column - code * scale) / handed_on[i, i]
                block[i + 1 :].addr_(handed_on[i, i + 1 :], errors[i], alpha=-1)
            left[stop:].addmm_(factor[start:stop, stop:].T, errors, alpha=-1)
        in_place = torch.empty_like(codes)
        in_place[order] = codes
        return in_place.T.contiguous().numpy().astype(np.int64)

    @cached_property
    def _order(self) -> torch.Tensor:
        # Columns that count most come first: the most others are left to make good their errors.
        return torch.argsort(torch.diagonal(self.moments), descending=True, stable=True)

    @cached_property
    def _factor(self) -> torch.Tensor:
        # (inputs, inputs) float32, the upper Cholesky factor of the inverse of the moments.
        moments = self.moments[self._order][:, self._order].double()
        diagonal = torch.diagonal(moments)
        # Of inputs that are always 0, any error is free.
        diagonal += _DAMPING * diagonal.mean().clamp(min=torch.finfo(torch.float32).tiny)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(moments))
        return torch.linalg.cholesky(inverse, upper=True).float()
