"""A machine is described as far as it tells, and never fails for what it doesn't."""

import platform
from pathlib import Path

import pytest

from squadlite.bench.machine import describe_machine, usable_cores

X86 = """processor\t: 0
model name\t: Example CPU @ 2.00GHz
flags\t\t: fpu sse2 avx2 fma avx512f avx512_vnni avx512_bf16 amx_int8

processor\t: 1
model name\t: Another
flags\t\t: fpu
"""
ARM = """processor\t: 0
Features\t: fp asimd asimdhp asimddp i8mm bf16 sve
CPU part\t: 0xd40
"""


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_an_x86_machine(tmp_path: Path) -> None:
    write(tmp_path, "proc/cpuinfo", X86)
    write(tmp_path, "proc/meminfo", "MemTotal:       16000 kB\nMemFree:  1 kB\n")
    write(tmp_path, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n")
    for cpu, siblings in enumerate(["0,2", "1,3", "0,2", "1,3"]):
        folder = f"sys/devices/system/cpu/cpu{cpu}/topology"
        write(tmp_path, f"{folder}/thread_siblings_list", siblings)
    machine = describe_machine(tmp_path)
    assert machine.cpu == "Example CPU @ 2.00GHz"
    assert machine.features == (
        "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8"
    )  # fmt: skip
    assert machine.memory == 16_384_000
    assert machine.governor == "performance"
    assert machine.cores == 2


def test_an_arm_machine_has_its_features_under_the_names_people_use(tmp_path: Path) -> None:
    write(tmp_path, "proc/cpuinfo", ARM)
    assert describe_machine(tmp_path).features == (
        "neon", "fp16", "dotprod", "i8mm", "bf16", "sve"
    )  # fmt: skip


def test_a_machine_that_tells_nothing_is_still_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("squadlite.bench.machine._sysctl", lambda name: None)
    monkeypatch.setattr(platform, "processor", lambda: "")
    machine = describe_machine(tmp_path)
    assert (machine.cpu, machine.cores, machine.memory, machine.governor) == (None,) * 4
    assert machine.usable_cores == usable_cores() >= 1


@pytest.mark.parametrize("meminfo", ["", "MemTotal:", "MemTotal: much kB", "\0\n:::"])
def test_a_strange_meminfo_is_no_memory(tmp_path: Path, meminfo: str) -> None:
    write(tmp_path, "proc/meminfo", meminfo)
    write(tmp_path, "proc/cpuinfo", meminfo)
    assert describe_machine(tmp_path).memory is None or platform.system() == "Darwin"


def test_versions_are_those_of_what_is_installed() -> None:
    versions = describe_machine().versions
    assert {"squadlite", "numpy", "torch"} <= versions.keys()
    assert all(versions.values())
