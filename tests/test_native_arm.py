"""Kernels for 64-bit ARM processors, compiled on whatever processor we run on."""

import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="llvmlite, which compiles kernels, isn't there")

from llvmlite import binding
from native_kernels import wide_config

from squadlite.native.cpu import cpu_with, llvms_cpu
from squadlite.native.layout import KEY_VECTORS, Layout
from squadlite.native.machine_code import compile_kernels

# `sdot` of whole registers, the second factor being one of a register's lanes: its fixed bits.
SDOT, FIXED = 0x4F80E000, 0xFFC0F400

LINUX = "aarch64-unknown-linux-gnu"
MACOS = "arm64-apple-darwin23.1.0"
WINDOWS = "aarch64-pc-windows-msvc"
WITH_DOT_PRODUCTS = (
    b"processor\t: 0\nFeatures\t: fp asimd asimdrdm lrcpc asimddp\nCPU part\t: 0xd0b\n"
)
WITHOUT = WITH_DOT_PRODUCTS.replace(b" asimddp", b"")


@pytest.mark.parametrize("triple", [LINUX, MACOS, WINDOWS])
def test_four_products_of_bytes_are_one_instruction(triple: str) -> None:
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    cpu = cpu_with(triple, "generic", binding.FeatureMap(dotprod=True))
    assert cpu is not None
    layout = Layout(wide_config(cpu, hidden_size=48, intermediate_size=80), cpu)
    image = compile_kernels(layout)
    words = np.frombuffer(image[: len(image) // 4 * 4], np.uint32)
    maps = [layout.query_key_value, layout.gather, layout.widen, layout.narrow]
    turns = sum(each.vectors * math.gcd(each.inputs // 4, 4) for each in maps)
    turns += KEY_VECTORS * layout.width // 4
    assert ((words & FIXED) == SDOT).sum() == cpu.tile_rows * turns


@pytest.mark.parametrize(
    ("triple", "told", "cpuinfo", "found"),
    [
        (LINUX, {}, WITH_DOT_PRODUCTS, True),
        (LINUX, {}, WITHOUT, False),
        (LINUX, {}, None, False),
        (MACOS, {}, None, True),
        (WINDOWS, {"dotprod": True}, None, True),
        (WINDOWS, {}, None, False),
        ("armv8l-unknown-linux-gnueabihf", {}, WITH_DOT_PRODUCTS, False),
    ],
)
def test_dot_products_are_found_where_llvm_does_not_tell(
    monkeypatch: pytest.MonkeyPatch,
    triple: str,
    told: dict[str, bool],
    cpuinfo: bytes | None,
    found: bool,
) -> None:
    def read(path: Path) -> bytes:
        if cpuinfo is None:
            raise FileNotFoundError(path)
        return cpuinfo

    monkeypatch.setattr(binding, "get_process_triple", lambda: triple)
    monkeypatch.setattr(binding, "get_host_cpu_features", lambda: binding.FeatureMap(told))
    monkeypatch.setattr(Path, "read_bytes", read)
    cpu = llvms_cpu()
    assert (cpu is not None) == found
    if cpu is not None:
        assert (cpu.name, cpu.features) == ("generic", "+dotprod")
