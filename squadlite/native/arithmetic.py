"""Functions of vectors that no instruction computes: powers of two, activations, codes."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial

from squadlite.native.code import FLOAT, INT, Type, Value

# Added to a number below 2^22, it leaves the nearest whole number in the lowest bits.
_ROUNDER = 1.5 * 2**23
_ROUNDER_BITS = 0x4B400000  # of the same float
# The curve lies a little below 1 at 0, and below 2^-126 floats are subnormal, for which many CPUs
# take a hundred times as long.
_LOWEST_POWER = -125
_MANTISSA_BITS = 23


def power_of_2(exponent: Value) -> Value:
    """2^exponent within 1 in 9,000, 2^-125 for what is less; at most 2^127."""
    exponent = exponent.max(_LOWEST_POWER)
    shifted = exponent + _ROUNDER
    fraction = exponent - (shifted - _ROUNDER)  # -0.5 to 0.5
    curve = _polynomial(_fitted(lambda x: 2**x, -0.5, 0.5, 3), fraction)
    # The whole part is added to the exponent's bits.
    return (curve.bits_as(INT) + (shifted.bits_as(INT) << _MANTISSA_BITS)).bits_as(FLOAT)


def nearest(number: Value, element: Type) -> Value:
    """The nearest whole numbers in a type of 8 or 16 bits that holds them."""
    return (number + _ROUNDER).bits_as(INT).low_bits(element)


def whole_scaled(number: Value, scale: Value) -> Value:
    """The whole numbers nearest to number * scale, which is less than 2^22."""
    return number.fma(scale, scale.like(_ROUNDER)).bits_as(INT) - _ROUNDER_BITS


def _gelu(x: Value) -> Value:
    # x * Phi(x); beyond 4 Phi is 0 or 1 up to what 8-bit codes can show.
    return _times_gate(x, _PHI, 4.0)


def _gelu_tanh(x: Value) -> Value:
    return _times_gate(x, _PHI_TANH, 4.0)


def _relu(x: Value) -> Value:
    return x.max(0.0)


def _times_gate(x: Value, odd_part: list[float], edge: float) -> Value:
    # The gate is 0.5 and an odd function: x times a polynomial of x^2.
    # Far below, where it is nearly 0, what it is multiplied with must not go on growing.
    x = x.max(-edge)
    near = x.min(edge)
    gate = near.fma(_polynomial(odd_part, near * near), 0.5)
    return x * gate


def _polynomial(coefficients: list[float], x: Value) -> Value:
    # Horner's scheme, the highest power first.
    *rest, highest = coefficients
    value = x.like(highest)
    for coefficient in reversed(rest):
        value = value.fma(x, coefficient)
    return value


def _fitted(
    function: Callable[[np.ndarray], np.ndarray], low: float, high: float, degree: int
) -> list[float]:
    # Close to the polynomial with the least largest error.
    fit = Chebyshev.interpolate(function, degree, domain=[low, high])
    return [float(c) for c in fit.convert(kind=Polynomial).coef]


def _odd_part(gate: Callable[[float], float], edge: float, degree: int) -> list[float]:
    def quotient(squares: np.ndarray) -> np.ndarray:
        roots = np.sqrt(np.maximum(squares, 1e-6))
        return np.array([(gate(root) - 0.5) / root for root in roots])

    return _fitted(quotient, 0.0, edge**2, degree)


_PHI = _odd_part(lambda x: 0.5 * (1 + math.erf(x / math.sqrt(2))), 4.0, 7)
_PHI_TANH = _odd_part(
    lambda x: 0.5 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))), 4.0, 7
)

# The names are those of a model's configuration.
ACTIVATIONS: Mapping[str, Callable[[Value], Value]] = MappingProxyType(
    {"gelu": _gelu, "gelu_new": _gelu_tanh, "gelu_pytorch_tanh": _gelu_tanh, "relu": _relu}
)
