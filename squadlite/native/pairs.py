"""
Products of bytes by pairs of rows and pairs of columns: i8mm, which newer ARM processors have.

One instruction adds to 2 x 2 sums the products of two rows' eight codes and two columns' eight.
"""

from collections.abc import Callable, Sequence

from squadlite.native.code import Code, Meanwhile, nothing
from squadlite.native.operands import BYTE, Value

_STEP = 8  # inputs
_SMMLA = "llvm.aarch64.neon.smmla.v4i32.v16i8"


def multiply(
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
) -> Callable[[int, int], Value]:
    """See `squadlite.native.products.Multiply`."""
    row_pairs = range(row_tiles * code.cpu.tile_rows // 2)
    column_pairs = range(len(first) * code.lanes // 2)
    sums = [
        [code.variable(_twice(first[pair // 2], pair % 2)) for pair in column_pairs]
        for _ in row_pairs
    ]
    with code.loop(0, inputs, turn) as done:
        meanwhile(done)
        for step in range(turn // _STEP):
            at = right + done * (right_bytes // _STEP) + step * right_bytes
            columns = [code.load(at + 2 * _STEP * pair, BYTE, 2 * _STEP) for pair in column_pairs]
            for pair, pair_sums in zip(row_pairs, sums, strict=True):
                place = left + done + (2 * pair * row_bytes + step * _STEP)
                rows = [code.load(place + i * row_bytes, BYTE, _STEP) for i in range(2)]
                both = rows[0].shuffle(range(2 * _STEP), rows[1])
                for total, column in zip(pair_sums, columns, strict=True):
                    total.set(total.get().intrinsic(_SMMLA, both, column))

    def sums_of(row: int, vector: int) -> Value:
        halves = [sums[row // 2][2 * vector + half].get() for half in range(2)]
        lane = row % 2 * 2
        return halves[0].shuffle([lane, lane + 1, lane + 4, lane + 5], halves[1])

    return sums_of


def _twice(columns: Value, half: int) -> Value:
    # Two of four columns' numbers, for each of two rows.
    return columns.shuffle([2 * half, 2 * half + 1] * 2)
