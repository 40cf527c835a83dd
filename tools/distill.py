"""
Distillation: a student learns a teacher's start and end distributions beside the gold positions.

    python -m tools.finetune STUDENT OUTPUT --data train.json --teacher TEACHER

The teacher (`tools.teacher`) runs beside the student, or, with --teacher-cache, once over all data,
what matters of its answers then kept on disk (`tools.teacher_cache`): the better way for several
epochs, or several students of one teacher.

Source: Deng & Looi 2020, section 3.3.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from squadlite.model import QuestionAnsweringModel
from tools.data import TrainingBatch
from tools.losses import group_span_loss, hidden_loss, soft_span_loss
from tools.rows import read
from tools.soft_targets import SoftTargets


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


class Distillation:
    """
    The objective of a student.

    Args:
        settings: how the losses are weighed.
        asks: what each teacher says of a batch, its logits divided by `settings.temperature`; the
            student learns the average of their distributions.
        hidden_of: the model that the only teacher runs on the same tokens, whose hidden states are
            compared; None where they aren't.
    """

    def __init__(
        self,
        settings: DistillationSettings,
        asks: Sequence[Callable[[TrainingBatch], SoftTargets]],
        hidden_of: nn.Module | None = None,
    ) -> None:
        self.settings = settings
        self.asks = asks
        self.hidden_of = hidden_of

    def __call__(self, model: QuestionAnsweringModel, batch: TrainingBatch) -> torch.Tensor:
        """The loss of a student, summed over a batch's groups."""
        settings, mask = self.settings, batch.attention_mask
        with layers_recorded(model if self.hidden_of is not None else None) as hidden:
            # The teacher's hidden states are laid out with padding.
            padded = self.hidden_of is not None
            logits = model(*batch.inputs) if padded else read(model, batch.inputs)
        with layers_recorded(self.hidden_of) as teacher_hidden:
            targets = [ask(batch).to(mask.device) for ask in self.asks]
        hard = group_span_loss(logits, mask, (batch.starts, batch.ends), batch.groups)
        soft = torch.stack(
            [
                soft_span_loss(logits, mask, part, batch.groups, temperature=settings.temperature)
                for part in targets
            ]
        ).mean()
        loss = settings.hard_weight * hard + (1 - settings.hard_weight) * soft
        if self.hidden_of is not None:
            loss = loss + settings.hidden_weight * hidden_loss(hidden, mask, teacher_hidden)
        return loss


@contextmanager
def layers_recorded(model: nn.Module | None) -> Iterator[list[torch.Tensor]]:
    """
    Listen to the layers of a model of ours; to none where there is no model.

    Yields:
        A list that gets (B, T, hidden) of each executed layer, also of shared ones, in order.
    """
    hidden: list[torch.Tensor] = []

    def record(module: Any, inputs: Any, output: torch.Tensor) -> None:
        hidden.append(output)

    layers = model.get_submodule("layers").children() if model is not None else ()
    handles = [layer.register_forward_hook(record) for layer in layers]
    try:
        yield hidden
    finally:
        for handle in handles:
            handle.remove()
