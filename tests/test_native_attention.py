"""Attention over codes, held to softmax in float64."""

import functools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native_kernels import compiled, on_every_cpu, wide_config

from squadlite.native.attention import Attention
from squadlite.native.code import Code
from squadlite.native.cpu import Cpu
from squadlite.native.frame import SLOTS
from squadlite.native.layout import MAX_TOKENS, NEVER, TOP_CODE, Layout
from squadlite.native.operands import INDEX, POINTER

HEADS = 2
# Lengths around the borders of tiles, of panels of keys and of pairs; the longest.
LENGTHS = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65, 511, 512]
VECTORS = 3  # in a head: more than a tile takes, if it took two


class Window:
    """Queries, keys and values of one window, and what attention makes of them."""

    def __init__(self, cpu: Cpu, length: int, *, seed: int = 0) -> None:
        self._cpu, self._layout = cpu, _layout(cpu)
        self.length = length
        self.products = _random((length, 3, HEADS, self._layout.width), seed)

    def exact(self) -> np.ndarray:
        """(tokens, heads, width) float64."""
        query, key, value = self.products.astype(np.float64).transpose(1, 2, 0, 3)
        scores = query @ key.swapaxes(1, 2) / np.sqrt(self._layout.width)
        weights = np.exp(scores - scores.max(axis=2, keepdims=True))
        return (weights / weights.sum(axis=2, keepdims=True) @ value).transpose(1, 0, 2)

    def found(self, *, rubbish: float = 0.0, turn: int = 0) -> np.ndarray:
        """
        (tokens, heads, width).

        Args:
            rubbish: how large what lies behind the window is, and what windows before have left.
            turn: see `Attention`.
        """
        layout = self._layout
        n_rows, n_keys = (
            -(-self.length // size) * size for size in (self._cpu.tile_rows, layout.panel_keys)
        )
        products = rubbish * _random((n_rows, *self.products.shape[1:]), 1)
        products[: self.length] = self.products
        gathered = np.zeros((n_rows, HEADS, layout.width), np.float32)
        frame = self._frame(rubbish, n_rows, n_keys)
        _kernel(self._cpu)(frame.addresses, products, gathered, n_rows, turn)
        return gathered[: self.length]

    def _frame(self, rubbish: float, n_rows: int, n_keys: int) -> "_Frame":
        layout, tokens = self._layout, MAX_TOKENS
        of_heads = (2, HEADS, tokens)
        parts = {
            "query_codes": np.full((tokens, layout.hidden), 255 * bool(rubbish), np.uint8),
            "query_scales": np.full((tokens, HEADS), rubbish, np.float32),
            "key_codes": np.full((2, HEADS, tokens, layout.width), 127 * bool(rubbish), np.int8),
            "key_scales": np.full(of_heads, rubbish, np.float32),
            "key_corrections": np.full(of_heads, rubbish, np.int32),
            "value_codes": np.full((*of_heads, layout.width), 511 * bool(rubbish), np.int16),
            "value_exponents": np.full(of_heads, NEVER, np.float32),
            "value_units": np.zeros(of_heads, np.float32),
            "scratch": np.full(layout.scratch["end"], 127 * bool(rubbish), np.uint8),
        }
        numbers = {"n_tokens": self.length, "n_rows": n_rows, "n_keys": n_keys}
        return _Frame(parts, numbers)


class _Frame:
    # The addresses, and the arrays that they are of.

    def __init__(self, parts: dict[str, np.ndarray], numbers: dict[str, int]) -> None:
        self._parts = parts
        self.addresses = np.zeros(len(SLOTS), np.uint64)
        places = {name: part.ctypes.data for name, part in parts.items()}
        for name, value in (places | numbers).items():
            self.addresses[SLOTS.index(name)] = value


def _random(shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def _layout(cpu: Cpu) -> Layout:
    config = wide_config(cpu, num_heads=HEADS, hidden_size=HEADS * VECTORS * cpu.unit)
    return Layout(config, cpu)


@functools.cache
def _kernel(cpu: Cpu) -> Callable[..., None]:
    layout = _layout(cpu)

    def write(code: Code) -> None:
        attention, start = Attention(code, layout), code.index(0)
        attention.keep(code["products"], start=start, n_rows=code["n_rows"])
        attention.attend(code["gathered"], start=start, n_rows=code["n_rows"])

    return compiled(
        cpu,
        write,
        frame=POINTER,
        products=POINTER,
        gathered=POINTER,
        n_rows=INDEX,
        turn=INDEX,
    )


def relative_error(found: np.ndarray, exact: np.ndarray) -> float:
    assert np.isfinite(found).all()
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


@on_every_cpu
@pytest.mark.parametrize("length", LENGTHS)
def test_tokens_gather_as_softmax_weighs(cpu: Cpu, length: int) -> None:
    window = Window(cpu, length)
    # Keys of fewer codes are coarser.
    limit = 0.012 if cpu.top_weight == TOP_CODE else 0.018
    assert relative_error(window.found(), window.exact()) < limit


@on_every_cpu
@pytest.mark.parametrize("length", [1, 5, 33])
@pytest.mark.parametrize("turn", [0, 1])
def test_what_lies_behind_the_window_counts_for_nothing(cpu: Cpu, length: int, turn: int) -> None:
    window = Window(cpu, length)
    expected = window.found()
    for rubbish in (1.0, 1e6):
        np.testing.assert_array_equal(window.found(rubbish=rubbish, turn=turn), expected)


@on_every_cpu
@settings(max_examples=30, deadline=None)
@given(
    length=st.integers(1, 70),
    sizes=st.tuples(
        st.sampled_from([0.0, 0.1, 1.0, 3.0]),
        st.sampled_from([1e-20, 1.0, 1e15]),
        st.sampled_from([1e-9, 1.0, 1e30]),
    ),
    seed=st.integers(0, 100),
)
def test_any_sizes_are_weighed_alike(
    cpu: Cpu, length: int, sizes: tuple[float, float, float], seed: int
) -> None:
    window = Window(cpu, length, seed=seed)
    query_size, key_size, value_size = sizes
    # Scores stay as they are: what keys are larger by, queries are smaller.
    window.products *= np.float32([query_size / key_size, key_size, value_size])[:, None, None]
    assert relative_error(window.found() / value_size, window.exact() / value_size) < 0.03


@on_every_cpu
@pytest.mark.parametrize("size", [1e-9, 0.99, 1.01, 1e30])
def test_a_token_alone_gathers_its_values_in_9_bits(cpu: Cpu, size: float) -> None:
    window = Window(cpu, 1)
    values = window.products[:, 2]
    values *= size / np.abs(values).max(axis=2, keepdims=True)
    # Half a step is 2^-10 of a power of two, which the largest value is more than half of.
    np.testing.assert_allclose(window.found(), values, rtol=0, atol=1.01 * 2**-9 * size)


@on_every_cpu
def test_values_of_very_different_sizes_share_a_window(cpu: Cpu) -> None:
    # Each token's values have a power of two of their own, which must not change its weight.
    window = Window(cpu, 40)
    window.products[:, 2] *= 10 ** np.linspace(-6, 6, 40, dtype=np.float32)[:, None, None]
    assert relative_error(window.found(), window.exact()) < 0.02
    # Small ones are still seen where nothing large is gathered.
    window.products[:, 2, :, :] = 1e-6 * _random(window.products[:, 2].shape, 2)
    window.products[7, 2] = 0
    assert relative_error(window.found(), window.exact()) < 0.02


@on_every_cpu
def test_a_token_without_values_keeps_its_weight(cpu: Cpu) -> None:
    # It takes from the others' share although its own values add nothing.
    window = Window(cpu, 3)
    window.products[:, 0] = window.products[:, 1]
    window.products[1, 2] = 0
    assert relative_error(window.found(), window.exact()) < 0.02


@on_every_cpu
def test_without_queries_all_tokens_weigh_the_same(cpu: Cpu) -> None:
    window = Window(cpu, 100)
    window.products[:, 0] = 0
    mean = window.products[:, 2].mean(axis=0)
    np.testing.assert_allclose(
        window.found(), np.broadcast_to(mean, window.exact().shape), atol=5e-3
    )


@on_every_cpu
def test_scores_out_of_the_ordinary_choose_the_best_key(cpu: Cpu) -> None:
    window = Window(cpu, 50)
    keys = window.products[:, 1]
    keys *= 1e4 / np.linalg.norm(keys, axis=2, keepdims=True)
    window.products[:, 0] = keys  # each token's own key is the best
    assert relative_error(window.found(), window.products[:, 2]) < 0.01


@on_every_cpu
def test_no_sum_overflows(cpu: Cpu) -> None:
    # The largest codes of values and weights, in the longest window.
    window = Window(cpu, MAX_TOKENS)
    window.products[:, 0] = 0
    for value in (0.99999, -0.99999):
        window.products[:, 2] = value
        np.testing.assert_allclose(window.found(), value, rtol=2e-3)
