"""The embedder: what a vector is made of, and what names the model that made it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import random_model, tiny_config
from tiny_tokenizers import tiny_spec

from squadlite.answering.embedder import Embedder, model_digest
from squadlite.answering.metadata import METADATA_FILE
from squadlite.answering.reader import Reader
from squadlite.answering.tokenizer import Tokenizer
from squadlite.convert import convert
from squadlite.errors import SquadliteError
from squadlite.model import Checkpoint, TorchScorer, save_checkpoint

TOKENIZER = Tokenizer(tiny_spec())
MODEL = random_model(tiny_config(vocab_size=len(TOKENIZER.spec.vocab)))
TEXTS = st.lists(st.text(st.sampled_from("the time machine é日 \n.,"), max_size=60), max_size=6)
EMBEDDING = {"pooling": "mean", "weight": 0.75}


def tiny_embedder(threads: int | None = 1) -> Embedder:
    return Embedder(TorchScorer(MODEL), TOKENIZER, weight=1.0, digest="tiny", threads=threads)


def embed_slowly(text: str) -> np.ndarray:
    """One text alone, as format_spec.md says it."""
    room = MODEL.config.max_position_embeddings - 2
    ids = [TOKENIZER.cls_id, *TOKENIZER.encode(text).ids[:room].tolist(), TOKENIZER.sep_id]
    with torch.inference_mode():
        input_ids = torch.tensor([ids])
        embedded = MODEL.embeddings(input_ids, torch.zeros_like(input_ids))
        hidden = MODEL.encode(embedded, MODEL.padded_attention(input_ids >= 0))
    mean = hidden[0].double().mean(dim=0).numpy()
    return mean / np.linalg.norm(mean)


@settings(deadline=None)
@given(TEXTS, st.integers(1, 3))
def test_embeds_as_a_slow_embedder_does(texts: list[str], threads: int) -> None:
    vectors = tiny_embedder(threads).embed(texts)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(texts), MODEL.config.hidden_size)
    for vector, text in zip(vectors, texts, strict=True):
        np.testing.assert_allclose(vector, embed_slowly(text), atol=1e-4)


def test_progress_counts_all_texts() -> None:
    told: list[tuple[int, int]] = []
    texts = ["the time machine " * n for n in range(200)]
    tiny_embedder().embed(texts, progress=lambda *step: told.append(step))
    assert told == sorted(told)
    assert told[-1] == (200, 200)
    assert len(told) > 2


def test_fewer_than_one_thread_is_refused() -> None:
    with pytest.raises(ValueError, match="threads is 0, expected at least 1"):
        tiny_embedder(0)


def test_a_damaged_model_is_told() -> None:
    model = random_model(MODEL.config)
    with torch.no_grad():
        model.layers[1].feed_forward.norm.bias[0] = torch.inf  # type: ignore[union-attr, index, operator]
    embedder = Embedder(TorchScorer(model), TOKENIZER, weight=1.0, digest="tiny", threads=1)
    with pytest.raises(SquadliteError, match="not all finite"):
        embedder.embed(["the time"])


def write_folder(folder: Path, *, seed: int = 0, **metadata: Any) -> Path:
    model = random_model(MODEL.config, seed=seed)
    save_checkpoint(folder, Checkpoint(model.config, model.state_dict()))
    (folder / "vocab.txt").write_text("\n".join(TOKENIZER.spec.vocab) + "\n")
    if metadata:
        (folder / METADATA_FILE).write_text(json.dumps(metadata))
    return folder


def test_a_reader_embeds_where_the_models_metadata_says_so(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder", embedding=EMBEDDING)
    convert(folder, tmp_path / "model.sqz", bits=16)
    from_folder, from_file = (
        Reader.load(path, threads=1).embedder for path in (folder, tmp_path / "model.sqz")
    )
    assert from_folder is not None
    assert from_file is not None
    assert from_folder.weight == from_file.weight == 0.75
    texts = ["the time machine", "the white lever"]
    np.testing.assert_allclose(from_folder.embed(texts), tiny_embedder().embed(texts), atol=1e-5)
    np.testing.assert_allclose(from_file.embed(texts), from_folder.embed(texts), atol=1e-2)


def test_a_reader_of_a_model_without_metadata_embeds_nothing(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder")
    convert(folder, tmp_path / "model.sqz")
    for path in (folder, tmp_path / "model.sqz"):
        assert Reader.load(path, threads=1).embedder is None


def test_a_digest_names_weights_configuration_and_tokenizer_alone(tmp_path: Path) -> None:
    plain = write_folder(tmp_path / "plain")
    told = write_folder(tmp_path / "told", embedding=EMBEDDING)
    other = write_folder(tmp_path / "other", seed=1)
    recased = write_folder(tmp_path / "recased")
    (recased / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    folders = [plain, told, other, recased]
    files = [folder.with_suffix(".sqz") for folder in folders]
    for folder, file in zip(folders, files, strict=True):
        convert(folder, file)
    for paths in (folders, files):
        first, second, *others = (model_digest(path) for path in paths)
        assert first == second
        assert len({first, *others}) == 3
