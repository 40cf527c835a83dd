"""Small random models that several test modules share."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from squadlite.model import ModelConfig, QuestionAnsweringModel


def tiny_config(**changes: Any) -> ModelConfig:
    """A model of a few thousand parameters; two layers, not shared, not sketched."""
    num_layers = changes.get("num_layers", 2)
    values: dict[str, Any] = {
        "vocab_size": 40,
        "hidden_size": 12,
        "num_layers": num_layers,
        "num_heads": 3,
        "intermediate_size": 20,
        "max_position_embeddings": 24,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
        "hidden_act": "gelu",
        "layer_map": tuple(range(num_layers)),
        "sketch_dims": {},
    }
    return ModelConfig(**values | changes)


def random_model(config: ModelConfig, *, seed: int = 0) -> QuestionAnsweringModel:
    """A model whose every tensor is random, norms too; sketches stay sketches. Eval mode."""
    model = QuestionAnsweringModel(config).eval()
    randomize(model, seed=seed)
    return model


def randomize(model: nn.Module, *, seed: int = 0) -> None:
    """Draw every parameter anew, so that what goes in still shows in the logits of a few layers."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(std=0.5, generator=generator)
            if "norm" in name.lower() and name.endswith("weight"):
                parameter.add_(1)


def calmed(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """
    A random model's tensors, with linear maps that leave sizes about as they are.

    Else attention would take one key alone, and which of two it takes would hang on a rounding.
    """
    return {
        name: tensor * (2 / math.sqrt(tensor.shape[1]))
        if name.startswith("layers") and tensor.ndim == 2
        else tensor
        for name, tensor in tensors.items()
    }


def padded_batch(config: ModelConfig, *, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Three questions of 7, 15 and 11 tokens: input_ids, token_type_ids, attention_mask."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.tensor([7, 15, 11])
    attention_mask = torch.arange(15) < lengths[:, None]
    shape = attention_mask.shape
    input_ids = torch.randint(config.vocab_size, shape, generator=generator)
    token_type_ids = torch.randint(max(config.type_vocab_size, 1), shape, generator=generator)
    return input_ids, token_type_ids, attention_mask
