"""
Random sign matrices: entries +1/sqrt(m) and -1/sqrt(m), stored as bits or as a seed.

The bits are packed by numpy: `python -m benchmarks.codecs` measures it at a hundred times the speed
of bitarray, which the tests hold the order of the bits to.

Source: Deng & Looi 2020, section 3.6; format_spec.md, "rademacher".
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from squadlite.container.canonical import MAX_INTEGER
from squadlite.container.codecs.base import Codec, Shape, count_values
from squadlite.errors import CodecError

_GENERATOR = "splitmix64"
# An entry may differ from 1/sqrt(m) by what a float32 computation of it loses.
_TOLERANCE = 1e-5


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
        if len(shape) != 2 or shape[0] < 1:
            raise CodecError(
                f"codec 'rademacher': shape {list(shape)}, expected (m, n) with m of 1 or more"
            )
        return 0 if self.seed is not None else -(-count_values(shape) // 8)

    def encode(self, values: np.ndarray) -> bytes:
        """Write the signs; every value must be +-1/sqrt(m), and the seed's own sign with a seed."""
        self.n_bytes(values.shape)
        scale = _scale(values.shape)
        if values.dtype.kind != "f":
            raise CodecError(f"values are {values.dtype}, expected floats")
        with np.errstate(invalid="ignore"):
            wrong = ~(np.abs(np.abs(values) - scale) <= _TOLERANCE * scale)
            positive = values > 0
        if self.seed is not None:
            wrong |= positive != _seeded_signs(self.seed, values.size).reshape(values.shape)
        if wrong.any():
            at = tuple(int(i) for i in np.argwhere(wrong)[0])
            expected = f"+-{scale}" if self.seed is None else f"what seed {self.seed} gives"
            raise CodecError(f"value at {list(at)} is {values[at]}, expected {expected}")
        if self.seed is not None:
            return b""
        return np.packbits(positive, bitorder="little").tobytes()

    def decode(self, data: bytes, shape: Shape, *, out: np.ndarray | None = None) -> np.ndarray:
        """Read or make the matrix, in float32."""
        self._check_data(data, shape)
        out = self._output(shape, out)
        count = count_values(shape)
        if self.seed is not None:
            signs = _seeded_signs(self.seed, count)
        else:
            if count % 8 and data[-1] >> count % 8:
                raise CodecError(f"last byte is {data[-1]:#04x}, expected zero above its used bits")
            signs = np.unpackbits(np.frombuffer(data, np.uint8), count=count, bitorder="little")
        scale = _scale(shape)
        np.take(np.array([-scale, scale]), signs, out=out.reshape(-1), mode="clip")
        return out


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


def _seeded_signs(seed: int, count: int) -> np.ndarray:
    """Bit i is bit i % 64 of output i // 64: the same stream that stored signs would lie in."""
    words = splitmix64(seed, -(-count // 64)).astype("<u8", copy=False)
    return np.unpackbits(words.view(np.uint8), count=count, bitorder="little")


def _scale(shape: Shape) -> np.float32:
    return np.float32(1.0 / math.sqrt(shape[0]))
