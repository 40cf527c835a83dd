"""Reading with bare logits gives what squadlite's own reader gives."""

import numpy as np
import pytest
from tiny_models import random_model, tiny_config
from tiny_tokenizers import tiny_spec

from squadlite.answering.reader import Reader, ReaderSettings
from squadlite.answering.tokenizer import Tokenizer
from squadlite.bench import reading
from squadlite.bench.own import OwnRuntime
from squadlite.bench.reading import RuntimeReader
from squadlite.errors import BenchError

PAIRS = [
    ("what moved?", "the lever was the only thing that moved " * 9),
    ("what moved?", "nothing"),
    ("what was white?", ""),
    ("who? " * 90, "the time traveller"),
]


def make_reader(n_positions: int) -> Reader:
    spec = tiny_spec()
    config = tiny_config(vocab_size=len(spec.vocab), max_position_embeddings=n_positions)
    return Reader(random_model(config), Tokenizer(spec), threads=1)


@pytest.mark.parametrize("n_positions", [48, 400])
def test_answers_are_those_of_the_reader(n_positions: int) -> None:
    reader = make_reader(n_positions)
    runtime_reader = RuntimeReader(OwnRuntime(reader), reader.tokenizer, n_positions)
    for found, expected in zip(
        runtime_reader.read_pairs(PAIRS), reader.read_pairs(PAIRS), strict=True
    ):
        assert found.null_score == pytest.approx(expected.null_score, abs=1e-4)
        assert len(found.spans) == len(expected.spans)
        for span, other in zip(found.spans[:3], expected.spans[:3], strict=True):
            assert (span.start, span.end, span.text) == (other.start, other.end, other.text)
            assert span.margin == pytest.approx(other.margin, abs=1e-4)


def test_settings_are_the_readers() -> None:
    assert vars(ReaderSettings()) == {
        "max_seq_length": reading.MAX_SEQ_LENGTH,
        "doc_stride": reading.DOC_STRIDE,
        "max_question_length": reading.MAX_QUESTION_LENGTH,
        "max_answer_length": reading.MAX_ANSWER_LENGTH,
        "n_best": reading.N_BEST,
        "max_batch_tokens": reading.MAX_BATCH_TOKENS,
    }


class Constant:
    """Logits of one value on tokens, another on padding."""

    def __init__(self, value: float, padding: float) -> None:
        self.values = value, padding

    def logits(
        self, input_ids: np.ndarray, token_type_ids: np.ndarray, attention_mask: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        logits = np.where(attention_mask, *map(np.float32, self.values))
        return logits, logits


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_logits_must_be_numbers_where_tokens_are(broken: float) -> None:
    tokenizer = Tokenizer(tiny_spec())
    with pytest.raises(BenchError, match="not finite"):
        RuntimeReader(Constant(broken, 0.0), tokenizer, 64).read_pairs(PAIRS)
    fine = RuntimeReader(Constant(0.0, broken), tokenizer, 64)
    assert len(fine.read_pairs(PAIRS)) == len(PAIRS)
