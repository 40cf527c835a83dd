"""
Distillation: a student learns a teacher's start and end distributions beside the gold positions.

    python -m tools.finetune STUDENT OUTPUT --data train.json --teacher TEACHER

The teacher runs beside the student, or, with --teacher-cache, once over all data, its logits then
kept on disk: the better way for several epochs, or several students of one teacher.

Source: Deng & Looi 2020, section 3.3.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from squadlite.answering.tokenizer import Tokenizer
from squadlite.atomic import atomic_write
from squadlite.model import QuestionAnsweringModel, model_from_checkpoint
from tools.data import Feature, TrainingBatch, passes
from tools.errors import TrainingError
from tools.folders import StageInput
from tools.losses import hidden_loss, soft_span_loss, span_loss


@dataclass(frozen=True, kw_only=True)
class DistillationSettings:
    """
    What a student learns from its teacher.

    Args:
        hard_weight: share of the gold positions' loss; the rest is the teacher's. The paper
            averages the two.
        temperature: softens both distributions; the paper has none, which is 1.
        hidden_weight: of the difference between the hidden states after each executed layer,
            added to the rest; the teacher then runs beside the student in any case.

    Raises:
        ValueError: a number out of its range.
    """

    hard_weight: float = 0.5
    temperature: float = 1.0
    hidden_weight: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.hard_weight <= 1:
            raise ValueError(f"hard_weight is {self.hard_weight}, expected 0 to 1")
        if self.temperature <= 0:
            raise ValueError(f"temperature is {self.temperature}, expected more than 0")
        if self.hidden_weight < 0:
            raise ValueError(f"hidden_weight is {self.hidden_weight}, expected 0 or more")


class TeacherLogits:
    """
    A teacher's start and end logits for every token of every training window.

    Args:
        logits: (2, n_tokens) float16, the windows' tokens one after the other.
        features: the windows, in the order of their numbers.
    """

    def __init__(self, logits: NDArray[np.float16], features: Sequence[Feature]) -> None:
        self._logits = logits
        self._bounds = np.cumsum([0, *map(len, features)])

    def of(self, batch: TrainingBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """The teacher's start and end logits for a batch, (B, T) float32 each; 0 on padding."""
        padded = np.zeros((2, *batch.input_ids.shape), dtype=np.float32)
        for row, feature in enumerate(batch.features):
            first, last = self._bounds[feature.number : feature.number + 2]
            padded[:, row, : last - first] = self._logits[:, first:last]
        start_logits, end_logits = torch.from_numpy(padded).to(batch.input_ids.device)
        return start_logits, end_logits


def ask_teacher(
    teacher: QuestionAnsweringModel,
    features: Sequence[Feature],
    tokenizer: Tokenizer,
    *,
    device: torch.device,
    max_pass_tokens: int,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float16]:
    """
    Compute what `TeacherLogits` holds.

    Args:
        teacher: in eval mode, on `device`.
        features: in the order of their numbers.
        tokenizer: of teacher and student.
        device: where the teacher computes.
        max_pass_tokens: tokens, padding included, that go through it at once.
        progress: called with the windows done and their total.

    Raises:
        TrainingError: logits that aren't numbers of float16.
    """
    bounds = np.cumsum([0, *map(len, features)])
    logits = np.empty((2, bounds[-1]), dtype=np.float16)
    n_done = 0
    for batch in passes(features, max_pass_tokens, tokenizer):
        with torch.inference_mode():
            answer = torch.stack(teacher(*batch.to(device).inputs)).cpu().numpy()
        for row, feature in enumerate(batch.features):
            first, last = bounds[feature.number : feature.number + 2]
            with np.errstate(over="ignore"):
                logits[:, first:last] = answer[:, row, : last - first]
        n_done += len(batch.features)
        if progress is not None:
            progress(n_done, len(features))
    if not np.isfinite(logits).all():
        raise TrainingError("teacher: found logits that are not finite: its weights are damaged")
    return logits


def cached_logits(
    path: Path, features: Sequence[Feature], ask: Callable[[], NDArray[np.float16]]
) -> TeacherLogits:
    """
    Read a teacher's logits from disk, or compute them and keep them there.

    Args:
        path: a file whose name says of which teacher, data and windows it is.
        features: in the order of their numbers.
        ask: computes the logits.
    """
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            np.save(file, ask())
    try:
        logits = np.load(path, mmap_mode="r")
    except (ValueError, EOFError) as error:
        raise TrainingError(f"{path}: can't be read as a teacher's logits ({error})") from error
    expected = (2, sum(map(len, features)))
    if logits.shape != expected or logits.dtype != np.float16:
        raise TrainingError(
            f"{path}: found {logits.dtype} of shape {logits.shape}, expected float16 of {expected}"
        )
    return TeacherLogits(logits, features)


class Distillation:
    """
    The objective of a student.

    Args:
        settings: how the losses are weighed.
        teacher: in eval mode, on the student's device.
        kept: its logits, where they were computed before; None: it runs beside the student.
    """

    def __init__(
        self,
        settings: DistillationSettings,
        teacher: QuestionAnsweringModel,
        kept: TeacherLogits | None = None,
    ) -> None:
        self.settings = settings
        self.teacher = teacher
        self.kept = kept

    def __call__(self, model: QuestionAnsweringModel, batch: TrainingBatch) -> torch.Tensor:
        """The loss of a student, summed over a batch's windows."""
        settings, mask = self.settings, batch.attention_mask
        with layers_recorded(model) as hidden:
            logits = model(*batch.inputs)
        teacher_logits, teacher_hidden = self._ask(batch)
        hard = span_loss(logits, mask, (batch.starts, batch.ends))
        soft = soft_span_loss(logits, mask, teacher_logits, temperature=settings.temperature)
        loss = settings.hard_weight * hard + (1 - settings.hard_weight) * soft
        if settings.hidden_weight > 0:
            loss = loss + settings.hidden_weight * hidden_loss(hidden, mask, teacher_hidden)
        return loss

    def _ask(
        self, batch: TrainingBatch
    ) -> tuple[tuple[torch.Tensor, torch.Tensor], list[torch.Tensor]]:
        if self.kept is not None and self.settings.hidden_weight == 0:
            return self.kept.of(batch), []
        with torch.no_grad(), layers_recorded(self.teacher) as hidden:
            logits = self.teacher(*batch.inputs)
        return logits, hidden


@contextmanager
def layers_recorded(model: QuestionAnsweringModel) -> Iterator[list[torch.Tensor]]:
    """
    Listen to a model's layers.

    Yields:
        A list that gets (B, T, hidden) of each executed layer, also of shared ones, in order.
    """
    hidden: list[torch.Tensor] = []

    def record(module: Any, inputs: Any, output: torch.Tensor) -> None:
        hidden.append(output)

    handles = [layer.register_forward_hook(record) for layer in model.layers]
    try:
        yield hidden
    finally:
        for handle in handles:
            handle.remove()


def load_teacher(
    start: StageInput, student: StageInput, settings: DistillationSettings
) -> QuestionAnsweringModel:
    """
    Make the model of a teacher's checkpoint folder, in eval mode, and see that it fits the student.

    Raises:
        TrainingError: a tokenizer that isn't the student's, or for the hidden states another
            width or number of layers.
    """
    if replace(start.spec, kept_ids=None) != replace(student.spec, kept_ids=None):
        raise TrainingError(
            f"teacher {start.folder}: found another tokenizer than {student.folder} has, "
            "expected the same: prune the teacher's vocabulary like the student's"
        )
    if settings.hidden_weight > 0:
        for name in ("hidden_size", "num_layers"):
            found = getattr(start.checkpoint.config, name)
            expected = getattr(student.checkpoint.config, name)
            if found != expected:
                raise TrainingError(
                    f"teacher {start.folder}: found {name} {found}, expected {expected}, "
                    "the student's, to compare hidden states"
                )
    return model_from_checkpoint(start.checkpoint)
