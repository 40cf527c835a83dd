"""Kernels for 64-bit ARM processors, compiled on whatever processor we run on."""

import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="llvmlite, which compiles kernels, isn't there")

from llvmlite import binding
from native_kernels import wide_config

from squadlite.native import cpu as cpu_module
from squadlite.native.cpu import cpu_with, llvms_cpu
from squadlite.native.layout import KEY_VECTORS, Layout
from squadlite.native.machine_code import compile_kernels

# `sdot` of whole registers, the second factor being one of a register's lanes: its fixed bits.
SDOT, FIXED = 0x4F80E000, 0xFFC0F400
SMMLA, SMMLA_FIXED = 0x4E80A400, 0xFFE0FC00

LINUX = "aarch64-unknown-linux-gnu"
MACOS = "arm64-apple-darwin23.1.0"
WINDOWS = "aarch64-pc-windows-msvc"
WITH_DOT_PRODUCTS = (
    b"processor\t: 0\nFeatures\t: fp asimd asimdrdm lrcpc asimddp\nCPU part\t: 0xd0b\n"
)
WITH_MATRICES = WITH_DOT_PRODUCTS.replace(b" asimddp", b" asimddp i8mm")
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


def test_products_of_pairs_of_rows_and_columns_are_one_instruction() -> None:
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    cpu = cpu_with(LINUX, "generic", binding.FeatureMap(dotprod=True, i8mm=True))
    assert cpu is not None
    layout = Layout(wide_config(cpu, hidden_size=48, intermediate_size=80), cpu)
    image = compile_kernels(layout)
    words = np.frombuffer(image[: len(image) // 4 * 4], np.uint32)
    # Of a turn: rows and columns in pairs, and steps of eight inputs.
    pairs = [each.vectors * 2 * 2 for each in (layout.query_key_value, layout.gather)]
    pairs += [each.vectors * 2 * 2 for each in (layout.widen, layout.narrow)]
    pairs.append(KEY_VECTORS * 2 * layout.attention_turn // 8)
    # Each vector of a head's columns: two halves of weights, two of values.
    pairs.append(layout.width // cpu.lanes * 2 * 2 * 2 * layout.attention_turn // 8)
    assert ((words & SMMLA_FIXED) == SMMLA).sum() == cpu.tile_rows // 2 * sum(pairs)


@pytest.mark.parametrize(
    ("triple", "told", "cpuinfo", "found"),
    [
        (LINUX, {}, WITH_DOT_PRODUCTS, "dotprod"),
        (LINUX, {}, WITH_MATRICES, "i8mm"),
        (LINUX, {"i8mm": True}, WITH_DOT_PRODUCTS, "i8mm"),
        (LINUX, {}, WITHOUT, None),
        (LINUX, {}, None, None),
        (MACOS, {}, None, "dotprod"),
        (WINDOWS, {"dotprod": True}, None, "dotprod"),
        (WINDOWS, {}, None, None),
        ("armv8l-unknown-linux-gnueabihf", {}, WITH_DOT_PRODUCTS, None),
    ],
)
def test_instructions_are_found_where_llvm_does_not_tell(
    monkeypatch: pytest.MonkeyPatch,
    triple: str,
    told: dict[str, bool],
    cpuinfo: bytes | None,
    found: str | None,
) -> None:
    def read(path: Path) -> bytes:
        if cpuinfo is None:
            raise FileNotFoundError(path)
        return cpuinfo

    monkeypatch.setattr(binding, "get_process_triple", lambda: triple)
    monkeypatch.setattr(binding, "get_host_cpu_features", lambda: binding.FeatureMap(told))
    monkeypatch.setattr(Path, "read_bytes", read)
    monkeypatch.setattr(cpu_module, "_sysctl", lambda name: None)
    cpu = llvms_cpu(tiles=False)
    assert (cpu and cpu.instructions) == found
    if cpu is not None:
        assert cpu.name == "generic"
        assert "+dotprod" in cpu.features
        assert ("+i8mm" in cpu.features) == (found == "i8mm")


@pytest.mark.parametrize(("said", "found"), [(1, "i8mm"), (0, "dotprod"), (None, "dotprod")])
def test_macos_is_asked_for_matrix_instructions(
    monkeypatch: pytest.MonkeyPatch, said: int | None, found: str
) -> None:
    asked = []
    monkeypatch.setattr(binding, "get_process_triple", lambda: MACOS)
    monkeypatch.setattr(binding, "get_host_cpu_features", binding.FeatureMap)
    monkeypatch.setattr(cpu_module, "_sysctl", lambda name: asked.append(name) or said)
    cpu = llvms_cpu(tiles=False)
    assert cpu is not None
    assert cpu.instructions == found
    assert asked == ["hw.optional.arm.FEAT_I8MM"]
