"""Text -> token ids and character offsets, by the `tokenizers` library."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import tokenizers
from numpy.typing import NDArray
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import BertProcessing, RobertaProcessing

from squadlite.answering.tokenizer_spec import TokenizerSpec
from squadlite.answering.windows import Template

# Half a surrogate pair has no UTF-8 form. The character put in its place is one that BERT drops,
# and as long, so that offsets still count in the original text.
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_REPLACEMENT = "\ufffd"


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
    BERT's tokenizer for one vocabulary: normalize, split into words, split words into pieces.

    A special token's name inside a text is plain text: a book can't smuggle a separator in.

    Args:
        spec: vocabulary and settings.
    """

    def __init__(self, spec: TokenizerSpec) -> None:
        ids = {piece: piece_id for piece_id, piece in enumerate(spec.vocab)}
        self.spec = spec
        self.cls_id = ids[spec.cls_token]
        self.sep_id = ids[spec.sep_token]
        self.pad_id = ids[spec.pad_token]
        self.unk_id = ids[spec.unk_token]
        self.template = Template.named(
            spec.template, cls_id=self.cls_id, sep_id=self.sep_id, pad_id=self.pad_id
        )
        prefix = spec.continuing_prefix
        self._continues = np.array([piece.startswith(prefix) for piece in spec.vocab])
        self._tokenizer = tokenizers.Tokenizer(
            WordPiece(
                ids,
                unk_token=spec.unk_token,
                max_input_chars_per_word=spec.max_chars_per_word,
                continuing_subword_prefix=spec.continuing_prefix,
            )
        )
        self._tokenizer.normalizer = BertNormalizer(
            clean_text=spec.clean_text,
            handle_chinese_chars=spec.handle_chinese_chars,
            strip_accents=spec.strip_accents,
            lowercase=spec.lowercase,
        )
        self._tokenizer.pre_tokenizer = BertPreTokenizer()

    def encode(self, text: str) -> TokenizedText:
        """Tokenize one text of any length."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[TokenizedText]:
        """Tokenize texts of any length, on all cores; one result per text, in order."""
        encodings = self._tokenizer.encode_batch(encodable(texts), add_special_tokens=False)
        texts_ids = [np.array(encoding.ids, dtype=np.int64) for encoding in encodings]
        return [
            TokenizedText(
                ids=ids,
                offsets=np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2),
                continues=self._continues[ids],
            )
            for encoding, ids in zip(encodings, texts_ids, strict=True)
        ]

    def encode_ids(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """The ids alone, which is a quarter faster: (n_tokens,) int64 per text, in order."""
        encodings = self._tokenizer.encode_batch_fast(encodable(texts), add_special_tokens=False)
        return [np.array(encoding.ids, dtype=np.int64) for encoding in encodings]

    def to_json(self) -> str:
        """
        The tokenizer as a tokenizer.json, which the `tokenizers` library loads.

        Without special tokens it gives the same ids as ours; with them a question and a context
        are laid out by the template, as by `pad_batch`. A special token's name inside a text is
        plain text there too.
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


def encodable(texts: Sequence[str]) -> list[str]:
    """The texts with each lone surrogate replaced by a character that is dropped, and as long."""
    return [_LONE_SURROGATE.sub(_REPLACEMENT, text) for text in texts]
