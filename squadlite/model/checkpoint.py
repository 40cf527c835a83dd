"""Hugging Face checkpoint folders: BERT and DistilBERT with a span head, under our names."""

import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from squadlite.atomic import atomic_write
from squadlite.errors import CheckpointError, ConfigError
from squadlite.model.config import MAX_LAYERS, ModelConfig
from squadlite.model.encoder import tensor_shapes

CONFIG_FILE = "config.json"
_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")  # the first that is there is read


@dataclass(frozen=True)
class Checkpoint:
    """A trained model: its configuration, and every tensor of its `state_dict()` in float32."""

    config: ModelConfig
    tensors: dict[str, torch.Tensor]


@dataclass(frozen=True)
class _Family:
    """How one model type of Hugging Face names what we have."""

    fields: Mapping[str, str]  # our config field -> the field in config.json
    defaults: Mapping[str, object]  # our config field -> what transformers takes when it is absent
    modules: Mapping[str, str]  # our module -> theirs; "layers.{}" is written once for all
    ignored: tuple[str, ...]  # beginnings of tensors that a question-answering model never uses


_BERT = _Family(
    fields={
        "vocab_size": "vocab_size",
        "hidden_size": "hidden_size",
        "num_layers": "num_hidden_layers",
        "num_heads": "num_attention_heads",
        "intermediate_size": "intermediate_size",
        "max_position_embeddings": "max_position_embeddings",
        "type_vocab_size": "type_vocab_size",
        "layer_norm_eps": "layer_norm_eps",
        "hidden_act": "hidden_act",
    },
    defaults={"type_vocab_size": 2, "layer_norm_eps": 1e-12, "hidden_act": "gelu"},
    modules={
        "embeddings.word": "bert.embeddings.word_embeddings",
        "embeddings.position": "bert.embeddings.position_embeddings",
        "embeddings.token_type": "bert.embeddings.token_type_embeddings",
        "embeddings.norm": "bert.embeddings.LayerNorm",
        "layers.{}.attention.query": "bert.encoder.layer.{}.attention.self.query",
        "layers.{}.attention.key": "bert.encoder.layer.{}.attention.self.key",
        "layers.{}.attention.value": "bert.encoder.layer.{}.attention.self.value",
        "layers.{}.attention.output": "bert.encoder.layer.{}.attention.output.dense",
        "layers.{}.attention.norm": "bert.encoder.layer.{}.attention.output.LayerNorm",
        "layers.{}.feed_forward.intermediate": "bert.encoder.layer.{}.intermediate.dense",
        "layers.{}.feed_forward.output": "bert.encoder.layer.{}.output.dense",
        "layers.{}.feed_forward.norm": "bert.encoder.layer.{}.output.LayerNorm",
        "span_head": "qa_outputs",
    },
    ignored=("bert.embeddings.position_ids", "bert.embeddings.token_type_ids", "bert.pooler."),
)

_DISTILBERT = _Family(
    fields={
        "vocab_size": "vocab_size",
        "hidden_size": "dim",
        "num_layers": "n_layers",
        "num_heads": "n_heads",
        "intermediate_size": "hidden_dim",
        "max_position_embeddings": "max_position_embeddings",
        "hidden_act": "activation",
    },
    defaults={"type_vocab_size": 0, "layer_norm_eps": 1e-12, "hidden_act": "gelu"},
    modules={
        "embeddings.word": "distilbert.embeddings.word_embeddings",
        "embeddings.position": "distilbert.embeddings.position_embeddings",
        "embeddings.norm": "distilbert.embeddings.LayerNorm",
        "layers.{}.attention.query": "distilbert.transformer.layer.{}.attention.q_lin",
        "layers.{}.attention.key": "distilbert.transformer.layer.{}.attention.k_lin",
        "layers.{}.attention.value": "distilbert.transformer.layer.{}.attention.v_lin",
        "layers.{}.attention.output": "distilbert.transformer.layer.{}.attention.out_lin",
        "layers.{}.attention.norm": "distilbert.transformer.layer.{}.sa_layer_norm",
        "layers.{}.feed_forward.intermediate": "distilbert.transformer.layer.{}.ffn.lin1",
        "layers.{}.feed_forward.output": "distilbert.transformer.layer.{}.ffn.lin2",
        "layers.{}.feed_forward.norm": "distilbert.transformer.layer.{}.output_layer_norm",
        "span_head": "qa_outputs",
    },
    ignored=("distilbert.embeddings.position_ids",),
)

_FAMILIES = {"bert": _BERT, "distilbert": _DISTILBERT}

# What the first BERT checkpoints call a norm's weight and bias.
_OLD_ENDINGS = {".LayerNorm.gamma": ".LayerNorm.weight", ".LayerNorm.beta": ".LayerNorm.bias"}

# Damaged bytes make torch's restricted unpickler stumble in many ways, all of them harmless.
_PICKLE_ERRORS = (
    OSError,
    EOFError,
    pickle.UnpicklingError,
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
)


def load_checkpoint(folder: str | Path) -> Checkpoint:
    """
    Read a checkpoint folder in Hugging Face's layout.

    config.json is read with model.safetensors or, without that, pytorch_model.bin. Two fields of
    config.json are ours and optional: "layer_map", with which the folder holds the stored layers
    alone, and "sketch_dims". A sketched linear has tensors `sketched_weight` and `sketch` in place
    of `weight`.

    Args:
        folder: holds config.json and the weights, in float32, float16 or bfloat16.

    Raises:
        CheckpointError: a file missing or unreadable, a kind of model that we don't have, or a
            tensor missing, unknown or of the wrong shape.
    """
    folder = Path(folder)
    values = _read_config(folder)
    family = _find_family(folder, values)
    config = _make_config(folder, family, values)
    stored = _read_weights(folder)
    tensors = _rename(folder, family, config, stored)
    return Checkpoint(config, tensors)


def find_weights(folder: Path) -> Path:
    """
    The file that holds the weights of a checkpoint folder.

    Raises:
        CheckpointError: there is none, or there are several.
    """
    for name in WEIGHT_FILES:
        if (folder / name).is_file():
            return folder / name
    several = (folder / "model.safetensors.index.json").is_file()
    found = "weights in several files" if several else "no weights"
    raise CheckpointError(f"{folder}: found {found}, expected {' or '.join(WEIGHT_FILES)}")


def save_checkpoint(folder: str | Path, checkpoint: Checkpoint) -> None:
    """
    Write config.json and model.safetensors (float32) in Hugging Face's layout.

    transformers reads the folder too, unless layers are shared or sketched. A model with token
    types is written as BERT, one without as DistilBERT.

    Args:
        folder: made if it isn't there.
        checkpoint: what to write.

    Raises:
        OSError: the folder can't be written to.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = checkpoint.config
    model_type = "bert" if config.type_vocab_size else "distilbert"
    family = _FAMILIES[model_type]
    ours = config.to_dict()
    architecture = {"bert": "Bert", "distilbert": "DistilBert"}[model_type]
    values: dict[str, Any] = {
        "model_type": model_type,
        "architectures": [f"{architecture}ForQuestionAnswering"],
        **{theirs: ours[name] for name, theirs in family.fields.items()},
    }
    if config.layer_map != tuple(range(config.num_layers)):
        values["layer_map"] = ours["layer_map"]
    if config.sketch_dims:
        values["sketch_dims"] = ours["sketch_dims"]
    tensors = {
        _their_name(family, name): tensor.detach().float().contiguous()
        for name, tensor in checkpoint.tensors.items()
    }
    with atomic_write(folder / WEIGHT_FILES[0]) as file:
        file.write(safetensors.torch.save(tensors, metadata={"format": "pt"}))
    with atomic_write(folder / CONFIG_FILE) as file:
        file.write(json.dumps(values, indent=2).encode() + b"\n")


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG_FILE
    try:
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{path}: can't be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: found no JSON ({error}), expected an object") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: found {type(values).__name__}, expected an object")
    return values


def _find_family(folder: Path, values: dict[str, Any]) -> _Family:
    path = folder / CONFIG_FILE
    model_type = values.get("model_type")
    if not isinstance(model_type, str) or model_type not in _FAMILIES:
        raise CheckpointError(
            f"{path}: found model_type {model_type!r}, expected one of {', '.join(_FAMILIES)}"
        )
    positions = values.get("position_embedding_type", "absolute")
    if positions != "absolute":
        raise CheckpointError(
            f"{path}: found position_embedding_type {positions!r}, expected 'absolute'"
        )
    return _FAMILIES[model_type]


def _make_config(folder: Path, family: _Family, values: dict[str, Any]) -> ModelConfig:
    ours = dict(family.defaults)
    ours |= {name: values[theirs] for name, theirs in family.fields.items() if theirs in values}
    ours["layer_map"] = values.get("layer_map", _unshared(ours.get("num_layers")))
    ours["sketch_dims"] = values.get("sketch_dims", {})
    try:
        return ModelConfig.from_dict(ours)
    except ConfigError as error:
        raise CheckpointError(f"{folder / CONFIG_FILE}: {error}") from error


def _unshared(num_layers: object) -> list[int]:
    # The count is not validated yet: a hostile one must not become a list as long.
    return list(range(num_layers)) if type(num_layers) is int and num_layers <= MAX_LAYERS else []


def _read_weights(folder: Path) -> dict[str, torch.Tensor]:
    path = find_weights(folder)
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: can't be read as safetensors ({error})") from error


def _read_pickle(path: Path) -> dict[str, torch.Tensor]:
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except _PICKLE_ERRORS as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"{path}: can't be read as tensors ({reason})") from error
    if not isinstance(tensors, dict) or not all(isinstance(name, str) for name in tensors):
        raise CheckpointError(f"{path}: found {type(tensors).__name__}, expected named tensors")
    return tensors


def _rename(
    folder: Path, family: _Family, config: ModelConfig, stored: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    by_their_name = {_modern_name(name): tensor for name, tensor in stored.items()}
    tensors = {}
    for name, shape in tensor_shapes(config).items():
        theirs = _their_name(family, name)
        if theirs not in by_their_name:
            raise CheckpointError(f"{folder}: tensor '{theirs}' is missing, expected shape {shape}")
        tensor = by_their_name.pop(theirs)
        tensors[name] = _checked(folder, theirs, tensor, shape)
    extra = [name for name in by_their_name if not name.startswith(family.ignored)]
    if extra:
        raise CheckpointError(f"{folder}: tensor '{extra[0]}' is unknown to this model")
    return tensors


def _checked(folder: Path, name: str, tensor: object, shape: tuple[int, ...]) -> torch.Tensor:
    if not isinstance(tensor, torch.Tensor) or tensor.dtype not in _DTYPES:
        kind = tensor.dtype if isinstance(tensor, torch.Tensor) else type(tensor).__name__
        expected = ", ".join(map(str, _DTYPES))
        raise CheckpointError(f"{folder}: tensor '{name}': found {kind}, expected {expected}")
    if tensor.shape != shape:
        found = tuple(tensor.shape)
        raise CheckpointError(f"{folder}: tensor '{name}': found shape {found}, expected {shape}")
    return tensor.float()


def _their_name(family: _Family, name: str) -> str:
    # "layers.3.attention.query.weight" is module "layers.{}.attention.query" of layer 3, "weight".
    module, _, leaf = name.rpartition(".")
    if not module.startswith("layers."):
        return f"{family.modules[module]}.{leaf}"
    _, stored_layer, rest = module.split(".", 2)
    return f"{family.modules[f'layers.{{}}.{rest}'].format(stored_layer)}.{leaf}"


def _modern_name(name: str) -> str:
    for old, new in _OLD_ENDINGS.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name
