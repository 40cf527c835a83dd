"""How a model is trained, and what a device computes in best."""

import math
from dataclasses import dataclass
from typing import Literal

import torch

from tools.schedule import Schedule

Precision = Literal["f32", "bf16"]


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """
    How a model is trained. The defaults are the paper's, and for the rest BERT's.

    Args:
        epochs: times that every group of windows is seen; see `tools.data.Group`.
        batch_size: groups in a step, over all processes.
        learning_rate: the highest.
        warmup: share of the training in which the rate rises to it.
        weight_decay: AdamW's; norms and biases have none.
        max_gradient_norm: gradients are scaled down to it.
        dropout: share of values zeroed after the embeddings and after each attention and
            feed-forward block. (BERT also drops attention weights; we don't.)
        freeze_embeddings: leave the embeddings as they are: in a model of ours all that stands
            before its layers, in another's each table of vectors, distances' biases too.
        max_pass_tokens: tokens, padding included, that go through the model at once in one
            process; gradients of a larger batch are accumulated over several passes.
        max_group_windows: of a group's windows so many are read in an epoch, others each time, and
            those with the answer first; None: all.
        max_seconds: time budget; the schedule is shortened to end in it. None: none.
        seed: of the order of the data and of the dropout.
        precision: what the model computes in; weights are float32 in any case.

    Raises:
        ValueError: a number out of its range.
    """

    epochs: float = 2
    batch_size: int = 12
    learning_rate: float = 3e-5
    warmup: float = 0.1
    weight_decay: float = 0.01
    max_gradient_norm: float = 1.0
    dropout: float = 0.1
    freeze_embeddings: bool = False
    max_pass_tokens: int = 1024
    max_group_windows: int | None = None
    max_seconds: float | None = None
    seed: int = 0
    precision: Precision = "f32"

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{name} is {value}, expected a finite number")
        self.schedule(1)
        for name in ("epochs", "batch_size", "max_gradient_norm", "max_pass_tokens"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected more than 0")
        if self.max_group_windows is not None and self.max_group_windows < 2:
            raise ValueError(
                f"max_group_windows is {self.max_group_windows}, expected at least 2, "
                "one with the answer and one without"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}, expected 0 to below 1")
        if self.weight_decay < 0:
            raise ValueError(f"weight_decay is {self.weight_decay}, expected 0 or more")

    def schedule(self, steps_per_epoch: int) -> Schedule:
        """The learning rate over a training of so many steps an epoch."""
        return Schedule(
            total_steps=max(1, math.ceil(self.epochs * steps_per_epoch)),
            max_seconds=self.max_seconds,
            warmup=self.warmup,
            learning_rate=self.learning_rate,
        )


@dataclass(frozen=True, kw_only=True)
class Rhythm:
    """
    How often a training looks up from its steps.

    Args:
        log_steps: steps between lines of the log.
        save_seconds: between states kept.
        evaluate_steps: steps between evaluations.

    Raises:
        ValueError: a number of steps below 1.
    """

    log_steps: int = 20
    save_seconds: float = 600.0
    evaluate_steps: int = 1000

    def __post_init__(self) -> None:
        for name in ("log_steps", "evaluate_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected at least 1")


def best_precision(device: torch.device) -> Precision:
    """bf16 where the device computes in it at full speed, else f32."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "f32"
    # Older releases of torch can't tell.
    capabilities = getattr(torch.cpu, "get_capabilities", dict[str, bool])()
    has_bf16 = capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
    return "bf16" if has_bf16 else "f32"


def best_pass_tokens(device: torch.device) -> int:
    """Tokens in a pass that a CPU's caches hold, or that keep a GPU busy."""
    return 16_384 if device.type == "cuda" else 1024
