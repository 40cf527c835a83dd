"""Functions in the making: loops, memory, slots of the frame and threads."""

import functools
import threading
from collections.abc import Callable

import numpy as np
from native_kernels import compiled, on_this_cpu

from squadlite.native.code import Code
from squadlite.native.cpu import Cpu
from squadlite.native.frame import SLOTS
from squadlite.native.operands import FLOAT, INDEX, INT, POINTER


@on_this_cpu
def test_memory_that_does_not_exist_may_be_asked_for(cpu: Cpu) -> None:
    kernel = compiled(
        cpu, lambda code: code.fetch(code["place"] + code["n"]), place=POINTER, n=INDEX
    )
    for n in (0, 1 << 20, 1 << 40, -(1 << 40)):
        kernel(np.zeros(1), n)


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
