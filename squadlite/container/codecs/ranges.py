"""
The (min, max) pairs of linear quantization: which values share one, and how the encoder picks it.

Source: format_spec.md, "linear". Only `Groups` is part of the format; the choice of the ranges is
the encoder's, and the same on every platform: no result here depends on an order of summation that
numpy is free to change.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from squadlite.container.codecs.base import Shape, count_values

# Widths that the search tries, as shares of max - min.
_SHARES = tuple(share / 100 for share in range(95, 25, -5))
# Rounds of least squares; a fifth takes less than half a percent off the squared error of the
# default model's matrices at 3 and 4 bits.
_REFITS = 4
# Values in flight: their float64 stay in the L2 cache.
_SEARCH_BLOCK = 2**16


@dataclass(frozen=True)
class Groups:
    """
    Values in C order, cut into rows of `row_size` and each row into groups of `size`.

    The last group of a row is shorter where `size` doesn't divide `row_size`.

    Attributes:
        rows: how many rows; 0 for an empty tensor.
        row_size: values in a row.
        size: values in a group, 1..row_size.
    """

    rows: int
    row_size: int
    size: int

    @classmethod
    def of(cls, shape: Shape, *, per: str, group_size: int | None) -> Self:
        """The groups of a tensor; a scalar is one group of one value."""
        count = count_values(shape)
        if count == 0:
            return cls(0, 1, 1)
        if per == "tensor" or not shape:
            return cls(1, count, count)
        if group_size is None:
            return cls(shape[0], count // shape[0], count // shape[0])
        return cls(count // shape[-1], shape[-1], min(group_size, shape[-1]))

    @property
    def per_row(self) -> int:
        """Groups in a row."""
        return -(-self.row_size // self.size)

    @property
    def count(self) -> int:
        """Groups in all."""
        return self.rows * self.per_row

    def starts(self, first: int, stop: int) -> np.ndarray:
        """Position of the first value of the groups first..stop-1; int64."""
        index = np.arange(first, stop, dtype=np.int64)
        starts: np.ndarray = index // self.per_row * self.row_size
        starts += index % self.per_row * self.size
        return starts

    def spread(self, per_group: np.ndarray, start: int, stop: int) -> Any:
        """One number a group to one a value, for the values start..stop-1 (stop > start)."""
        first, last = self._group_of(start), self._group_of(stop - 1)
        if first == last:
            return per_group[first]
        some = per_group[first : last + 1]
        if self.row_size % self.size == 0:
            begin = start - first * self.size
            return np.repeat(some, self.size)[begin : begin + stop - start]
        bounds = self.starts(first, last + 2).clip(start, stop)
        return np.repeat(some, np.diff(bounds))

    def matrices(self, flat: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Groups of one size as rows of a matrix, a block at a time: (group indices, values)."""
        rows = flat.reshape(self.rows, self.row_size)
        indices = np.arange(self.count).reshape(self.rows, self.per_row)
        whole = self.row_size // self.size
        for part, index in (
            (rows[:, : whole * self.size], indices[:, :whole]),
            (rows[:, whole * self.size :], indices[:, whole:]),
        ):
            if index.size == 0:
                continue
            matrix = part.reshape(index.size, -1)
            step = max(1, _SEARCH_BLOCK // matrix.shape[1])
            for at in range(0, index.size, step):
                yield index.flat[at : at + step], matrix[at : at + step].astype(np.float64)

    def _group_of(self, position: int) -> int:
        row, column = divmod(position, self.row_size)
        return row * self.per_row + column // self.size


def extremes(flat: np.ndarray, groups: Groups) -> np.ndarray:
    """
    The smallest and largest value of each group.

    Args:
        flat: finite float32, shape (n,).
        groups: how the n values are cut.

    Returns:
        float64 array of shape (groups.count, 2); a zero is always +0.
    """
    if not groups.count:
        return np.empty((0, 2))
    starts = groups.starts(0, groups.count)
    pairs = np.stack([np.minimum.reduceat(flat, starts), np.maximum.reduceat(flat, starts)], axis=1)
    # Which of +0 and -0 is the minimum depends on the order of comparing; adding +0 makes both +0.
    return pairs.astype(np.float64) + 0.0


def rounded_outward(ranges: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """
    Ranges in a narrower dtype: the largest number not above min, the smallest not below max.

    Beyond the dtype's numbers the result is infinite.
    """
    with np.errstate(over="ignore"):
        nearest = ranges.astype(dtype.newbyteorder("="))
        low, high = nearest[:, 0], nearest[:, 1]
        infinity = low.dtype.type(np.inf)
        low = np.where(low > ranges[:, 0], np.nextafter(low, -infinity), low)
        high = np.where(high < ranges[:, 1], np.nextafter(high, infinity), high)
    return np.stack([low, high], axis=1).astype(np.float64) + 0.0


def searched(
    flat: np.ndarray, groups: Groups, ranges: np.ndarray, *, levels: int, dtype: np.dtype[Any]
) -> np.ndarray:
    """
    Ranges with a squared error at most that of `ranges`, group by group.

    Tries narrower ranges about the same middle, then refits min and max to the codes by least
    squares.

    Args:
        flat: finite float32, shape (n,).
        groups: how the n values are cut.
        ranges: where to start, already rounded to `dtype`; float64, shape (groups.count, 2).
        levels: the highest code, 2**bits - 1.
        dtype: what the ranges are stored in.

    Returns:
        float64 array of shape (groups.count, 2), every number one of `dtype`.
    """
    best = ranges.copy()
    for index, values in groups.matrices(flat):
        best[index] = _search(values, best[index], levels, dtype)
    return best


def quantized(values: np.ndarray, low: Any, high: Any, levels: int) -> np.ndarray:
    """
    The codes of values between low and high, clamped to 0..levels; 0 where low = high.

    Args:
        values: float64.
        low: float64, broadcast against values.
        high: float64, broadcast against values.
        levels: the highest code.

    Returns:
        float64 array of whole numbers, the shape of values.
    """
    span = np.asarray(high - low)
    codes: np.ndarray = (values - low) / np.where(span > 0, span, 1.0)
    codes *= levels
    np.rint(codes, out=codes)
    np.clip(codes, 0, levels, out=codes)
    codes *= span > 0
    return codes


def _search(values: np.ndarray, start: np.ndarray, levels: int, dtype: np.dtype[Any]) -> np.ndarray:
    low, high = start[:, 0], start[:, 1]
    best = _Best(values, levels, dtype)
    best.consider(low, high)
    middle, half = (low + high) / 2, (high - low) / 2
    for share in _SHARES:
        best.consider(middle - half * share, middle + half * share)
    for _ in range(_REFITS):
        best.consider(*best.refit())
    return np.stack([best.low, best.high], axis=1)


class _Best:
    """The best range so far of each row of values."""

    def __init__(self, values: np.ndarray, levels: int, dtype: np.dtype[Any]) -> None:
        self._values, self._levels, self._dtype = values, levels, dtype
        self.low = self.high = np.zeros(len(values))
        self._error = np.full(len(values), np.inf)

    def consider(self, low: np.ndarray, high: np.ndarray) -> None:
        """Take over the ranges that are better, once they are rounded as they will be stored."""
        with np.errstate(over="ignore", invalid="ignore"):
            low, high = (edge.astype(self._dtype).astype(np.float64) + 0.0 for edge in (low, high))
            error = _row_sums((self._decoded(low, high) - self._values) ** 2)
            better = (error < self._error) & (low <= high)
        self.low = np.where(better, low, self.low)
        self.high = np.where(better, high, self.high)
        self._error = np.where(better, error, self._error)

    def refit(self) -> tuple[np.ndarray, np.ndarray]:
        """Least squares line through (code, value): the range that suits the present codes best."""
        codes = quantized(self._values, self.low[:, None], self.high[:, None], self._levels)
        n = codes.shape[1]
        mean_code, mean_value = _row_sums(codes) / n, _row_sums(self._values) / n
        codes -= mean_code[:, None]
        variance = _row_sums(codes * codes)
        step = _row_sums(codes * self._values) / np.where(variance > 0, variance, 1.0)
        low = mean_value - step * mean_code
        return low, low + step * self._levels

    def _decoded(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        codes = quantized(self._values, low[:, None], high[:, None], self._levels)
        codes *= ((high - low) / self._levels)[:, None]
        codes += low[:, None]
        return codes


def _row_sums(matrix: np.ndarray) -> np.ndarray:
    """Sums over the last axis by halving: the same additions in the same order everywhere."""
    sums = matrix
    while (width := sums.shape[1]) > 1:
        half = width // 2
        folded = sums[:, :half] + sums[:, half : 2 * half]
        if width % 2:
            folded[:, 0] += sums[:, -1]
        sums = folded
    return sums.reshape(len(matrix))
