"""
The codecs of a .sqz file.

A codec joins the format here: its class in `CODECS`, its rules in format_spec.md.
"""

from collections.abc import Mapping
from types import MappingProxyType

from squadlite.container.codecs.base import Codec, Shape
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
from squadlite.errors import CodecError

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

CODECS: Mapping[str, type[Codec]] = MappingProxyType(
    {codec.name: codec for codec in (Raw, Linear, Rademacher, Uniform)}
)


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
