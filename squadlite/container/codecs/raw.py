"""Values as they are: floats of 32 or 16 bits and integers of 8 to 64."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from squadlite.container.codecs.base import Shape, check_finite, count_values, finite_float32
from squadlite.container.codecs.compressed import CompressibleCodec
from squadlite.container.deflate import deflated, inflated
from squadlite.errors import CodecError

_STORED: dict[str, np.dtype[Any]] = {
    "f32": np.dtype("<f4"),
    "f16": np.dtype("<f2"),
    "bf16": np.dtype("<u2"),
    "u8": np.dtype("u1"),
    "i8": np.dtype("i1"),
    "u16": np.dtype("<u2"),
    "i16": np.dtype("<i2"),
    "u32": np.dtype("<u4"),
    "i32": np.dtype("<i4"),
    "u64": np.dtype("<u8"),
    "i64": np.dtype("<i8"),
}
_FLOATS = ("f32", "f16", "bf16")


@dataclass(frozen=True)
class Raw(CompressibleCodec):
    """
    Each value in a fixed number of bytes, C order, little-endian.

    Floats decode to float32; f32 and integers are exact, f16 and bf16 round half to even (relative
    error at most 2**-11 and 2**-8 for normal values). Floats are always finite.

    Coding is "deflate".

    Attributes:
        dtype: f32, f16, bf16, u8, i8, u16, i16, u32, i32, u64 or i64.

    Source: format_spec.md, "raw".
    """

    name: ClassVar[str] = "raw"
    CODING: ClassVar[str] = "deflate"

    dtype: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.dtype, str) or self.dtype not in _STORED:
            raise CodecError(f"codec 'raw': dtype {self.dtype!r}, expected one of {list(_STORED)}")

    @property
    def decoded_dtype(self) -> np.dtype[Any]:
        """float32 for every float, the stored integer dtype in native order otherwise."""
        return (
            np.dtype(np.float32) if self.dtype in _FLOATS else _STORED[self.dtype].newbyteorder("=")
        )

    def plain_bytes(self, shape: Shape) -> int:
        """Values times bytes a value."""
        return count_values(shape) * self._item_bytes

    def encode_plain(self, values: np.ndarray) -> bytes:
        """Write floats rounded to the stored dtype, or integers unchanged."""
        if self.dtype not in _FLOATS:
            return self._encode_integers(values)
        single = finite_float32(values)
        if self.dtype == "bf16":
            return _encode_bf16(single, values)
        with np.errstate(over="ignore"):
            stored = single.astype(_STORED[self.dtype])
        check_finite(stored, values)
        return stored.tobytes()

    def compress(self, plain: bytes, shape: Shape) -> bytes:
        """DEFLATE of the first byte of every value, then of the second of every one, ..."""
        return deflated(_transposed(plain, self._item_bytes))

    def decode(self, data: bytes, shape: Shape) -> np.ndarray:
        """Read the values back, floats as float32."""
        self._check_data(data, shape)
        out = np.empty(shape, self.decoded_dtype)
        if self.coding is not None:
            data = self._decompress(data, shape)
        stored = np.frombuffer(data, _STORED[self.dtype]).reshape(shape)
        if self.dtype == "bf16":
            # A bfloat16 is the upper half of a float32.
            np.left_shift(stored, np.uint32(16), out=out.view(np.uint32), dtype=np.uint32)
            stored = out
        # Before any cast: casting a signaling NaN warns.
        if self.dtype in _FLOATS and not np.isfinite(stored).all():
            raise CodecError("a stored value is NaN or infinite, expected finite values")
        if stored is not out:
            out[...] = stored
        return out

    def _decompress(self, data: bytes, shape: Shape) -> bytes:
        try:
            planes = inflated(data, self.plain_bytes(shape))
        except ValueError as error:
            raise CodecError(f"codec 'raw': {error}") from error
        return _transposed(planes, count_values(shape))

    @property
    def _item_bytes(self) -> int:
        return _STORED[self.dtype].itemsize

    def _encode_integers(self, values: np.ndarray) -> bytes:
        if values.dtype.kind not in "iu":
            raise CodecError(f"values are {values.dtype}, expected integers for {self.dtype}")
        limits = np.iinfo(_STORED[self.dtype])
        if values.size:
            low, high = int(values.min()), int(values.max())
            if low < limits.min or high > limits.max:
                raise CodecError(
                    f"values from {low} to {high}, expected {limits.min} to {limits.max} "
                    f"for {self.dtype}"
                )
        return values.astype(_STORED[self.dtype]).tobytes()


def _transposed(data: bytes, columns: int) -> bytes:
    """The bytes of a matrix with so many columns, column by column."""
    return np.frombuffer(data, np.uint8).reshape(-1, columns).T.tobytes()


def _encode_bf16(single: np.ndarray, values: np.ndarray) -> bytes:
    bits = single.view(np.uint32)
    # Half of the lost range, one less where the kept part is even: ties go to the even neighbour.
    rounded = (bits + (np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1)))) >> np.uint32(16)
    check_finite((rounded << np.uint32(16)).view(np.float32), values)
    return rounded.astype("<u2").tobytes()
