"""Codecs whose bytes may be compressed once more, where that makes them fewer."""

from abc import abstractmethod
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np

from squadlite.container.codecs.base import Codec, Shape
from squadlite.errors import CodecError


@dataclass(frozen=True)
class CompressibleCodec(Codec):
    """
    A codec with the settings `coding` and `coded_bytes`.

    A subclass encodes to plain bytes, and can turn them into coded ones. Which of them a file holds
    is decided by their size.

    Attributes:
        coding: None for plain bytes, or how they are compressed: CODING.
        coded_bytes: how many bytes that takes, fewer than plain; None before encoding.
    """

    CODING: ClassVar[str]

    coding: str | None = field(default=None, kw_only=True)
    coded_bytes: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.coding not in (None, self.CODING):
            raise CodecError(
                f"codec {self.name!r}: coding {self.coding!r}, expected {self.CODING!r} or none"
            )
        check_coded_bytes(self.name, self.coded_bytes)
        if self.coding is None and self.coded_bytes is not None:
            raise CodecError(f"codec {self.name!r}: coded_bytes {self.coded_bytes} without coding")

    @property
    def version(self) -> tuple[int, int]:
        """The coding joined in 2.0."""
        return (2, 0) if self.coding else (1, 0)

    def n_bytes(self, shape: Shape) -> int:
        """`plain_bytes`, or `coded_bytes`, which must be fewer."""
        plain = self.plain_bytes(shape)
        if self.coding is None:
            return plain
        if self.coded_bytes is None:
            raise CodecError(f"codec {self.name!r}: setting 'coded_bytes' is missing")
        if self.coded_bytes >= plain:
            raise CodecError(
                f"codec {self.name!r}: coded_bytes {self.coded_bytes}, expected fewer than the "
                f"{plain} bytes without coding"
            )
        return self.coded_bytes

    def compressed(self) -> Self:
        """This codec with its coding."""
        return replace(self, coding=self.CODING, coded_bytes=None)

    def stored(self, values: np.ndarray) -> tuple[Self, bytes]:
        """The codec with or without its coding, whatever takes fewer bytes, and the bytes."""
        codec = self.fitted(values)
        return codec.smaller(codec.encode_plain(values), values.shape)

    def smaller(self, plain: bytes, shape: Shape) -> tuple[Self, bytes]:
        """The same for values that are plain bytes already."""
        if self.coding is not None:
            coded = self.compress(plain, shape)
            if len(coded) < len(plain):
                return replace(self, coded_bytes=len(coded)), coded
        return replace(self, coding=None, coded_bytes=None), plain

    def encode(self, values: np.ndarray) -> bytes:
        """Write values plain or coded, as `coding` says."""
        plain = self.encode_plain(values)
        return plain if self.coding is None else self.compress(plain, values.shape)

    @abstractmethod
    def plain_bytes(self, shape: Shape) -> int:
        """How many bytes a tensor of this shape takes without coding."""

    @abstractmethod
    def encode_plain(self, values: np.ndarray) -> bytes:
        """Write values as `plain_bytes(values.shape)` bytes; raises CodecError as `encode`."""

    @abstractmethod
    def compress(self, plain: bytes, shape: Shape) -> bytes:
        """Turn the plain bytes of a tensor of this shape into coded ones."""


def check_coded_bytes(name: str, coded_bytes: object) -> None:
    """
    Check a setting `coded_bytes`.

    Raises:
        CodecError: it is neither None nor an integer of 0 or more.
    """
    if coded_bytes is not None and (type(coded_bytes) is not int or coded_bytes < 0):
        raise CodecError(
            f"codec {name!r}: coded_bytes {coded_bytes!r}, expected an integer from 0 on"
        )
