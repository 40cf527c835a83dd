"""What the processor can do, as far as kernels are written for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llvmlite import binding


@dataclass(frozen=True)
class Cpu:
    """
    A processor to write code for.

    Args:
        triple, name, features: as LLVM names them.
        lanes: floats in a vector.
        tile_rows: rows that a kernel computes at a time; with three vectors of columns their sums
            nearly fill the registers.
        dot_of_bytes: LLVM's name of the instruction that adds, in each 32-bit lane, the products
            of four unsigned bytes and four signed ones.
        dot_of_shorts: the same for two pairs of signed 16-bit numbers.
    """

    triple: str
    name: str
    features: str
    lanes: int
    tile_rows: int
    dot_of_bytes: str
    dot_of_shorts: str


def this_cpu() -> Cpu | None:
    """The processor that we run on; None where we have no fast kernels for it."""
    has = dict(binding.get_host_cpu_features())
    found = _vectors(has)
    if found is None:
        return None
    return Cpu(
        triple=binding.get_process_triple(),
        name=binding.get_host_cpu_name(),
        features=binding.get_host_cpu_features().flatten(),
        **found,
    )


def _vectors(has: Mapping[str, bool]) -> dict[str, Any] | None:
    if has.get("avx512vnni") and has.get("avx512bw") and has.get("avx512vl"):
        bits, tile_rows = 512, 8
    elif has.get("avxvnni") and has.get("fma"):
        bits, tile_rows = 256, 4
    else:
        return None
    return {
        "lanes": bits // 32,
        "tile_rows": tile_rows,
        "dot_of_bytes": f"llvm.x86.avx512.vpdpbusd.{bits}",
        "dot_of_shorts": f"llvm.x86.avx512.vpdpwssd.{bits}",
    }
