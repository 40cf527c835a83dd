"""What a conversion starts from: a checkpoint folder, or a .sqz file that is to be made smaller."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from squadlite.answering.metadata import METADATA_FILE, load_metadata
from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.container import Rademacher, SqzFile, open_sqz
from squadlite.digests import digest_of
from squadlite.errors import CheckpointError
from squadlite.families import FAMILIES, model_type_of
from squadlite.model import Checkpoint, checkpoint_from_sqz, load_checkpoint
from squadlite.model.checkpoint import CONFIG_FILE, find_family, find_weights
from squadlite.tensors import WORD_EMBEDDINGS

# In a checkpoint folder: tensor name -> the seed that the signs of this sketch were made from.
SKETCH_SEEDS_FILE = "sketch_seeds.json"
# What a conversion itself writes into a file's metadata.
OWN_METADATA = ("source", "recipe", "squadlite")


@dataclass(frozen=True)
class Source:
    """
    A model that is to be converted.

    Args:
        family: the name of what it is; of a .sqz file, which doesn't say, of the plainest family
            that can be all it is.
        checkpoint: its configuration and tensors, as many word embeddings as pieces.
        spec: its tokenizer.
        metadata: what it says of its use, and whatever else the new file is to say too.
        origin: what the new file says of where it comes from, with digests.
        seeds: tensor name -> the seed that the signs of this sketch were made from.
    """

    family: str
    checkpoint: Checkpoint
    spec: TokenizerSpec
    metadata: Mapping[str, Any]
    origin: Mapping[str, Any]
    seeds: Mapping[str, int]


def load_source(path: Path) -> Source:
    """
    Load a checkpoint folder in Hugging Face's layout, or a .sqz file.

    What a file itself says of its source and recipe becomes part of the origin.

    Raises:
        CheckpointError, TokenizerError: a folder that can't be loaded.
        FormatError: not a .sqz file, or damaged, or without a model that we know.
        OSError: there is nothing at `path`, or it can't be read.
    """
    if path.is_dir():
        return _from_folder(path)
    with open_sqz(path) as file:
        return _from_sqz(file)


def _from_folder(folder: Path) -> Source:
    metadata = load_metadata(folder)
    for name in OWN_METADATA:
        if name in metadata:
            raise CheckpointError(
                f"{folder / METADATA_FILE}: {name!r} is written by the conversion itself"
            )
    spec = TokenizerSpec.from_folder(folder)
    checkpoint = fit_to_vocab(folder, load_checkpoint(folder), spec)
    files = [folder / CONFIG_FILE, find_weights(folder)]
    vocabularies = (folder / name for name in ("vocab.txt", "tokenizer.json", "vocab.json"))
    files.append(next(path for path in vocabularies if path.is_file()))
    name = folder.resolve().name
    origin = {"name": name, "sha256": {path.name: digest_of(path) for path in files}}
    facts = {"name": name, **metadata}
    family = find_family(folder).name
    return Source(family, checkpoint, spec, facts, origin, load_sketch_seeds(folder))


def _from_sqz(file: SqzFile) -> Source:
    spec = TokenizerSpec.from_sqz(file)
    checkpoint = fit_to_vocab(file.path, checkpoint_from_sqz(file), spec)
    metadata = dict(file.metadata)
    own = {name: metadata.pop(name) for name in OWN_METADATA if name in metadata}
    name = file.path.name
    origin = {"name": name, "sha256": {name: digest_of(file.path)}, **own}
    seeds = {
        info.name: info.codec.seed
        for info in file.tensors.values()
        if isinstance(info.codec, Rademacher) and info.codec.seed is not None
    }
    family = FAMILIES[model_type_of(checkpoint.config)].name
    facts = {"name": file.path.stem, **metadata}
    return Source(family, checkpoint, spec, facts, origin, seeds)


def load_sketch_seeds(folder: Path) -> dict[str, int]:
    """
    Read from what seeds the sketches of a checkpoint folder come; without the file, from none.

    Raises:
        CheckpointError: the file isn't an object of whole numbers.
        OSError: it can't be read.
    """
    path = folder / SKETCH_SEEDS_FILE
    if not path.is_file():
        return {}
    try:
        seeds = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: found no JSON ({error}), expected an object") from error
    if not isinstance(seeds, dict) or not all(type(seed) is int for seed in seeds.values()):
        raise CheckpointError(f"{path}: expected an object of whole numbers")
    return seeds


def fit_to_vocab(path: Path, checkpoint: Checkpoint, spec: TokenizerSpec) -> Checkpoint:
    """
    Drop the word embeddings that no piece of the vocabulary has.

    Args:
        path: where both come from, for the error.
        checkpoint: a model, perhaps with more word embeddings than pieces.
        spec: its tokenizer.

    Raises:
        CheckpointError: more pieces than word embeddings.
    """
    rows, num_pieces = checkpoint.config.vocab_size, len(spec.vocab)
    if rows < num_pieces:
        raise CheckpointError(
            f"{path}: found {num_pieces} word pieces, expected at most {rows}, "
            "as many as there are word embeddings"
        )
    # Some checkpoints pad their embeddings to a round number; no text ever reaches those rows.
    return keep_rows(checkpoint, list(range(num_pieces))) if rows > num_pieces else checkpoint


def keep_rows(checkpoint: Checkpoint, kept_ids: list[int]) -> Checkpoint:
    """The same model with the word embeddings `kept_ids` alone, in that order."""
    words = checkpoint.tensors[WORD_EMBEDDINGS][kept_ids]
    config = replace(checkpoint.config, vocab_size=len(kept_ids))
    return Checkpoint(config, checkpoint.tensors | {WORD_EMBEDDINGS: words})
