"""The weights that squadlite runs, written as the other libraries read them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from squadlite.atomic import atomic_write
from squadlite.errors import TokenizerError

if TYPE_CHECKING:
    from torch import Tensor

    from squadlite.model import Checkpoint


def dense_checkpoint(model: Path) -> "Checkpoint":
    """
    Decode a model into the form that every library knows: no layer shared, nothing sketched.

    A layer that runs more than once is there as often; a sketched linear is the product of its
    parts, the weight (W S^T) S. Both compute what squadlite computes and cost what a model without
    sharing or sketches costs, since no peer has either.

    Args:
        model: a .sqz file or a checkpoint folder.

    Raises:
        SquadliteError: the model can't be read.
    """
    from squadlite.model import Checkpoint, load_model

    loaded = load_model(model)
    config = loaded.config
    stored = _folded(loaded.state_dict())
    tensors = {name: tensor for name, tensor in stored.items() if not name.startswith("layers.")}
    for executed, group in enumerate(config.layer_map):
        prefix = f"layers.{group}."
        tensors |= {
            # A copy: a weights file can't hold one tensor under two names.
            f"layers.{executed}.{name.removeprefix(prefix)}": tensor.clone()
            for name, tensor in stored.items()
            if name.startswith(prefix)
        }
    layer_map = tuple(range(config.num_layers))
    return Checkpoint(replace(config, layer_map=layer_map, sketch_dims={}), tensors)


def _folded(tensors: "dict[str, Tensor]") -> "dict[str, Tensor]":
    folded = {}
    for name, tensor in tensors.items():
        linear, _, leaf = name.rpartition(".")
        if leaf == "sketched_weight":
            folded[f"{linear}.weight"] = tensor @ tensors[f"{linear}.sketch"]
        elif leaf != "sketch":
            folded[name] = tensor
    return folded


def save_for_transformers(model: Path, folder: Path) -> Path:
    """
    Write a model and its tokenizer as a folder that transformers loads.

    Args:
        model: a .sqz file or a checkpoint folder.
        folder: made if it isn't there.

    Returns:
        The folder.

    Raises:
        SquadliteError: the model can't be read, or is one that none of our families can be.
        OSError: the folder can't be written to.
    """
    from squadlite.answering.tokenizer_spec import SPECIAL_FIELDS, TokenizerSpec, WordPieceSpec
    from squadlite.model import save_checkpoint

    save_checkpoint(folder, dense_checkpoint(model))
    spec = TokenizerSpec.load(model)
    if not isinstance(spec, WordPieceSpec):
        raise TokenizerError(f"{model}: its tokenizer is {spec.type_name}, expected word pieces")
    settings = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": spec.lowercase,
        "strip_accents": spec.strip_accents,
        "tokenize_chinese_chars": spec.handle_chinese_chars,
        **{name: getattr(spec, name) for name in SPECIAL_FIELDS},
    }
    with atomic_write(folder / "vocab.txt") as file:
        file.write("".join(f"{piece}\n" for piece in spec.vocab).encode())
    with atomic_write(folder / "tokenizer_config.json") as file:
        file.write(json.dumps(settings, indent=2).encode() + b"\n")
    return folder
