"""All that decides what a fine-tuning makes of a checkpoint."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from squadlite.answering.reader import ReaderSettings
from squadlite.convert import Quantization
from tools.distill import DistillationSettings
from tools.folders import digest_file, digest_folder
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
        teacher: a checkpoint folder, or any question-answering model that transformers loads.
        settings: what is learned.
        cache: the folder in which teachers' answers are kept; None: the teacher runs beside the
            student.
    """

    teacher: Path
    settings: DistillationSettings
    cache: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """
    A fine-tuning.

    Args:
        data: the SQuAD file to train on.
        training: how to train.
        windows: lengths of windows, questions and strides.
        rhythm: how often to log, save and evaluate.
        evaluation: what the best checkpoint is chosen by; None: the last one is kept.
        teaching: distillation; None: the gold positions teach alone.
        quantization: gradients are taken at weights quantized like this; None: at the weights.
    """

    data: Path
    training: TrainingSettings
    windows: ReaderSettings = field(default_factory=ReaderSettings)
    rhythm: Rhythm = field(default_factory=Rhythm)
    evaluation: Evaluation | None = None
    teaching: Teaching | None = None
    quantization: Quantization | None = None

    def inputs(self, source: Path) -> dict[str, Any]:
        """
        Name all that the weights that come out depend on: settings, and digests of files.

        Args:
            source: the checkpoint folder to begin with.
        """
        inputs: dict[str, Any] = {
            "source": digest_folder(source),
            "data": digest_file(self.data),
            "training": asdict(self.training),
            "max_seq_length": self.windows.max_seq_length,
            "doc_stride": self.windows.doc_stride,
        }
        if self.evaluation is not None:
            inputs["evaluation"] = {
                "data": digest_file(self.evaluation.data),
                "limit": self.evaluation.limit,
                "steps": self.rhythm.evaluate_steps,
            }
        if self.teaching is not None:
            inputs["teaching"] = {
                "teacher": digest_folder(self.teaching.teacher),
                **asdict(self.teaching.settings),
            }
        if self.quantization is not None:
            inputs["quantization"] = asdict(self.quantization)
        return inputs
