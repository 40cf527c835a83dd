"""Kernels as machine code: compiled by LLVM once, then kept in the cache."""

import ctypes
import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite
from llvmlite import binding

from squadlite.cache import default_cache_dir, read_cached, write_cached
from squadlite.native.cpu import Cpu
from squadlite.native.layout import Layout

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
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        self._engine = binding.create_mcjit_compiler(
            binding.parse_assembly(""), _target_machine(cpu)
        )
        self._engine.add_object_file(binding.ObjectFileRef.from_data(image))
        self._engine.finalize_object()

    @property
    def forward(self) -> Forward:
        """The forward pass."""
        return self.function(FORWARD, ctypes.c_void_p)

    def function(self, name: str, *parameters: type) -> Callable[..., None]:
        """A function that takes these types of ctypes, and returns nothing."""
        return ctypes.CFUNCTYPE(None, *parameters)(self._engine.get_function_address(name))


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
    cached = (cache_dir or default_cache_dir()) / f"kernels-{_fingerprint(key, cpu)}.o"
    image = read_cached(cached) if _is_ours_alone(cached) else None
    if image is None:
        image = compile_()
        write_cached(cached, image)
    return Library(image, cpu)


def compile_kernels(layout: Layout) -> bytes:
    """Write a model's kernels and compile them to an object file."""
    # What writes them is needed this once alone.
    from squadlite.native.network import Network  # noqa: PLC0415

    return compile_module(str(Network(layout).module), layout.cpu)


def compile_module(assembly: str, cpu: Cpu) -> bytes:
    """Compile LLVM's intermediate code to an object file."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
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
    target = binding.Target.from_triple(cpu.triple)
    return target.create_target_machine(cpu=cpu.name, features=cpu.features, opt=3, jit=True)


def _fingerprint(key: str, cpu: Cpu) -> str:
    # Of all that the machine code depends on.
    digest = hashlib.sha256(repr((llvmlite.__version__, cpu, key)).encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:32]


def _is_ours_alone(cached: Path) -> bool:
    # Machine code that another user could have written is not run.
    try:
        status = cached.stat()
    except OSError:
        return False
    owner = getattr(os, "getuid", lambda: status.st_uid)()
    return status.st_uid == owner and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
