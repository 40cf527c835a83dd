"""Tiles of matrix products, and linear maps made of them."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Protocol

from squadlite.native import pairs
from squadlite.native.code import Code, Meanwhile, nothing
from squadlite.native.cpu import LINE
from squadlite.native.dots import Dot, dots_of
from squadlite.native.layout import LinearLayout
from squadlite.native.operands import FLOAT, INT, Value
from squadlite.native.tiles import Tiles

Sums = Callable[[int, int], Value]  # of a row and a vector of columns


class Multiply(Protocol):
    """What multiplies rows of codes by a panel of columns, as the processor does that best."""

    def __call__(
        self,
        *,
        left: Value,
        row_bytes: int,
        right: Value,
        right_bytes: int,
        inputs: Value | int,
        first: Sequence[Value],
        row_tiles: int,
        meanwhile: Meanwhile = nothing,
    ) -> Sums:
        """
        Write the product.

        Args:
            left: the first row.
            row_bytes: from one row to the next.
            right: the panel; each step takes `step_inputs` inputs of each column.
            right_bytes: from one step's codes to the next's.
            inputs: how many; turns divide them.
            first: what sums begin with, for each vector of columns.
            row_tiles: rows, in tiles; at most the CPU's `row_tiles`.
            meanwhile: written into each turn of the loop; is given how many inputs are done.

        Returns:
            The sums, to be read before the next product is written.
        """


@contextmanager
def multiplier(code: Code, turn: int) -> Iterator[Multiply]:
    """
    Prepare the processor for products of bytes.

    Args:
        code: that the products become a part of.
        turn: inputs in a turn of the loop, a multiple of the CPU's `step_inputs`.
    """
    if code.cpu.instructions == "amx":
        tiles = Tiles(code, turn)
        with tiles.configured():
            yield tiles.multiply
    elif code.cpu.instructions == "i8mm":
        yield partial(pairs.multiply, code, turn=turn)
    else:
        yield partial(_multiply_by_dots, code, turn=turn)


def _multiply_by_dots(
    code: Code,
    *,
    turn: int,
    left: Value,
    row_bytes: int,
    right: Value,
    right_bytes: int,
    inputs: Value | int,
    first: Sequence[Value],
    row_tiles: int,
    meanwhile: Meanwhile = nothing,
) -> Sums:
    assert row_tiles == 1  # as such a CPU says
    return tile(
        code,
        left=left,
        row_bytes=row_bytes,
        right=right,
        right_bytes=right_bytes,
        steps=inputs // 4,
        unrolled=turn // 4,
        first=first,
        dot=dots_of(code.cpu).of_bytes,
        meanwhile=lambda step: meanwhile(step * 4),
    )


def tile(
    code: Code,
    *,
    left: Value,
    row_bytes: int,
    right: Value,
    right_bytes: int,
    steps: Value | int,
    unrolled: int,
    first: Sequence[Value],
    dot: Dot,
    meanwhile: Meanwhile = nothing,
) -> Sums:
    """
    Multiply a tile of rows by a panel of columns, vector by vector.

    Args:
        code: that the product becomes a part of.
        left: the first row; each step takes four bytes of every row.
        row_bytes: from one row to the next.
        right: the panel; each step takes one vector for each in `first`.
        right_bytes: from one step's vectors to the next's.
        steps: how many.
        unrolled: steps in a turn of the loop, which divide them all.
        first: what sums begin with, for each vector of columns.
        dot: adds products to sums: one of the processor's `Dots`.
        meanwhile: written into each turn of the loop; is given how many steps are done.
    """
    vector_bytes = 4 * code.lanes
    places = range(0, len(first) * vector_bytes, vector_bytes)
    at_once = math.gcd(unrolled, code.cpu.steps_at_once)
    sums = [[code.variable(start) for start in first] for _ in range(code.cpu.tile_rows)]
    with code.loop(0, steps, unrolled) as step:
        meanwhile(step)
        left, right = left + step * 4, right + step * right_bytes
        for turn in range(0, unrolled, at_once):
            columns = [
                [code.load(right + (i * right_bytes + place), INT, code.lanes) for place in places]
                for i in range(turn, turn + at_once)
            ]
            for row, row_sums in enumerate(sums):
                fours = code.load(left + (row * row_bytes + turn * 4), INT, at_once)
                for i, step_columns in enumerate(columns):
                    for total, column in zip(row_sums, step_columns, strict=True):
                        total.set(dot(total.get(), fours.lane(i), column))
    return lambda row, vector: sums[row][vector].get()


def linear(
    code: Code,
    layout: LinearLayout,
    *,
    left: Value,
    scales: Value,
    weights: Value,
    n_rows: Value,
    use: Callable[[Value, Value, Value], None],
) -> None:
    """
    Map rows of codes by a packed linear map.

    Args:
        code: that the map becomes a part of.
        layout: the map's.
        left: (rows, inputs) codes, a byte each.
        scales: (rows,) float32: what a step of each row's codes is worth.
        weights: the packed map.
        n_rows: a multiple of a tile's.
        use: is given a row, the first column and a vector of outputs from there on.
    """
    vector_bytes, cpu = 4 * code.lanes, code.cpu
    columns = range(layout.vectors)
    turn = math.gcd(layout.inputs, cpu.turn_inputs)
    with multiplier(code, turn) as multiply, code.loop(0, layout.panels) as panel:
        right = weights + panel * layout.panel_bytes
        after = [
            [
                right + (layout.code_bytes + part * 4 * layout.columns + vector * vector_bytes)
                for vector in columns
            ]
            for part in range(3)
        ]
        for row_tiles, row in _rows_in_tiles(code, n_rows):
            # Each tile of rows asks for a share of what comes next.
            share = layout.inputs // turn * cpu.lines_ahead * LINE
            ahead = right + layout.panel_bytes + row * (share // cpu.tile_rows)
            sums = multiply(
                left=left + row * layout.inputs,
                row_bytes=layout.inputs,
                right=right,
                right_bytes=layout.columns * cpu.step_inputs,
                inputs=layout.inputs,
                first=[code.load(address, INT, code.lanes) for address in after[0]],
                row_tiles=row_tiles,
                meanwhile=partial(_fetch, code, ahead, turn),
            )
            steps = [code.load_floats(address) for address in after[1]]
            biases = [code.load_floats(address) for address in after[2]]
            for i in range(row_tiles * cpu.tile_rows):
                scale = code.load(scales + (row + i) * 4, FLOAT).spread(code.lanes)
                for vector in columns:
                    scaled = sums(i, vector).to_float() * steps[vector]
                    column = panel * layout.columns + vector * code.lanes
                    use(row + i, column, scaled.fma(scale, biases[vector]))


def _fetch(code: Code, ahead: Value, turn: int, done: Value) -> None:
    n_bytes = code.cpu.lines_ahead * LINE
    for place in range(0, n_bytes, LINE):
        code.fetch(ahead + done * (n_bytes // turn) + place)


def _rows_in_tiles(code: Code, n_rows: Value) -> Iterator[tuple[int, Value]]:
    # Loops over rows: so many tiles' at a time, and the first one's number.
    start: Value = code.index(0)
    for row_tiles in range(code.cpu.row_tiles, 0, -1):
        rows = row_tiles * code.cpu.tile_rows
        stop = n_rows if row_tiles == 1 else n_rows // rows * rows
        with code.loop(start, stop, rows) as row:
            yield row_tiles, row
        start = stop
