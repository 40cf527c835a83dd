"""WordPiece, as BERT has it."""

from dataclasses import dataclass

import numpy as np

from squadlite.answering.tokenizer_spec.base import TokenizerSpec
from squadlite.errors import TokenizerError

MAX_CHARS_PER_WORD = 10_000


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
