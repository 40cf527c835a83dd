"""The forward pass as one function, held to torch's in float32."""

from typing import Any

import numpy as np
import pytest
import torch
from native_kernels import on_every_width, random_tensors, wide_config
from tiny_models import calmed, random_model

from squadlite.config import ModelConfig
from squadlite.native.cpu import Cpu
from squadlite.native.layout import MAX_TOKENS, TOP_CODE, Layout
from squadlite.native.scorer import NativeScorer

# Around the borders of tiles, of panels of keys and of blocks of rows; the longest window.
LENGTHS = [1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 129, 500, 511, MAX_TOKENS]
MODELS: dict[str, dict[str, Any]] = {
    "plain": {},
    "one layer": {"num_layers": 1},
    "shared layers": {"num_layers": 5, "layer_map": (0, 0, 1, 0, 1)},
    "sketched layers": {
        "sketch_dims": {"attention.query": 12, "attention.output": 8, "feed_forward.output": 10}
    },
    "one token type": {"type_vocab_size": 1},
    "no token types": {"type_vocab_size": 0},
    "relu": {"hidden_act": "relu"},
    "gelu_new": {"hidden_act": "gelu_new"},
    "gelu_pytorch_tanh": {"hidden_act": "gelu_pytorch_tanh"},
    "large epsilon": {"layer_norm_eps": 0.5},
    "one head": {"num_heads": 1},
    "many heads": {"hidden_size": 6, "num_heads": 6},  # in vectors
    "wide": {"hidden_size": 8, "intermediate_size": 24, "num_heads": 2},  # in vectors
    "bias by distance": {"relative_position_buckets": 32},
    "narrow embeddings": {"embedding_size": 1},  # in vectors
    "wide embeddings": {"embedding_size": 7},  # in vectors
    "narrow": {"hidden_size": 1, "intermediate_size": 1, "num_heads": 1},  # in vectors
}
IN_VECTORS = ("hidden_size", "intermediate_size", "embedding_size")


def tolerance(cpu: Cpu) -> float:
    """Of logits' root mean square; codes of 8 bits cost 0.01 to 0.02, weights of 7 up to 0.04."""
    return 0.04 if cpu.top_weight == TOP_CODE else 0.06


def config_of(cpu: Cpu, changes: dict[str, Any]) -> ModelConfig:
    sizes = {name: changes[name] * cpu.unit for name in IN_VECTORS if name in changes}
    return wide_config(cpu, **{"max_position_embeddings": MAX_TOKENS} | changes | sizes)


def relative_error(cpu: Cpu, config: ModelConfig, lengths: list[int]) -> float:
    """Of the logits of one window of each length."""
    tensors = calmed(random_tensors(config, seed=1))
    scorer = NativeScorer(Layout(config, cpu), tensors)
    model = random_model(config)
    model.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in tensors.items()})
    generator = np.random.default_rng(0)
    errors = sizes = 0.0
    for length in lengths:
        ids = generator.integers(0, config.vocab_size, (1, length))
        types = generator.integers(0, max(config.type_vocab_size, 1), (1, length))
        mask = np.ones((1, length), np.bool_)
        found = np.stack(scorer(ids, types, mask, threads=1))
        with torch.inference_mode():
            exact = torch.stack(model(*map(torch.from_numpy, (ids, types, mask)))).numpy()
        assert np.isfinite(found).all()
        errors += np.square(found - exact).sum()
        sizes += np.square(exact).sum()
    return float(np.sqrt(errors / sizes))


@on_every_width
@pytest.mark.parametrize("name", MODELS)
def test_logits_are_nearly_torchs(cpu: Cpu, name: str) -> None:
    assert relative_error(cpu, config_of(cpu, MODELS[name]), [40, 11, 64]) < tolerance(cpu)


@on_every_width
@pytest.mark.parametrize("name", MODELS)
def test_means_are_nearly_torchs(cpu: Cpu, name: str) -> None:
    config = config_of(cpu, MODELS[name])
    tensors = calmed(random_tensors(config, seed=1))
    model = random_model(config)
    model.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in tensors.items()})
    mask = np.arange(64) < np.array([40, 11, 64])[:, None]
    ids = np.random.default_rng(0).integers(0, config.vocab_size, mask.shape)
    found = NativeScorer(Layout(config, cpu), tensors).embed(ids, mask, threads=1)
    with torch.inference_mode():
        exact = model.embed(*map(torch.from_numpy, (ids, mask))).numpy()
    assert np.linalg.norm(found - exact) < tolerance(cpu) * np.linalg.norm(exact)


@on_every_width
@pytest.mark.parametrize("length", LENGTHS)
def test_windows_of_any_length_are_scored(cpu: Cpu, length: int) -> None:
    assert relative_error(cpu, config_of(cpu, {}), [length]) < tolerance(cpu)
