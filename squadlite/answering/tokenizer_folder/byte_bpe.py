"""Byte-level BPE: tokenizer.json, or vocab.json with merges.txt."""

from pathlib import Path
from typing import Any

from squadlite.answering.tokenizer_folder.base import (
    CONFIG_JSON,
    MERGES_TXT,
    TOKENIZER_JSON,
    VOCAB_JSON,
    kind_of,
    pieces_by_id,
    read_json,
    read_text,
    refuse,
    section_of,
    value_of,
    with_added_tokens,
)


def read_byte_bpe(whole: dict[str, Any], folder: Path) -> dict[str, Any]:
    """
    Read a byte-level BPE tokenizer.

    Args:
        whole: all of tokenizer.json; empty where vocab.json and merges.txt stand for it.
        folder: the checkpoint folder.

    Returns:
        Arguments of `ByteBPESpec`.

    Raises:
        CheckpointError: a part that makes other tokens, or files that can't be read.
    """
    return _read_whole(whole, folder / TOKENIZER_JSON) if whole else _read_two_files(folder)


def _read_whole(whole: dict[str, Any], path: Path) -> dict[str, Any]:
    model = whole["model"]
    for name in ("dropout", "byte_fallback", "ignore_merges"):
        if model.get(name):
            refuse(path, f"model's {name}", model[name], "none")
    for name in ("continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(name):
            refuse(path, f"model's {name}", model[name], "none, as byte-level BPE has it")
    if whole.get("normalizer") is not None:
        kind = kind_of(whole["normalizer"], "normalizer", path)
        refuse(path, "normalizer", kind, "none, as RoBERTa has it")
    splitter = section_of(whole, "pre_tokenizer", "ByteLevel", path)
    if splitter.get("use_regex", True) is not True:
        refuse(path, "pre_tokenizer's use_regex", splitter["use_regex"], "True")
    vocab = pieces_by_id(with_added_tokens(model.get("vocab"), whole, path), path)
    return {
        "vocab": vocab,
        "merges": _merge_ids(model.get("merges"), vocab, path),
        "add_prefix_space": value_of(splitter, "pre_tokenizer", "add_prefix_space", bool, path),
    }


def _read_two_files(folder: Path) -> dict[str, Any]:
    path = folder / MERGES_TXT
    lines = read_text(path).removesuffix("\n").split("\n")
    if lines[0].startswith("#version"):
        lines = lines[1:]
    vocab = pieces_by_id(read_json(folder / VOCAB_JSON), folder / VOCAB_JSON)
    config = {"add_prefix_space": False} | read_json(folder / CONFIG_JSON)
    return {
        "vocab": vocab,
        "merges": _merge_ids([line for line in lines if line], vocab, path),
        "add_prefix_space": value_of(
            config, "tokenizer", "add_prefix_space", bool, folder / CONFIG_JSON
        ),
    }


def _merge_ids(merges: object, vocab: tuple[str, ...], path: Path) -> tuple[tuple[int, int], ...]:
    # A merge is a pair of pieces, in older files with a space between.
    if not isinstance(merges, list):
        refuse(path, "merges", merges, "a list")
    ids = {piece: piece_id for piece_id, piece in enumerate(vocab)}
    pairs = []
    for rank, merge in enumerate(merges):
        parts = merge.split(" ") if isinstance(merge, str) else merge
        if not isinstance(parts, list) or len(parts) != 2:
            refuse(path, f"merge {rank}", merge, "two pieces")
        for piece in parts:
            if not isinstance(piece, str) or piece not in ids:
                refuse(path, f"merge {rank}", merge, "pieces of the vocabulary")
        pairs.append((ids[parts[0]], ids[parts[1]]))
    return tuple(pairs)
