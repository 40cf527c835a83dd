"""
Random sign matrices: entries +1/sqrt(m) and -1/sqrt(m), stored as bits or as a seed.

Signs are a little-endian bitarray, 1 for + and 0 for -, whose buffer is the bit stream of the file.
A product needs floats: `sketch_matrix` looks them up, eight to a byte of signs.

Source: Deng & Looi 2020, section 3.6; format_spec.md, "rademacher".
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from bitarray import bitarray
from numpy.typing import NDArray

from squadlite.container.canonical import MAX_INTEGER
from squadlite.container.codecs.base import Codec, Shape, count_values
from squadlite.errors import CodecError

_GENERATOR = "splitmix64"
# An entry may differ from 1/sqrt(m) by what a float32 computation of it loses.
_TOLERANCE = 1e-5
# Row b holds what the bits of the byte b say, its lowest bit first.
_BITS_OF_BYTES = np.unpackbits(np.arange(256, dtype=np.uint8), bitorder="little").reshape(256, 8)


@dataclass(frozen=True)
class Rademacher(Codec):
    """
    A sketch matrix S of shape (m, n) with entries +-1/sqrt(m), so that E[S^T S] = I.

    Without a seed, one bit an entry: the sign; the scale is always 1/sqrt(m) in float32. With a
    seed, no byte at all: the signs are the bits of splitmix64 started at that seed.

    `Rademacher(seed=7).decode(b"", (m, n))` makes a seeded matrix.

    Attributes:
        seed: None to store the signs, or 0..2**53 - 1.
        generator: "splitmix64" with a seed, None without.

    Source: Deng & Looi 2020, section 3.6; format_spec.md, "rademacher".
    """

    name: ClassVar[str] = "rademacher"

    seed: int | None = None
    generator: str | None = None

    def __post_init__(self) -> None:
        if self.seed is None:
            if self.generator is not None:
                raise CodecError(f"codec 'rademacher': generator {self.generator!r} without a seed")
            return
        if type(self.seed) is not int or not 0 <= self.seed <= MAX_INTEGER:
            raise CodecError(
                f"codec 'rademacher': seed {self.seed!r}, expected an integer in 0..2**53 - 1"
            )
        if self.generator is None:
            object.__setattr__(self, "generator", _GENERATOR)
        if self.generator != _GENERATOR:
            raise CodecError(
                f"codec 'rademacher': generator {self.generator!r}, expected {_GENERATOR!r}"
            )

    @property
    def decoded_dtype(self) -> np.dtype[Any]:
        """Always float32."""
        return np.dtype(np.float32)

    def n_bytes(self, shape: Shape) -> int:
        """One bit a value; nothing with a seed."""
        _check_shape(shape)
        return 0 if self.seed is not None else -(-count_values(shape) // 8)

    def encode(self, values: np.ndarray) -> bytes:
        """Write the signs; every value must be +-1/sqrt(m), and the seed's own sign with a seed."""
        signs = signs_of(values)
        if self.seed is None:
            return signs.tobytes()
        wrong = (signs ^ seeded_signs(self.seed, len(signs))).find(1)
        if wrong >= 0:
            at = tuple(map(int, np.unravel_index(wrong, values.shape)))
            raise CodecError(
                f"value at {list(at)} is {values[at]}, expected what seed {self.seed} gives"
            )
        return b""

    def decode(self, data: bytes, shape: Shape) -> np.ndarray:
        """Read or make the matrix, in float32."""
        return sketch_matrix(self.signs(data, shape), shape)

    def signs(self, data: bytes, shape: Shape) -> bitarray:
        """
        Read or make the signs of a matrix, in C order.

        Raises:
            CodecError, ValueError: as for `decode`.
        """
        self._check_data(data, shape)
        count = count_values(shape)
        if self.seed is not None:
            return seeded_signs(self.seed, count)
        if count % 8 and data[-1] >> count % 8:
            raise CodecError(f"last byte is {data[-1]:#04x}, expected zero above its used bits")
        return _first_bits(data, count)


def seeded_signs(seed: int, count: int) -> bitarray:
    """
    Make the signs that a seed stands for: sign i is bit i % 64 of splitmix64's output i // 64.

    Args:
        seed: 0..2**64 - 1; a file holds those up to 2**53 - 1.
        count: how many.

    Source: format_spec.md, "rademacher".
    """
    words = splitmix64(seed, -(-count // 64)).astype("<u8", copy=False)
    return _first_bits(words.tobytes(), count)


def signs_of(matrix: np.ndarray) -> bitarray:
    """
    Take the signs of a sketch matrix, in C order.

    Args:
        matrix: (m, n) floats, each +-1/sqrt(m) as far as float32 tells.

    Raises:
        CodecError: another shape, dtype or value.
    """
    _check_shape(matrix.shape)
    if matrix.dtype.kind != "f":
        raise CodecError(f"values are {matrix.dtype}, expected floats")
    scale = _scale(matrix.shape)
    with np.errstate(invalid="ignore"):
        wrong = ~(np.abs(np.abs(matrix) - scale) <= _TOLERANCE * scale)
        positive = matrix > 0
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise CodecError(f"value at {list(at)} is {matrix[at]}, expected +-{scale}")
    return _first_bits(np.packbits(positive, bitorder="little").tobytes(), matrix.size)


def sketch_matrix(signs: bitarray, shape: Shape) -> NDArray[np.float32]:
    """
    Make a sketch matrix of its signs: +1/sqrt(m) for 1, -1/sqrt(m) for 0.

    Args:
        signs: m * n, in C order; of either endianness.
        shape: (m, n).

    Raises:
        ValueError: more or fewer signs than `shape` needs.
    """
    if len(signs) != count_values(shape):
        raise ValueError(
            f"signs: found {len(signs)}, expected {count_values(shape)} for shape {shape}"
        )
    scale = _scale(shape)
    values_of_bytes = np.where(_BITS_OF_BYTES, scale, -scale)
    octets = np.frombuffer(bitarray(signs, endian="little").tobytes(), np.uint8)
    rest = len(signs) % 8
    values = np.empty(len(signs), np.float32)
    whole = values[: values.size - rest].reshape(-1, 8)
    np.take(values_of_bytes, octets[: len(whole)], axis=0, out=whole, mode="clip")
    if rest:
        values[-rest:] = values_of_bytes[octets[-1], :rest]
    return values.reshape(shape)


def splitmix64(seed: int, count: int) -> np.ndarray:
    """
    The first `count` outputs of the splitmix64 generator started at `seed`.

    Output i depends on the seed and i alone, so that any part can be made by itself.

    Args:
        seed: 0..2**64 - 1.
        count: how many.

    Returns:
        uint64 array of shape (count,).

    Source: Steele, Lea & Flood 2014; format_spec.md, "splitmix64".
    """
    z = np.arange(1, count + 1, dtype=np.uint64)
    z *= np.uint64(0x9E3779B97F4A7C15)
    z += np.uint64(seed)
    z ^= z >> np.uint64(30)
    z *= np.uint64(0xBF58476D1CE4E5B9)
    z ^= z >> np.uint64(27)
    z *= np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return z


def _check_shape(shape: Shape) -> None:
    if len(shape) != 2 or shape[0] < 1:
        raise CodecError(
            f"codec 'rademacher': shape {list(shape)}, expected (m, n) with m of 1 or more"
        )


def _first_bits(data: bytes, count: int) -> bitarray:
    bits = bitarray(endian="little")
    bits.frombytes(data)
    del bits[count:]
    return bits


def _scale(shape: Shape) -> np.float32:
    return np.float32(1.0 / math.sqrt(shape[0]))
