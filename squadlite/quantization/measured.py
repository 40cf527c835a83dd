"""A model whose matrices have been measured, so that it can be rounded to any size."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from squadlite.answering.reader import check_readable
from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.container import Uniform
from squadlite.model import Checkpoint, model_from_checkpoint
from squadlite.progress import Progress
from squadlite.quantization.allocation import Sensitivity, find_steps
from squadlite.quantization.calibration import (
    read_calibration,
    weight_moments,
)
from squadlite.quantization.divergence import SpanDivergence, expected_divergences
from squadlite.quantization.matrix import Matrix, matrices_of
from squadlite.quantization.rounding import Floats

# Of the calibration text, what divergences are measured over.
NUM_MEASURED_WINDOWS = 128
# Where a matrix's sensitivity is measured, in deviations: about two and a half bits a value.
_MEASURED_STEP = 0.7

RoundedTensors = Mapping[str, tuple[Floats, Uniform]]


@dataclass(frozen=True)
class QuantizedModel:
    """
    Weights as a file will hold them.

    Args:
        tensors: name -> values and codec, of the matrices that make up the model's size; its other
            tensors are not among them.
        divergences: of each of these alone, estimated, in nats a window.
        divergence: of all together, measured over windows of the calibration text.
        size: in bytes, as they were asked to be counted.
    """

    tensors: RoundedTensors
    divergences: Mapping[str, float]
    divergence: float
    size: int


class MeasuredModel:
    """
    A model with what rounding each of its matrices does to its answers.

    Args:
        matrices: those that make up its size.
        sensitivities: name -> what rounding that matrix does.
        divergence: of the model's answers from what they were.
        files: what the text was read from.
    """

    def __init__(
        self,
        matrices: Mapping[str, Matrix],
        sensitivities: Mapping[str, Sensitivity],
        divergence: SpanDivergence,
        *,
        files: Sequence[Path],
    ) -> None:
        self._matrices, self._sensitivities = matrices, sensitivities
        self._divergence = divergence
        self.files = tuple(files)

    @classmethod
    def measure(
        cls,
        checkpoint: Checkpoint,
        spec: TokenizerSpec,
        calibration: Sequence[Path],
        *,
        progress: Progress | None = None,
    ) -> Self:
        """
        Measure a model over text.

        Args:
            checkpoint: the model; its tensors may not change as long as this is used.
            spec: its tokenizer.
            calibration: SQuAD files; their answers are not looked at.
            progress: called with (done, total): texts counted, windows read, and read again for
                gradients.

        Raises:
            ConfigError: a model that can't read.
            DatasetError: a file that is none, or without a word of context.
            OSError: a file can't be read.
        """
        check_readable(checkpoint.config, spec)
        model = model_from_checkpoint(checkpoint)
        text = read_calibration(calibration, spec, checkpoint.config, progress=progress)
        moments = weight_moments(model, text.batches, progress=progress)
        matrices = {matrix.name: matrix for matrix in matrices_of(checkpoint, text, moments)}
        rounded = {
            name: of.rounded(_MEASURED_STEP * of.deviation)[0] for name, of in matrices.items()
        }
        windows = list(text.windows(NUM_MEASURED_WINDOWS))
        sensitivities = {
            name: Sensitivity(
                matrices[name].weights.size,
                matrices[name].deviation,
                divergence / _MEASURED_STEP**2,
            )
            for name, divergence in expected_divergences(
                model, windows, rounded, progress=progress
            ).items()
        }
        divergence = SpanDivergence(model, text.part(NUM_MEASURED_WINDOWS))
        return cls(matrices, sensitivities, divergence, files=calibration)

    def is_of(self, checkpoint: Checkpoint) -> bool:
        """Whether this is what was measured."""
        tensors = checkpoint.tensors
        return all(
            name in tensors and np.array_equal(tensors[name].numpy(), matrix.weights)
            for name, matrix in self._matrices.items()
        )

    @property
    def num_values(self) -> int:
        """In all matrices."""
        return sum(matrix.weights.size for matrix in self._matrices.values())

    def quantized(self, target: int, size_of: Callable[[RoundedTensors], int]) -> QuantizedModel:
        """
        Round the matrices so that the answers move least for a size.

        Args:
            target: bytes at most, as `size_of` counts them.
            size_of: how many bytes there are with some rounded tensors.

        Returns:
            The model as close below the target as a few tries get; above it, at the coarsest steps,
            where the target can't be reached.
        """

        def rounded(steps: Mapping[str, float]) -> RoundedTensors:
            return {name: of.rounded(steps[name]) for name, of in self._matrices.items()}

        steps, size = find_steps(self._sensitivities, target, lambda steps: size_of(rounded(steps)))
        tensors = rounded(steps)
        return QuantizedModel(
            tensors,
            {name: of.divergence_at(steps[name]) for name, of in self._sensitivities.items()},
            self._divergence.of({name: values for name, (values, _) in tensors.items()}),
            size,
        )


def coded_bytes(tensors: RoundedTensors) -> int:
    """What some rounded tensors take in a file, without header and padding."""
    return sum(len(codec.encode(values)) for values, codec in tensors.values())
