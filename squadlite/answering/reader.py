"""The reader: a question and contexts in, answers with offsets and scores out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from squadlite.answering.confidence import Confidence, MarginRule, load_confidence
from squadlite.answering.embedder import Embedder, load_embedder
from squadlite.answering.origin import Origin, opened
from squadlite.answering.related import RelatedWords
from squadlite.answering.scorer import Scorer, load_scorer
from squadlite.answering.spans import (
    Reading,
    TokenSpan,
    best_token_spans,
    make_reading,
)
from squadlite.answering.tokenizer import Tokenizer
from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.answering.windows import (
    MOST_SPECIAL,
    Template,
    Window,
    batches_by_length,
    pad_batch,
    split_into_windows,
)
from squadlite.answering.workers import workers
from squadlite.config import Compute, ModelConfig
from squadlite.cores import default_threads
from squadlite.errors import ConfigError, SquadliteError, TokenizerError
from squadlite.models import DEFAULT_MODEL, find_model
from squadlite.portable import PortablePath
from squadlite.progress import Progress

MIN_POSITIONS = 16

# At least, where there are as many windows.
_BATCHES_A_THREAD = 4


@dataclass(frozen=True, kw_only=True)
class ReaderSettings:
    """
    How a reader cuts contexts and picks answers. Lengths count tokens.

    Args:
        max_seq_length: in a window with its special tokens; at most the model's positions.
        doc_stride: from the first token of one window's piece of context to the first of the next.
        max_question_length: of a question; the rest is cut off.
        max_answer_length: of an answer.
        n_best: answers per context.
        max_batch_tokens: in a batch, padding included; a thousand fit a core's cache well.

    Raises:
        ValueError: a number below 1, or a window that a question fills.
    """

    max_seq_length: int = 384
    doc_stride: int = 128
    max_question_length: int = 64
    max_answer_length: int = 30
    n_best: int = 20
    max_batch_tokens: int = 1024

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise ValueError(f"{name} is {value}, expected at least 1")
        if self.max_question_length + MOST_SPECIAL >= self.max_seq_length:
            raise ValueError(
                f"max_seq_length {self.max_seq_length} leaves no room for a context beside "
                f"a question of {self.max_question_length} tokens and {MOST_SPECIAL} special ones"
            )

    def within(self, n_positions: int) -> Self:
        """These settings for a model of `n_positions`: shorter windows where it needs them."""
        if n_positions >= self.max_seq_length:
            return self
        return type(self)(
            **vars(self)
            | {
                "max_seq_length": n_positions,
                "max_question_length": min(self.max_question_length, n_positions // 2),
            }
        )

    def windows(
        self,
        pair: int,
        question_ids: NDArray[np.int64],
        context_ids: NDArray[np.int64],
        template: Template,
    ) -> Iterator[Window]:
        """Cut a context into windows of these lengths and stride; see `split_into_windows`."""
        return split_into_windows(
            pair,
            question_ids,
            context_ids,
            template,
            max_seq_length=self.max_seq_length,
            max_question_length=self.max_question_length,
            doc_stride=self.doc_stride,
        )


def check_readable(config: ModelConfig, spec: TokenizerSpec) -> None:
    """
    Find out whether a model can read what its tokenizer cuts.

    Raises:
        TokenizerError: the vocabulary and the model's word embeddings differ in size.
        ConfigError: a model with too few positions to read, or too few token types.
    """
    n_pieces, n_embeddings = len(spec.vocab), config.vocab_size
    if n_pieces != n_embeddings:
        raise TokenizerError(
            f"vocabulary has {n_pieces} pieces, the model embeddings for {n_embeddings}"
        )
    if config.type_vocab_size == 1 and spec.template == "bert":
        raise ConfigError("model has 1 token type, reading needs 2 (or none, as in DistilBERT)")
    n_positions = config.max_position_embeddings
    if n_positions < MIN_POSITIONS:
        raise ConfigError(
            f"model has {n_positions} positions, reading needs at least {MIN_POSITIONS}"
        )


class Reader:
    """
    Reads contexts for answers to a question.

    Args:
        scorer: the model.
        tokenizer: with the vocabulary that the model was made for.
        settings: the defaults are those of the original BERT code.
        threads: batches read at a time, each by one thread; None: one for each core.
        embedder: of the same model; None: its vectors mean nothing.
        confidence: how sure to be of answers found in many contexts; None: `MarginRule`.
        origin: where the model comes from; without it the reader can't be pickled.

    Raises:
        ValueError: fewer than 1 thread.
        TokenizerError: the vocabulary and the model's word embeddings differ in size.
        ConfigError: a model with too few positions to read.
    """

    def __init__(
        self,
        scorer: Scorer,
        tokenizer: Tokenizer,
        settings: ReaderSettings | None = None,
        *,
        threads: int | None = None,
        embedder: Embedder | None = None,
        confidence: Confidence | None = None,
        origin: Origin | None = None,
    ) -> None:
        check_readable(scorer.config, tokenizer.spec)
        self.scorer = scorer
        self.tokenizer = tokenizer
        self.embedder = embedder
        self._origin = origin
        self.settings = (settings or ReaderSettings()).within(scorer.config.max_position_embeddings)
        self.confidence = confidence or MarginRule()
        self.threads = default_threads() if threads is None else threads
        if self.threads < 1:
            raise ValueError(f"threads is {threads}, expected at least 1")

    @classmethod
    def load(
        cls,
        path: str | Path = DEFAULT_MODEL,
        *,
        settings: ReaderSettings | None = None,
        threads: int | None = None,
        compute: Compute = "f32",
    ) -> Self:
        """
        Load a reader from a .sqz file or a Hugging Face checkpoint folder.

        Args:
            path: the file or folder, or "default" or "large" for a model of our own; the default
                one if it isn't given.
            settings, threads: as for `Reader`.
            compute: "f32" is exact; "bf16" and "int8" are faster on CPUs made for them; "auto"
                takes what is fastest on this one.

        Raises:
            FormatError: a .sqz file that breaks the format, or a rule of its metadata.
            CheckpointError, ConfigError, TokenizerError: a checkpoint that can't be loaded.
            ComputeError: this machine can't compute so.
            MissingModelError: a model of our own that isn't part of this installation.
        """
        path = find_model(path)
        threads = default_threads() if threads is None else threads
        origin = Origin(PortablePath(Path(path)), compute, threads)
        with opened(path) as model:
            # First, as a file that says it wrongly is refused before its tensors are read.
            confidence = load_confidence(model)
            encoder = load_scorer(model, compute)
            tokenizer = Tokenizer(TokenizerSpec.load(model))
            embedder = load_embedder(model, encoder, tokenizer, origin)
        return cls(
            encoder,
            tokenizer,
            settings,
            threads=threads,
            embedder=embedder,
            confidence=confidence,
            origin=origin,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        if self._origin is None:
            raise TypeError("a reader that wasn't loaded from a file can't be pickled")
        return _load, (self._origin, self.settings)

    @cached_property
    def related_words(self) -> RelatedWords:
        """The words that the model takes for alike."""
        return RelatedWords(self.tokenizer.spec.words(), self.scorer.word_embeddings)

    def read(
        self, question: str, contexts: Sequence[str], *, n_best: int | None = None
    ) -> list[Reading]:
        """
        Look for the answers to one question in each context.

        Args:
            question: any text.
            contexts: texts of any length.
            n_best: answers per context; None: as the settings say.

        Returns:
            One reading per context, in order.

        Raises:
            TypeError: one text in place of several, whose letters would be read.
            ValueError, SquadliteError: as for `read_pairs`.
        """
        if isinstance(contexts, str):
            raise TypeError("contexts: found one text, expected a list of them")
        return self.read_pairs([(question, context) for context in contexts], n_best=n_best)

    def read_pairs(
        self,
        pairs: Sequence[tuple[str, str]],
        *,
        n_best: int | None = None,
        progress: Progress | None = None,
    ) -> list[Reading]:
        """
        Look for answers in many contexts, each with its own question, in batches over all of them.

        Args:
            pairs: (question, context) each.
            n_best: answers per context; None: as the settings say.
            progress: called with the windows read and their total after each batch.

        Returns:
            One reading per pair, in order.

        Raises:
            ValueError: n_best below 1.
            SquadliteError: a model whose logits aren't numbers.
        """
        n_best = self.settings.n_best if n_best is None else n_best
        if n_best < 1:
            raise ValueError(f"n_best is {n_best}, expected at least 1")
        questions = self.tokenizer.encode_once(question for question, _ in pairs)
        contexts = self.tokenizer.encode_once(context for _, context in pairs)
        windows = [
            window
            for pair, (question, context) in enumerate(pairs)
            for window in self.settings.windows(
                pair, questions[question].ids, contexts[context].ids, self.tokenizer.template
            )
        ]
        found: list[list[TokenSpan]] = [[] for _ in pairs]
        null_scores: list[list[float]] = [[] for _ in pairs]
        n_read = 0
        for results in self._read_windows(windows, n_best):
            for result in results:
                found[result.pair] += result.spans
                null_scores[result.pair].append(result.null_score)
            n_read += len(results)
            if progress is not None:
                progress(n_read, len(windows))
        return [
            make_reading(context, contexts[context], spans, min(nulls, default=0.0), n_best)
            for (_, context), spans, nulls in zip(pairs, found, null_scores, strict=True)
        ]

    def logits(
        self,
        input_ids: NDArray[np.int64],
        token_type_ids: NDArray[np.int64],
        attention_mask: NDArray[np.bool_],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """
        Score every token of windows that are laid out already, shared out among the threads.

        Args:
            input_ids, token_type_ids, attention_mask: (B, T) each; see the model.

        Returns:
            start_logits and end_logits, each (B, T) float32; those of padding mean nothing.

        Raises:
            SquadliteError: a model whose logits aren't numbers.
        """
        parts = [
            rows for rows in np.array_split(np.arange(len(input_ids)), self.threads) if len(rows)
        ]
        with workers(len(parts), self.threads) as (work, threads):
            found = list(
                work(
                    lambda rows: self._score(
                        input_ids[rows], token_type_ids[rows], attention_mask[rows], threads
                    ),
                    parts,
                )
            )
        start_logits, end_logits = zip(*found, strict=True)
        return np.concatenate(start_logits), np.concatenate(end_logits)

    def _read_windows(
        self, windows: Sequence[Window], n_best: int
    ) -> Iterator[list["_WindowResult"]]:
        # Few windows are still shared out among all threads, so that none waits long for another.
        share = sum(map(len, windows)) // (_BATCHES_A_THREAD * self.threads)
        batches = list(batches_by_length(windows, min(self.settings.max_batch_tokens, share)))
        with workers(len(batches), self.threads) as (work, threads):
            yield from work(lambda batch: self._read_batch(batch, n_best, threads), batches)

    def _read_batch(
        self, windows: Sequence[Window], n_best: int, threads: int
    ) -> list["_WindowResult"]:
        batch = pad_batch(windows)
        start_logits, end_logits = self._score(
            batch.input_ids, batch.token_type_ids, batch.attention_mask, threads
        )
        spans = best_token_spans(
            start_logits,
            end_logits,
            batch.context_mask,
            n_best=n_best,
            max_answer_length=self.settings.max_answer_length,
        )
        null_scores = (start_logits[:, 0] + end_logits[:, 0]).tolist()  # "no answer" stands first
        return [
            _WindowResult(
                window.pair,
                [span.shifted(window.first_token - window.context_start) for span in found],
                null_score,
            )
            for window, found, null_score in zip(windows, spans, null_scores, strict=True)
        ]

    def _score(
        self,
        input_ids: NDArray[np.int64],
        token_type_ids: NDArray[np.int64],
        attention_mask: NDArray[np.bool_],
        threads: int,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        logits = self.scorer(input_ids, token_type_ids, attention_mask, threads=threads)
        # Nothing is asked of the logits of padding.
        if not all(np.isfinite(part[attention_mask]).all() for part in logits):
            raise SquadliteError("the model's logits are not all finite: its weights are damaged")
        return logits


def _load(origin: Origin, settings: ReaderSettings) -> Reader:
    with origin.model.here() as path:
        return Reader.load(path, settings=settings, threads=origin.threads, compute=origin.compute)


@dataclass(frozen=True, slots=True)
class _WindowResult:
    # What a window gives for its pair: spans counted in tokens of the whole context.
    pair: int
    spans: list[TokenSpan]
    null_score: float
