"""What a WordPiece tokenizer is made of, in a checkpoint folder and in a .sqz file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from squadlite.answering.windows import TEMPLATES
from squadlite.container import SqzFile, open_sqz
from squadlite.errors import CheckpointError, HeaderError, TensorError, TokenizerError

VOCAB_TENSOR = "tokenizer.vocab"
KEPT_IDS_TENSOR = "tokenizer.kept_ids"
SPECIAL_FIELDS = ("unk_token", "cls_token", "sep_token", "pad_token", "mask_token")
MAX_CHARS_PER_WORD = 10_000

# What a checkpoint folder's tokenizer may be made of.
TOKENIZER_FILES = (
    "vocab.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "kept_ids.json",
)


@dataclass(frozen=True, kw_only=True)
class TokenizerSpec:
    """
    A WordPiece vocabulary and the settings that BERT's normalizer needs.

    Args:
        vocab: the word pieces; a piece's place is its id.
        kept_ids: for a pruned vocabulary the old id of each piece, ascending; None: it is full.
        lowercase: texts are lower-cased.
        strip_accents: accents are dropped; None: they are where texts are lower-cased.
        handle_chinese_chars: each CJK ideograph is a word of its own.
        clean_text: control characters are dropped, any white space becomes a space.
        continuing_prefix: what marks a piece that doesn't begin a word.
        max_chars_per_word: a longer word becomes `unk_token` as a whole.
        unk_token, cls_token, sep_token, pad_token, mask_token: pieces with a role of their own.
        template: how the special tokens stand around question and context, one of TEMPLATES.

    Raises:
        TokenizerError: duplicate or empty pieces, a special token that isn't one of them, an
            unknown template, kept_ids that don't ascend or don't fit.
    """

    vocab: tuple[str, ...]
    kept_ids: tuple[int, ...] | None = None
    lowercase: bool = True
    strip_accents: bool | None = None
    handle_chinese_chars: bool = True
    clean_text: bool = True
    continuing_prefix: str = "##"
    max_chars_per_word: int = 100
    unk_token: str = "[UNK]"
    cls_token: str = "[CLS]"
    sep_token: str = "[SEP]"
    pad_token: str = "[PAD]"
    mask_token: str = "[MASK]"
    template: str = "bert"

    def __post_init__(self) -> None:
        _check_vocab(self.vocab)
        if not self.continuing_prefix:
            raise TokenizerError("continuing_prefix is empty, expected a mark such as '##'")
        if not 1 <= self.max_chars_per_word <= MAX_CHARS_PER_WORD:
            raise TokenizerError(
                f"max_chars_per_word is {self.max_chars_per_word}, "
                f"expected 1 to {MAX_CHARS_PER_WORD}"
            )
        if self.template not in TEMPLATES:
            raise TokenizerError(
                f"template is {self.template!r}, expected one of {sorted(TEMPLATES)}"
            )
        for name in SPECIAL_FIELDS:
            if getattr(self, name) not in self.vocab:
                raise TokenizerError(f"{name} {getattr(self, name)!r} is not in the vocabulary")
        if len(set(self.special_tokens)) != len(SPECIAL_FIELDS):
            raise TokenizerError(
                f"special tokens are {self.special_tokens}, expected five different ones"
            )
        if self.kept_ids is not None:
            _check_kept_ids(self.kept_ids, len(self.vocab))

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """The unknown, classification, separator, padding and mask tokens, in this order."""
        return tuple(getattr(self, name) for name in SPECIAL_FIELDS)

    @property
    def version(self) -> tuple[int, int]:
        """The lowest version of the .sqz format that has all of it."""
        return (1, 0) if self.template == "bert" else (2, 0)

    def keep(self, ids: Sequence[int]) -> Self:
        """
        The same tokenizer with fewer pieces.

        Args:
            ids: the pieces to keep, ids in this vocabulary, ascending; all special tokens are
                among them.

        Returns:
            A spec whose `kept_ids` count in the full vocabulary, also where this one isn't it.

        Raises:
            TokenizerError: ids that don't ascend or aren't in the vocabulary, or a special token
                lost.
        """
        kept = tuple(int(i) for i in ids)
        _check_kept_ids(kept, len(kept))
        if kept and kept[-1] >= len(self.vocab):
            raise TokenizerError(f"kept id {kept[-1]}: the vocabulary has {len(self.vocab)} pieces")
        old_ids = self.kept_ids or range(len(self.vocab))
        return replace(
            self,
            vocab=tuple(self.vocab[i] for i in kept),
            kept_ids=tuple(old_ids[i] for i in kept),
        )

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read the tokenizer of a .sqz file or a checkpoint folder; errors as of those two."""
        path = Path(path)
        if path.is_dir():
            return cls.from_folder(path)
        with open_sqz(path) as file:
            return cls.from_sqz(file)

    @classmethod
    def from_folder(cls, folder: str | Path) -> Self:
        """
        Read the tokenizer of a Hugging Face checkpoint folder.

        The pieces come from vocab.txt, else from tokenizer.json, whose truncation and padding are
        not looked at; the settings from tokenizer_config.json, else special_tokens_map.json, else
        tokenizer.json, else they are BERT's own. A pruned vocabulary has its kept_ids in
        kept_ids.json.

        Args:
            folder: the checkpoint folder.

        Raises:
            CheckpointError: files missing, unreadable, or of another kind of tokenizer.
            TokenizerError: a vocabulary that can't tokenize.
        """
        folder = Path(folder)
        whole = _read_json(folder / "tokenizer.json")
        settings = _tokenizer_json_settings(whole, folder) | _config_settings(folder)
        template = _folder_template(whole, folder)
        if (folder / "vocab.txt").is_file():
            vocab = _read_vocab_txt(folder / "vocab.txt")
        elif whole:
            vocab = _tokenizer_json_vocab(whole, folder)
        else:
            raise CheckpointError(f"{folder}: found neither vocab.txt nor tokenizer.json")
        kept_ids = _read_kept_ids(folder / "kept_ids.json")
        return cls(vocab=vocab, kept_ids=kept_ids, template=template, **settings)

    @classmethod
    def from_sqz(cls, file: SqzFile) -> Self:
        """
        Read the tokenizer of an open .sqz file.

        Raises:
            HeaderError: the header's tokenizer object breaks a rule.
            TensorError: the vocabulary or kept_ids break one.
        """
        settings = _header_settings(file.tokenizer)
        template = _header_template(file.tokenizer, file.version)
        if VOCAB_TENSOR not in file.tensors:
            raise TensorError(f"tensor {VOCAB_TENSOR!r} is missing")
        vocab = _decode_vocab(file.read(VOCAB_TENSOR))
        kept_ids = None
        if KEPT_IDS_TENSOR in file.tensors:
            kept_ids = _decode_kept_ids(file.read(KEPT_IDS_TENSOR))
        try:
            return cls(vocab=vocab, kept_ids=kept_ids, template=template, **settings)
        except TokenizerError as error:
            raise TensorError(f"tokenizer: {error}") from error

    def to_header(self) -> dict[str, Any]:
        """The `tokenizer` object of a .sqz header (format_spec.md): every setting, no pieces."""
        settings = {name: getattr(self, name) for name in _setting_types()}
        template = {} if self.template == "bert" else {"template": self.template}
        return {"type": "wordpiece"} | settings | template

    def to_tensors(self) -> dict[str, np.ndarray]:
        """
        The integer tensors of a .sqz file that hold the pieces (format_spec.md).

        Returns:
            "tokenizer.vocab": u8, the pieces in UTF-8 joined by line feeds; and where the
            vocabulary is pruned "tokenizer.kept_ids": u16, or u32 where an old id needs it, one
            per piece.
        """
        encoded = "\n".join(self.vocab).encode()
        tensors: dict[str, np.ndarray] = {VOCAB_TENSOR: np.frombuffer(encoded, dtype=np.uint8)}
        if self.kept_ids is not None:
            dtype = np.uint16 if self.kept_ids[-1] <= np.iinfo(np.uint16).max else np.uint32
            tensors[KEPT_IDS_TENSOR] = np.array(self.kept_ids, dtype=dtype)
        return tensors


def _check_vocab(vocab: Sequence[str]) -> None:
    if len(set(vocab)) != len(vocab):
        seen: set[str] = set()
        for piece_id, piece in enumerate(vocab):
            if piece in seen:
                raise TokenizerError(f"piece {piece_id}: {piece!r} stands in the vocabulary twice")
            seen.add(piece)
    if "" in vocab:
        raise TokenizerError(f"piece {vocab.index('')} of the vocabulary is empty")
    if any("\n" in piece for piece in vocab):
        raise TokenizerError("a piece of the vocabulary has a line feed in it")


def _check_kept_ids(kept_ids: Sequence[int], n_pieces: int) -> None:
    if len(kept_ids) != n_pieces:
        raise TokenizerError(f"kept_ids has {len(kept_ids)} ids, the vocabulary {n_pieces} pieces")
    ids = np.asarray(kept_ids, dtype=np.int64)
    if ids.size and ids[0] < 0:
        raise TokenizerError(f"kept_ids begins with {ids[0]}, expected no negative id")
    falls = np.flatnonzero(np.diff(ids) <= 0)
    if falls.size:
        place = int(falls[0])
        raise TokenizerError(
            f"kept_ids: {ids[place + 1]} follows {ids[place]} at {place + 1}, "
            "expected ascending ids"
        )


def _setting_types() -> dict[str, Any]:
    other = ("vocab", "kept_ids", "template")
    return {f.name: f.type for f in fields(TokenizerSpec) if f.name not in other}


def _header_settings(header: Mapping[str, Any]) -> dict[str, Any]:
    if header.get("type") != "wordpiece":
        raise HeaderError(f"tokenizer: type is {header.get('type')!r}, expected 'wordpiece'")
    types = _setting_types()
    unknown = sorted(set(header) - set(types) - {"type", "template"})
    if unknown:
        raise HeaderError(f"tokenizer: unknown fields {unknown}")
    for name, expected in types.items():
        if name not in header:
            raise HeaderError(f"tokenizer: field {name!r} is missing")
        if not _fits(header[name], expected):
            raise HeaderError(
                f"tokenizer: {name} is {header[name]!r}, expected {_type_name(expected)}"
            )
    return {name: header[name] for name in types}


def _header_template(header: Mapping[str, Any], version: tuple[int, int]) -> str:
    # BERT's is said by saying none, as it was before there were others.
    if "template" not in header:
        return "bert"
    if version < (2, 0):
        raise HeaderError("tokenizer: template joined the format in 2.0, the file is older")
    template = header["template"]
    if template not in [name for name in TEMPLATES if name != "bert"]:
        raise HeaderError(f"tokenizer: template is {template!r}, expected 'roberta' or none")
    return str(template)


def _fits(value: object, expected: Any) -> bool:
    # bool is an int in Python, and must not pass for a number here.
    return isinstance(value, expected) and not (expected is int and isinstance(value, bool))


def _type_name(expected: Any) -> str:
    return expected.__name__ if isinstance(expected, type) else str(expected)


def _decode_vocab(codes: np.ndarray) -> tuple[str, ...]:
    if codes.dtype != np.uint8 or codes.ndim != 1:
        raise TensorError(
            f"tensor {VOCAB_TENSOR!r}: {codes.dtype} with shape {codes.shape}, "
            "expected u8 in one row"
        )
    try:
        return tuple(codes.tobytes().decode("utf-8").split("\n"))
    except UnicodeDecodeError as error:
        raise TensorError(
            f"tensor {VOCAB_TENSOR!r}: byte {error.start} is not UTF-8 ({error.reason})"
        ) from error


def _decode_kept_ids(ids: np.ndarray) -> tuple[int, ...]:
    if ids.dtype not in (np.uint16, np.uint32) or ids.ndim != 1:
        raise TensorError(
            f"tensor {KEPT_IDS_TENSOR!r}: {ids.dtype} with shape {ids.shape}, "
            "expected u16 or u32 in one row"
        )
    return tuple(ids.tolist())


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


def _read_vocab_txt(path: Path) -> tuple[str, ...]:
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: not readable as UTF-8 ({error})") from error
    # Not splitlines(): some pieces are characters that it takes for line ends.
    return tuple(text.replace("\r\n", "\n").removesuffix("\n").split("\n"))


def _tokenizer_json_vocab(whole: dict[str, Any], folder: Path) -> tuple[str, ...]:
    model = whole.get("model")
    vocab = model.get("vocab") if isinstance(model, dict) else None
    ids = [i for i in vocab.values() if type(i) is int] if isinstance(vocab, dict) else []
    if not isinstance(vocab, dict) or sorted(ids) != list(range(len(vocab))):
        raise CheckpointError(
            f"{folder / 'tokenizer.json'}: model.vocab doesn't give each id from 0 on to one piece"
        )
    return tuple(sorted(vocab, key=vocab.__getitem__))


def _tokenizer_json_settings(whole: dict[str, Any], folder: Path) -> dict[str, Any]:
    if not whole:
        return {}
    found = {
        "model": _section(whole, "model", "WordPiece", folder),
        "normalizer": _section(whole, "normalizer", "BertNormalizer", folder),
    }
    _section(whole, "pre_tokenizer", "BertPreTokenizer", folder)
    settings = {
        name: found[section][their_name]
        for section, name, their_name in _TOKENIZER_JSON_NAMES
        if their_name in found[section]
    }
    return _checked_settings(settings, folder / "tokenizer.json")


_TOKENIZER_JSON_NAMES = (
    ("model", "unk_token", "unk_token"),
    ("model", "continuing_prefix", "continuing_subword_prefix"),
    ("model", "max_chars_per_word", "max_input_chars_per_word"),
    ("normalizer", "lowercase", "lowercase"),
    ("normalizer", "strip_accents", "strip_accents"),
    ("normalizer", "handle_chinese_chars", "handle_chinese_chars"),
    ("normalizer", "clean_text", "clean_text"),
)


def _section(whole: dict[str, Any], name: str, kind: str, folder: Path) -> dict[str, Any]:
    section = whole.get(name)
    if not isinstance(section, dict) or section.get("type") != kind:
        found = section.get("type") if isinstance(section, dict) else section
        raise CheckpointError(
            f"{folder / 'tokenizer.json'}: {name} is {found!r}, expected a {kind} one"
        )
    return section


def _folder_template(whole: dict[str, Any], folder: Path) -> str:
    # tokenizer.json says it of itself; without it the kind of tokenizer tells.
    processor = whole.get("post_processor")
    if processor is None:
        kind = _read_json(folder / "tokenizer_config.json").get("tokenizer_class")
        return "roberta" if kind in _ROBERTAS else "bert"
    kind = processor.get("type") if isinstance(processor, dict) else processor
    if kind == "TemplateProcessing":
        return _pair_template(processor, folder / "tokenizer.json")
    if kind not in _PROCESSORS:
        raise CheckpointError(
            f"{folder / 'tokenizer.json'}: post_processor is {kind!r}, "
            f"expected one of {sorted([*_PROCESSORS, 'TemplateProcessing'])}"
        )
    return _PROCESSORS[kind]


_PROCESSORS = {"BertProcessing": "bert", "RobertaProcessing": "roberta"}
_ROBERTAS = {
    f"{name}Tokenizer{fast}"
    for name in ("MPNet", "Roberta", "XLMRoberta", "Camembert")
    for fast in ("", "Fast")
}


def _pair_template(processor: dict[str, Any], path: Path) -> str:
    # [CLS] A [SEP] B [SEP], or <s> A </s> </s> B </s>: told apart by what stands between.
    try:
        parts = ["/".join(part) for part in processor["pair"]]
        names = [
            part["SpecialToken"]["id"] if "SpecialToken" in part else part["Sequence"]["id"]
            for part in processor["pair"]
        ]
    except (TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{path}: post_processor has no pair ({error!r})") from error
    for name, (n_between, _) in TEMPLATES.items():
        special = ["SpecialToken"] * n_between
        expected = ["SpecialToken", "Sequence", *special, "Sequence", "SpecialToken"]
        separators = {*names[2 : 2 + n_between], names[-1]}
        if (
            parts == expected
            and names[1 :: n_between + 1][:2] == ["A", "B"]
            and len(separators) == 1
        ):
            return name
    raise CheckpointError(
        f"{path}: post_processor lays a pair out as {names}, expected "
        "CLS A SEP B SEP, or CLS A SEP SEP B SEP"
    )


def _config_settings(folder: Path) -> dict[str, Any]:
    config = _read_json(folder / "special_tokens_map.json")
    config |= _read_json(folder / "tokenizer_config.json")
    names = {
        "do_lower_case": "lowercase",
        "strip_accents": "strip_accents",
        "tokenize_chinese_chars": "handle_chinese_chars",
    } | {name: name for name in SPECIAL_FIELDS}
    settings = {ours: config[theirs] for theirs, ours in names.items() if theirs in config}
    for name in SPECIAL_FIELDS:
        # Older folders describe a token by an object instead of by its text.
        if isinstance(settings.get(name), dict):
            settings[name] = settings[name].get("content")
    return _checked_settings(settings, folder / "tokenizer_config.json")


def _checked_settings(settings: dict[str, Any], path: Path) -> dict[str, Any]:
    for name, value in settings.items():
        if not _fits(value, _setting_types()[name]):
            expected = _type_name(_setting_types()[name])
            raise CheckpointError(f"{path}: {name} is {value!r}, expected {expected}")
    return settings
