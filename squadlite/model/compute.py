"""What a model computes in: chosen, or found out by measuring."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from squadlite.config import Compute
from squadlite.errors import ComputeError
from squadlite.model.encoder import QuestionAnsweringModel
from squadlite.model.kernels import Precision
from squadlite.model.memory import keep_freed_memory
from squadlite.model.packed import PackedLayer, PackedModel

# Enough rows for a kernel to show its speed, few enough to cost nothing one would notice.
_PROBE_ROWS = 64
_PROBE_RUNS = 3
# A precision of fewer bits must be this much faster to be worth its rounding.
_WORTHWHILE = 0.9
# Relative error of a layer's output, root mean square, up to which a kernel counts as working.
# 8-bit codes give about 0.01; where a CPU's instructions overflow on them, far more.
_TOLERANCE = 0.05


def prepare(model: QuestionAnsweringModel, compute: Compute) -> PackedModel:
    """
    Make a model ready to answer.

    Args:
        model: float32.
        compute: the numbers to compute in. "auto" takes what is fastest here, measured on the
            model's own first layer; the others are taken as they are.

    Raises:
        ComputeError: torch has no kernels for `compute` on this machine.
    """
    keep_freed_memory()
    precision = fastest_precision(model) if compute == "auto" else compute
    try:
        return PackedModel(model, precision)
    except (RuntimeError, AttributeError) as error:
        raise ComputeError(
            f"compute: this torch has no kernels for {precision} here ({error}), "
            "expected f32 or auto"
        ) from error


def fastest_precision(model: QuestionAnsweringModel) -> Precision:
    """Measure a layer in each precision; of those that work, the fastest on this machine."""
    probe = _probe(model)
    with _one_thread(), torch.inference_mode():
        layer, lengths = model.stored_layers[0], [len(probe)]
        exact = PackedLayer(layer, model.config, "f32")
        expected, best = exact(probe, lengths), _seconds(exact, probe)
        chosen: Precision = "f32"
        candidates: tuple[Precision, ...] = ("bf16", "int8")
        for precision in candidates:
            try:
                rival = PackedLayer(layer, model.config, precision)
                error = _relative_error(rival(probe, lengths), expected)
                seconds = _seconds(rival, probe)
            except (RuntimeError, AttributeError):
                continue  # no such kernel here
            if error < _TOLERANCE and seconds < _WORTHWHILE * best:
                chosen, best = precision, seconds
    return chosen


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


def _relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@contextmanager
def _one_thread() -> Iterator[None]:
    # As a reader computes: a thread for each batch.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
