"""The floor of a forward pass: its work as torch itself counts it, and the slower of two limits."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import random_model, tiny_config
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from squadlite.bench.floor import Limits, Peak, Work, count_work, floor_seconds
from squadlite.model import ModelConfig

LIMITS = Limits(
    threads=2,
    peaks={
        "f32": Peak(1e9, "slow", (1, 2, 3)),
        "int8": Peak(4e9, "fast", (4, 5, 6)),
    },
    bandwidth={1_000: 8e9, 1_000_000: 2e9},
)

CONFIGS = [
    tiny_config(),
    tiny_config(num_layers=4, layer_map=(0, 1, 0, 1)),
    tiny_config(sketch_dims={"attention.query": 5, "feed_forward.output": 7}),
    tiny_config(hidden_size=8, num_heads=2, intermediate_size=30, type_vocab_size=0),
]


@pytest.mark.parametrize("config", CONFIGS, ids=["plain", "shared", "sketched", "other sizes"])
@pytest.mark.parametrize(("batch", "length"), [(1, 24), (3, 7)])
def test_multiply_adds_are_those_that_torch_counts(
    config: ModelConfig, batch: int, length: int
) -> None:
    model = random_model(config)
    ids = torch.zeros(batch, length, dtype=torch.int64)
    # The counter sees the attention's products where they are products.
    with (
        torch.inference_mode(),
        sdpa_kernel(SDPBackend.MATH),
        FlopCounterMode(display=False) as counter,
    ):
        model(ids, ids, torch.ones_like(ids, dtype=torch.bool))
    assert 2 * count_work(config, batch, length).macs == counter.get_total_flops()


@pytest.mark.parametrize("config", CONFIGS, ids=["plain", "shared", "sketched", "other sizes"])
def test_weights_are_the_matrices_of_the_linear_maps_each_once(config: ModelConfig) -> None:
    matrices = [
        tensor.numel()
        for name, tensor in random_model(config).state_dict().items()
        if tensor.ndim == 2 and not name.startswith("embeddings.")
    ]
    assert count_work(config, 1, 5).weights == sum(matrices)


def test_much_computing_is_bound_by_the_peak() -> None:
    work = Work(linear_macs=900_000, attention_macs=100_000, weights=10)
    assert floor_seconds(work, LIMITS, "f32") == 1e6 / 1e9
    assert floor_seconds(work, LIMITS, "int8") == 1e6 / 4e9


def test_much_weight_is_bound_by_reading() -> None:
    work = Work(linear_macs=10, attention_macs=0, weights=1_000_000)
    assert floor_seconds(work, LIMITS, "f32") == 4e6 / 2e9
    assert floor_seconds(work, LIMITS, "int8") == 1e6 / 2e9


def test_what_fits_a_cache_is_read_at_the_caches_speed() -> None:
    few = Work(linear_macs=0, attention_macs=0, weights=999_999)
    fewest = Work(linear_macs=0, attention_macs=0, weights=10)
    assert floor_seconds(few, LIMITS, "int8") == 999_999 / 8e9
    assert floor_seconds(fewest, LIMITS, "int8") == 10 / 8e9


def test_without_a_kernel_there_is_no_floor() -> None:
    work = Work(1, 1, 1)
    assert floor_seconds(work, LIMITS, "bf16") is None
    assert floor_seconds(work, Limits(1, {}, {1: 1.0}), "auto") is None


@given(st.integers(1, 10**12), st.integers(1, 10**9))
def test_a_runtime_that_chooses_has_the_lowest_floor(macs: int, weights: int) -> None:
    work = Work(macs, 0, weights)
    floors = [floor_seconds(work, LIMITS, "f32"), floor_seconds(work, LIMITS, "int8")]
    assert floor_seconds(work, LIMITS, "auto") == min(floor for floor in floors if floor)


def test_limits_survive_json() -> None:
    assert Limits.from_dict(json.loads(json.dumps(LIMITS.to_dict()))) == LIMITS
