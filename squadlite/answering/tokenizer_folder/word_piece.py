"""Word pieces: vocab.txt with settings beside it, or tokenizer.json."""

from pathlib import Path
from typing import Any

from squadlite.answering.tokenizer_folder.base import (
    CONFIG_JSON,
    TOKENIZER_JSON,
    VOCAB_TXT,
    check_types,
    pieces_by_id,
    read_config,
    read_text,
    section_of,
)

_TYPES = {
    "lowercase": bool,
    "strip_accents": bool | None,
    "handle_chinese_chars": bool,
    "clean_text": bool,
    "unk_token": str,
    "continuing_prefix": str,
    "max_chars_per_word": int,
}
# Their name of a setting -> ours.
_MODEL_NAMES = {
    "unk_token": "unk_token",
    "continuing_subword_prefix": "continuing_prefix",
    "max_input_chars_per_word": "max_chars_per_word",
}
_NORMALIZER_NAMES = {
    "lowercase": "lowercase",
    "strip_accents": "strip_accents",
    "handle_chinese_chars": "handle_chinese_chars",
    "clean_text": "clean_text",
}
_CONFIG_NAMES = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}


def read_word_pieces(whole: dict[str, Any], folder: Path) -> dict[str, Any]:
    """
    Read a WordPiece tokenizer; what the folder's settings say counts before tokenizer.json.

    Args:
        whole: all of tokenizer.json; empty where there is none.
        folder: the checkpoint folder.

    Returns:
        Arguments of `WordPieceSpec`.

    Raises:
        CheckpointError: a part that makes other tokens, settings of a wrong type, or files that
            can't be read.
    """
    path = folder / TOKENIZER_JSON
    settings = _read_settings(whole, path) if whole else {}
    of_config = _renamed(read_config(folder), _CONFIG_NAMES)
    check_types(of_config, _TYPES, folder / CONFIG_JSON)
    if (folder / VOCAB_TXT).is_file():
        vocab = _read_vocab_txt(folder / VOCAB_TXT)
    else:
        vocab = pieces_by_id(whole["model"].get("vocab"), path)
    return settings | of_config | {"vocab": vocab}


def _read_settings(whole: dict[str, Any], path: Path) -> dict[str, Any]:
    model = section_of(whole, "model", "WordPiece", path)
    normalizer = section_of(whole, "normalizer", "BertNormalizer", path)
    section_of(whole, "pre_tokenizer", "BertPreTokenizer", path)
    settings = _renamed(model, _MODEL_NAMES) | _renamed(normalizer, _NORMALIZER_NAMES)
    check_types(settings, _TYPES, path)
    return settings


def _renamed(section: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {ours: section[theirs] for theirs, ours in names.items() if theirs in section}


def _read_vocab_txt(path: Path) -> tuple[str, ...]:
    # Not splitlines(): some pieces are characters that it takes for line ends.
    return tuple(read_text(path).removesuffix("\n").split("\n"))
