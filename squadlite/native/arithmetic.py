"""Functions of vectors that no instruction computes: powers of two, activations, codes."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial

from squadlite.native.operands import FLOAT, INT, Type, Value

# Added to a number below 2^22, it leaves the nearest whole number in the lowest bits.
_ROUNDER = 1.5 * 2**23
_ROUNDER_BITS = 0x4B400000  # of the same float
# The curve lies a little below 1 at 0, and below 2^-126 floats are subnormal, for which many CPUs
# take a hundred times as long.
_LOWEST_POWER = -125
MANTISSA_BITS = 23  # of floats


def power_of_2(exponent: Value) -> Value:
    """2^exponent within 1 in 9,000, 2^-125 for what is less; at most 2^127."""
    exponent = exponent.max(_LOWEST_POWER)
    shifted = exponent + _ROUNDER
    fraction = exponent - (shifted - _ROUNDER)  # -0.5 to 0.5
    curve = _polynomial(_fitted(lambda x: 2**x, -0.5, 0.5, 3), fraction)
    # The whole part is added to the exponent's bits.
    return (curve.bits_as(INT) + (shifted.bits_as(INT) << MANTISSA_BITS)).bits_as(FLOAT)


def nearest(number: Value, element: Type) -> Value:
    """The nearest whole numbers in a type of 8 or 16 bits that holds them."""
    return (number + _ROUNDER).bits_as(INT).low_bits(element)


def whole_scaled(number: Value, scale: Value) -> Value:
    """The whole numbers nearest to number * scale, which is less than 2^22."""
    return number.fma(scale, scale.like(_ROUNDER)).bits_as(INT) - _ROUNDER_BITS


def _gelu(x: Value) -> Value:
    return _less_tail(x, _NORMAL)


def _gelu_tanh(x: Value) -> Value:
    return _less_tail(x, _TANH)


def _relu(x: Value) -> Value:
    return x.max(0.0)


def _less_tail(x: Value, roots: list[float]) -> Value:
    # x * Phi(x) is x or 0, less |x| * Phi(-|x|), which a polynomial's square gives within 0.0004.
    size = x.abs()
    root = _polynomial(roots, size).max(0.0)
    return (size * root).fma(root * -1, x.max(0.0))


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


def _roots(tail: Callable[[float], float]) -> list[float]:
    # A polynomial for the square root of a tail; beyond 3.45 it falls below 0 and goes on falling.
    return _fitted(np.vectorize(lambda x: math.sqrt(tail(x))), 0.0, 3.45, 4)


_NORMAL = _roots(lambda x: 0.5 * math.erfc(x / math.sqrt(2)))
_TANH = _roots(lambda x: 1 / (1 + math.exp(math.sqrt(8 / math.pi) * (x + 0.044715 * x**3))))

# The names are those of a model's configuration.
ACTIVATIONS: Mapping[str, Callable[[Value], Value]] = MappingProxyType(
    {"gelu": _gelu, "gelu_new": _gelu_tanh, "gelu_pytorch_tanh": _gelu_tanh, "relu": _relu}
)
