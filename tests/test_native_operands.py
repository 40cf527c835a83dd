"""What operators of the language that kernels are written in compute."""

import functools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from native_kernels import compiled, mapped, on_every_width, on_this_cpu

from squadlite.native.code import Code
from squadlite.native.cpu import Cpu
from squadlite.native.operands import BYTE, INDEX, INT, POINTER, SHORT, Value

TWO_LISTS = st.lists(st.tuples(*[st.floats(-1e6, 1e6, width=32)] * 2), min_size=1, max_size=40)

# Each is written alike for our vectors and for numpy's.
OPERATIONS: dict[str, tuple[Callable[..., object], Callable[..., object]]] = {
    "sum": (lambda a, b: a + b, lambda a, b: a + b),
    "difference": (lambda a, b: a - b, lambda a, b: a - b),
    "product": (lambda a, b: a * b, lambda a, b: a * b),
    "quotient": (lambda a, b: a / (b.abs() + 1), lambda a, b: a / (abs(b) + 1)),
    "max": (lambda a, b: a.max(b), np.maximum),
    "min": (lambda a, b: a.min(b), np.minimum),
    "root": (lambda a, b: (a * a).sqrt(), lambda a, b: np.sqrt(a * a)),
    "choice": (lambda a, b: (a < b).choose(a, 7), lambda a, b: np.where(a < b, a, np.float32(7))),
    "number": (lambda a, b: a * 3 + 0.5, lambda a, b: a * np.float32(3) + np.float32(0.5)),
}


@functools.cache
def operation(cpu: Cpu, name: str) -> Callable[..., np.ndarray]:
    return mapped(cpu, OPERATIONS[name][0], inputs=2)


@on_every_width
@pytest.mark.parametrize("name", OPERATIONS)
@given(pairs=TWO_LISTS)
def test_operations_on_floats_are_numpys(
    cpu: Cpu, name: str, pairs: list[tuple[float, float]]
) -> None:
    first, second = np.float32(pairs).T
    np.testing.assert_array_equal(
        operation(cpu, name)(first, second), OPERATIONS[name][1](first, second)
    )


@on_every_width
def test_fma_rounds_once(cpu: Cpu) -> None:
    x = np.float32([1 + 2.0**-20])
    square = np.float64(x) ** 2 - 1 - 2.0**-19  # 2^-40, which rounding the square first would lose
    found = mapped(cpu, lambda a: a.fma(a, -1.0 - 2.0**-19))(x)
    np.testing.assert_array_equal(found, square)


def folded(cpu: Cpu, fold: Callable[[Value], Value]) -> Callable[[np.ndarray], np.ndarray]:
    kernel = compiled(
        cpu,
        lambda code: code.store(code["out"], fold(code.load(code["source"], INT, code.lanes))),
        source=POINTER,
        out=POINTER,
    )

    def call(source: np.ndarray) -> np.ndarray:
        out = np.zeros(1, np.int32)
        kernel(source, out)
        return out

    return call


@on_every_width
def test_sum_and_largest_take_every_lane(cpu: Cpu) -> None:
    total, largest = (folded(cpu, fold) for fold in (lambda v: v.sum(), lambda v: v.largest()))
    for lane in range(cpu.lanes):
        source = np.full(cpu.lanes, -9, np.int32)
        source[lane] = lane
        assert total(source) == lane - 9 * (cpu.lanes - 1)
        assert largest(source) == lane


@on_every_width
def test_lanes_are_read_in_their_order(cpu: Cpu) -> None:
    source = np.arange(cpu.lanes, dtype=np.int32)
    for lane in (0, 1, cpu.lanes - 1):
        assert folded(cpu, lambda v, lane=lane: v.lane(lane))(source) == lane
    # Four bytes are a whole number, the lowest first.
    in_bytes = folded(cpu, lambda v: v.bits_as(BYTE).lane(5).widen(INT))
    assert in_bytes((source + 3) * 256) == 4


@on_every_width
@pytest.mark.parametrize(
    ("widen", "expected"), [(Value.widen_signed, -200), (Value.widen, 2**16 - 200)]
)
def test_narrow_numbers_are_widened_with_and_without_a_sign(
    cpu: Cpu, widen: Callable[[Value, object], Value], expected: int
) -> None:
    again = folded(cpu, lambda v: widen(v.low_bits(SHORT), INT).lane(0))
    assert again(np.full(cpu.lanes, -200, np.int32)) == expected


@on_this_cpu
def test_numbers_to_count_with_divide_as_in_python(cpu: Cpu) -> None:
    def write(code: Code) -> None:
        code.store(code["out"], code["a"] // code["b"])
        code.store(code["out"] + 8, code["a"] % code["b"])
        code.store(code["out"] + 16, code["a"].min(code["b"]))

    out = np.zeros(3, np.int64)
    compiled(cpu, write, a=INDEX, b=INDEX, out=POINTER)(100, 7, out)
    assert out.tolist() == [100 // 7, 100 % 7, 7]


@on_this_cpu
def test_lanes_of_two_values_are_counted_through(cpu: Cpu) -> None:
    def write(code: Code) -> None:
        first, second = (code.load(code["source"] + at, INT, 4) for at in (0, 16))
        code.store(code["out"], first.shuffle([0, 4, 3, 7], second))

    out = np.zeros(4, np.int32)
    compiled(cpu, write, source=POINTER, out=POINTER)(np.arange(8, dtype=np.int32), out)
    np.testing.assert_array_equal(out, [0, 4, 3, 7])
