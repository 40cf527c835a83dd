"""How far a model's answers move when its weights do."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from squadlite.answering.windows import Batch
from squadlite.model import QuestionAnsweringModel
from squadlite.quantization.calibration import span_logits


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
