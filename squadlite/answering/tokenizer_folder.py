"""
The tokenizer of a checkpoint folder: what its files say, in the words of `tokenizer_spec`.

Of a tokenizer.json every part that makes other tokens is understood or refused with its name; what
only decodes tokens, pads or cuts is not looked at.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from squadlite.answering.charsmap import parse_charsmap
from squadlite.answering.tokenizer_spec import SPECIAL_FIELDS, fits, name_of_type
from squadlite.answering.windows import TEMPLATES
from squadlite.errors import CheckpointError

# What a checkpoint folder's tokenizer may be made of.
TOKENIZER_FILES = (
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "kept_ids.json",
)

_METASPACE = "\u2581"
_SENTENCEPIECE_FILES = ("spiece.model", "sentencepiece.bpe.model", "spm.model")
_PROCESSORS = {"BertProcessing": "bert", "RobertaProcessing": "roberta"}
_ROBERTAS = {
    f"{name}Tokenizer{fast}"
    for name in ("MPNet", "Roberta", "XLMRoberta", "Camembert")
    for fast in ("", "Fast")
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
    path = folder / "tokenizer.json"
    whole = _read_json(path)
    template, around = _read_template(whole, folder)
    common = {"template": template, "kept_ids": _read_kept_ids(folder / "kept_ids.json")}
    kind = whole["model"].get("type") if isinstance(whole.get("model"), dict) else None
    if (folder / "vocab.txt").is_file() or (kind in ("WordPiece", None) and whole):
        parts, unk_id = _read_word_pieces(whole, folder), None
        return FolderTokenizer("wordpiece", common | parts, unk_id, around)
    special = _special_tokens(folder)
    if kind == "BPE":
        return FolderTokenizer("byte_bpe", common | special | _read_bpe(whole, path), None, around)
    if kind == "Unigram":
        unigram = _read_unigram(whole, path)
        if not around and template == "bert":
            _refuse(path, "post_processor", None, "BERT's or RoBERTa's")
        defaults = _UNIGRAM_TOKENS[template]
        parts = common | defaults | special | unigram
        return FolderTokenizer("unigram", parts, whole["model"].get("unk_id"), around)
    if kind is not None:
        _refuse(path, "model", kind, "WordPiece, BPE or Unigram")
    if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        return FolderTokenizer("byte_bpe", common | special | _read_old_bpe(folder), None, around)
    for name in _SENTENCEPIECE_FILES:
        if (folder / name).is_file():
            raise CheckpointError(
                f"{folder}: found {name} alone, expected the tokenizer.json that transformers "
                "makes of it: AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"
            )
    raise CheckpointError(
        f"{folder}: found neither vocab.txt nor tokenizer.json, nor vocab.json with merges.txt"
    )


# The names that ALBERT's and XLM-RoBERTa's tokenizers have where no file says any.
_UNIGRAM_TOKENS = {
    "bert": {"cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"},
    "roberta": {"cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"},
}


def _refuse(path: Path, name: str, found: object, expected: str) -> NoReturn:
    raise CheckpointError(f"{path}: {name} is {found!r:.80}, expected {expected}")


def _kind_of(section: object) -> object:
    return section.get("type") if isinstance(section, dict) else section


def _value(section: Mapping[str, Any], where: str, name: str, expected: Any, path: Path) -> Any:
    if not fits(section.get(name), expected):
        _refuse(path, f"{where}'s {name}", section.get(name), name_of_type(expected))
    return section[name]


# Templates


def _read_template(whole: dict[str, Any], folder: Path) -> tuple[str, dict[str, str]]:
    # tokenizer.json says it of itself; without it the kind of tokenizer tells.
    path = folder / "tokenizer.json"
    processor = whole.get("post_processor")
    if processor is None:
        config = _read_json(folder / "tokenizer_config.json")
        robertas = config.get("tokenizer_class") in _ROBERTAS
        old_bpe = not whole and (folder / "merges.txt").is_file()
        return "roberta" if robertas or old_bpe else "bert", {}
    kind = _kind_of(processor)
    if kind == "TemplateProcessing":
        return _pair_template(processor, path)
    if kind not in list(_PROCESSORS):
        _refuse(path, "post_processor", kind, "BERT's, RoBERTa's or a TemplateProcessing")
    tokens = {
        name: processor[role][0]
        for role, name in (("cls", "cls_token"), ("sep", "sep_token"))
        if isinstance(processor.get(role), list) and processor[role]
    }
    return _PROCESSORS[kind], tokens


def _pair_template(processor: dict[str, Any], path: Path) -> tuple[str, dict[str, str]]:
    # [CLS] A [SEP] B [SEP], or <s> A </s> </s> B </s>: told apart by what stands between.
    try:
        names = ["$" * ("Sequence" in part) + _only(part)["id"] for part in processor["pair"]]
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise CheckpointError(f"{path}: post_processor has no pair ({error!r})") from error
    for name, (n_between, _) in TEMPLATES.items():
        first, separator = names[:1], names[-1:]
        if names == [*first, "$A", *separator * n_between, "$B", *separator] and len(names) > 4:
            return name, {"cls_token": names[0], "sep_token": names[-1]}
    raise CheckpointError(
        f"{path}: post_processor lays a pair out as {names}, expected "
        "[CLS] $A [SEP] $B [SEP], or <s> $A </s> </s> $B </s>"
    )


def _only(part: dict[str, Any]) -> Any:
    (value,) = part.values()
    return value


# Word pieces

_WORD_PIECE_NAMES = (
    ("model", "unk_token", "unk_token"),
    ("model", "continuing_prefix", "continuing_subword_prefix"),
    ("model", "max_chars_per_word", "max_input_chars_per_word"),
    ("normalizer", "lowercase", "lowercase"),
    ("normalizer", "strip_accents", "strip_accents"),
    ("normalizer", "handle_chinese_chars", "handle_chinese_chars"),
    ("normalizer", "clean_text", "clean_text"),
)
_WORD_PIECE_TYPES = {
    "lowercase": bool,
    "strip_accents": bool | None,
    "handle_chinese_chars": bool,
    "clean_text": bool,
    "continuing_prefix": str,
    "max_chars_per_word": int,
} | dict.fromkeys(SPECIAL_FIELDS, str)


def _read_word_pieces(whole: dict[str, Any], folder: Path) -> dict[str, Any]:
    path = folder / "tokenizer.json"
    settings: dict[str, Any] = {}
    if whole:
        found = {
            "model": _section(whole, "model", "WordPiece", path),
            "normalizer": _section(whole, "normalizer", "BertNormalizer", path),
        }
        _section(whole, "pre_tokenizer", "BertPreTokenizer", path)
        settings = {
            name: found[section][their_name]
            for section, name, their_name in _WORD_PIECE_NAMES
            if their_name in found[section]
        }
        _check_types(settings, path)
    config = _config(folder)
    names = {
        "do_lower_case": "lowercase",
        "strip_accents": "strip_accents",
        "tokenize_chinese_chars": "handle_chinese_chars",
    }
    of_config = {ours: config[theirs] for theirs, ours in names.items() if theirs in config}
    _check_types(of_config, folder / "tokenizer_config.json")
    if (folder / "vocab.txt").is_file():
        vocab = _read_vocab_txt(folder / "vocab.txt")
    else:
        vocab = _ordered(whole["model"].get("vocab"), path)
    return settings | of_config | _special_tokens(folder) | {"vocab": vocab}


def _section(whole: dict[str, Any], name: str, kind: str, path: Path) -> dict[str, Any]:
    section = whole.get(name)
    if not isinstance(section, dict) or section.get("type") != kind:
        _refuse(path, name, _kind_of(section), f"a {kind} one")
    return section


def _check_types(settings: dict[str, Any], path: Path) -> None:
    for name, value in settings.items():
        if not fits(value, _WORD_PIECE_TYPES[name]):
            _refuse(path, name, value, name_of_type(_WORD_PIECE_TYPES[name]))


# Byte-level BPE


def _read_bpe(whole: dict[str, Any], path: Path) -> dict[str, Any]:
    model = whole["model"]
    for name in ("dropout", "byte_fallback", "ignore_merges"):
        if model.get(name):
            _refuse(path, f"model's {name}", model[name], "none")
    for name in ("continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(name):
            _refuse(path, f"model's {name}", model[name], "none, as byte-level BPE has it")
    if whole.get("normalizer") is not None:
        _refuse(path, "normalizer", _kind_of(whole["normalizer"]), "none, as RoBERTa has it")
    splitter = _section(whole, "pre_tokenizer", "ByteLevel", path)
    if splitter.get("use_regex", True) is not True:
        _refuse(path, "pre_tokenizer's use_regex", splitter["use_regex"], "True")
    vocab = _ordered(_with_added(model.get("vocab"), whole, path), path)
    return {
        "vocab": vocab,
        "merges": _merge_ids(model.get("merges"), vocab, path),
        "add_prefix_space": _value(splitter, "pre_tokenizer", "add_prefix_space", bool, path),
    }


def _read_old_bpe(folder: Path) -> dict[str, Any]:
    path = folder / "merges.txt"
    lines = _read_text(path).removesuffix("\n").split("\n")
    if lines[0].startswith("#version"):
        lines = lines[1:]
    vocab = _ordered(_read_json(folder / "vocab.json"), folder / "vocab.json")
    config = _read_json(folder / "tokenizer_config.json") | {}
    prefix = {"add_prefix_space": config.get("add_prefix_space", False)}
    return {
        "vocab": vocab,
        "merges": _merge_ids([line for line in lines if line], vocab, path),
        "add_prefix_space": _value(
            prefix, "tokenizer", "add_prefix_space", bool, folder / "tokenizer_config.json"
        ),
    }


def _merge_ids(merges: object, vocab: tuple[str, ...], path: Path) -> tuple[tuple[int, int], ...]:
    # A merge is a pair of pieces, in older files with a space between.
    if not isinstance(merges, list):
        _refuse(path, "merges", _kind_of(merges), "a list")
    ids = {piece: piece_id for piece_id, piece in enumerate(vocab)}
    pairs = []
    for rank, merge in enumerate(merges):
        parts = merge.split(" ") if isinstance(merge, str) else merge
        if not isinstance(parts, list) or len(parts) != 2:
            _refuse(path, f"merge {rank}", merge, "two pieces")
        for piece in parts:
            if not isinstance(piece, str) or piece not in ids:
                _refuse(path, f"merge {rank}", merge, "pieces of the vocabulary")
        pairs.append((ids[parts[0]], ids[parts[1]]))
    return tuple(pairs)


# Unigram


def _read_unigram(whole: dict[str, Any], path: Path) -> dict[str, Any]:
    model = whole["model"]
    if model.get("byte_fallback"):
        _refuse(path, "model's byte_fallback", True, "none, as ALBERT and XLM-RoBERTa have it")
    _value(model, "model", "unk_id", int, path)
    entries = model.get("vocab")
    if not isinstance(entries, list):
        _refuse(path, "model's vocab", _kind_of(entries), "a list of pieces and scores")
    scores: dict[str, float] = {}
    for entry in entries:
        if not (
            isinstance(entry, list)
            and len(entry) == 2
            and isinstance(entry[0], str)
            and fits(entry[1], int | float)
            and not isinstance(entry[1], bool)
        ):
            _refuse(path, "an entry of model's vocab", entry, "a piece and its score")
        if entry[0] in scores:
            _refuse(path, "an entry of model's vocab", entry, "each piece once")
        scores[entry[0]] = float(entry[1])
    ids = _with_added({piece: number for number, piece in enumerate(scores)}, whole, path)
    vocab = _ordered(ids, path)
    steps, charsmap = _read_steps(whole.get("normalizer"), path)
    return {
        "vocab": vocab,
        "scores": tuple(scores.get(piece, 0.0) for piece in vocab),
        "normalizer": tuple(steps),
        "charsmap": charsmap,
        **_read_metaspace(whole.get("pre_tokenizer"), path),
    }


def _read_steps(normalizer: Any, path: Path) -> tuple[list[tuple[str, ...]], Any]:
    steps: list[tuple[str, ...]] = []
    charsmap: Any = ()
    waiting = [] if normalizer is None else [normalizer]
    while waiting:
        part = waiting.pop(0)
        kind = _kind_of(part)
        if kind == "Sequence" and isinstance(part.get("normalizers"), list):
            waiting = part["normalizers"] + waiting
        elif kind in list(_PLAIN_STEPS):
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
            _refuse(path, "normalizer", kind, f"one of {known}")
    return steps, charsmap


def _read_replace(part: dict[str, Any], path: Path) -> tuple[str, ...]:
    pattern, content = part.get("pattern"), part.get("content")
    if isinstance(pattern, dict) and isinstance(content, str):
        if pattern == {"Regex": " {2,}"}:
            return "collapse_spaces", content
        if isinstance(pattern.get("String"), str):
            return "replace", pattern["String"], content
    _refuse(path, "normalizer's pattern", pattern, "a String, or two spaces or more")


def _read_precompiled(encoded: object, path: Path) -> Any:
    try:
        if not isinstance(encoded, str):
            raise ValueError(f"found a {type(encoded).__name__}, expected base64")
        return parse_charsmap(base64.b64decode(encoded, validate=True))
    except (ValueError, binascii.Error) as error:
        raise CheckpointError(f"{path}: precompiled_charsmap: {error}") from error


def _read_metaspace(splitter: Any, path: Path) -> dict[str, Any]:
    # WhitespaceSplit and Metaspace, or Metaspace alone.
    parts = [splitter]
    if _kind_of(splitter) == "Sequence":
        parts = splitter.get("pretokenizers")
    kinds = [_kind_of(part) for part in parts] if isinstance(parts, list) else parts
    if kinds not in (["WhitespaceSplit", "Metaspace"], ["Metaspace"]):
        _refuse(path, "pre_tokenizer", kinds, "a Metaspace, WhitespaceSplit before it or not")
    metaspace = parts[-1]
    if metaspace.get("replacement") != _METASPACE:
        _refuse(path, "pre_tokenizer's replacement", metaspace.get("replacement"), repr(_METASPACE))
    # Older files say only whether a space is added.
    old = "always" if metaspace.get("add_prefix_space", True) else "never"
    metaspace = {"prepend_scheme": old, "split": True} | metaspace
    if metaspace["prepend_scheme"] not in ("always", "never"):
        _refuse(
            path, "pre_tokenizer's prepend_scheme", metaspace["prepend_scheme"], "always or never"
        )
    return {
        "split_whitespace": len(kinds) == 2,
        "add_prefix_space": metaspace["prepend_scheme"] == "always",
        "split_metaspace": _value(metaspace, "pre_tokenizer", "split", bool, path),
    }


# What several kinds have


def _with_added(vocab: object, whole: dict[str, Any], path: Path) -> object:
    # Special tokens may stand beside the model's vocabulary instead of in it.
    added = whole.get("added_tokens") or []
    if not isinstance(vocab, dict) or not isinstance(added, list):
        return vocab
    vocab = dict(vocab)
    for token in added:
        if not isinstance(token, dict) or not token.get("special"):
            _refuse(path, "an added token", token, "special ones alone")
        content = _value(token, "an added token", "content", str, path)
        if vocab.setdefault(content, token.get("id")) != token.get("id"):
            _refuse(path, f"the id of {content!r}", token.get("id"), f"{vocab[content]}")
    return vocab


def _ordered(vocab: object, path: Path) -> tuple[str, ...]:
    ids = [i for i in vocab.values() if type(i) is int] if isinstance(vocab, dict) else []
    if not isinstance(vocab, dict) or sorted(ids) != list(range(len(vocab))):
        raise CheckpointError(f"{path}: vocab doesn't give each id from 0 on to one piece")
    return tuple(sorted(vocab, key=vocab.__getitem__))


def _config(folder: Path) -> dict[str, Any]:
    return _read_json(folder / "special_tokens_map.json") | _read_json(
        folder / "tokenizer_config.json"
    )


def _special_tokens(folder: Path) -> dict[str, Any]:
    config = _config(folder)
    tokens = {name: config[name] for name in SPECIAL_FIELDS if name in config}
    for name, token in tokens.items():
        # Older folders describe a token by an object instead of by its text.
        if isinstance(token, dict):
            tokens[name] = token.get("content")
    _check_types(tokens, folder / "tokenizer_config.json")
    return tokens


def _read_kept_ids(path: Path) -> tuple[int, ...] | None:
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


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    content = _parse_json(path)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: found {type(content).__name__}, expected a JSON object")
    return content


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: not readable as UTF-8 ({error})") from error


def _read_vocab_txt(path: Path) -> tuple[str, ...]:
    # Not splitlines(): some pieces are characters that it takes for line ends.
    return tuple(_read_text(path).removesuffix("\n").split("\n"))
