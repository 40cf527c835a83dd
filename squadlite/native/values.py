"""
How attention weights multiply values: numbers of 12 bits by numbers of 9 and a sign.

Vectors multiply them in 16 bits each. Matrix instructions multiply bytes alone, so that weights and
values are two bytes each there, and the four products' sums are added up: the same whole numbers.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from squadlite.native.arithmetic import nearest
from squadlite.native.code import Code
from squadlite.native.dots import dots_of
from squadlite.native.layout import MAX_TOKENS, Layout
from squadlite.native.operands import BYTE, SHORT, Value
from squadlite.native.products import Multiply, tile


class Values(Protocol):
    """
    One way to keep values and weights, and to multiply them.

    All addresses of values are those of a head's.
    """

    tokens: int  # whose values are kept together

    def keep(self, values: Value, token: Value, codes: Sequence[Sequence[Value]]) -> None:
        """
        Keep values' codes.

        Args:
            values: where.
            token: the first one's number in the window.
            codes: of each token, vectors of whole numbers.
        """

    def keep_weights(self, weights: Value, row: int, key: Value, weight: Value) -> None:
        """
        Keep a vector of a row's weights as whole numbers.

        Args:
            weights: where a tile of rows keeps them.
            row: which of the tile's.
            key: the first one's number in the window.
            weight: what to keep: 0 to 2^12.
        """

    def gathered(
        self, multiply: Multiply, weights: Value, values: Value
    ) -> Iterator[tuple[int, int, Value]]:
        """Multiply a tile's weights by values; gives row, vector of columns and sums."""


def values_of(code: Code, layout: Layout) -> Values:
    """The way that the processor is best at."""
    return Bytes(code, layout) if code.cpu.has_matrices else Shorts(code, layout)


class Shorts:
    """
    Values (keys / 2, width, 2) and weights (rows, keys), in 16 bits.

    Args:
        code: that they become a part of.
        layout: the model's.
    """

    tokens = 2  # a step of products

    def __init__(self, code: Code, layout: Layout) -> None:
        self._code, self._layout = code, layout

    def keep(self, values: Value, token: Value, codes: Sequence[Sequence[Value]]) -> None:
        """See `Values`."""
        code = self._code
        target = values + token * (2 * self._layout.width)
        for vector, (first, second) in enumerate(zip(*codes, strict=True)):
            both = (first & 0xFFFF) | (second << 16)
            code.store(target + vector * 4 * code.lanes, both)

    def keep_weights(self, weights: Value, row: int, key: Value, weight: Value) -> None:
        """See `Values`."""
        self._code.store(weights + (key * 2 + row * 2 * MAX_TOKENS), nearest(weight, SHORT))

    def gathered(
        self, multiply: Multiply, weights: Value, values: Value
    ) -> Iterator[tuple[int, int, Value]]:
        """See `Values`."""
        code, width = self._code, self._layout.width
        vectors = width // code.lanes
        at_a_time = code.cpu.at_a_time(vectors)
        for vector in range(0, vectors, at_a_time):
            sums = tile(
                code,
                left=weights,
                row_bytes=2 * MAX_TOKENS,
                right=values + vector * 4 * code.lanes,
                right_bytes=4 * width,
                steps=code.slot("n_keys") // 2,
                unrolled=4,
                first=[code.ints(0)] * at_a_time,
                dot=dots_of(code.cpu).of_shorts,
            )
            for row in range(code.cpu.tile_rows):
                for i in range(at_a_time):
                    yield row, vector + i, sums(row, i)


class Bytes:
    """
    Values (vectors of columns, steps of keys, 2, lanes, keys of a step), weights (2, rows, keys).

    Of each two the first holds the low bytes, the second what is above them. Bytes of values are
    signed; those of weights are as activations' codes are.

    Args:
        code: that they become a part of.
        layout: the model's.
    """

    def __init__(self, code: Code, layout: Layout) -> None:
        self._code, self._layout = code, layout
        self.tokens = code.cpu.step_inputs

    def keep(self, values: Value, token: Value, codes: Sequence[Sequence[Value]]) -> None:
        """See `Values`."""
        code = self._code
        half_bytes = code.lanes * self.tokens
        for vector, of_tokens in enumerate(zip(*codes, strict=True)):
            place = values + (token * (2 * code.lanes) + vector * self._vector_bytes)
            above = [(each + 128) >> 8 for each in of_tokens]  # signed bytes, so it is rounded
            for half, part in enumerate((of_tokens, above)):
                code.store(place + half * half_bytes, _bytes_of_tokens(part))

    def keep_weights(self, weights: Value, row: int, key: Value, weight: Value) -> None:
        """See `Values`."""
        whole = nearest(weight, SHORT)
        above = (whole - self._code.cpu.lowest_code) >> 8
        for half, part in enumerate((whole, above)):
            target = self._weights(weights, half) + (key + row * MAX_TOKENS)
            self._code.store(target, part.low_bits(BYTE))

    def gathered(
        self, multiply: Multiply, weights: Value, values: Value
    ) -> Iterator[tuple[int, int, Value]]:
        """See `Values`."""
        code, cpu = self._code, self._code.cpu
        at_once = cpu.row_tiles
        for vector in range(self._layout.width // code.lanes):
            products = [
                multiply(
                    left=self._weights(weights, half),
                    row_bytes=MAX_TOKENS,
                    right=values + vector * self._vector_bytes,
                    right_bytes=2 * code.lanes * cpu.step_inputs,
                    inputs=code.slot("n_keys"),
                    first=[code.ints(0)] * 2,
                    row_tiles=at_once,
                )
                for half in range(0, 2, at_once)
            ]
            for row in range(cpu.tile_rows):
                low, high = (
                    [products[half // at_once](place, part) for part in range(2)]
                    for half, place in enumerate((row, row + (at_once - 1) * cpu.tile_rows))
                )
                yield row, vector, low[0] + ((low[1] + high[0]) << 8) + (high[1] << 16)

    @property
    def _vector_bytes(self) -> int:
        # Of a vector of columns.
        return 2 * self._code.lanes * MAX_TOKENS

    def _weights(self, weights: Value, half: int) -> Value:
        return weights + half * self._code.cpu.tile_rows * MAX_TOKENS


def _bytes_of_tokens(tokens: Sequence[Value]) -> Value:
    # The lowest bytes of four or eight tokens' numbers, together for each lane.
    fours: list[Value] = [
        (a & 0xFF) | ((b & 0xFF) << 8) | ((c & 0xFF) << 16) | (d << 24)
        for a, b, c, d in zip(*(tokens[i::4] for i in range(4)), strict=True)
    ]
    if len(fours) == 1:
        return fours[0]
    first, second = fours
    lanes = first.lanes
    return first.shuffle([place for i in range(lanes) for place in (i, lanes + i)], second)
