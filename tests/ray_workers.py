"""What the tests have Ray's workers do: importable there, as tests are not."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fake_embedder import FakeEmbedder

from squadlite.answering.reader import Reader
from squadlite.answering.spans import Reading
from squadlite.errors import BookError


def process_of(_: object) -> int:
    """The worker's number, after a while, so that one worker doesn't do it all."""
    time.sleep(0.1)
    return os.getpid()


def late_first(item: int) -> int:
    """The first items take the longest."""
    time.sleep(max(0, 4 - item) / 20)
    return item * item


def fail_in_the_middle(item: int) -> int:
    """Raise one of our errors."""
    if item == 3:
        raise BookError("three.md: found three, expected another")
    return item


def misbehave(item: int) -> int:
    """Raise what only a bug raises."""
    raise ZeroDivisionError(item)


def die(_: int) -> None:
    """Kill the worker, each time."""
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class DyingEmbedder:
    """A `FakeEmbedder` that kills its process in the middle of a book, once."""

    died: Path
    digest: str = "letters"
    weight: float = 1.0

    def embed(
        self, texts: Sequence[str], *, progress: Callable[[int, int], None] | None = None
    ) -> np.ndarray:
        """Embed all but once."""
        if any("Clara" in text for text in texts):
            _die_once(self.died)
        return FakeEmbedder(self.digest).embed(texts, progress=progress)


class DyingReader:
    """A `Reader` that kills its process while it reads for one of the questions, once."""

    def __init__(self, reader: Reader, died: Path) -> None:
        self._reader = reader
        self.died = died

    def __reduce__(self) -> tuple[Any, ...]:
        return DyingReader, (self._reader, self.died)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    def read(self, question: str, contexts: Sequence[str], **options: Any) -> list[Reading]:
        """Read all but once."""
        if "number7" in question:
            _die_once(self.died)
        return self._reader.read(question, contexts, **options)


def _die_once(died: Path) -> None:
    try:
        died.touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
