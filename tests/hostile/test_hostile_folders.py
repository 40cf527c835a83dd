"""Checkpoint folders with anything anywhere in their files: read, or refused by our errors."""

import json
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from changed_json import SMALL_JSON, changed
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import random_model, tiny_config
from tiny_tokenizers import tiny_spec

from benchmarks.example_tokenizers import TOKENIZERS, write_tokenizer
from squadlite.answering.confidence import load_confidence
from squadlite.answering.metadata import METADATA_FILE, EmbeddingConfig
from squadlite.answering.tokenizer import Tokenizer
from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.errors import CheckpointError, SquadliteError, TokenizerError
from squadlite.families import FAMILIES
from squadlite.model import Checkpoint, load_checkpoint, save_checkpoint
from squadlite.source import SKETCH_SEEDS_FILE, load_sketch_seeds
from tools.add_span_head import load_encoder
from tools.folders import STAGES_FILE, is_ours, load_stages
from tools.prune_vocab import write_pruned_tokenizer

# Some stand for a section that has no settings, and look like one to careless readers.
KINDS = st.sampled_from(
    ["BertProcessing", "Metaspace", "NFC", "Precompiled", "Replace", "Sequence", "Strip", "Unigram"]
)
REPLACEMENTS = SMALL_JSON | KINDS | KINDS.map(lambda kind: {"type": kind})

# A model of each family.
CONFIGS: dict[str, dict[str, Any]] = {
    "bert": {},
    "distilbert": {"type_vocab_size": 0},
    "roberta": {"type_vocab_size": 1},
    "mpnet": {"type_vocab_size": 0, "relative_position_buckets": 32},
    "electra": {"embedding_size": 8},
    "albert": {"embedding_size": 8, "layer_map": (0, 0)},
}


def write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def word_pieces() -> dict[str, Any]:
    """A tokenizer.json as BERT's, with nothing that says its template."""
    vocab = {piece: number for number, piece in enumerate(tiny_spec().vocab)}
    return {
        "added_tokens": [{"id": 0, "content": "[PAD]", "special": True}],
        "padding": {"pad_id": 0, "pad_token": "[PAD]"},
        "normalizer": {"type": "BertNormalizer", "lowercase": True, "strip_accents": None},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": None,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "vocab": vocab},
    }


@pytest.fixture(scope="module", params=[*TOKENIZERS, "word_pieces"])
def tokenizer_files(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """A folder, and what its files hold by their names."""
    folder = tmp_path_factory.mktemp("tokenizer")
    if request.param == "word_pieces":
        write(folder / "tokenizer.json", word_pieces())
        write(folder / "tokenizer_config.json", {"tokenizer_class": "BertTokenizer"})
    else:
        kind = request.param.removesuffix("_space")
        write_tokenizer(folder, TOKENIZERS[request.param](), kind)
    spec = TokenizerSpec.from_folder(folder)
    config = json.loads((folder / "tokenizer_config.json").read_bytes())
    config["added_tokens_decoder"] = {"0": {"content": spec.vocab[0], "special": True}}
    write(folder / "tokenizer_config.json", config)
    write(folder / "kept_ids.json", list(range(len(spec.vocab))))
    return folder, {path.name: json.loads(path.read_bytes()) for path in folder.iterdir()}


@settings(max_examples=120)
@given(data=st.data())
def test_a_tokenizers_files(
    tokenizer_files: tuple[Path, dict[str, Any]], data: st.DataObject
) -> None:
    folder, files = tokenizer_files
    name = data.draw(st.sampled_from(["tokenizer.json", *sorted(files)]))
    try:
        write(folder / name, data.draw(changed(files[name], REPLACEMENTS)))
        with suppress(CheckpointError, TokenizerError):
            spec = TokenizerSpec.from_folder(folder)
            spec.to_tensors()
            Tokenizer(spec).encode("The  then ½ \x00 日本 ``<s>'' [SEP]")
    finally:
        write(folder / name, files[name])


@settings(max_examples=50)
@given(data=st.data())
def test_a_tokenizers_files_when_its_vocabulary_is_pruned(
    tokenizer_files: tuple[Path, dict[str, Any]], data: st.DataObject
) -> None:
    folder, files = tokenizer_files
    spec = TokenizerSpec.from_folder(folder)
    name = data.draw(st.sampled_from(["tokenizer.json", "tokenizer_config.json"]))
    try:
        write(folder / name, data.draw(changed(files[name], REPLACEMENTS)))
        with suppress(CheckpointError):
            write_pruned_tokenizer(folder, spec, spec.must_keep().nonzero()[0].tolist())
    finally:
        for changed_name in files:
            write(folder / changed_name, files[changed_name])
        (folder / "vocab.txt").unlink(missing_ok=True)


@pytest.fixture(scope="module", params=CONFIGS)
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    config = tiny_config(**CONFIGS[request.param])
    save_checkpoint(folder, Checkpoint(config, random_model(config).state_dict()))
    return folder


def test_every_family_is_among_them() -> None:
    assert CONFIGS.keys() == FAMILIES.keys()


@settings(max_examples=60)
@given(data=st.data())
def test_a_configuration(checkpoint: Path, data: st.DataObject) -> None:
    path = checkpoint / "config.json"
    whole = json.loads(path.read_bytes())
    ours = {"layer_map": list(load_checkpoint(checkpoint).config.layer_map), "sketch_dims": {}}
    try:
        write(path, data.draw(changed(whole | ours)))
        for read in (load_checkpoint, is_ours, lambda folder: load_encoder(folder, seed=0)):
            with suppress(CheckpointError):
                read(checkpoint)
    finally:
        write(path, whole)


# Of a tensor in a safetensors file.
OTHER_ENTRIES = st.sampled_from(["BOOL", "C64", "F16", "F4", "F64", "F8_E5M2", "I64", "U16"]) | (
    st.lists(st.integers(-1, 64), min_size=2, max_size=2)
)


@pytest.mark.parametrize("checkpoint", ["bert"], indirect=True)
@settings(max_examples=100)
@given(data=st.data())
def test_a_header_of_weights(checkpoint: Path, data: st.DataObject) -> None:
    path = checkpoint / "model.safetensors"
    whole = path.read_bytes()
    end = 8 + struct.unpack_from("<Q", whole)[0]
    header = data.draw(changed(json.loads(whole[8:end]), SMALL_JSON | OTHER_ENTRIES))
    encoded = json.dumps(header).encode()
    try:
        path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + whole[end:])
        with suppress(CheckpointError):
            load_checkpoint(checkpoint)
    finally:
        path.write_bytes(whole)


def read_metadata(folder: Path) -> None:
    EmbeddingConfig.load(folder)
    load_confidence(folder)


OTHER_FILES: dict[str, tuple[Any, Callable[[Path], object]]] = {
    METADATA_FILE: (
        {
            "name": "small",
            "embedding": {"pooling": "mean", "weight": 0.5},
            "answering": {
                "weights": {"margin": 1.0},
                "bias": 0.5,
                "slope": 1,
                "intercept": -0.25,
                "threshold": 0.5,
            },
        },
        read_metadata,
    ),
    SKETCH_SEEDS_FILE: ({"layers.0.attention.query.sketch": 3}, load_sketch_seeds),
    STAGES_FILE: ([{"stage": "sketch", "seed": 3}], load_stages),
}


@pytest.mark.parametrize("name", OTHER_FILES)
@given(data=st.data())
def test_what_stands_beside_a_model(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp()
    whole, read = OTHER_FILES[name]
    try:
        write(folder / name, whole)
        read(folder)
        write(folder / name, data.draw(changed(whole)))
        with suppress(SquadliteError):
            read(folder)
    finally:
        (folder / name).unlink()
