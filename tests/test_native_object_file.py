"""Object files loaded without LLVM: the same code, and nothing that we don't know."""

import ctypes
import platform
import struct
import sys
from collections.abc import Callable

import numpy as np
import pytest
from native_kernels import on_every_width, on_this_cpu, random_tensors, wide_config

from squadlite.native import machine_code
from squadlite.native.cpu import Cpu
from squadlite.native.layout import Layout
from squadlite.native.machine_code import compile_kernels, compile_module
from squadlite.native.object_file import load_object
from squadlite.native.scorer import NativeScorer

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64",
    reason="the code of other machines is loaded by LLVM",
)

ADD = """
    @table = private constant [4 x i64] [i64 3, i64 5, i64 7, i64 11]
    define i64 @add(i64 %at) {
        %place = getelementptr [4 x i64], ptr @table, i64 0, i64 %at
        %value = load i64, ptr %place
        %more = call i64 @more(i64 %value)
        ret i64 %more
    }
    define i64 @more(i64 %value) noinline {
        %sum = add i64 %value, 100
        ret i64 %sum
    }
"""
CALL = """
    declare i64 @NAME(i64)
    define i64 @call(i64 %value) {
        %found = call i64 @NAME(i64 %value)
        ret i64 %found
    }
"""
WRITE = """
    @counter = global i64 1
    define ptr @where() { ret ptr @counter }
"""


def compiled(text: str, cpu: Cpu) -> bytes:
    return compile_module(f'target triple = "{cpu.triple}"\n{text}', cpu)


def called(image: bytes, name: str) -> Callable[[int], int]:
    loaded = load_object(image)
    assert loaded is not None
    function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(loaded.address(name))

    def call(value: int) -> int:
        assert loaded  # its memory holds the function
        return int(function(value))

    return call


def first_relocation(image: bytes) -> int:
    """Where the first one of a file's code stands."""
    (sections,), (count,) = struct.unpack_from("<Q", image, 40), struct.unpack_from("<H", image, 60)
    found = (struct.unpack_from("<2I4Q", image, sections + 64 * n) for n in range(count))
    return next(offset for _, kind, _, _, offset, size in found if kind == 4 and size)


@on_this_cpu
def test_code_finds_its_constants_and_its_functions(cpu: Cpu) -> None:
    add = called(compiled(ADD, cpu), "add")
    assert [add(at) for at in range(4)] == [103, 105, 107, 111]


@on_this_cpu
def test_code_calls_the_systems_functions(cpu: Cpu) -> None:
    assert called(compiled(CALL.replace("NAME", "labs"), cpu), "call")(-7) == 7


@on_this_cpu
def test_what_it_does_not_know_is_left_to_llvm(cpu: Cpu) -> None:
    assert load_object(compiled(CALL.replace("NAME", "there_is_no_such"), cpu)) is None
    assert load_object(compiled(WRITE, cpu)) is None
    image = compiled(ADD, cpu)
    assert load_object(image) is not None
    assert load_object(image[:63]) is None
    # Another magic, word length, order of bytes, type of file, processor; another relocation.
    places = ((0, 0), (4, 1), (5, 2), (16, 3), (18, 183), (first_relocation(image) + 8, 2))
    for at, value in places:
        other = bytearray(image)
        other[at] = value
        assert load_object(bytes(other)) is None


@on_every_width
def test_kernels_give_the_same_bits_as_loaded_by_llvm(
    cpu: Cpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = wide_config(cpu)
    layout, tensors = Layout(config, cpu), random_tensors(config)
    assert load_object(compile_kernels(layout)) is not None
    ids = np.arange(20)[None]
    first = NativeScorer(layout, tensors)(ids, ids % 2, ids >= 0, threads=2)
    monkeypatch.setattr(machine_code, "load_object", lambda image: None)
    second = NativeScorer(layout, tensors)(ids, ids % 2, ids >= 0, threads=2)
    np.testing.assert_array_equal(first, second)
