"""Sums of products of narrow whole numbers, by what instructions a processor has for them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from squadlite.native.cpu import Cpu, Instructions
from squadlite.native.operands import BYTE, INT, SHORT, Value

Dot = Callable[[Value, Value, Value], Value]


@dataclass(frozen=True)
class Dots:
    """
    What adds products to sums.

    Each is given a vector of sums, an int that is some narrow numbers, and a vector of such ints.
    It adds to each lane the products of the int's numbers and of the lane's.

    Args:
        of_bytes: four codes of activations, and four signed bytes.
        of_shorts: two signed 16-bit numbers, and two more.
    """

    of_bytes: Dot
    of_shorts: Dot


def dots_of(cpu: Cpu) -> Dots:
    """Those for a processor."""
    return _DOTS[cpu.instructions]


def _vnni_bytes(sums: Value, four: Value, columns: Value) -> Value:
    return _vnni("vpdpbusd", sums, four, columns)


def _vnni_shorts(sums: Value, two: Value, columns: Value) -> Value:
    return _vnni("vpdpwssd", sums, two, columns)


def _vnni(name: str, sums: Value, narrow: Value, columns: Value) -> Value:
    bits = 32 * sums.lanes
    return sums.intrinsic(f"llvm.x86.avx512.{name}.{bits}", narrow.spread(sums.lanes), columns)


def _avx2_bytes(sums: Value, four: Value, columns: Value) -> Value:
    codes = four.spread(sums.lanes).bits_as(BYTE)
    shorts = columns.bits_as(SHORT).type
    pairs = codes.intrinsic("llvm.x86.avx2.pmadd.ub.sw", columns.bits_as(BYTE), result=shorts)
    return _avx2_pairs(sums, pairs, pairs.like(1))


def _avx2_shorts(sums: Value, two: Value, columns: Value) -> Value:
    return _avx2_pairs(sums, two.spread(sums.lanes).bits_as(SHORT), columns.bits_as(SHORT))


def _avx2_pairs(sums: Value, first: Value, second: Value) -> Value:
    return sums + first.intrinsic("llvm.x86.avx2.pmadd.wd", second, result=sums.type)


def _dotprod_bytes(sums: Value, four: Value, columns: Value) -> Value:
    # LLVM sees an instruction's form with one lane for all only where that stands last.
    operands = columns, four.spread(sums.lanes)
    name = f"llvm.aarch64.neon.sdot.v{sums.lanes}i32.v{4 * sums.lanes}i8"
    return sums.intrinsic(name, *(operand.bits_as(BYTE) for operand in operands))


def _dotprod_shorts(sums: Value, two: Value, columns: Value) -> Value:
    # No instruction adds up pairs; one that takes every other number needs no such sums.
    for place in range(2):
        factor = two.bits_as(SHORT).lane(place).spread(sums.lanes)
        others = columns.bits_as(SHORT).shuffle(range(place, 2 * sums.lanes, 2))
        sums = sums + others.widen_signed(INT) * factor.widen_signed(INT)
    return sums


_DOTS: Mapping[Instructions, Dots] = MappingProxyType(
    {
        "vnni": Dots(_vnni_bytes, _vnni_shorts),
        "avx2": Dots(_avx2_bytes, _avx2_shorts),
        "dotprod": Dots(_dotprod_bytes, _dotprod_shorts),
    }
)
