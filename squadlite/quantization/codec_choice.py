"""Which codec each tensor of a model is written with: by one rule for all, or as a file has it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from squadlite.config import RELATIVE_POSITION_BIAS
from squadlite.container import Codec, Linear, Rademacher, Raw, open_sqz
from squadlite.errors import CodecError

_PRECIOUS = ("span_head.", f"{RELATIVE_POSITION_BIAS}.")  # small matrices that decide much


@dataclass(frozen=True)
class Quantization:
    """
    How the tensors of a model become codes.

    Raises:
        CodecError: settings that no linear codec has.
    """

    bits: int
    per: str
    group_size: int | None

    def __post_init__(self) -> None:
        Linear(self.bits, per=self.per, group_size=self.group_size)

    def codec(self, name: str, values: np.ndarray) -> Codec:
        """The codec for one tensor of a model."""
        if name.endswith(".sketch"):
            return Rademacher()
        if self.per == "tensor":
            return Linear(self.bits)
        if values.ndim == 2 and not name.startswith(_PRECIOUS):
            return Linear(self.bits, per=self.per, group_size=self.group_size, search_range=True)
        fits_half = np.abs(values).max() <= np.finfo(np.float16).max
        return Raw("f16" if fits_half else "f32")

    def to_dict(self) -> dict[str, Any]:
        """Its settings, for a file's metadata."""
        settings = {"bits": self.bits, "per": self.per, "group_size": self.group_size}
        return {name: value for name, value in settings.items() if value is not None}


@dataclass(frozen=True)
class SameAs:
    """
    Tensors become codes as those of the same names in a file are: on the same grid.

    Attributes:
        path: the file.
        codecs: name -> codec, as it encodes.
    """

    path: Path
    codecs: Mapping[str, Codec] = field(compare=False, repr=False)

    @classmethod
    def read(cls, path: Path) -> Self:
        """
        Read from a file how it is quantized.

        Raises:
            FormatError: not a .sqz file, or a damaged one.
            OSError: it can't be read.
        """
        with open_sqz(path) as file:
            return cls(path, {name: file.encoder(name) for name in file.tensors})

    def codec(self, name: str, values: np.ndarray) -> Codec:
        """
        The codec for one tensor of a model.

        Raises:
            CodecError: the file has no such tensor.
        """
        if name not in self.codecs:
            raise CodecError(f"{self.path}: tensor {name!r} is missing, expected all of the model")
        return self.codecs[name]
