"""squadlite's own runtimes run what `squadlite ask` runs."""

from pathlib import Path

import numpy as np
import pytest
from tiny_models import calmed, padded_batch, random_model, tiny_config
from tiny_tokenizers import tiny_spec

from squadlite.answering.reader import Reader
from squadlite.bench import own
from squadlite.bench.kind import RuntimeKind, TellsInstructions, TextReader, missing
from squadlite.model import Checkpoint, save_checkpoint


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    vocab = tiny_spec().vocab
    # Wide enough to fill the vectors of our own kernels.
    config = tiny_config(
        vocab_size=len(vocab), max_position_embeddings=64, hidden_size=48, intermediate_size=64
    )
    save_checkpoint(tmp_path, Checkpoint(config, calmed(random_model(config).state_dict())))
    (tmp_path / "vocab.txt").write_text("\n".join(vocab) + "\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("kind", own.KINDS, ids=lambda kind: kind.name)
def test_answers_are_about_those_of_the_reader_in_float32(
    kind: RuntimeKind, checkpoint: Path
) -> None:
    assert not kind.is_peer
    if why_not := missing(kind):
        pytest.skip(why_not)
    assert kind.prepare(checkpoint, checkpoint / "unused", None) == checkpoint
    runtime = kind.load(checkpoint, 1)
    reader = Reader.load(checkpoint, threads=1)
    inputs = tuple(part.numpy() for part in padded_batch(reader.scorer.config))
    mask = inputs[2]
    expected = reader.scorer(*inputs, threads=1)
    tolerance = 1e-5 if kind.precision == "f32" else 0.05
    for found, other in zip(runtime.logits(*inputs), expected, strict=True):
        assert found.dtype == np.float32
        error = np.abs(found - other)[mask].max()
        assert error <= tolerance * np.abs(other[mask]).max()
    assert isinstance(runtime, TellsInstructions)
    told = runtime.instructions(lambda: runtime.logits(*inputs))
    if kind.precision == "int8":
        assert told == runtime.instructions(lambda: pytest.fail("kernels know it without a pass"))
        assert told is not None
        assert told.endswith("-bit vectors")
    assert isinstance(runtime, TextReader)
    (reading,) = runtime.read_pairs([("who?", "the time traveller")])
    assert reading.spans[0].text in "the time traveller"
