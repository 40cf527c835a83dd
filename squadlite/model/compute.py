"""What torch computes a model in: chosen, or found out by measuring."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import get_args

import torch

from squadlite.config import Compute
from squadlite.errors import ComputeError
from squadlite.model.encoder import QuestionAnsweringModel
from squadlite.model.memory import keep_freed_memory
from squadlite.model.packed import PackedLayer, PackedModel, Precision

# Enough rows for a kernel to show its speed, few enough to cost nothing one would notice.
_PROBE_ROWS = 64
_PROBE_RUNS = 3
# bfloat16 must be this much faster to be worth its rounding.
_WORTHWHILE = 0.9


def prepare(model: QuestionAnsweringModel, compute: Compute) -> PackedModel:
    """
    Make a model ready to answer.

    Args:
        model: float32.
        compute: the numbers to compute in. "auto" takes what is fastest here, measured on the
            model's own first layer; the others are taken as they are.

    Raises:
        ComputeError: "int8", which is left to `squadlite.native`.
    """
    if compute == "int8":
        raise ComputeError(
            "compute: found int8, for which there are no kernels for this processor or this model, "
            "expected auto, f32 or bf16"
        )
    keep_freed_memory()
    return PackedModel(model, fastest_precision(model) if compute == "auto" else compute)


def fastest_precision(model: QuestionAnsweringModel) -> Precision:
    """Measure a layer in each precision; the faster one on this machine."""
    probe = _probe(model)
    # As a reader computes: a thread for each batch.
    with torch_threads(1), torch.inference_mode():
        exact, rounded = (
            _seconds(PackedLayer(model.stored_layers[0], model.config, precision), probe)
            for precision in get_args(Precision)
        )
    return "bf16" if rounded < _WORTHWHILE * exact else "f32"


def _probe(model: QuestionAnsweringModel) -> torch.Tensor:
    # Real embeddings, for real ranges: (rows, hidden). Which pieces they are of doesn't matter.
    rows = min(_PROBE_ROWS, model.config.max_position_embeddings)
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(model.config.vocab_size, (1, rows), generator=generator)
    with torch.inference_mode():
        hidden: torch.Tensor = model.embeddings(ids, torch.zeros_like(ids))
    return hidden.squeeze(0)


def _seconds(layer: PackedLayer, probe: torch.Tensor) -> float:
    layer(probe, [len(probe)])
    runs = []
    for _ in range(_PROBE_RUNS):
        started = time.perf_counter()
        layer(probe, [len(probe)])
        runs.append(time.perf_counter() - started)
    return min(runs)


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """Let torch compute with so many threads what this one asks of it within the block."""
    # Torch keeps a number for each thread that calls it.
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
