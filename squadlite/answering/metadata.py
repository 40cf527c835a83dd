"""
What a model says of its use: in the metadata of a .sqz file, or in a checkpoint folder's file.

Source: format_spec.md, "What the metadata may say".
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from squadlite.answering.origin import Source, opened
from squadlite.errors import CheckpointError, ConfigError, HeaderError

# In a checkpoint folder: members for the metadata of the .sqz file that is made of it.
METADATA_FILE = "squadlite.json"

MAX_WEIGHT = 1000


@dataclass(frozen=True)
class EmbeddingConfig:
    """
    How texts become vectors: the mean of the last layer's outputs, scaled to length 1.

    Args:
        weight: what a cosine of 1 is worth in a search beside a bm25 score of 12.

    Raises:
        ConfigError: no number from 0 to 1000.
    """

    weight: float

    def __post_init__(self) -> None:
        # True is an integer to Python.
        if type(self.weight) not in (int, float) or not 0 <= self.weight <= MAX_WEIGHT:
            raise ConfigError(
                f"metadata 'embedding': weight is {self.weight!r:.40}, "
                f"expected a number from 0 to {MAX_WEIGHT}"
            )

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Self | None:
        """
        Read the member `embedding`; None where there is none: the model's vectors mean nothing.

        Raises:
            ConfigError: it breaks a rule of format_spec.md.
        """
        if "embedding" not in metadata:
            return None
        values = metadata["embedding"]
        if not isinstance(values, dict) or values.keys() != {"pooling", "weight"}:
            raise ConfigError(
                f"metadata 'embedding': found {values!r:.80}, "
                "expected an object of 'pooling' and 'weight'"
            )
        if values["pooling"] != "mean":
            raise ConfigError(
                f"metadata 'embedding': pooling is {values['pooling']!r:.40}, expected 'mean'"
            )
        return cls(values["weight"])

    @classmethod
    def load(cls, source: Source) -> Self | None:
        """
        Read what a .sqz file or a checkpoint folder says; see `from_metadata`.

        Raises:
            FormatError: a .sqz file that breaks the format, or a rule of its metadata.
            CheckpointError: a folder's squadlite.json does.
        """
        with opened(source) as model:
            try:
                return cls.from_metadata(load_metadata(model))
            except ConfigError as error:
                if isinstance(model, Path):
                    raise CheckpointError(f"{model / METADATA_FILE}: {error}") from error
                raise HeaderError(f"{model.path}: {error}") from error


def load_metadata(source: Source) -> dict[str, Any]:
    """
    Read a model's metadata: a .sqz file's, or the object in a checkpoint folder's squadlite.json.

    Returns:
        Its members; none where a folder has no such file.

    Raises:
        FormatError: a .sqz file that breaks the format.
        CheckpointError: squadlite.json holds no JSON object.
        OSError: it can't be read.
    """
    with opened(source) as model:
        if not isinstance(model, Path):
            return model.metadata
        facts = model / METADATA_FILE
        return load_facts(facts) if facts.is_file() else {}


def load_facts(path: Path) -> dict[str, Any]:
    """
    Read a file of members for a model's metadata.

    Raises:
        CheckpointError: it holds no JSON object.
        OSError: it can't be read.
    """
    try:
        values = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: found no JSON ({error}), expected an object") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: found {type(values).__name__}, expected an object")
    return values
