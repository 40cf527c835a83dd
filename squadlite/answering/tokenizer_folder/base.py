"""The files of a folder's tokenizer, and the checks that all types of tokenizers share."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from squadlite.answering.tokenizer_spec import SPECIAL_FIELDS, fits, name_of_type
from squadlite.errors import CheckpointError

VOCAB_TXT = "vocab.txt"
VOCAB_JSON = "vocab.json"
MERGES_TXT = "merges.txt"
TOKENIZER_JSON = "tokenizer.json"
CONFIG_JSON = "tokenizer_config.json"
SPECIAL_TOKENS_JSON = "special_tokens_map.json"
KEPT_IDS_JSON = "kept_ids.json"

# What a checkpoint folder's tokenizer may be made of.
TOKENIZER_FILES = (
    VOCAB_TXT,
    VOCAB_JSON,
    MERGES_TXT,
    TOKENIZER_JSON,
    CONFIG_JSON,
    SPECIAL_TOKENS_JSON,
    KEPT_IDS_JSON,
)


def refuse(path: Path, name: str, found: object, expected: str) -> NoReturn:
    """Raise the CheckpointError of a part that makes other tokens than we do."""
    raise CheckpointError(f"{path}: {name} is {found!r:.80}, expected {expected}")


# Files


def read_json(path: Path) -> dict[str, Any]:
    """
    Read the JSON object in a file; {} where there is no file.

    Raises:
        CheckpointError: not readable as JSON, or no object.
    """
    if not path.is_file():
        return {}
    content = _parse_json(path)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: found {type(content).__name__}, expected a JSON object")
    return content


def read_text(path: Path) -> str:
    """
    Read a text file, its line ends as "\\n".

    Raises:
        CheckpointError: not readable as UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: not readable as UTF-8 ({error})") from error


def read_config(folder: Path) -> dict[str, Any]:
    """
    Read what a folder's two files of settings say together.

    Raises:
        CheckpointError: one of them is not readable as a JSON object.
    """
    return read_json(folder / SPECIAL_TOKENS_JSON) | read_json(folder / CONFIG_JSON)


def read_special_tokens(folder: Path) -> dict[str, Any]:
    """
    Read the special tokens that a folder's settings name, by their field of the spec.

    Raises:
        CheckpointError: settings not readable, or a token that isn't text.
    """
    config = read_config(folder)
    tokens = {name: config[name] for name in SPECIAL_FIELDS if name in config}
    for name, token in tokens.items():
        # Older folders describe a token by an object instead of by its text.
        if isinstance(token, dict):
            tokens[name] = token.get("content")
    check_types(tokens, dict.fromkeys(SPECIAL_FIELDS, str), folder / CONFIG_JSON)
    return tokens


def read_kept_ids(folder: Path) -> tuple[int, ...] | None:
    """
    Read the old id of each piece of a pruned vocabulary; None for a full one.

    Raises:
        CheckpointError: not readable as a list of whole numbers.
    """
    path = folder / KEPT_IDS_JSON
    if not path.is_file():
        return None
    ids = _parse_json(path)
    if not isinstance(ids, list) or not all(type(i) is int for i in ids):
        raise CheckpointError(f"{path}: expected a list of whole numbers")
    return tuple(ids)


def _parse_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not readable as JSON ({error})") from error


# Parts of tokenizer.json


def kind_of(section: Any, name: str, path: Path) -> str:
    """
    The type that a section says it is of; `name` is the section's.

    Raises:
        CheckpointError: no object stands there, or it names no type.
    """
    if not isinstance(section, dict):
        refuse(path, name, section, "an object")
    kind: str = value_of(section, name, "type", str, path)
    return kind


def section_of(whole: dict[str, Any], name: str, kind: str, path: Path) -> dict[str, Any]:
    """
    Take a section that has to be of one type.

    Raises:
        CheckpointError: it isn't.
    """
    found = kind_of(whole.get(name), name, path)
    if found != kind:
        refuse(path, name, found, f"a {kind} one")
    section: dict[str, Any] = whole[name]
    return section


def value_of(section: Mapping[str, Any], where: str, name: str, expected: Any, path: Path) -> Any:
    """
    Take a value that has to be there; `where` says of what it is.

    Raises:
        CheckpointError: missing, or not of the type `expected`.
    """
    if not fits(section.get(name), expected):
        refuse(path, f"{where}'s {name}", section.get(name), name_of_type(expected))
    return section[name]


def check_types(settings: Mapping[str, Any], types: Mapping[str, Any], path: Path) -> None:
    """
    Find out whether each setting is of its type.

    Raises:
        CheckpointError: one isn't.
    """
    for name, value in settings.items():
        if not fits(value, types[name]):
            refuse(path, name, value, name_of_type(types[name]))


def with_added_tokens(vocab: object, whole: dict[str, Any], path: Path) -> object:
    """
    Add the special tokens that stand beside the model's vocabulary instead of in it.

    Raises:
        CheckpointError: no list of added tokens, or one that isn't special or has another one's id.
    """
    added = whole.get("added_tokens") or []
    if not isinstance(added, list):
        refuse(path, "added_tokens", added, "a list")
    if not isinstance(vocab, dict):
        return vocab
    vocab = dict(vocab)
    for token in added:
        if not isinstance(token, dict) or not token.get("special"):
            refuse(path, "an added token", token, "special ones alone")
        content = value_of(token, "an added token", "content", str, path)
        if vocab.setdefault(content, token.get("id")) != token.get("id"):
            refuse(path, f"the id of {content!r}", token.get("id"), f"{vocab[content]}")
    return vocab


def pieces_by_id(vocab: object, path: Path) -> tuple[str, ...]:
    """
    Put the pieces of a vocabulary, piece -> id, in the order of their ids.

    Raises:
        CheckpointError: not each id from 0 on has one piece.
    """
    ids = [i for i in vocab.values() if type(i) is int] if isinstance(vocab, dict) else []
    if not isinstance(vocab, dict) or sorted(ids) != list(range(len(vocab))):
        raise CheckpointError(f"{path}: vocab doesn't give each id from 0 on to one piece")
    return tuple(sorted(vocab, key=vocab.__getitem__))
