"""Small .sqz files of whole models: random tensors, a vocabulary that fits."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tiny_models import random_model, tiny_config
from tiny_tokenizers import tiny_spec

from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.config import ModelConfig
from squadlite.container import Codec, Raw, write_sqz

WORDS = "embeddings.word.weight"


def model_config(**changes: Any) -> ModelConfig:
    """A configuration for the tiny vocabulary, and for whole questions."""
    changes = {"vocab_size": len(tiny_spec().vocab), "max_position_embeddings": 64} | changes
    return tiny_config(**changes)


def random_arrays(config: ModelConfig, *, seed: int = 0) -> dict[str, np.ndarray]:
    """Tensor name -> random values."""
    tensors = random_model(config, seed=seed).state_dict()
    return {name: tensor.numpy().copy() for name, tensor in tensors.items()}


def write_model_file(
    path: Path,
    *,
    arrays: Mapping[str, np.ndarray],
    config: ModelConfig | None = None,
    spec: TokenizerSpec | None = None,
    metadata: Mapping[str, Any] | None = None,
    codec: Codec | None = None,
) -> Path:
    """Write a model; raw float32 unless there is a codec for all of its tensors."""
    spec = spec or tiny_spec()
    config = config or model_config(vocab_size=len(arrays[WORDS]))
    tensors = [(name, values, codec or Raw("f32")) for name, values in arrays.items()]
    tensors += [
        (name, values, Raw(f"u{8 * values.itemsize}")) for name, values in spec.to_tensors().items()
    ]
    write_sqz(
        path,
        model=config.to_dict(),
        tokenizer=spec.to_header(),
        metadata=metadata or {},
        tensors=tensors,
    )
    return path
