"""
The codecs of a .sqz file.

A codec joins the format here: its class in `CODECS`, its rules in format_spec.md.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from squadlite.container.codecs.base import Codec, Shape
from squadlite.container.exports import importer
from squadlite.errors import CodecError

if TYPE_CHECKING:
    from squadlite.container.codecs.linear import Linear
    from squadlite.container.codecs.rademacher import (
        Rademacher,
        seeded_signs,
        signs_of,
        sketch_matrix,
        splitmix64,
    )
    from squadlite.container.codecs.raw import Raw
    from squadlite.container.codecs.uniform import Uniform, nearest_exponents

__all__ = [
    "CODECS",
    "Codec",
    "Linear",
    "Rademacher",
    "Raw",
    "Shape",
    "Uniform",
    "codec_from_header",
    "nearest_exponents",
    "seeded_signs",
    "signs_of",
    "sketch_matrix",
    "splitmix64",
]

# A file has two or three of them, and each costs time to import.
__getattr__ = importer(
    __name__,
    {
        "Linear": "linear",
        "Rademacher": "rademacher",
        "Raw": "raw",
        "Uniform": "uniform",
        "nearest_exponents": "uniform",
        "seeded_signs": "rademacher",
        "signs_of": "rademacher",
        "sketch_matrix": "rademacher",
        "splitmix64": "rademacher",
    },
)


class _Codecs(Mapping[str, type[Codec]]):
    # Name in a header -> class.
    _CLASSES: ClassVar = {
        "raw": "Raw",
        "linear": "Linear",
        "rademacher": "Rademacher",
        "uniform": "Uniform",
    }

    def __getitem__(self, name: str) -> type[Codec]:
        codec: type[Codec] = __getattr__(self._CLASSES[name])
        return codec

    def __iter__(self) -> Iterator[str]:
        return iter(self._CLASSES)

    def __len__(self) -> int:
        return len(self._CLASSES)


CODECS: Mapping[str, type[Codec]] = _Codecs()


def codec_from_header(entry: object) -> Codec:
    """
    The codec that a header entry declares.

    Args:
        entry: the JSON value of a tensor's "codec".

    Raises:
        CodecError: not an object with the name of a known codec and its exact settings.
    """
    if not isinstance(entry, dict):
        raise CodecError(f"codec is {entry!r}, expected an object")
    name = entry.get("name")
    if not isinstance(name, str) or name not in CODECS:
        raise CodecError(f"codec {name!r} is unknown, expected one of {sorted(CODECS)}")
    return CODECS[name].from_header(entry)
