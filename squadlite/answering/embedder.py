"""The embedder: texts in, vectors out whose cosine says how much the texts are about the same."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from squadlite.answering.metadata import EmbeddingConfig
from squadlite.answering.origin import Origin, Source, opened
from squadlite.answering.scorer import Encoder, load_scorer
from squadlite.answering.tokenizer import Tokenizer
from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.answering.windows import batches_by_length
from squadlite.answering.workers import workers
from squadlite.cores import default_threads
from squadlite.digests import digest_of
from squadlite.errors import SquadliteError
from squadlite.progress import Progress

MAX_TOKENS = 384  # of a text, its special tokens included; passages are shorter
MAX_BATCH_TOKENS = 1024  # padding included; a thousand fit a core's cache well

_N_SPECIAL = 2  # [CLS] text [SEP]


class Embedder:
    """
    Turns texts into vectors.

    Args:
        encoder: the model.
        tokenizer: with the vocabulary that the model was made for.
        weight: see `EmbeddingConfig`.
        digest: names the model: vectors of another one can't be compared with these.
        threads: batches embedded at a time, each by one thread; None: one for each core.
        origin: where the model comes from; without it the embedder can't be pickled.

    Raises:
        ValueError: fewer than 1 thread.
    """

    def __init__(
        self,
        encoder: Encoder,
        tokenizer: Tokenizer,
        *,
        weight: float,
        digest: str,
        threads: int | None = None,
        origin: Origin | None = None,
    ) -> None:
        self.weight = weight
        self.digest = digest
        self._encoder = encoder
        self._origin = origin
        self._tokenizer = tokenizer
        self._max_tokens = min(MAX_TOKENS, encoder.config.max_position_embeddings)
        self._threads = default_threads() if threads is None else threads
        if self._threads < 1:
            raise ValueError(f"threads is {threads}, expected at least 1")

    def embed(
        self, texts: Sequence[str], *, progress: Progress | None = None
    ) -> NDArray[np.float32]:
        """
        Embed texts in batches of like length.

        Args:
            texts: of any length; of a long one the first 384 tokens count, or as many as the
                model has positions for.
            progress: called with the texts embedded and their total after each batch.

        Returns:
            (N, hidden) float32, each row of length 1.

        Raises:
            SquadliteError: a model whose vectors aren't numbers.
        """
        room = self._max_tokens - _N_SPECIAL
        ids = self._tokenizer.encode_ids(texts)
        numbered = [_Text(number, of_text[:room]) for number, of_text in enumerate(ids)]
        # Few texts are still shared out among all threads.
        share = sum(map(len, numbered)) // self._threads
        batches = list(batches_by_length(numbered, min(MAX_BATCH_TOKENS, share)))
        vectors = np.empty((len(texts), self._encoder.config.hidden_size), dtype=np.float32)
        n_embedded = 0
        with workers(len(batches), self._threads) as (work, threads):
            found = work(lambda batch: self._embed(batch, threads), batches)
            for batch, rows in zip(batches, found, strict=True):
                vectors[[text.number for text in batch]] = rows
                n_embedded += len(batch)
                if progress is not None:
                    progress(n_embedded, len(texts))
        return vectors

    def __reduce__(self) -> tuple[Any, ...]:
        if self._origin is None:
            raise TypeError("an embedder that wasn't loaded from a file can't be pickled")
        return _load, (self._origin,)

    def _embed(self, texts: Sequence["_Text"], threads: int) -> NDArray[np.float32]:
        tokenizer = self._tokenizer
        shape = len(texts), max(map(len, texts))
        input_ids = np.full(shape, tokenizer.pad_id, dtype=np.int64)
        input_ids[:, 0] = tokenizer.cls_id
        for row, text in enumerate(texts):
            input_ids[row, 1 : len(text) - 1] = text.ids
            input_ids[row, len(text) - 1] = tokenizer.sep_id
        lengths = np.array([len(text) for text in texts])
        attention_mask = np.arange(shape[1]) < lengths[:, None]
        means = self._encoder.embed(input_ids, attention_mask, threads=threads)
        if not np.isfinite(means).all():
            raise SquadliteError("the model's vectors are not all finite: its weights are damaged")
        norms = np.linalg.norm(means, axis=1, keepdims=True)
        vectors: NDArray[np.float32] = means / np.maximum(norms, np.finfo(np.float32).tiny)
        return vectors


@dataclass(frozen=True, slots=True)
class _Text:
    number: int
    ids: NDArray[np.int64]  # without special tokens

    def __len__(self) -> int:
        return len(self.ids) + _N_SPECIAL


def load_embedder(
    source: Source, encoder: Encoder, tokenizer: Tokenizer, origin: Origin
) -> Embedder | None:
    """
    Make a loaded model an embedder, if its metadata says that its vectors mean something.

    Args:
        source: the .sqz file or checkpoint folder that encoder and tokenizer come from.
        encoder, tokenizer: as for `Embedder`.
        origin: of the model.

    Raises:
        FormatError, CheckpointError: metadata that break a rule.
    """
    config = EmbeddingConfig.load(source)
    if config is None:
        return None
    return Embedder(
        encoder,
        tokenizer,
        weight=config.weight,
        digest=model_digest(source),
        threads=origin.threads,
        origin=origin,
    )


def _load(origin: Origin) -> Embedder | None:
    with origin.model.here() as path, opened(path) as model:
        encoder = load_scorer(model, origin.compute)
        return load_embedder(model, encoder, Tokenizer(TokenizerSpec.load(model)), origin)


def model_digest(source: Source) -> str:
    """
    Name all that a model's vectors come from: its configuration, weights and tokenizer.

    Returns:
        A SHA-256 in hex. Metadata are no part of it.
    """
    with opened(source) as model:
        if isinstance(model, Path):
            return _folder_digest(model)
        parts = {
            "model": model.model,
            "tensors": [tensor.to_header() for tensor in model.tensors.values()],
            "tokenizer": model.tokenizer,
        }
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _folder_digest(folder: Path) -> str:
    # A folder is loaded by torch, so that these imports cost nothing any more.
    from squadlite.answering.tokenizer_folder import TOKENIZER_FILES  # noqa: PLC0415
    from squadlite.model.checkpoint import CONFIG_FILE, find_weights  # noqa: PLC0415

    names = (CONFIG_FILE, find_weights(folder).name, *TOKENIZER_FILES)
    digests = {name: digest_of(folder / name) for name in names if (folder / name).is_file()}
    return sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()
