"""What a tokenizer is made of, in a checkpoint folder and in a .sqz file: a class for each type."""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from squadlite.answering.charsmap import Charsmap, check_charsmap
from squadlite.answering.origin import Source, opened
from squadlite.answering.windows import TEMPLATES
from squadlite.container import SqzFile
from squadlite.errors import CheckpointError, HeaderError, TensorError, TokenizerError

VOCAB_TENSOR = "tokenizer.vocab"
KEPT_IDS_TENSOR = "tokenizer.kept_ids"
MERGES_TENSOR = "tokenizer.merges"
SCORES_TENSOR = "tokenizer.scores"
CHARSMAP_TENSOR = "tokenizer.charsmap"

SPECIAL_FIELDS = ("unk_token", "cls_token", "sep_token", "pad_token", "mask_token")

MAX_CHARS_PER_WORD = 10_000
# Of the types that came with version 2.0.
MAX_PIECES = 2**20
MAX_PIECE_BYTES = 1024
MAX_SCORE = 2.0**127
MAX_VALUES = {
    VOCAB_TENSOR: 2**25,
    KEPT_IDS_TENSOR: MAX_PIECES,
    MERGES_TENSOR: 2 * MAX_PIECES,
    SCORES_TENSOR: MAX_PIECES,
    CHARSMAP_TENSOR: 2**23,
}

METASPACE = "\u2581"  # ▁, what unigram pieces have for a space
MAX_STEPS = 32
# Name of a normalizer's step -> how many texts it goes with.
STEPS = {
    "charsmap": 0,
    "collapse_spaces": 1,
    "lowercase": 0,
    "nfc": 0,
    "nfd": 0,
    "nfkc": 0,
    "nfkd": 0,
    "nmt": 0,
    "replace": 2,
    "strip_accents": 0,
    "strip_left": 0,
    "strip_right": 0,
}


def _byte_alphabet() -> str:
    # The bytes that Latin-1 prints stand for themselves, the others for what follows U+00FF.
    printed = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printed]
    return "".join(
        chr(byte if byte in printed else 256 + others.index(byte)) for byte in range(256)
    )


_SURROGATE = re.compile("[\ud800-\udfff]")
BYTE_ALPHABET = _byte_alphabet()  # byte -> its character in a piece, as GPT-2 has it


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

    vocab: tuple[str, ...]
    kept_ids: tuple[int, ...] | None = None
    unk_token: str
    cls_token: str
    sep_token: str
    pad_token: str
    mask_token: str
    template: str

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
        spec = _TYPES[found.type_name](**found.parts)
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
        if name not in list(_TYPES):
            raise HeaderError(f"tokenizer: type is {name!r}, expected one of {sorted(_TYPES)}")
        kind = _TYPES[name]
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
            tensors[KEPT_IDS_TENSOR] = np.array(self.kept_ids, dtype=_ids_dtype(self.kept_ids[-1]))
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
        vocab = _tensor(file, VOCAB_TENSOR, 1, "u8")
        kept_ids = None
        if KEPT_IDS_TENSOR in file.tensors:
            kept_ids = tuple(_tensor(file, KEPT_IDS_TENSOR, 1, "u16", "u32").tolist())
        return {"vocab": tuple(_text(vocab, VOCAB_TENSOR).split("\n")), "kept_ids": kept_ids}


@dataclass(frozen=True, kw_only=True)
class WordPieceSpec(TokenizerSpec):
    """
    A WordPiece vocabulary and the settings that BERT's normalizer needs.

    Args:
        lowercase: texts are lower-cased.
        strip_accents: accents are dropped; None: they are where texts are lower-cased.
        handle_chinese_chars: each CJK ideograph is a word of its own.
        clean_text: control characters are dropped, any white space becomes a space.
        continuing_prefix: what marks a piece that doesn't begin a word.
        max_chars_per_word: a longer word becomes `unk_token` as a whole.

    Raises:
        TokenizerError: as for any type; no prefix, or a longest word out of range.
    """

    type_name = "wordpiece"
    since = (1, 0)

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
        super().__post_init__()
        if not self.continuing_prefix:
            raise TokenizerError("continuing_prefix is empty, expected a mark such as '##'")
        if not 1 <= self.max_chars_per_word <= MAX_CHARS_PER_WORD:
            raise TokenizerError(
                f"max_chars_per_word is {self.max_chars_per_word}, "
                f"expected 1 to {MAX_CHARS_PER_WORD}"
            )

    def words(self) -> tuple[str, ...]:
        """The pieces without the prefix."""
        prefix = self.continuing_prefix
        return tuple("" if piece.startswith(prefix) else piece for piece in self.vocab)

    def must_keep(self) -> np.ndarray:
        """The special tokens, and each character where it begins a word and where it goes on."""
        prefix, special = self.continuing_prefix, set(self.special_tokens)
        return np.array(
            [len(piece.removeprefix(prefix)) <= 1 or piece in special for piece in self.vocab]
        )


@dataclass(frozen=True, kw_only=True)
class ByteBPESpec(TokenizerSpec):
    """
    Byte-level byte pair encoding, as GPT-2 and RoBERTa have it.

    Args:
        merges: (left, right) ids of the pieces that become one, the first merge first.
        add_prefix_space: a text that doesn't begin with a space is taken to.

    Raises:
        TokenizerError: as for any type; a byte without a piece, or a merge twice, of no pieces,
            into no piece, or with a special token.

    Source: Radford et al. 2019, section 2.2; Sennrich et al. 2016.
    """

    type_name = "byte_bpe"
    since = (2, 0)
    _tensor_fields = ("vocab", "kept_ids", "merges")

    merges: tuple[tuple[int, int], ...]
    add_prefix_space: bool = False
    unk_token: str = "<unk>"
    cls_token: str = "<s>"
    sep_token: str = "</s>"
    pad_token: str = "<pad>"
    mask_token: str = "<mask>"
    template: str = "roberta"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_sizes(self.vocab)
        ids = self.ids
        for byte, character in enumerate(BYTE_ALPHABET):
            if character not in ids:
                raise TokenizerError(f"byte {byte:#04x} has no piece, expected {character!r}")
        if len(set(self.merges)) != len(self.merges):
            raise TokenizerError("a merge stands among the merges twice")
        special = {ids[token] for token in self.special_tokens}
        for rank, (left, right) in enumerate(self.merges):
            if not (0 <= left < len(self.vocab) and 0 <= right < len(self.vocab)):
                raise TokenizerError(
                    f"merge {rank}: {left} and {right}, the vocabulary has {len(self.vocab)} pieces"
                )
            made = ids.get(self.vocab[left] + self.vocab[right])
            if made is None:
                raise TokenizerError(
                    f"merge {rank}: {self.vocab[left]!r} and {self.vocab[right]!r} make no piece"
                )
            if special & {left, right, made}:
                raise TokenizerError(f"merge {rank}: has a special token, expected none in merges")

    @cached_property
    def ids(self) -> dict[str, int]:
        """Piece -> its id."""
        return {piece: piece_id for piece_id, piece in enumerate(self.vocab)}

    @cached_property
    def _parts(self) -> dict[int, tuple[int, int]]:
        # A piece -> what it is made of, by its first merge.
        parts: dict[int, tuple[int, int]] = {}
        for left, right in self.merges:
            parts.setdefault(self.ids[self.vocab[left] + self.vocab[right]], (left, right))
        return parts

    def words(self) -> tuple[str, ...]:
        """What pieces with a space before them spell."""
        space = BYTE_ALPHABET[ord(" ")]
        return tuple(spelled(piece[1:]) if piece.startswith(space) else "" for piece in self.vocab)

    def must_keep(self) -> np.ndarray:
        """The special tokens and the bytes."""
        needed = {*self.special_tokens, *BYTE_ALPHABET}
        return np.array([piece in needed for piece in self.vocab])

    def needs(self, piece_id: int) -> tuple[int, ...]:
        """The two pieces that it is made of; none for a byte."""
        return self._parts.get(piece_id, ())

    def to_tensors(self) -> dict[str, np.ndarray]:
        """Beside the pieces "tokenizer.merges": (n_merges, 2) u16, or u32 where ids need it."""
        dtype = _ids_dtype(len(self.vocab) - 1)
        merges = np.array(self.merges, dtype=dtype).reshape(-1, 2)
        return super().to_tensors() | {MERGES_TENSOR: merges}

    def _kept(self, kept: tuple[int, ...]) -> dict[str, Any]:
        new_ids = {old: new for new, old in enumerate(kept)}
        return {
            "merges": tuple(
                (new_ids[left], new_ids[right])
                for left, right in self.merges
                if {left, right, self.ids[self.vocab[left] + self.vocab[right]]} <= new_ids.keys()
            )
        }

    @classmethod
    def _read_tensors(cls, file: SqzFile) -> dict[str, Any]:
        merges = _tensor(file, MERGES_TENSOR, 2, "u16", "u32")
        if merges.shape[1] != 2:
            raise TensorError(
                f"tensor {MERGES_TENSOR!r}: shape {list(merges.shape)}, expected pairs"
            )
        pairs = tuple((left, right) for left, right in merges.tolist())
        return super()._read_tensors(file) | {"merges": pairs}


@dataclass(frozen=True, kw_only=True)
class UnigramSpec(TokenizerSpec):
    """
    SentencePiece's unigram model: of all ways to cut a text the likeliest.

    Args:
        scores: of each piece, the logarithm of how likely it is.
        normalizer: steps, each a name of STEPS and the texts that go with it.
        charsmap: of the step "charsmap"; empty without it.
        split_whitespace: white space ends a word and is dropped.
        add_prefix_space: a word that doesn't begin with ▁ gets one.
        split_metaspace: each ▁ begins a word.

    Raises:
        TokenizerError: as for any type; scores that aren't finite or not as many as pieces, an
            unknown step, or one that makes texts longer.

    Source: Kudo 2018; Kudo & Richardson 2018.
    """

    type_name = "unigram"
    since = (2, 0)
    _tensor_fields = ("vocab", "kept_ids", "scores", "charsmap")

    scores: tuple[float, ...]
    normalizer: tuple[tuple[str, ...], ...] = ()
    charsmap: Charsmap = ()
    split_whitespace: bool = True
    add_prefix_space: bool = True
    split_metaspace: bool = True
    unk_token: str = "<unk>"
    cls_token: str = "[CLS]"
    sep_token: str = "[SEP]"
    pad_token: str = "<pad>"
    mask_token: str = "[MASK]"
    template: str = "bert"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_sizes(self.vocab)
        if len(self.scores) != len(self.vocab):
            raise TokenizerError(
                f"found {len(self.scores)} scores, the vocabulary has {len(self.vocab)} pieces"
            )
        for piece, score in zip(self.vocab, self.scores, strict=True):
            # Sums of them stay finite too. NaN is refused by it as well.
            if not abs(score) <= MAX_SCORE:
                raise TokenizerError(f"piece {piece!r} has the score {score}, expected a number")
        _check_steps(self.normalizer)
        if (("charsmap",) in self.normalizer) != bool(self.charsmap):
            raise TokenizerError(
                "found a charsmap and no step for it, or the reverse, expected both"
            )
        if self.charsmap:
            try:
                check_charsmap(self.charsmap)
            except ValueError as error:
                raise TokenizerError(f"charsmap: {error}") from error

    def words(self) -> tuple[str, ...]:
        """What pieces that begin with ▁ spell."""
        return tuple(piece[1:] if piece.startswith(METASPACE) else "" for piece in self.vocab)

    def must_keep(self) -> np.ndarray:
        """The special tokens and the single characters."""
        special = set(self.special_tokens)
        return np.array([len(piece) == 1 or piece in special for piece in self.vocab])

    def to_header(self) -> dict[str, Any]:
        """The steps of the normalizer as lists."""
        return super().to_header() | {"normalizer": [list(step) for step in self.normalizer]}

    def to_tensors(self) -> dict[str, np.ndarray]:
        """
        Beside the pieces "tokenizer.scores", one per piece: f32, or where that doesn't hold them
        exactly u64, the bits of binary64; and for the step "charsmap" "tokenizer.charsmap", u8: all
        sources, then all targets, in UTF-8 joined by zeros.
        """
        scores = np.array(self.scores, dtype=np.float64)
        # Sums that are equal but for rounding decide between cuts: nothing is rounded here.
        exact = (scores.astype(np.float32) == scores).all()
        tensors = super().to_tensors()
        tensors[SCORES_TENSOR] = scores.astype(np.float32) if exact else scores.view(np.uint64)
        if self.charsmap:
            sources, targets = zip(*self.charsmap, strict=True)
            encoded = "\0".join((*sources, *targets)).encode()
            tensors[CHARSMAP_TENSOR] = np.frombuffer(encoded, dtype=np.uint8)
        return tensors

    def _kept(self, kept: tuple[int, ...]) -> dict[str, Any]:
        return {"scores": tuple(self.scores[i] for i in kept)}

    @classmethod
    def _read_header(cls, header: Mapping[str, Any]) -> dict[str, Any]:
        steps = header.get("normalizer")
        if not isinstance(steps, list) or not all(isinstance(step, list) for step in steps):
            raise HeaderError(f"tokenizer: normalizer is {steps!r:.80}, expected a list of steps")
        parts = super()._read_header({**header, "normalizer": tuple(map(tuple, steps))})
        try:
            _check_steps(parts["normalizer"])
        except TokenizerError as error:
            raise HeaderError(f"tokenizer: {error}") from error
        return parts

    @classmethod
    def _setting_types(cls) -> dict[str, Any]:
        return super()._setting_types() | {"normalizer": tuple}

    @classmethod
    def _read_tensors(cls, file: SqzFile) -> dict[str, Any]:
        stored = _tensor(file, SCORES_TENSOR, 1, "f32", "u64")
        scores = tuple((stored.view(np.float64) if stored.dtype == np.uint64 else stored).tolist())
        return (
            super()._read_tensors(file)
            | {"scores": scores}
            | ({"charsmap": _read_charsmap(file)} if CHARSMAP_TENSOR in file.tensors else {})
        )


_TYPES: dict[str, type[TokenizerSpec]] = {
    kind.type_name: kind for kind in (WordPieceSpec, ByteBPESpec, UnigramSpec)
}


def spelled(piece: str) -> str:
    """What a piece of bytes spells; "" where that isn't whole characters, or no bytes at all."""
    try:
        return bytes(BYTE_ALPHABET.index(character) for character in piece).decode()
    except ValueError:  # also UnicodeDecodeError
        return ""


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
    if any("\n" in piece for piece in vocab):
        raise TokenizerError("a piece of the vocabulary has a line feed in it")
    if _SURROGATE.search("".join(vocab)):
        raise TokenizerError("a piece of the vocabulary has half a surrogate pair in it")


def _check_sizes(vocab: Sequence[str]) -> None:
    # Each byte of a piece is a node of a tree, many times as large, where texts are cut.
    if len(vocab) > MAX_PIECES:
        raise TokenizerError(f"found {len(vocab)} pieces, expected at most {MAX_PIECES}")
    for piece_id, piece in enumerate(vocab):
        if len(piece.encode()) > MAX_PIECE_BYTES:
            raise TokenizerError(
                f"piece {piece_id} has {len(piece.encode())} bytes, expected at most "
                f"{MAX_PIECE_BYTES}"
            )


def _check_steps(steps: Sequence[tuple[Any, ...]]) -> None:
    if len(steps) > MAX_STEPS:
        raise TokenizerError(f"normalizer has {len(steps)} steps, expected at most {MAX_STEPS}")
    for step in steps:
        name, *texts = step or ("",)
        if not all(isinstance(part, str) for part in step) or STEPS.get(name) != len(texts):
            raise TokenizerError(
                f"normalizer has the step {step!r:.80}, expected one of {sorted(STEPS)} "
                "and the texts that go with it"
            )
        if _SURROGATE.search("".join(texts)):
            raise TokenizerError(f"normalizer has half a surrogate pair in the step {step!r:.80}")
        # Steps that make texts longer could make a short one fill the memory.
        if name == "replace" and not 0 < len(texts[0]) >= len(texts[1]):
            raise TokenizerError(
                f"normalizer replaces {texts[0]!r:.80} by {texts[1]!r:.80}, expected no more "
                "characters than before"
            )
        if name == "collapse_spaces" and len(texts[0]) != 1:
            raise TokenizerError(
                f"normalizer makes {texts[0]!r:.80} of spaces, expected one character"
            )
    if len(set(steps)) != len(steps):
        raise TokenizerError("normalizer has a step twice")


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


def _ids_dtype(largest: int) -> type[np.unsignedinteger[Any]]:
    return np.uint16 if largest <= np.iinfo(np.uint16).max else np.uint32


def _check_shapes(file: SqzFile) -> None:
    # Before a tensor is decoded: it may be many times as large as what is stored.
    for name, at_most in MAX_VALUES.items():
        count = math.prod(file.tensors[name].shape) if name in file.tensors else 0
        if count > at_most:
            raise TensorError(f"tensor {name!r}: {count} values, expected at most {at_most}")


def _tensor(file: SqzFile, name: str, n_dimensions: int, *dtypes: str) -> np.ndarray:
    if name not in file.tensors:
        raise TensorError(f"tensor {name!r} is missing")
    values = file.read(name)
    if values.ndim != n_dimensions or f"{values.dtype.kind}{8 * values.itemsize}" not in dtypes:
        rows = "one row" if n_dimensions == 1 else "rows and columns"
        raise TensorError(
            f"tensor {name!r}: {values.dtype} with shape {values.shape}, "
            f"expected {' or '.join(dtypes)} in {rows}"
        )
    return values


def _text(octets: np.ndarray, name: str) -> str:
    try:
        return octets.tobytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise TensorError(
            f"tensor {name!r}: byte {error.start} is not UTF-8 ({error.reason})"
        ) from error


def _read_charsmap(file: SqzFile) -> Charsmap:
    texts = _text(_tensor(file, CHARSMAP_TENSOR, 1, "u8"), CHARSMAP_TENSOR).split("\0")
    n_sources, odd = divmod(len(texts), 2)
    if odd:
        raise TensorError(
            f"tensor {CHARSMAP_TENSOR!r}: {len(texts)} texts, expected a target for each source"
        )
    return tuple(zip(texts[:n_sources], texts[n_sources:], strict=True))
