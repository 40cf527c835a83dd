"""What happens to each row alone, held to torch and to the meaning of codes."""

import functools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from native_kernels import compiled, on_every_width

from squadlite.native.code import Code
from squadlite.native.cpu import Cpu
from squadlite.native.layout import CODE_STEPS, TOP_CODE
from squadlite.native.operands import POINTER
from squadlite.native.rows import magnitude, normalise, quantize, quantize_above

# Vectors in a row: they are joined in pairs, with and without one left over.
on_every_row = pytest.mark.parametrize("vectors", [1, 2, 3, 5, 8])
LOWEST = -0.17
EPSILON = 1e-5


@functools.cache
def normaliser(cpu: Cpu, width: int) -> Callable[..., None]:
    def write(code: Code) -> None:
        weight, bias = code["weight"], code["bias"]
        normalise(code, code["row"], width=width, weight=weight, bias=bias, epsilon=EPSILON)

    return compiled(cpu, write, row=POINTER, weight=POINTER, bias=POINTER)


@functools.cache
def quantizer(cpu: Cpu, width: int, lowest: float | None) -> Callable[[np.ndarray], tuple]:
    def write(code: Code) -> None:
        row, codes, scale = code["row"], code["codes"], code["scale"]
        if lowest is None:
            quantize(code, row, width=width, codes=codes, scale=scale)
        else:
            quantize_above(code, row, width=width, lowest=lowest, codes=codes, scale=scale)

    kernel = compiled(cpu, write, row=POINTER, codes=POINTER, scale=POINTER)

    def call(row: np.ndarray) -> tuple[np.ndarray, float]:
        codes, scale = np.zeros(width + 1, np.uint8), np.zeros(1, np.float32)
        codes[width] = 77
        kernel(row, codes, scale)
        assert codes[width] == 77  # nothing is written behind the row
        # As steps above the lowest code, whose bytes wrap around.
        return (codes[:width].astype(int) - cpu.lowest_code) % 256, float(scale[0])

    return call


def random_row(width: int, *, size: float = 1.0, shift: float = 0.0, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return (size * generator.standard_normal(width) + shift).astype(np.float32)


@on_every_width
@on_every_row
@pytest.mark.parametrize(("size", "shift"), [(1, 0), (100, 0), (1e-3, 0), (1, 30), (0, 5), (0, 0)])
def test_rows_are_normalised_as_by_torch(cpu: Cpu, vectors: int, size: float, shift: float) -> None:
    width = vectors * cpu.lanes
    row = random_row(width, size=size, shift=shift)
    weight, bias = random_row(width, seed=1), random_row(width, seed=2)
    expected = torch.nn.functional.layer_norm(
        *(torch.from_numpy(row).double(), [width]),
        *(torch.from_numpy(part).double() for part in (weight, bias)),
        eps=EPSILON,
    )
    normaliser(cpu, width)(row, weight, bias)
    np.testing.assert_allclose(row, expected.numpy(), rtol=1e-4, atol=1e-4)


@on_every_width
@settings(max_examples=50)
@given(
    vectors=st.sampled_from([1, 3]),
    size=st.floats(-28, 36).map(lambda exponent: 10.0**exponent),
    shift=st.sampled_from([0, 1, -5]),
    seed=st.integers(0, 1000),
)
def test_codes_of_either_sign_are_within_half_a_step(
    cpu: Cpu, vectors: int, size: float, shift: float, seed: int
) -> None:
    width = vectors * cpu.lanes
    row = random_row(width, seed=seed, shift=shift) * np.float32(size)
    codes, step = quantizer(cpu, width, None)(row)
    assert np.abs(codes - 128).max() == TOP_CODE
    error = np.abs((codes - 128) * step - row.astype(np.float64))
    assert error.max() <= 0.5001 * step


@on_every_width
@settings(max_examples=50)
@given(
    vectors=st.sampled_from([1, 3]),
    size=st.floats(-3, 30).map(lambda exponent: 10.0**exponent),
    seed=st.integers(0, 1000),
)
def test_codes_above_the_lowest_are_within_half_a_step(
    cpu: Cpu, vectors: int, size: float, seed: int
) -> None:
    width = vectors * cpu.lanes
    row = np.maximum(random_row(width, size=size, seed=seed), np.float32(LOWEST))
    row[seed % width] = size  # else all could lie at the lowest
    codes, step = quantizer(cpu, width, LOWEST)(row)
    assert codes.max() == CODE_STEPS
    error = np.abs(codes * step + LOWEST - row.astype(np.float64))
    assert error.max() <= 0.5001 * step


@on_every_width
@on_every_row
def test_a_row_of_zeros_stays_one(cpu: Cpu, vectors: int) -> None:
    zeros = np.zeros(vectors * cpu.lanes, np.float32)
    codes, step = quantizer(cpu, len(zeros), None)(zeros)
    assert (codes == 128).all()
    assert 0 < step < 1e-30
    codes, step = quantizer(cpu, len(zeros), 0.0)(zeros)
    assert not codes.any()
    assert 0 < step < 1e-30
    codes, step = quantizer(cpu, len(zeros), LOWEST)(zeros)
    np.testing.assert_allclose(codes * step + LOWEST, 0, atol=1e-6)


@on_every_width
@on_every_row
def test_every_column_counts_for_the_magnitude(cpu: Cpu, vectors: int) -> None:
    width = vectors * cpu.lanes
    kernel = compiled(
        cpu,
        lambda code: code.store(code["out"], magnitude(code, code["row"], width)),
        row=POINTER,
        out=POINTER,
    )
    for column in range(width):
        row, out = np.ones(width, np.float32), np.zeros(1, np.float32)
        row[column] = (-1) ** column * 3
        kernel(row, out)
        assert out == 3
