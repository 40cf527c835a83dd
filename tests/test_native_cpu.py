"""What we take a processor for, and when LLVM is asked."""

from pathlib import Path

import pytest

pytest.importorskip("llvmlite", reason="llvmlite, which compiles kernels, isn't there")

from llvmlite import binding

from squadlite.native import cpu as cpu_module
from squadlite.native.cpu import Cpu, _may_use_tiles, _vectors, llvms_cpu, this_cpu

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


def test_tiles_are_used_only_where_the_system_lets_each_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(binding, "get_process_triple", lambda: "x86_64-unknown-linux-gnu")
    monkeypatch.setattr(binding, "get_host_cpu_features", lambda: binding.FeatureMap(AVX512 | AMX))
    for granted in (True, False, True):
        monkeypatch.setattr(cpu_module, "_may_use_tiles", lambda granted=granted: granted)
        cpu = this_cpu(tmp_path)
        assert cpu is not None
        assert cpu.instructions == ("amx" if granted else "vnni")
        assert ("+amx-int8" in cpu.features) == granted


def test_only_linux_on_x86_64_is_asked_for_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Libc:
        def syscall(self, *arguments: int) -> int:
            asked.append(arguments)
            return 0

    monkeypatch.setattr(cpu_module.ctypes, "CDLL", lambda name: Libc())
    for system, machine in (("linux", "x86_64"), ("linux", "aarch64"), ("win32", "AMD64")):
        monkeypatch.setattr(cpu_module.sys, "platform", system)
        monkeypatch.setattr(cpu_module.platform, "machine", lambda machine=machine: machine)
        assert _may_use_tiles() is ((system, machine) == ("linux", "x86_64"))
    assert asked == [(158, 0x1023, 18)]


def test_this_processor_is_what_llvm_says_it_is() -> None:
    cpu = llvms_cpu(tiles=_may_use_tiles())
    if cpu is None:
        pytest.skip("there are no kernels for this processor")
    assert this_cpu() == this_cpu() == cpu
    assert cpu.name in {binding.get_host_cpu_name(), "generic"}
    assert cpu.lanes in {4, 8, 16}
    # Attention takes rows in pairs, and blocks are whole tiles.
    assert cpu.tile_rows % 2 == 0
    assert 64 % (cpu.tile_rows * cpu.row_tiles) == 0


def test_a_processor_without_such_instructions_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    features = binding.FeatureMap(sse2=True, avx2=True)
    monkeypatch.setattr(binding, "get_process_triple", lambda: "x86_64-unknown-linux-gnu")
    monkeypatch.setattr(binding, "get_host_cpu_features", lambda: features)
    assert llvms_cpu(tiles=False) is None


INTEL = (
    b"processor\t: 0\nvendor_id\t: GenuineIntel\nmodel\t\t: 143\n"
    b"cpu MHz\t\t: %d\nflags\t\t: avx2\n\n"
)
SOME_CPU = Cpu(triple="x86_64-linux", name="znver5", features="+avx2", **_vectors(AVX2))


class Llvm:
    """What LLVM is taken to say, and how often it was asked."""

    def __init__(self, cpu: Cpu | None) -> None:
        self.cpu, self.asked = cpu, 0

    def __call__(self, *, tiles: bool) -> Cpu | None:
        self.asked += 1
        return self.cpu


@pytest.fixture(params=[SOME_CPU, None], ids=["kernels", "none"])
def llvm(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Llvm:
    said = Llvm(request.param)
    monkeypatch.setattr(cpu_module, "llvms_cpu", said)
    return said


def test_llvm_is_asked_once_for_a_kind_of_processor(llvm: Llvm, tmp_path: Path) -> None:
    cache, cpuinfo = tmp_path / "cache", tmp_path / "cpuinfo"
    for megahertz in (2000, 3700):  # which tells nothing of its kind
        cpuinfo.write_bytes(INTEL % megahertz + b"processor\t: 1\nflags\t\t: other\n")
        assert this_cpu(cache, cpuinfo=cpuinfo) == llvm.cpu
        assert llvm.asked == 1
    for other in (b"model\t\t: 144", b"flags\t\t: avx2 avx512f", b"vendor_id\t: Other"):
        key = other.split(b"\t")[0]
        lines = [other if line.startswith(key) else line for line in (INTEL % 1).splitlines()]
        cpuinfo.write_bytes(b"\n".join(lines))
        llvm.asked = 0
        assert this_cpu(cache, cpuinfo=cpuinfo) == this_cpu(cache, cpuinfo=cpuinfo) == llvm.cpu
        assert llvm.asked == 1


@pytest.mark.parametrize("content", [None, b"", b"processor\t: 0\nmodel name\t: RISC-V\n"])
def test_llvm_is_asked_each_time_where_the_kernel_does_not_say(
    llvm: Llvm, tmp_path: Path, content: bytes | None
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    if content is not None:
        cpuinfo.write_bytes(content)
    for asked in (1, 2):
        assert this_cpu(tmp_path / "cache", cpuinfo=cpuinfo) == llvm.cpu
        assert llvm.asked == asked


def test_llvm_is_asked_again_where_its_word_was_damaged(llvm: Llvm, tmp_path: Path) -> None:
    cache, cpuinfo = tmp_path / "cache", tmp_path / "cpuinfo"
    cpuinfo.write_bytes(INTEL % 1)
    this_cpu(cache, cpuinfo=cpuinfo)
    (kept,) = cache.iterdir()
    content = kept.read_bytes()
    for damaged in (content[:-1], content[:3], b"", b"x" + content[1:]):
        kept.write_bytes(damaged)
        llvm.asked = 0
        assert this_cpu(cache, cpuinfo=cpuinfo) == llvm.cpu
        assert llvm.asked == 1
