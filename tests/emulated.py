"""
Matrix instructions that this processor hasn't, as functions that do what they do.

Kernels are written as ever; only the names of those instructions are others in LLVM's code.
"""

import ctypes
import re
import threading
from collections.abc import Callable

import numpy as np
from llvmlite import binding

_TILE_INSTRUCTIONS = re.compile(r"llvm\.x86\.(ldtilecfg|tile\w+|tdpbusd)")
_SMMLA = "llvm.aarch64.neon.smmla.v4i32.v16i8"
_REGISTERS, _ROWS, _ROW_BYTES = 8, 16, 64


def emulated(assembly: str) -> str:
    """LLVM's code with functions in place of matrix instructions."""
    assembly = _TILE_INSTRUCTIONS.sub(r"emulated_\1", assembly)
    if _SMMLA in assembly:
        declared = re.compile(rf'declare .*@"{re.escape(_SMMLA)}".*\n')
        assembly = declared.sub("", assembly).replace(_SMMLA, "emulated_smmla") + _SMMLA_FUNCTION
    return assembly


class _State(threading.local):
    # A thread's registers; None: they have no shapes.
    shapes: list[tuple[int, int]] | None = None
    registers = np.zeros((0, _ROWS, _ROW_BYTES), np.uint8)

    def shape(self, number: int) -> tuple[int, int]:
        assert self.shapes is not None, "tiles have no shapes"
        return self.shapes[number]

    def part(self, number: int) -> np.ndarray:
        rows, row_bytes = self.shape(number)
        return self.registers[number, :rows, :row_bytes]


_STATE = _State()


def _memory(address: int, stride: int, shape: tuple[int, int]) -> np.ndarray:
    size = (shape[0] - 1) * stride + shape[1]
    flat = np.frombuffer((ctypes.c_uint8 * size).from_address(address), np.uint8)
    return np.lib.stride_tricks.as_strided(flat, shape, (stride, 1))


def _ldtilecfg(address: int) -> None:
    config = ctypes.string_at(address, 64)
    row_bytes = np.frombuffer(config[16:48], np.uint16)
    rows = config[48:]
    assert config[0] == 1, f"palette {config[0]}"
    assert not any(config[1:16]), "bytes that must be 0"
    assert not row_bytes[_REGISTERS:].any() and not any(rows[_REGISTERS:])
    _STATE.shapes = list(zip(rows[:_REGISTERS], row_bytes[:_REGISTERS].tolist(), strict=True))
    assert all(0 < r <= _ROWS and 0 < n <= _ROW_BYTES for r, n in _STATE.shapes)
    _STATE.registers = np.zeros((_REGISTERS, _ROWS, _ROW_BYTES), np.uint8)


def _tilerelease() -> None:
    _STATE.shapes = None


def _tilezero(number: int) -> None:
    _STATE.part(number)[:] = 0


def _tileloadd64(number: int, address: int, stride: int) -> None:
    _STATE.part(number)[:] = _memory(address, stride, _STATE.shape(number))


def _tilestored64(number: int, address: int, stride: int) -> None:
    _memory(address, stride, _STATE.shape(number))[:] = _STATE.part(number)


def _tdpbusd(sums: int, left: int, right: int) -> None:
    assert len({sums, left, right}) == 3, "one register twice"
    rows, left_bytes = _STATE.shape(left)
    steps, right_bytes = _STATE.shape(right)
    assert _STATE.shape(sums) == (rows, right_bytes), "sums have another shape"
    assert left_bytes == 4 * steps, "factors have other depths"
    # A step is four bytes of each row, and four of each column.
    codes = _STATE.part(left).reshape(rows, steps, 4).astype(np.int32)
    weights = _STATE.part(right).view(np.int8).reshape(steps, right_bytes // 4, 4).astype(np.int32)
    total = _STATE.part(sums).view(np.int32)
    total += np.einsum("rsi,sci->rc", codes, weights)


_BYTE, _ADDRESS, _STRIDE = ctypes.c_uint8, ctypes.c_size_t, ctypes.c_int64
_FUNCTIONS: dict[str, tuple[Callable[..., None], tuple[type, ...]]] = {
    "ldtilecfg": (_ldtilecfg, (_ADDRESS,)),
    "tilerelease": (_tilerelease, ()),
    "tilezero": (_tilezero, (_BYTE,)),
    "tileloadd64": (_tileloadd64, (_BYTE, _ADDRESS, _STRIDE)),
    "tilestored64": (_tilestored64, (_BYTE, _ADDRESS, _STRIDE)),
    "tdpbusd": (_tdpbusd, (_BYTE, _BYTE, _BYTE)),
}
_CALLED = {
    name: ctypes.CFUNCTYPE(None, *kinds)(function) for name, (function, kinds) in _FUNCTIONS.items()
}
for _name, _function in _CALLED.items():
    binding.add_symbol(f"emulated_{_name}", ctypes.cast(_function, ctypes.c_void_p).value)


def _smmla_function() -> str:
    # Two rows' sums with two columns', each of eight signed bytes.
    lines = [
        "declare i32 @llvm.vector.reduce.add.v8i32(<8 x i32>)",
        "define internal <4 x i32> @emulated_smmla(<4 x i32> %t0, <16 x i8> %a, <16 x i8> %b)",
        "noinline {",
    ]
    for name in "ab":
        for half in range(2):
            lanes = ", ".join(f"i32 {8 * half + i}" for i in range(8))
            vector = f"<16 x i8> %{name}, <16 x i8> %{name}, <8 x i32> <{lanes}>"
            lines.append(f"%{name}{half} = shufflevector {vector}")
            lines.append(f"%{name}w{half} = sext <8 x i8> %{name}{half} to <8 x i32>")
    for lane in range(4):
        row, column = divmod(lane, 2)
        lines += [
            f"%p{lane} = mul <8 x i32> %aw{row}, %bw{column}",
            f"%s{lane} = call i32 @llvm.vector.reduce.add.v8i32(<8 x i32> %p{lane})",
            f"%o{lane} = extractelement <4 x i32> %t0, i32 {lane}",
            f"%n{lane} = add i32 %o{lane}, %s{lane}",
            f"%t{lane + 1} = insertelement <4 x i32> %t{lane}, i32 %n{lane}, i32 {lane}",
        ]
    return "\n".join([*lines, "ret <4 x i32> %t4", "}", ""])


_SMMLA_FUNCTION = _smmla_function()
