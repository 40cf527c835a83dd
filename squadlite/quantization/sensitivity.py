"""How far a model's answers move when its weights do."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from squadlite.answering.windows import Batch
from squadlite.model import QuestionAnsweringModel
from squadlite.quantization.calibration import model_inputs


class SpanDivergence:
    """
    The Kullback-Leibler divergence of a model's span distributions from what they were.

    Start and end each are a distribution over [CLS] and the context's tokens, as a reader looks at
    them.

    Args:
        model: in eval mode, as it was; its weights may change afterwards.
        batches: what it reads.
    """

    def __init__(self, model: QuestionAnsweringModel, batches: Sequence[Batch]) -> None:
        self._model, self._batches = model, batches
        self._num_windows = sum(len(batch.windows) for batch in batches)
        self._reference = [self._log_chances(batch) for batch in batches]

    def __call__(self) -> float:
        """Nats a window, start and end together, of the model as it is now."""
        total = 0.0
        for batch, reference in zip(self._batches, self._reference, strict=True):
            moved = reference - self._log_chances(batch)
            total += float((reference.exp() * moved).nansum())
        return total / self._num_windows

    def of_change(self, name: str, values: NDArray[np.float32]) -> float:
        """Nats a window with one tensor changed; afterwards the model is as it was."""
        parameter = self._model.get_parameter(name)
        own = parameter.data
        parameter.data = torch.from_numpy(values)
        try:
            return self()
        finally:
            parameter.data = own

    @torch.inference_mode()
    def _log_chances(self, batch: Batch) -> torch.Tensor:
        # (2, B, T) float64; -inf where no span begins or ends.
        places = torch.from_numpy(batch.context_mask).clone()
        places[:, 0] = True
        logits = torch.stack(self._model(*model_inputs(batch))).double()
        return logits.masked_fill(~places, -torch.inf).log_softmax(dim=2)
