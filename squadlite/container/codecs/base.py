"""What every codec can do: say how many bytes it needs, encode, decode, and describe itself."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields
from functools import cache
from typing import Any, ClassVar, Self

import numpy as np

from squadlite.errors import CodecError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Codec(ABC):
    """
    How one tensor's values are written as bytes.

    A subclass is a frozen dataclass. Its compared fields are its settings: they stand in the header
    under their own names unless they are None. Fields with `compare=False` steer the encoder only.

    A codec joins the format by joining `CODECS`; neither reader nor writer knows any by name.
    """

    name: ClassVar[str]

    @property
    def version(self) -> tuple[int, int]:
        """The first version of the format that has this codec with its settings."""
        return 1, 0

    @property
    @abstractmethod
    def decoded_dtype(self) -> np.dtype[Any]:
        """The dtype that `decode` returns."""

    @abstractmethod
    def n_bytes(self, shape: Shape) -> int:
        """
        How many bytes a tensor of this shape takes; nothing is allocated.

        Raises:
            CodecError: a shape that this codec doesn't take.
        """

    def fitted(self, values: np.ndarray) -> Self:
        """The codec that `values` are written with: settings that depend on them made to fit."""
        return self

    def compressed(self) -> Self:
        """This codec with its bytes compressed without loss, if it can do that."""
        return self

    def stored(self, values: np.ndarray) -> tuple[Self, bytes]:
        """
        What a file holds of `values`: the codec, with every setting, and the bytes.

        Raises:
            CodecError: values that the codec can't hold, such as NaN.
        """
        codec = self.fitted(values)
        return codec, codec.encode(values)

    @abstractmethod
    def encode(self, values: np.ndarray) -> bytes:
        """
        Write values as bytes, `n_bytes(values.shape)` of them once that is known.

        Raises:
            CodecError: values that the codec can't hold, such as NaN.
        """

    @abstractmethod
    def decode(self, data: bytes, shape: Shape) -> np.ndarray:
        """
        Read a tensor back.

        Args:
            data: exactly `n_bytes(shape)` bytes, of any content.
            shape: shape of the tensor.

        Returns:
            A new array of `shape` and `decoded_dtype`.

        Raises:
            CodecError: bytes that `encode` never writes.
            ValueError: `data` of the wrong size.
        """

    def encoder(self, data: bytes, shape: Shape) -> Self:
        """
        The codec that wrote a tensor, ready to write another in the same way.

        Args:
            data: the tensor's bytes, as for `decode`.
            shape: of the tensor.

        Raises:
            CodecError, ValueError: as `decode`.
        """
        return self

    def to_header(self) -> dict[str, Any]:
        """The codec as it stands in a header: its name and settings."""
        settings = {field.name: getattr(self, field.name) for field in self._settings()}
        return {"name": self.name, **{k: v for k, v in settings.items() if v is not None}}

    @classmethod
    def from_header(cls, entry: Mapping[str, Any]) -> Self:
        """
        Read `to_header` back.

        Raises:
            CodecError: settings that are unknown, missing, out of range or written otherwise than
                `to_header` writes them.
        """
        settings = {key: value for key, value in entry.items() if key != "name"}
        known = {field.name for field in cls._settings()}
        if unknown := settings.keys() - known:
            raise CodecError(
                f"codec {cls.name!r}: unknown setting {min(unknown)!r}, expected {sorted(known)}"
            )
        required = {field.name for field in cls._settings() if field.default is MISSING}
        if missing := required - settings.keys():
            raise CodecError(f"codec {cls.name!r}: setting {min(missing)!r} is missing")
        codec = cls(**settings)
        if codec.to_header() != entry:
            raise CodecError(
                f"codec {cls.name!r}: settings {dict(entry)}, expected {codec.to_header()}"
            )
        return codec

    @classmethod
    @cache
    def _settings(cls) -> tuple[Field[Any], ...]:
        return tuple(field for field in fields(cls) if field.compare)

    def _check_data(self, data: bytes, shape: Shape) -> None:
        if len(data) != self.n_bytes(shape):
            raise ValueError(
                f"codec {self.name!r}: {len(data)} bytes given, "
                f"shape {shape} needs {self.n_bytes(shape)}"
            )


def count_values(shape: Shape) -> int:
    """How many values a tensor of this shape has; a Python int, which can't wrap."""
    return math.prod(shape)


def finite_float32(values: np.ndarray) -> np.ndarray:
    """
    Values as a C-contiguous float32 array, rounded half to even.

    Raises:
        CodecError: values that are not floats, not finite, or beyond float32.
    """
    if values.dtype.kind != "f":
        raise CodecError(f"values are {values.dtype}, expected floats")
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = np.ascontiguousarray(values, dtype=np.float32).reshape(values.shape)
    check_finite(rounded, values)
    return rounded


def check_finite(rounded: np.ndarray, values: np.ndarray) -> None:
    """Raise CodecError with place and value if `rounded`, made of `values`, isn't all finite."""
    finite = np.isfinite(rounded)
    if not finite.all():
        at = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise CodecError(
            f"value at {list(at)} is {values[at]}, expected finite values that fit {rounded.dtype}"
        )
