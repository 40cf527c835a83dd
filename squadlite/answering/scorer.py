"""What reads and embeds texts, and how it is chosen for this machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from squadlite.answering.origin import Source, opened
from squadlite.config import Compute, ModelConfig
from squadlite.native import native_scorer
from squadlite.tensors import StoredTensors, read_config


class Scorer(Protocol):
    """A model ready to score tokens."""

    @property
    def config(self) -> ModelConfig:
        """The model's."""

    @property
    def word_embeddings(self) -> NDArray[np.float32]:
        """(V, hidden)."""

    def __call__(
        self,
        input_ids: NDArray[np.int64],
        token_type_ids: NDArray[np.int64],
        attention_mask: NDArray[np.bool_],
        *,
        threads: int,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """
        Score every token of B windows. May be called by several threads at once.

        Args:
            input_ids: (B, T) int64, each below the model's `vocab_size`.
            token_type_ids: (B, T) int64: 0 for the question, 1 for the context.
            attention_mask: (B, T) bool, False for padding, which stands behind the tokens.
            threads: that may compute this call.

        Returns:
            start_logits and end_logits, each (B, T) float32; those of padding mean nothing.
        """


class Encoder(Scorer, Protocol):
    """A scorer whose last layer can be had as well."""

    def embed(
        self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.bool_], *, threads: int
    ) -> NDArray[np.float32]:
        """
        Give the mean of the last layer's outputs over the tokens of each of B windows.

        Args:
            input_ids, attention_mask, threads: as for a call; every token has type 0, and every
                window one token at least.

        Returns:
            (B, hidden) float32; special tokens count, padding doesn't.
        """


def load_scorer(source: Source, compute: Compute) -> Encoder:
    """
    Load a model: into our own kernels where they can compute it as is asked for, else into torch.

    Args:
        source: a .sqz file or a Hugging Face checkpoint folder.
        compute: see `Reader.load`.

    Raises:
        FormatError: a .sqz file that breaks the format.
        CheckpointError, ConfigError: a checkpoint that can't be loaded.
        ComputeError: this machine can't compute so.
    """
    with opened(source) as model:
        if isinstance(model, Path):
            from squadlite.model import load_checkpoint

            checkpoint = load_checkpoint(model)
            arrays = {name: tensor.float().numpy() for name, tensor in checkpoint.tensors.items()}
            return _encoder(checkpoint.config, arrays, compute, None)
        config = read_config(model)
        return _encoder(config, StoredTensors(model, config), compute, model.digest)


def _encoder(
    config: ModelConfig,
    tensors: Mapping[str, NDArray[np.float32]],
    compute: Compute,
    digest: str | None,
) -> Encoder:
    if compute in {"auto", "int8"}:
        native = native_scorer(config, tensors, digest)
        if native is not None:
            return native
    # Importing torch takes longer than all the rest, and most machines don't need it here.
    from squadlite.model import TorchScorer, model_from_arrays, prepare

    return TorchScorer(prepare(model_from_arrays(config, tensors), compute))
