"""What this machine can do at most: the fastest matrix products and reads, measured."""

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch.nn import functional

from squadlite.bench.floor import Limits, Peak

# Rows, inputs and outputs: large squares, where kernels are at their best, and the shape of a
# small encoder's widest map.
SHAPES = ((1024, 1024, 1024), (2048, 1024, 4096), (1024, 384, 1536), (256, 384, 1536))
READ_SIZES = (1 << 20, 4 << 20, 16 << 20, 64 << 20, 256 << 20)
SECONDS = 0.3  # spent on one kernel and one shape, or one read

Shape = tuple[int, int, int]
Kernel = Callable[[], object]
Maker = Callable[[int, int, int], Kernel]


def measure_limits(
    threads: int,
    *,
    shapes: Sequence[Shape] = SHAPES,
    read_sizes: Sequence[int] = READ_SIZES,
    seconds: float = SECONDS,
) -> Limits:
    """
    Measure with every kernel that torch and numpy have here, and keep the best.

    Args:
        threads: that torch computes with; numpy's were set when the process was started.
        shapes: rows, inputs and outputs of the products.
        read_sizes: bytes to read again and again.
        seconds: spent on each measurement.
    """
    torch.set_num_threads(threads)
    peaks = {
        precision: max(
            _peaks(makers, shapes, seconds), key=lambda peak: peak.macs_per_s, default=None
        )
        for precision, makers in _MAKERS.items()
    }
    return Limits(
        threads=threads,
        peaks={precision: peak for precision, peak in peaks.items() if peak is not None},
        bandwidth={size: _bandwidth(size, seconds) for size in sorted(read_sizes)},
    )


def _peaks(makers: Mapping[str, Maker], shapes: Sequence[Shape], seconds: float) -> Iterator[Peak]:
    for name, make in makers.items():
        for shape in shapes:
            try:
                best = _fastest(make(*shape), seconds)
            except (RuntimeError, AttributeError):
                # This torch has no such kernel, or the kernel is not for this machine.
                continue
            yield Peak(int(np.prod(shape)) / best, name, shape)


def _fastest(kernel: Kernel, seconds: float) -> float:
    kernel()
    best = float("inf")
    end = time.perf_counter() + seconds
    while (started := time.perf_counter()) < end or best == float("inf"):
        kernel()
        best = min(best, time.perf_counter() - started)
    return best


def _bandwidth(size: int, seconds: float) -> float:
    values = torch.ones(size // 4)
    half, other_half = values.chunk(2)
    kernels = (
        values.sum,
        lambda: torch.dot(values, values),
        lambda: half.copy_(other_half),  # reads one half, writes the other
    )
    return size / min(_fastest(kernel, seconds) for kernel in kernels)


def _torch_f32(rows: int, inputs: int, outputs: int) -> Kernel:
    x, weight = torch.rand(rows, inputs), torch.rand(outputs, inputs)
    return lambda: functional.linear(x, weight)


def _torch_bf16(rows: int, inputs: int, outputs: int) -> Kernel:
    x, weight = torch.rand(rows, inputs).bfloat16(), torch.rand(outputs, inputs).bfloat16()
    return lambda: functional.linear(x, weight)


def _numpy_f32(rows: int, inputs: int, outputs: int) -> Kernel:
    x, weight = np.ones((rows, inputs), np.float32), np.ones((inputs, outputs), np.float32)
    return lambda: x @ weight


def _onednn_f32(rows: int, inputs: int, outputs: int) -> Kernel:
    return _onednn(torch.rand(rows, inputs), torch.rand(outputs, inputs))


def _onednn_bf16(rows: int, inputs: int, outputs: int) -> Kernel:
    return _onednn(torch.rand(rows, inputs).bfloat16(), torch.rand(outputs, inputs).bfloat16())


def _onednn(x: torch.Tensor, weight: torch.Tensor) -> Kernel:
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, len(x))
    return lambda: torch.ops.mkldnn._linear_pointwise(x, packed, None, "none", [], "")


def _onednn_int8(rows: int, inputs: int, outputs: int) -> Kernel:
    x = torch.randint(0, 255, (rows, inputs), dtype=torch.uint8)
    weight = torch.randint(-127, 127, (outputs, inputs), dtype=torch.int8)
    packed = torch.ops.onednn.qlinear_prepack(weight, [rows, inputs])
    scales, zero_points = torch.ones(outputs), torch.zeros(outputs, dtype=torch.int32)
    return lambda: torch.ops.onednn.qlinear_pointwise(
        x, 1.0, 128, packed, scales, zero_points, None, 1.0, 0, torch.bfloat16, "none", [], ""
    )


def _int_mm(rows: int, inputs: int, outputs: int) -> Kernel:
    x = torch.randint(-127, 127, (rows, inputs), dtype=torch.int8)
    weight = torch.randint(-127, 127, (outputs, inputs), dtype=torch.int8)
    return lambda: torch._int_mm(x, weight.t())


def _linear_dynamic(rows: int, inputs: int, outputs: int) -> Kernel:
    x, weight = torch.rand(rows, inputs), torch.rand(outputs, inputs)
    with warnings.catch_warnings():
        # Deprecated, and still what torch's dynamic int8 computes with.
        warnings.simplefilter("ignore", UserWarning)
        quantized = torch.quantize_per_tensor(weight, 0.01, 0, torch.qint8)
    packed = torch.ops.quantized.linear_prepack(quantized, None)
    return lambda: torch.ops.quantized.linear_dynamic(x, packed)


_MAKERS: Mapping[str, Mapping[str, Maker]] = {
    "f32": {
        "torch linear": _torch_f32,
        "oneDNN linear, packed": _onednn_f32,
        "numpy matmul": _numpy_f32,
    },
    "bf16": {"torch linear": _torch_bf16, "oneDNN linear, packed": _onednn_bf16},
    "int8": {
        "oneDNN qlinear, packed": _onednn_int8,
        "torch _int_mm": _int_mm,
        "torch quantized linear_dynamic": _linear_dynamic,
    },
}
