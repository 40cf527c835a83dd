"""The tensors of the model in a .sqz file."""

import numpy as np
from numpy.typing import NDArray

from squadlite.config import ModelConfig, tensor_shapes
from squadlite.container import SqzFile
from squadlite.errors import ConfigError, HeaderError, TensorError

TOKENIZER_PREFIX = "tokenizer."  # tensors of a .sqz file that are not the model's


def read_config(file: SqzFile) -> ModelConfig:
    """
    The configuration of the model in a file.

    Raises:
        HeaderError: it breaks a rule.
    """
    try:
        return ModelConfig.from_dict(file.model)
    except ConfigError as error:
        raise HeaderError(f"{file.path}: {error}") from error


def read_tensors(file: SqzFile, config: ModelConfig) -> dict[str, NDArray[np.float32]]:
    """
    Decode the model's tensors; they don't need the file any more after that.

    Args:
        file: open.
        config: of its model.

    Returns:
        Name -> values, as `tensor_shapes` lists them.

    Raises:
        TensorError: a tensor of the model is missing, unknown or of the wrong shape.
        DigestError, CodecError: a tensor's bytes are damaged.
    """
    shapes = tensor_shapes(config)
    _check_tensors(file, shapes)
    return {name: file.read(name) for name in shapes}


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
