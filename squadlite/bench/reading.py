"""
Reading with a runtime that has logits alone: squadlite's tokenizer, windows and span search.

None of that needs torch, so that a peer without torch doesn't pay for torch. Windows of like length
go into a batch, which pads less than most users of a library do.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from squadlite.answering.reader import Reader
from squadlite.answering.tokenizer import Tokenizer
from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.bench.kind import Runtime
from squadlite.config import ModelConfig


class RuntimeScorer:
    """
    A runtime as what a reader reads with.

    Args:
        runtime: any; it has threads of its own.
        config: of its model.
    """

    def __init__(self, runtime: Runtime, config: ModelConfig) -> None:
        self._runtime = runtime
        self.config = config

    @property
    def word_embeddings(self) -> NDArray[np.float32]:
        """Empty: they help to find passages, and a runtime is given its own."""
        return np.empty((0, self.config.hidden_size), dtype=np.float32)

    def __call__(
        self,
        input_ids: NDArray[np.int64],
        token_type_ids: NDArray[np.int64],
        attention_mask: NDArray[np.bool_],
        *,
        threads: int,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `squadlite.answering.scorer.Scorer`."""
        return self._runtime.logits(input_ids, token_type_ids, attention_mask)


def runtime_reader(runtime: Runtime, model: Path, config: ModelConfig) -> Reader:
    """
    Make a runtime read texts.

    Args:
        runtime: any.
        model: the .sqz file or checkpoint folder that it runs.
        config: of that model.
    """
    return Reader(RuntimeScorer(runtime, config), Tokenizer(TokenizerSpec.load(model)), threads=1)
