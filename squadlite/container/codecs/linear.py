"""
Linear quantization to 1 to 16 bits, per tensor as in the paper, or per row or group.

Stored: a (min, max) pair for each group of values, then one bit stream with a code for each value.
All arithmetic is in binary64, each operation rounded half to even, and the result rounded once more
to float32:

    encode  code = round((x - min) / (max - min) * (2**bits - 1))
    decode  value = code * ((max - min) / (2**bits - 1)) + min

Codes may be entropy-coded, and the ranges with them, byte by byte.

Source: Deng & Looi 2020, section 3.5; format_spec.md, "linear".
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np

from squadlite.container.codecs import bitpack, rans
from squadlite.container.codecs.base import Shape, count_values, finite_float32
from squadlite.container.codecs.compressed import CompressibleCodec
from squadlite.container.codecs.ranges import (
    Groups,
    extremes,
    quantized,
    rounded_outward,
    searched,
)
from squadlite.errors import CodecError

MAX_GROUP_SIZE = 2**16

_RANGE_DTYPES: dict[str, np.dtype[Any]] = {"f16": np.dtype("<f2"), "f32": np.dtype("<f4")}
# Values in flight: their float64 stay in the L2 cache. A multiple of 8, so that every block starts
# on a byte.
_BLOCK = 2**16
# How much of the squared error a 16-bit range may add before it is stored in 32 bits.
_RANGE_SLACK = 1.05


@dataclass(frozen=True)
class Linear(CompressibleCodec):
    """
    Each value as a code of `bits` bits between the min and max of its group.

    The error of a value between min and max is at most (max - min) / (2**bits - 1) / 2, and the
    rounding of the result to float32. Min and max themselves come back exactly per tensor.

    Coding is "rans".

    Attributes:
        bits: width of a code, 1..16.
        per: "tensor": one range for all values, as in the paper; "row": one for each index of the
            first axis; "group": one for each `group_size` consecutive values of the last axis, the
            last group of a row taking what remains.
        group_size: 1..65536 with per="group", None otherwise.
        range_dtype: "f32" or "f16", how min and max are stored; always "f32" per tensor, "f16" by
            default otherwise. `fitted` turns "f16" into "f32" where it can't hold the values well.
        search_range: let the encoder narrow each range where that lowers the squared error. Not
            stored; not for per="tensor".
    """

    name: ClassVar[str] = "linear"
    CODING: ClassVar[str] = "rans"

    bits: int
    per: str = "tensor"
    group_size: int | None = None
    range_dtype: str | None = None
    search_range: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.bits) is not int or not 1 <= self.bits <= 16:
            raise CodecError(f"codec 'linear': bits {self.bits!r}, expected an integer in 1..16")
        if self.per not in ("tensor", "row", "group"):
            raise CodecError(f"codec 'linear': per {self.per!r}, expected tensor, row or group")
        if self.per != "group" and self.group_size is not None:
            raise CodecError(f"codec 'linear': group_size {self.group_size!r} with per {self.per}")
        if self.per == "group" and not (
            type(self.group_size) is int and 1 <= self.group_size <= MAX_GROUP_SIZE
        ):
            raise CodecError(
                f"codec 'linear': group_size {self.group_size!r}, "
                f"expected an integer in 1..{MAX_GROUP_SIZE}"
            )
        if self.range_dtype is None:
            object.__setattr__(self, "range_dtype", "f32" if self.per == "tensor" else "f16")
        allowed = ("f32",) if self.per == "tensor" else ("f32", "f16")
        if self.range_dtype not in allowed:
            raise CodecError(
                f"codec 'linear': range_dtype {self.range_dtype!r} per {self.per}, "
                f"expected one of {allowed}"
            )
        if self.search_range and self.per == "tensor":
            raise CodecError("codec 'linear': search_range per tensor, expected per row or group")

    @property
    def decoded_dtype(self) -> np.dtype[Any]:
        """Always float32."""
        return np.dtype(np.float32)

    def plain_bytes(self, shape: Shape) -> int:
        """The ranges and the packed codes; nothing for an empty tensor."""
        codes = bitpack.packed_bytes(count_values(shape), self.bits)
        return self._groups(shape).count * self._pair_bytes + codes

    def fitted(self, values: np.ndarray) -> Self:
        """
        The same codec with ranges in float32 where 16 bits hold them badly.

        That is where a min or max is beyond 65504, or where rounding the ranges outward would add
        more than 5% to the bound on the squared error.
        """
        if self.range_dtype == "f32":
            return self
        exact = extremes(finite_float32(values).reshape(-1), self._groups(values.shape))
        stored = rounded_outward(exact, self._range_type)
        if np.isfinite(stored).all() and _squares(stored) <= _RANGE_SLACK * _squares(exact):
            return self
        return replace(self, range_dtype="f32")

    def encode_plain(self, values: np.ndarray) -> bytes:
        """Write ranges and codes; floats are rounded to float32 first and must be finite."""
        flat = finite_float32(values).reshape(-1)
        groups = self._groups(values.shape)
        ranges = rounded_outward(extremes(flat, groups), self._range_type)
        if not np.isfinite(ranges).all():
            raise CodecError(f"values from {flat.min()} to {flat.max()} are beyond 16-bit ranges")
        if self.search_range:
            ranges = searched(flat, groups, ranges, levels=self._levels, dtype=self._range_type)
        parts = [ranges.astype(self._range_type).tobytes()]
        for start in range(0, flat.size, _BLOCK):
            block = flat[start : start + _BLOCK].astype(np.float64)
            low, high = (groups.spread(edge, start, start + block.size) for edge in ranges.T)
            parts.append(bitpack.pack(quantized(block, low, high, self._levels), self.bits))
        return b"".join(parts)

    def compress(self, plain: bytes, shape: Shape) -> bytes:
        """Coded streams of the ranges, byte by byte, and of the codes' upper bits; lower bits."""
        data = np.frombuffer(plain, np.uint8)
        range_bytes = self._groups(shape).count * self._pair_bytes
        planes = data[:range_bytes].reshape(-1, self._pair_bytes).T
        codes = np.empty(count_values(shape), np.uint16)
        bitpack.unpack(data[range_bytes:], self.bits, codes)
        symbols = (codes >> np.uint16(self._low_bits)).astype(np.uint8)
        streams = [rans.encode(np.ascontiguousarray(plane)) for plane in planes]
        streams.append(rans.encode(symbols))
        if self._low_bits:
            codes &= np.uint16((1 << self._low_bits) - 1)
            streams.append(bitpack.pack(codes, self._low_bits))
        return b"".join(streams)

    def decode(self, data: bytes, shape: Shape) -> np.ndarray:
        """Read the values back, in float32."""
        self._check_data(data, shape)
        out = np.empty(shape, self.decoded_dtype)
        groups = self._groups(shape)
        if self.coding is None:
            stored = np.frombuffer(data, self._range_type, count=2 * groups.count)
            packed = np.frombuffer(data, np.uint8, offset=stored.nbytes)
            bitpack.check_padding(packed, self.bits, out.size)
            codes = self._unpacked(packed, self.bits, out.size)
        else:
            stored, codes = self._decompress(data, groups.count, out.size)
        if not np.isfinite(stored).all():
            raise CodecError("a stored range is not finite")
        low, high = stored.astype(np.float64).reshape(-1, 2).T
        if (low > high).any():
            raise CodecError("a stored range has its min above its max")
        self._dequantize(codes, groups, low, (high - low) / self._levels, out.reshape(-1))
        return out

    def _decompress(
        self, data: bytes, n_groups: int, count: int
    ) -> tuple[np.ndarray, Iterator[np.ndarray]]:
        """The ranges, shape (2 * n_groups,), and blocks of codes."""
        low_bytes = bitpack.packed_bytes(count, self._low_bits)
        if low_bytes > len(data):
            raise CodecError(f"{len(data)} bytes, expected {low_bytes} of codes' lower bits alone")
        coded = memoryview(data)[: len(data) - low_bytes]
        *planes, upper = rans.split(coded, [n_groups] * self._pair_bytes + [count])
        pairs = np.empty((self._pair_bytes, n_groups), np.uint8)
        for stream, plane in zip(planes, pairs, strict=True):
            rans.decode(stream, n_groups, plane)
        symbols = np.empty(count, np.uint8)
        rans.decode(upper, count, symbols)
        if symbols.max(initial=0) > self._levels:
            raise CodecError(f"a code is {symbols.max()}, expected at most {self._levels}")
        low = np.frombuffer(data, np.uint8, offset=len(coded))
        bitpack.check_padding(low, self._low_bits, count)
        ranges = np.ascontiguousarray(pairs.T).view(self._range_type).reshape(-1)
        return ranges, self._joined(symbols, low)

    def _joined(self, symbols: np.ndarray, low: np.ndarray) -> Iterator[np.ndarray]:
        """Blocks of codes out of their upper bits and the bit stream of their lower ones."""
        blocks = (symbols[start : start + _BLOCK] for start in range(0, symbols.size, _BLOCK))
        if not self._low_bits:
            yield from blocks
            return
        unpacked = self._unpacked(low, self._low_bits, symbols.size)
        for upper, codes in zip(blocks, unpacked, strict=True):
            yield codes | upper.astype(np.uint16) << np.uint16(self._low_bits)

    def _unpacked(self, packed: np.ndarray, bits: int, count: int) -> Iterator[np.ndarray]:
        """Blocks of codes out of a bit stream; each in the place of the one before."""
        codes = np.empty(min(_BLOCK, count), np.uint16)
        for start in range(0, count, _BLOCK):
            block = codes[: min(_BLOCK, count - start)]
            bitpack.unpack(packed[start * bits // 8 :], bits, block)
            yield block

    def _dequantize(
        self,
        blocks: Iterable[np.ndarray],
        groups: Groups,
        low: np.ndarray,
        step: np.ndarray,
        out: np.ndarray,
    ) -> None:
        scaled = np.empty(min(_BLOCK, out.size))
        start = 0
        for codes in blocks:
            stop = start + codes.size
            values = scaled[: codes.size]
            values[...] = codes
            np.multiply(values, groups.spread(step, start, stop), out=values)
            np.add(values, groups.spread(low, start, stop), out=values)
            out[start:stop] = values
            start = stop

    @property
    def _levels(self) -> int:
        return (1 << self.bits) - 1

    @property
    def _low_bits(self) -> int:
        """Bits of a code that no symbol of 8 bits holds."""
        return max(0, self.bits - 8)

    @property
    def _pair_bytes(self) -> int:
        return 2 * self._range_type.itemsize

    @property
    def _range_type(self) -> np.dtype[Any]:
        # What min and max are stored in.
        return _RANGE_DTYPES[self.range_dtype or "f32"]

    def _groups(self, shape: Shape) -> Groups:
        return Groups.of(shape, per=self.per, group_size=self.group_size)


def _squares(ranges: np.ndarray) -> float:
    """Sum of squared widths, exactly rounded so that it is the same on every platform."""
    return math.fsum(np.square(ranges[:, 1] - ranges[:, 0]))
