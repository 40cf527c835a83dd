"""Text -> token ids and character offsets, by the `tokenizers` library."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Self

import numpy as np
import tokenizers
from numpy.typing import NDArray
from tokenizers import normalizers, pre_tokenizers
from tokenizers.models import BPE, Unigram, WordPiece
from tokenizers.processors import BertProcessing, RobertaProcessing

from squadlite.answering.charsmap import compile_charsmap
from squadlite.answering.tokenizer_spec import (
    METASPACE,
    ByteBPESpec,
    TokenizerSpec,
    UnigramSpec,
    WordPieceSpec,
)
from squadlite.answering.windows import Template

# Half a surrogate pair has no UTF-8 form. The character put in its place is one that BERT drops,
# and as long, so that offsets still count in the original text.
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_REPLACEMENT = "\ufffd"

# Scripts that put no spaces between words: ideographs, kana. First and last code points.
_UNSPACED = ((0x2E80, 0x31FF), (0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))


class _Kinds(dict[int, str]):
    # A character's kind, for str.translate: " " white space, "w" part of a word, "." else.
    def __missing__(self, code: int) -> str:
        character = chr(code)
        if character.isspace():
            kind = " "
        elif unicodedata.category(character)[0] in "LMN" and not _is_unspaced(code):
            kind = "w"
        else:
            kind = "."
        self[code] = kind
        return kind


def _is_unspaced(code: int) -> bool:
    return any(first <= code <= last for first, last in _UNSPACED)


_KINDS = _Kinds()
_SPACE, _WORD = b" w"


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """
    The tokens of one text, without special tokens around them.

    Args:
        ids: (n_tokens,) int64, ids in the vocabulary.
        offsets: (n_tokens, 2) int64; token i was made of text[offsets[i, 0]:offsets[i, 1]].
        continues: (n_tokens,) bool; token i goes on with the word of token i - 1.
    """

    ids: NDArray[np.int64]
    offsets: NDArray[np.int64]
    continues: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, place: slice) -> Self:
        """The tokens of a part; offsets still count in the whole text."""
        return type(self)(self.ids[place], self.offsets[place], self.continues[place])


class Tokenizer:
    """
    Cuts texts into the pieces of a vocabulary, as its type says.

    A special token's name inside a text is plain text: a book can't smuggle a separator in.

    Args:
        spec: vocabulary and settings.
    """

    def __init__(self, spec: TokenizerSpec) -> None:
        ids = dict(zip(spec.vocab, range(len(spec.vocab)), strict=True))
        self.spec = spec
        self.cls_id = ids[spec.cls_token]
        self.sep_id = ids[spec.sep_token]
        self.pad_id = ids[spec.pad_token]
        self.unk_id = ids[spec.unk_token]
        self.template = Template.named(
            spec.template, cls_id=self.cls_id, sep_id=self.sep_id, pad_id=self.pad_id
        )
        self._space_id = ids.get(METASPACE, -1) if isinstance(spec, UnigramSpec) else -1
        self._tokenizer = _build(spec, ids)
        self._continues: NDArray[np.bool_] | None = None
        if isinstance(spec, WordPieceSpec):
            prefix = spec.continuing_prefix
            self._continues = np.fromiter(map(str.startswith, spec.vocab, repeat(prefix)), bool)

    def encode(self, text: str) -> TokenizedText:
        """Tokenize one text of any length."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[TokenizedText]:
        """Tokenize texts of any length, on all cores; one result per text, in order."""
        encodings = self._tokenizer.encode_batch(encodable(texts), add_special_tokens=False)
        return [
            self._tokenized(
                text,
                np.array(encoding.ids, dtype=np.int64),
                np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2),
            )
            for text, encoding in zip(texts, encodings, strict=True)
        ]

    def encode_once(self, texts: Iterable[str]) -> dict[str, TokenizedText]:
        """Tokenize texts of which many are alike, each once: text -> its tokens."""
        unique = list(dict.fromkeys(texts))
        return dict(zip(unique, self.encode_batch(unique), strict=True))

    def encode_ids(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """The ids alone, which is a quarter faster: (n_tokens,) int64 per text, in order."""
        encodings = self._tokenizer.encode_batch_fast(encodable(texts), add_special_tokens=False)
        return [np.array(encoding.ids, dtype=np.int64) for encoding in encodings]

    def to_json(self) -> str:
        """
        The tokenizer as a tokenizer.json, which the `tokenizers` library loads.

        Without special tokens it gives the same ids as ours; with them a question and a context
        are laid out by the template, as by `pad_batch`. A special token's name inside a text is
        plain text there too, for which those of a unigram model, and those of word pieces that
        could be a word or end one, have other names there.
        """
        laid_out = tokenizers.Tokenizer.from_str(self._tokenizer.to_str())
        separator = self.spec.sep_token, self.sep_id
        first = self.spec.cls_token, self.cls_id
        laid_out.post_processor = (
            BertProcessing(separator, first)
            if self.spec.template == "bert"
            else RobertaProcessing(separator, first, trim_offsets=False, add_prefix_space=False)
        )
        text: str = laid_out.to_str(pretty=True)
        return text

    def _tokenized(
        self, text: str, ids: NDArray[np.int64], offsets: NDArray[np.int64]
    ) -> TokenizedText:
        if self._continues is not None:
            return TokenizedText(ids, offsets, self._continues[ids])
        # Pieces of the other types have the white space before a word in them, and what ends a
        # word is not written in a piece.
        kinds = np.frombuffer(text.translate(_KINDS).encode("ascii"), dtype=np.uint8)
        offsets = _trimmed(kinds, offsets)
        # The library lays a space put before a word on the word's first character.
        ends = np.where(ids == self._space_id, offsets[:, 0], offsets[:, 1])
        offsets[:, 1] = np.maximum.accumulate(ends)
        return TokenizedText(ids, offsets, _goes_on(kinds, offsets))


def encodable(texts: Sequence[str]) -> list[str]:
    """The texts with each lone surrogate replaced by a character that is dropped, and as long."""
    return [_LONE_SURROGATE.sub(_REPLACEMENT, text) for text in texts]


def _build(spec: TokenizerSpec, ids: dict[str, int]) -> tokenizers.Tokenizer:
    # The library's tokenizer of a spec: text -> tokens without special ones.
    match spec:
        case WordPieceSpec():
            hidden, named = _hidden_tokens(spec), dict(ids)
            for token, name in hidden.items():
                named[name] = named.pop(token)
            built = tokenizers.Tokenizer(
                WordPiece(
                    named,
                    unk_token=hidden.get(spec.unk_token, spec.unk_token),
                    max_input_chars_per_word=spec.max_chars_per_word,
                    continuing_subword_prefix=spec.continuing_prefix,
                )
            )
            built.normalizer = normalizers.BertNormalizer(
                clean_text=spec.clean_text,
                handle_chinese_chars=spec.handle_chinese_chars,
                strip_accents=spec.strip_accents,
                lowercase=spec.lowercase,
            )
            built.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        case ByteBPESpec():
            vocab = spec.vocab
            merges = [(vocab[left], vocab[right]) for left, right in spec.merges]
            built = tokenizers.Tokenizer(BPE(ids, merges))
            built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=spec.add_prefix_space)
        case UnigramSpec():
            special = set(spec.special_tokens)
            # Spaces have become other characters when pieces are looked for: so no text has these.
            pieces = [
                (f" {piece}" if piece in special else piece, score)
                for piece, score in zip(spec.vocab, spec.scores, strict=True)
            ]
            built = tokenizers.Tokenizer(Unigram(pieces, ids[spec.unk_token]))
            built.normalizer = normalizers.Sequence(
                [_STEPS[name](spec, *texts) for name, *texts in spec.normalizer]
            )
            metaspace = pre_tokenizers.Metaspace(
                METASPACE,
                prepend_scheme="always" if spec.add_prefix_space else "never",
                split=spec.split_metaspace,
            )
            built.pre_tokenizer = (
                pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace])
                if spec.split_whitespace
                else metaspace
            )
        case _:
            raise TypeError(f"found a {type(spec).__name__}, expected a spec of a known type")
    return built


def _hidden_tokens(spec: WordPieceSpec) -> dict[str, str]:
    # A special token that a word can have in it -> a name that no word has, for words have no
    # spaces. One like [CLS] is cut at its brackets, and keeps its name for who reads a
    # tokenizer.json.
    cut, prefix = pre_tokenizers.BertPreTokenizer(), spec.continuing_prefix
    return {
        token: f" {token}"
        for token in spec.special_tokens
        for part in {token, token.removeprefix(prefix)}
        if len(cut.pre_tokenize_str(part)) == 1
    }


# A step of a unigram model's normalizer -> what does it.
_STEPS: dict[str, Callable[..., Any]] = {
    "charsmap": lambda spec: normalizers.Precompiled(compile_charsmap(spec.charsmap)),
    "collapse_spaces": lambda _, by: normalizers.Replace(tokenizers.Regex(" {2,}"), by),
    "lowercase": lambda _: normalizers.Lowercase(),
    "nfc": lambda _: normalizers.NFC(),
    "nfd": lambda _: normalizers.NFD(),
    "nfkc": lambda _: normalizers.NFKC(),
    "nfkd": lambda _: normalizers.NFKD(),
    "nmt": lambda _: normalizers.Nmt(),
    "replace": lambda _, text, by: normalizers.Replace(text, by),
    "strip_accents": lambda _: normalizers.StripAccents(),
    "strip_left": lambda _: normalizers.Strip(left=True, right=False),
    "strip_right": lambda _: normalizers.Strip(left=False, right=True),
}


def _trimmed(kinds: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    # Tokens without the white space at their ends; one of white space alone becomes empty.
    places = np.arange(len(kinds))
    seen = kinds != _SPACE
    next_seen = np.append(
        np.minimum.accumulate(np.where(seen, places, len(kinds))[::-1])[::-1], len(kinds)
    )
    seen_before = np.append(0, np.maximum.accumulate(np.where(seen, places + 1, 0)))
    ends = offsets[:, 1]
    starts = np.minimum(next_seen[offsets[:, 0]], ends)
    return np.stack([starts, np.maximum(seen_before[ends], starts)], axis=1)


def _goes_on(kinds: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.bool_]:
    # Tokens that begin inside a word, or inside a character.
    starts = offsets[:, 0]
    is_word = np.append(kinds == _WORD, [False, False])  # also before the first, at -1
    inside: NDArray[np.bool_] = is_word[starts] & is_word[starts - 1]
    inside[1:] |= starts[1:] < offsets[:-1, 1]
    inside[:1] = False
    return inside
