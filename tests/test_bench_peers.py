"""The peers run the very model that squadlite runs, each in its own library."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import padded_batch, random_model, tiny_config
from tiny_tokenizers import tiny_spec

from squadlite.answering.tokenizer import Tokenizer
from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.bench.kind import RuntimeKind, missing
from squadlite.bench.peers.weights import (
    dense_checkpoint,
    save_for_transformers,
)
from squadlite.bench.runtimes import RUNTIMES
from squadlite.convert import convert
from squadlite.errors import BenchError
from squadlite.model import Checkpoint, load_model, model_from_checkpoint, save_checkpoint

# What other libraries warn of while they convert is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")

PEERS = {name: kind for name, kind in RUNTIMES.items() if kind.is_peer}
IN_FLOAT32 = [name for name, kind in PEERS.items() if kind.precision == "f32"]
REDUCED = [
    # Calibrating takes longer than all the others.
    pytest.param(name, marks=pytest.mark.slow) if name == "openvino int8" else name
    for name in PEERS
    if name not in IN_FLOAT32
]
VOCAB = tiny_spec().vocab

MODELS: dict[str, dict[str, Any]] = {
    "bert": {
        "num_layers": 3,
        "layer_map": (0, 0, 1),
        "sketch_dims": {"attention.query": 9, "feed_forward.output": 15},
        "hidden_act": "gelu_new",
    },
    "distilbert": {"type_vocab_size": 0},
    "mpnet": {"type_vocab_size": 0, "relative_position_buckets": 32},
    "electra": {"embedding_size": 5},
    "albert": {"embedding_size": 5, "layer_map": (0, 0)},
}
NOT_IN_CTRANSLATE = ("mpnet", "electra", "albert")


def save_model(folder: Path, **changes: Any) -> Path:
    config = tiny_config(vocab_size=len(VOCAB), max_position_embeddings=64, **changes)
    save_checkpoint(folder, Checkpoint(config, random_model(config).state_dict()))
    (folder / "vocab.txt").write_text("\n".join(VOCAB) + "\n", encoding="utf-8")
    return folder


def squad_file(path: Path) -> Path:
    questions = [
        {"id": str(number), "question": f"what {word}?", "answers": []}
        for number, word in enumerate(("machine", "lever", "ivory"))
    ]
    paragraph = {"context": "the time traveller, a white machine; " * 3, "qas": questions}
    path.write_text(json.dumps({"data": [{"title": "", "paragraphs": [paragraph]}]}))
    return path


def peer(name: str) -> RuntimeKind:
    kind = PEERS[name]
    for module in (*kind.requires, *kind.prepare_requires):
        pytest.importorskip(module, reason=f"{module} comes with squadlite[bench]")
    reason = missing(kind)
    if reason is not None:
        pytest.skip(reason)
    return kind


def logits_of(kind: RuntimeKind, model: Path, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The peer's logits and ours for a padded batch, those of padding left out."""
    folder.mkdir()
    prepared = kind.prepare(model, folder, squad_file(folder.parent / "questions.json"))
    runtime = kind.load(prepared, 1)
    reference = load_model(model)
    inputs = padded_batch(reference.config)
    with torch.inference_mode():
        expected = np.stack([part.numpy() for part in reference(*inputs)])
    found = runtime.logits(*(part.numpy() for part in inputs))
    assert all(part.shape == inputs[0].shape and part.dtype == np.float32 for part in found)
    real = inputs[2].numpy()
    return np.stack(found)[:, real], expected[:, real]


@pytest.mark.parametrize("family", MODELS)
@pytest.mark.parametrize("name", IN_FLOAT32)
def test_a_peer_in_float32_computes_what_squadlite_computes(
    name: str, family: str, tmp_path: Path
) -> None:
    kind = peer(name)
    model = save_model(tmp_path / "model", **MODELS[family])
    if name == "ctranslate2 f32" and family in NOT_IN_CTRANSLATE:
        with pytest.raises(ValueError, match="No conversion is registered"):
            kind.prepare(model, tmp_path, None)
        return
    found, expected = logits_of(kind, model, tmp_path / "peer")
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("name", REDUCED)
def test_a_peer_in_less_than_float32_computes_nearly_that(name: str, tmp_path: Path) -> None:
    kind = peer(name)
    found, expected = logits_of(kind, save_model(tmp_path / "model"), tmp_path / "peer")
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.95


def test_dense_weights_compute_the_same_without_sharing_and_sketches(tmp_path: Path) -> None:
    model = save_model(tmp_path, **MODELS["bert"])
    dense = dense_checkpoint(model)
    assert dense.config.layer_map == (0, 1, 2)
    assert not dense.config.sketch_dims
    inputs = padded_batch(dense.config)
    for found, expected in zip(
        model_from_checkpoint(dense)(*inputs), load_model(model)(*inputs), strict=True
    ):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_a_sqz_file_gives_its_decoded_weights(tmp_path: Path) -> None:
    model = tmp_path / "model.sqz"
    convert(save_model(tmp_path / "model"), model, bits=5, per="row")
    folder = save_for_transformers(model, tmp_path / "written")
    written, decoded = load_model(folder).state_dict(), load_model(model).state_dict()
    torch.testing.assert_close(written, decoded, atol=0, rtol=0)


def test_transformers_reads_the_folder_with_the_same_tokens(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="comes with squadlite[bench]")
    model = save_model(tmp_path / "model")
    folder = save_for_transformers(model, tmp_path / "written")
    spec = TokenizerSpec.load(model)
    assert TokenizerSpec.from_folder(folder) == spec
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    text = "The TIME traveller’s é machine, whitelever 日!"
    assert (
        theirs(text, add_special_tokens=False)["input_ids"]
        == Tokenizer(spec).encode(text).ids.tolist()
    )


def test_static_int8_needs_questions(tmp_path: Path) -> None:
    kind = peer("openvino int8")
    with pytest.raises(BenchError, match="--questions"):
        kind.prepare(save_model(tmp_path / "model"), tmp_path, None)


def test_no_peer_loads_its_library_before_it_runs() -> None:
    check = (
        "import sys; import squadlite.bench.runtimes;"
        "sys.exit(not {'numpy', 'torch', 'onnx', 'openvino'}.isdisjoint(sys.modules))"
    )
    finished = subprocess.run([sys.executable, "-c", check], check=False)
    assert finished.returncode == 0
