"""A model ready to answer, from a .sqz file or from a checkpoint folder."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from squadlite.config import ModelConfig
from squadlite.container import SqzFile, open_sqz
from squadlite.model.checkpoint import Checkpoint, load_checkpoint
from squadlite.model.encoder import QuestionAnsweringModel, empty_model
from squadlite.tensors import StoredTensors, read_config


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
    return model_from_checkpoint(checkpoint_from_sqz(file))


def checkpoint_from_sqz(file: SqzFile) -> Checkpoint:
    """
    Decode the tensors of the model in an open .sqz file.

    Raises:
        HeaderError, TensorError, DigestError, CodecError: as for `model_from_sqz`.
    """
    config = read_config(file)
    return _checkpoint_from_arrays(config, StoredTensors(file, config))


def model_from_arrays(
    config: ModelConfig, arrays: Mapping[str, NDArray[np.float32]]
) -> QuestionAnsweringModel:
    """Make a model around arrays, as `tensor_shapes` lists them; eval mode, no gradients."""
    return model_from_checkpoint(_checkpoint_from_arrays(config, arrays))


def _checkpoint_from_arrays(
    config: ModelConfig, arrays: Mapping[str, NDArray[np.float32]]
) -> Checkpoint:
    return Checkpoint(config, {name: torch.from_numpy(values) for name, values in arrays.items()})
