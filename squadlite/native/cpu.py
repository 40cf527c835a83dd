"""What the processor can do, as far as kernels are written for it."""

import ctypes
import json
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from squadlite.cache import read_cached, write_cached
from squadlite.native.kept import kept_file

if TYPE_CHECKING:
    from llvmlite.binding import FeatureMap

LINE = 64  # bytes of the cache that come and go together

Instructions = Literal["amx", "vnni", "avx2", "i8mm", "dotprod"]

_CPUINFO = Path("/proc/cpuinfo")
_CPUINFO_BYTES = 1 << 14
_FEATURES = (b"flags", b"Features")
_TELLING = (
    *_FEATURES,
    *(b"vendor_id", b"cpu family", b"model", b"stepping"),
    *(b"CPU implementer", b"CPU architecture", b"CPU variant", b"CPU part", b"CPU revision"),
)


@dataclass(frozen=True)
class Cpu:
    """
    A processor to write code for.

    Args:
        triple, name, features: as LLVM names them.
        lanes: floats in a vector.
        tile_rows, tile_vectors: rows, and at most so many vectors of columns, that a kernel
            computes at a time; their sums leave some registers for what is multiplied.
        row_tiles: at most so many times those rows.
        steps_at_once: steps of a product for which it loads a row's codes together.
        step_inputs: inputs of a product's step, whose codes stand together in each column.
        turn_inputs: at most so many in a turn of a product's loop.
        lines_ahead: of the next columns' codes, that each of those turns asks for; 0 where that
            isn't known to help.
        instructions: that multiply codes.
        lowest_code: of activations: 0 where those instructions take them unsigned, else -128.
        top_weight: the largest magnitude of weights' codes, and of keys'.
    """

    triple: str
    name: str
    features: str
    lanes: int
    tile_rows: int
    tile_vectors: int
    row_tiles: int
    steps_at_once: int
    step_inputs: int
    turn_inputs: int
    lines_ahead: int
    instructions: Instructions
    lowest_code: int
    top_weight: int

    @property
    def zero_code(self) -> int:
        """The code in the middle: of 0, for activations of either sign."""
        return self.lowest_code + 128

    @property
    def unit(self) -> int:
        """What divides all widths of a model that its kernels compute."""
        return max(self.lanes, self.step_inputs)

    @property
    def has_matrices(self) -> bool:
        """Whether its instructions multiply matrices of bytes, and not vectors alone."""
        return self.instructions in {"amx", "i8mm"}

    def at_a_time(self, vectors: int) -> int:
        """How many of so many vectors of columns go into a tile: as many as divide them."""
        return next(n for n in range(self.tile_vectors, 0, -1) if vectors % n == 0)


def this_cpu(cache_dir: Path | None = None, *, cpuinfo: Path = _CPUINFO) -> Cpu | None:
    """
    The processor that we run on; None where we have no fast kernels for it.

    LLVM is asked once for each kind of processor, as importing it takes longer than all else here.

    Args:
        cache_dir: where its word is kept; `default_cache_dir()` if None.
        cpuinfo: what the kernel says of the processor; without it LLVM is asked every time.
    """
    kind, tiles = _kind(cpuinfo), _may_use_tiles()
    if kind is None:
        return llvms_cpu(tiles=tiles)
    kept = kept_file("cpu", (platform.machine(), kind, tiles), ".json", cache_dir)
    if (known := read_cached(kept)) is not None:
        settings = json.loads(known)
        return None if settings is None else Cpu(**settings)
    cpu = llvms_cpu(tiles=tiles)
    write_cached(kept, json.dumps(cpu and asdict(cpu)).encode())
    return cpu


def _kind(cpuinfo: Path) -> bytes | None:
    # The lines that tell one kind of processor from another; None where they don't say.
    try:
        with cpuinfo.open("rb", buffering=0) as file:
            # Of the first core: the kernel writes no more than is asked for.
            first = file.read(_CPUINFO_BYTES).partition(b"\n\n")[0]
    except OSError:
        return None
    lines = [line for line in first.splitlines() if line.startswith(_TELLING)]
    return b"\n".join(lines) if any(line.startswith(_FEATURES) for line in lines) else None


def llvms_cpu(*, tiles: bool) -> Cpu | None:
    """
    The same as LLVM says.

    Args:
        tiles: whether this process may use matrix tiles, where the processor has them.
    """
    from llvmlite import binding  # noqa: PLC0415

    triple, name = binding.get_process_triple(), binding.get_host_cpu_name()
    features = binding.get_host_cpu_features()
    if triple.startswith(("aarch64", "arm64")):
        # What LLVM knows about the timing of one of them, oryon-1, has a gap that ends the process.
        name = "generic"
        for feature, told in _arm_features(triple).items():
            features[feature] = features.get(feature, False) or told
    elif _has_tiles(features) and not tiles:
        features["amx-int8"] = False
    return cpu_with(triple, name, features)


def cpu_with(triple: str, name: str, features: "FeatureMap") -> Cpu | None:
    """A processor of which LLVM's names are known; None where we have no fast kernels for it."""
    found = _vectors(features)
    if found is None:
        return None
    return Cpu(triple=triple, name=name, features=features.flatten(), **found)


def _arm_features(triple: str) -> dict[str, bool]:
    # What an ARM processor has, which LLVM doesn't tell on Linux, nor on macOS.
    if "apple" in triple:
        # Dot products are in all that macOS runs on.
        return {"dotprod": True, "i8mm": _sysctl("hw.optional.arm.FEAT_I8MM") == 1}
    try:
        words = _CPUINFO.read_bytes().split()
    except OSError:
        return {}
    return {"dotprod": b"asimddp" in words, "i8mm": b"i8mm" in words}


def _sysctl(name: str) -> int | None:
    # What macOS says of a number of its; None: nothing.
    value = ctypes.c_int32()
    size = ctypes.c_size_t(ctypes.sizeof(value))
    found = ctypes.CDLL(None).sysctlbyname(
        name.encode(), ctypes.byref(value), ctypes.byref(size), None, 0
    )
    return value.value if found == 0 else None


def _has_tiles(has: Mapping[str, bool]) -> bool:
    return bool(has.get("amx-tile") and has.get("amx-int8"))


def _may_use_tiles() -> bool:
    # Linux keeps room for a thread's tiles only if the process has asked for it, each for itself.
    # What other systems want isn't known to us.
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        return False
    asked = ctypes.CDLL(None).syscall(_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _XFEATURE_XTILEDATA)
    return bool(asked == 0)


# Of Linux on x86-64: asm/unistd_64.h, asm/prctl.h, and Documentation/arch/x86/xstate.rst.
_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _XFEATURE_XTILEDATA = 158, 0x1023, 18


def _vectors(has: Mapping[str, bool]) -> dict[str, Any] | None:
    if has.get("avx512vnni") and has.get("avx512bw") and has.get("avx512vl"):
        return _AMX if _has_tiles(has) else _VNNI | {"lanes": 16, "tile_rows": 8, "lines_ahead": 2}
    if has.get("avxvnni") and has.get("fma"):
        return _VNNI | {"lanes": 8, "tile_rows": 4}
    if has.get("avx2") and has.get("fma"):
        return _AVX2
    if has.get("i8mm"):
        return _I8MM
    if has.get("dotprod"):
        return _DOTPROD
    return None


_VNNI = {
    "tile_vectors": 3,
    "row_tiles": 1,
    "steps_at_once": 1,
    "step_inputs": 4,
    "turn_inputs": 16,
    "lines_ahead": 1,
    "instructions": "vnni",
    "lowest_code": 0,
    "top_weight": 127,
}
# Two tiles of rows by two of columns: their sums take four of eight registers, and no product waits
# for the one before.
_AMX = _VNNI | {
    "lanes": 16,
    "tile_rows": 16,
    "tile_vectors": 2,
    "row_tiles": 2,
    "turn_inputs": 64,
    "lines_ahead": 0,
    "instructions": "amx",
}
# Its sums of two products have 16 bits, which hold 2 x 255 x 64.
_AVX2 = _VNNI | {"lanes": 8, "tile_rows": 4, "instructions": "avx2", "top_weight": 64}
# An instruction multiplies by one of a register's lanes, so that two steps need one load. Three
# vectors of columns would fit, but LLVM then moves sums to memory and back.
_DOTPROD = {
    "lanes": 4,
    "tile_rows": 8,
    "tile_vectors": 2,
    "row_tiles": 1,
    "steps_at_once": 2,
    "step_inputs": 4,
    "turn_inputs": 16,
    "lines_ahead": 0,
    "instructions": "dotprod",
    "lowest_code": -128,
    "top_weight": 127,
}
_I8MM = _DOTPROD | {"step_inputs": 8, "instructions": "i8mm"}
