"""What a benchmark is to measure."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from squadlite.bench.kind import RuntimeKind


@dataclass(frozen=True, kw_only=True)
class BenchSettings:
    """
    What to measure, and how often.

    Args:
        kinds: the runtimes.
        threads, batches, lengths: every combination is a cell; lengths count tokens.
        rounds: turns that each runtime gets in a cell.
        repeats: forward passes counted in a turn.
        starts: fresh processes of each runtime, with a cold file cache and with a warm one each.
        question, passages: what is asked, and of which texts; None: nothing is.
        questions: a SQuAD file on which answers are compared, or None.
        max_questions: asked of that file, spread over it.
    """

    kinds: Sequence[RuntimeKind]
    threads: Sequence[int]
    batches: Sequence[int] = (1, 8)
    lengths: Sequence[int] = (64, 128, 256, 384)
    rounds: int = 7
    repeats: int = 3
    starts: int = 3
    question: str | None = None
    passages: Sequence[str] = ()
    questions: Path | None = None
    max_questions: int = 500
