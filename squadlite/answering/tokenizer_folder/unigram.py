"""SentencePiece's unigram model, as tokenizer.json has it."""

import base64
import binascii
from pathlib import Path
from typing import Any

from squadlite.answering.charsmap import Charsmap, parse_charsmap
from squadlite.answering.tokenizer_folder.base import (
    TOKENIZER_JSON,
    kind_of,
    pieces_by_id,
    refuse,
    value_of,
    with_added_tokens,
)
from squadlite.answering.tokenizer_folder.template import FolderTemplate
from squadlite.answering.tokenizer_spec import METASPACE, fits
from squadlite.errors import CheckpointError

# The names that ALBERT's and XLM-RoBERTa's tokenizers have where no file says any.
_USUAL_TOKENS = {
    "bert": {"cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"},
    "roberta": {"cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"},
}
# Normalizers without settings -> our name of the step.
_PLAIN_STEPS = {
    "NFC": "nfc",
    "NFD": "nfd",
    "NFKC": "nfkc",
    "NFKD": "nfkd",
    "Nmt": "nmt",
    "Lowercase": "lowercase",
    "StripAccents": "strip_accents",
}


def read_unigram(whole: dict[str, Any], folder: Path, template: FolderTemplate) -> dict[str, Any]:
    """
    Read a unigram tokenizer.

    Args:
        whole: all of tokenizer.json.
        folder: the checkpoint folder.
        template: the folder's, which tells the usual special tokens.

    Returns:
        Arguments of `UnigramSpec`.

    Raises:
        CheckpointError: a part that makes other tokens.
    """
    path, model = folder / TOKENIZER_JSON, whole["model"]
    if model.get("byte_fallback"):
        refuse(path, "model's byte_fallback", True, "none, as ALBERT and XLM-RoBERTa have it")
    value_of(model, "model", "unk_id", int, path)
    scores = _read_scores(model.get("vocab"), path)
    ids = with_added_tokens({piece: number for number, piece in enumerate(scores)}, whole, path)
    vocab = pieces_by_id(ids, path)
    steps, charsmap = _read_steps(whole.get("normalizer"), path)
    metaspace = _read_metaspace(whole.get("pre_tokenizer"), path)
    if not template.around and template.name == "bert":
        refuse(path, "post_processor", None, "BERT's or RoBERTa's")
    return {
        **_USUAL_TOKENS[template.name],
        "vocab": vocab,
        "scores": tuple(scores.get(piece, 0.0) for piece in vocab),
        "normalizer": tuple(steps),
        "charsmap": charsmap,
        **metaspace,
    }


def _read_scores(entries: object, path: Path) -> dict[str, float]:
    """The score of each piece, by their ids."""
    if not isinstance(entries, list):
        refuse(path, "model's vocab", entries, "a list of pieces and scores")
    scores: dict[str, float] = {}
    for entry in entries:
        if not _is_scored_piece(entry):
            refuse(path, "an entry of model's vocab", entry, "a piece and its score")
        piece, score = entry
        if piece in scores:
            refuse(path, "an entry of model's vocab", entry, "each piece once")
        try:
            scores[piece] = float(score)
        except OverflowError:  # of a whole number with hundreds of digits
            refuse(path, "an entry of model's vocab", entry, "a piece and its score")
    return scores


def _is_scored_piece(entry: object) -> bool:
    return (
        isinstance(entry, list)
        and len(entry) == 2
        and isinstance(entry[0], str)
        and fits(entry[1], int | float)
        and not isinstance(entry[1], bool)
    )


# Normalizers


def _read_steps(normalizer: Any, path: Path) -> tuple[list[tuple[str, ...]], Charsmap]:
    steps: list[tuple[str, ...]] = []
    charsmap: Charsmap = ()
    waiting = [] if normalizer is None else [normalizer]
    while waiting:
        part = waiting.pop(0)
        kind = kind_of(part, "normalizer", path)
        if kind == "Sequence":
            waiting = value_of(part, "normalizer", "normalizers", list, path) + waiting
        elif kind in _PLAIN_STEPS:
            steps.append((_PLAIN_STEPS[kind],))
        elif kind == "Strip":
            steps += [(f"strip_{side}",) for side in ("left", "right") if part.get(f"strip_{side}")]
        elif kind == "Replace":
            steps.append(_read_replace(part, path))
        elif kind == "Precompiled" and not charsmap:
            steps.append(("charsmap",))
            charsmap = _read_precompiled(part.get("precompiled_charsmap"), path)
        else:
            known = ["Precompiled (once)", "Replace", "Sequence", "Strip", *_PLAIN_STEPS]
            refuse(path, "normalizer", kind, f"one of {known}")
    return steps, charsmap


def _read_replace(part: dict[str, Any], path: Path) -> tuple[str, ...]:
    pattern, content = part.get("pattern"), part.get("content")
    text: Any = pattern.get("String") if isinstance(pattern, dict) else None
    collapses = pattern == {"Regex": " {2,}"}
    if not isinstance(content, str) or not (collapses or isinstance(text, str)):
        refuse(path, "normalizer's pattern", pattern, "a String, or two spaces or more")
    return ("collapse_spaces", content) if collapses else ("replace", text, content)


def _read_precompiled(encoded: object, path: Path) -> Charsmap:
    try:
        if not isinstance(encoded, str):
            raise ValueError(f"found a {type(encoded).__name__}, expected base64")
        return parse_charsmap(base64.b64decode(encoded, validate=True))
    except (ValueError, binascii.Error) as error:
        raise CheckpointError(f"{path}: precompiled_charsmap: {error}") from error


# Pre-tokenizers


def _read_metaspace(splitter: Any, path: Path) -> dict[str, Any]:
    # WhitespaceSplit and Metaspace, or Metaspace alone.
    parts = [splitter]
    if kind_of(splitter, "pre_tokenizer", path) == "Sequence":
        parts = value_of(splitter, "pre_tokenizer", "pretokenizers", list, path)
    kinds = [kind_of(part, "pre_tokenizer", path) for part in parts]
    if kinds not in (["WhitespaceSplit", "Metaspace"], ["Metaspace"]):
        refuse(path, "pre_tokenizer", kinds, "a Metaspace, WhitespaceSplit before it or not")
    metaspace = parts[-1]
    if metaspace.get("replacement") != METASPACE:
        refuse(path, "pre_tokenizer's replacement", metaspace.get("replacement"), repr(METASPACE))
    # Older files say only whether a space is added.
    old = "always" if metaspace.get("add_prefix_space", True) else "never"
    metaspace = {"prepend_scheme": old, "split": True} | metaspace
    scheme = metaspace["prepend_scheme"]
    if scheme not in ("always", "never"):
        refuse(path, "pre_tokenizer's prepend_scheme", scheme, "always or never")
    return {
        "split_whitespace": len(kinds) == 2,
        "add_prefix_space": scheme == "always",
        "split_metaspace": value_of(metaspace, "pre_tokenizer", "split", bool, path),
    }
