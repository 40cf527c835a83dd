"""Sums of products, held to numpy's in whole numbers."""

import functools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from native_kernels import compiled, on_every_width

from squadlite.native.code import Code
from squadlite.native.cpu import Cpu
from squadlite.native.dots import dots_of
from squadlite.native.operands import INT, POINTER


@functools.cache
def dot(cpu: Cpu, name: str) -> Callable[..., None]:
    def write(code: Code) -> None:
        sums, columns = (code.load(code[part], INT, code.lanes) for part in ("sums", "columns"))
        narrow = code.load(code["narrow"], INT)
        code.store(code["sums"], getattr(dots_of(cpu), name)(sums, narrow, columns))

    return compiled(cpu, write, sums=POINTER, narrow=POINTER, columns=POINTER)


def drawn(data: st.DataObject, size: int, numbers: list[int]) -> np.ndarray:
    return np.array(data.draw(st.lists(st.sampled_from(numbers), min_size=size, max_size=size)))


@on_every_width
@given(data=st.data())
def test_products_of_bytes_are_added_without_saturation(cpu: Cpu, data: st.DataObject) -> None:
    codes = drawn(data, 4, [0, 1, 127, 255]) + cpu.lowest_code
    columns = drawn(data, 4 * cpu.lanes, [-cpu.top_weight, -1, 1, cpu.top_weight])
    sums = np.full(cpu.lanes, 5, np.int32)
    dot(cpu, "of_bytes")(sums, codes.astype(np.uint8), columns.astype(np.int8))
    np.testing.assert_array_equal(sums, 5 + columns.reshape(-1, 4) @ codes)


def check_products_of_16_bits(cpu: Cpu, data: st.DataObject) -> None:
    numbers = [-4096, -511, -1, 0, 1, 300, 4095]
    narrow, columns = drawn(data, 2, numbers), drawn(data, 2 * cpu.lanes, numbers)
    sums = np.full(cpu.lanes, -7, np.int32)
    dot(cpu, "of_shorts")(sums, narrow.astype(np.int16), columns.astype(np.int16))
    np.testing.assert_array_equal(sums, columns.reshape(-1, 2) @ narrow - 7)


@on_every_width
@given(data=st.data())
def test_products_of_16_bits_are_added(cpu: Cpu, data: st.DataObject) -> None:
    check_products_of_16_bits(cpu, data)


@on_every_width
@given(data=st.data())
def test_so_are_they_where_no_instruction_adds_pairs(cpu: Cpu, data: st.DataObject) -> None:
    # What is written for ARM processors is the same on all.
    check_products_of_16_bits(replace(cpu, instructions="dotprod"), data)
