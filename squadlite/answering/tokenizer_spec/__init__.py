"""What a tokenizer is made of, in a checkpoint folder and in a .sqz file: a class for each type."""

from squadlite.answering.tokenizer_spec.base import (
    MAX_VALUES,
    SPECIAL_FIELDS,
    TokenizerSpec,
    fits,
    name_of_type,
)
from squadlite.answering.tokenizer_spec.byte_bpe import BYTE_ALPHABET, ByteBPESpec
from squadlite.answering.tokenizer_spec.unigram import METASPACE, UnigramSpec
from squadlite.answering.tokenizer_spec.word_piece import WordPieceSpec

__all__ = [
    "BYTE_ALPHABET",
    "MAX_VALUES",
    "METASPACE",
    "SPECIAL_FIELDS",
    "ByteBPESpec",
    "TokenizerSpec",
    "UnigramSpec",
    "WordPieceSpec",
    "fits",
    "name_of_type",
]
