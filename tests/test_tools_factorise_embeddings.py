from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import padded_batch, random_model, tiny_config
from tiny_training import run_stage, write_checkpoint, write_squad

from squadlite.answering.reader import Reader
from squadlite.errors import CheckpointError
from squadlite.model import Checkpoint, load_checkpoint, model_from_checkpoint
from tools.factorise_embeddings import factorise_embeddings, main

SHAPES: dict[str, dict[str, object]] = {
    "bert": {},
    "distilbert": {"type_vocab_size": 0},
    "mpnet": {"type_vocab_size": 0, "relative_position_buckets": 32},
}


def checkpoint_of(**changes: object) -> Checkpoint:
    # Sums near 0, which normalising would blow up, must not decide: a large epsilon.
    model = random_model(tiny_config(**{"layer_norm_eps": 0.1, **changes}))
    return Checkpoint(model.config, {name: t.clone() for name, t in model.state_dict().items()})


def tables_of(checkpoint: Checkpoint) -> list[str]:
    return [
        name
        for name, tensor in checkpoint.tensors.items()
        if name.startswith("embeddings.") and tensor.ndim == 2 and "projection" not in name
    ]


def logits_of(checkpoint: Checkpoint) -> torch.Tensor:
    parts = padded_batch(checkpoint.config)
    return torch.stack(model_from_checkpoint(checkpoint)(*parts))[:, parts[2]]


@pytest.mark.parametrize("shape", SHAPES)
@given(rank=st.integers(1, 5), more=st.integers(0, 4), seed=st.integers(0, 99))
def test_embeddings_of_few_directions_lose_nothing(
    shape: str, rank: int, more: int, seed: int
) -> None:
    checkpoint = checkpoint_of(**SHAPES[shape])
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(rank, 12, generator=generator)
    for name in tables_of(checkpoint):
        rows = len(checkpoint.tensors[name])
        # The norm doesn't see what is added to all places of a vector.
        level = torch.randn(rows, 1, generator=generator)
        mixed = torch.randn(rows, rank, generator=generator) @ directions
        checkpoint.tensors[name] = mixed + level
    narrow, kept = factorise_embeddings(checkpoint, rank + 1 + more)
    assert kept == pytest.approx(1)
    torch.testing.assert_close(logits_of(narrow), logits_of(checkpoint), rtol=0, atol=2e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_computed_is_the_projected_sum_normalised(shape: str) -> None:
    checkpoint = checkpoint_of(**SHAPES[shape])
    narrow, kept = factorise_embeddings(checkpoint, 7)
    assert 0.5 < kept < 1
    gain = checkpoint.tensors["embeddings.norm.weight"]
    mixing = narrow.tensors["embeddings.projection.weight"] / gain[:, None]
    basis = mixing * (7 / 12) ** 0.5
    projected = dict(checkpoint.tensors)
    for name in tables_of(checkpoint):
        projected[name] = checkpoint.tensors[name] @ basis @ basis.T
    wide = Checkpoint(checkpoint.config, projected)
    torch.testing.assert_close(logits_of(narrow), logits_of(wide), rtol=0, atol=2e-3)


def test_wider_ones_keep_more_and_frequent_pieces_come_first() -> None:
    checkpoint = checkpoint_of()
    shares = [factorise_embeddings(checkpoint, size).kept for size in range(2, 12)]
    assert shares == sorted(shares)
    often = torch.ones(40)
    often[:3] = 1000
    even, weighted = (
        factorise_embeddings(checkpoint, 5, weights=weights).checkpoint for weights in (None, often)
    )

    def error(narrow: Checkpoint) -> float:
        ids = torch.arange(3)[:, None]
        types = torch.zeros_like(ids)
        wide_embeddings, narrow_embeddings = (
            model_from_checkpoint(part).embeddings(ids, types) for part in (checkpoint, narrow)
        )
        return float((wide_embeddings - narrow_embeddings).square().mean())

    assert error(weighted) < error(even)


@pytest.mark.parametrize("size", [1, 12, 13])
def test_a_width_that_is_not_narrow_is_refused(size: int) -> None:
    with pytest.raises(CheckpointError, match=f"found {size}, expected 2 to 11"):
        factorise_embeddings(checkpoint_of(), size)


def test_narrow_embeddings_are_not_narrowed_again() -> None:
    with pytest.raises(CheckpointError, match="width 5 already"):
        factorise_embeddings(checkpoint_of(embedding_size=5), 3)


def test_a_stage_writes_a_model_that_reads(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "in", **SHAPES["mpnet"])
    corpus = write_squad(tmp_path / "data.json", 3)
    result = run_stage(main, tmp_path / "in", tmp_path / "out", "--size", 9, "--corpus", corpus)
    assert "% of the embeddings' energy" in result.output
    assert load_checkpoint(tmp_path / "out").config.embedding_size == 9
    (reading,) = Reader.load(tmp_path / "out").read("who?", ["ada keeps the lighthouse"])
    assert reading.spans
