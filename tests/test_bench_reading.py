"""Reading with bare logits gives what squadlite's own reader gives."""

import numpy as np
import pytest
from tiny_models import random_model, tiny_config
from tiny_tokenizers import tiny_spec

from squadlite.answering.reader import Reader
from squadlite.answering.spans import Reading
from squadlite.answering.tokenizer import Tokenizer
from squadlite.bench.own import OwnRuntime
from squadlite.bench.reading import RuntimeScorer
from squadlite.errors import SquadliteError
from squadlite.model import TorchScorer

PAIRS = [
    ("what moved?", "the lever was the only thing that moved " * 9),
    ("what moved?", "nothing"),
    ("what was white?", ""),
    ("who? " * 90, "the time traveller"),
]


def make_reader(n_positions: int) -> Reader:
    spec = tiny_spec()
    config = tiny_config(vocab_size=len(spec.vocab), max_position_embeddings=n_positions)
    return Reader(TorchScorer(random_model(config)), Tokenizer(spec), threads=1)


@pytest.mark.parametrize("n_positions", [48, 400])
def test_answers_are_those_of_the_reader(n_positions: int) -> None:
    reader = make_reader(n_positions)
    scorer = RuntimeScorer(OwnRuntime(reader), reader.scorer.config)
    bare = Reader(scorer, reader.tokenizer, threads=1)
    for found, expected in zip(bare.read_pairs(PAIRS), reader.read_pairs(PAIRS), strict=True):
        assert found.null_score == pytest.approx(expected.null_score, abs=1e-4)
        assert len(found.spans) == len(expected.spans)
        for span, other in zip(found.spans[:3], expected.spans[:3], strict=True):
            assert (span.start, span.end, span.text) == (other.start, other.end, other.text)
            assert span.margin == pytest.approx(other.margin, abs=1e-4)


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
    reader = make_reader(64)

    def read(runtime: Constant) -> list[Reading]:
        scorer = RuntimeScorer(runtime, reader.scorer.config)
        return Reader(scorer, reader.tokenizer, threads=1).read_pairs(PAIRS)

    with pytest.raises(SquadliteError, match="not all finite"):
        read(Constant(broken, 0.0))
    assert len(read(Constant(0.0, broken))) == len(PAIRS)
