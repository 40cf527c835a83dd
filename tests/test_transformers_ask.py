"""The job that squadlite is timed beside is the same job."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import random_model, tiny_config
from tiny_tokenizers import WORDS, tiny_spec

from benchmarks.transformers_ask import MAX_ANSWER_LENGTH, _best_span, _read
from squadlite.answering.reader import Reader
from squadlite.bench.peers.weights import save_for_transformers
from squadlite.model import Checkpoint, save_checkpoint

LOGITS = st.integers(-8, 8)


@given(st.lists(st.tuples(LOGITS, LOGITS, st.sampled_from([None, 0, 1])), min_size=1, max_size=12))
def test_the_best_span_is_that_of_all_spans(tokens: list[tuple[int, int, int | None]]) -> None:
    starts, ends, sequence_ids = zip(*tokens, strict=True)
    logits = np.array([starts, ends], dtype=np.float32)
    found = _best_span(logits, list(sequence_ids))
    scores = [
        starts[first] + ends[last] - starts[0] - ends[0]
        for first in range(len(tokens))
        for last in range(first, min(first + MAX_ANSWER_LENGTH, len(tokens)))
        if sequence_ids[first] == 1 == sequence_ids[last]
    ]
    if not scores:
        assert found is None or found[0] == -np.inf
    else:
        assert found is not None
        assert found[0] == max(scores)


@pytest.mark.filterwarnings("ignore")  # transformers' own
def test_it_gives_the_answer_that_squadlite_gives(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="comes with squadlite[bench]")
    config = tiny_config(vocab_size=len(tiny_spec().vocab), max_position_embeddings=64)
    model = tmp_path / "model"
    save_checkpoint(model, Checkpoint(config, random_model(config, seed=3).state_dict()))
    vocab = "\n".join(tiny_spec().vocab) + "\n"
    (model / "vocab.txt").write_text(vocab, encoding="utf-8")
    folder = save_for_transformers(model, tmp_path / "written")

    words = [word for word in WORDS if not word.startswith("##")]
    generator = np.random.default_rng(0)
    passages = [" ".join(generator.choice(words, size)) for size in generator.integers(3, 18, 11)]
    readings = Reader.load(model, threads=1).read("the lever?", passages)
    best = max((reading.spans[0] for reading in readings), key=lambda span: span.margin)
    assert best.margin > 0

    answer = _read(
        "the lever?",
        passages,
        transformers.AutoTokenizer.from_pretrained(folder),
        transformers.AutoModelForQuestionAnswering.from_pretrained(folder).eval(),
    )
    assert answer == best.text
