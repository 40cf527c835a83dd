"""What happens to each row alone: looking it up, normalising it, turning it into codes."""

from collections.abc import Callable

from squadlite.native.arithmetic import whole_scaled
from squadlite.native.code import BYTE, Code, Value
from squadlite.native.layout import CODE_STEPS, TOP_CODE

_TINY = 1e-30  # so that a row of zeros has a scale


def normalise(
    code: Code, row: Value, *, width: int, weight: Value, bias: Value, epsilon: float
) -> None:
    """Give a row of floats mean 0 and variance 1, then a weight and a bias for each column."""
    places = range(0, 4 * width, 4 * code.lanes)
    mean = _total(code, [code.load_floats(row + place) for place in places]) * (1 / width)
    mean = mean.spread(code.lanes)
    centred = [code.load_floats(row + place) - mean for place in places]
    variance = _total(code, [x * x for x in centred]) * (1 / width)
    factor = (variance.like(1.0) / (variance + epsilon).sqrt()).spread(code.lanes)
    for place, x in zip(places, centred, strict=True):
        scaled = x * factor
        code.store(
            row + place,
            scaled.fma(code.load_floats(weight + place), code.load_floats(bias + place)),
        )


def quantize(code: Code, row: Value, *, width: int, codes: Value, scale: Value) -> None:
    """Turn a row into codes around the CPU's `zero_code`, and keep what a step is worth."""
    top = magnitude(code, row, width).max(_TINY)
    code.store(scale, top * (1 / TOP_CODE))
    steps = (top.like(TOP_CODE) / top).spread(code.lanes)
    for place in range(0, width, code.lanes):
        x = code.load_floats(row + 4 * place)
        code.store(codes + place, (whole_scaled(x, steps) + code.cpu.zero_code).low_bits(BYTE))


def quantize_above(
    code: Code, row: Value, *, width: int, lowest: float, codes: Value, scale: Value
) -> None:
    """Turn a row of numbers from `lowest` up into codes from the CPU's `lowest_code` up."""
    places = range(0, width, code.lanes)
    tops = [code.load_floats(row + 4 * place) for place in places]
    top = (joined(tops, lambda a, b: a.max(b)).largest() - lowest).max(_TINY)
    code.store(scale, top * (1 / CODE_STEPS))
    steps = (top.like(CODE_STEPS) / top).spread(code.lanes)
    for place in places:
        x = code.load_floats(row + 4 * place) - lowest
        code.store(codes + place, (whole_scaled(x, steps) + code.cpu.lowest_code).low_bits(BYTE))


def magnitude(code: Code, row: Value, width: int) -> Value:
    """The largest magnitude of `width` floats."""
    places = range(0, 4 * width, 4 * code.lanes)
    return joined(
        [code.load_floats(row + place).abs() for place in places], lambda a, b: a.max(b)
    ).largest()


def _total(code: Code, vectors: list[Value]) -> Value:
    return joined(vectors, lambda a, b: a + b).sum()


def joined(vectors: list[Value], join: Callable[[Value, Value], Value]) -> Value:
    """Join vectors to one."""
    # In pairs, so that no operation waits for all before it.
    while len(vectors) > 1:
        pairs = zip(vectors[::2], vectors[1::2], strict=False)
        vectors = [join(a, b) for a, b in pairs] + vectors[len(vectors) // 2 * 2 :]
    return vectors[0]
