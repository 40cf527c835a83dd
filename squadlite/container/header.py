"""
The header of a .sqz file: the model, the tokenizer, free metadata, and where each tensor lies.

Every position in a header follows from the tensors before it, so that overlaps, holes and wrong
orders are all one comparison. Nothing is allocated for a tensor here, and every product of numbers
from the file is a Python int.

Source: format_spec.md, "Header".
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from squadlite.container import canonical
from squadlite.container.codecs import Codec, codec_from_header
from squadlite.container.codecs.base import count_values
from squadlite.container.deflate import deflated, inflated
from squadlite.container.layout import (
    DIGEST_BYTES,
    EXPANSION_ALLOWANCE,
    MAX_DIMENSIONS,
    MAX_EXPANSION,
    MAX_HEADER_BYTES,
    MAX_NAME_LENGTH,
    MAX_VALUES,
    MINOR_VERSIONS,
    PREAMBLE_BYTES,
    aligned,
)
from squadlite.errors import CodecError, HeaderError, TensorError

FIRST_VERSION = (1, 0)

_OBJECTS = ("metadata", "model", "tokenizer")
_HEADER_KEYS = {*_OBJECTS, "tensors"}
_TENSOR_KEYS = {"codec", "digest", "n_bytes", "name", "offset", "shape"}
_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_DIGEST = re.compile(f"[0-9a-f]{{{2 * DIGEST_BYTES}}}")


@dataclass(frozen=True)
class TensorInfo:
    """
    One tensor as the header describes it.

    Attributes:
        name: unique in the file, such as "layers.0.attention.query.weight".
        shape: the dimensions; () is a scalar.
        dtype: what reading it returns: float32, or the integer dtype that is stored.
        codec: how its bytes become values.
        offset: its first byte in the file.
        n_bytes: how many bytes it takes there.
        digest: SHA-256 of those bytes, 64 lower-case hex digits.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    codec: Codec
    offset: int
    n_bytes: int
    digest: str

    @property
    def end(self) -> int:
        """The first byte after it."""
        return self.offset + self.n_bytes

    @property
    def decoded_bytes(self) -> int:
        """How many bytes its values take in memory."""
        return count_values(self.shape) * self.dtype.itemsize

    @property
    def bits_per_value(self) -> float:
        """How many bits of the file one of its values takes; 0 for an empty tensor."""
        return 8 * self.n_bytes / max(1, count_values(self.shape))

    def to_header(self) -> dict[str, Any]:
        """Its entry in the header's list of tensors."""
        return {
            "codec": self.codec.to_header(),
            "digest": self.digest,
            "n_bytes": self.n_bytes,
            "name": self.name,
            "offset": self.offset,
            "shape": list(self.shape),
        }


@dataclass(frozen=True)
class Header:
    """
    Everything that a file says before its tensors.

    Attributes:
        model: the model's configuration; its meaning is checked where models are built.
        tokenizer: the tokenizer's settings; their meaning is checked where tokenizers are built.
        metadata: whatever the writer wanted to say.
        tensors: in file order.
        needed: the lowest version that has all that the other members say.
    """

    model: dict[str, Any]
    tokenizer: dict[str, Any]
    metadata: dict[str, Any]
    tensors: tuple[TensorInfo, ...]
    needed: tuple[int, int] = FIRST_VERSION

    @property
    def data_end(self) -> int:
        """The first byte after the last tensor."""
        return self.tensors[-1].end if self.tensors else PREAMBLE_BYTES

    @property
    def version(self) -> tuple[int, int]:
        """The lowest version of the format that has all that is used."""
        return max([self.needed, *(tensor.codec.version for tensor in self.tensors)])

    def to_bytes(self) -> bytes:
        """
        The header as a file of its version holds it: canonical JSON, compressed from 2.0 on.

        Raises:
            HeaderError: an object that canonical JSON can't hold, or beyond the limits.
        """
        text = canonical.dumps(
            {
                "metadata": self.metadata,
                "model": self.model,
                "tensors": [tensor.to_header() for tensor in self.tensors],
                "tokenizer": self.tokenizer,
            }
        )
        return deflated(text) if _is_compressed(self.version) else text

    @classmethod
    def from_bytes(cls, data: bytes, version: tuple[int, int]) -> Self:
        """
        Read and check a header.

        Args:
            data: the bytes of the header.
            version: of the file; members that a later minor version adds are passed over.

        Raises:
            HeaderError: not canonical JSON, or not the members that a header has.
            TensorError: a tensor's name, shape, position or size breaks a rule.
            CodecError: a codec that is unknown, or was to this version; wrong settings, or a shape
                that it doesn't take.
        """
        major, minor = version
        value = canonical.loads(_text(data) if _is_compressed(version) else data)
        if not isinstance(value, dict):
            raise HeaderError(f"header: a {type(value).__name__}, expected an object")
        _check_keys(value, _HEADER_KEYS, "header", exact=minor <= MINOR_VERSIONS[major])
        for key in _OBJECTS:
            if not isinstance(value[key], dict):
                raise HeaderError(f"header: {key!r} is {value[key]!r:.40}, expected an object")
        if not isinstance(value["tensors"], list):
            raise HeaderError(f"header: 'tensors' is {value['tensors']!r:.40}, expected a list")
        return cls(
            model=value["model"],
            tokenizer=value["tokenizer"],
            metadata=value["metadata"],
            tensors=_read_tensors(value["tensors"], version),
        )


def check_name(name: object) -> str:
    """
    Return `name` if a tensor may be called so.

    Raises:
        TensorError: not a string of 1..200 characters A-Z a-z 0-9 _ - in parts joined by dots.
    """
    if not isinstance(name, str) or len(name) > MAX_NAME_LENGTH or not _NAME.fullmatch(name):
        raise TensorError(
            f"tensor name {name!r:.80}: expected 1..{MAX_NAME_LENGTH} characters "
            "A-Z a-z 0-9 _ - in parts joined by single dots"
        )
    return name


def check_shape(name: str, shape: object) -> tuple[int, ...]:
    """
    Return the shape of tensor `name` as a tuple, if a tensor may have it.

    Raises:
        TensorError: not a list of at most 8 dimensions of 0 or more, or more than 2**31 - 1 values.
    """
    # Not any sequence: a string is one, and an empty one would be a scalar.
    if not isinstance(shape, list | tuple) or len(shape) > MAX_DIMENSIONS:
        raise TensorError(
            f"tensor {name!r}: shape {shape!r:.80}, expected at most {MAX_DIMENSIONS} dimensions"
        )
    count = 1
    for dimension in shape:
        if type(dimension) is not int or dimension < 0:
            raise TensorError(
                f"tensor {name!r}: dimension {dimension!r:.40}, expected an integer from 0 on"
            )
        # A zero doesn't let the others run wild: numpy multiplies them without it.
        count *= max(dimension, 1)
    if count > MAX_VALUES:
        raise TensorError(
            f"tensor {name!r}: shape {list(shape)} makes {count} values, "
            f"expected at most {MAX_VALUES}"
        )
    return tuple(shape)


def check_expansion(tensors: Sequence[TensorInfo]) -> None:
    """
    Bound what a small file can decode to.

    Raises:
        TensorError: more than 32 times the stored bytes and 128 MiB.
    """
    stored = sum(tensor.n_bytes for tensor in tensors)
    decoded = sum(tensor.decoded_bytes for tensor in tensors)
    limit = MAX_EXPANSION * stored + EXPANSION_ALLOWANCE
    if decoded > limit:
        raise TensorError(
            f"tensors: {decoded} bytes when decoded, expected at most {limit} "
            f"for the {stored} bytes stored"
        )


def _is_compressed(version: tuple[int, int]) -> bool:
    return version >= (2, 0)


def _text(data: bytes) -> bytes:
    try:
        return inflated(data, MAX_HEADER_BYTES, at_most=True)
    except ValueError as error:
        raise HeaderError(f"header: {error}") from error


def _read_tensors(entries: list[Any], version: tuple[int, int]) -> tuple[TensorInfo, ...]:
    tensors: list[TensorInfo] = []
    names: set[str] = set()
    end = PREAMBLE_BYTES
    for index, entry in enumerate(entries):
        tensor = _read_tensor(entry, index, aligned(end))
        if tensor.name in names:
            raise TensorError(f"tensor {tensor.name!r}: there are two of that name")
        if tensor.codec.version > version:
            raise CodecError(
                f"tensor {tensor.name!r}: codec {tensor.codec.to_header()} joined the format in "
                f"{_dotted(tensor.codec.version)}, the file says it is of {_dotted(version)}"
            )
        names.add(tensor.name)
        tensors.append(tensor)
        end = tensor.end
    check_expansion(tensors)
    return tuple(tensors)


def _read_tensor(entry: object, index: int, offset: int) -> TensorInfo:
    if not isinstance(entry, dict):
        raise HeaderError(f"header: tensors[{index}] is {entry!r:.40}, expected an object")
    _check_keys(entry, _TENSOR_KEYS, f"header: tensors[{index}]", exact=True)
    name = check_name(entry["name"])
    shape = check_shape(name, entry["shape"])
    try:
        codec = codec_from_header(entry["codec"])
        n_bytes = codec.n_bytes(shape)
    except CodecError as error:
        raise CodecError(f"tensor {name!r}: {error}") from error
    for key, expected in (("n_bytes", n_bytes), ("offset", offset)):
        # True and 1.0 equal 1 in Python, and are not the same JSON.
        if type(entry[key]) is not int or entry[key] != expected:
            raise TensorError(
                f"tensor {name!r}: header says {key} {entry[key]!r:.40}, expected {expected} "
                f"(shape {list(shape)}, codec {codec.name})"
            )
    digest = entry["digest"]
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise TensorError(f"tensor {name!r}: digest {digest!r:.80}, expected 64 hex digits")
    return TensorInfo(name, shape, codec.decoded_dtype, codec, offset, n_bytes, digest)


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def _check_keys(value: Mapping[str, Any], keys: set[str], where: str, *, exact: bool) -> None:
    if missing := keys - value.keys():
        raise HeaderError(f"{where}: member {min(missing)!r} is missing")
    if exact and (unknown := value.keys() - keys):
        raise HeaderError(f"{where}: unknown member {min(unknown)!r}, expected {sorted(keys)}")
