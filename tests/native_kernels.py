"""Kernels of one operation, compiled for this processor and run on arrays."""

import ctypes
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="llvmlite, which compiles kernels, isn't there")

from emulated import emulated
from llvmlite import ir
from llvmlite.binding import FeatureMap
from tiny_models import random_model, tiny_config

from squadlite.config import ModelConfig
from squadlite.native import machine_code
from squadlite.native.code import Code
from squadlite.native.cpu import Cpu, _vectors, this_cpu
from squadlite.native.machine_code import Library, compile_module
from squadlite.native.operands import BYTE, FLOAT, INDEX, INT, POINTER, SHORT, Value

_DTYPES = {BYTE: np.uint8, SHORT: np.int16, INT: np.int32, FLOAT: np.float32}


AVX512 = {"avx512vnni": True, "avx512bw": True, "avx512vl": True}
X86_VECTORS = [AVX512, {"avxvnni": True, "fma": True}, {"avx2": True, "fma": True}]
MATRICES = [AVX512 | {"amx-tile": True, "amx-int8": True}, {"i8mm": True}]


def _with(cpu: Cpu, has: dict[str, bool]) -> Cpu:
    return replace(cpu, **_vectors(FeatureMap(has)))


def _vector_cpus(cpu: Cpu) -> list[Cpu]:
    if cpu.lanes == 16:  # x86-64, which has the narrower vectors and older instructions too
        found = [_with(cpu, has) for has in X86_VECTORS]
        # Tiles of the shape that ARM processors compute.
        return [*found, replace(found[0], lanes=4, tile_rows=8, tile_vectors=2, steps_at_once=2)]
    return [_with(cpu, {"dotprod": True}) if cpu.has_matrices else cpu]


_OWN = this_cpu()


def _parameters(find: Callable[[Cpu], list[Cpu]]) -> list[Any]:
    if _OWN is None:
        reason = "there are no kernels for this processor"
        return [pytest.param(None, marks=pytest.mark.skip(reason=reason), id="none")]
    return [
        pytest.param(each, id=f"{each.instructions}-{32 * each.lanes}-bits") for each in find(_OWN)
    ]


def _compile(assembly: str, cpu: Cpu) -> bytes:
    # What is compiled for other processors isn't run.
    lacks = _OWN is not None and (
        _OWN.triple == cpu.triple and _OWN.instructions != cpu.instructions
    )
    return compile_module(emulated(assembly) if lacks else assembly, cpu)


# For whole networks too, and for as long as tests run.
machine_code.compile_module = _compile

# This processor, with every width of vectors and all instructions of its that kernels use.
CPUS = _parameters(_vector_cpus)
# Matrix instructions that it hasn't are emulated.
MATRIX_CPUS = _parameters(lambda cpu: [_with(cpu, has) for has in MATRICES])
on_every_width = pytest.mark.parametrize("cpu", CPUS)
on_every_cpu = pytest.mark.parametrize("cpu", CPUS + MATRIX_CPUS)
on_every_matrix_cpu = pytest.mark.parametrize("cpu", MATRIX_CPUS)
on_this_cpu = pytest.mark.parametrize("cpu", CPUS[:1])


def wide_config(cpu: Cpu, **changes: Any) -> ModelConfig:
    """A tiny model with three heads a vector wide, and a feed-forward block five vectors wide."""
    sizes = {"hidden_size": 3 * cpu.unit, "intermediate_size": 5 * cpu.unit}
    return tiny_config(**sizes | changes)


def random_tensors(config: ModelConfig, *, seed: int = 0) -> dict[str, np.ndarray]:
    """The tensors of `random_model`."""
    state = random_model(config, seed=seed).state_dict()
    return {name: tensor.float().numpy().copy() for name, tensor in state.items()}


def compiled(cpu: Cpu, write: Callable[[Code], None], **parameters: Any) -> Callable[..., None]:
    """
    Compile one kernel.

    Args:
        cpu: to compile it for.
        write: writes its body.
        parameters: name -> `POINTER` or `INDEX`. The function takes an array for a pointer.
    """
    module = ir.Module("tests")
    module.triple = cpu.triple
    code = Code(module, "kernel", parameters, cpu)
    with code:
        write(code)
    library = Library(_compile(str(module), cpu), cpu)
    kinds = [ctypes.c_void_p if kind is POINTER else ctypes.c_int64 for kind in parameters.values()]
    function = library.function("kernel", *kinds)

    def run(*arguments: np.ndarray | int) -> None:
        assert library  # its memory holds the function
        function(*(a if isinstance(a, int) else _address(a) for a in arguments))

    return run


def _address(array: np.ndarray) -> int:
    assert array.flags.c_contiguous
    return array.ctypes.data


def mapped(
    cpu: Cpu, operation: Callable[..., Value], *, result: Any = FLOAT, inputs: int = 1
) -> Callable[..., np.ndarray]:
    """Compile a function of vectors of floats, to be called with arrays of any one length."""
    names = [f"input_{i}" for i in range(inputs)]

    def write(code: Code) -> None:
        with code.loop(0, code["n"], code.lanes) as at:
            vectors = [code.load_floats(code[name] + at * 4) for name in names]
            size = np.dtype(_DTYPES[result]).itemsize
            code.store(code["target"] + at * size, operation(*vectors))

    kernel = compiled(cpu, write, **dict.fromkeys(names, POINTER), target=POINTER, n=INDEX)

    def call(*arrays: np.ndarray) -> np.ndarray:
        length = len(arrays[0])
        padded = -(-length // cpu.lanes) * cpu.lanes
        sources = [np.zeros(padded, np.float32) for _ in arrays]
        for source, array in zip(sources, arrays, strict=True):
            source[:length] = array
        target = np.zeros(padded, _DTYPES[result])
        kernel(*sources, target, padded)
        return target[:length]

    return call
