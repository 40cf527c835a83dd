"""The machine that figures were taken on, as far as it says what it is."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from squadlite.cores import shown_cores, usable_cores

# What matrix products can make use of, by Linux's names for it on x86 and on ARM.
_FEATURES = (
    "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512vl", "avx512_vnni",
    "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16",
    "asimd", "neon", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2", "sme",
)  # fmt: skip
_PLAIN_NAMES = {"asimddp": "dotprod", "asimd": "neon", "asimdhp": "fp16"}

LIBRARIES = (
    "squadlite", "numpy", "tokenizers", "torch", "transformers", "onnxruntime", "openvino",
    "ctranslate2",
)  # fmt: skip


@dataclass(frozen=True)
class Machine:
    """
    A machine and what runs on it; None is what it doesn't tell.

    Args:
        cpu: the processor's name.
        architecture: such as "x86_64".
        features: instruction sets that matrix products can use.
        cores: physical ones that the system shows.
        usable_cores: logical ones that this process may use.
        governor: how Linux sets the clock; None in most virtual machines.
        memory: bytes in all.
        load: programs that wanted a core over the last minute, on average, when this was asked.
        system: the operating system.
        python: its version.
        versions: library -> version, of those installed.
    """

    cpu: str | None
    architecture: str
    features: tuple[str, ...]
    cores: int | None
    usable_cores: int
    governor: str | None
    memory: int | None
    load: float | None
    system: str
    python: str
    versions: Mapping[str, str]


def describe_machine(root: Path = Path("/")) -> Machine:
    """
    Describe this machine. What it doesn't tell is None; nothing raises.

    Args:
        root: where /proc and /sys are.
    """
    cpuinfo = _cpuinfo(root)
    return Machine(
        cpu=cpuinfo.get("model name") or _sysctl("machdep.cpu.brand_string") or _processor(),
        architecture=platform.machine(),
        features=_features(cpuinfo),
        cores=_physical_cores(root),
        usable_cores=usable_cores(),
        governor=_read(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        memory=_memory(root),
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        system=platform.platform(),
        python=platform.python_version(),
        versions=_versions(),
    )


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None


def _cpuinfo(root: Path) -> dict[str, str]:
    # The first processor's; the others are alike.
    first, _, _ = (_read(root / "proc/cpuinfo") or "").partition("\n\n")
    fields = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in fields}


def _features(cpuinfo: Mapping[str, str]) -> tuple[str, ...]:
    flags = set(cpuinfo.get("flags", cpuinfo.get("Features", "")).split())
    if sys.platform == "darwin" and platform.machine() == "arm64":
        flags.add("neon")
    return tuple(dict.fromkeys(_PLAIN_NAMES.get(name, name) for name in _FEATURES if name in flags))


def _physical_cores(root: Path) -> int | None:
    if (shown := shown_cores(root)) is not None:
        return shown
    count = _sysctl("hw.physicalcpu")
    return int(count) if count is not None and count.isdigit() else None


def _memory(root: Path) -> int | None:
    for line in (_read(root / "proc/meminfo") or "").splitlines():
        name, _, value = line.partition(":")
        if name == "MemTotal" and value.split()[:1] and value.split()[0].isdigit():
            return int(value.split()[0]) * 1024
    count = _sysctl("hw.memsize")
    return int(count) if count is not None and count.isdigit() else None


def _sysctl(name: str) -> str | None:
    if sys.platform != "darwin":
        return None
    finished = subprocess.run(
        ["/usr/sbin/sysctl", "-n", name], capture_output=True, encoding="utf-8", check=False
    )
    return finished.stdout.strip() or None


def _processor() -> str | None:
    return platform.processor() or None


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
