"""What we take a processor for."""

import pytest

pytest.importorskip("llvmlite", reason="llvmlite, which compiles kernels, isn't there")

from squadlite.native import cpu as cpu_module
from squadlite.native.cpu import _may_use_tiles, _vectors, this_cpu

AVX512 = {"avx512vnni": True, "avx512bw": True, "avx512vl": True}
AMX = {"amx-tile": True, "amx-int8": True}
AVX_VNNI = {"avxvnni": True, "fma": True}
AVX2 = {"avx2": True, "fma": True}


@pytest.mark.parametrize(
    ("has", "lanes"),
    [
        (AVX512, 16),
        (AVX512 | AVX_VNNI | AVX2, 16),
        (AVX_VNNI | AVX2, 8),
        (AVX2, 8),
        (AVX512 | AMX, 16),
        ({"neon": True, "dotprod": True}, 4),
        ({"neon": True, "dotprod": True, "i8mm": True}, 4),
        # Of these, each lacks what our kernels are made of.
        (AVX512 | {"avx512vnni": False}, None),
        ({"avx512vnni": True, "avx512bw": True}, None),
        ({"avx512f": True, "avx512bw": True, "avx512vl": True, "fma": True}, None),
        ({"avxvnni": True}, None),
        ({"avx2": True}, None),
        ({"neon": True}, None),
        ({}, None),
    ],
)
def test_vectors_are_as_wide_as_the_products_of_bytes(
    has: dict[str, bool], lanes: int | None
) -> None:
    found = _vectors(has)
    assert (found and found["lanes"]) == lanes


def test_avx_vnni_serves_where_avx512_has_no_narrow_form() -> None:
    assert _vectors(AVX512 | AVX_VNNI | {"avx512vl": False})["lanes"] == 8


def test_newer_instructions_go_before_older_ones() -> None:
    assert _vectors(AVX512 | AMX)["instructions"] == "amx"
    assert _vectors(AVX512 | AMX | {"amx-int8": False})["instructions"] == "vnni"
    assert _vectors(AVX_VNNI | AVX2 | AMX)["instructions"] == "vnni"
    assert _vectors(AVX2)["instructions"] == "avx2"
    assert _vectors({"dotprod": True, "i8mm": True})["instructions"] == "i8mm"


@pytest.mark.parametrize("granted", [True, False])
def test_tiles_are_used_only_where_the_system_lets_us(
    monkeypatch: pytest.MonkeyPatch, granted: bool
) -> None:
    binding = cpu_module.binding
    monkeypatch.setattr(binding, "get_process_triple", lambda: "x86_64-unknown-linux-gnu")
    monkeypatch.setattr(binding, "get_host_cpu_features", lambda: binding.FeatureMap(AVX512 | AMX))
    monkeypatch.setattr(cpu_module, "_may_use_tiles", lambda: granted)
    cpu = this_cpu()
    assert cpu is not None
    assert cpu.instructions == ("amx" if granted else "vnni")
    assert ("+amx-int8" in cpu.features) == granted


def test_the_system_is_asked_for_tiles_on_linux_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Libc:
        def syscall(self, *arguments: int) -> int:
            asked.append(arguments)
            return 0

    monkeypatch.setattr(cpu_module.ctypes, "CDLL", lambda name: Libc())
    for platform, may in (("linux", True), ("win32", False), ("darwin", False)):
        monkeypatch.setattr(cpu_module.sys, "platform", platform)
        assert _may_use_tiles() is may
    assert asked == [(158, 0x1023, 18)]


def test_this_processor_is_what_llvm_says_it_is() -> None:
    cpu = this_cpu()
    if cpu is None:
        pytest.skip("there are no kernels for this processor")
    assert this_cpu() == cpu
    assert cpu.name in {cpu_module.binding.get_host_cpu_name(), "generic"}
    assert cpu.lanes in {4, 8, 16}
    # Attention takes rows in pairs, and blocks are whole tiles.
    assert cpu.tile_rows % 2 == 0
    assert 64 % (cpu.tile_rows * cpu.row_tiles) == 0


def test_a_processor_without_such_instructions_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    binding = cpu_module.binding
    features = binding.FeatureMap(sse2=True, avx2=True)
    monkeypatch.setattr(binding, "get_process_triple", lambda: "x86_64-unknown-linux-gnu")
    monkeypatch.setattr(binding, "get_host_cpu_features", lambda: features)
    assert this_cpu() is None
