"""All that a checkpoint folder says of its tokenizer, whatever the type."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from squadlite.answering.tokenizer_folder.base import (
    MERGES_TXT,
    TOKENIZER_JSON,
    VOCAB_JSON,
    VOCAB_TXT,
    kind_of,
    read_json,
    read_kept_ids,
    read_special_tokens,
    refuse,
)
from squadlite.answering.tokenizer_folder.byte_bpe import read_byte_bpe
from squadlite.answering.tokenizer_folder.template import read_template
from squadlite.answering.tokenizer_folder.unigram import read_unigram
from squadlite.answering.tokenizer_folder.word_piece import read_word_pieces
from squadlite.errors import CheckpointError

# The types of a tokenizer.json's model -> ours.
_TYPES = {"WordPiece": "wordpiece", "BPE": "byte_bpe", "Unigram": "unigram"}
_SENTENCEPIECE_FILES = ("spiece.model", "sentencepiece.bpe.model", "spm.model")


@dataclass(frozen=True)
class FolderTokenizer:
    """
    What the files of a folder say of its tokenizer.

    Attributes:
        type_name: the type, as in a .sqz header.
        parts: the arguments of its spec.
        unk_id: the unknown piece, where the files number it.
        around: special token's field -> the one that stands around a question and a context.
    """

    type_name: str
    parts: dict[str, Any]
    unk_id: int | None = None
    around: dict[str, str] = field(default_factory=dict)


def read_tokenizer(folder: Path) -> FolderTokenizer:
    """
    Read the tokenizer files of a checkpoint folder: see `TokenizerSpec.from_folder`.

    Raises:
        CheckpointError: files missing, unreadable, or of another kind of tokenizer.
    """
    whole = read_json(folder / TOKENIZER_JSON)
    template = read_template(whole, folder)
    shared = {"template": template.name, "kept_ids": read_kept_ids(folder)}
    type_name = _find_type(whole, folder)
    special = read_special_tokens(folder)
    unk_id = None
    if type_name == "wordpiece":
        parts = read_word_pieces(whole, folder)
    elif type_name == "byte_bpe":
        parts = read_byte_bpe(whole, folder)
    else:
        parts = read_unigram(whole, folder, template)
        unk_id = whole["model"]["unk_id"]
    return FolderTokenizer(type_name, shared | parts | special, unk_id, template.around)


def _find_type(whole: dict[str, Any], folder: Path) -> str:
    """The type of tokenizer that these files are of."""
    if (folder / VOCAB_TXT).is_file():
        return "wordpiece"
    if whole:
        path = folder / TOKENIZER_JSON
        kind = kind_of(whole.get("model"), "model", path)
        if kind not in _TYPES:
            refuse(path, "model", kind, "WordPiece, BPE or Unigram")
        return _TYPES[kind]
    if (folder / VOCAB_JSON).is_file() and (folder / MERGES_TXT).is_file():
        return "byte_bpe"
    for name in _SENTENCEPIECE_FILES:
        if (folder / name).is_file():
            raise CheckpointError(
                f"{folder}: found {name} alone, expected the tokenizer.json that transformers "
                "makes of it: AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"
            )
    raise CheckpointError(
        f"{folder}: found neither vocab.txt nor tokenizer.json, nor vocab.json with merges.txt"
    )
