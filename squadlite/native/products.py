"""Tiles of matrix products, and linear maps made of them."""

import math
from collections.abc import Callable, Sequence

from squadlite.native.code import FLOAT, INT, Code, Value
from squadlite.native.dots import Dot, dots_of
from squadlite.native.layout import LinearLayout

Sums = Sequence[Sequence[Value]]  # [row][vector of columns]


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
) -> Sums:
    """
    Multiply a tile of rows by a panel of columns.

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
    """
    vector_bytes = 4 * code.lanes
    places = range(0, len(first) * vector_bytes, vector_bytes)
    at_once = math.gcd(unrolled, code.cpu.steps_at_once)
    sums = [[code.variable(start) for start in first] for _ in range(code.cpu.tile_rows)]
    with code.loop(0, steps, unrolled) as step:
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
    return [[total.get() for total in row_sums] for row_sums in sums]


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
    vector_bytes = 4 * code.lanes
    columns = range(layout.vectors)
    with code.loop(0, layout.panels) as panel:
        right = weights + panel * layout.panel_bytes
        after = [
            [
                right + (layout.code_bytes + part * 4 * layout.columns + vector * vector_bytes)
                for vector in columns
            ]
            for part in range(3)
        ]
        with code.loop(0, n_rows, code.cpu.tile_rows) as row:
            sums = tile(
                code,
                left=left + row * layout.inputs,
                row_bytes=layout.inputs,
                right=right,
                right_bytes=layout.vectors * vector_bytes,
                steps=layout.inputs // 4,
                unrolled=math.gcd(layout.inputs // 4, 4),
                first=[code.load(address, INT, code.lanes) for address in after[0]],
                dot=dots_of(code.cpu).of_bytes,
            )
            steps = [code.load_floats(address) for address in after[1]]
            biases = [code.load_floats(address) for address in after[2]]
            for i, row_sums in enumerate(sums):
                scale = code.load(scales + (row + i) * 4, FLOAT).spread(code.lanes)
                for vector in columns:
                    scaled = row_sums[vector].to_float() * steps[vector]
                    column = panel * layout.columns + vector * code.lanes
                    use(row + i, column, scaled.fma(scale, biases[vector]))
