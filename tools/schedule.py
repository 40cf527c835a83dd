"""The learning rate over a training that ends after some steps or some seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """
    Linear warm-up, then linear decay to zero, over the part of the training that is done.

    A training has a number of steps and may have a time budget; whichever is nearer its end says
    how far the training is. So a budget too short for all steps shortens the whole schedule, and
    the rate still decays to zero.

    Args:
        total_steps: steps of all epochs.
        max_seconds: the budget; None: none.
        warmup: share of the training in which the rate rises, 0..1.
        learning_rate: the highest rate.

    Raises:
        ValueError: an argument out of its range.
    """

    total_steps: int
    max_seconds: float | None
    warmup: float
    learning_rate: float

    def __post_init__(self) -> None:
        if self.total_steps < 1:
            raise ValueError(f"total_steps is {self.total_steps}, expected at least 1")
        if self.max_seconds is not None and self.max_seconds <= 0:
            raise ValueError(f"max_seconds is {self.max_seconds}, expected more than 0")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup is {self.warmup}, expected 0 to below 1")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate is {self.learning_rate}, expected more than 0")

    def progress(self, step: float, seconds: float) -> float:
        """The share of the training that is done after `step` steps and `seconds`; 1 is the end."""
        by_steps = step / self.total_steps
        by_time = seconds / self.max_seconds if self.max_seconds is not None else 0.0
        return min(max(by_steps, by_time), 1.0)

    def rate(self, step: int, seconds: float) -> float:
        """The learning rate of the step that begins after `step` steps and `seconds`."""
        # Half a step on: no step is lost to a rate of zero, neither the first nor the last.
        progress = self.progress(step + 0.5, seconds)
        if progress < self.warmup:
            return self.learning_rate * progress / self.warmup
        return self.learning_rate * (1 - progress) / (1 - self.warmup)
