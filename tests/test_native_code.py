"""The language that kernels are written in: what a line of it computes."""

import functools
import threading
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from native_kernels import compiled, mapped, on_every_width, on_this_cpu

from squadlite.native.code import BYTE, FLOAT, INDEX, INT, POINTER, SHORT, Code, Value
from squadlite.native.cpu import Cpu
from squadlite.native.frame import SLOTS

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


@on_this_cpu
def test_memory_that_does_not_exist_may_be_asked_for(cpu: Cpu) -> None:
    kernel = compiled(
        cpu, lambda code: code.fetch(code["place"] + code["n"]), place=POINTER, n=INDEX
    )
    for n in (0, 1 << 20, 1 << 40, -(1 << 40)):
        kernel(np.zeros(1), n)


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
def test_loops_count_as_range_does(cpu: Cpu) -> None:
    @functools.cache
    def counted(step: int) -> Callable[..., None]:
        def write(code: Code) -> None:
            place = code.variable(code.index(0))
            with code.loop(code["start"], code["stop"], step) as i, code.loop(0, 2) as j:
                code.store(code["out"] + place.get() * 8, i * 10 + j)
                place.set(place.get() + 1)

        return compiled(cpu, write, start=INDEX, stop=INDEX, out=POINTER)

    for start, stop, step in [(0, 3, 1), (2, 9, 3), (2, 8, 3), (5, 5, 1), (7, 2, 1), (-2, 1, 1)]:
        out = np.full(64, -1, np.int64)
        counted(step)(start, stop, out)
        expected = [i * 10 + j for i in range(start, stop, step) for j in range(2)]
        assert out[: len(expected)].tolist() == expected
        assert (out[len(expected) :] == -1).all()


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
def test_slots_are_addresses_and_numbers_of_the_frame(cpu: Cpu) -> None:
    def write(code: Code) -> None:
        with code.loop(0, code.slot("n_tokens")) as i:
            code.store(code.slot("hidden") + i * 4, code.load(code.slot("words") + i * 4, FLOAT))

    words, hidden = np.arange(5, dtype=np.float32), np.full(5, -1, np.float32)
    frame = np.zeros(len(SLOTS), np.uint64)
    filled = {"n_tokens": 3, "words": words.ctypes.data, "hidden": hidden.ctypes.data}
    for name, value in filled.items():
        frame[SLOTS.index(name)] = value
    compiled(cpu, write, frame=POINTER)(frame)
    assert hidden.tolist() == [0, 1, 2, -1, -1]


@on_this_cpu
def test_threads_wait_for_one_another(cpu: Cpu) -> None:
    def write(code: Code) -> None:
        code.add_atomically(code["arrivals"], 1)
        with code.loop_while(lambda: code.load_atomically(code["arrivals"]) < code["target"]):
            code.give_way()

    meet = compiled(cpu, write, arrivals=POINTER, target=INDEX)
    arrivals = np.zeros(1, np.int64)
    threads = [threading.Thread(target=meet, args=(arrivals, 3)) for _ in range(3)]
    for thread in threads[:2]:
        thread.start()
    threads[0].join(timeout=0.05)
    assert threads[0].is_alive()
    assert threads[1].is_alive()
    threads[2].start()
    for thread in threads:
        thread.join()
    assert arrivals[0] == 3


@on_this_cpu
def test_lanes_of_two_values_are_counted_through(cpu: Cpu) -> None:
    def write(code: Code) -> None:
        first, second = (code.load(code["source"] + at, INT, 4) for at in (0, 16))
        code.store(code["out"], first.shuffle([0, 4, 3, 7], second))

    out = np.zeros(4, np.int32)
    compiled(cpu, write, source=POINTER, out=POINTER)(np.arange(8, dtype=np.int32), out)
    np.testing.assert_array_equal(out, [0, 4, 3, 7])


@on_this_cpu
def test_bytes_of_the_module_and_memory_of_a_call_are_read_again(cpu: Cpu) -> None:
    content = bytes(range(64))

    def write(code: Code) -> None:
        own = code.memory(64)
        # The second time they are there already.
        for name in ("bytes", "bytes"):
            for at in range(0, 64, 16):
                code.store(own + at, code.load(code.constant(name, content) + at, INT, 4))
        for at in range(0, 64, 16):
            code.store(code["out"] + at, code.load(own + at, INT, 4))
        # An address that is a whole number of lines of the cache.
        line = code.wrap(code.builder.ptrtoint(own.ir, INDEX)) % 64
        code.store(code["place"], line)

    out, place = np.zeros(64, np.uint8), np.full(1, 7, np.int64)
    compiled(cpu, write, out=POINTER, place=POINTER)(out, place)
    assert out.tobytes() == content
    assert place[0] == 0
