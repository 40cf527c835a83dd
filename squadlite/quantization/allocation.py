"""
How fine each tensor's codes are, so that a whole model fits a size and its answers move least.

Rounding a tensor moves the answers by a divergence that grows with the square of the step, and each
halving of the step costs a bit a value. The sum of divergences is then least where every tensor has
the same divergence a value, and that one number is left to be found.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

# Steps in standard deviations of a tensor's values. Finer ones come to more codes than a tensor may
# have, of coarser ones little is left.
FINEST_STEP, COARSEST_STEP = 1 / 32, 4.0
# A normal distribution's entropy at a step of one standard deviation, in bits.
_BITS_AT_DEVIATION = 0.5 * math.log2(2 * math.pi * math.e)
_FEWEST_BITS = 0.1

# A search ends this close below the size asked for, or with the best of so many tries.
_SLACK = 0.001
_TRIES = 8
# Nats a value between which every level lies that is not the same as having all steps at a limit.
_LEVELS = (2.0**-120, 2.0**40)
_HALVINGS = 50


@dataclass(frozen=True)
class Sensitivity:
    """
    What rounding one matrix does.

    Args:
        num_values: of the matrix.
        deviation: see `Matrix.deviation`.
        divergence: in nats a window at a step of one deviation; it grows with the step's square.
    """

    num_values: int
    deviation: float
    divergence: float

    def step(self, level: float) -> float:
        """The step at which the divergence is `level` nats a value, or the nearest that may be."""
        if self.divergence <= 0:
            return self.deviation * COARSEST_STEP
        relative = math.sqrt(level * self.num_values / self.divergence)
        return self.deviation * min(max(relative, FINEST_STEP), COARSEST_STEP)

    def divergence_at(self, step: float) -> float:
        """In nats a window."""
        return self.divergence * (step / self.deviation) ** 2

    def bytes_at(self, step: float) -> float:
        """About what the codes take."""
        bits = _BITS_AT_DEVIATION + math.log2(self.deviation / step)
        return self.num_values * max(bits, _FEWEST_BITS) / 8


def find_steps(
    sensitivities: Mapping[str, Sensitivity],
    target: int,
    size_of: Callable[[Mapping[str, float]], int],
) -> tuple[dict[str, float], int]:
    """
    Choose steps for the least divergence at a size.

    Args:
        sensitivities: of each matrix, by name.
        target: bytes at most.
        size_of: how many bytes there are with these steps.

    Returns:
        The step of each, and the bytes with them: as close below the target as a few tries get, or
        above it with the coarsest steps where even these are too fine.
    """

    def steps_at(level: float) -> dict[str, float]:
        return {name: of.step(level) for name, of in sensitivities.items()}

    def estimate(level: float) -> float:
        return sum(of.bytes_at(of.step(level)) for of in sensitivities.values())

    best: tuple[dict[str, float], int] | None = None
    unforeseen = 0.0  # bytes beside the estimate
    for _ in range(_TRIES):
        level = _smallest_level(estimate, (1 - _SLACK / 2) * target - unforeseen)
        steps = steps_at(level)
        size = size_of(steps)
        if size <= target and (best is None or size > best[1]):
            best = steps, size
        at_limit = level == (_LEVELS[0] if size <= target else _LEVELS[1])
        if at_limit or (1 - _SLACK) * target <= size <= target:
            break
        unforeseen = size - estimate(level)
    if best is None:
        steps = steps_at(_LEVELS[1])
        best = steps, size_of(steps)
    return best


def _smallest_level(estimate: Callable[[float], float], wanted: float) -> float:
    """The level, in nats a value, at which the estimate falls to so many bytes."""
    low, high = map(math.log2, _LEVELS)
    if estimate(_LEVELS[0]) <= wanted:
        return _LEVELS[0]
    if estimate(_LEVELS[1]) > wanted:
        return _LEVELS[1]
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if estimate(2**middle) <= wanted else (middle, high)
    return float(2**high)
