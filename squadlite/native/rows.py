"""What happens to each row alone: looking it up, normalising it, turning it into codes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from squadlite.native.arithmetic import whole_scaled
from squadlite.native.code import Code
from squadlite.native.layout import CODE_STEPS, TINY, TOP_CODE
from squadlite.native.operands import BYTE, Value

# Vectors in a turn of a loop: so many that none waits for the one before, so few that they stay in
# registers, and that a wide row doesn't take long to compile.
_AT_ONCE = 8

Join = Callable[[Value, Value], Value]


def normalise(
    code: Code, row: Value, *, width: int, weight: Value, bias: Value, epsilon: float
) -> None:
    """Give a row of floats mean 0 and variance 1, then a weight and a bias for each column."""
    mean = total(code, width, lambda column: code.load_floats(row + column * 4)) * (1 / width)
    means = mean.spread(code.lanes)

    def centred(column: Value) -> Value:
        return code.load_floats(row + column * 4) - means

    variance = total(code, width, lambda column: _square(centred(column))) * (1 / width)
    factor = (variance.like(1.0) / (variance + epsilon).sqrt()).spread(code.lanes)
    with columns_of(code, width) as columns:
        for column in columns:
            scaled = centred(column) * factor
            of_column = (code.load_floats(part + column * 4) for part in (weight, bias))
            code.store(row + column * 4, scaled.fma(*of_column))


def quantize(code: Code, row: Value, *, width: int, codes: Value, scale: Value) -> None:
    """Turn a row into codes around the CPU's `zero_code`, and keep what a step is worth."""
    top = magnitude(code, row, width).max(TINY)
    code.store(scale, top * (1 / TOP_CODE))
    steps = (top.like(TOP_CODE) / top).spread(code.lanes)
    with columns_of(code, width) as columns:
        for column in columns:
            whole = whole_scaled(code.load_floats(row + column * 4), steps)
            code.store(codes + column, (whole + code.cpu.zero_code).low_bits(BYTE))


def quantize_above(
    code: Code, row: Value, *, width: int, lowest: float, codes: Value, scale: Value
) -> None:
    """Turn a row of numbers from `lowest` up into codes from the CPU's `lowest_code` up."""
    tops = _fold(code, width, lowest, _larger, lambda column: code.load_floats(row + column * 4))
    top = (tops.largest() - lowest).max(TINY)
    code.store(scale, top * (1 / CODE_STEPS))
    steps = (top.like(CODE_STEPS) / top).spread(code.lanes)
    with columns_of(code, width) as columns:
        for column in columns:
            whole = whole_scaled(code.load_floats(row + column * 4) - lowest, steps)
            code.store(codes + column, (whole + code.cpu.lowest_code).low_bits(BYTE))


def total(code: Code, width: int, of_column: Callable[[Value], Value]) -> Value:
    """The sum of a row's vectors, each made of its first column."""
    return _fold(code, width, 0.0, lambda a, b: a + b, of_column).sum()


def magnitude(code: Code, row: Value, width: int) -> Value:
    """The largest magnitude of `width` floats."""
    tops = _fold(code, width, 0.0, _larger, lambda column: code.load_floats(row + column * 4).abs())
    return tops.largest()


@contextmanager
def columns_of(code: Code, width: int) -> Iterator[list[Value]]:
    """Go through a row; gives, a few at a time, the columns at which its vectors begin."""
    step = _vectors_at_once(code, width) * code.lanes
    starts = range(0, step, code.lanes)
    if step == width:
        yield [code.index(start) for start in starts]
        return
    with code.loop(0, width, step) as column:
        yield [column + start for start in starts]


def _vectors_at_once(code: Code, width: int) -> int:
    vectors = width // code.lanes
    return next(n for n in range(_AT_ONCE, 0, -1) if vectors % n == 0)


def _fold(
    code: Code, width: int, first: float, join: Join, of_column: Callable[[Value], Value]
) -> Value:
    # One vector of all that a row has at its columns.
    parts = [code.variable(code.floats(first)) for _ in range(_vectors_at_once(code, width))]
    with columns_of(code, width) as columns:
        for part, column in zip(parts, columns, strict=True):
            part.set(join(part.get(), of_column(column)))
    return joined([part.get() for part in parts], join)


def _square(x: Value) -> Value:
    return x * x


def _larger(a: Value, b: Value) -> Value:
    return a.max(b)


def joined(vectors: list[Value], join: Join) -> Value:
    """Join vectors to one."""
    # In pairs, so that no operation waits for all before it.
    while len(vectors) > 1:
        pairs = zip(vectors[::2], vectors[1::2], strict=False)
        vectors = [join(a, b) for a, b in pairs] + vectors[len(vectors) // 2 * 2 :]
    return vectors[0]
