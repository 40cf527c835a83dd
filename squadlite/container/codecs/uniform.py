"""
Uniform quantization: whole multiples of one step, entropy-coded, so that a rare code may be long.

    encode  code = round(x / spacing)
    decode  value = code * spacing, where spacing = step * 2^(e / 8)

e is the exponent of a value's row or column, 0 without any. A spacing is a binary32 number, and
`decode` rounds once, so that a value that is code * spacing gets this code again.

Source: format_spec.md, "uniform".
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from squadlite.container.codecs import rans
from squadlite.container.codecs.base import Codec, Shape, count_values, finite_float32
from squadlite.container.codecs.compressed import check_coded_bytes
from squadlite.errors import CodecError

SCALES = ("rows", "columns")
# With exponents of -128..127 and codes of 16 bits no spacing is subnormal, and no value infinite.
MIN_STEP, MAX_STEP = 2.0**-100, 2.0**96
MIN_CODE, MAX_CODE = -(2**15), 2**15 - 1
_SYMBOLS = 256  # a code is one byte to the entropy coder
MAX_LOWEST = MAX_CODE + 1 - _SYMBOLS

# 2^(k/8), each the nearest binary64.
_EIGHTHS = np.array(
    [
        1.0,
        1.0905077326652577,
        1.189207115002721,
        1.2968395546510096,
        1.4142135623730951,
        1.5422108254079407,
        1.681792830507429,
        1.8340080864093424,
    ]
)
# Values in flight: they stay in the L2 cache.
_BLOCK = 2**16


@dataclass(frozen=True)
class Uniform(Codec):
    """
    Each value as a multiple of its spacing: `step`, or `step` scaled by row or column.

    Takes float values and rounds them; values that are multiples of their spacing already, such as
    `codes.astype(np.float32) * codec.spacing` for whole codes, come back bit by bit. The error of
    any other is at most spacing / 2 and the rounding to float32, unless its code is clamped: codes
    of one tensor lie within 256 consecutive integers, which the encoder places about 0.

    Attributes:
        step: the spacing at exponent 0, 2**-100 .. 2**96.
        scales: None: one spacing for all values; "rows", "columns": one for each of a matrix.
        lowest: the code that the first of the 256 symbols stands for; None before encoding.
        coded_bytes: how many bytes the coded tensor takes; None before encoding.
        exponents: with scales, int8, shape (rows,) or (columns,). For encoding only: they are
            stored with the codes, not in the header.

    Source: format_spec.md, "uniform".
    """

    name: ClassVar[str] = "uniform"

    step: float
    scales: str | None = None
    lowest: int | None = None
    coded_bytes: int | None = None
    exponents: NDArray[np.int8] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.step, float) or not MIN_STEP <= self.step <= MAX_STEP:
            raise CodecError(
                f"codec 'uniform': step {self.step!r}, expected a float in {MIN_STEP}..{MAX_STEP}"
            )
        if self.scales is not None and self.scales not in SCALES:
            raise CodecError(
                f"codec 'uniform': scales {self.scales!r}, expected one of {SCALES}, or none"
            )
        if self.lowest is not None and not (
            type(self.lowest) is int and MIN_CODE <= self.lowest <= MAX_LOWEST
        ):
            raise CodecError(
                f"codec 'uniform': lowest {self.lowest!r}, "
                f"expected an integer in {MIN_CODE}..{MAX_LOWEST}"
            )
        check_coded_bytes(self.name, self.coded_bytes)
        if self.exponents is not None and (self.scales is None or self.exponents.dtype != np.int8):
            raise CodecError(
                f"codec 'uniform': exponents of {self.exponents.dtype} with scales "
                f"{self.scales!r}, expected int8 with rows or columns"
            )

    @property
    def version(self) -> tuple[int, int]:
        """Joined in 2.0."""
        return 2, 0

    @property
    def decoded_dtype(self) -> np.dtype[Any]:
        """Always float32."""
        return np.dtype(np.float32)

    @property
    def spacing(self) -> NDArray[np.float32]:
        """
        What one code more adds to a value: float32 of shape (), (rows, 1) or (1, columns).

        Raises:
            CodecError: scales without exponents.
        """
        if self.scales is None:
            return _spacing(self.step, np.zeros((), np.int8))
        if self.exponents is None:
            raise CodecError(f"codec 'uniform': scales {self.scales!r} without exponents")
        # One a row or column, in the shape that goes with a matrix.
        return _spacing(self.step, np.expand_dims(self.exponents, 1 - self._axis))

    def n_bytes(self, shape: Shape) -> int:
        """What the coded streams take: `coded_bytes`; nothing for an empty tensor."""
        self._check_shape(shape)
        if self.lowest is None or self.coded_bytes is None:
            raise CodecError("codec 'uniform': setting 'lowest' or 'coded_bytes' is missing")
        if (self.coded_bytes == 0) != (count_values(shape) == 0):
            raise CodecError(
                f"codec 'uniform': coded_bytes {self.coded_bytes} for shape {list(shape)}"
            )
        return self.coded_bytes

    def stored(self, values: np.ndarray) -> tuple[Self, bytes]:
        """The codec with `lowest` and `coded_bytes`, and the bytes that it describes."""
        codes = self._codes(finite_float32(values))
        if not codes.size:
            return replace(self, lowest=0, coded_bytes=0), b""
        lowest = _lowest_of(int(codes.min()), int(codes.max()))
        symbols = (codes.clip(lowest, lowest + _SYMBOLS - 1) - lowest).astype(np.uint8)
        streams = [rans.encode(symbols.reshape(-1))]
        if self.exponents is not None:
            streams.insert(0, rans.encode(self.exponents.view(np.uint8)))
        data = b"".join(streams)
        return replace(self, lowest=lowest, coded_bytes=len(data)), data

    def encoder(self, data: bytes, shape: Shape) -> Self:
        """
        The codec that wrote a tensor, ready to write another on the same grid.

        Args:
            data: as for `decode`.
            shape: of the tensor.

        Returns:
            The codec without `lowest` and `coded_bytes`, and with the exponents that the bytes
            hold; those of an empty tensor, which holds none, are 0.

        Raises:
            CodecError, ValueError: as `decode`.
        """
        self._check_data(data, shape)
        exponents, _ = self._parts(data, shape)
        return replace(self, lowest=None, coded_bytes=None, exponents=exponents)

    def encode(self, values: np.ndarray) -> bytes:
        """Write exponents and codes; floats are rounded to float32 first and must be finite."""
        return self.stored(values)[1]

    def decode(self, data: bytes, shape: Shape) -> np.ndarray:
        """Read the values back, in float32; whatever the bytes, they are finite."""
        self._check_data(data, shape)
        out = np.empty(shape, self.decoded_dtype)
        if not out.size:
            return out
        exponents, coded = self._parts(data, shape)
        symbols = np.empty(out.size, np.uint8)
        rans.decode(coded, out.size, symbols)
        spacing = replace(self, exponents=exponents).spacing
        lowest = np.float32(self.lowest or 0)
        for codes, by, values in _blocks(symbols, spacing, out):
            values[...] = codes
            np.add(values, lowest, out=values)
            np.multiply(values, by, out=values)
        return out

    def _parts(self, data: bytes, shape: Shape) -> tuple[NDArray[np.int8] | None, memoryview]:
        """The exponents, None without scales, and the coded stream of the codes."""
        count = count_values(shape)
        if self.scales is None:
            return None, memoryview(data)
        exponents = np.zeros(shape[self._axis], np.int8)
        if not count:
            return exponents, memoryview(data)
        scaled, coded = rans.split(data, [exponents.size, count])
        rans.decode(scaled, exponents.size, exponents.view(np.uint8))
        return exponents, coded

    def _codes(self, values: NDArray[np.float32]) -> NDArray[np.int16]:
        self._check_shape(values.shape)
        if self.exponents is not None and self.exponents.shape != (values.shape[self._axis],):
            raise CodecError(
                f"codec 'uniform': exponents of shape {self.exponents.shape} for the {self.scales} "
                f"of shape {list(values.shape)}"
            )
        codes = np.empty(values.shape, np.int16)
        for some, by, target in _blocks(values, self.spacing, codes):
            quotients = np.divide(some, by, dtype=np.float64)
            target[...] = np.rint(quotients).clip(MIN_CODE, MAX_CODE)
        return codes

    def _check_shape(self, shape: Shape) -> None:
        if self.scales is not None and len(shape) != 2:
            raise CodecError(
                f"codec 'uniform': shape {list(shape)}, expected a matrix with scales {self.scales}"
            )

    @property
    def _axis(self) -> int:
        return 0 if self.scales == "rows" else 1


def nearest_exponents(ratios: NDArray[np.floating]) -> NDArray[np.int8]:
    """
    Exponents that scale a step about `ratios` times: e for which 2^(e / 8) is nearest.

    Args:
        ratios: above 0, any shape; beyond 2^-16 .. 2^(127/8) the outermost exponent is taken.

    Returns:
        int8 array of that shape.
    """
    exponents: NDArray[np.int8] = np.rint(8 * np.log2(ratios)).clip(-128, 127).astype(np.int8)
    return exponents


def _spacing(step: float, exponents: NDArray[np.int8]) -> NDArray[np.float32]:
    octaves, eighths = np.divmod(exponents.astype(np.int64), 8)
    return np.ldexp(step * _EIGHTHS[eighths], octaves).astype(np.float32)


def _lowest_of(least: int, most: int) -> int:
    """Where 256 codes begin that have all of least..most, or else those nearest to -128..127."""
    begin = min(max(least, -_SYMBOLS // 2), max(least, most + 1 - _SYMBOLS))
    return min(begin, MAX_LOWEST)


def _blocks(
    source: np.ndarray, spacing: NDArray[np.float32], target: np.ndarray
) -> Iterator[tuple[np.ndarray, NDArray[np.float32], np.ndarray]]:
    """Some rows at a time of two arrays of equal size, and the spacing of their values."""
    if not target.size:
        return
    columns = target.shape[1] if spacing.ndim else 1
    source, target = source.reshape(-1, columns), target.reshape(-1, columns)
    by = np.broadcast_to(spacing, target.shape)
    n_rows = max(1, _BLOCK // columns)
    for start in range(0, len(target), n_rows):
        some = slice(start, start + n_rows)
        yield source[some], by[some], target[some]
