"""The tensors of the model in a .sqz file."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from squadlite.config import ModelConfig, tensor_shapes
from squadlite.container import SqzFile, TensorInfo
from squadlite.errors import ConfigError, HeaderError, TensorError

TOKENIZER_PREFIX = "tokenizer."  # tensors of a .sqz file that are not the model's
WORD_EMBEDDINGS = "embeddings.word.weight"
POSITION_EMBEDDINGS = "embeddings.position.weight"


def read_config(file: SqzFile) -> ModelConfig:
    """
    The configuration of the model in a file.

    Raises:
        HeaderError: it breaks a rule, or is of a later version of the format than the file.
    """
    try:
        config = ModelConfig.from_dict(file.model)
    except ConfigError as error:
        raise HeaderError(f"{file.path}: {error}") from error
    if config.version > file.version:
        joined, found = (".".join(map(str, version)) for version in (config.version, file.version))
        raise HeaderError(
            f"{file.path}: found a model such as joined the format in {joined}, the file says it "
            f"is of {found}"
        )
    return config


class StoredTensors(Mapping[str, NDArray[np.float32]]):
    """
    The model's tensors in an open file, as `tensor_shapes` lists them; decoded when asked for.

    Asking may raise DigestError or CodecError: the tensor's bytes are damaged.

    Args:
        file: open as long as tensors are asked for.
        config: of its model.

    Raises:
        TensorError: a tensor of the model is missing, unknown or of the wrong shape.
    """

    def __init__(self, file: SqzFile, config: ModelConfig) -> None:
        self._file, self._shapes = file, tensor_shapes(config)
        _check_tensors(file, self._shapes)

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        if name not in self._shapes:
            raise KeyError(name)
        return self._file.read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)


def _check_tensors(file: SqzFile, shapes: dict[str, tuple[int, ...]]) -> None:
    for name, shape in shapes.items():
        tensor = file.tensors.get(name)
        if tensor is None:
            raise TensorError(f"{file.path}: tensor '{name}' is missing, expected shape {shape}")
        if tensor.shape != shape:
            raise TensorError(
                f"{file.path}: tensor '{name}': found shape {tensor.shape}, expected {shape}"
            )
        if tensor.dtype != np.float32:
            raise TensorError(
                f"{file.path}: tensor '{name}': found {tensor.dtype}, expected float32"
            )
    for name in file.tensors:
        if name not in shapes and not name.startswith(TOKENIZER_PREFIX):
            raise TensorError(f"{file.path}: tensor '{name}' is unknown to this model")


@dataclass(frozen=True)
class Part:
    """What one part of a model costs."""

    name: str  # "word embeddings", "layer 0 attention", "tokenizer", ...
    num_values: int
    n_bytes: int


def count_parts(tensors: Iterable[TensorInfo], file_bytes: int) -> tuple[Part, ...]:
    """
    Count what a .sqz file costs, part by part.

    Args:
        tensors: all of the file's.
        file_bytes: its size.

    Returns:
        The parts in file order; the last one, "header and padding", is what no tensor takes.
    """
    parts: dict[str, Part] = {}
    for tensor in tensors:
        name = part_name(tensor.name)
        part = parts.get(name, Part(name, 0, 0))
        num_values = part.num_values + math.prod(tensor.shape)
        parts[name] = Part(name, num_values, part.n_bytes + tensor.n_bytes)
    rest = file_bytes - sum(part.n_bytes for part in parts.values())
    return (*parts.values(), Part("header and padding", 0, rest))


def part_name(tensor: str) -> str:
    """The part of a model that a tensor of this name belongs to."""
    if tensor == WORD_EMBEDDINGS:
        return "word embeddings"
    first, second, *rest = tensor.split(".")
    if first == "layers":
        return f"layer {second} {rest[0].replace('_', '-')}"
    return "other embeddings" if first == "embeddings" else first.replace("_", " ")
