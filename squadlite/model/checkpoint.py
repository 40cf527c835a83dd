"""Hugging Face checkpoint folders: BERT and its relatives with a span head, under our names."""

import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from squadlite.atomic import atomic_write
from squadlite.config import ModelConfig, tensor_shapes
from squadlite.errors import CheckpointError, ConfigError
from squadlite.families import FAMILIES, Family, family_fields, modern_name
from squadlite.tensors import POSITION_EMBEDDINGS

CONFIG_FILE = "config.json"
WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")  # the first that is there is read

_DTYPES = (torch.float32, torch.float16, torch.bfloat16)

_HEAD = "span_head.weight"

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


@dataclass(frozen=True)
class Checkpoint:
    """A trained model: its configuration, and every tensor of its `state_dict()` in float32."""

    config: ModelConfig
    tensors: dict[str, torch.Tensor]


def load_checkpoint(folder: str | Path) -> Checkpoint:
    """
    Read a checkpoint folder in Hugging Face's layout.

    config.json is read with model.safetensors or, without that, pytorch_model.bin. Three fields of
    config.json are ours and optional: "layer_map", with which the folder holds the stored layers
    alone, "sketch_dims", and an MPNet's "embedding_size". A sketched linear has tensors
    `sketched_weight` and `sketch` in place of `weight`.

    Position embeddings that no token takes, as RoBERTa's first two, are left out.

    Args:
        folder: holds config.json and the weights, in float32, float16 or bfloat16.

    Raises:
        CheckpointError: a file missing or unreadable, a kind of model that we don't have, one
            without a span head, or a tensor missing, unknown or of the wrong shape.
    """
    folder = Path(folder)
    values = _read_config(folder)
    family = _find_family(folder, values)
    config = _make_config(folder, family, values)
    stored = read_weights(folder)
    if family.name_of(_HEAD) not in stored:
        found = values.get("architectures")
        raise CheckpointError(
            f"{folder}: found no span head '{family.name_of(_HEAD)}' and architectures "
            f"{found!r:.80}, expected {family.architecture}"
        )
    tensors = _rename(folder, family, config, stored)
    return Checkpoint(config, tensors)


def load_config(folder: str | Path) -> ModelConfig:
    """
    Read the configuration of the model in a checkpoint folder, whatever its head.

    Raises:
        CheckpointError: config.json is missing or unreadable, or describes a model that we don't
            have.
    """
    folder = Path(folder)
    values = _read_config(folder)
    return _make_config(folder, _find_family(folder, values), values)


def find_family(folder: str | Path) -> Family:
    """
    The family that a checkpoint folder says its model is of.

    Raises:
        CheckpointError: config.json is missing or unreadable, or names a kind of model, or an
            option of one, that we don't have.
    """
    folder = Path(folder)
    return _find_family(folder, _read_config(folder))


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

    transformers reads the folder too, unless layers are sketched, or shared otherwise than in
    ALBERT, or an MPNet's embeddings are narrow. The model is written as the plainest of our
    families that has what it has.

    Args:
        folder: made if it isn't there.
        checkpoint: what to write.

    Raises:
        CheckpointError: a model that none of them can be.
        OSError: the folder can't be written to.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = checkpoint.config
    values = family_fields(config)
    model_type = values["model_type"]
    family = FAMILIES[model_type]
    ours, read_back = config.to_dict(), family.config_values(values)
    if ours["layer_map"] != read_back["layer_map"]:
        values["layer_map"] = ours["layer_map"]
    if config.sketch_dims:
        values["sketch_dims"] = ours["sketch_dims"]
    for name in ours.keys() - {"layer_map", "sketch_dims"}:
        if read_back.get(name) != ours[name]:
            raise CheckpointError(
                f"{folder}: found {name} {ours[name]}, expected {read_back.get(name)}, "
                f"as every {model_type} has"
            )
    tensors = {
        family.name_of(name): tensor.detach().float().contiguous()
        for name, tensor in checkpoint.tensors.items()
    }
    if family.first_position:
        theirs = family.name_of(POSITION_EMBEDDINGS)
        unused = tensors[theirs].new_zeros(family.first_position, config.embedding_width)
        tensors[theirs] = torch.cat([unused, tensors[theirs]])
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


def _find_family(folder: Path, values: dict[str, Any]) -> Family:
    path = folder / CONFIG_FILE
    model_type = values.get("model_type")
    if not isinstance(model_type, str) or model_type not in FAMILIES:
        raise CheckpointError(
            f"{path}: found model_type {model_type!r}, expected one of {', '.join(FAMILIES)}"
        )
    family = FAMILIES[model_type]
    refused = family.refused(values)
    if refused is not None:
        name, found, expected = refused
        raise CheckpointError(f"{path}: found {name} {found!r}, expected {expected!r}")
    return family


def _make_config(folder: Path, family: Family, values: dict[str, Any]) -> ModelConfig:
    try:
        return ModelConfig.from_dict(family.config_values(values))
    except ConfigError as error:
        raise CheckpointError(f"{folder / CONFIG_FILE}: {error}") from error


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """
    Read the tensors of a checkpoint folder under the names that they are stored with.

    Raises:
        CheckpointError: a file missing or unreadable.
    """
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
    if not isinstance(tensors, dict) or not all(map(_is_named_tensor, tensors.items())):
        raise CheckpointError(f"{path}: found {type(tensors).__name__}, expected named tensors")
    return tensors


def _is_named_tensor(entry: tuple[object, object]) -> bool:
    name, tensor = entry
    return isinstance(name, str) and isinstance(tensor, torch.Tensor)


def _rename(
    folder: Path, family: Family, config: ModelConfig, stored: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    by_their_name = {modern_name(name): tensor for name, tensor in stored.items()}
    tensors = {}
    for name, shape in tensor_shapes(config).items():
        unused = family.first_position if name == POSITION_EMBEDDINGS else 0
        stored_shape = (shape[0] + unused, *shape[1:])
        theirs = family.name_of(name)
        if theirs not in by_their_name:
            raise CheckpointError(
                f"{folder}: tensor '{theirs}' is missing, expected shape {stored_shape}"
            )
        tensor = by_their_name.pop(theirs)
        tensors[name] = _checked(folder, theirs, tensor, stored_shape)[unused:]
    extra = [name for name in by_their_name if not name.startswith(family.ignored)]
    if extra:
        raise CheckpointError(f"{folder}: tensor '{extra[0]}' is unknown to this model")
    return tensors


def _checked(folder: Path, name: str, tensor: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    if tensor.dtype not in _DTYPES:
        expected = ", ".join(map(str, _DTYPES))
        raise CheckpointError(
            f"{folder}: tensor '{name}': found {tensor.dtype}, expected {expected}"
        )
    if tensor.shape != shape:
        found = tuple(tensor.shape)
        raise CheckpointError(f"{folder}: tensor '{name}': found shape {found}, expected {shape}")
    return tensor.float()
