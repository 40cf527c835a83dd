"""
Which codes and scales stand for a matrix, once its step is given.

A value is code * step * 2^(e / 8) with an exponent e for each row or column. Where errors cost much
the scale is small; where an error can be made good by the columns that are still to be rounded, it
is.

Source: Frantar et al. 2022 (GPTQ); format_spec.md, "uniform".
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from squadlite.container import Uniform, nearest_exponents

Floats = NDArray[np.float32]

# Of the 256 codes that a tensor may have, those for what its weights reach; the others are for what
# feedback adds to them.
_CODES_REACHED = 240
# Added to the moments' diagonal, as a share of its mean: directions that the calibration text
# doesn't use are not free in other texts.
_DAMPING = 0.01
# Of how often a row is used, what its scale goes with.
_USE_POWER = -0.2
# Columns whose errors are handed on to the others together, by one product.
_BLOCK = 128


def row_exponents(counts: NDArray[np.int64]) -> NDArray[np.int8]:
    """
    Exponents for rows of which some are used more than others.

    The squared error of a text is the sum over rows of count * scale^2. Bits are spent best where
    all rows have an equal share in it, at scales in proportion to count^-1/2. How often a row will
    be used in other texts is uncertain, and a rare word may be what a question is about: a smaller
    power proved better.

    Args:
        counts: (rows,), how often each is used.

    Returns:
        (rows,) int8; rows with the same count have the same.
    """
    return _balanced(np.power(counts + 1.0, _USE_POWER))


@dataclass(frozen=True)
class ErrorFeedback:
    """
    Rounding of a matrix, column after column, each error made good by the columns after it.

    Args:
        moments: (columns, columns) float32: an error E costs the trace of E M E^T; see
            `weight_moments`.
    """

    moments: torch.Tensor

    @cached_property
    def exponents(self) -> NDArray[np.int8]:
        """
        (columns,) int8, of the columns.

        What is left of a column's error, once the columns after it have made it good, has the
        weight u^-2, with u the diagonal of the Cholesky factor. Scales in proportion to u would
        spread the error evenly; u^1/2 costs fewer bits where codes are few, and proved better.
        """
        exponents = np.empty(len(self._order), np.int8)
        left = torch.diagonal(self._factor).double().numpy()
        exponents[self._order.numpy()] = _balanced(np.sqrt(left))
        return exponents

    def rounded(self, weights: Floats, spacing: Floats) -> Floats:
        """
        Round a matrix.

        Args:
            weights: (rows, columns).
            spacing: of the codes of each value, broadcast against weights.

        Returns:
            (rows, columns): multiples of their spacing whose errors E make the trace of E M E^T
            small.
        """
        order, factor = self._order, self._factor
        # Transposed, so that a column's values lie side by side.
        left = torch.from_numpy(weights).T[order].contiguous()  # (columns, rows)
        spaces = torch.from_numpy(np.broadcast_to(spacing, weights.shape).T[order.numpy()])
        rounded = torch.empty_like(left)
        for start in range(0, len(left), _BLOCK):
            stop = min(start + _BLOCK, len(left))
            block, handed_on = left[start:stop], factor[start:stop, start:stop]
            errors = torch.empty_like(block)
            for i, (column, space) in enumerate(zip(block, spaces[start:stop], strict=True)):
                nearest = torch.round(column / space) * space
                rounded[start + i] = nearest
                errors[i] = (column - nearest) / handed_on[i, i]
                block[i + 1 :].addr_(handed_on[i, i + 1 :], errors[i], alpha=-1)
            left[stop:].addmm_(factor[start:stop, stop:].T, errors, alpha=-1)
        in_place = torch.empty_like(rounded)
        in_place[order] = rounded
        values: Floats = in_place.T.contiguous().numpy()
        return values

    @cached_property
    def _order(self) -> torch.Tensor:
        # Columns that count most come first: the most others are left to make good their errors.
        return torch.argsort(torch.diagonal(self.moments), descending=True, stable=True)

    @cached_property
    def _factor(self) -> torch.Tensor:
        # (columns, columns) float32, the upper Cholesky factor of the inverse of the moments.
        moments = self.moments[self._order][:, self._order].double()
        diagonal = torch.diagonal(moments)
        # Of inputs that are always 0, any error is free.
        diagonal += _DAMPING * diagonal.mean().clamp(min=torch.finfo(torch.float32).tiny)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(moments))
        factor: torch.Tensor = torch.linalg.cholesky(inverse, upper=True)
        return factor.float()


def codec_within_range(codec: Uniform, weights: Floats) -> Uniform:
    """
    Widen the scales of rows or columns whose codes would lie beyond those that a tensor may have.

    A single weight may be a hundred times as large as most.

    Args:
        codec: with scales and exponents.
        weights: (rows, columns), what it is to hold.
    """
    if codec.exponents is None:
        raise ValueError("codec: found no exponents, expected those of rows or columns")
    axis = 1 if codec.scales == "rows" else 0
    codes = weights / codec.spacing
    lowest, highest = codes.min(axis=axis).clip(max=0), codes.max(axis=axis).clip(min=0)
    reach = highest.max() - lowest.min()
    if reach <= _CODES_REACHED:
        return codec
    room = _CODES_REACHED / reach
    excess = np.maximum(lowest / (room * lowest.min() or 1), highest / (room * highest.max() or 1))
    steps = np.ceil(8 * np.log2(excess.clip(min=1)))
    exponents = (codec.exponents + steps).clip(max=np.iinfo(np.int8).max).astype(np.int8)
    return replace(codec, exponents=exponents)


def _balanced(ratios: NDArray[np.floating]) -> NDArray[np.int8]:
    # About a geometric mean of 1, so that a step means much the same whatever the scales.
    return nearest_exponents(ratios / np.exp(np.log(ratios).mean()))
