"""Timings that can be compared: taken in turns, told as a median with its spread."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

import numpy as np

from squadlite.errors import BenchError

Sample = TypeVar("Sample")


@dataclass(frozen=True)
class Spread:
    """
    How samples lie: their median and the percentiles around it, in the samples' unit.

    Args:
        p5, p25, median, p75, p95: percentiles; p75 - p25 is the interquartile range.
        count: of the samples.
    """

    p5: float
    p25: float
    median: float
    p75: float
    p95: float
    count: int

    @classmethod
    def of(cls, samples: Sequence[float]) -> Self:
        """
        Sum up at least one sample.

        Raises:
            ValueError: no samples.
        """
        if not samples:
            raise ValueError("found no samples, expected at least 1")
        p5, p25, median, p75, p95 = np.percentile(samples, (5, 25, 50, 75, 95)).tolist()
        return cls(p5, p25, median, p75, p95, len(samples))


@dataclass(frozen=True)
class Interleaved(Generic[Sample]):
    """
    What turns gave.

    Args:
        samples: name -> its samples, of those that never failed.
        failures: name -> what a turn failed with.
    """

    samples: dict[str, list[Sample]]
    failures: dict[str, str]


def interleave(
    turns: Mapping[str, Callable[[], Sequence[Sample]]], *, rounds: int
) -> Interleaved[Sample]:
    """
    Let everyone have a turn, again and again: A B C A B C.

    What else happens on the machine, and how warm it is, then meets all alike.

    Args:
        turns: name -> a function that gives samples.
        rounds: turns that each gets; one that fails with a BenchError gets no more.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in turns}
    failures: dict[str, str] = {}
    for _ in range(rounds):
        for name in list(samples):
            try:
                samples[name] += turns[name]()
            except BenchError as error:
                failures[name] = str(error)
                del samples[name]
    return Interleaved(samples, failures)
