"""Matrix products of codes, held to numpy's in whole numbers."""

import functools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llvmlite import ir
from native_kernels import compiled, on_every_cpu, on_every_width

from squadlite.native.code import Code
from squadlite.native.cpu import LINE, Cpu
from squadlite.native.dots import dots_of
from squadlite.native.layout import BLOCK_ROWS, LinearLayout
from squadlite.native.operands import BYTE, INDEX, INT, POINTER, Value
from squadlite.native.products import linear, tile
from squadlite.native.weights import pack_linear

# Inputs, and vectors of outputs: panels of three, two and one, and several of each; steps of four
# inputs that turns of four steps divide, and others. So few inputs that float32 holds the sums.
SHAPES = [(16, 1), (32, 2), (48, 3), (64, 4), (16, 5), (32, 6), (24, 3), (40, 7)]
on_every_shape = pytest.mark.parametrize("shape", SHAPES, ids="{0[0]}-by-{0[1]}".format)


@functools.cache
def linear_map(cpu: Cpu, inputs: int, vectors: int) -> Callable[..., np.ndarray]:
    layout = LinearLayout(inputs, vectors * cpu.lanes, cpu)

    def write(code: Code) -> None:
        def use(row: Value, column: Value, values: Value) -> None:
            code.store(code["out"] + (row * (4 * layout.outputs) + column * 4), values)

        given = {name: code[name] for name in ("left", "scales", "weights", "n_rows")}
        linear(code, layout, **given, use=use)

    kernel = compiled(
        cpu, write, left=POINTER, scales=POINTER, weights=POINTER, n_rows=INDEX, out=POINTER
    )

    def call(
        left: np.ndarray,
        scales: np.ndarray,
        weight: np.ndarray,
        bias: np.ndarray,
        lowest: float | None = None,
    ) -> np.ndarray:
        rows = len(left)
        out = np.full((rows + 1, layout.outputs), 77, np.float32)
        kernel(left, scales, pack_linear(weight, bias, layout, lowest=lowest), rows, out)
        assert (out[rows] == 77).all()  # nothing is written behind the last row
        return out[:rows]

    return call


def stored(cpu: Cpu, steps: np.ndarray) -> np.ndarray:
    # Steps above the lowest code, as the bytes that kernels read.
    return (steps + cpu.lowest_code).astype(np.uint8)


def whole_weights(
    cpu: Cpu, generator: np.random.Generator, outputs: int, inputs: int
) -> np.ndarray:
    # With the largest of each output's weights at the top code, they are their own codes.
    top = cpu.top_weight
    weight = generator.integers(-top, top + 1, (outputs, inputs))
    places = generator.integers(0, inputs, outputs)
    weight[np.arange(outputs), places] = generator.choice([-top, top], outputs)
    return weight


@on_every_cpu
@on_every_shape
@settings(max_examples=10)
@given(tiles=st.integers(1, 3), signed=st.booleans(), seed=st.integers(0, 1000))
def test_whole_numbers_are_mapped_exactly(
    cpu: Cpu, shape: tuple[int, int], tiles: int, signed: bool, seed: int
) -> None:
    inputs, vectors = shape
    generator = np.random.default_rng(seed)
    outputs = vectors * cpu.lanes
    steps = generator.integers(0, 256, (tiles * cpu.tile_rows, inputs))
    weight, bias = (
        whole_weights(cpu, generator, outputs, inputs),
        generator.integers(-99, 99, outputs),
    )
    found = linear_map(cpu, inputs, vectors)(
        stored(cpu, steps),
        np.ones(len(steps), np.float32),
        weight.astype(np.float32),
        bias.astype(np.float32),
        None if signed else 0.0,
    )
    meant = steps - 128 if signed else steps
    np.testing.assert_array_equal(found, meant @ weight.T + bias)


@on_every_cpu
@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_codes_do_not_overflow(cpu: Cpu, sign: int) -> None:
    # As wide as any BERT's feed-forward block. Instructions that add 16-bit sums would saturate.
    inputs = 4096
    weight = np.full((cpu.lanes, inputs), sign * cpu.top_weight, np.float32)
    codes = stored(cpu, np.full((cpu.tile_rows, inputs), 255))
    ones, bias = np.ones(len(codes), np.float32), np.zeros(cpu.lanes, np.float32)
    found = linear_map(cpu, inputs, 1)(codes, ones, weight, bias, 0.0)
    np.testing.assert_allclose(found, sign * 255 * cpu.top_weight * inputs, rtol=1e-6)


@on_every_cpu
@on_every_shape
@pytest.mark.parametrize("lowest", [None, -0.17])
def test_real_numbers_are_mapped_within_a_percent(
    cpu: Cpu, shape: tuple[int, int], lowest: float | None
) -> None:
    inputs, vectors = shape
    generator = np.random.default_rng(1)
    outputs = vectors * cpu.lanes
    # Outputs and rows of very different sizes: each has a scale of its own.
    weight = generator.standard_normal((outputs, inputs)) * 10.0 ** generator.uniform(
        -3, 3, (outputs, 1)
    )
    bias = generator.standard_normal(outputs)
    steps = generator.integers(0, 256, (2 * cpu.tile_rows, inputs))
    scales = 10.0 ** generator.uniform(-3, 0, len(steps))
    arrays = (scales, weight, bias)
    found = linear_map(cpu, inputs, vectors)(
        stored(cpu, steps), *(array.astype(np.float32) for array in arrays), lowest
    )
    rows = (steps - 128 if lowest is None else steps) * scales[:, None] + (lowest or 0.0)
    exact = rows @ weight.T
    size = np.linalg.norm(rows, axis=1)[:, None] * np.linalg.norm(weight, axis=1)
    np.testing.assert_array_less(np.abs(found - bias - exact), 0.02 * size + 1e-6)


@on_every_width
@pytest.mark.parametrize("inputs", [64, 384])
def test_a_block_of_rows_asks_for_all_of_the_next_panel(
    cpu: Cpu, inputs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not cpu.lines_ahead:
        pytest.skip("it asks for nothing")
    layout = LinearLayout(inputs, 6 * cpu.lanes, cpu)
    assert layout.panels > 1
    room = 1 << 18  # more than there are weights

    def mark(code: Code, address: Value) -> None:
        code.store(address + room, code.wrap(ir.Constant(BYTE, 1)))

    monkeypatch.setattr(Code, "fetch", mark)

    def write(code: Code) -> None:
        given = {name: code[name] for name in ("left", "scales", "weights", "n_rows")}
        linear(code, layout, **given, use=lambda row, column, values: None)

    kernel = compiled(cpu, write, left=POINTER, scales=POINTER, weights=POINTER, n_rows=INDEX)
    left, scales = np.zeros((BLOCK_ROWS, inputs), np.uint8), np.zeros(BLOCK_ROWS, np.float32)
    memory = np.zeros(2 * room, np.uint8)
    kernel(left, scales, memory, BLOCK_ROWS)
    asked = np.flatnonzero(memory[room:]) // LINE
    lines = range(layout.panel_bytes // LINE, layout.n_bytes // LINE)
    assert {*lines} <= {*asked.tolist()}


@on_every_width
@pytest.mark.parametrize("vectors", [1, 2, 3])
def test_tiles_of_16_bits_are_exact(cpu: Cpu, vectors: int) -> None:
    # As attention gathers values: the columns stand apart in rows of the right side.
    steps, columns = 12, vectors * cpu.lanes
    generator = np.random.default_rng(2)
    left = generator.integers(-4096, 4097, (cpu.tile_rows, 2 * steps)).astype(np.int16)
    right = generator.integers(-512, 513, (steps, columns + 16, 2)).astype(np.int16)
    first = generator.integers(-9, 9, columns).astype(np.int32)

    def write(code: Code) -> None:
        sums = tile(
            code,
            left=code["left"],
            row_bytes=4 * steps,
            right=code["right"],
            right_bytes=4 * (columns + 16),
            steps=code["steps"],
            unrolled=4,
            first=[code.load(code["first"] + 4 * at, INT, code.lanes) for at in starts],
            dot=dots_of(cpu).of_shorts,
        )
        for row in range(cpu.tile_rows):
            for vector, at in enumerate(starts):
                code.store(code["out"] + 4 * (row * columns + at), sums(row, vector))

    starts = range(0, columns, cpu.lanes)
    out = np.zeros((cpu.tile_rows, columns), np.int32)
    kernel = compiled(
        cpu, write, left=POINTER, right=POINTER, first=POINTER, steps=INDEX, out=POINTER
    )
    kernel(left, right, first, steps, out)
    pairs = left.astype(np.int64).reshape(cpu.tile_rows, steps, 2)
    expected = np.einsum("rsi,sci->rc", pairs, right[:, :columns].astype(np.int64)) + first
    np.testing.assert_array_equal(out, expected)
