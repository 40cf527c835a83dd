"""From a model and text to codes: the parts of this package put to work one after another."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.container import Uniform
from squadlite.model import Checkpoint, model_from_checkpoint
from squadlite.quantization.allocation import Sensitivity, find_steps
from squadlite.quantization.calibration import Progress, read_calibration, weight_moments
from squadlite.quantization.matrix import Matrix, matrices_of
from squadlite.quantization.rounding import Floats
from squadlite.quantization.sensitivity import SpanDivergence

# What divergences are measured over; of the calibration text.
NUM_MEASURED_WINDOWS = 64
# Where a matrix's sensitivity is measured, in deviations: about two and a half bits a value.
_MEASURED_STEP = 0.7

RoundedTensors = Mapping[str, tuple[Floats, Uniform]]


@dataclass(frozen=True)
class QuantizedModel:
    """
    Weights as a file will hold them.

    Args:
        tensors: name -> values and codec, of the matrices that make up the model's size; the
            other tensors are not among them.
        divergences: of each of these alone, estimated, in nats a window.
        divergence: of all together, measured over windows of the calibration text.
        size: as `size_of` says.
    """

    tensors: RoundedTensors
    divergences: Mapping[str, float]
    divergence: float
    size: int


def quantize(
    checkpoint: Checkpoint,
    spec: TokenizerSpec,
    calibration: Sequence[Path],
    target: int,
    size_of: Callable[[RoundedTensors], int],
    *,
    progress: Progress | None = None,
) -> QuantizedModel:
    """
    Round a model's matrices so that its answers move least for a size.

    Args:
        checkpoint: the model.
        spec: its tokenizer.
        calibration: SQuAD files; their answers are not looked at.
        target: bytes at most, as `size_of` counts them.
        size_of: how many bytes there are with some rounded tensors.
        progress: called with (done, total): texts counted, windows read, matrices measured.

    Returns:
        The model as close below the target as a few tries get; above it, at the coarsest steps,
        where the target can't be reached.

    Raises:
        DatasetError: a file that is none, or without a word of context.
        OSError: a file can't be read.
    """
    model = model_from_checkpoint(checkpoint)
    text = read_calibration(calibration, spec, checkpoint.config, progress=progress)
    moments = weight_moments(model, text.batches, progress=progress)
    matrices = {matrix.name: matrix for matrix in matrices_of(checkpoint, text, moments)}
    divergence = SpanDivergence(model, text.part(NUM_MEASURED_WINDOWS))
    sensitivities = {}
    for done, (name, matrix) in enumerate(matrices.items(), start=1):
        sensitivities[name] = _measure(matrix, divergence)
        if progress is not None:
            progress(done, len(matrices))

    def rounded(steps: Mapping[str, float]) -> RoundedTensors:
        return {name: matrix.rounded(steps[name]) for name, matrix in matrices.items()}

    steps, size = find_steps(sensitivities, target, lambda steps: size_of(rounded(steps)))
    tensors = rounded(steps)
    return QuantizedModel(
        tensors,
        {name: of.divergence_at(steps[name]) for name, of in sensitivities.items()},
        divergence.of({name: values for name, (values, _) in tensors.items()}),
        size,
    )


def _measure(matrix: Matrix, divergence: SpanDivergence) -> Sensitivity:
    values, _ = matrix.rounded(_MEASURED_STEP * matrix.deviation)
    measured = divergence.of({matrix.name: values})
    return Sensitivity(matrix.weights.size, matrix.deviation, measured / _MEASURED_STEP**2)
