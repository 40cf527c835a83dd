"""What all types of tokenizers have in common, in a checkpoint folder and in a .sqz file."""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from squadlite.answering.origin import Source, opened
from squadlite.answering.windows import TEMPLATES
from squadlite.container import Raw, SqzFile
from squadlite.errors import CheckpointError, HeaderError, TensorError, TokenizerError

VOCAB_TENSOR = "tokenizer.vocab"
KEPT_IDS_TENSOR = "tokenizer.kept_ids"
MERGES_TENSOR = "tokenizer.merges"
SCORES_TENSOR = "tokenizer.scores"
CHARSMAP_TENSOR = "tokenizer.charsmap"

SPECIAL_FIELDS = ("unk_token", "cls_token", "sep_token", "pad_token", "mask_token")

# Of the types that came with version 2.0.
MAX_PIECES = 2**20
MAX_PIECE_BYTES = 1024
MAX_VALUES = {
    VOCAB_TENSOR: 2**25,
    KEPT_IDS_TENSOR: MAX_PIECES,
    MERGES_TENSOR: 2 * MAX_PIECES,
    SCORES_TENSOR: MAX_PIECES,
    CHARSMAP_TENSOR: 2**23,
}

MAX_KEPT_ID = 2**32 - 1  # a .sqz file stores them in 32 bits

SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True)
class TokenizerSpec(ABC):
    """
    The pieces of a tokenizer, and what all types have in common.

    Args:
        vocab: the pieces; a piece's place is its id.
        kept_ids: for a pruned vocabulary the old id of each piece, ascending; None: it is full.
        unk_token, cls_token, sep_token, pad_token, mask_token: pieces with a role of their own.
        template: how the special tokens stand around question and context, one of TEMPLATES.

    Raises:
        TokenizerError: duplicate or empty pieces, a special token that isn't one of them, an
            unknown template, kept_ids that don't ascend or don't fit.
    """

    type_name: ClassVar[str]
    since: ClassVar[tuple[int, int]]  # the version of the .sqz format that it came with
    _tensor_fields: ClassVar[tuple[str, ...]] = ("vocab", "kept_ids")
    _types: ClassVar[dict[str, type["TokenizerSpec"]]] = {}

    vocab: tuple[str, ...]
    kept_ids: tuple[int, ...] | None = None
    unk_token: str
    cls_token: str
    sep_token: str
    pad_token: str
    mask_token: str
    template: str

    def __init_subclass__(cls) -> None:
        cls._types[cls.type_name] = cls

    def __post_init__(self) -> None:
        _check_vocab(self.vocab)
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
        return self.since if self.template == "bert" else (2, 0)

    @abstractmethod
    def words(self) -> tuple[str, ...]:
        """What each piece spells where it can begin a word, and nothing where it can't."""

    @abstractmethod
    def must_keep(self) -> np.ndarray:
        """
        The pieces without which some words could no longer be spelled.

        Returns:
            (n_pieces,) bool.
        """

    def needs(self, piece_id: int) -> tuple[int, ...]:
        """The pieces without which a piece is never made of any text: none, for most types."""
        return ()

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
                lost, or what the type can't do without.
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
            **self._kept(kept),
        )

    @classmethod
    def load(cls, source: Source) -> "TokenizerSpec":
        """Read the tokenizer of a .sqz file or a checkpoint folder; errors as of those two."""
        with opened(source) as model:
            return cls.from_folder(model) if isinstance(model, Path) else cls.from_sqz(model)

    @classmethod
    def from_folder(cls, folder: str | Path) -> "TokenizerSpec":
        """
        Read the tokenizer of a Hugging Face checkpoint folder.

        Word pieces come from vocab.txt, else from tokenizer.json, whose truncation and padding are
        not looked at; their settings from tokenizer_config.json, else special_tokens_map.json, else
        tokenizer.json, else they are BERT's own. Byte-level BPE comes from tokenizer.json, else
        from vocab.json and merges.txt, and a unigram model from tokenizer.json. A pruned vocabulary
        has its kept_ids in kept_ids.json.

        Args:
            folder: the checkpoint folder.

        Raises:
            CheckpointError: files missing, unreadable, or of another kind of tokenizer.
            TokenizerError: a vocabulary that can't tokenize.
        """
        # A .sqz file is read without it.
        from squadlite.answering.tokenizer_folder import read_tokenizer  # noqa: PLC0415

        found = read_tokenizer(Path(folder))
        spec = cls._types[found.type_name](**found.parts)
        if found.unk_id is not None and spec.vocab.index(spec.unk_token) != found.unk_id:
            raise CheckpointError(
                f"{Path(folder) / 'tokenizer.json'}: unk_id is {found.unk_id}, "
                f"expected that of unk_token {spec.unk_token!r}"
            )
        for name, token in found.around.items():
            if getattr(spec, name) != token:
                raise CheckpointError(
                    f"{Path(folder) / 'tokenizer.json'}: post_processor has {token!r} for "
                    f"{name} {getattr(spec, name)!r}"
                )
        return spec

    @classmethod
    def from_sqz(cls, file: SqzFile) -> "TokenizerSpec":
        """
        Read the tokenizer of an open .sqz file.

        Raises:
            HeaderError: the header's tokenizer object breaks a rule.
            TensorError: a tensor of the tokenizer breaks one.
        """
        name = file.tokenizer.get("type")
        if name not in list(cls._types):
            raise HeaderError(f"tokenizer: type is {name!r}, expected one of {sorted(cls._types)}")
        kind = cls._types[name]
        if file.version < kind.since:
            raise HeaderError(
                f"tokenizer: type {name!r} joined the format in 2.0, the file is older"
            )
        if kind.since > (1, 0):
            _check_shapes(file)
        parts = kind._read_header(file.tokenizer)
        parts["template"] = _header_template(file.tokenizer, file.version)
        try:
            return kind(**parts | kind._read_tensors(file))
        except TokenizerError as error:
            raise TensorError(f"tokenizer: {error}") from error

    def to_header(self) -> dict[str, Any]:
        """The `tokenizer` object of a .sqz header (format_spec.md): every setting, no pieces."""
        settings = {name: getattr(self, name) for name in self._setting_types()}
        template = {} if self.template == "bert" else {"template": self.template}
        return {"type": self.type_name} | settings | template

    def to_tensors(self) -> dict[str, np.ndarray]:
        """
        The tensors of a .sqz file that hold the pieces (format_spec.md).

        Returns:
            "tokenizer.vocab": u8, the pieces in UTF-8 joined by line feeds; where the vocabulary is
            pruned "tokenizer.kept_ids": u16, or u32 where an old id needs it, one per piece; and
            what the type has beside them.
        """
        encoded = "\n".join(self.vocab).encode()
        tensors: dict[str, np.ndarray] = {VOCAB_TENSOR: np.frombuffer(encoded, dtype=np.uint8)}
        if self.kept_ids is not None:
            tensors[KEPT_IDS_TENSOR] = np.array(self.kept_ids, dtype=ids_dtype(self.kept_ids[-1]))
        return tensors

    def _kept(self, kept: tuple[int, ...]) -> dict[str, Any]:
        # Fields that follow the pieces, where only those with these ids are kept.
        return {}

    @classmethod
    def _setting_types(cls) -> dict[str, Any]:
        others = (*cls._tensor_fields, "template")
        return {field.name: field.type for field in fields(cls) if field.name not in others}

    @classmethod
    def _read_header(cls, header: Mapping[str, Any]) -> dict[str, Any]:
        types = cls._setting_types()
        unknown = sorted(set(header) - set(types) - {"type", "template"})
        if unknown:
            raise HeaderError(f"tokenizer: unknown fields {unknown}")
        for name, expected in types.items():
            if name not in header:
                raise HeaderError(f"tokenizer: field {name!r} is missing")
            if not fits(header[name], expected):
                raise HeaderError(
                    f"tokenizer: {name} is {header[name]!r}, expected {name_of_type(expected)}"
                )
        return {name: header[name] for name in types}

    @classmethod
    def _read_tensors(cls, file: SqzFile) -> dict[str, Any]:
        vocab = read_tensor(file, VOCAB_TENSOR, 1, "u8")
        kept_ids = None
        if KEPT_IDS_TENSOR in file.tensors:
            kept_ids = tuple(read_tensor(file, KEPT_IDS_TENSOR, 1, "u16", "u32").tolist())
        return {"vocab": tuple(read_text(vocab, VOCAB_TENSOR).split("\n")), "kept_ids": kept_ids}


def fits(value: object, expected: Any) -> bool:
    """Whether a value of JSON is of a type; bool, an int in Python, must not pass for a number."""
    return isinstance(value, expected) and not (expected is int and isinstance(value, bool))


def name_of_type(expected: Any) -> str:
    """A type as errors call it."""
    return expected.__name__ if isinstance(expected, type) else str(expected)


def _check_vocab(vocab: Sequence[str]) -> None:
    if len(set(vocab)) != len(vocab):
        seen: set[str] = set()
        for piece_id, piece in enumerate(vocab):
            if piece in seen:
                raise TokenizerError(f"piece {piece_id}: {piece!r} stands in the vocabulary twice")
            seen.add(piece)
    if "" in vocab:
        raise TokenizerError(f"piece {vocab.index('')} of the vocabulary is empty")
    every_piece = "".join(vocab)
    if "\n" in every_piece:
        raise TokenizerError("a piece of the vocabulary has a line feed in it")
    if SURROGATE.search(every_piece):
        raise TokenizerError("a piece of the vocabulary has half a surrogate pair in it")


def check_sizes(vocab: Sequence[str]) -> None:
    """
    Hold pieces to the bounds of the types that came with version 2.0.

    Raises:
        TokenizerError: too many pieces, or one too long.
    """
    # Each byte of a piece is a node of a tree, many times as large, where texts are cut.
    if len(vocab) > MAX_PIECES:
        raise TokenizerError(f"found {len(vocab)} pieces, expected at most {MAX_PIECES}")
    for piece_id, piece in enumerate(vocab):
        if len(piece.encode()) > MAX_PIECE_BYTES:
            raise TokenizerError(
                f"piece {piece_id} has {len(piece.encode())} bytes, expected at most "
                f"{MAX_PIECE_BYTES}"
            )


def _check_kept_ids(kept_ids: Sequence[int], n_pieces: int) -> None:
    if len(kept_ids) != n_pieces:
        raise TokenizerError(f"kept_ids has {len(kept_ids)} ids, the vocabulary {n_pieces} pieces")
    for kept_id in (min(kept_ids, default=0), max(kept_ids, default=0)):
        if not 0 <= kept_id <= MAX_KEPT_ID:
            raise TokenizerError(f"kept_ids: found {kept_id}, expected ids from 0 to {MAX_KEPT_ID}")
    ids = np.asarray(kept_ids, dtype=np.int64)
    falls = np.flatnonzero(np.diff(ids) <= 0)
    if falls.size:
        place = int(falls[0])
        raise TokenizerError(
            f"kept_ids: {ids[place + 1]} follows {ids[place]} at {place + 1}, "
            "expected ascending ids"
        )


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


def ids_dtype(largest: int) -> type[np.unsignedinteger[Any]]:
    """The type that ids up to the largest are stored in."""
    return np.uint16 if largest <= np.iinfo(np.uint16).max else np.uint32


def _check_shapes(file: SqzFile) -> None:
    # Before a tensor is decoded: it may be many times as large as what is stored.
    for name, at_most in MAX_VALUES.items():
        count = math.prod(file.tensors[name].shape) if name in file.tensors else 0
        if count > at_most:
            raise TensorError(f"tensor {name!r}: {count} values, expected at most {at_most}")


def read_tensor(file: SqzFile, name: str, n_dimensions: int, *dtypes: str) -> np.ndarray:
    """
    Read a tensor of a tokenizer.

    Raises:
        TensorError: it is missing, or of other dimensions, or not raw in one of the dtypes ("u8").
    """
    tensor = file.tensors.get(name)
    if tensor is None:
        raise TensorError(f"tensor {name!r} is missing")
    codec = tensor.codec
    # What is stored, not what it decodes to: floats of every codec become float32.
    is_raw = isinstance(codec, Raw) and codec.dtype in dtypes
    if not is_raw or len(tensor.shape) != n_dimensions:
        rows = "one row" if n_dimensions == 1 else "rows and columns"
        raise TensorError(
            f"tensor {name!r}: {codec.to_header()} with shape {list(tensor.shape)}, "
            f"expected {' or '.join(dtypes)} in {rows}, raw"
        )
    return file.read(name)


def read_text(octets: np.ndarray, name: str) -> str:
    """
    The text that a tensor of bytes holds.

    Raises:
        TensorError: it isn't UTF-8.
    """
    try:
        return octets.tobytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise TensorError(
            f"tensor {name!r}: byte {error.start} is not UTF-8 ({error.reason})"
        ) from error
