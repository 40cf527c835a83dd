"""A model's matrices, each with all that it takes to round it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from squadlite.container import Uniform
from squadlite.model import Checkpoint
from squadlite.quantization.calibration import CalibrationText
from squadlite.quantization.rounding import (
    ErrorFeedback,
    Floats,
    codec_within_range,
    row_exponents,
)
from squadlite.tensors import POSITION_EMBEDDINGS, WORD_EMBEDDINGS


@dataclass(frozen=True)
class Matrix:
    """
    A matrix of weights that can be rounded to any step.

    Args:
        name: of the tensor.
        weights: (rows, columns), not all 0.
        scales: "rows" or "columns", what shares a scale.
        exponents: int8, one for each.
        feedback: by which columns make good the errors of others.
    """

    name: str
    weights: Floats
    scales: str
    exponents: NDArray[np.int8]
    feedback: ErrorFeedback

    @cached_property
    def deviation(self) -> float:
        """Root mean square of the weights, each in multiples of its scale."""
        ratios = self.weights / Uniform(1.0, self.scales, exponents=self.exponents).spacing
        return float(np.sqrt(np.square(ratios, dtype=np.float64).mean()))

    def rounded(self, step: float) -> tuple[Floats, Uniform]:
        """The weights as a file holds them, and the codec that it holds them with."""
        codec = Uniform(step, self.scales, exponents=self.exponents)
        codec = codec_within_range(codec, self.weights)
        return self.feedback.rounded(self.weights, codec.spacing), codec


def matrices_of(
    checkpoint: Checkpoint, text: CalibrationText, moments: dict[str, torch.Tensor]
) -> Iterator[Matrix]:
    """
    The matrices of a model that make up its size.

    Args:
        checkpoint: the model.
        text: by which words and positions are used more or less.
        moments: see `weight_moments`; what has none isn't among them.

    Yields:
        In the checkpoint's order; none whose values are all 0.
    """
    counts = {
        WORD_EMBEDDINGS: text.piece_counts,
        POSITION_EMBEDDINGS: text.position_counts(checkpoint.config.max_position_embeddings),
    }
    for name, tensor in checkpoint.tensors.items():
        if name not in moments or not tensor.any():
            continue
        feedback = ErrorFeedback(moments[name])
        if name in counts:
            scales, exponents = "rows", row_exponents(counts[name])
        else:
            scales, exponents = "columns", feedback.exponents
        yield Matrix(name, tensor.numpy(), scales, exponents, feedback)
