"""Functions of vectors held to numpy's and torch's."""

import functools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from native_kernels import mapped, on_every_width

from squadlite.config import ACTIVATIONS as CONFIGURED
from squadlite.model.encoder import ACTIVATIONS as EXACT
from squadlite.native.arithmetic import ACTIVATIONS, nearest, power_of_2, whole_scaled
from squadlite.native.cpu import Cpu
from squadlite.native.layout import LEAST_ACTIVATION
from squadlite.native.operands import BYTE, INT, SHORT

# Dense where activations bend; far beyond, where a polynomial goes astray if it is let.
NEAR = np.linspace(-12, 12, 200_001, dtype=np.float32)
FAR = np.array([sign * 10.0**e for sign in (-1, 1) for e in range(1, 31)], dtype=np.float32)
INPUTS = np.concatenate([NEAR, FAR, np.float32([0.0, -0.0, 1e-30, -1e-30])])

on_every_activation = pytest.mark.parametrize("name", CONFIGURED)
power = functools.cache(lambda cpu: mapped(cpu, power_of_2))
activation = functools.cache(lambda cpu, name: mapped(cpu, ACTIVATIONS[name]))
scaled = functools.cache(lambda cpu: mapped(cpu, whole_scaled, result=INT, inputs=2))


@on_every_width
def test_powers_are_within_their_stated_error(cpu: Cpu) -> None:
    exponents = np.concatenate([np.linspace(-125, 126.5, 300_001), np.arange(-125, 128)])
    exponents = exponents.astype(np.float32)
    found = power(cpu)(exponents).astype(np.float64)
    assert np.abs(found / np.exp2(exponents.astype(np.float64)) - 1).max() < 1 / 9000


@on_every_width
def test_no_power_is_subnormal(cpu: Cpu) -> None:
    # Weights of keys that don't count are such powers: with subnormals, attention would be slow.
    found = power(cpu)(np.float32([-125, -125.5, -126, -127, -150, -1e4, -1e30, -np.inf]))
    assert (found >= np.finfo(np.float32).smallest_normal).all()
    assert np.abs(found / 2.0**-125 - 1).max() < 1 / 9000


@on_every_width
@on_every_activation
def test_activations_are_torchs(cpu: Cpu, name: str) -> None:
    found = activation(cpu, name)(INPUTS)
    expected = EXACT[name](torch.from_numpy(INPUTS).double()).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=4e-4)


@on_every_width
@on_every_activation
def test_nothing_lies_below_the_least_activation(cpu: Cpu, name: str) -> None:
    # Codes are unsigned: what lies below would come out as the largest.
    exact = EXACT[name](torch.from_numpy(INPUTS).double()).numpy()
    least = LEAST_ACTIVATION[name]
    assert least <= exact.min()
    assert least <= activation(cpu, name)(INPUTS).min()
    assert least > exact.min() - 0.002  # so that no codes are wasted


@on_every_width
@given(
    wholes=st.lists(st.integers(-(2**21), 2**21), min_size=1, max_size=40),
    halves=st.booleans(),
)
def test_halves_go_to_the_even_number(cpu: Cpu, wholes: list[int], halves: bool) -> None:
    numbers = np.float32(wholes) + np.float32(0.5 * halves)
    np.testing.assert_array_equal(
        scaled(cpu)(numbers, np.ones_like(numbers)), np.rint(numbers).astype(np.int32)
    )


@on_every_width
@given(
    numbers=st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=40),
    scale=st.floats(2.0**-20, 4e3, width=32),
)
def test_a_scaled_number_is_rounded_once(cpu: Cpu, numbers: list[float], scale: float) -> None:
    # Products of two floats are exact in float64.
    exact = np.float64(numbers) * scale
    np.testing.assert_array_equal(
        scaled(cpu)(np.float32(numbers), np.full(len(numbers), scale, np.float32)),
        np.rint(exact).astype(np.int32),
    )


@on_every_width
@pytest.mark.parametrize(("element", "low", "high"), [(SHORT, -(2**15), 2**15 - 1), (BYTE, 0, 255)])
def test_the_nearest_of_a_narrow_type(cpu: Cpu, element: object, low: int, high: int) -> None:
    numbers = np.linspace(low, high, 8 * (high - low) + 1, dtype=np.float32)
    found = mapped(cpu, lambda x: nearest(x, element), result=element)(numbers)
    np.testing.assert_array_equal(found, np.rint(numbers))
