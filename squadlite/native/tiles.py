"""
Products of bytes by matrix tiles: AMX, which Intel's processors have.

There are eight registers, each of up to 16 rows of 64 bytes. One instruction adds to 16 x 16 sums
the products of 16 rows of codes and of 16 columns of weights. Those stand as they do for vectors:
a register's row is a step's vector.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from llvmlite import ir

from squadlite.native.code import Code, Meanwhile, nothing
from squadlite.native.operands import BYTE, INT, Value

_ROWS, _ROW_BYTES = 16, 64
_REGISTERS = 8
_SUMS, _LEFT, _RIGHT = range(4), range(4, 6), range(6, 8)
_PALETTE = 1


class Tiles:
    """
    Multiplies by tiles; see `squadlite.native.products.multiplier`.

    Args:
        code: that products become a part of.
        turn: inputs in a register, a multiple of 4.
    """

    def __init__(self, code: Code, turn: int) -> None:
        self._code, self._turn = code, turn
        self._stored = code.memory(len(_SUMS) * _ROWS * _ROW_BYTES)

    @contextmanager
    def configured(self) -> Iterator[None]:
        """Give registers their shapes; afterwards no state of theirs is left to be kept."""
        address = self._code.constant(f"tiles_of_{self._turn}", _shapes(self._turn))
        self._code.do("llvm.x86.ldtilecfg", address)
        yield
        self._code.do("llvm.x86.tilerelease")

    def multiply(
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
    ) -> Callable[[int, int], Value]:
        """See `squadlite.native.products.Multiply`."""
        code, vectors = self._code, len(first)
        row_stride, right_stride = code.index(row_bytes), code.index(right_bytes)
        for number in range(row_tiles * vectors):
            code.do("llvm.x86.tilezero", self._register(number))
        with code.loop(0, inputs, self._turn) as done:
            meanwhile(done)
            for tile in range(row_tiles):
                address = left + done + tile * _ROWS * row_bytes
                self._do("tileloadd64", _LEFT[tile], address, row_stride)
            for vector in range(vectors):
                column = _RIGHT[vector % len(_RIGHT)]
                address = right + done * (right_bytes // 4) + vector * _ROW_BYTES
                self._do("tileloadd64", column, address, right_stride)
                for tile in range(row_tiles):
                    factors = self._register(_LEFT[tile]), self._register(column)
                    self._do("tdpbusd", _SUMS[tile * vectors + vector], *factors)
        stride = code.index(_ROW_BYTES)
        for number in range(row_tiles * vectors):
            self._do("tilestored64", number, self._place(number), stride)
        return lambda row, vector: (
            code.load(
                self._place(row // _ROWS * vectors + vector) + row % _ROWS * _ROW_BYTES,
                INT,
                code.lanes,
            )
            + first[vector]
        )

    def _do(self, name: str, number: int, *operands: Value) -> None:
        self._code.do(f"llvm.x86.{name}", self._register(number), *operands)

    def _register(self, number: int) -> Value:
        return self._code.wrap(ir.Constant(BYTE, number))

    def _place(self, number: int) -> Value:
        return self._stored + number * _ROWS * _ROW_BYTES


def _shapes(turn: int) -> bytes:
    # What `ldtilecfg` reads: bytes in a row of each register from byte 16 on, rows from 48 on.
    row_bytes = [_ROW_BYTES] * _REGISTERS
    rows = [_ROWS] * _REGISTERS
    for number in _LEFT:
        row_bytes[number] = turn
    for number in _RIGHT:
        rows[number] = turn // 4
    config = bytearray(64)
    config[0] = _PALETTE
    config[16 : 16 + 2 * _REGISTERS : 2] = bytes(row_bytes)
    config[48 : 48 + _REGISTERS] = bytes(rows)
    return bytes(config)
