"""How far a model's answers move when its weights do: measured, or foreseen from gradients."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from squadlite.answering.windows import Batch
from squadlite.model import QuestionAnsweringModel
from squadlite.progress import Progress
from squadlite.quantization.calibration import fisher_direction, span_logits


class SpanDivergence:
    """
    The Kullback-Leibler divergence of a model's span distributions from what they were.

    Start and end each are a distribution over [CLS] and the context's tokens, as a reader looks at
    them.

    Args:
        model: in eval mode, as it was.
        batches: what it reads.
    """

    def __init__(self, model: QuestionAnsweringModel, batches: Sequence[Batch]) -> None:
        self._model, self._batches = model, batches
        self._num_windows = sum(len(batch.windows) for batch in batches)
        self._reference = [self._log_chances(batch) for batch in batches]

    def of(self, changes: Mapping[str, NDArray[np.float32]]) -> float:
        """
        Nats a window, start and end together, with some tensors changed.

        Args:
            changes: name -> values; the model has its own again afterwards.
        """
        parameters = {name: self._model.get_parameter(name) for name in changes}
        own = {name: parameter.data for name, parameter in parameters.items()}
        try:
            for name, parameter in parameters.items():
                parameter.data = torch.from_numpy(changes[name])
            return self._measure()
        finally:
            for name, parameter in parameters.items():
                parameter.data = own[name]

    def _measure(self) -> float:
        total = 0.0
        for batch, reference in zip(self._batches, self._reference, strict=True):
            moved = reference - self._log_chances(batch)
            # Where no reader looks, both are -inf.
            total += float((reference.exp() * moved).nansum())
        return total / self._num_windows

    @torch.inference_mode()
    def _log_chances(self, batch: Batch) -> torch.Tensor:
        # (2, B, T) float64; -inf where no reader looks.
        return span_logits(self._model, batch).double().log_softmax(dim=2)


def expected_divergences(
    model: QuestionAnsweringModel,
    windows: Sequence[Batch],
    changes: Mapping[str, NDArray[np.float32]],
    *,
    progress: Progress | None = None,
) -> dict[str, float]:
    """
    What `SpanDivergence.of` would say of each of many changes alone, to second order.

    One pass over the windows serves all changes. For four matrices of the six-layer model, rounded
    to two or three bits, it foresaw what was measured over other windows to within a quarter.

    Args:
        model: in eval mode.
        windows: batches of one.
        changes: name -> values.
        progress: called with (windows read, windows).

    Returns:
        Name -> nats a window, with that tensor changed and no other.

    Source: Martens 2014 (Fisher's information and its sampling).
    """
    parameters = [model.get_parameter(name) for name in changes]
    errors = [
        torch.from_numpy(values) - parameter.data
        for values, parameter in zip(changes.values(), parameters, strict=True)
    ]
    sums = [0.0] * len(errors)
    # The directions in which gradients are taken are the same each time.
    generator = torch.Generator().manual_seed(0)
    before = [parameter.requires_grad for parameter in parameters]
    try:
        for parameter in parameters:
            parameter.requires_grad_()
        for done, window in enumerate(windows, start=1):
            logits = span_logits(model, window)
            direction = fisher_direction(logits.detach(), generator)
            gradients = torch.autograd.grad(logits, parameters, direction)
            for i, (gradient, error) in enumerate(zip(gradients, errors, strict=True)):
                sums[i] += float(torch.vdot(gradient.flatten(), error.flatten())) ** 2
            if progress is not None:
                progress(done, len(windows))
    finally:
        for parameter, required in zip(parameters, before, strict=True):
            parameter.requires_grad_(required)
    return {name: total / 2 / len(windows) for name, total in zip(changes, sums, strict=True)}
