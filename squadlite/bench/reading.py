"""
Reading with a runtime that has logits alone: squadlite's tokenizer, windows and span search.

It needs no torch, so that a peer without torch doesn't pay for torch. Windows of like length go
into a batch, which pads less than most users of a library do.
"""

from collections.abc import Sequence

import numpy as np

from squadlite.answering.spans import Reading, TokenSpan, best_token_spans, make_reading
from squadlite.answering.tokenizer import TokenizedText, Tokenizer
from squadlite.answering.windows import Window, batches_by_length, pad_batch, split_into_windows
from squadlite.bench.kind import Runtime
from squadlite.errors import BenchError

# As in ReaderSettings, whose module imports torch.
MAX_SEQ_LENGTH = 384
DOC_STRIDE = 128
MAX_QUESTION_LENGTH = 64
MAX_ANSWER_LENGTH = 30
N_BEST = 20
MAX_BATCH_TOKENS = 1024


class RuntimeReader:
    """
    Makes a runtime read texts.

    Args:
        runtime: any.
        tokenizer: with the vocabulary of the runtime's model.
        max_positions: the longest window that the model takes, in tokens.
    """

    def __init__(self, runtime: Runtime, tokenizer: Tokenizer, max_positions: int) -> None:
        self._runtime = runtime
        self._tokenizer = tokenizer
        self._max_seq_length = min(MAX_SEQ_LENGTH, max_positions)
        self._max_question_length = min(MAX_QUESTION_LENGTH, max_positions // 2)

    def read_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[Reading]:
        """
        Look for answers: one reading per (question, context), in order.

        Raises:
            BenchError: logits that aren't numbers.
        """
        tokens = self._encode_once(pairs)
        windows = [
            window
            for pair, (question, context) in enumerate(pairs)
            for window in split_into_windows(
                pair,
                tokens[question].ids,
                tokens[context].ids,
                max_seq_length=self._max_seq_length,
                max_question_length=self._max_question_length,
                doc_stride=DOC_STRIDE,
            )
        ]
        spans: list[list[TokenSpan]] = [[] for _ in pairs]
        nulls: list[list[float]] = [[] for _ in pairs]
        for batch in batches_by_length(windows, MAX_BATCH_TOKENS):
            self._read_batch(batch, spans, nulls)
        return [
            make_reading(context, tokens[context], spans[pair], min(nulls[pair], default=0), N_BEST)
            for pair, (_, context) in enumerate(pairs)
        ]

    def _encode_once(self, pairs: Sequence[tuple[str, str]]) -> dict[str, TokenizedText]:
        texts = list(dict.fromkeys(text for pair in pairs for text in pair))
        return dict(zip(texts, self._tokenizer.encode_batch(texts), strict=True))

    def _read_batch(
        self, windows: Sequence[Window], spans: list[list[TokenSpan]], nulls: list[list[float]]
    ) -> None:
        tokenizer = self._tokenizer
        batch = pad_batch(
            windows, cls_id=tokenizer.cls_id, sep_id=tokenizer.sep_id, pad_id=tokenizer.pad_id
        )
        start_logits, end_logits = self._runtime.logits(
            batch.input_ids, batch.token_type_ids, batch.attention_mask
        )
        # Nothing is asked of the logits of padding.
        real = batch.attention_mask
        if not (np.isfinite(start_logits[real]).all() and np.isfinite(end_logits[real]).all()):
            raise BenchError("found logits that are not finite, expected numbers")
        found = best_token_spans(
            start_logits,
            end_logits,
            batch.context_mask,
            n_best=N_BEST,
            max_answer_length=MAX_ANSWER_LENGTH,
        )
        null_scores = (start_logits[:, 0] + end_logits[:, 0]).tolist()  # [CLS] stands first
        for window, candidates, null_score in zip(windows, found, null_scores, strict=True):
            shift = window.first_token - window.context_start
            spans[window.pair] += [span.shifted(shift) for span in candidates]
            nulls[window.pair].append(null_score)
