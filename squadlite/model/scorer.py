"""A torch model as what a reader reads with: arrays in, arrays out."""

import numpy as np
import torch
from numpy.typing import NDArray

from squadlite.config import ModelConfig
from squadlite.model.compute import torch_threads
from squadlite.model.encoder import QuestionAnsweringModel
from squadlite.model.packed import PackedModel


class TorchScorer:
    """
    Scores and embeds by torch; see `squadlite.answering.scorer.Encoder`.

    Args:
        model: in eval mode, or packed, which is faster.
    """

    def __init__(self, model: QuestionAnsweringModel | PackedModel) -> None:
        self.model = model

    @property
    def config(self) -> ModelConfig:
        """The model's."""
        return self.model.config

    @property
    def word_embeddings(self) -> NDArray[np.float32]:
        """(V, embedding_width)."""
        embeddings: NDArray[np.float32] = self.model.embeddings.word.weight.detach().float().numpy()
        return embeddings

    def __call__(
        self,
        input_ids: NDArray[np.int64],
        token_type_ids: NDArray[np.int64],
        attention_mask: NDArray[np.bool_],
        *,
        threads: int,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `Scorer`."""
        with torch_threads(threads), torch.inference_mode():
            start_logits, end_logits = self.model(
                *map(torch.from_numpy, (input_ids, token_type_ids, attention_mask))
            )
        return start_logits.numpy(), end_logits.numpy()

    def embed(
        self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.bool_], *, threads: int
    ) -> NDArray[np.float32]:
        """See `Encoder`."""
        with torch_threads(threads), torch.inference_mode():
            means = self.model.embed(*map(torch.from_numpy, (input_ids, attention_mask)))
        embedded: NDArray[np.float32] = means.numpy()
        return embedded
