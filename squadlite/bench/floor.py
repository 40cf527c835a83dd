"""The least time that a forward pass can take on a machine whose limits were measured."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from squadlite.bench.kind import Precision
from squadlite.model import ModelConfig

BYTES_PER_VALUE: Mapping[str, int] = {"f32": 4, "bf16": 2, "int8": 1}


@dataclass(frozen=True)
class Limits:
    """
    What a machine can do with a number of threads.

    Args:
        threads: that computed.
        peaks: precision -> the fastest matrix product found.
        bandwidth: ascending bytes -> bytes a second when so many are read again and again; those
            that fit a cache come from there.
    """

    threads: int
    peaks: Mapping[str, "Peak"]
    bandwidth: Mapping[int, float]

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {**asdict(self), "bandwidth": [list(item) for item in self.bandwidth.items()]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` gave."""
        peaks = {
            precision: Peak(peak["macs_per_s"], peak["kernel"], tuple(peak["shape"]))
            for precision, peak in values["peaks"].items()
        }
        return cls(values["threads"], peaks, dict(values["bandwidth"]))


@dataclass(frozen=True)
class Peak:
    """
    The fastest matrix product.

    Args:
        macs_per_s: multiply-adds a second; twice as many operations.
        kernel: the library's name for it.
        shape: rows, inputs and outputs of the product.
    """

    macs_per_s: float
    kernel: str
    shape: tuple[int, int, int]


@dataclass(frozen=True)
class Work:
    """
    What a forward pass can't do without.

    Args:
        linear_macs: multiply-adds of all linear maps, the span head's and the embeddings' too.
        attention_macs: those of queries with keys, and of the weights found with values.
        weights: values in the matrices of linear maps; a shared layer's are counted once.
    """

    linear_macs: int
    attention_macs: int
    weights: int

    @property
    def macs(self) -> int:
        """All multiply-adds."""
        return self.linear_macs + self.attention_macs


def count_work(config: ModelConfig, batch: int, length: int) -> Work:
    """
    Count the work of a forward pass over a batch without padding.

    Norms, activations, softmax and biases are left out: they cost a floor nothing.

    Args:
        config: the model's.
        batch, length: windows, and tokens in each.
    """
    layer = sum(map(config.linear_values, config.linear_shapes))
    around = (2 + (config.embedding_size or 0)) * config.hidden_size
    tokens = batch * length
    return Work(
        linear_macs=tokens * (config.num_layers * layer + around),
        attention_macs=config.num_layers * 2 * tokens * length * config.hidden_size,
        weights=config.num_layer_groups * layer + around,
    )


def floor_seconds(work: Work, limits: Limits, precision: Precision) -> float | None:
    """
    The least time for some work: computing it at the peak, or reading the weights once, if longer.

    Args:
        work: from `count_work`.
        limits: of the machine, with as many threads as the runtime has.
        precision: of the products; "auto": whichever gives the lowest floor.

    Returns:
        Seconds; None where the machine has no kernel for that precision.
    """
    if precision == "auto":
        floors = [floor_seconds(work, limits, name) for name in ("f32", "bf16", "int8")]
        return min((floor for floor in floors if floor is not None), default=None)
    peak = limits.peaks.get(precision)
    if peak is None:
        return None
    read = work.weights * BYTES_PER_VALUE[precision]
    return max(work.macs / peak.macs_per_s, read / _bandwidth(limits, read))


def _bandwidth(limits: Limits, count: int) -> float:
    # That of the next smaller size measured: never too slow, so that a floor stays a floor.
    sizes = sorted(limits.bandwidth)
    smaller = [size for size in sizes if size <= count]
    return limits.bandwidth[smaller[-1] if smaller else sizes[0]]
