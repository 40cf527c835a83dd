"""
How fast each codec encodes and decodes on one core: `python -m benchmarks.codecs`.

Decoding is to float32, into a new array each time, as a reader does it. MB are millions of stored
bytes. Coded streams are timed apart: their symbols are bytes, so that MB are millions of symbols.
Tables, then the same as one line of JSON.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from squadlite.container import Codec, Linear, Rademacher, Raw, Uniform
from squadlite.container.codecs import rans
from squadlite.native import cpu_with_kernels

_COLUMNS = 1536
_DEVIATION = 0.05
# Of the symbols of coded streams, in standard deviations of the weights: 2.5, 3.5 and 5 bits.
_STEPS = (0.73, 0.365, 0.13)


@dataclass(frozen=True)
class Timing:
    """One row of the table."""

    codec: str
    bits_per_value: float
    encode_mvalues: float
    encode_mb: float
    decode_mvalues: float
    decode_mb: float


@dataclass(frozen=True)
class StreamTiming:
    """One row of the table of coded streams."""

    by: str
    entropy_bits: float
    bits_per_symbol: float
    excess_percent: float
    encode_mb: float
    decode_mb: float


@click.command()
@click.option("--values", default=2**24, show_default=True, help="Values in the tensor.")
@click.option("--repeats", default=3, show_default=True, help="The best of so many runs counts.")
@click.option("--only", default="", help="Only codecs whose label contains this.")
def main(values: int, repeats: int, only: str) -> None:
    """
    Time the codecs of a .sqz file.

    Example: python -m benchmarks.codecs --only "linear 10"
    """
    shape = (values // _COLUMNS, _COLUMNS)
    weights = np.random.default_rng(0).normal(0, _DEVIATION, shape).astype(np.float32)
    timings = [
        measure(label, codec, weights, repeats=repeats)
        for label, codec in codecs().items()
        if only in label
    ]
    streams = [
        measure_stream(weights, step, kernels=kernels, repeats=repeats)
        for step in _STEPS
        for kernels in ((True, False) if cpu_with_kernels() else (False,))
        if only in "coded stream"
    ]
    console = Console(file=sys.stderr)
    console.print(as_table(timings))
    console.print(as_stream_table(streams))
    print(
        json.dumps(
            {"timings": [asdict(t) for t in timings], "streams": [asdict(t) for t in streams]}
        )
    )


def codecs() -> dict[str, Codec]:
    """What is timed, by label."""
    result: dict[str, Codec] = {f"raw {dtype}": Raw(dtype) for dtype in ("f32", "f16", "bf16")}
    for bits in range(1, 17):
        result[f"linear {bits} tensor"] = Linear(bits)
        result[f"linear {bits} row"] = Linear(bits, "row")
        result[f"linear {bits} group 64"] = Linear(bits, "group", 64)
    result["linear 4 group 100"] = Linear(4, "group", 100)
    result["linear 4 group 64 searched"] = Linear(4, "group", 64, search_range=True)
    result["linear 4 group 64 coded"] = Linear(4, "group", 64).compressed()
    result["linear 10 tensor coded"] = Linear(10).compressed()
    exponents = np.linspace(-16, 16, _COLUMNS).astype(np.int8)
    for size, step in zip((2.5, 3.5, 5), _STEPS, strict=True):
        result[f"uniform {size}"] = Uniform(_DEVIATION * step)
    result["uniform columns"] = Uniform(_DEVIATION * _STEPS[1], "columns", exponents=exponents)
    result["rademacher"] = Rademacher()
    result["rademacher seed"] = Rademacher(seed=1)
    return result


def measure(label: str, codec: Codec, weights: np.ndarray, *, repeats: int) -> Timing:
    """Time one codec on one matrix."""
    if isinstance(codec, Rademacher):
        weights = Rademacher(seed=1).decode(b"", weights.shape)
    stored, data = codec.stored(weights)
    encode_s = best_time(lambda: codec.stored(weights), 1)
    decode_s = best_time(lambda: stored.decode(data, weights.shape), repeats)
    return Timing(
        codec=label,
        bits_per_value=round(8 * len(data) / weights.size, 3),
        encode_mvalues=round(weights.size / encode_s / 1e6, 1),
        encode_mb=round(len(data) / encode_s / 1e6, 1),
        decode_mvalues=round(weights.size / decode_s / 1e6, 1),
        decode_mb=round(len(data) / decode_s / 1e6, 1),
    )


def measure_stream(
    weights: np.ndarray, step: float, *, kernels: bool, repeats: int
) -> StreamTiming:
    """Time a coded stream of the matrix in steps of so many standard deviations."""
    codes = np.rint(weights / (step * weights.std())).astype(np.int64).reshape(-1)
    codes -= codes.min()
    symbols = codes.astype(np.uint8)
    shares = np.bincount(codes) / codes.size
    shares = shares[shares > 0]
    entropy = float(-(shares * np.log2(shares)).sum())
    out = np.zeros_like(symbols)
    stream = rans.encode(symbols, kernels=kernels)
    encode_s = best_time(lambda: rans.encode(symbols, kernels=kernels), repeats)
    decode_s = best_time(lambda: rans.decode(stream, out.size, out, kernels=kernels), repeats)
    bits = 8 * len(stream) / symbols.size
    return StreamTiming(
        by="kernels" if kernels else "numpy",
        entropy_bits=round(entropy, 3),
        bits_per_symbol=round(bits, 3),
        excess_percent=round(100 * (bits / entropy - 1), 3),
        encode_mb=round(symbols.size / encode_s / 1e6, 1),
        decode_mb=round(symbols.size / decode_s / 1e6, 1),
    )


def best_time(work: Callable[[], object], repeats: int) -> float:
    """Seconds that the fastest of `repeats` runs took of a core, whatever else runs on it."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def as_table(timings: list[Timing]) -> Table:
    """The timings for people."""
    table = Table(title="One core, float32 to bytes and back")
    table.add_column("codec", no_wrap=True)
    for column in ("bits", "encode Mvalues/s", "MB/s", "decode Mvalues/s", "MB/s"):
        table.add_column(column, justify="right")
    for timing in timings:
        table.add_row(*(str(value) for value in asdict(timing).values()))
    return table


def as_stream_table(timings: list[StreamTiming]) -> Table:
    """The timings of coded streams for people."""
    table = Table(title="Coded streams, one core")
    columns = ("by", "entropy", "bits a symbol", "more %", "encode MB/s", "decode MB/s")
    for column in columns:
        table.add_column(column, justify="right")
    for timing in timings:
        table.add_row(*(str(value) for value in asdict(timing).values()))
    return table


if __name__ == "__main__":
    main()
