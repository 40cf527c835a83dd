"""Random models of every family, held to transformers'."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tiny_models import padded_batch, random_model, randomize, tiny_config

from squadlite.config import NUM_BUCKETS, ModelConfig
from squadlite.container import open_sqz, write_sqz
from squadlite.convert import convert
from squadlite.distances import distance_buckets
from squadlite.errors import CheckpointError, HeaderError
from squadlite.families import FAMILIES, family_fields
from squadlite.model import Checkpoint, PackedModel, load_checkpoint, load_model, save_checkpoint
from squadlite.tensors import read_config

SIZES: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 40,
}
# Name -> (model type, what its configuration says beside those sizes).
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("bert", {}),
    "roberta": ("roberta", {"type_vocab_size": 1, "layer_norm_eps": 1e-5}),
    "roberta, two token types": ("roberta", {}),
    "mpnet": ("mpnet", {"layer_norm_eps": 1e-5}),
    "mpnet, long windows": ("mpnet", {"max_position_embeddings": 514}),
    "electra": ("electra", {"embedding_size": 8}),
    "electra, wide embeddings": ("electra", {"embedding_size": 16, "hidden_act": "relu"}),
    "albert": ("albert", {"embedding_size": 8}),
    "albert, wide embeddings": ("albert", {"embedding_size": 16, "type_vocab_size": 3}),
    "albert, two groups": (
        "albert",
        {"embedding_size": 8, "num_hidden_layers": 5, "num_hidden_groups": 2},
    ),
}
# Without positions that none takes, and without a projection.
BERTS_IN_ALL_BUT_NAME = ("roberta, two token types", "electra, wide embeddings")


def make(name: str) -> Any:
    """One of transformers' models, random. Eval mode."""
    model_type, changes = MODELS[name]
    config = transformers.AutoConfig.for_model(model_type, **SIZES | changes)
    model = transformers.AutoModelForQuestionAnswering.from_config(config).eval()
    randomize(model)
    return model


def save(reference: Any, folder: Path) -> Path:
    """A checkpoint folder of a model of transformers."""
    reference.save_pretrained(folder)
    return folder


def batch_of(config: ModelConfig, length: int = 15) -> tuple[torch.Tensor, ...]:
    """Three windows, the last two padded; no token is padding's, 0 or 1."""
    ids, types, mask = padded_batch(config)
    repeats = -(-length // 15)
    parts = (part.repeat(1, repeats)[:, :length] for part in (ids.clamp(min=2), types))
    lengths = torch.tensor([length, length // 2, length - 3])
    mask = torch.arange(length) < lengths[:, None]
    ids, types = parts
    return ids.where(mask, 1), types, mask


def logits_of(reference: Any, config: ModelConfig, parts: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """(2, B, T), by transformers."""
    ids, types, mask = parts
    types_too = {"token_type_ids": types} if config.type_vocab_size else {}
    with torch.inference_mode():
        found = reference(input_ids=ids, attention_mask=mask.long(), **types_too)
    return torch.stack([found.start_logits, found.end_logits])


@pytest.mark.parametrize("name", MODELS)
def test_logits_equal_those_of_transformers(name: str, tmp_path: Path) -> None:
    reference = make(name)
    model = load_model(save(reference, tmp_path))
    for length in (15, min(model.config.max_position_embeddings, 300)):
        parts = batch_of(model.config, length)
        mask = parts[2]
        expected = logits_of(reference, model.config, parts)
        assert expected.std() > 0.05
        with torch.inference_mode():
            found = torch.stack(model(*parts))
        packed = torch.stack(PackedModel(model, "f32")(*parts))
        for logits in (found, packed):
            assert (logits - expected)[:, mask].abs().max() < 1e-4


def test_the_real_teacher_says_what_it_says_in_transformers(shared: Path) -> None:
    folder = shared / "checkpoints" / "mpnet-squad2-teacher"
    model = load_model(folder)
    reference = transformers.AutoModelForQuestionAnswering.from_pretrained(
        folder, dtype=torch.float32
    ).eval()
    parts = batch_of(model.config, 40)
    with torch.inference_mode():
        found = torch.stack(model(*parts))
    expected = logits_of(reference, model.config, parts)
    assert (found - expected)[:, parts[2]].abs().max() < 1e-4


@pytest.mark.parametrize("name", MODELS)
def test_approximate_logits_are_near(name: str, tmp_path: Path) -> None:
    model = load_model(save(make(name), tmp_path))
    parts = batch_of(model.config)
    exact = torch.stack(PackedModel(model, "f32")(*parts))
    rounded = torch.stack(PackedModel(model, "bf16")(*parts))
    assert (rounded - exact).square().mean() < 0.1 * exact.square().mean()


@pytest.mark.parametrize("name", MODELS)
def test_a_saved_model_is_transformers_again(name: str, tmp_path: Path) -> None:
    model_type, _ = MODELS[name]
    reference = make(name)
    loaded = load_checkpoint(save(reference, tmp_path / "theirs"))
    save_checkpoint(tmp_path / "ours", loaded)
    again = load_checkpoint(tmp_path / "ours")
    assert again.config == loaded.config
    torch.testing.assert_close(again.tensors, loaded.tensors, rtol=0, atol=0)
    read_back, report = transformers.AutoModelForQuestionAnswering.from_pretrained(
        tmp_path / "ours", output_loading_info=True
    )
    if name not in BERTS_IN_ALL_BUT_NAME:
        assert read_back.config.model_type == model_type
    assert not report["missing_keys"]
    parts = batch_of(loaded.config)
    expected = logits_of(reference, loaded.config, parts)
    found = logits_of(read_back.eval(), loaded.config, parts)
    torch.testing.assert_close(found[:, parts[2]], expected[:, parts[2]], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {"relative_position_buckets": NUM_BUCKETS, "type_vocab_size": 0},
        {"relative_position_buckets": NUM_BUCKETS, "type_vocab_size": 0, "embedding_size": 5},
        {"embedding_size": 5},
        {"embedding_size": 12},
        {"type_vocab_size": 1},
    ],
)
def test_shared_and_sketched_layers_come_back_in_every_family(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    for sharing in (
        {"num_layers": 5, "layer_map": (0, 0, 1, 0, 1)},
        {"num_layers": 4, "layer_map": (0, 0, 0, 0)},
        {"sketch_dims": {"attention.query": 4, "feed_forward.output": 6}},
    ):
        config = tiny_config(**changes, **sharing)
        tensors = random_model(config).state_dict()
        save_checkpoint(tmp_path, Checkpoint(config, tensors))
        loaded = load_checkpoint(tmp_path)
        assert loaded.config == config
        torch.testing.assert_close(loaded.tensors, dict(tensors), rtol=0, atol=0)


def test_shared_layers_equal_transformers_copies_of_them(tmp_path: Path) -> None:
    for name in ("roberta", "mpnet", "electra"):
        reference, folder = make(name), tmp_path / name
        layers = reference.base_model.encoder.layer
        layers[2] = layers[0]
        save(make(name), folder)
        tensors = {
            name: tensor.clone()
            for name, tensor in reference.state_dict().items()
            if ".layer.2." not in name
        }
        save_file(tensors, folder / "model.safetensors")
        change_config(folder, layer_map=[0, 1, 0])
        model = load_model(folder)
        parts = batch_of(model.config)
        expected = logits_of(reference, model.config, parts)
        with torch.inference_mode():
            found = torch.stack(model(*parts))
        assert (found - expected)[:, parts[2]].abs().max() < 1e-4


def change_config(folder: Path, **changes: Any) -> None:
    """Change fields of a folder's config.json."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        *(
            (name, "position_embedding_type", "relative_key")
            for name in ("bert", "roberta", "mpnet", "electra", "albert")
        ),
        ("roberta", "is_decoder", True),
        ("roberta", "pad_token_id", 0),
        ("mpnet", "relative_attention_num_buckets", 64),
        ("mpnet", "hidden_act", "silu"),
        ("albert", "inner_group_num", 2),
        ("electra", "add_cross_attention", True),
    ],
)
def test_an_option_that_we_do_not_compute_is_named(
    name: str, field: str, value: object, tmp_path: Path
) -> None:
    folder = save(make(name), tmp_path)
    change_config(folder, **{field: value})
    with pytest.raises(CheckpointError, match=rf"{field}.*{value}.*, expected"):
        load_checkpoint(folder)


@pytest.mark.parametrize("groups", [0, 4, -1, 1.0, "1", None, 2**40])
def test_a_number_of_groups_that_no_model_has_is_refused(groups: object, tmp_path: Path) -> None:
    folder = save(make("albert"), tmp_path)
    change_config(folder, num_hidden_groups=groups)
    with pytest.raises(CheckpointError):
        load_checkpoint(folder)


def test_a_missing_position_is_named(tmp_path: Path) -> None:
    folder = save(make("mpnet"), tmp_path)
    tensors = load_file(folder / "model.safetensors")
    name = "mpnet.embeddings.position_embeddings.weight"
    tensors[name] = tensors[name][2:].clone()
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"found shape \(38, 16\), expected \(40, 16\)"):
        load_checkpoint(folder)


@given(st.integers(1, 600))
def test_distances_fall_into_transformers_buckets(length: int) -> None:
    encoder = transformers.models.mpnet.modeling_mpnet.MPNetEncoder
    places = torch.arange(1 - length, length)
    expected = encoder.relative_position_bucket(places)
    assert distance_buckets(length).tolist() == expected.tolist()


@pytest.mark.parametrize("name", MODELS)
def test_a_file_holds_the_model_in_the_version_that_has_it(name: str, tmp_path: Path) -> None:
    folder = save(make(name), tmp_path / "model")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{i}" for i in range(55))]
    (folder / "vocab.txt").write_text("\n".join(pieces))
    expected = load_checkpoint(folder)
    is_new = bool(
        {"embedding_size", "relative_position_buckets"} & expected.config.to_dict().keys()
    )
    path = tmp_path / "model.sqz"
    if is_new:
        with pytest.raises(CheckpointError, match="format_version 1 has no model such as its"):
            convert(folder, path, format_version=1)
    convert(folder, path, bits=16, format_version=2 if is_new else 1)
    with open_sqz(path) as file:
        assert file.version == expected.config.version == ((2, 0) if is_new else (1, 0))
    model = load_model(path)
    assert model.config == expected.config
    for tensor_name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, expected.tensors[tensor_name], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "changes", [{"embedding_size": 5}, {"relative_position_buckets": NUM_BUCKETS}]
)
def test_a_file_of_version_1_has_no_such_model(changes: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "model.sqz"
    model = tiny_config(**changes).to_dict()
    write_sqz(path, model=model, tokenizer={}, metadata={}, tensors=[])
    with (
        open_sqz(path) as file,
        pytest.raises(HeaderError, match=r"in 2\.0, the file says .* 1\.0"),
    ):
        read_config(file)
    write_sqz(path, model=model, tokenizer={}, metadata={}, tensors=[], needed=(2, 0))
    with open_sqz(path) as file:
        assert read_config(file) == tiny_config(**changes)


def test_every_family_is_tried_and_says_its_architecture() -> None:
    tried = {model_type for model_type, _ in MODELS.values()}
    assert tried | {"distilbert"} == set(FAMILIES)
    for family in FAMILIES.values():
        assert hasattr(transformers, family.architecture)


def test_configurations_are_described_as_the_plainest_family_that_has_them() -> None:
    described = {
        "bert": {},
        "distilbert": {"type_vocab_size": 0},
        "roberta": {"type_vocab_size": 1},
        "mpnet": {"relative_position_buckets": NUM_BUCKETS, "type_vocab_size": 0},
        "electra": {"embedding_size": 5},
        "albert": {"embedding_size": 5, "layer_map": (0, 0)},
    }
    for model_type, changes in described.items():
        assert family_fields(tiny_config(**changes))["model_type"] == model_type
