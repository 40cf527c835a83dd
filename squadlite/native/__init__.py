"""
Kernels of our own: the forward pass in 8-bit integers, without torch, and coded streams.

LLVM compiles them for the processor and the model at hand; they are written in Python:

    cpu           what the processor can do
    layout        shapes that kernels and packed weights agree about
    frame         the addresses that every kernel is given
    operands      numbers, vectors and addresses while a kernel runs
    code          Python that writes LLVM's intermediate code
    dots          products of narrow numbers, by each processor's vector instructions
    tiles         products of bytes by Intel's matrix tiles (AMX)
    pairs         products of bytes by ARM's matrix instructions (i8mm)
    arithmetic    powers of two, activations, rounding
    rows          what happens to each token alone
    products      tiles of matrix products, and linear maps made of them
    values        products of attention weights and values
    attention     softmax attention over codes
    network       the forward pass of a window as one function
    machine_code  compiling, and the cache
    object_file   machine code -> memory, without LLVM
    kept          what files of the cache are named by
    weights       trained tensors -> codes in panels, and the cache
    scorer        all of it together
    entropy       the container's coded streams
"""

import functools
import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from squadlite.config import ModelConfig

if TYPE_CHECKING:
    from squadlite.native.cpu import Cpu
    from squadlite.native.entropy import EntropyKernels
    from squadlite.native.scorer import NativeScorer


def cpu_with_kernels() -> "Cpu | None":
    """The processor that we run on; None where there are no kernels for it, or no llvmlite."""
    if importlib.util.find_spec("llvmlite") is None:
        return None
    from squadlite.native.cpu import this_cpu  # noqa: PLC0415

    return this_cpu()


def native_scorer(
    config: ModelConfig, tensors: Mapping[str, NDArray[np.float32]], digest: str | None = None
) -> "NativeScorer | None":
    """
    A scorer by our own kernels, or None where they can't compute this model on this processor.

    Args:
        config: the model's.
        tensors: its tensors, as `tensor_shapes` lists them.
        digest: of the tensors; see `NativeScorer`.

    Raises:
        SquadliteError: weights that aren't numbers.
    """
    cpu = cpu_with_kernels()
    if cpu is None:
        return None
    # llvmlite, which these import, isn't there on every platform.
    from squadlite.native.layout import Layout, supports  # noqa: PLC0415
    from squadlite.native.scorer import NativeScorer  # noqa: PLC0415

    if not supports(config, cpu):
        return None
    return NativeScorer(Layout(config, cpu), tensors, digest)


@functools.cache
def entropy_kernels(frequency_bits: int) -> "EntropyKernels | None":
    """
    Kernels for coded streams, or None where there are none for this processor.

    Args:
        frequency_bits: symbols' frequencies add up to 2 to this.
    """
    cpu = cpu_with_kernels()
    if cpu is None:
        return None
    from squadlite.native.entropy import EntropyKernels  # noqa: PLC0415

    return EntropyKernels(cpu, frequency_bits)
