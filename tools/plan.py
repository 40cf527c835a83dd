"""All that decides what a fine-tuning makes of a checkpoint."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from squadlite.answering.reader import ReaderSettings
from squadlite.digests import digest_of
from squadlite.quantization import Quantization, SameAs
from tools.contrast import ContrastSettings
from tools.distill import DistillationSettings
from tools.folders import digest_folder
from tools.settings import Rhythm, TrainingSettings


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """
    What a model in training is scored on.

    Args:
        data: a SQuAD file.
        limit: take this many of its questions, spread evenly; None: all.
    """

    data: Path
    limit: int | None = None


@dataclass(frozen=True, kw_only=True)
class Teaching:
    """
    Who teaches a student, and what.

    Args:
        teachers: checkpoint folders, or any question-answering models that transformers loads; the
            student learns the average of what they say.
        settings: what is learned.
        cache: the folder in which teachers' answers are kept; None: the teachers run beside the
            student.

    Raises:
        ValueError: hidden states to compare, and not one teacher.
    """

    teachers: Sequence[Path]
    settings: DistillationSettings
    cache: Path | None = None

    def __post_init__(self) -> None:
        if self.settings.hidden_weight > 0 and len(self.teachers) != 1:
            raise ValueError(
                f"hidden_weight: found {len(self.teachers)} teachers, "
                "expected one to compare hidden states with"
            )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """
    A fine-tuning.

    Args:
        data: the SQuAD files to train on.
        take: patterns of articles' titles, each with the share of their questions to train on; the
            last that fits counts, and all is taken where none does.
        together: normalise over all passages that a question is asked of; else over each alone.
        training: how to train.
        windows: lengths of windows, questions and strides.
        rhythm: how often to log, save and evaluate.
        evaluation: what the best checkpoint is chosen by; None: the last one is kept.
        teaching: distillation; None: the gold positions teach alone.
        contrast: training of vectors beside the spans; None: none.
        quantization: gradients are taken at weights quantized like this; None: at the weights.
    """

    data: Sequence[Path]
    training: TrainingSettings
    take: Sequence[tuple[str, float]] = ()
    together: bool = False
    windows: ReaderSettings = field(default_factory=ReaderSettings)
    rhythm: Rhythm = field(default_factory=Rhythm)
    evaluation: Evaluation | None = None
    teaching: Teaching | None = None
    contrast: ContrastSettings | None = None
    quantization: Quantization | SameAs | None = None

    def inputs(self, source: Path) -> dict[str, Any]:
        """
        Name all that the weights that come out depend on: settings, and digests of files.

        Args:
            source: the checkpoint folder to begin with.
        """
        inputs: dict[str, Any] = {
            "source": digest_folder(source),
            "data": [digest_of(path) for path in self.data],
            "take": [list(item) for item in self.take],
            "together": self.together,
            "training": asdict(self.training),
            "max_seq_length": self.windows.max_seq_length,
            "doc_stride": self.windows.doc_stride,
        }
        if self.evaluation is not None:
            inputs["evaluation"] = {
                "data": digest_of(self.evaluation.data),
                "limit": self.evaluation.limit,
                "steps": self.rhythm.evaluate_steps,
            }
        if self.teaching is not None:
            inputs["teaching"] = {
                "teachers": [digest_folder(folder) for folder in self.teaching.teachers],
                **asdict(self.teaching.settings),
            }
        if self.contrast is not None:
            inputs["contrast"] = asdict(self.contrast)
        if self.quantization is not None:
            inputs["quantization"] = (
                {"like": digest_of(self.quantization.path)}
                if isinstance(self.quantization, SameAs)
                else asdict(self.quantization)
            )
        return inputs
