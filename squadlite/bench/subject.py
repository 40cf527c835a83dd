"""A model file as the benchmark's subject: its size, shape and score."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from squadlite.bench.system import size_of
from squadlite.container import open_sqz
from squadlite.model import ModelConfig, load_checkpoint
from squadlite.tensors import read_config


@dataclass(frozen=True)
class Subject:
    """
    A model to run.

    Args:
        path: of a .sqz file or a checkpoint folder.
        size: in bytes.
        config: its shape.
        f1: the score that its metadata states, or None.
        scored_on: the data of that score, or None.
    """

    path: Path
    size: int
    config: ModelConfig
    f1: float | None = None
    scored_on: str | None = None


def describe_model(path: Path) -> Subject:
    """
    Look at a model without decoding it, where it is a .sqz file.

    Raises:
        FormatError, CheckpointError: it can't be read.
    """
    size = size_of(path)
    if path.is_dir():
        return Subject(path, size, load_checkpoint(path).config)
    with open_sqz(path) as file:
        config, scores = read_config(file), file.metadata.get("scores")
    # Metadata is anyone's to write.
    known: dict[str, Any] = scores if isinstance(scores, dict) else {}
    f1, data = known.get("F1"), known.get("data")
    is_number = isinstance(f1, int | float) and not isinstance(f1, bool)
    return Subject(
        path,
        size,
        config,
        f1=f1 if is_number else None,
        scored_on=data if isinstance(data, str) else None,
    )
