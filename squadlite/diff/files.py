"""What two .sqz files hold, side by side."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from squadlite.answering.confidence import METADATA_MEMBER
from squadlite.answering.reader import check_readable
from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.container import SqzFile, TensorInfo, open_sqz
from squadlite.errors import ConfigError, HeaderError, TensorError, TokenizerError
from squadlite.progress import Progress
from squadlite.tensors import WORD_EMBEDDINGS, Part, StoredTensors, count_parts, read_config

# Field -> its value in "a" and in "b", where it is there; of those alone that differ.
Fields = dict[str, dict[str, Any]]

# The metadata that tell how the model is used; all other is for people.
_USED_METADATA = (METADATA_MEMBER, "embedding")
_CHUNK_VALUES = 2**20


@dataclass(frozen=True)
class Deviation:
    """
    How far the values of a tensor in b are from those in a.

    Args:
        relative: root mean square of b - a over that of a; None where a is 0 throughout and b
            isn't.
        largest: of the absolute differences.
    """

    relative: float | None
    largest: float


@dataclass(frozen=True)
class TensorDiff:
    """
    One tensor of the model.

    Args:
        name: of the tensor.
        a, b: as each file describes it; None where it isn't there.
        deviation: of its values; None where they can't be compared. Word embeddings are compared
            piece by piece, over the pieces that both vocabularies have.
        same_values: both files give it the same shape and values.
    """

    name: str
    a: TensorInfo | None
    b: TensorInfo | None
    deviation: Deviation | None
    same_values: bool

    @property
    def same_storage(self) -> bool:
        """Whether both files hold it in the same bytes of the same codec."""
        a, b = self.a, self.b
        return bool(a and b and (a.shape, a.codec, a.digest) == (b.shape, b.codec, b.digest))


@dataclass(frozen=True)
class VocabularyDiff:
    """
    The word pieces of both.

    Args:
        n_pieces: in a and in b.
        removed, added: pieces of a alone, and of b alone, in the order of their ids.
        same_order: those of both stand in the same order.
        same_kept_ids: the same pieces of the full vocabulary were kept.
    """

    n_pieces: tuple[int, int]
    removed: tuple[str, ...]
    added: tuple[str, ...]
    same_order: bool
    same_kept_ids: bool

    @property
    def equal(self) -> bool:
        """Whether the vocabularies are the same."""
        return not (self.removed or self.added) and self.same_order and self.same_kept_ids


@dataclass(frozen=True)
class FileDiff:
    """
    What two model files hold, side by side.

    Args:
        model, tokenizer, metadata: the fields of the header's objects that differ; those of nested
            objects under names joined by dots.
        vocabulary: the word pieces.
        tensors: of the model, in a's order, those of b alone behind them.
        parts: name -> the part of a and of b; None where there is none.
    """

    model: Fields
    tokenizer: Fields
    metadata: Fields
    vocabulary: VocabularyDiff
    tensors: tuple[TensorDiff, ...]
    parts: Mapping[str, tuple[Part | None, Part | None]]

    @property
    def differing(self) -> tuple[str, ...]:
        """
        What differs of all that matters to the models' use.

        How tensors are stored doesn't matter, nor do metadata that are for people.
        """
        differs = {
            "model": bool(self.model),
            "tokenizer": bool(self.tokenizer),
            "vocabulary": not self.vocabulary.equal,
            "metadata": any(field.split(".")[0] in _USED_METADATA for field in self.metadata),
            "tensors": not all(tensor.same_values for tensor in self.tensors),
        }
        return tuple(name for name, different in differs.items() if different)


def diff_files(a: str | Path, b: str | Path, *, progress: Progress | None = None) -> FileDiff:
    """
    Compare two model files: every tensor is decoded, its digest checked.

    Args:
        a, b: .sqz files.
        progress: called with the tensors compared and their total.

    Raises:
        FormatError: a file that breaks the format.
        TokenizerError, ConfigError: a model that can't be read with.
        OSError: a file can't be read.
    """
    with open_sqz(a) as file_a, open_sqz(b) as file_b:
        model_a, model_b = _Model(file_a), _Model(file_b)
        return FileDiff(
            model=_diff_fields(file_a.model, file_b.model),
            tokenizer=_diff_fields(file_a.tokenizer, file_b.tokenizer),
            metadata=_diff_fields(file_a.metadata, file_b.metadata),
            vocabulary=_diff_vocabularies(model_a.spec, model_b.spec),
            tensors=tuple(_diff_tensors(model_a, model_b, progress)),
            parts=_pair_parts(model_a.parts, model_b.parts),
        )


class _Model:
    # One side; errors name its file.

    def __init__(self, file: SqzFile) -> None:
        config = read_config(file)
        self._tensors = StoredTensors(file, config)
        try:
            self.spec = TokenizerSpec.from_sqz(file)
            check_readable(config, self.spec)
        except (HeaderError, TensorError, TokenizerError, ConfigError) as error:
            raise type(error)(f"{file.path}: {error}") from error
        self.infos = {name: file.tensors[name] for name in self._tensors}
        self.parts = count_parts(file.tensors.values(), file.path.stat().st_size)

    def read(self, name: str) -> NDArray[np.float32]:
        return self._tensors[name]


def _diff_fields(a: Mapping[str, Any], b: Mapping[str, Any]) -> Fields:
    sides = {"a": dict(_leaves(a)), "b": dict(_leaves(b))}
    fields: Fields = {}
    for field in sorted(sides["a"].keys() | sides["b"].keys()):
        values = {side: leaves[field] for side, leaves in sides.items() if field in leaves}
        # As texts: True is 1 to Python, and 1.0 too.
        if len(values) == 1 or json.dumps(values["a"]) != json.dumps(values["b"]):
            fields[field] = values
    return fields


def _leaves(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            yield from _leaves(item, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", item


def _diff_vocabularies(a: TokenizerSpec, b: TokenizerSpec) -> VocabularyDiff:
    in_a, in_b = set(a.vocab), set(b.vocab)
    return VocabularyDiff(
        n_pieces=(len(a.vocab), len(b.vocab)),
        removed=tuple(piece for piece in a.vocab if piece not in in_b),
        added=tuple(piece for piece in b.vocab if piece not in in_a),
        same_order=[p for p in a.vocab if p in in_b] == [p for p in b.vocab if p in in_a],
        same_kept_ids=a.kept_ids == b.kept_ids,
    )


def _diff_tensors(a: _Model, b: _Model, progress: Progress | None) -> Iterator[TensorDiff]:
    names = list(dict.fromkeys([*a.infos, *b.infos]))
    for number, name in enumerate(names, start=1):
        info_a, info_b = a.infos.get(name), b.infos.get(name)
        deviation, same = None, False
        if info_a and info_b:
            values_a, values_b = a.read(name), b.read(name)
            if name == WORD_EMBEDDINGS and a.spec.vocab != b.spec.vocab:
                rows_a, rows_b = _shared_rows(a.spec.vocab, b.spec.vocab)
                values_a, values_b = values_a[rows_a], values_b[rows_b]
            if values_a.shape == values_b.shape and values_a.size:
                deviation = _deviation(values_a, values_b)
                all_compared = values_a.shape == info_a.shape == info_b.shape
                same = all_compared and deviation.largest == 0
        yield TensorDiff(name, info_a, info_b, deviation, same)
        if progress is not None:
            progress(number, len(names))


def _shared_rows(a: Sequence[str], b: Sequence[str]) -> tuple[list[int], list[int]]:
    # The ids in a and in b of the pieces that both have.
    place = {piece: number for number, piece in enumerate(b)}
    shared = [(number, place[piece]) for number, piece in enumerate(a) if piece in place]
    return [first for first, _ in shared], [second for _, second in shared]


def _deviation(a: NDArray[np.float32], b: NDArray[np.float32]) -> Deviation:
    squares = square_differences = largest = 0.0
    a, b = a.reshape(-1), b.reshape(-1)
    for start in range(0, a.size, _CHUNK_VALUES):
        values = a[start : start + _CHUNK_VALUES].astype(np.float64)
        differences = b[start : start + _CHUNK_VALUES] - values
        squares += float(values @ values)
        square_differences += float(differences @ differences)
        largest = max(largest, float(np.abs(differences).max()))
    if largest == 0:
        return Deviation(0.0, 0.0)
    return Deviation(math.sqrt(square_differences / squares) if squares else None, largest)


def _pair_parts(a: Sequence[Part], b: Sequence[Part]) -> dict[str, tuple[Part | None, Part | None]]:
    of_a, of_b = ({part.name: part for part in parts} for parts in (a, b))
    # What a and b end with, no tensor takes; it stays last.
    names = list(dict.fromkeys([*list(of_a)[:-1], *of_b]))
    return {name: (of_a.get(name), of_b.get(name)) for name in names}
