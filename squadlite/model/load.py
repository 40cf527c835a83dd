"""A model ready to answer, from a .sqz file or from a checkpoint folder."""

from pathlib import Path

import numpy as np
import torch

from squadlite.container import SqzFile, open_sqz
from squadlite.errors import ConfigError, HeaderError, TensorError
from squadlite.model.checkpoint import Checkpoint, load_checkpoint
from squadlite.model.config import ModelConfig
from squadlite.model.encoder import QuestionAnsweringModel, empty_model, tensor_shapes

TOKENIZER_PREFIX = "tokenizer."  # tensors of a .sqz file that are not the model's


def load_model(path: str | Path) -> QuestionAnsweringModel:
    """
    Load a model for answering: float32, in eval mode, without gradients.

    Args:
        path: a .sqz file, or a checkpoint folder in Hugging Face's layout.

    Raises:
        FormatError: the file isn't a .sqz file, is damaged, or holds no model that we know.
        CheckpointError: the folder can't be loaded.
        OSError: there is nothing at `path`, or it can't be read.
    """
    path = Path(path)
    if path.is_dir():
        return model_from_checkpoint(load_checkpoint(path))
    with open_sqz(path) as file:
        return model_from_sqz(file)


def model_from_checkpoint(checkpoint: Checkpoint) -> QuestionAnsweringModel:
    """Make a model around a checkpoint's tensors, without copying them; eval mode, no gradients."""
    model = empty_model(checkpoint.config)
    model.load_state_dict(checkpoint.tensors, assign=True)
    return model.eval().requires_grad_(False)


def model_from_sqz(file: SqzFile) -> QuestionAnsweringModel:
    """
    Decode the model in an open .sqz file; it doesn't need the file any more after that.

    Raises:
        HeaderError: the header's model configuration breaks a rule.
        TensorError: a tensor of the model is missing, unknown or of the wrong shape.
        DigestError, CodecError: a tensor's bytes are damaged.
    """
    try:
        config = ModelConfig.from_dict(file.model)
    except ConfigError as error:
        raise HeaderError(f"{file.path}: {error}") from error
    shapes = tensor_shapes(config)
    _check_tensors(file, shapes)
    tensors = {name: torch.from_numpy(file.read(name)) for name in shapes}
    return model_from_checkpoint(Checkpoint(config, tensors))


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
