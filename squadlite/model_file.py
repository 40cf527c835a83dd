"""A model on its way into a .sqz file: what each of its tensors is written with."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.container import Codec, Rademacher, Raw, TensorInfo, write_sqz
from squadlite.model import Checkpoint
from squadlite.progress import Progress
from squadlite.quantization import Quantization, RoundedTensors, SameAs


@dataclass(frozen=True)
class ModelFile:
    """
    A .sqz file to be written, but for the tensors that calibration rounds.

    Args:
        checkpoint: the model.
        spec: its tokenizer.
        metadata: as the file is to hold it.
        quantization: of all other tensors.
        seeds: tensor name -> the seed that the signs of this sketch were made from.
        format_version: 2, or 1 for a file without anything that joined the format in 2.0.
    """

    checkpoint: Checkpoint
    spec: TokenizerSpec
    metadata: Mapping[str, Any]
    quantization: Quantization | SameAs
    seeds: Mapping[str, int]
    format_version: int

    def write(
        self, path: Path, rounded: RoundedTensors, progress: Progress | None = None
    ) -> list[TensorInfo]:
        """
        Write it.

        Args:
            path: the file to write or replace.
            rounded: name -> values and codec of the tensors that calibration rounds; none without.
            progress: called with (tensors written, all).

        Raises:
            HeaderError, CodecError, OSError: as `write_sqz`.
        """
        pieces = self.spec.to_tensors()
        total, done = len(self.checkpoint.tensors) + len(pieces), 0

        def count(info: TensorInfo) -> None:
            nonlocal done
            done += 1
            if progress is not None:
                progress(done, total)

        tensors = self._encoded(rounded, pieces)
        if self.format_version > 1:
            tensors = ((name, values, codec.compressed()) for name, values, codec in tensors)
        return write_sqz(
            path,
            model=self.checkpoint.config.to_dict(),
            tokenizer=self.spec.to_header(),
            metadata=self.metadata,
            tensors=tensors,
            needed=max(self.spec.version, self.checkpoint.config.version),
            progress=count,
        )

    def size(self, rounded: RoundedTensors) -> int:
        """How many bytes it takes with these tensors rounded."""
        with TemporaryDirectory() as folder:
            trial = Path(folder) / "trial.sqz"
            self.write(trial, rounded)
            return trial.stat().st_size

    def _encoded(
        self, rounded: RoundedTensors, pieces: Mapping[str, np.ndarray]
    ) -> Iterator[tuple[str, np.ndarray, Codec]]:
        for name, tensor in self.checkpoint.tensors.items():
            values = tensor.numpy()
            if name in rounded:
                yield name, *rounded[name]
            elif name in self.seeds:
                yield name, values, Rademacher(self.seeds[name])
            else:
                yield name, values, self.quantization.codec(name, values)
        for name, values in pieces.items():
            yield name, values, Raw(f"{values.dtype.kind}{8 * values.itemsize}")
