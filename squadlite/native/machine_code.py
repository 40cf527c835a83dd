"""Kernels as machine code: compiled by LLVM once, then kept in the cache."""

import ctypes
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from squadlite.cache import read_cached, write_cached
from squadlite.native.cpu import Cpu
from squadlite.native.kept import kept_file
from squadlite.native.layout import Layout
from squadlite.native.object_file import load_object

_log = logging.getLogger(__name__)

# What a thread does of a window's forward pass, given the address of its frame: see `network`.
Forward = Callable[[int], None]

FORWARD = "forward"


class Library:
    """
    Machine code in memory; it lives as long as this object.

    Args:
        image: an object file, as `compile_module` makes it.
        cpu: what it was made for.
    """

    def __init__(self, image: bytes, cpu: Cpu) -> None:
        # LLVM's loader takes all there is, but takes LLVM as well.
        self._code = load_object(image) or _LoadedByLlvm(image, cpu)

    @property
    def forward(self) -> Forward:
        """The forward pass."""
        return self.function(FORWARD, ctypes.c_void_p)

    def function(self, name: str, *parameters: type) -> Callable[..., None]:
        """A function that takes these types of ctypes, and returns nothing."""
        return ctypes.CFUNCTYPE(None, *parameters)(self._code.address(name))


class _LoadedByLlvm:
    def __init__(self, image: bytes, cpu: Cpu) -> None:
        binding = _llvm()
        self._engine = binding.create_mcjit_compiler(
            binding.parse_assembly(""), _target_machine(cpu)
        )
        self._engine.add_object_file(binding.ObjectFileRef.from_data(image))
        self._engine.finalize_object()

    def address(self, name: str) -> int:
        address: int = self._engine.get_function_address(name)
        return address


def load_library(layout: Layout, cache_dir: Path | None = None) -> Library:
    """
    Load a model's kernels from the cache; compile them where they aren't there.

    Args:
        layout: of the model, on this processor.
        cache_dir: `default_cache_dir()` if None.
    """
    return load_cached(repr(layout.shape), lambda: compile_kernels(layout), layout.cpu, cache_dir)


def load_cached(
    key: str, compile_: Callable[[], bytes], cpu: Cpu, cache_dir: Path | None = None
) -> Library:
    """
    Load kernels from the cache; compile them where they aren't there.

    Args:
        key: of all that makes these kernels others than those of this version and processor.
        compile_: makes an object file of them.
        cpu: that we run on.
        cache_dir: `default_cache_dir()` if None.
    """
    kept = kept_file("kernels", (cpu, key), ".o", cache_dir)
    image = read_cached(kept)
    if image is None:
        image = compile_()
        write_cached(kept, image)
    return Library(image, cpu)


def compile_kernels(layout: Layout) -> bytes:
    """Write a model's kernels and compile them to an object file."""
    _log.info("Compiling the model for this processor, once ...")
    # What writes them is needed this once alone.
    from squadlite.native.network import Network  # noqa: PLC0415

    return compile_module(str(Network(layout).module), layout.cpu)


def compile_module(assembly: str, cpu: Cpu) -> bytes:
    """Compile LLVM's intermediate code to an object file."""
    binding = _llvm()
    module = binding.parse_assembly(assembly)
    module.verify()
    machine = _target_machine(cpu)
    # Kernels are vectors already, and unrolled as far as is good for them.
    options = binding.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = options.slp_vectorization = options.loop_unrolling = False
    builder = binding.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    image: bytes = machine.emit_object(module)
    return image


def _target_machine(cpu: Cpu) -> Any:
    target = _llvm().Target.from_triple(cpu.triple)
    return target.create_target_machine(cpu=cpu.name, features=cpu.features, opt=3, jit=True)


def _llvm() -> Any:
    # A question whose kernels are in the cache does without: importing it takes 30 ms and 40 MB.
    from llvmlite import binding  # noqa: PLC0415

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding
