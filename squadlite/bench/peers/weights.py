"""The weights that squadlite runs, written as the other libraries read them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from squadlite.atomic import atomic_write

if TYPE_CHECKING:
    from torch import Tensor

    from squadlite.answering.tokenizer_spec import TokenizerSpec
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


def save_weights(model: Path, folder: Path) -> Path:
    """
    Write a model, without its tokenizer, as a folder that transformers loads.

    Args:
        model: a .sqz file or a checkpoint folder.
        folder: made if it isn't there.

    Returns:
        The folder.

    Raises:
        SquadliteError: the model can't be read, or is one that none of our families can be.
        OSError: the folder can't be written to.
    """
    from squadlite.model import save_checkpoint

    save_checkpoint(folder, dense_checkpoint(model))
    return folder


def save_for_transformers(model: Path, folder: Path) -> Path:
    """
    Write a model and its tokenizer as a folder that transformers loads; see `save_weights`.
    """
    from squadlite.answering.tokenizer_spec import SPECIAL_FIELDS, TokenizerSpec, WordPieceSpec

    save_weights(model, folder)
    spec = TokenizerSpec.load(model)
    settings = {name: getattr(spec, name) for name in SPECIAL_FIELDS}
    if isinstance(spec, WordPieceSpec):
        settings |= {
            "tokenizer_class": _WORD_PIECE_CLASSES[spec.template],
            "do_lower_case": spec.lowercase,
            "strip_accents": spec.strip_accents,
            "tokenize_chinese_chars": spec.handle_chinese_chars,
        }
        file_name, text = "vocab.txt", "".join(f"{piece}\n" for piece in spec.vocab)
    else:
        settings |= {"tokenizer_class": "PreTrainedTokenizerFast"}
        file_name, text = "tokenizer.json", _tokenizer_json(spec)
    with atomic_write(folder / file_name) as file:
        file.write(text.encode())
    with atomic_write(folder / "tokenizer_config.json") as file:
        file.write(json.dumps(settings, indent=2).encode() + b"\n")
    return folder


# Template -> transformers' tokenizer of word pieces that lays windows out so.
_WORD_PIECE_CLASSES = {"bert": "BertTokenizer", "roberta": "MPNetTokenizer"}


def _tokenizer_json(spec: "TokenizerSpec") -> str:
    from squadlite.answering.tokenizer import Tokenizer
    from squadlite.answering.tokenizer_spec import UnigramSpec

    whole = json.loads(Tokenizer(spec).to_json())
    if isinstance(spec, UnigramSpec):
        # Ours keeps special tokens out of texts by names that no text has, transformers looks for
        # them by their own. And the library writes some scores a little wrong.
        whole["model"]["vocab"] = list(zip(spec.vocab, spec.scores, strict=True))
    return json.dumps(whole, ensure_ascii=False)
